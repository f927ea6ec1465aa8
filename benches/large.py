#!/usr/bin/env python3
"""Measure cuts and the report of a large finished job, and DuckDB on the same ledger.

usage: .venv/bin/python benches/large.py [--files 100] [--rounds 3] [--folder DIR] [--job URL] [--record]

Each input file has 100,000 rows with a text of the input, a generated caption and a negative control; the
job of 100 files needs 12 GB of disk and is written in about ten minutes. Every command has a turn in every
round. DuckDB computes the counts of the first cut from the tables that `capfilt files` lists, in a process of
its own; its counts must equal those of capfilt.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from inputs import processor

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/capfilt"
THRESHOLD = 0.7
CUTS = {
    "counts, `--threshold 0.7`": ["--threshold", str(THRESHOLD)],
    "counts, `--top 30%`": ["--top", "30%"],
    "counts, `--max-random-pass 1%`": ["--max-random-pass", "1%"],
    "counts, `--where 'words >= 4'`": ["--where", "words >= 4"],
}
DUCKDB = """
import duckdb, json, sys
files = json.load(open(sys.argv[1]))
print(json.dumps(duckdb.sql(
    "select t.source, count(*) filter (where t.itm::double >= 0.7) from "
    "(select unnest(texts) as t from read_parquet($files)) where t.status = 'judged' group by 1 order by 1",
    params={"files": files},
).fetchall()))
"""


def write_job(folder, files):
    """Write the job by the writers of the program; return its URL."""
    command = "cargo test --release --workspace --test report a_large_job --".split()
    env = os.environ | {"CAPFILT_LARGE_FOLDER": str(folder), "CAPFILT_LARGE_FILES": str(files)}
    done = subprocess.run(
        [*command, "--ignored", "--nocapture"],
        cwd=ROOT,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return next(line.removeprefix("job ") for line in done.stdout.splitlines() if line.startswith("job "))


def timed(command):
    """Run a command; return its seconds, its peak memory in MiB, and its output."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        output.seek(0)
        if status:
            sys.exit(f"large: {command} has ended with status {status}")
        return seconds, usage.ru_maxrss / 1024, output.read().decode()


def turns(job, folder, number):
    """Yield name and command of each turn of a round."""
    for name, rules in CUTS.items():
        yield name, [PROGRAM, "recut", "--job", job, *rules, "--json"]
    cut = [PROGRAM, "recut", "--job", job, "--threshold", THRESHOLD, "--name", f"cut-{number}", "--json"]
    yield "a written cut, `--threshold 0.7`", cut
    yield "`capfilt report`", [PROGRAM, "report", "--job", job, "--output", folder / f"report-{number}.html"]
    yield "DuckDB, the counts of `--threshold 0.7`", [sys.executable, "-c", DUCKDB, folder / "ledger.json"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=pathlib.Path, help="folder for the job; a temporary one without it")
    parser.add_argument("--job", help="URL of a job that an earlier call has left in --folder")
    parser.add_argument("--record", action="store_true", help="add the table to benches/RESULTS.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = pathlib.Path(folder)
        job = args.job or write_job(args.folder or folder, args.files)
        listed = subprocess.check_output([PROGRAM, "files", "--job", job, "--table", "ledger", "--json"])
        files = json.loads(listed)["files"]
        (folder / "ledger.json").write_text(json.dumps([file["url"] for file in files]))
        measured = {}
        for number in range(args.rounds):
            for name, command in turns(job, folder, number):
                found = timed(command)
                measured.setdefault(name, []).append(found)
                print(f"round {number + 1}: {name} {found[0]:.1f} s, {found[1]:.0f} MiB", file=sys.stderr)
        page = (folder / "report-0.html").stat().st_size
        check(measured)
        table(args, measured, page)


def check(measured):
    """Compare the counts of DuckDB with those of the cut of the same threshold."""
    theirs = dict(json.loads(measured["DuckDB, the counts of `--threshold 0.7`"][0][2].splitlines()[-1]))
    ours = json.loads(measured["counts, `--threshold 0.7`"][0][2])
    kept = {name: source["kept"] for name, source in ours["sources"].items()}
    assert kept == theirs, f"capfilt counts {kept}, DuckDB counts {theirs}"


def table(args, measured, page):
    lines = ["| command | seconds, median | min – max | peak MiB |", "|---|---|---|---|"]
    for name, found in measured.items():
        took = [seconds for seconds, _, _ in found]
        peak = max(peak for _, peak, _ in found)
        lines.append(
            f"| {name} | {statistics.median(took):.1f} | {min(took):.1f} – {max(took):.1f} | {peak:.0f} |"
        )
    print("\n".join(lines))
    if args.record:
        command = f"benches/large.py --files {args.files} --rounds {args.rounds}"
        head = (
            f"\n## {datetime.date.today()}: cuts and report of {args.files / 10:g} million rows\n\n"
            f"{processor()}, `{command}`, in turns. The page of the report has {page / 1e6:.1f} MB.\n\n"
        )
        with (ROOT / "benches/RESULTS.md").open("a") as file:
            file.write(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
