"""Make golden/randaugment.json: BLIP's augmentation operations on one small picture, by OpenCV and by Pillow.

Needs opencv-python-headless 4 (version 5 computes other affine maps), numpy and Pillow. The operations are
those of BLIP's published recipe: affine maps by cv2.warpAffine (bilinear, border 128), auto-contrast and
equalisation per channel by Pillow.
"""

import json
import pathlib

import cv2
import numpy as np
import PIL
from PIL import Image, ImageOps

SIDE = 24
FILL = (128, 128, 128)


def picture():
    """Soft colours, a sharp edge and some noise; none of the channels covers all of the range."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    image = np.stack([60 + 120 * x, 40 + 150 * y, 90 + 60 * (x + y) / 2], axis=2)
    image[6:15, 9:20] = (200, 35, 120)
    return (image + rng.integers(-6, 7, image.shape)).clip(0, 255).astype(np.uint8)


def warp(image, rows):
    matrix = np.array(rows, dtype=np.float32)
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=FILL)


def rotate(image, degrees):
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), borderValue=FILL)


def brightness(image, factor):
    table = (np.arange(256, dtype=np.float32) * factor).clip(0, 255).astype(np.uint8)
    return table[image]


def sharpness(image, factor):
    kernel = np.ones((3, 3), dtype=np.float32)
    kernel[1][1] = 5
    blurred = cv2.filter2D(image, -1, kernel / 13).astype(np.float32)
    out = image.astype(np.float32)
    inner = (slice(1, -1), slice(1, -1))
    out[inner] = (blurred[inner] + factor * (out[inner] - blurred[inner])).clip(0, 255)
    return out.astype(np.uint8)


image = picture()
pillow = Image.fromarray(image)
cases = [
    ("autocontrast", 0, np.asarray(ImageOps.autocontrast(pillow))),
    ("equalize", 0, np.asarray(ImageOps.equalize(pillow))),
]
for level in (2, 5, 10):
    cases += [("brightness", level * 0.18 + 0.1, brightness(image, level * 0.18 + 0.1))]
    cases += [("sharpness", level * 0.18 + 0.1, sharpness(image, level * 0.18 + 0.1))]
    for sign in (-1, 1):
        shear, offset, degrees = sign * level * 0.03, sign * level * 1.0, sign * level * 3.0
        cases += [
            ("shear_x", shear, warp(image, [[1, shear, 0], [0, 1, 0]])),
            ("shear_y", shear, warp(image, [[1, 0, 0], [shear, 1, 0]])),
            ("translate_x", offset, warp(image, [[1, 0, -offset], [0, 1, 0]])),
            ("translate_y", offset, warp(image, [[1, 0, 0], [0, 1, -offset]])),
            ("rotate", degrees, rotate(image, degrees)),
        ]
record = {
    "opencv": cv2.__version__,
    "pillow": PIL.__version__,
    "side": SIDE,
    "image": image.tobytes().hex(),
    "cases": [{"operation": name, "by": by, "image": made.tobytes().hex()} for name, by, made in cases],
}
path = pathlib.Path(__file__).parent / "golden" / "randaugment.json"
path.write_text(json.dumps(record) + "\n")
print(path, path.stat().st_size, "bytes")
