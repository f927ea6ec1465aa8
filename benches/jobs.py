#!/usr/bin/env python3
"""Measure whole jobs: the cost beside the models, and the cost of more rows and more workers.

usage: jobs.py [worker] [cores] [rows] [--rows 40] [--rounds 3] [--most 100000] [--precision auto] [--record]
       (in the venv of scripts/peers.py)

Prints tables; with --record the tables are added to benches/RESULTS.md.

`worker`  BLIP-base at 384 px with random weights on photographs from S3 on loopback: `capfilt plan`'s
          forecast, the job of this forecast, and the bare models on the same pictures and texts
          (`capfilt bench model`), in turns. All captions have 20 ids.
`cores`   The demo's models: a job with one worker on one core, and one with two, each pinned to a
          separate core.
`rows`    The demo's models over 1,000 to --most rows: time per row of the models' threads and of the
          job, and peak memory of a worker process.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

import run as bench
from run import ROOT, WORK

PROGRAM = ROOT / "target/release/capfilt"


class Store:
    """S3 in memory on loopback with the files of a folder; a context manager that ends the server."""

    def __init__(self, folder):
        built = subprocess.run(
            ["cargo", "bench", "--quiet", "--bench", "scale", "--no-run", "--message-format=json"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        program = [
            one["executable"]
            for one in map(json.loads, built.stdout.splitlines())
            if one.get("executable") and one["target"]["name"] == "scale"
        ][-1]
        self.server = subprocess.Popen(
            [program, "serve", folder], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        said = json.loads(self.server.stdout.readline())
        self.env, self.input, self.job = os.environ | said["env"], said["input"], said["job"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()


class Run:
    """One `capfilt run`: its output, the start of its worker processes, and their peak memory."""

    def __init__(self, arguments, env=None, pinned=False):
        command = [PROGRAM, "--log-format", "json", *arguments]
        self.began, self.ready, self.peak, self.pinned = time.perf_counter(), None, 0, {} if pinned else None
        self.child = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = []
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()

    def listen(self):
        for line in self.child.stderr:
            self.said.append(line)
            if "is ready" in line and self.ready is None:
                self.ready = time.perf_counter()

    def pin(self, pid):
        """Pin a worker process to a separate core; its later threads inherit the core."""
        if self.pinned is not None and pid not in self.pinned:
            core = self.pinned[pid] = len(self.pinned)
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), {core})

    def finish(self):
        while self.child.poll() is None:
            for pid in subprocess.run(
                ["pgrep", "-P", str(self.child.pid)], capture_output=True, text=True
            ).stdout.split():
                status = pathlib.Path(f"/proc/{pid}/status")
                found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
                self.peak = max(self.peak, int(found[1]) * 1024 if found else 0)
                self.pin(pid)
            # A check every 50 ms takes a fifth of a core, so there is none while the models run.
            try:
                self.child.wait(0.05 if self.ready is None else 2)
            except subprocess.TimeoutExpired:
                pass
        self.seconds, self.working = (
            time.perf_counter() - since for since in (self.began, self.ready or self.began)
        )
        self.listener.join()
        out = self.child.stdout.read()
        if self.child.returncode != 0:
            sys.exit(f"jobs: a job ended with {self.child.returncode}:\n{''.join(self.said)[-3000:]}")
        self.result = json.loads(out.splitlines()[0])
        return self


def web(rows, file_rows=16):
    """Write photographs and the texts of `capfilt bench` as Parquet files."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    bench.prepare(rows)
    folder = WORK / f"input-{rows}"
    if not folder.exists():
        folder.mkdir()
        files, texts = sorted((WORK / "web").iterdir()), (WORK / "texts.txt").read_text().splitlines()
        table = arrow.table(
            {
                "key": [f"{i:06}" for i in range(rows)],
                "jpg": [files[i % len(files)].read_bytes() for i in range(rows)],
                "caption": texts,
            }
        )
        for i in range(0, rows, file_rows):
            parquet.write_table(table.slice(i, file_rows), folder / f"{i:06}.parquet")
    return folder


def settings(name, text):
    path = WORK / f"{name}.toml"
    path.write_text(text)
    return path


def worker(args):
    folder, rows = web(args.rows), args.rows
    with Store(folder) as store:
        models = WORK / "models"
        config = settings(
            "worker",
            f"""[job]
url = "{store.job}worker"
[input]
url = "{store.input}"
[models]
captioner = "{models}/captioner"
filter = "{models}/filter"
precision = "{args.precision}"
[captioner]
min_length = 20
max_length = 20
[workers]
devices = ["cpu"]
batch = {bench.BATCH}
""",
        )
        rounds = [round_of_worker(args, store, config, number) for number in range(args.rounds)]
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}

    def spread(name):
        return f"{min(one[name] for one in rounds):.3g} – {max(one[name] for one in rounds):.3g}"

    def line(what, name, more=""):
        return f"| {what} | {middle[name]:.3f} | {spread(name)} | {more} |"

    off = ", ".join(f"{100 * (one['forecast'] / one['whole'] - 1):+.1f} %" for one in rounds)
    return [
        f"| BLIP-base 384 px, {rows} photographs from S3 on loopback, {args.rounds} rounds in turns | "
        f"seconds, median | min – max | |",
        "|---|---|---|---|",
        line("bare models, an image: a caption, and three texts judged", "bare"),
        line(
            "the job, a row, from the models' being ready to the manifest",
            "row",
            f"{100 * middle['bare'] / middle['row']:.1f} % of the bare models' speed",
        ),
        line(
            "of it, the models' thread busy, by its clock",
            "device",
            f"{100 * middle['device'] / middle['row']:.1f} %",
        ),
        line("until the models were ready", "ready"),
        line("forecast of the whole job", "forecast"),
        line("the whole job", "whole", f"forecasts {off}"),
        f"| memory of the device's process, at most | {middle['peak']:.2f} GB | {spread('peak')} | |",
    ]


def answer(*arguments, env=None):
    return json.loads(
        subprocess.run(
            [PROGRAM, *arguments], env=env, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
    )


def models_seconds_a_row(job, rows, env=None):
    """Return seconds per row by the clocks of the models' threads, in the shards that status samples.

    These are the shards of the last ten minutes, or sixteen shards: all shards, or shards of one size.
    """
    status = answer("status", "--json", "--job", job, env=env)
    return status["pace"]["stage_seconds"]["device"] / (
        rows * status["pace"]["commits"] / status["shards"]["committed"]
    )


def round_of_worker(args, store, config, number):
    """Run forecast, bare models and job in sequence; return seconds, and memory in GB."""
    models, job_url = WORK / "models", f"{store.job}worker-{number}"
    asked = ["-c", config, "-s", f"job.url={job_url}"]
    forecast = answer("plan", "--json", *asked, env=store.env)["forecast"]["job_seconds"]
    bare = bench.lines_of(
        PROGRAM,
        "bench",
        "model",
        "--captioner",
        models / "captioner",
        "--filter",
        models / "filter",
        "--images",
        WORK / "web",
        "--texts",
        WORK / "texts.txt",
        "--precision",
        args.precision,
        "--device",
        "cpu",
        "--batch",
        bench.BATCH,
        "--min-length",
        20,
        "--control",
        "--repeats",
        1,
        "--json",
    )["s_per_image"]
    job = Run(["run", "--json", *asked], env=store.env).finish()
    device = models_seconds_a_row(job_url, args.rows, store.env)
    return {
        "bare": bare,
        "row": job.working / args.rows,
        "device": device,
        "ready": job.ready - job.began,
        "forecast": forecast,
        "whole": job.seconds,
        "peak": job.peak / 1e9,
    }


def demo_job(name, rows, *more, group_rows=2000, **options):
    """Run the demo's models over a number of rows of its world."""
    folder = WORK / (f"world-{rows}" if group_rows == 2000 else f"world-{rows}-by-{group_rows}")
    if not folder.exists():
        subprocess.run(
            [
                PROGRAM,
                "demo",
                "--make-data",
                folder,
                "--scenes",
                str(rows),
                "--group-rows",
                str(group_rows),
                "--seed",
                "5",
            ],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    shutil.rmtree(WORK / name, ignore_errors=True)
    return Run(
        [
            "run",
            "--json",
            "-c",
            "demo/demo.toml",
            "-s",
            f"job.url={WORK / name}",
            "-s",
            f"input.url={folder}",
            *more,
        ],
        **options,
    )


def cores(args):
    # Forty shards of three batches, so that an uneven division and the wait for the last shard hardly count.
    rows, group_rows, rates = 3840, 96, []
    for workers in (1, 2):
        devices = f"workers.devices={json.dumps(['cpu'] * workers)}"
        job = demo_job(
            f"cores-{workers}",
            rows,
            "-s",
            devices,
            "-s",
            "workers.model_threads=1",
            "-s",
            "workers.decode_threads=1",
            "-s",
            f"shards.rows={group_rows}",
            group_rows=group_rows,
            pinned=True,
        ).finish()
        rates.append(rows / job.working)
    one, two = rates
    return [
        "| the demo's models, each worker pinned to one core | rows/s | |",
        "|---|---|---|",
        f"| one worker | {one:.1f} | |",
        f"| two workers of one job | {two:.1f} | {two / one:.2f}× |",
    ]


def rows(args):
    out, first = (
        [
            "| the demo's models, two workers | a row, by the models' own clocks | the job, seconds a row | "
            "until the models are ready | memory of a device's process, at most |",
            "|---|---|---|---|---|",
        ],
        None,
    )
    for count in (count for count in (1000, 10_000, 100_000) if count <= args.most):
        job = demo_job("rows", count).finish()
        device = models_seconds_a_row(WORK / "rows", count)
        first = first or device
        out.append(
            f"| {count:,} rows | {1e3 * device:.2f} ms ({device / first:.2f}× the first) | "
            f"{job.working / count:.5f} | {job.ready - job.began:.1f} s | {job.peak / 1e6:.0f} MB |"
        )
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("what", nargs="*", choices=["worker", "cores", "rows", []], default=[])
    p.add_argument("--rows", type=int, default=40, help="of `worker`")
    p.add_argument("--rounds", type=int, default=3, help="of `worker`")
    p.add_argument("--most", type=int, default=100_000, help="of `rows`")
    p.add_argument("--precision", default="auto")
    p.add_argument("--record", action="store_true", help="add what is printed to benches/RESULTS.md")
    args = p.parse_args()
    what = args.what or ["worker", "cores", "rows"]
    WORK.mkdir(parents=True, exist_ok=True)
    text = []
    for one in what:
        text += [*globals()[one](args), ""]
    bench.show(
        [f"jobs ({', '.join(what)})"],
        f"{bench.machine()}; `benches/jobs.py {' '.join(sys.argv[1:])}`.",
        text,
        args.record,
    )


if __name__ == "__main__":
    main()
