#!/usr/bin/env python3
"""Load the models of `capfilt train` in transformers and compare scores and captions.

usage: parity_trained.py CAPFILT [--work DIR]     (in the venv of scripts/peers.py; `make parity`)

A small MED is pre-trained for some steps on pictures of `capfilt demo`, and a filter and a captioner are
fine-tuned from it. Then `from_pretrained` loads model and processor, without missing or unexpected keys (the
pre-trained model, loaded as either class, has only unexpected keys of the other class). Both programs judge
five texts for each of eight pictures and write greedy captions, in f32 on the CPU. The exit code is 1 if a
probability or a cosine differs by more than 1e-4 (rounding of some hundred sums in f32; the pictures have the
model's size, so they are not resized) or if the ids of a caption differ.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipForImageTextRetrieval, BlipProcessor

TOLERANCE = 1e-4
SIDE = 48
SIZES = {
    "image_size": SIDE,
    "patch_size": 8,
    "vision_width": 64,
    "vision_layers": 2,
    "vision_heads": 2,
    "text_width": 64,
    "text_layers": 2,
    "text_heads": 2,
    "positions": 48,
    "projection": 32,
}
OF_ALL = {
    "run.batch": 40,
    "run.log_every": 10,
    "augment.crop": '"squash"',
    "augment.flip": 0.0,
    "augment.operations": 0,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup_steps": 5,
}
MATCHING = {"objective.queue": 400, "objective.min_temperature": 0.05}


class Program:
    def __init__(self, binary):
        self.binary = binary

    def run(self, *arguments):
        command = [self.binary, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"parity: {' '.join(command)}\nended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def lines(self, *arguments):
        printed = self.run(*arguments, "--preset", "hf", "--precision", "f32", "--device", "cpu", "--json")
        return [json.loads(line) for line in printed.splitlines()]

    def train(self, task, work, settings):
        config = work / f"{task}.toml"
        config.write_text(f'[[data]]\nurl = "{work}/pairs"\n')
        settings = {"run.folder": f'"{work / task}"', "run.epochs": 2} | OF_ALL | settings
        self.run(
            "train",
            task,
            "-c",
            config,
            *(part for key, value in settings.items() for part in ("-s", f"{key}={value}")),
        )
        return work / task / "model"


def trained(program, work):
    program.run("demo", "--make-vocabulary", work / "vocabulary")
    program.run("demo", "--make-data", work / "pairs", "--kind", "human", "--scenes", 800, "--side", SIDE)
    sizes = {f"sizes.{name}": value for name, value in SIZES.items()}
    med = program.train("pretrain", work, {"model.vocabulary": f'"{work}/vocabulary"'} | sizes | MATCHING)
    start = {"model.from": f'"{med}"', "model.image_size": 0}
    return med, program.train("filter", work, start | MATCHING), program.train("captioner", work, start)


# Keys of a pre-trained model that belong to the other class.
MORE = {
    BlipForImageTextRetrieval: ("text_decoder.", "temp"),
    BlipForConditionalGeneration: ("text_encoder.", "text_proj.", "vision_proj.", "itm_head.", "temp"),
}


def loaded(kind, folder):
    model, found = kind.from_pretrained(folder, output_loading_info=True)
    more = MORE[kind] if folder.parent.name == "pretrain" else ()
    wrong = {
        what: sorted(key for key in keys if what != "unexpected_keys" or not key.startswith(more))
        for what, keys in found.items()
    }
    wrong = {what: keys for what, keys in wrong.items() if keys}
    if wrong:
        sys.exit(f"parity: {folder}: {wrong}")
    return model.eval(), BlipProcessor.from_pretrained(folder)


def pictures(work, count):
    rows = pq.read_table(next((work / "pairs").glob("*.parquet"))).slice(0, count).to_pylist()
    files = []
    for row in rows:
        files.append(work / f"{row['key']}.jpg")
        files[-1].write_bytes(row["jpg"])
    return files, [row["caption"] for row in rows]


def score_gap(program, folder, files, texts):
    model, processor = loaded(BlipForImageTextRetrieval, folder)
    several = [part for file in files for part in ("--image", file)] + [
        part for text in texts for part in ("--text", text)
    ]
    worst = 0.0
    for file, ours in zip(files, program.lines("score", "--model", folder, *several), strict=True):
        for text, score in zip(texts, ours["texts"], strict=True):
            inputs = processor(images=Image.open(file), text=text, return_tensors="pt")
            match = model(**inputs).itm_score.softmax(-1)[0, 1].item()
            cosine = model(**inputs, use_itm_head=False).itm_score[0, 0].item()
            worst = max(worst, abs(match - score["match"]), abs(cosine - score["cosine"]))
    return worst


def captions_that_differ(program, folder, files):
    model, processor = loaded(BlipForConditionalGeneration, folder)
    several = [part for file in files for part in ("--image", file)]
    written = program.lines(
        "caption",
        "--model",
        folder,
        *several,
        "--method",
        "greedy",
        "--max-length",
        30,
        "--min-length",
        0,
        "--prompt",
        "a picture of ",
    )
    differ = []
    for file, ours in zip(files, written, strict=True):
        inputs = processor(images=Image.open(file), text="a picture of", return_tensors="pt")
        theirs = model.generate(**inputs, max_length=30, num_beams=1, do_sample=False)[0].tolist()
        if ours["captions"][0]["ids"] != theirs:
            differ.append((file.name, ours["captions"][0]["ids"], theirs))
    return differ


@torch.inference_mode()
def compare(program, work):
    med, filter_folder, captioner_folder = trained(program, work)
    files, texts = pictures(work, 8)
    is_good = True
    for name, folder in ("pre-trained model", med), ("trained filter", filter_folder):
        gap = score_gap(program, folder, files, texts[:5])
        print(f"{name}: {len(files)} pictures x 5 texts, largest difference {gap:.1e}")
        is_good &= gap <= TOLERANCE
    for name, folder in ("pre-trained model", med), ("trained captioner", captioner_folder):
        differ = captions_that_differ(program, folder, files)
        print(f"{name}: {len(files)} greedy captions, {len(differ)} differ", *differ, sep="\n  ")
        is_good &= not differ
    return is_good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capfilt")
    parser.add_argument("--work", type=pathlib.Path, help="where models and pictures go, and stay")
    args = parser.parse_args()
    torch.set_num_threads(1)
    program = Program(args.capfilt)
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
        sys.exit(not compare(program, args.work))
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not compare(program, pathlib.Path(folder)))


main()
