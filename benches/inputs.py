#!/usr/bin/env python3
"""Compare a job over tars, image folders and tables of records with a job over Parquet, on the same pairs.

usage: .readers/bin/python benches/inputs.py [--pairs 9600] [--rounds 5] [--kib 60] [--record]

The demo's pairs are repeated, and a comment makes each image as large as a usual web image. The jobs judge
pairs with the demo's filter, which is so small that reading is a large part of the work. They take turns.
Seconds are those of the process, with its start.
"""

import argparse
import datetime
import json
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = {
    "parquet": [],
    "tars": [],
    "sidecars": [],
    "imagefolder": [],
}


def padded(jpeg, kib):
    """Return the JPEG with comments up to a size; the pixels stay as they are."""
    missing = max(kib * 1024 - len(jpeg), 0)
    comments = b""
    while missing > 4:
        size = min(missing - 2, 65_000)
        comments += b"\xff\xfe" + size.to_bytes(2, "big") + b"x" * (size - 2)
        missing -= size + 2
    return jpeg[:2] + comments + jpeg[2:]


def write_inputs(folder, pairs, kib):
    rows = [row for table in sorted((ROOT / "demo/web").glob("*.parquet")) for row in read(table)]
    (folder / "parquet").mkdir()
    for file in range(4):
        numbers = range(file * pairs // 4, (file + 1) * pairs // 4)
        some = [
            {
                "key": f"{i:09}",
                "jpg": padded(rows[i % len(rows)]["jpg"], kib),
                "caption": rows[i % len(rows)]["caption"],
            }
            for i in numbers
        ]
        pq.write_table(pa.Table.from_pylist(some), folder / f"parquet/{file}.parquet", row_group_size=400)
    tables = sorted((folder / "parquet").iterdir())
    for kind in list(KINDS)[1:]:
        subprocess.run([sys.executable, ROOT / "tests/doors.py", kind, folder / kind, *tables], check=True)


def read(table):
    return pq.read_table(table, columns=["jpg", "caption"]).to_pylist()


def run(program, folder, kind):
    """Return the seconds of the run, and the share of its shards' time in which the device was idle."""
    job = folder / "job"
    shutil.rmtree(job, ignore_errors=True)
    settings = [
        f"job.url={job}",
        f"input.url={folder / kind}",
        "captioner.captions=0",
        "input.passthrough=[]",
    ]
    command = [program, "run", "-c", ROOT / "demo/demo.toml"]
    for setting in settings:
        command += ["--set", setting]
    begun = time.monotonic()
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if output.returncode:
        sys.exit(output.stderr)
    return time.monotonic() - begun, idle(job)


def idle(job):
    """Return the share of the worker processes' time without device work.

    Their time goes from the begin of the first attempt to the last commit.
    """
    paths = sorted((job / "commits").rglob("*.json"), key=lambda path: path.stat().st_mtime)
    commits = [json.loads(path.read_text()) for path in paths]
    first = commits[0]["timings"]["total_seconds"]
    span = paths[-1].stat().st_mtime - paths[0].stat().st_mtime + first
    workers = len({commit["worker"] for commit in commits})
    return 1 - sum(commit["timings"]["device_seconds"] for commit in commits) / (workers * span)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9600)
    parser.add_argument("--kib", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", default=ROOT / "target/release/capfilt")
    parser.add_argument("--record", action="store_true", help="add the table to benches/RESULTS.md")
    args = parser.parse_args()
    seconds, shares = {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        print(f"writing {args.pairs} pairs as {', '.join(KINDS)}", file=sys.stderr)
        write_inputs(folder, args.pairs, args.kib)
        for number in range(args.rounds):
            for kind in KINDS:
                took, share = run(args.program, folder, kind)
                seconds[kind].append(took)
                shares[kind].append(share)
                print(f"round {number + 1}: {kind} {took:.2f} s, idle {share:.1%}", file=sys.stderr)
    report(args, seconds, {kind: statistics.median(found) for kind, found in shares.items()})


def report(args, seconds, shares):
    medians = {kind: statistics.median(found) for kind, found in seconds.items()}
    heads = "| input | pairs/s, median | min – max | times Parquet | device idle, median |"
    lines = [heads, "|---|---|---|---|---|"]
    for kind, median in medians.items():
        rates = [args.pairs / took for took in seconds[kind]]
        lines.append(
            f"| {kind} | {args.pairs / median:.0f} | {min(rates):.0f} – {max(rates):.0f} "
            f"| {medians['parquet'] / median:.2f} | {shares[kind]:.1%} |"
        )
    print("\n".join(lines))
    if args.record:
        command = f"benches/inputs.py --pairs {args.pairs} --kib {args.kib} --rounds {args.rounds}"
        head = f"\n## {datetime.date.today()}: kinds of input\n\n{processor()}, `{command}`, in turns.\n\n"
        with (ROOT / "benches/RESULTS.md").open("a") as file:
            file.write(head + "\n".join(lines) + "\n")


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    names = re.findall(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    main()
