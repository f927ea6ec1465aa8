#!/usr/bin/env python3
"""Accuracy of every checkpoint of an NLVR2 run on the demo's held-out pairs, in all and by form of statement.

usage: .venv/bin/python benches/nlvr.py RUN HELD_OUT [--count 2000] [--batch 64]
       [--binary target/release/capfilt]

RUN is the folder of `capfilt train nlvr -c demo/train/nlvr.toml`; HELD_OUT is a folder of `capfilt demo
--make-data FOLDER --kind statements` with another seed than the training data. Prints a table by step. Half
of the statements of each form are true, so a guess has an accuracy of 50 %.
"""

import argparse
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def evaluated(options, model):
    """Report of `capfilt eval nlvr`."""
    command = [options.binary, "eval", "nlvr", "--model", model, "--input", options.held_out, "--json"]
    command += ["--by", "form", "--batch", options.batch, "--statements", options.count]
    report = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE)
    return json.loads(report.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("held_out", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/capfilt")
    options = parser.parse_args()
    forms = []
    for model in sorted(options.run.glob("checkpoints/step-*[0-9]")):
        report = evaluated(options, model)
        if not forms:
            forms = sorted(report["groups"])
            print("| step | accuracy | " + " | ".join(forms) + " |")
            print("|---|---|" + "---|" * len(forms))
        cells = [report["accuracy"], *(report["groups"][form]["accuracy"] for form in forms)]
        step = int(model.name.removeprefix("step-"))
        print(f"| {step} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |", flush=True)


main()
