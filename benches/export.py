#!/usr/bin/env python3
"""Compare `capfilt export` to WebDataset with webdataset's ShardWriter, in turns, on the same Parquet files.

usage: .readers/bin/python benches/export.py [--turns 3] [--small 20000] [--large-mib 2048] [--folder /tmp]

ShardWriter receives the rows from pyarrow, one row group at a time, and writes `.jpg`, `.txt` and `.json` of
each. It does not check images, find duplicate pairs, shuffle or compute digests; the export does. Seconds are
those of the process; in brackets, until the files are on disk (the export syncs its files itself). Memory is
the peak of the process.
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def picture(chance, side):
    import io

    from PIL import Image

    out = io.BytesIO()
    noise = Image.frombytes("RGB", (side, side), chance.randbytes(side * side * 3))
    noise.resize((side * 2, side * 2), Image.BICUBIC).save(out, "JPEG", quality=85)
    return out.getvalue()


def numbered(jpeg, number):
    """Return the JPEG with a unique comment: other bytes without encoding the image again."""
    comment = f"{number:012}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def write_input(folder, pairs, side, group):
    """Write `pairs` rows in four files; return the bytes of all images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    chance = random.Random(0)
    bases = [picture(chance, side) for _ in range(32)]
    schema = pa.schema({"key": pa.string(), "jpg": pa.binary(), "caption": pa.string(), "url": pa.string()})
    total = 0
    for file in range(4):
        with pq.ParquetWriter(
            folder / f"{file}.parquet", schema, compression="none", use_dictionary=False
        ) as writer:
            numbers = range(file * pairs // 4, (file + 1) * pairs // 4)
            for first in range(numbers.start, numbers.stop, group):
                rows = [
                    {
                        "key": f"k{i}",
                        "jpg": numbered(bases[i % 32], i),
                        "caption": f"Picture number {i}.",
                        "url": f"https://example.org/{i}",
                    }
                    for i in range(first, min(first + group, numbers.stop))
                ]
                total += sum(len(row["jpg"]) for row in rows)
                writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=group)
    return total


def shard_writer(source, to):
    """Run the peer in its process."""
    import pyarrow.parquet as pq
    import webdataset as wds

    pathlib.Path(to).mkdir(parents=True)
    with wds.ShardWriter(f"{to}/%05d.tar", maxcount=10**9, maxsize=256 << 20, verbose=0) as sink:
        for path in sorted(pathlib.Path(source).glob("*.parquet")):
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    record = {"caption": row["caption"], "url": row["url"], "key": row["key"]}
                    sink.write(
                        {"__key__": row["key"], "jpg": row["jpg"], "txt": row["caption"], "json": record}
                    )


def measure(command):
    """Return seconds of the process, seconds until its files are on disk, and peak memory in MiB."""
    os.sync()
    started = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status:
        sys.exit(f"{command} failed")
    os.sync()
    return seconds, time.monotonic() - started, usage.ru_maxrss / 1024


def contest(name, source, pairs, total, scratch, turns, program):
    export = [program, "export", "--human", source, "--format", "webdataset", "--to", scratch]
    sides = {
        "capfilt export": export,
        "capfilt export --shuffle off": [*export, "--shuffle", "off"],
        "webdataset.ShardWriter": [sys.executable, __file__, "--shard-writer", source, scratch],
    }
    found = {side: [] for side in sides}
    for _ in range(turns):
        for side, command in sides.items():
            shutil.rmtree(scratch, ignore_errors=True)
            found[side].append(measure(command))
    shutil.rmtree(scratch, ignore_errors=True)
    print(f"\n{name}: {pairs} pairs, {total / 1e6:.0f} MB of images; medians of {turns} turns\n")
    print("| | s (on disk) | MB/s | pairs/s | peak MiB |\n|---|---|---|---|---|")
    for side, runs in found.items():
        seconds, on_disk, memory = (statistics.median(column) for column in zip(*runs))
        print(
            f"| {side} | {seconds:.2f} ({on_disk:.2f}) | {total / 1e6 / seconds:.0f} | {pairs / seconds:.0f} "
            f"| {memory:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--large-mib", type=int, default=2048)
    parser.add_argument("--program", default=ROOT / "target/release/capfilt")
    parser.add_argument(
        "--folder", default=None, help="where inputs and outputs go; three times the images' size"
    )
    parser.add_argument("--shard-writer", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.shard_writer:
        return shard_writer(*arguments.shard_writer)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = pathlib.Path(folder)
        total = write_input(folder / "small", arguments.small, 24, 1000)
        contest(
            "small pairs",
            folder / "small",
            arguments.small,
            total,
            folder / "out",
            arguments.turns,
            arguments.program,
        )
        one = len(picture(random.Random(0), 400))
        pairs = (arguments.large_mib << 20) // one
        total = write_input(folder / "large", pairs, 400, 100)
        contest(
            "large images", folder / "large", pairs, total, folder / "out", arguments.turns, arguments.program
        )


if __name__ == "__main__":
    main()
