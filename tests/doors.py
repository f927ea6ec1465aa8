"""Write the same pairs as each kind of input, for tests/doors.rs and tests/image_folders.rs.

usage: doors.py KIND OUT TABLE...

KIND: tars (webdataset's ShardWriter), imagefolder (metadata.jsonl, as Hugging Face's datasets reads it), csv
(metadata.csv), parquet (metadata.parquet), sidecars (images with .txt files), links URL (links.parquet with
URL/<key>.jpg, the list that img2dataset reads).
"""

import csv
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def rows_of(tables):
    return [row for table in tables for row in pq.read_table(table).to_pylist()]


def tars(out, rows):
    from webdataset import ShardWriter

    with ShardWriter(f"{out}/%05d.tar", maxcount=800, verbose=0) as sink:
        for row in rows:
            metadata = {name: value for name, value in row.items() if name != "jpg"}
            sink.write({"__key__": row["key"], "jpg": row["jpg"], "txt": row["caption"], "json": metadata})


def write_images(out, rows):
    """Write the images, and return a record per row that names its image."""
    records = []
    for row in rows:
        (out / f"{row['key']}.jpg").write_bytes(row["jpg"])
        record = {name: value for name, value in row.items() if name not in ("jpg", "caption")}
        records.append({"file_name": f"{row['key']}.jpg", "text": row["caption"], **record})
    return records


def imagefolder(out, rows):
    # Splits are folders, each with its table.
    for split, part in (("train", rows[::2]), ("test", rows[1::2])):
        folder = out / split
        folder.mkdir()
        with open(folder / "metadata.jsonl", "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in write_images(folder, part))


def csv_table(out, rows):
    records = write_images(out, rows)
    with open(out / "metadata.csv", "w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(records[0]))
        table.writeheader()
        table.writerows(records)


def parquet(out, rows):
    (out / "train").mkdir()
    table = pa.Table.from_pylist(write_images(out / "train", rows))
    pq.write_table(table, out / "train/metadata.parquet")


def sidecars(out, rows):
    for row in rows:
        (out / f"{row['key']}.jpg").write_bytes(row["jpg"])
        (out / f"{row['key']}.txt").write_text(row["caption"])


def links(out, rows, url):
    # img2dataset has its own `key`.
    records = [
        {"url": f"{url}/{row['key']}.jpg", "caption": row["caption"], "key": row["key"], "id": row["key"]}
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(records), out / "links.parquet", row_group_size=200)


kind, out, rest = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
out.mkdir(parents=True)
if kind == "links":
    links(out, rows_of(rest[1:]), rest[0])
else:
    writers = (tars, imagefolder, csv_table, parquet, sidecars)
    write = {"csv": csv_table}.get(kind) or {writer.__name__: writer for writer in writers}[kind]
    write(out, rows_of(rest))
