#!/usr/bin/env python3
"""Write pipeline/blip/tests/golden/clip: tiny random CLIPs and their results in transformers and OpenCLIP.

usage: make_golden_clip.py [--out DIR]        (in the venv of scripts/peers.py, after
                                              `.peers/bin/python -m pip install open_clip_torch==3.3.0`)

golden/README.md describes the files. The vocabulary is the beginning of CLIP's own, which OpenCLIP contains.
"""

import argparse
import gzip
import json
import pathlib
import shutil

import clip_reference
import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
MERGES = 220
SIDE = 32
WIDTH = {"vision": 32, "text": 24}
PROJECTION = 16

# Widths and heights of the pictures: squares, both orientations, odd margins, smaller than the square.
SIZES = [(32, 32), (61, 47), (47, 83), (40, 90), (35, 32), (20, 31), (9, 64), (101, 33)]

TEXTS = [
    "a photo of a cat",
    "A Dog, running on the BEACH!",
    "",
    "   two   spaces\tand\na line   ",
    "don't stop; it's 12,345.67 — they'll've done 'S",
    "<|endoftext|> before and <|startoftext|> within <|ENDOFTEXT|>",
    "<b>bold</b> &amp; http://example.org/?q=1#x",
    "caf\u00e9 and cafe\u0301, na\u00efve \u00c5ngstr\u00f6m \u1e9e \u0130stanbul",
    "\u732b\u304c\u597d\u304d \u0625\u0646\u0643\u0644\u064a\u0632\u064a \u05e9\u05dc\u05d5\u05dd",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \u00bd \u2167 \u0664",
    "zero\u200bwidth\u00a0space\u2003em\ufeffbom\x00nul\x07bell",
    "word " * 200,
    "x" * 3000,
    "a\u0301" * 90,
    "###___--- ... !!! ??? $$$ \\ / ~",
]


def vocabulary():
    """Return (vocabulary, merges): all bytes, with and without the end of a word, and CLIP's first merges."""
    path = pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.open(path).read().decode().split("\n")[1 : 1 + MERGES]
    bytes_ = list(open_clip.tokenizer.bytes_to_unicode().values())
    words = bytes_ + [b + "</w>" for b in bytes_] + [line.replace(" ", "") for line in lines]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {word: i for i, word in enumerate(words)}, lines


def save_tokenizer(folder, whole):
    words, merges = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(words, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    if whole:
        CLIPTokenizer(words, [tuple(pair.split()) for pair in merges]).backend_tokenizer.save(
            str(folder / "tokenizer.json")
        )
        (folder / "vocab.json").unlink()
        (folder / "merges.txt").unlink()


@torch.no_grad()
def randomise(model, seed):
    """Set lively weights, so that vectors differ between images and between texts."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        is_norm = (
            "norm" in name or "layrnorm" in name or ".ln_" in name or "ln_final" in name
        ) and p.dim() == 1
        if is_norm and name.endswith("weight"):
            p.copy_(1 + 0.2 * noise)
        elif p.dim() == 1:
            p.copy_(0.2 * noise)
        elif p.dim() > 1:
            p.copy_(noise * (1.2 if "embed" in name else 1.5 / p.shape[-1] ** 0.5))
    return model.eval()


def config(act, end):
    size = len(vocabulary()[0])
    vision = dict(
        hidden_size=WIDTH["vision"],
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        hidden_act=act,
    )
    text = dict(
        hidden_size=WIDTH["text"],
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        vocab_size=size,
        hidden_act=act,
        bos_token_id=size - 2,
        eos_token_id=size - 1 if end is None else end,
    )
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION)


def pictures():
    rng = np.random.default_rng(5)
    for width, height in SIZES:
        coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
        grain = rng.integers(-20, 21, (height, width, 3))
        yield Image.fromarray(np.clip(np.asarray(image).astype(int) + grain, 0, 255).astype(np.uint8))


def make_transformers(name, out, images, act, end, old):
    folder = out / name
    folder.mkdir()
    model = randomise(CLIPModel(config(act, end)), seed=11 if old else 12)
    model.config.architectures = ["CLIPModel"]
    (folder / "config.json").write_text(json.dumps(model.config.to_dict(), indent=1, sort_keys=True) + "\n")
    save_tokenizer(folder, whole=not old)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    keys = {"size": SIDE, "crop_size": SIDE, "resample": 3, "feature_extractor_type": "CLIPFeatureExtractor"}
    if old:
        (folder / "preprocessor_config.json").write_text(json.dumps(keys) + "\n")
        tensors = dict(model.state_dict())
        for tower in ("text", "vision"):
            ids = getattr(model, f"{tower}_model").embeddings.position_ids
            tensors[f"{tower}_model.embeddings.position_ids"] = ids
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        processor.save_pretrained(folder)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = [tokenizer(text, truncation=True, max_length=77).input_ids for text in TEXTS]
    squares = np.stack([clip_reference.square(image, SIDE) for image in images])
    pixels = processor(images=images, return_tensors="pt")["pixel_values"]
    ours = torch.from_numpy(np.stack([clip_reference.normalised(square) for square in squares]))
    assert (pixels - ours).abs().max() < 1e-5, "the reference prepares images as transformers does"
    padded = tokenizer(TEXTS, truncation=True, max_length=77, padding=True, return_tensors="pt")
    with torch.inference_mode():
        result = model(pixel_values=pixels, **padded)
    if not old:
        numpy = clip_reference.Clip(folder)
        for theirs, found in [
            (result.image_embeds, numpy.image_vectors(ours.numpy())),
            (result.text_embeds, numpy.text_vectors(ids)),
        ]:
            assert np.abs(theirs.numpy() - found).max() < 1e-5, "the reference computes as transformers does"
    return result.image_embeds, result.text_embeds, ids, torch.from_numpy(squares)


def make_open_clip(name, out, images):
    folder = out / name
    folder.mkdir()
    size = len(vocabulary()[0])
    model_cfg = {
        "embed_dim": PROJECTION,
        "vision_cfg": {
            "image_size": SIDE,
            "layers": 2,
            "width": WIDTH["vision"],
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": size,
            "width": WIDTH["text"],
            "heads": 3,
            "layers": 2,
        },
    }
    model = randomise(open_clip.CLIP(**model_cfg), seed=13)
    mean, std = (0.5, 0.45, 0.4), (0.25, 0.26, 0.27)
    file = {"model_cfg": model_cfg, "preprocess_cfg": {"mean": mean, "std": std}}
    (folder / "open_clip_config.json").write_text(json.dumps(file, indent=1, sort_keys=True) + "\n")
    save_tokenizer(folder, whole=True)
    tensors = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    prepare = open_clip.image_transform(
        SIDE, is_train=False, mean=mean, std=std, resize_mode="shortest", interpolation="bicubic"
    )
    pixels = torch.stack([prepare(image) for image in images])
    back = (pixels.permute(0, 2, 3, 1) * torch.tensor(std) + torch.tensor(mean)) * 255
    squares = back.round().to(torch.uint8)
    assert (back - squares).abs().max() < 1e-2
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    padded = [tokenizer(text, truncation=True, max_length=77).input_ids for text in TEXTS]
    ids = torch.tensor([row + [0] * (77 - len(row)) for row in padded])
    with torch.inference_mode():
        return (
            model.encode_image(pixels, normalize=True),
            model.encode_text(ids, normalize=True),
            padded,
            squares,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "pipeline/blip/tests/golden/clip")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    images = list(pictures())
    made = {
        "transformers": make_transformers("transformers", out, images, "quick_gelu", None, old=False),
        "transformers-old": make_transformers("transformers-old", out, images, "gelu", 2, old=True),
        "open-clip": make_open_clip("open-clip", out, images),
    }
    tensors = {f"image.{i}": torch.from_numpy(np.array(image)) for i, image in enumerate(images)}
    for name, (image, text, _, squares) in made.items():
        tensors |= {f"{name}.images": image, f"{name}.texts": text, f"{name}.squares": squares}
        cosines = image @ text.T
        print(
            name,
            "cosines from",
            cosines.min().item(),
            "to",
            cosines.max().item(),
            "std",
            cosines.std().item(),
        )
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, out / "expected.safetensors")
    facts = {
        "made_with": {"torch": torch.__version__, "open_clip": open_clip.__version__},
        "texts": TEXTS,
        "ids": {name: ids for name, (_, _, ids, _) in made.items()},
    }
    (out / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
