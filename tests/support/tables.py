#!/usr/bin/env python3
"""Print a job's committed tables as one JSON object: {"ledger": [...], "pairs": [...], "quarantine": [...]}.

usage: tables.py JOB

Rows are in the order of file and row. Bytes are shown by their SHA-256, and values without a JSON form as
text.
"""

import hashlib
import json
import pathlib
import sys
import tarfile

import pyarrow.parquet as pq


def committed(job):
    """Return {table: [path, ...]} of the current commits, in the ledger's order.

    The current commit of a shard has its highest number.
    """
    shards = []
    for shard in (job / "commits").iterdir():
        commit = json.loads(max(shard.glob("*.json"), key=lambda path: int(path.stem)).read_text())
        paths = {output["table"]: job / output["path"] for output in commit["outputs"]}
        first = (
            pq.ParquetFile(paths["ledger"])
            .read(columns=["file", "row"], use_threads=False)
            .slice(0, 1)
            .to_pylist()[0]
        )
        shards.append((first["file"], first["row"], paths))
    shards.sort(key=lambda shard: shard[:2])
    return {
        table: [paths[table] for *_, paths in shards if table in paths]
        for table in ("ledger", "pairs", "quarantine")
    }


def rows_of(path):
    """Rows of a table. Samples of a tar are shown as rows of the Parquet file with the same pairs."""
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read(use_threads=False).to_pylist()
    rows = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name, _, suffix = member.name.partition(".")
            rows.setdefault(name, {})[suffix] = tar.extractfile(member).read()
    return [row_of(json.loads(sample["json"]), sample["jpg"]) for sample in rows.values()]


def row_of(record, image):
    assert record.pop("version") == 2
    path = record.pop("path")
    return {**record, "image": {"bytes": image, "path": path}}


def shown(value):
    """Convert a value to JSON, equally for all readers."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dict):
        return {name: shown(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shown(part) for part in value]
    return value


if __name__ == "__main__":
    tables = committed(pathlib.Path(sys.argv[1]))
    rows = {table: [shown(row) for path in paths for row in rows_of(path)] for table, paths in tables.items()}
    json.dump(rows, sys.stdout, default=str)
