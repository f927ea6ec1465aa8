#!/usr/bin/env python3
"""Write input columns that readers often fail on, for tests/columns.rs.

usage: columns.py CASE FOLDER DEPTH        CASE: odd | refused | checksums; DEPTH: levels of the column `deep`
"""

import base64
import datetime
import pathlib
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
from bad_input import good_rows

BAD = "un caf\u00e9".encode("latin-1")


def strings(values):
    """Return a column of strings, some of which are not UTF-8."""
    raw = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), raw.buffers())


def nested(depth, rows):
    """Return a column of `depth` levels, including the number at the bottom."""
    column = pa.array(range(rows), pa.int32())
    for _ in range(depth - 1):
        column = pa.StructArray.from_arrays([column], ["s"])
    return column


def odd(folder, depth):
    """Write four rows with a fault in each but the last, and a file whose columns are all null."""
    good = good_rows(4)
    names, images, texts = (list(column) for column in zip(*good))
    until = [
        datetime.datetime(2024, 1, 1, 0, 0, 0, 1),
        datetime.datetime(9999, 12, 31),
        datetime.datetime(1, 1, 1),
        None,
    ]
    table = {
        "key": strings([BAD, *(name.encode() for name in names[1:])]),
        "jpg": pa.array(images),
        "caption": strings([texts[0].encode(), BAD, *(text.encode() for text in texts[2:])]),
        "url": strings([b"u0", b"u1", BAD, b"u3"]),
        "until": pa.array(until, pa.timestamp("us")),
        "deep": nested(depth, 4),
    }
    pq.write_table(pa.table(table), folder / "a.parquet", use_deprecated_int96_timestamps=True)
    nulls = {name: pa.nulls(2) for name in table}
    pq.write_table(pa.table(nulls), folder / "b.parquet")
    # pandas and polars write this struct if no row has a path.
    image = pa.array([{"bytes": images[3], "path": None}])
    pq.write_table(
        pa.table({**{name: pa.nulls(1) for name in table}, "key": ["struct"], "jpg": image}),
        folder / "c.parquet",
    )


class Kms(encryption.KmsClient):
    """Encryption that stores its keys unencrypted."""

    def __init__(self, config):
        super().__init__()

    def wrap_key(self, key, master):
        return base64.b64encode(key)

    def unwrap_key(self, key, master):
        return base64.b64decode(key)


def schema_of_groups(groups):
    """Write a file without pages, with a leaf below this number of groups."""
    count, varint = groups + 1, bytearray()
    while count > 127:
        varint.append(count & 127 | 128)
        count >>= 7
    varint.append(count)
    root, group, leaf = (
        b"\x48\x01s\x15\x02\x00",
        b"\x35\x00\x18\x01s\x15\x02\x00",
        b"\x15\x02\x25\x00\x18\x01k\x00",
    )
    footer = (
        b"\x15\x02\x19\xfc" + bytes(varint) + root + group * (groups - 1) + leaf + b"\x16\x00\x19\x0c\x00"
    )
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def refused(folder, depth):
    """Write a good file among files that a plan refuses by a column's name."""
    good = good_rows(2)
    key, jpg, caption = (pa.array(column) for column in zip(*good))
    table = pa.table({"key": key, "jpg": jpg, "caption": caption, "deep": nested(depth, 2)})
    pq.write_table(table.set_column(3, "deep", pa.array([1, 2])), folder / "a good one.parquet")
    pq.write_table(table, folder / "deep column.parquet")
    (folder / "deep schema.parquet").write_bytes(schema_of_groups(6_000))
    twice = pa.table(
        [key, jpg, caption, caption, pa.array([1, 2])], names=["key", "jpg", "caption", "caption", "deep"]
    )
    pq.write_table(twice, folder / "two captions.parquet")
    key_of = encryption.EncryptionConfiguration(
        "f", column_keys={"c": ["caption"]}, plaintext_footer=True, double_wrapping=False
    )
    properties = encryption.CryptoFactory(lambda config: Kms(config)).file_encryption_properties(
        encryption.KmsConnectionConfig(), key_of
    )
    good = pq.read_table(folder / "a good one.parquet")
    with pq.ParquetWriter(
        folder / "encrypted caption.parquet", good.schema, encryption_properties=properties
    ) as writer:
        writer.write_table(good)


def checksums(folder, depth):
    """Write a text that differs from its page's checksum, beside a good file."""
    good = good_rows(4)
    texts = [f"a red circle number {i}" for i in range(4)]
    table = pa.table(
        {
            "key": pa.array([row[0] for row in good]),
            "jpg": pa.array([row[1] for row in good]),
            "caption": pa.array(texts),
        }
    )
    for name in ("changed.parquet", "good.parquet"):
        pq.write_table(
            table,
            folder / name,
            compression="none",
            use_dictionary=False,
            write_page_checksum=True,
            write_statistics=False,
        )
    changed = bytearray((folder / "changed.parquet").read_bytes())
    changed[changed.index(b"red circle number 3")] = ord("b")
    (folder / "changed.parquet").write_bytes(changed)


if __name__ == "__main__":
    case, folder, depth = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    {"odd": odd, "refused": refused, "checksums": checksums}[case](folder, depth)
