#!/usr/bin/env python3
"""Compare capfilt with transformers on BLIP-base and BLIP-large with random weights, in f32 on the CPU.

usage: parity.py CAPFILT [--size base|large|both] [--work DIR] [--keep]
       (in the venv of scripts/peers.py; `make parity`)

The check does not depend on published weights: the script makes models of the published shapes and names,
with random weights that are scaled so that scores vary and captions depend on the image. The models are saved
as safetensors, as `.bin` and as the original's `.pth`, and the program runs on each. Without CAPFILT, only
the Python half runs. The output has the largest differences of P(match), of cosine and of a token's
probability in nucleus sampling (0 for a token outside of the nucleus), and whether caption ids are equal.

The exit code is 1 if a number differs by more than 1e-4 or an id differs. Beside ids that differ, the output
has the smallest margin of a decision of the search: a few 1e-5 is rounding, which a reader may accept and
this script does not.

The first pictures have the model's size, so that only the model is compared. The last rows use unchanged
photographs, and so also compare decoding and resizing. Base takes 2 GB of disk and 6 GB of memory, large 4 GB
and 8 GB.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import blip_models
import blip_reference as blip
import skimage
import torch
from blip_models import SIDE
from PIL import Image
from transformers import LogitsProcessorList
from transformers.generation import (
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

TOLERANCE = 1e-4
# Tolerance for another resize, which changes some pixels by one level.
PHOTO_TOLERANCE = 2e-2
PHOTOS = ["astronaut.png", "chelsea.png", "coffee.png"]
TEXTS = [
    "a woman in an orange suit",
    "A photo of a Cat, lying down!",
    "a cup of coffee and a spoon on a wooden table next to a red box of the small green bird near the sea",
]
LONG = " ".join(["two dogs and a man"] * 9)  # 45 words: cut to 30 words, and to 35 ids
PROMPT = "a picture of "


# ---------------------------------------------------------------- models


@torch.no_grad()
def make_filter(size, pictures):
    """Scale the match head on the pictures: differences show best if P(match) is neither 0 nor 1."""
    model = blip_models.make_filter(size)
    tokens = blip.encode(blip.load_tokenizer(vocabulary_folder(pictures)), TEXTS)
    states = blip.encode_image(model, blip.pixels(pictures.images, SIDE))
    gaps = torch.cat(
        [
            blip.match_logits(
                model,
                s.expand(len(TEXTS), -1, -1),
                blip.with_enc(tokens.input_ids, model),
                tokens.attention_mask,
            ).diff(dim=-1)
            for s in states.split(1)
        ]
    )
    scale = 1.5 / gaps.std()
    model.itm_head.weight.mul_(scale)
    model.itm_head.bias.mul_(scale)[1] -= gaps.mean() * scale
    return model


def vocabulary_folder(pictures):
    folder = pictures.folder / "vocabulary"
    if not folder.exists():
        folder.mkdir()
        blip.save_tokenizer(blip_models.vocabulary(), folder)
    return folder


def save(model, folder, form, pictures):
    folder.mkdir(parents=True)
    blip.save_config(model, folder)
    blip.save_preprocessor(SIDE, folder)
    for file in vocabulary_folder(pictures).iterdir():
        shutil.copy(file, folder)
    if form == "safetensors":
        model.save_pretrained(folder)
    elif form == "bin":
        torch.save({k: v.detach() for k, v in blip.full_state(model).items()}, folder / "pytorch_model.bin")
    else:
        state = blip.original_state({k: v.detach() for k, v in blip.full_state(model).items()})
        if "itm_head.weight" in state:
            state = blip.with_training_leftovers(
                state, queue=64, momentum=lambda n: "norm" in n or "proj" in n
            )
        torch.save({"model": state}, folder / "model_base.pth")
    return folder


class Pictures:
    """Return the photographs, and copies that Pillow has resized to the model's size as PNG files."""

    def __init__(self, folder):
        self.folder = folder
        self.photos = [os.path.join(skimage.data_dir, name) for name in PHOTOS]
        self.images = [
            Image.open(p).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC) for p in self.photos
        ]
        self.files = [str(folder / f"{pathlib.Path(name).stem}-{SIDE}.png") for name in PHOTOS]
        for image, file in zip(self.images, self.files):
            image.save(file)


# ---------------------------------------------------------------- the program


class Program:
    def __init__(self, binary):
        self.binary = binary

    def lines(self, *arguments):
        command = [self.binary, *map(str, arguments), "--precision", "f32", "--device", "cpu", "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"parity: {' '.join(command)}\nended with {done.returncode}:\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]

    def scores(self, model, preset, images, texts):
        several = [a for i in images for a in ("--image", i)] + [a for t in texts for a in ("--text", t)]
        lines = self.lines("score", "--model", model, "--preset", preset, *several)
        assert [line["image"] for line in lines] == images, "one line for each image, in their order"
        return [[(t["match"], t["cosine"]) for t in line["texts"]] for line in lines]

    def ids(self, model, preset, images, how):
        several = [a for i in images for a in ("--image", i)]
        options = [
            "--method",
            how["method"],
            "--max-length",
            how["max_length"],
            "--min-length",
            how["min_length"],
            "--prompt",
            how["prompt"],
        ]
        return [
            line["captions"][0]["ids"]
            for line in self.lines("caption", "--model", model, "--preset", preset, *several, *options)
        ]

    def samples(self, model, preset, images, low):
        """Return, per image, a sampled caption's ids, and per token its distribution {id: probability}."""
        several = [a for i in images for a in ("--image", i)]
        options = [
            "--method",
            "nucleus",
            "--candidates",
            "--max-length",
            20,
            "--min-length",
            low,
            "--prompt",
            PROMPT,
        ]
        return [
            (line["ids"], [dict(word) for word in line["candidates"]])
            for line in self.lines("caption", "--model", model, "--preset", preset, *several, *options)
        ]


# ---------------------------------------------------------------- what transformers says


def eps(preset):
    return blip.ORIGINAL_VISION_EPS if preset == "original" else None


def expected_scores(model, tokenizer, preset, images, texts):
    cleaned = [blip.pre_caption(t) if preset == "original" else t for t in texts]
    tokens = blip.encode(tokenizer, cleaned)
    ids = blip.with_enc(tokens.input_ids, model) if preset == "original" else tokens.input_ids
    out = []
    with blip.vision_eps(model, eps(preset)):
        for states in blip.encode_image(model, blip.pixels(images, SIDE)).split(1):
            rows = states.expand(len(texts), -1, -1)
            match = blip.match_logits(model, rows, ids, tokens.attention_mask).softmax(-1)[:, 1]
            out.append(
                list(
                    zip(
                        match.tolist(),
                        blip.cosine(model, rows, tokens.input_ids, tokens.attention_mask).tolist(),
                    )
                )
            )
    return out


def start_of(model, tokenizer, how):
    return (
        blip.prompt_ids(tokenizer, model.config, how["prompt"])
        if how["prompt"]
        else [model.config.text_config.bos_token_id]
    )


def rule_of(preset):
    return "whole" if preset == "original" else "generated"


def expected_ids(model, tokenizer, preset, images, how):
    """Run transformers' generate.

    The beam search of preset original is implemented here, because transformers dropped its length rule.
    """
    start, limits, out = (
        start_of(model, tokenizer, how),
        dict(max_length=how["max_length"], min_length=how["min_length"]),
        [],
    )
    with blip.vision_eps(model, eps(preset)):
        for states in blip.encode_image(model, blip.pixels(images, SIDE)).split(1):
            if how["method"] == "greedy":
                out.append(blip.generate(model, states, start, num_beams=1, do_sample=False, **limits))
            elif preset == "hf":
                out.append(
                    blip.generate(
                        model,
                        states,
                        start,
                        num_beams=3,
                        do_sample=False,
                        length_penalty=1.0,
                        early_stopping=False,
                        **limits,
                    )
                )
            else:
                out.append(blip.beam_search(model, states, start, "whole", **limits)[0])
    return out


@torch.inference_mode()
def expected_nuclei(model, preset, image, ids, start, low):
    """Return transformers' sampling distribution of each token of `ids`: (tokens, vocabulary)."""
    penalty = 1.1 if preset == "original" else 1.0
    steps = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(penalty),
            MinLengthLogitsProcessor(low, model.config.text_config.sep_token_id),
            TopKLogitsWarper(50),
            TopPLogitsWarper(0.9),
        ]
    )
    with blip.vision_eps(model, eps(preset)):
        states = blip.encode_image(model, blip.pixels([image], SIDE))
        out = model.text_decoder(
            input_ids=torch.tensor([ids]),
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(states.shape[:-1], dtype=torch.long),
            is_decoder=True,
            use_cache=False,
        )
    return torch.cat(
        [
            steps(torch.tensor([ids[:n]]), out.logits[:, n - 1].float()).softmax(-1)
            for n in range(start, len(ids))
        ]
    )


def margin(model, tokenizer, preset, image, how):
    """Return the smallest margin of a decision. Slow, so called only if ids differ."""
    start, limits = (
        start_of(model, tokenizer, how),
        dict(max_length=how["max_length"], min_length=how["min_length"]),
    )
    with blip.vision_eps(model, eps(preset)):
        states = blip.encode_image(model, blip.pixels([image], SIDE))
        if how["method"] == "beam":
            return blip.beam_search(model, states, start, rule_of(preset), **limits)[1]
        return blip.greedy_margin(
            model,
            states,
            blip.generate(model, states, start, num_beams=1, do_sample=False, **limits),
            len(start),
            how["min_length"],
        )


# ---------------------------------------------------------------- the comparison


class Table:
    def __init__(self):
        self.failed = 0
        print(
            f"{'model':30} {'preset':9} {'what':34} {'P(match)':>10} {'cosine':>10} {'P(word)':>10}  result"
        )

    def row(self, model, preset, what, match, cosine, good, note="", probability=None):
        self.failed += not good

        def number(x):
            return "" if x is None else f"{x:.1e}"

        print(
            f"{model:30} {preset:9} {what:34} {number(match):>10} {number(cosine):>10} "
            f"{number(probability):>10}  {'ok' if good else 'DIFFERS'}{note}",
            flush=True,
        )


def gap(ours, theirs):
    """Return the distance of two numbers; infinite if one is NaN, because `max` may skip a NaN."""
    distance = abs(float("nan") if ours is None else ours - theirs)
    return float("inf") if math.isnan(distance) else distance


def compare_scores(
    table,
    program,
    name,
    folder,
    model,
    tokenizer,
    preset,
    images,
    files,
    texts,
    tolerance=TOLERANCE,
    what="score",
):
    theirs = expected_scores(model, tokenizer, preset, images, texts)
    if not program:
        print(
            f"{name:30} {preset:9} {what:34} "
            + " ".join(f"{m:.3f}/{c:+.3f}" for row in theirs for m, c in row),
            flush=True,
        )
        return
    ours = program.scores(folder, preset, files, texts)
    worst = [
        max(gap(a[k], b[k]) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))
        for k in (0, 1)
    ]
    table.row(
        name,
        preset,
        f"{what}, {len(files)} images x {len(texts)} texts",
        *worst,
        all(w <= tolerance for w in worst),
    )


def compare_ids(table, program, name, folder, model, tokenizer, preset, images, files, how):
    theirs = expected_ids(model, tokenizer, preset, images, how)
    what = f"{how['method']}, prompt '{how['prompt']}'"
    if not program:
        print(f"{name:30} {preset:9} {what:34}", *theirs, flush=True)
        return
    notes, good = [], True
    for image, a, b in zip(images, program.ids(folder, preset, files, how), theirs, strict=True):
        if a != b:
            good = False
            close = margin(model, tokenizer, preset, image, how)
            notes.append(f"\n    ids {a}\n    but {b} (closest decision {close:.1e})")
    table.row(name, preset, f"{what}, {len(files)} images", None, None, good, "".join(notes))


def compare_nuclei(table, program, name, folder, model, tokenizer, preset, images, files, low=5):
    if not program:
        return
    start, worst, words = len(blip.prompt_ids(tokenizer, model.config, PROMPT)), 0.0, 0
    for image, (ids, drawn_from) in zip(images, program.samples(folder, preset, files, low), strict=True):
        theirs = expected_nuclei(model, preset, image, ids, start, low)
        ours = torch.zeros_like(theirs)
        for row, word in zip(ours, drawn_from, strict=True):
            row[list(word)] = torch.tensor(list(word.values()))
        worst, words = max(worst, gap((ours - theirs).abs().max().item(), 0.0)), words + len(ids) - start
    table.row(name, preset, f"nucleus, {words} words", None, None, worst <= TOLERANCE, probability=worst)


def ways(method, prompt, low):
    return dict(method=method, prompt=prompt, max_length=20, min_length=low)


def check(size, program, pictures, keep):
    table = Table()
    every = ["safetensors"] if not program else ["safetensors", "bin", "original"]
    images, files = pictures.images[:2], pictures.files[:2]
    tokenizer = blip.load_tokenizer(vocabulary_folder(pictures))
    for part, make in (
        ("filter", lambda: make_filter(size, pictures)),
        ("captioner", lambda: blip_models.make_captioner(size)),
    ):
        model = make()
        for form in every:
            name, folder = f"{size} {part}, {form}", pictures.folder / f"{size}-{part}-{form}"
            if program and not folder.exists():
                save(model, folder, form, pictures)
            full = (
                form == "safetensors"
            )  # the other files have the same weights: one row per file checks that it is read correctly
            if part == "filter":
                if full:
                    compare_scores(table, program, name, folder, model, tokenizer, "hf", images, files, TEXTS)
                compare_scores(
                    table, program, name, folder, model, tokenizer, "original", images, files, TEXTS + [LONG]
                )
                if full:
                    photos = [Image.open(p).convert("RGB") for p in pictures.photos]
                    compare_scores(
                        table,
                        program,
                        name,
                        folder,
                        model,
                        tokenizer,
                        "original",
                        photos,
                        pictures.photos,
                        TEXTS,
                        PHOTO_TOLERANCE,
                        "photos, own resize",
                    )
            else:
                compare_ids(
                    table,
                    program,
                    name,
                    folder,
                    model,
                    tokenizer,
                    "original",
                    images[:1],
                    files[:1],
                    ways("greedy", PROMPT, 5),
                )
                if full:
                    for preset, prompt, method, low in (
                        ("hf", "", "greedy", 15),
                        ("hf", PROMPT, "greedy", 0),
                        ("hf", "", "beam", 5),
                        ("original", PROMPT, "beam", 5),
                    ):
                        compare_ids(
                            table,
                            program,
                            name,
                            folder,
                            model,
                            tokenizer,
                            preset,
                            images[: 1 if method == "beam" else 2],
                            files[: 1 if method == "beam" else 2],
                            ways(method, prompt, low),
                        )
                    for preset in ("original", "hf"):
                        compare_nuclei(
                            table,
                            program,
                            name,
                            folder,
                            model,
                            tokenizer,
                            preset,
                            pictures.images,
                            pictures.files,
                        )
            if program and not keep:
                shutil.rmtree(folder)
        del model
    return table.failed


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("capfilt", nargs="?", help="the program; without it only the Python half is run")
    p.add_argument("--size", choices=["base", "large", "both"], default="both")
    p.add_argument("--work", type=pathlib.Path, help="where models are written [default: a temporary folder]")
    p.add_argument("--keep", action="store_true", help="leave the models there")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    if args.capfilt and not os.access(args.capfilt, os.X_OK):
        sys.exit(f"parity: {args.capfilt} is not a program. Build it first: make parity")
    started = time.monotonic()
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="capfilt-parity-", dir=args.work))
    try:
        pictures = Pictures(folder)
        program = args.capfilt and Program(os.path.abspath(args.capfilt))
        failed = sum(
            check(size, program, pictures, args.keep)
            for size in (["base", "large"] if args.size == "both" else [args.size])
        )
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{'all equal' if not failed else f'{failed} rows differ'} after {time.monotonic() - started:.0f} s"
    )
    sys.exit(1 if failed else 0)


main()
