#!/usr/bin/env python3
"""Accuracy of every checkpoint of a VQA run on the demo's held-out questions, in all and by kind of question.

usage: .venv/bin/python benches/vqa.py RUN TRAINING HELD_OUT [--count 2000] [--work out/vqa-curve]
       [--binary target/release/capfilt] [--batch 64]

RUN is the folder of `capfilt train vqa -c demo/train/vqa.toml`; TRAINING and HELD_OUT are folders of
`capfilt demo --make-data FOLDER --kind questions` with different seeds. Each checkpoint of RUN answers the
first --count questions of HELD_OUT twice: a beam search generates the answers, and the model ranks the list
of all answers in TRAINING, as BLIP does. Prints a table by step, and the accuracy of two guesses that see no
image: the most frequent answer of all questions, and that of each kind of question.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess

import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = {
    "background": r"what colour is the background",
    "count": r"how many",
    "colour": r"what colour is the",
    "size": r"what size is the",
    "shape": r"what shape is",
    "exists": r"is there an? ",
    "where": r"where is the",
    "beside": r"what is ",
}


def kind_of(question):
    """Kind of a question; the patterns are tried in order."""
    return next(kind for kind, start in KINDS.items() if re.match(start, question))


def answered(options, model, more):
    """Answers of a model: (question, answer, true answer) of each question, and the reported accuracy."""
    lines = options.work / "answers.jsonl"
    command = [options.binary, "eval", "vqa", "--model", model, "--input", options.held_out, "--json"]
    command += ["--batch", options.batch, "--questions", options.count, "--predictions", lines, *more]
    report = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    accuracy = json.loads(report.stdout)["accuracy"]
    return [(row["question"], row["answer"], row["answers"][0]) for row in rows], accuracy


def guesses(rows):
    """Accuracy of the most frequent answer, and of the most frequent answer of each kind of question."""
    whole = collections.Counter(true for _, _, true in rows)
    by_kind = collections.defaultdict(collections.Counter)
    for question, _, true in rows:
        by_kind[kind_of(question)][true] += 1
    right = sum(counts.most_common(1)[0][1] for counts in by_kind.values())
    return whole.most_common(1)[0][1] / len(rows), right / len(rows)


def by_kind(rows):
    """Accuracy by kind of question. The demo's answers are in normal form."""
    all_of, right = collections.Counter(), collections.Counter()
    for question, answer, true in rows:
        all_of[kind_of(question)] += 1
        right[kind_of(question)] += answer == true
    return {kind: right[kind] / all_of[kind] for kind in KINDS if all_of[kind]}


def answer_list(folder):
    """All answers of the training questions."""
    tables = (pyarrow.parquet.read_table(path, columns=["answers"]) for path in folder.glob("**/*.parquet"))
    answers = (answer for table in tables for row in table["answers"].to_pylist() for answer in row)
    return sorted(set(answers))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("training", type=pathlib.Path)
    parser.add_argument("held_out", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/capfilt")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/vqa-curve")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    answers = options.work / "answers.txt"
    answers.write_text("\n".join(answer_list(options.training)) + "\n")
    print("| step | generated | ranked | " + " | ".join(KINDS) + " |")
    print("|---|---|---|" + "---|" * len(KINDS))
    rows = []
    for model in sorted(options.run.glob("checkpoints/step-*[0-9]")):
        rows, generated = answered(options, model, [])
        _, ranked = answered(options, model, ["--answer-list", answers])
        kinds = by_kind(rows)
        cells = [generated, ranked, *(kinds.get(kind, 0.0) for kind in KINDS)]
        step = int(model.name.removeprefix("step-"))
        print(f"| {step} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |", flush=True)
    if rows:
        one, each = guesses(rows)
        print(f"\nmost frequent answer {100 * one:.1f} %, of each kind of question {100 * each:.1f} %")


main()
