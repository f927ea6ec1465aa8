#!/usr/bin/env python3
"""Write what Pillow makes of every image in a folder: the pixels that transformers' BLIP processor would see before /255.

usage: pillow_reference.py IMAGES OUT

For `name` it writes `name.<side>.raw`, the bytes of `convert("RGB").resize((side, side), BICUBIC)`, and `name.0.raw`,
the decoded image itself. `index.tsv` has a line `name, width, height` per image, or `name, error, message`.
"""
import pathlib, sys

from PIL import Image

SIDES = (384, 224, 56)


def main(images, out):
    index = []
    for path in sorted(images.iterdir()):
        try:
            decoded = Image.open(path).convert("RGB")
        except Exception as error:
            index.append((path.name, "error", f"{type(error).__name__}: {error}"))
            continue
        index.append((path.name, str(decoded.width), str(decoded.height)))
        (out / f"{path.name}.0.raw").write_bytes(decoded.tobytes())
        for side in SIDES:
            (out / f"{path.name}.{side}.raw").write_bytes(decoded.resize((side, side), Image.Resampling.BICUBIC).tobytes())
    (out / "index.tsv").write_text("".join("\t".join(line) + "\n" for line in index))


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
