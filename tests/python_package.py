"""Checks the Python package on data that this script makes; prints one JSON object per check.

usage: python_package.py order FOLDER
       python_package.py consume FOLDER RANKS WORKERS BATCH LOG    delivers batches until it is killed
       python_package.py resume FOLDER RANKS WORKERS BATCH LOG     delivers the rest of the epoch
       python_package.py choices FOLDER
       python_package.py source SOURCE                             keys, texts and errors of one epoch
       python_package.py tables JOB
"""

import json
import os
import pathlib
import struct
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))

import capfilt  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

SAMPLES = 10_000
TEXT = [("source", pa.string()), ("text", pa.string()), ("itm", pa.float32()), ("itc", pa.float32())]
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("texts", pa.list_(pa.struct(TEXT))),
    ]
)


def png(value):
    """A PNG of one grey pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(bytes([0, value]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def make(folder, broken=()):
    """Four files with row groups of 10 to 700 rows, and two texts per image."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [700, 10, 333, 457] * 6 + [700, 300]
    assert sum(sizes) == SAMPLES
    first = 0
    for number in range(4):
        with pq.ParquetWriter(folder / f"pairs-{number}.parquet", SCHEMA) as writer:
            for size in sizes[number::4]:
                rows = [row(i, i in broken) for i in range(first, first + size)]
                first += size
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA), row_group_size=size)


def row(i, broken):
    image = {"bytes": b"none" if broken else png(i % 256), "path": None}
    texts = [
        {"source": "alt", "text": f"web {i}", "itm": 0.6, "itc": 0.1},
        {"source": "synthetic", "text": f"made {i}", "itm": 0.9, "itc": 0.1},
    ]
    return {"key": str(i), "image": image, "texts": texts}


def loaders(folder, ranks, workers, batch, **options):
    made = []
    for rank in range(ranks):
        dataset = capfilt.CapFiltDataset(
            folder, batch_size=batch, seed=11, shuffle_rows=2000, rank=rank, ranks=ranks, **options
        )
        made.append(dataset.loader(workers))
    return made


def steps(made):
    """Keys of each step: the batches of all ranks, in the order of the epoch."""
    for batches in zip(*made, strict=True):
        keys = [[sample["key"] for sample in batch] for batch in batches]
        longest = max(map(len, keys))
        yield [rank[i] for i in range(longest) for rank in keys if i < len(rank)]


def order(folder):
    make(folder)
    runs = [list(steps(loaders(folder, *shape))) for shape in ((1, 4, 64), (2, 2, 32), (4, 1, 16))]
    again = loaders(folder, 1, 4, 64)[0]
    epochs = [[sample["key"] for batch in again for sample in batch] for _ in range(2)]
    keys = [key for step in runs[0] for key in step]
    return {
        "steps": [len(run) for run in runs],
        "equal": runs[0] == runs[1] == runs[2],
        "samples": len(keys),
        "distinct": len(set(keys)),
        "in_order_of_data": keys == sorted(keys, key=int),
        "first_epoch_is_the_same_again": epochs[0] == keys,
        "second_epoch_differs": epochs[1] != keys,
    }


def consume(folder, ranks, workers, batch, log):
    """Write each step and then the state, as a training script does, until the process is killed."""
    made = loaders(folder, ranks, workers, batch, drop_last=False)
    with open(log, "a") as file:
        for keys in steps(made):
            file.write(json.dumps({"keys": keys, "state": made[0].state_dict()}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def resume(folder, ranks, workers, batch, log):
    lines = pathlib.Path(log).read_text().splitlines(keepends=True)
    before = [json.loads(line) for line in lines if line.endswith("\n")]
    made = loaders(folder, ranks, workers, batch, drop_last=False)
    for loader in made:
        loader.load_state_dict(before[-1]["state"])
    delivered = [key for step in before for key in step["keys"]]
    rest = [[sample["key"] for batch in loader for sample in batch] for loader in made]
    total = delivered + [key for rank in rest for key in rank]
    return {
        "before": len(delivered),
        "after": sum(map(len, rest)),
        "distinct": len(set(total)),
        "total": len(total),
    }


def choices(folder):
    broken = {5, 17, 4000}
    make(folder, broken)

    def texts(**options):
        loader = loaders(folder, 1, 2, 100, **options)[0]
        found = [(sample["key"], sample["text"]) for batch in loader for sample in batch]
        return dict(found), loader.dataset.decode_errors

    weighted = capfilt_texts("random", sources={"alt": 3, "synthetic": 1})
    best, errors = texts()
    mixed, _ = texts(text=weighted)
    again, _ = texts(text=weighted)
    everything, _ = texts(text="all")
    return {
        "best": sum(text.startswith("made") for text in best.values()),
        "errors": errors,
        "broken_left_out": not {str(i) for i in broken} & set(best),
        "share_of_alt": sum(text.startswith("web") for text in mixed.values()) / len(mixed),
        "repeatable": mixed == again,
        "all": everything["7"],
    }


def capfilt_texts(*args, **options):
    from capfilt.texts import TextChoice

    return TextChoice(*args, **options)


def source(path):
    dataset = capfilt.CapFiltDataset(path, batch_size=16, drop_last=False, text="all")
    samples = [sample for batch in dataset.loader(2) for sample in batch]
    return {
        "samples": dataset.samples,
        "errors": dataset.decode_errors,
        "texts": sorted(text for sample in samples for text in sample["text"]),
    }


def tables(job):
    found = capfilt.open(job)
    return {
        "files": capfilt.files(job),
        "rows": found.count_rows(),
        "ledger_rows": capfilt.open(job, "ledger").count_rows(),
        "hf": capfilt.to_hf(job).num_rows,
        "image": str(type(capfilt.to_hf(job)[0]["image"]).__module__),
    }


def main():
    name, path, *rest = sys.argv[1:]
    if name in ("consume", "resume"):
        *numbers, log = rest
        found = globals()[name](pathlib.Path(path), *map(int, numbers), log)
    elif name in ("source", "tables"):
        found = globals()[name](path)
    else:
        found = globals()[name](pathlib.Path(path))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
