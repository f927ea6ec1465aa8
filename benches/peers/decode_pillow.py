#!/usr/bin/env python3
"""Decode and resize a folder of pictures with Pillow and transformers' processors, on one core.

usage: decode_pillow.py DIR [--side 384] [--repeats 3] [--limit N]

Prints one JSON line: images per second, the median of the repeats. `pillow`: open, convert to RGB, resize to
side×side, bicubic, as the original does. `pillow_normalised`: the same, with normalised floats.
`transformers_pil`, `transformers`: BLIP's image processors by Pillow and by torchvision (the default), with
decoding by Pillow, up to a tensor. The files are read into memory before the clock starts.
"""

import argparse
import io
import json
import os
import pathlib
import statistics
import sys
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before torch counts cores
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import blip_reference as blip
import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from transformers import BlipImageProcessor

MEAN, STD = np.float32(blip.MEAN), np.float32(blip.STD)


def variants(side):
    size = {"height": side, "width": side}

    def rgb(data):
        return Image.open(io.BytesIO(data)).convert("RGB")

    def pillow(data):
        return np.asarray(rgb(data).resize((side, side), Image.Resampling.BICUBIC))

    pil, default = (
        blip.processor(side),
        BlipImageProcessor(size=size, image_mean=blip.MEAN, image_std=blip.STD),
    )
    return {
        "pillow": pillow,
        "pillow_normalised": lambda data: (
            ((pillow(data).astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1).copy()
        ),
        "transformers_pil": lambda data: pil(rgb(data), return_tensors="pt").pixel_values,
        "transformers": lambda data: default(rgb(data), return_tensors="pt").pixel_values,
    }


def rate(call, files, repeats):
    call(files[0])
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        for data in files:
            call(data)
        rates.append(len(files) / (time.perf_counter() - began))
    return round(statistics.median(rates), 1)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--side", type=int, default=384)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--limit", type=int)
    args = p.parse_args()
    torch.set_num_threads(1)
    paths = sorted(
        f for f in args.folder.iterdir() if f.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
    )[: args.limit]
    if not paths:
        sys.exit(f"decode_pillow: no picture (.jpg, .png, .webp) in {args.folder}")
    files = [f.read_bytes() for f in paths]
    rates = {name: rate(call, files, args.repeats) for name, call in variants(args.side).items()}
    print(
        json.dumps(
            {
                "files": len(files),
                "bytes": sum(map(len, files)),
                "side": args.side,
                "images_per_second": rates,
                "pillow": PIL.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


main()
