#!/usr/bin/env python3
"""BLIP's ablations (tables 1, 2 and 4) at a small size, on `capfilt demo`'s world with known truth.

usage: ablation.py [--seeds 3] [--steps 800] [--base 24000] [--human 8000] [--web 16000] [--test 200]
       [--work out/ablation] [--binary target/release/capfilt]      (`make ablation`; hours)

Writes benches/ABLATION.md and its plots. For each seed: MED is pre-trained on human pairs and noisy web
pairs; a filter and a captioner are fine-tuned on human pairs; they clean the web pairs; and for each row of a
table MED is pre-trained again, for the same number of steps, on these pairs:

  none     the raw web texts                         F     the web texts that the filter keeps
  C        the raw web texts and all captions        C+F   the texts of both kinds that the filter keeps
  beam     C+F, with beam search, not sampling
  shared   C+F with one model that was fine-tuned as filter and captioner together

Human pairs are in all rows. The image encoder of every MED starts from that of one captioner of other
pictures, as the paper's starts from a ViT trained on ImageNet's labels; the text encoder and decoder start at
random. The evaluation is of the MED without further fine-tuning, on pictures outside of all training data.
Every step is done once: a repeated run finds the results of finished steps. The results of a seed are kept in
benches/ablation/seed-N.json with the settings, and are reused while the settings are the same. Models of this
size are fastest on one core each, so one step runs per core.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import platform
import queue
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = ["none", "F", "C", "C+F", "beam", "shared"]
SIZES = {
    "image_size": 48,
    "patch_size": 8,
    "vision_width": 96,
    "vision_layers": 3,
    "vision_heads": 3,
    "text_width": 96,
    "text_layers": 2,
    "text_heads": 3,
    "positions": 48,
    "projection": 48,
}
BATCH = 64
FOLDER = ROOT / "benches/ablation"


def side_by_side(**calls):
    """Return the results of calls by name; the calls run in parallel and wait for cores."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as threads:
        running = {name: threads.submit(call) for name, call in calls.items()}
        return {name: one.result() for name, one in running.items()}


class Ablation:
    """Ablation of one seed.

    `cores`: queue of idle cores; `vision`: weights that image encoders start from, set before it runs.
    """

    def __init__(self, args, cores, seed):
        self.args, self.cores, self.seed, self.vision, self.work = (
            args,
            cores,
            seed,
            None,
            args.work / f"seed-{seed}",
        )
        self.file = FOLDER / f"seed-{seed}.json"
        self.settings = {name: getattr(args, name) for name in ("steps", "base", "human", "web", "test")} | {
            "batch": BATCH,
            "sizes": SIZES,
        }
        self.work.mkdir(parents=True, exist_ok=True)

    def capfilt(self, log, *arguments):
        """Run the program on one core; standard error goes to a log, standard output is returned."""
        path, core = self.work / f"{log}.log", self.cores.get()
        try:
            with open(path, "a") as said:
                print("$ capfilt", *arguments, file=said, flush=True)
                command = ["taskset", "-c", str(core), self.args.binary, *map(str, arguments)]
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=said, text=True)
        finally:
            self.cores.put(core)
        if done.returncode not in (0, 1):
            raise RuntimeError(
                f"capfilt {' '.join(map(str, arguments))} ended with {done.returncode}; see {path}"
            )
        return done.stdout

    def step(self, name, make):
        """Return a step's result, from its file if the step is done."""
        path = self.work / f"{name}.json"
        if not path.exists():
            started = time.monotonic()
            result = make()
            path.with_suffix(".partial").write_text(json.dumps(result))
            path.with_suffix(".partial").rename(path)
            print(
                f"seed {self.seed}: {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True
            )
        return json.loads(path.read_text())

    def data(self):
        self.capfilt("data", "demo", "--make-vocabulary", self.work / "vocabulary")
        for name, kind, scenes, more in [
            ("human", "human", self.args.human, ["--alike", 4]),
            ("web", "web", self.args.web, []),
            ("test", "human", self.args.test, ["--captions-per-scene", 2]),
        ]:
            seed = 1000 * self.seed + len(name)
            self.capfilt(
                "data",
                "demo",
                "--make-data",
                self.work / name,
                "--kind",
                kind,
                "--scenes",
                scenes,
                "--side",
                64,
                "--objects",
                1,
                "--seed",
                seed,
                *more,
            )

    def base(self):
        """Return the start of all image encoders, which is made once for all seeds."""

        def make():
            data, sizes = self.work / "base-data", {f"sizes.{key}": value for key, value in SIZES.items()}
            self.capfilt("base", "demo", "--make-vocabulary", self.work / "vocabulary")
            self.capfilt(
                "base",
                "demo",
                "--make-data",
                data,
                "--kind",
                "human",
                "--scenes",
                self.args.base,
                "--side",
                64,
                "--objects",
                1,
                "--seed",
                99,
            )
            settings = {
                "model.vocabulary": str(self.work / "vocabulary"),
                "model.waves": 1.0,
                "objective.losses": ["lm"],
                "run.max_steps": 3 * self.args.steps,
            }
            return (
                self.train("pretrain", "base", [{"url": str(data)}], sizes | settings) + "/model.safetensors"
            )

        return self.step("base", make)

    def train(self, task, name, sources, settings):
        run = {
            "folder": str(self.work / name),
            "seed": self.seed,
            "precision": "auto",
            "batch": BATCH,
            "together": 4,
            "log_every": 50,
            "save_every": 200,
            "keep": 1,
            "cache_gib": 4.0,
            "epochs": 1000,
        }
        fixed = {
            "run": run,
            "augment": {"crop": "squash", "flip": 0.0, "operations": 0},
            "optimizer": {
                "learning_rate": 1.5e-3,
                "warmup_steps": 50,
                "schedule": "decay",
                "decay": 1.0,
                "clip_norm": 1.0,
            },
            "objective": {
                "queue": 4096,
                "min_temperature": 0.05,
                "contrast_weight": 0.05,
                "label_smoothing": 0.0,
            },
            "model": {"dropout": 0.0, "image_size": 0},
        }
        for key, value in settings.items():
            table, key = key.split(".")
            fixed.setdefault(table, {})[key] = value
        text = "".join(
            f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
            for table, keys in fixed.items()
        )
        (self.work / f"{name}.toml").write_text(
            text
            + "".join(
                "[[data]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in source.items())
                for source in sources
            )
        )
        self.capfilt(name, "train", task, "-c", self.work / f"{name}.toml")
        return str(self.work / name / "model")

    def pretrain(self, name, sources):
        sizes = {f"sizes.{key}": value for key, value in SIZES.items()}
        return self.step(
            name,
            lambda: self.train(
                "pretrain",
                name,
                sources,
                sizes
                | {
                    "model.vocabulary": str(self.work / "vocabulary"),
                    "model.vision_weights": self.vision,
                    "run.max_steps": self.args.steps,
                },
            ),
        )

    def human(self):
        return {"url": str(self.work / "human")}

    def clean(self, name, captioner, filter_, *settings):
        """Run a cleaning job and measure it.

        Returns its accuracy, and the dropped share of each kind of text (the paper's noise ratio).
        """
        url = self.work / name

        def run():
            shutil.rmtree(url, ignore_errors=True)
            (self.work / f"{name}.toml").write_text(
                f'[job]\nurl = "{url}"\nseed = {self.seed}\n[input]\nurl = "{self.work / "web"}"\n[models]\n'
                f'captioner = "{captioner}"\nfilter = "{filter_}"\n[captioner]\nmax_length = 30\n[shards]\n'
                f"rows = 4000\n[workers]\nbatch = 64\n"
            )
            self.capfilt(
                name,
                "run",
                "-c",
                self.work / f"{name}.toml",
                *(part for one in settings for part in ("-s", one)),
            )
            return json.loads(
                self.capfilt(name, "demo", "--truth", url, "--json", "--input", self.work / "web")
            )

        return self.step(name, run)

    def judged(self, name, model):
        def judge():
            retrieval = json.loads(
                self.capfilt(
                    name,
                    "eval",
                    "retrieval",
                    "--model",
                    model,
                    "--input",
                    self.work / "test",
                    "--batch",
                    64,
                    "--json",
                )
            )
            captions = json.loads(
                self.capfilt(
                    name,
                    "eval",
                    "caption",
                    "--model",
                    model,
                    "--input",
                    self.work / "test",
                    "--batch",
                    64,
                    "--truth",
                    "--max-length",
                    30,
                    "--prompt",
                    "",
                    "--json",
                )
            )
            return {
                "text R@1": retrieval["text_by_match"]["r1"],
                "image R@1": retrieval["image_by_match"]["r1"],
                "CIDEr-D": 100 * captions["cider"],
                "captions true": 100 * captions["true"],
            }

        return self.step(f"{name}-judged", judge)

    def run(self):
        self.step("data", self.data)
        web = {"url": str(self.work / "web")}
        first = self.pretrain("none", [self.human(), web])
        tune = {"model.from": first, "run.max_steps": self.args.steps // 2, "optimizer.learning_rate": 1e-3}
        both = tune | {"objective.image_ids": True, "objective.prompt": "a picture of "}
        tuned = side_by_side(
            filter=lambda: self.step("filter", lambda: self.train("filter", "filter", [self.human()], tune)),
            captioner=lambda: self.step(
                "captioner", lambda: self.train("captioner", "captioner", [self.human()], tune)
            ),
            both=lambda: self.step("both", lambda: self.train("pretrain", "both", [self.human()], both)),
        )
        decoupled = tuned["captioner"], tuned["filter"]
        cleaned = side_by_side(
            job=lambda: self.clean("job", *decoupled),
            beam=lambda: self.clean("job-beam", *decoupled, "captioner.method=beam"),
            shared=lambda: self.clean("job-shared", tuned["both"], tuned["both"]),
            all=lambda: self.clean(
                "job-all", *decoupled, "filter.web_threshold=0.0", "filter.synthetic_threshold=0.0"
            ),
        )

        def job(name, texts):
            return {"job": str(self.work / name), "texts": texts}

        sources = {
            "F": job("job", "web"),
            "C": job("job-all", "both"),
            "C+F": job("job", "both"),
            "beam": job("job-beam", "both"),
            "shared": job("job-shared", "both"),
        }

        def one(row):
            return lambda: self.judged(row, self.pretrain(row, [self.human(), sources[row]]))

        rows = side_by_side(none=lambda: self.judged("none", first), **{row: one(row) for row in sources})
        return {"rows": rows, "cleaned": cleaned}

    def kept(self):
        """Return the seed's numbers from its file, if the file has the same settings."""
        kept = json.loads(self.file.read_text()) if self.file.exists() else {}
        return kept if kept.get("settings") == self.settings else None

    def result(self):
        """Return the seed's numbers from its file, or compute them."""
        kept = self.kept()
        if kept is None:
            kept = {"settings": self.settings} | self.run()
            self.file.write_text(json.dumps(kept, indent=1) + "\n")
        return kept


def spread(values):
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}"


def plot(path, title, rows, values):
    """Plot a bar for the mean, a line from the least to the largest value, and a dot per seed."""
    left, bar, top = 90, 26, 40
    most = max(max(all) for all in values.values()) * 1.1 or 1

    def x(value):
        return left + 420 * value / most

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="{top + bar * len(rows) + 10}" '
        f'font-family="sans-serif" font-size="13">',
        f'<text x="10" y="22" font-weight="bold">{title}</text>',
    ]
    for i, row in enumerate(rows):
        y = top + bar * i
        mean = statistics.mean(values[row])
        out.append(
            f'<text x="10" y="{y + 15}">{row}</text><rect x="{left}" y="{y + 3}" '
            f'width="{x(mean) - left:.1f}" height="{bar - 8}" fill="#9db8d6"/>'
        )
        out += [f'<circle cx="{x(value):.1f}" cy="{y + 12}" r="3" fill="#20456f"/>' for value in values[row]]
        out.append(f'<text x="{x(max(values[row])) + 8:.1f}" y="{y + 16}">{mean:.1f}</text>')
    path.write_text("\n".join(out + ["</svg>", ""]))


def table(results, rows, heading):
    out = [f"| {heading} | " + " | ".join(results[0]["rows"]["none"]) + " |", "|---" * 5 + "|"]
    for row in rows:
        cells = [spread([one["rows"][row][name] for one in results]) for name in results[0]["rows"]["none"]]
        out.append(f"| {row} | " + " | ".join(cells) + " |")
    return out


def noise(results, rows, heading):
    """Return the dropped shares of a job and the accuracy of the kept texts."""
    columns = {
        "web texts dropped": lambda job: 100 - job["web_kept"],
        "written texts dropped": lambda job: 100 - job["synthetic_kept"],
        "written texts true": lambda job: job["synthetic_true_raw"],
        "kept web texts true": lambda job: job["web_kept_true"],
        "kept written texts true": lambda job: job["synthetic_kept_true"],
    }
    out = [f"| {heading} | " + " | ".join(columns) + " |", "|---" * 6 + "|"]
    for label, name in rows:
        out.append(
            f"| {label} | "
            + " | ".join(spread([of(one["cleaned"][name]) for one in results]) for of in columns.values())
            + " |"
        )
    return out


def report(args, results):
    for name, file in [
        ("captions true", "captions-true"),
        ("CIDEr-D", "cider"),
        ("text R@1", "text-r1"),
        ("image R@1", "image-r1"),
    ]:
        plot(
            FOLDER / f"{file}.svg",
            name,
            ROWS,
            {row: [one["rows"][row][name] for one in results] for row in ROWS},
        )
    cpu = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    text = [
        "# BLIP's ablations, small",
        "",
        f"`make ablation`, {datetime.date.today()}, {os.cpu_count()} cores of {cpu}; {len(results)} seeds, "
        f"mean ± standard deviation. {args.human} pairs of people, {args.web} web pairs (40 % true), "
        f"{args.test} test pictures with two texts each; "
        f"every MED ({SIZES['image_size']} px, width {SIZES['vision_width']}) {args.steps} steps of {BATCH} "
        f"pairs, filter and captioner {args.steps // 2}. Per cent; CIDEr-D times 100.",
        "",
        "## Table 1: what is learnt from",
        "",
        *table(results, ROWS[:4], "texts"),
        "",
        *(f"![{name}](ablation/{name}.svg)" for name in ("captions-true", "cider", "text-r1", "image-r1")),
        "",
        "## Table 2: searched or sampled",
        "",
        *noise(results, [("nucleus", "job"), ("beam", "beam")], "captions"),
        "",
        *table(results, ["C+F", "beam"], "learnt from"),
        "",
        "## Table 4: one model for both, or one each",
        "",
        *noise(results, [("decoupled", "job"), ("shared", "shared")], "filter and captioner"),
        "",
        *table(results, ["C+F", "shared"], "learnt from"),
        "",
    ]
    notes = ROOT / "benches/ABLATION.md"
    marker = "<!-- below this line by hand -->"
    by_hand = notes.read_text().split(marker)[1] if notes.exists() and marker in notes.read_text() else "\n"
    notes.write_text("\n".join(text) + marker + by_hand)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--steps", type=int, default=800)
    p.add_argument(
        "--base",
        type=int,
        default=24_000,
        help="pictures of the captioner whose image encoder all begin with",
    )
    p.add_argument("--human", type=int, default=8000, help="pairs of people")
    p.add_argument("--web", type=int, default=16_000, help="web pairs")
    p.add_argument("--test", type=int, default=200, help="test pictures")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "out/ablation")
    p.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/capfilt")
    args = p.parse_args()
    cores = queue.Queue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    FOLDER.mkdir(exist_ok=True)
    seeds = [Ablation(args, cores, seed) for seed in range(1, args.seeds + 1)]
    if any(seed.kept() is None for seed in seeds):
        vision = Ablation(args, cores, 0).base()
        for seed in seeds:
            seed.vision = vision
    seeds = {f"seed {seed.seed}": seed.result for seed in seeds}
    report(args, list(side_by_side(**seeds).values()))


main()
