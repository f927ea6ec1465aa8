#!/usr/bin/env python3
"""Make the files of this folder: one picture of 24 × 16 pixels in every format.

tests/bad_images.rs damages these files.

usage: .venv/bin/python pipeline/tests/small/make.py
"""

import pathlib

import numpy as np
from PIL import Image

here = pathlib.Path(__file__).parent
y, x = np.mgrid[0:16, 0:24]
photo = Image.fromarray(np.stack([x * 10, y * 15, (x * y) % 256], axis=-1).astype(np.uint8))
few = photo.quantize(16)
photo.save(here / "baseline.jpg", quality=80)
photo.save(here / "progressive.jpg", quality=80, progressive=True)
photo.convert("CMYK").save(here / "cmyk.jpg", quality=80)
photo.convert("RGBA").save(here / "rgba.png")
few.save(here / "palette.png")
few.save(here / "palette.gif")
photo.save(here / "rgb.bmp")
photo.save(here / "lzw.tif", compression="tiff_lzw")
few.save(here / "palette.tif")
photo.save(here / "lossy.webp", quality=60)
photo.save(here / "lossless.webp", lossless=True)
