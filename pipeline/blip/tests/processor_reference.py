#!/usr/bin/env python3
"""Pixels that transformers' image processors compute for one picture.

usage: processor_reference.py FOLDER PICTURE.raw WIDTH HEIGHT

Each folder below FOLDER holds a config.json and the files of an image processor. The script writes the
processor's pixel_values of the picture (8-bit RGB) beside these files as pixels.f32, channel by channel.
The processor's backend is Pillow, because capfilt resizes as Pillow does; transformers' torchvision backend
computes other pixels.
"""

import pathlib
import sys

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

folder, picture, width, height = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
image = Image.frombytes("RGB", (width, height), pathlib.Path(picture).read_bytes())
for case in sorted(path for path in folder.iterdir() if path.is_dir()):
    processor = AutoImageProcessor.from_pretrained(case, backend="pil")
    pixels = processor(image, return_tensors="np")["pixel_values"]
    (case / "pixels.f32").write_bytes(np.ascontiguousarray(pixels, np.float32).tobytes())
