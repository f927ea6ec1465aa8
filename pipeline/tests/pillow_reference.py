#!/usr/bin/env python3
"""Write Pillow's pixels of every image in a folder: those that transformers' BLIP processor divides by 255.

usage: pillow_reference.py IMAGES OUT

For `name` the script writes `name.<side>.raw`, the bytes of
`convert("RGB").resize((side, side), BICUBIC)`, and `name.0.raw`, the decoded image; `name.crop.raw`, the
centre of the image resized until its shorter edge has 224 pixels, as CLIP's processor takes it, unless the
resized image is huge; with an EXIF orientation also `name.turned.raw`.
`index.tsv` has a line `name, width, height` per image, or `name, error, message`;
`truncated.tsv` has a line `name, bytes kept, decoded|refused` per cut.
"""

import io
import pathlib
import sys
import warnings

from PIL import Image, ImageOps

SIDES = (384, 224, 56)
CROP = 224
MOST_PIXELS = 20_000_000
# One file per codec path. A cut removes a number of bytes from the end, or keeps a share of the file.
CUT_FILES = [
    "jpeg-coffee-420-q75.jpg",
    "jpeg-chelsea-progressive.jpg",
    "jpeg-coffee-grey.jpg",
    "jpeg-cmyk.jpg",
    "jpeg-restarts.jpg",
    "skimage-coffee.png",
    "png-palette-8bit.png",
    "png-8bit-rgb-interlaced.png",
    "gif-still.gif",
    "gif-interlaced.gif",
    "bmp-rgb.bmp",
    "bmp-palette.bmp",
    "tiff-rgb.tif",
    "tiff-lzw.tif",
    "webp-coffee-lossy.webp",
    "webp-coffee-lossless.webp",
]
CUT_BYTES = (1, 2, 3, 4, 8, 12, 16, 100, 1000)
CUT_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


def decode(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(source).convert("RGB")


def crop(image):
    """Return the centre, or None if the resized image is huge."""
    short = min(image.size)
    width, height = (CROP * edge // short for edge in image.size)
    if width * height > MOST_PIXELS:
        return None
    left, top = (width - CROP) // 2, (height - CROP) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + CROP, top + CROP))


def write_pixels(images, out):
    for path in sorted(images.iterdir()):
        try:
            decoded = decode(path)
        except Exception as error:
            yield path.name, "error", f"{type(error).__name__}: {error}"
            continue
        yield path.name, decoded.width, decoded.height
        (out / f"{path.name}.0.raw").write_bytes(decoded.tobytes())
        for side in SIDES:
            (out / f"{path.name}.{side}.raw").write_bytes(
                decoded.resize((side, side), Image.Resampling.BICUBIC).tobytes()
            )
        cropped = crop(decoded)
        if cropped is not None:
            (out / f"{path.name}.crop.raw").write_bytes(cropped.tobytes())
        if "exif" in path.name:
            (out / f"{path.name}.turned.raw").write_bytes(
                ImageOps.exif_transpose(Image.open(path)).convert("RGB").tobytes()
            )


def cut(images):
    for name in CUT_FILES:
        whole = (images / name).read_bytes()
        for kept in sorted(
            {len(whole) - n for n in CUT_BYTES if n < len(whole)}
            | {int(len(whole) * share) for share in CUT_SHARES}
        ):
            try:
                decode(io.BytesIO(whole[:kept]))
                yield name, kept, "decoded"
            except Exception:
                yield name, kept, "refused"


def write_table(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


if __name__ == "__main__":
    images, out = map(pathlib.Path, sys.argv[1:])
    write_table(out / "index.tsv", write_pixels(images, out))
    write_table(out / "truncated.tsv", cut(images))
