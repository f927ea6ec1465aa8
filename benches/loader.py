#!/usr/bin/env python3
"""Measure how fast capfilt's loader, webdataset and datasets deliver the same pairs for training.

usage: loader.py [--samples N] [--workers N] [--rounds N] [--record]

The data are JPEGs of 256 px with one caption, made from noise and gradients with a printed seed: once as a
pairs table in Parquet (1,000 rows per row group) and once as tars of 1,000 samples. Every reader shuffles,
decodes with Pillow, resizes to 224 px and returns tensors in batches of 64, with the same number of worker
processes. The readers run in turns; the table has medians, and the ratio to the faster peer.
"""

import argparse
import datetime
import io
import pathlib
import platform
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))

import capfilt  # noqa: E402
import datasets  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import torch  # noqa: E402
import webdataset as wds  # noqa: E402
from PIL import Image  # noqa: E402

BATCH, GROUP, SEED = 64, 1000, 7
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        (
            "texts",
            pa.list_(pa.struct([("source", pa.string()), ("text", pa.string()), ("itm", pa.float32())])),
        ),
    ]
)


def jpeg(generator):
    ramp = np.linspace(0, 255, 256)[None, :, None] * generator.random(3)
    noise = generator.integers(0, 40, (256, 256, 3))
    picture = Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=85)
    return written.getvalue()


def make(folder, samples):
    generator = np.random.default_rng(SEED)
    pictures = [jpeg(generator) for _ in range(200)]
    images = [pictures[i % len(pictures)] for i in range(samples)]
    texts = [f"a picture with number {i}" for i in range(samples)]
    rows = [
        {
            "key": str(i),
            "image": {"bytes": image, "path": None},
            "texts": [{"source": "alt", "text": text, "itm": 0.9}],
        }
        for i, (image, text) in enumerate(zip(images, texts, strict=True))
    ]
    (folder / "tars").mkdir()
    for start in range(0, samples, 4 * GROUP):
        name = f"pairs-{start // (4 * GROUP):05d}.parquet"
        table = pa.Table.from_pylist(rows[start : start + 4 * GROUP], SCHEMA)
        pq.write_table(table, folder / name, row_group_size=GROUP, compression="zstd")
    for start in range(0, samples, GROUP):
        with wds.TarWriter(str(folder / f"tars/{start // GROUP:05d}.tar")) as tar:
            for i in range(start, min(start + GROUP, samples)):
                tar.write({"__key__": f"{i:08d}", "jpg": images[i], "txt": texts[i]})


def prepared(image):
    pixels = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def ours(folder, workers):
    dataset = capfilt.CapFiltDataset(folder, batch_size=BATCH, transform=prepared, drop_last=False)
    return (batch["image"] for batch in dataset.loader(workers))


def webdataset(folder, workers):
    tars = sorted(map(str, (folder / "tars").glob("*.tar")))
    pipeline = wds.WebDataset(tars, shardshuffle=len(tars)).shuffle(2000).decode("pil")
    pipeline = pipeline.to_tuple("jpg", "txt").map_tuple(prepared, str).batched(BATCH)
    return (batch[0] for batch in wds.WebLoader(pipeline, batch_size=None, num_workers=workers))


def huggingface(folder, workers):
    files = sorted(map(str, folder.glob("*.parquet")))
    stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    stream = stream.cast_column("image", datasets.Image()).shuffle(seed=SEED, buffer_size=2000)
    stream = stream.map(
        lambda row: {"image": prepared(row["image"].convert("RGB")), "text": row["texts"][0]["text"]},
        remove_columns=["key", "texts"],
    ).with_format("torch")
    return (b["image"] for b in torch.utils.data.DataLoader(stream, batch_size=BATCH, num_workers=workers))


READERS = {"capfilt": ours, "webdataset": webdataset, "datasets streaming": huggingface}


def rate(reader, folder, workers, samples):
    begun = time.perf_counter()
    delivered = sum(len(images) for images in reader(folder, workers))
    if delivered != samples:
        sys.exit(f"loader: {reader.__name__} delivered {delivered} of {samples} samples")
    return delivered / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="add the table to benches/RESULTS.md")
    args = parser.parse_args()
    rates = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        print(f"making {args.samples} pairs with seed {SEED}", file=sys.stderr)
        make(folder, args.samples)
        for number in range(args.rounds):
            for name, reader in READERS.items():
                rates[name].append(rate(reader, folder, args.workers, args.samples))
                print(f"round {number + 1}: {name} {rates[name][-1]:.0f} img/s", file=sys.stderr)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    peer = max(value for name, value in medians.items() if name != "capfilt")
    lines = ["| reader | img/s | capfilt is faster by |", "|---|---|---|"]
    lines += [
        f"| {name} | {value:.0f} | {medians['capfilt'] / value:.2f} |" for name, value in medians.items()
    ]
    print("\n".join(lines))
    print(f"ratio to the faster peer: {medians['capfilt'] / peer:.2f}")
    if args.record:
        record(args, lines)


def record(args, lines):
    command = f"loader.py --samples {args.samples} --workers {args.workers} --rounds {args.rounds}"
    today = datetime.date.today().isoformat()
    head = (
        f"\n## {today}: loader for training\n\n{platform.processor() or platform.machine()}, `{command}`\n\n"
    )
    with (ROOT / "benches/RESULTS.md").open("a") as file:
        file.write(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
