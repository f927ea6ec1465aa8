#!/usr/bin/env python3
"""Measure the effect of a narrower precision on verdicts: compare the ledgers of a job in f32 and in others.

usage: precision.py [demo] [base] [--precisions bf16,f16] [--rows 16] [--record]
       (in the venv of scripts/peers.py)

Prints a table; with --record the table is added to benches/RESULTS.md.

`demo`    The demo's models over 800 of its pairs.
`base`    BLIP-base at 384 px with random weights over --rows photographs. Random weights give all texts
          nearly the same P(match), so the threshold is the median of the f32 scores: half of the verdicts
          are on either side, which is the hardest case.

Texts are of three kinds: the web text of the pair, the caption (if both precisions wrote the same), and the
text of another row (the negative control).
"""

import argparse
import shutil
import statistics

import jobs
import run as bench
from run import WORK

JOBS = {
    "demo": lambda args: ["-c", "demo/demo.toml", "-s", "input.url=demo/web/web-00000.parquet"],
    "base": lambda args: [
        "-c",
        jobs.settings(
            "precision",
            f'[job]\nurl = ""\n[input]\nurl = "{jobs.web(args.rows)}"\n[models]\ncaptioner = '
            f'"{WORK}/models/captioner"\nfilter = "{WORK}/models/filter"\n[workers]\nbatch = {bench.BATCH}\n',
        ),
    ],
}
NAMES = {"demo": "the demo's models", "base": "BLIP-base 384 px, random weights"}


def ledger(arguments, precision):
    """Return a job's verdicts by key.

    A verdict has P(match) of the web text, of the caption and of the control, and the caption.
    """
    import pyarrow.parquet as parquet

    folder = WORK / "precision"
    shutil.rmtree(folder, ignore_errors=True)
    jobs.Run(
        ["run", "--json", *arguments, "-s", f"job.url={folder}", "-s", f"models.precision={precision}"]
    ).finish()
    rows = [
        row
        for path in folder.glob("attempts/*/*/ledger.parquet")
        for row in parquet.read_table(path).to_pylist()
        if row["status"] == "judged"
    ]
    return {row["key"]: row for row in rows}


def scores(row):
    kinds = {"synthetic": "written"}
    texts = {(kinds.get(text["source"], "web"), text["text"]): text["itm"] for text in row["texts"]}
    return {**texts, ("control", ""): row["control_itm"]}


def compared(what, arguments, precisions):
    """Return Markdown rows, one per precision."""
    wide, out = ledger(arguments, "f32"), []
    for precision in precisions:
        narrow = ledger(arguments, precision)
        if narrow.keys() != wide.keys():
            raise SystemExit(
                f"precision: {len(narrow.keys() ^ wide.keys())} rows were judged in one precision only"
            )
        both = [(scores(wide[key]), scores(narrow[key])) for key in wide]
        pairs = [
            (a[text], b[text])
            for a, b in both
            for text in a
            if a[text] is not None and b.get(text) is not None
        ]
        same = sum(("written", text) in b for a, b in both for kind, text in a if kind == "written")
        threshold = 0.5 if what == "demo" else statistics.median(a for a, _ in pairs)
        flips = sum((a >= threshold) != (b >= threshold) for a, b in pairs)
        apart = [abs(a - b) for a, b in pairs]
        out.append(
            f"| {NAMES[what]} | {precision} | {len(pairs)} | {flips} ({100 * flips / len(pairs):.2f} %) at "
            f"{threshold:.3f} | {max(apart):.4f} | {statistics.mean(apart):.5f} | "
            f"{100 * same / len(both):.1f} % |"
        )
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("what", nargs="*", choices=["demo", "base", []], default=[])
    p.add_argument("--precisions", default="bf16,f16")
    p.add_argument("--rows", type=int, default=16, help="of `base`")
    p.add_argument("--record", action="store_true", help="add what is printed to benches/RESULTS.md")
    args = p.parse_args()
    what = args.what or list(JOBS)
    WORK.mkdir(parents=True, exist_ok=True)
    text = [
        "| models | precision | texts judged | verdicts that differ from f32's | P(match) apart, at most | "
        "mean | captions the same |",
        "|---" * 7 + "|",
    ]
    for one in what:
        text += compared(one, JOBS[one](args), args.precisions.split(","))
    bench.show(
        [f"precision ({', '.join(what)})"],
        f"{bench.machine()}; `benches/precision.py`.",
        text + [""],
        args.record,
    )


main()
