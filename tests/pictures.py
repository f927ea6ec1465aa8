"""Decode the pictures in the output of a terminal program, and compare them with the image of a row.

usage: pictures.py kitty|iterm|sixel OUTPUT IMAGE WIDTH HEIGHT

OUTPUT has the control sequences, IMAGE the encoded image. Prints one JSON object: the size of the picture,
the mean and the largest difference of a value (0 to 255) from the image, reduced to at most WIDTH x HEIGHT
by Pillow's box filter.
"""

import base64
import io
import json
import re
import sys

import numpy as np
from PIL import Image

protocol, output, image = sys.argv[1], open(sys.argv[2], "rb").read(), Image.open(sys.argv[3]).convert("RGB")
most = tuple(map(int, sys.argv[4:6]))


def kitty(output):
    """Join the chunks of one transmission: the first has the keys, the last has m=0."""
    chunks = re.findall(rb"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", output)
    keys = [dict(key.split("=") for key in keys.decode().split(",")) for keys, _ in chunks]
    assert keys[0].items() >= {"a": "T", "f": "100", "q": "2"}.items(), keys[0]
    assert [key["m"] for key in keys] == ["1"] * (len(keys) - 1) + ["0"], keys
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in chunks)
    return Image.open(io.BytesIO(base64.b64decode(b"".join(data for _, data in chunks), validate=True)))


def iterm(output):
    """Take the data of the one inline file, whose size is given."""
    (found,) = re.findall(rb"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07", output)
    keys = dict(key.split("=") for key in found[0].decode().split(";"))
    data = base64.b64decode(found[1], validate=True)
    picture = Image.open(io.BytesIO(data))
    assert keys["inline"] == "1" and int(keys["size"]) == len(data), keys
    assert (keys["width"], keys["height"]) == tuple(f"{side}px" for side in picture.size), keys
    return picture


def sixel(output):
    """Draw the bands: a colour, counts and characters of six rows; `$` returns, `-` is the next band."""
    (found,) = re.findall(rb'\x1bPq"1;1;(\d+);(\d+)(.*?)\x1b\\', output, re.DOTALL)
    width, height = int(found[0]), int(found[1])
    pixels, colours = np.zeros((height, width, 3), np.uint8), {}
    drawn = np.zeros((height, width), bool)
    column, band, colour = 0, 0, None
    for token in re.findall(r"#\d+(?:;\d+){4}|#\d+|!\d+[?-~]|[?-~]|\$|-", found[2].decode()):
        if token.startswith("#"):
            number, *definition = map(int, token[1:].split(";"))
            if definition:
                colours[number] = [round(255 * part / 100) for part in definition[1:]]
            colour = number
        elif token == "$":
            column = 0
        elif token == "-":
            column, band = 0, band + 6
        else:
            count = int(token[1:-1]) if token.startswith("!") else 1
            for bit in range(6):
                if (ord(token[-1]) - 63) >> bit & 1:
                    assert not drawn[band + bit, column : column + count].any()
                    drawn[band + bit, column : column + count] = True
                    pixels[band + bit, column : column + count] = colours[colour]
            column += count
            assert column <= width
    assert drawn.all()
    return Image.fromarray(pixels)


picture = {"kitty": kitty, "iterm": iterm, "sixel": sixel}[protocol](output).convert("RGB")
expected = image.resize(picture.size, Image.Resampling.BOX)
assert all(side <= limit for side, limit in zip(picture.size, most)), picture.size
difference = np.abs(np.asarray(picture, int) - np.asarray(expected, int))
# Dithering spreads colours over neighbours, so sixels are compared by the means of 8 x 8 pixels.
whole = [side // 8 * 8 for side in difference.shape[:2]]
blocks = [
    np.asarray(of, float)[: whole[0], : whole[1]].reshape(whole[0] // 8, 8, whole[1] // 8, 8, 3).mean((1, 3))
    for of in (picture, expected)
]
print(
    json.dumps(
        {
            "size": picture.size,
            "mean": difference.mean(),
            "largest": int(difference.max()),
            "blocks": np.abs(blocks[0] - blocks[1]).max(),
        }
    )
)
