#!/usr/bin/env python3
"""Compare `capfilt score --clip` with transformers and OpenCLIP on ViT-B/32 and ViT-L/14, in f32 on the CPU.

usage: parity_clip.py CAPFILT [--size ViT-B-32|ViT-L-14|both] [--work DIR]
       (in the venv of scripts/peers.py; `make parity`)

The models have the published shapes, CLIP's own vocabulary and random weights: ViT-B/32 in transformers'
layout, ViT-L/14 in OpenCLIP's. The pictures are photographs; the texts are ordinary ones and random Unicode.
A text whose ids differ has another score. The exit code is 1 if a cosine differs by more than 1e-4.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import make_golden_clip as golden
import open_clip
import skimage
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-4
PHOTOS = ["astronaut.png", "chelsea.png", "coffee.png"]
FUZZED = 120


def texts():
    rng = random.Random(7)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x2000, 0x2070), (0x4E00, 0x4F00)]
    blocks += [(0x1F300, 0x1F700), (0xFF00, 0xFFEF), (0x09, 0x0E), (0x1D400, 0x1D500)]
    letters = [[chr(c) for c in range(*block)] for block in blocks]
    fuzz = [
        "".join(rng.choice(rng.choice(letters)) for _ in range(rng.randint(1, 60))) for _ in range(FUZZED)
    ]
    return [text for text in golden.TEXTS + fuzz if "\0" not in text and not text.startswith("-")]


def pictures():
    folder = pathlib.Path(skimage.__file__).parent / "data"
    return [folder / name for name in PHOTOS]


def save_vocabulary(folder):
    golden.MERGES = 49152 - 256 - 2
    golden.save_tokenizer(folder, whole=True)
    return CLIPTokenizer.from_pretrained(folder)


@torch.inference_mode()
def transformers(folder, images):
    config = CLIPConfig(text_config=CLIPTextConfig().to_dict(), vision_config=CLIPVisionConfig().to_dict())
    model = golden.randomise(CLIPModel(config), seed=1)
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
    CLIPImageProcessorPil().save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    tokens = save_vocabulary(folder)(
        texts(), truncation=True, max_length=77, padding=True, return_tensors="pt"
    )
    pixels = CLIPImageProcessorPil()(images=images, return_tensors="pt")["pixel_values"]
    result = model(pixel_values=pixels, **tokens)
    return result.image_embeds @ result.text_embeds.T


@torch.inference_mode()
def openclip(folder, images):
    cfg = open_clip.get_model_config("ViT-L-14")
    model = golden.randomise(open_clip.CLIP(**cfg), seed=2)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": {}}))
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    ids = save_vocabulary(folder)(texts(), truncation=True, max_length=77).input_ids
    ids = torch.tensor([row + [0] * (77 - len(row)) for row in ids])
    prepare = open_clip.image_transform(224, is_train=False, resize_mode="shortest", interpolation="bicubic")
    pixels = torch.stack([prepare(image) for image in images])
    return model.encode_image(pixels, normalize=True) @ model.encode_text(ids, normalize=True).T


def ours(program, folder):
    command = [program, "score", "--json", "--device", "cpu", "--precision", "f32"]
    command += ["--model", str(ROOT / "tests/data/models/filter"), "--clip", str(folder)]
    command += [part for path in pictures() for part in ("--image", str(path))]
    command += [f"--text={text}" for text in texts()]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return torch.tensor(
        [[text["clip"] / 100 for text in json.loads(line)["texts"]] for line in out.splitlines()]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capfilt")
    parser.add_argument("--size", choices=["ViT-B-32", "ViT-L-14", "both"], default="both")
    parser.add_argument("--work", type=pathlib.Path)
    args = parser.parse_args()
    images = [Image.open(path).convert("RGB") for path in pictures()]
    worst = 0.0
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        for size, reference in {"ViT-B-32": transformers, "ViT-L-14": openclip}.items():
            if args.size not in (size, "both"):
                continue
            folder = pathlib.Path(work) / size
            folder.mkdir()
            theirs = reference(folder, images)
            difference = (theirs - ours(args.capfilt, folder)).abs().max().item()
            spread = f"from {theirs.min():.3f} to {theirs.max():.3f}"
            print(
                f"{size}: {theirs.numel()} cosines {spread}, largest difference {difference:.1e}", flush=True
            )
            worst = max(worst, difference)
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
