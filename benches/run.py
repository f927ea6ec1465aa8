#!/usr/bin/env python3
"""Measure capfilt and its peers in turns, in one run.

usage: run.py [model] [filter] [decode] [train] [--rounds 3] [--rows 24] [--record]
       (in the venv of scripts/peers.py; `make bench`)

Prints a table; with --record the table is added to benches/RESULTS.md.

`model`   Full CapFilt per image (a nucleus caption, P(match) and cosine of two texts; the peers compute no
          cosine) on BLIP-base at 384 px with random weights: the same weights, pixels, texts, batch and
          threads for `capfilt bench model`, for transformers naive, best and through torch.compile
          (peers/capfilt_transformers.py describes all three), and for OpenVINO
          (peers/capfilt_openvino.py). No caption may end before its 20th id, so that all sides do the same
          work. In int8 the peer is OpenVINO; capfilt takes part on processors that its int8 supports. The
          first round also converts and quantises for OpenVINO (out/bench keeps the graphs), and
          torch.compile compiles in each turn; the clocks do not include this.
`filter`  Judging one web text per picture: Data-Juicer's `image_text_matching_filter`
          (peers/filter_data_juicer.py) and capfilt's filter, which also judges a caption and computes
          cosines; same weights, pixels and texts. If Data-Juicer is missing, it is installed into out/bench.
`decode`  Decoding and resizing photographs of 0.2 to 4 megapixels on one core: `capfilt bench decode`,
          exact and with `input.jpeg_reduction`, against Pillow and transformers' processors.
`train`   Pre-training of MED, all three losses with momentum encoders: `capfilt train pretrain` against
          the same model in PyTorch eager (peers/train_pytorch.py), at the demo's size and as BLIP-base
          at 224 px. No dropout; capfilt also decodes, the peer has tensors.

Every competitor has a turn in every round, and the medians are compared, so that a slower machine slows all
competitors equally.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys

import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "out/bench"
RESULTS = ROOT / "benches/RESULTS.md"
BATCH = 8
WORDS = "a the of in on and with two small red green woman man dog cat cup photo table box near".split()


def lines_of(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, **options
    )
    if done.returncode != 0:
        sys.exit(f"run: {' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])


def prepare(rows):
    """Make models, photographs and texts, once."""
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "models/filter/model.safetensors").exists():
        shutil.rmtree(WORK / "models", ignore_errors=True)
        subprocess.run([sys.executable, ROOT / "scripts/blip_models.py", WORK / "models"], check=True)
    if not (WORK / "web").exists():
        subprocess.run([sys.executable, ROOT / "scripts/make_images.py", WORK / "web", "--web"], check=True)
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(4, 18))) for _ in range(rows)]
    (WORK / "texts.txt").write_text("\n".join(texts) + "\n")


def rows():
    """Return the options that capfilt and its peers have for models and rows."""
    models = ["--captioner", WORK / "models/captioner", "--filter", WORK / "models/filter"]
    inputs = ["--images", WORK / "web", "--texts", WORK / "texts.txt"]
    return [*models, *inputs, "--batch", BATCH, "--min-length", 20, "--repeats", 1]


def ours(precision):
    binary = ROOT / "target/release/capfilt"
    options = ["--precision", precision, "--device", "cpu", "--json"]
    return lambda: lines_of(binary, "bench", "model", *rows(), *options)


def theirs(precision, mode, *more):
    script = ROOT / "benches/peers/capfilt_transformers.py"
    options = ["--mode", mode, "--dtype", precision, "--device", "cpu", "--threads", os.cpu_count()]
    return lambda: lines_of(sys.executable, script, *rows(), *options, *more)


def openvino(precision):
    script = ROOT / "benches/peers/capfilt_openvino.py"
    options = ["--dtype", precision, "--threads", os.cpu_count()]
    return lambda: lines_of(sys.executable, script, *rows(), *options)


def in_turns(competitors, rounds):
    found = {name: [] for name in competitors}
    for number in range(rounds):
        for name, run in competitors.items():
            found[name].append(run())
            print(
                f"  round {number + 1} of {rounds}: {name:28} {found[name][-1].get('s_per_image', '')}",
                file=sys.stderr,
                flush=True,
            )
    return found


def of_model(precisions):
    """Return capfilt and its peers; the second word of a name is the precision."""
    found = {}
    for precision in precisions:
        if precision != "int8" or has_int8():
            found[f"capfilt {precision}"] = ours(precision)
        found[f"OpenVINO {precision}"] = openvino(precision)
        if precision != "int8":  # transformers has no int8
            found[f"torch.compile {precision}"] = theirs(precision, "compiled", "--sdpa")
            found[f"transformers {precision}, best"] = theirs(precision, "best", "--sdpa")
            found[f"transformers {precision}, naive"] = theirs(precision, "naive")
    return found


def model(args):
    """Return Markdown rows: competitor, seconds per image, ratio to capfilt of the same precision."""
    prepare(args.rows)
    found = in_turns(of_model(args.precisions.split(",")), args.rounds)
    seconds = {name: [one["s_per_image"] for one in runs] for name, runs in found.items()}
    middles = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(iter(middles.values()))
    out = [
        "| full CapFilt, BLIP-base 384 px, batch 8 | s/image, median | min – max | × of the first | × of "
        "capfilt, same precision |",
        "|---|---|---|---|---|",
    ]
    for name, middle in middles.items():
        same = middles.get(f"capfilt {precision_of(name)}")
        out.append(
            f"| {name} | {middle:.3f} | {min(seconds[name]):.3f} – {max(seconds[name]):.3f} | "
            f"{middle / first:.2f} | {f'{middle / same:.2f}' if same else ''} |"
        )
    last = {name: runs[-1] for name, runs in found.items()}
    lengths = [
        f"{name}: {one['ids_per_caption'] - 4:.1f}"
        if "ids_per_caption" in one
        else f"{name}: {one['new_tokens_per_caption']:.1f}"
        for name, one in last.items()
    ]
    stages = [
        f"{name}: " + ", ".join(f"{stage} {value:.3f}" for stage, value in one["stages_s_per_image"].items())
        for name, one in last.items()
    ]
    runs = [f"{name} in {one['runs']}" for name, one in last.items() if "runs" in one]
    return out + [
        "",
        f"{strongest(middles)} On this processor OpenVINO runs: {'; '.join(runs)}.",
        "",
        vision_shares(found),
        "",
        "New tokens per caption: " + "; ".join(lengths) + ".",
        "",
        "Stages, s/image (`caption` and `score` of capfilt hold a vision transformer each, the peers' `vit` "
        "is both, and OpenVINO's includes the keys and values of the image states): "
        + "; ".join(stages)
        + ".",
    ]


def precision_of(name):
    return name.split()[1].rstrip(",")


def strongest(middles):
    """Return sentences: capfilt of each precision beside its fastest peer, and the fastest of each side."""

    def beside(mine, peers):
        peer = min(peers, key=middles.get)
        ratio = middles[peer] / middles[mine]
        return f"{mine} is {ratio:.2f}× as fast as {peer}"

    mine = [name for name in middles if name.startswith("capfilt")]
    peers = [name for name in middles if name not in mine]
    if not mine:
        return ""
    same = [beside(name, [one for one in peers if precision_of(one) == precision_of(name)]) for name in mine]
    return (
        f"Strongest peer of the same precision: {'; '.join(same)}. Of all precisions: "
        f"{beside(min(mine, key=middles.get), peers)}."
    )


def vision_shares(found):
    """Return a sentence: the vision transformers' shares of libtorch's rate, by precision."""
    shares = []
    for name, runs in found.items():
        if not name.startswith("capfilt"):
            continue
        precision = precision_of(name)
        rate = statistics.median(one["device_flop_per_second"] for one in runs)
        flop = runs[-1]["budget"]["one_vit"]["flop"]
        spent = {"capfilt": statistics.median(one["stages_s_per_image"]["one_vit"] for one in runs)}
        peers = {
            "OpenVINO": f"OpenVINO {precision}",
            "torch.compile": f"torch.compile {precision}",
            "transformers": f"transformers {precision}, best",
        }
        for peer, full in peers.items():
            if full in found:
                both = statistics.median(one["stages_s_per_image"]["vit"] for one in found[full])
                spent[peer] = both / 2
        parts = ", ".join(f"{who} {flop / one / rate:.1%}" for who, one in spent.items())
        shares.append(f"{precision}: {parts} of {rate / 1e9:.0f} GFLOP/s")
    return (
        "A vision transformer's share of libtorch's own rate at a product of 2048³, in the same runs (int8: "
        "of bf16's): " + "; ".join(shares) + "."
    )


def filter(args):
    """Return Markdown rows: competitor, seconds per picture, difference of the scores."""
    prepare(args.rows)
    package, texts = WORK / "data-juicer", (WORK / "texts.txt").read_text().splitlines()
    if not package.exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--target",
                package,
                "py-data-juicer==1.6.1",
                "aiohttp",
            ],
            check=True,
        )
    script = [
        sys.executable,
        ROOT / "benches/peers/filter_data_juicer.py",
        "--filter",
        WORK / "models/filter",
        "--images",
        WORK / "web",
        "--texts",
        WORK / "texts.txt",
        "--threads",
        os.cpu_count(),
    ]
    # After the peers' packages on the path: all competitors use the versions of the peers.
    found = in_turns(
        {
            **{
                f"capfilt {precision}": ours(precision)
                for precision in args.precisions.split(",")
                if precision != "int8" or has_int8()
            },
            "Data-Juicer f32": lambda: lines_of(*script, env=os.environ | {"DATA_JUICER": str(package)}),
        },
        args.rounds,
    )
    seconds = {
        name: [one["s_per_row"] if "s_per_row" in one else one["stages_s_per_image"]["score"] for one in runs]
        for name, runs in found.items()
    }
    theirs = statistics.median(seconds["Data-Juicer f32"])
    out = ["| ITM filter, BLIP-base 384 px | s/image, median | min – max | capfilt is |", "|---|---|---|---|"]
    for name, values in seconds.items():
        middle = statistics.median(values)
        out.append(
            f"| {name} | {middle:.3f} | {min(values):.3f} – {max(values):.3f} | "
            f"{f'{theirs / middle:.2f}×' if name.startswith('capfilt') else ''} |"
        )
    pictures = sorted((WORK / "web").iterdir())[: len(texts)]
    asked = [part for picture in pictures for part in ("--image", picture)] + [
        part for text in texts for part in ("--text", text)
    ]
    command = [
        ROOT / "target/release/capfilt",
        "score",
        "--json",
        "--preset",
        "hf",
        "--precision",
        "f32",
        "--device",
        "cpu",
        "--model",
        WORK / "models/filter",
        *asked,
    ]
    lines = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    matches = [[text["match"] for text in json.loads(line)["texts"]] for line in lines]
    apart = max(
        abs(matches[i % len(pictures)][i] - score)
        for i, score in enumerate(found["Data-Juicer f32"][-1]["scores"])
    )
    return out + [
        "",
        f"P(match) of capfilt (f32, preset hf) and Data-Juicer differ by {apart:.1e} at most ({len(texts)} "
        f"rows; pixels are decoded and resized by each side).",
    ]


SECONDS = 4  # per turn of capfilt at one size


def decode(args):
    """Return Markdown rows: photographs by size, images per second on one core, ratio to each peer."""
    folders = WORK / "photographs"
    if not folders.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, ROOT / "scripts/make_images.py", folders, "--sizes"], check=True)
    core = min(os.sched_getaffinity(0))
    out, peers = [], {}
    for folder in sorted(folders.iterdir()):

        def ours(*more, folder=folder):
            return lambda: lines_of(
                "taskset",
                "-c",
                core,
                ROOT / "target/release/capfilt",
                "bench",
                "decode",
                "--images",
                folder,
                "--seconds",
                SECONDS,
                "--json",
                *more,
            )

        found = in_turns(
            {
                "exact": ours(),
                "reduced": ours("--reduced"),
                "peers": lambda folder=folder: lines_of(
                    sys.executable, ROOT / "benches/peers/decode_pillow.py", folder, "--repeats", 3
                ),
            },
            args.rounds,
        )
        peers = {
            name: statistics.median(one["images_per_second"][name] for one in found["peers"])
            for name in found["peers"][0]["images_per_second"]
        }
        for how in ("exact", "reduced"):
            middle, last = statistics.median(one["images_per_second"] for one in found[how]), found[how][-1]
            times = " | ".join(f"{middle / peer:.2f}× ({peer:.1f})" for peer in peers.values())
            out.append(
                f"| {folder.name} MP, {how} | {middle:.1f} | {last['decode_ms']:.2f} + "
                f"{last['resize_ms']:.2f} ms | {times} | {last['levels_off_mean']:.2f}; "
                f"{last['levels_off_99_9']} |"
            )
    names = " | ".join(f"× {name.replace('_', ', ')}" for name in peers)
    return [
        f"| decode + resize to 384 px, one core | capfilt, images/s | of it | {names} | levels off the exact "
        f"pixels: mean; one in a thousand |",
        "|---" * (4 + len(peers)) + "|",
    ] + out


BASE = {
    "image_size": 224,
    "patch_size": 16,
    "vision_width": 768,
    "vision_layers": 12,
    "vision_heads": 12,
    "text_width": 768,
    "text_layers": 12,
    "text_heads": 12,
    "positions": 512,
    "projection": 256,
}
# Model, side of the pictures, batch, queue, timed steps. A step of BLIP-base takes seconds.
TRAININGS = {
    "the demo's MED": (
        tomllib.loads((ROOT / "demo/train/pretrain.toml").read_text())["sizes"],
        128,
        4096,
        16,
    ),
    "BLIP-base": (BASE, 8, 4096, 3),
}
WARM_UP = 3


def training_pairs(side):
    """Write pairs with pictures of the model's size, so that neither side resizes."""
    folder, binary = WORK / f"pairs-{side}", ROOT / "target/release/capfilt"
    if not folder.exists():
        subprocess.run(
            [binary, "demo", "--make-vocabulary", WORK / "vocabulary"], check=True, stdout=subprocess.DEVNULL
        )
        subprocess.run(
            [
                binary,
                "demo",
                "--make-data",
                folder,
                "--kind",
                "human",
                "--scenes",
                "2000",
                "--side",
                str(side),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return folder


def we_train(sizes, batch, queue, steps, precision):
    def run():
        folder = WORK / "train"
        shutil.rmtree(folder, ignore_errors=True)
        settings = {
            "run": {
                "folder": str(folder),
                "precision": precision,
                "batch": batch,
                "max_steps": WARM_UP + steps,
                "log_every": 1,
                "epochs": 50,
            },
            "model": {"vocabulary": str(WORK / "vocabulary"), "dropout": 0.0},
            "sizes": sizes,
            "objective": {"queue": queue},
            "augment": {"crop": "squash", "flip": 0.0, "operations": 0},
        }
        text = "".join(
            f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
            for table, keys in settings.items()
        )
        (WORK / "train.toml").write_text(text + f'[[data]]\nurl = "{training_pairs(sizes["image_size"])}"\n')
        lines_of(ROOT / "target/release/capfilt", "train", "pretrain", "-c", WORK / "train.toml", "--json")
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return {"images_per_second": [line["images_per_second"] for line in lines[WARM_UP:]]}

    return run


def they_train(sizes, batch, queue, steps, precision):
    def run():
        pairs, words = (
            training_pairs(sizes["image_size"]) / "human-00000.parquet",
            len((WORK / "vocabulary/vocab.txt").read_text().splitlines()) + 2,
        )
        return lines_of(
            sys.executable,
            ROOT / "benches/peers/train_pytorch.py",
            "--pairs",
            pairs,
            "--vocabulary",
            WORK / "vocabulary",
            "--sizes",
            json.dumps(sizes),
            "--batch",
            batch,
            "--queue",
            queue,
            "--steps",
            steps,
            "--warm-up",
            WARM_UP,
            "--threads",
            os.cpu_count(),
            "--words",
            words,
            "--dtype",
            precision,
        )

    return run


def train(args):
    WORK.mkdir(parents=True, exist_ok=True)
    out = [
        "| pre-training, all losses | batch | images/s, median of all steps | min – max | capfilt is |",
        "|---|---|---|---|---|",
    ]
    for name, (sizes, batch, queue, steps) in TRAININGS.items():
        if args.size not in ("both", "base" if name == "BLIP-base" else "demo"):
            continue
        for precision in args.precisions.split(","):
            if precision == "int8":  # neither side trains in int8
                continue
            found = in_turns(
                {
                    "capfilt": we_train(sizes, batch, queue, steps, precision),
                    "PyTorch eager": they_train(sizes, batch, queue, steps, precision),
                },
                args.rounds,
            )
            speeds = {
                who: [speed for one in runs for speed in one["images_per_second"]]
                for who, runs in found.items()
            }
            middle = {who: statistics.median(all) for who, all in speeds.items()}
            for who, all in speeds.items():
                ratio = f"{middle['capfilt'] / middle[who]:.2f}×" if who != "capfilt" else ""
                out.append(
                    f"| {name}, {precision}: {who} | {batch} | {middle[who]:.2f} | {min(all):.2f} – "
                    f"{max(all):.2f} | {ratio} |"
                )
    return out


def cpu_flags():
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    return set(flags.split())


def has_int8():
    """Return whether capfilt's int8 supports this processor."""
    flags = cpu_flags()
    return {"avx512_bf16", "avx512_vnni"} <= flags and "amx_tile" not in flags


def machine():
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    flags = cpu_flags()
    has = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return f"{os.cpu_count()} cores of {model} ({', '.join(has)})"


def show(what, how, text, record):
    text = "\n".join([f"## {datetime.date.today()}: {', '.join(what)}", "", how, "", *text])
    print(text)
    if record:
        with open(RESULTS, "a") as file:
            file.write("\n" + text)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("what", nargs="*", choices=["model", "filter", "decode", "train", []], default=[])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--rows", type=int, default=24)
    p.add_argument("--precisions", default="bf16,f32,int8")
    p.add_argument(
        "--size", choices=["demo", "base", "both"], default="both", help="of the models that `train` trains"
    )
    p.add_argument("--record", action="store_true", help="add what is printed to benches/RESULTS.md")
    args = p.parse_args()
    import PIL
    import torch
    import transformers

    text = []
    for what in args.what or ["model", "filter", "decode", "train"]:
        text += [*globals()[what](args), ""]
    versions = (
        f"torch {torch.__version__}, transformers {transformers.__version__}, OpenVINO "
        f"{importlib.metadata.version('openvino')}, Pillow {PIL.__version__}"
    )
    command = f"benches/run.py {' '.join(sys.argv[1:])}"
    heading = f"{machine()}; {versions}; `{command}`, {args.rounds} rounds in turns."
    show(args.what or ["model", "filter", "decode", "train"], heading, text, args.record)


if __name__ == "__main__":
    main()
