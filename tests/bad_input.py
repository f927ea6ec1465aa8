#!/usr/bin/env python3
"""Write folders of Parquet files with every fault that has a status in tests/bad_input.rs.

usage: bad_input.py write CASE FOLDER        CASE: one of the functions below `CASES`
       bad_input.py passed JOB FILE          pass-through columns that differ from FILE's, row for row

The images of good rows are small crops of scikit-image's photographs.
"""

import datetime
import decimal
import io
import json
import pathlib
import struct
import sys
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from tables import committed

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
    "retina.jpg",
)
PLAIN = pa.schema({"key": pa.string(), "jpg": pa.binary(), "caption": pa.string()})
BYTES = pa.schema({"key": pa.string(), "jpg": pa.binary(), "caption": pa.binary()})


def good_rows(count=24):
    """Return [(key, image, text)] with different crops, alternately JPEG and PNG."""
    import skimage
    from PIL import Image

    folder = pathlib.Path(skimage.__file__).parent / "data"
    sources = [Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS]
    rows = []
    for i in range(count):
        source, step = sources[i % len(sources)], 17 * (i // len(sources))
        crop = source.crop((40 + step, 30 + step, 160 + step, 120 + step))
        packed = io.BytesIO()
        crop.save(packed, *(["JPEG"] if i % 2 else ["PNG"]))
        rows.append(
            (
                f"good {i:02}",
                packed.getvalue(),
                f"Part {i} of a photograph, {'red' if i % 3 else 'blue'} and small",
            )
        )
    return rows


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width, height):
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def jpeg_of_size(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0")  # start of frame: length, precision, height, width
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def bad_images(png, jpeg):
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 0xFF
    return {
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "truncated png": png[: len(png) // 2],
        "damaged png": bytes(damaged),
        "jpeg's magic, png's body": jpeg[:4] + png[4:],
        "png's magic alone": png[:8],
        "png without pixels": png_of_size(0, 0),
        "gif's magic, noise": b"GIF89a" + bytes(range(200)),
        "wrong magic": b"\x88" + png[1:],
        "html": b"<!DOCTYPE html><html>404 Not Found</html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "json": b'{"error": 404}',
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0",
        "one byte": b"\xff",
        "zeros": bytes(5000),
        "vast png": png_of_size(30_000, 30_000),
        "vast jpeg": jpeg_of_size(jpeg, 30_000, 30_000),
        "long line": png_of_size(70_000, 1),
        "zero bytes": b"",
        "null image": None,
    }


TEXTS = {
    "null text": None,
    "empty text": b"",
    "blank text": " \t\r\n\u3000 ".encode(),
    "punctuation": b"...!!! ~~~ ***",
    "emoji alone": "🐶🎉👍🏽".encode(),
    "100 kB text": b"a dog " * 17_000,
    "one byte too long": b"a" * 16_385,
    "as long as allowed": b"a dog " * 2_730 + b"runs",
    "one word of 16 kB": b"a" * 16_384,
    "latin-1": "un café à la carte".encode("latin-1"),
    "utf-16": "a dog".encode("utf-16"),
    "half an emoji": "a dog 🐶".encode()[:-2],
    "chinese": "一只棕色的狗在海滩上奔跑".encode(),
    "arabic": "كلب على الشاطئ".encode(),
    "russian": "собака на пляже".encode(),
    "chinese and latin": "一只 dog".encode(),
    "emoji": "a dog 🐶 on the beach 🏖️".encode(),
    "rtl marks": "\u202ea dog\u202c \u200fon\u200e the beach".encode(),
    "control characters": b"a\x00 dog\x07 on\x1b[31m the\x7f beach\x0b",
    "newlines": b"a dog\r\non\n\nthe beach\n",
    "quotes": b"a \"dog\" \\ 'on' the, beach; -- DROP TABLE",
    "many combining marks": ("a" + "\u0301" * 500 + " dog").encode(),
    "special tokens": b"[CLS] a dog [SEP] [PAD] [MASK] [DEC] [ENC]",
}


def table(rows, schema=PLAIN):
    return pa.Table.from_pylist([dict(zip(schema.names, row)) for row in rows], schema)


def clean(folder):
    pq.write_table(table(good_rows()), folder / "a.parquet")


def rows(folder):
    """Write the clean rows with a bad row after each, in row groups of 16."""
    good = good_rows()
    images = bad_images(good[0][1], good[1][1])
    bad = [(key, image, b"a picture that is broken") for key, image in images.items()]
    bad += [(key, good[i % len(good)][1], text) for i, (key, text) in enumerate(TEXTS.items())]
    mixed = []
    for i in range(max(len(good), len(bad))):
        mixed += [(key, image, text.encode()) for key, image, text in good[i : i + 1]] + bad[i : i + 1]
    pq.write_table(table(mixed, BYTES), folder / "a.parquet", row_group_size=16)


def spellings(folder):
    """Write the same six rows in every Parquet and Arrow form that a writer may choose."""
    six = table(good_rows(6))
    key, jpg, caption = six.columns

    def columns(**other):
        return pa.table({"key": key, "jpg": jpg, "caption": caption, **other})

    numbers = range(6)
    forms = {
        "plain": columns(),
        "dictionary": columns(
            key=key.dictionary_encode(), jpg=jpg.dictionary_encode(), caption=caption.dictionary_encode()
        ),
        "large": columns(
            key=key.cast(pa.large_string()),
            jpg=jpg.cast(pa.large_binary()),
            caption=caption.cast(pa.large_string()),
        ),
        "views": columns(
            key=key.cast(pa.string_view()),
            jpg=jpg.cast(pa.binary_view()),
            caption=caption.cast(pa.string_view()),
        ),
        "text as bytes": columns(caption=caption.cast(pa.binary())),
        "text as large bytes": columns(caption=caption.cast(pa.large_binary())),
        "int64 key": columns(key=pa.array(numbers, pa.int64())),
        "int32 key": columns(key=pa.array(numbers, pa.int32())),
        "uint16 key": columns(key=pa.array(numbers, pa.uint16())),
        "struct image": columns(jpg=structs(jpg, pa.binary(), path="x.jpg")),
        "struct image, large": columns(jpg=structs(jpg, pa.large_binary(), path="x.jpg")),
        "struct image, bytes alone": columns(jpg=structs(jpg, pa.binary())),
        "struct image, more fields": columns(jpg=structs(jpg, pa.binary(), path=None, width=3)),
        "other order, other columns": pa.table(
            {"caption": caption, "x.y": pa.array(numbers), "jpg": jpg, "Caption": key, "key": key}
        ),
    }
    for name, form in forms.items():
        pq.write_table(form, folder / f"{name}.parquet")
    for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
        pq.write_table(six, folder / f"codec {codec}.parquet", compression=codec)
    pq.write_table(six, folder / "format 1.0.parquet", version="1.0", store_schema=False)
    pq.write_table(six, folder / "pages 2.0.parquet", data_page_version="2.0", write_page_checksum=True)
    pq.write_table(six, folder / "a row group for each row.parquet", row_group_size=1)
    pq.write_table(
        six, folder / "tiny pages.parquet", data_page_size=1, write_batch_size=1, write_page_index=True
    )
    for encoding in ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"):
        pq.write_table(
            six,
            folder / f"{encoding}.parquet",
            use_dictionary=False,
            column_encoding={name: encoding for name in six.schema.names},
        )
    with pq.ParquetWriter(folder / "an empty row group first.parquet", six.schema) as writer:
        writer.write_table(six.slice(0, 0))
        writer.write_table(six)


def structs(jpg, kind, **more):
    cells = [{"bytes": cell.as_py(), **more} for cell in jpg]
    fields = {"bytes": kind, **{name: pa.int32() if name == "width" else pa.string() for name in more}}
    return pa.array(cells, pa.struct(fields))


def odd(folder):
    """Write pass-through columns of rare types."""
    moment = datetime.datetime(2024, 2, 29, 12, 30, 1, 5)
    kinds = {
        "a list of structs": (
            [[{"x": 1, "y": None}], [], None],
            pa.list_(pa.struct({"x": pa.int8(), "y": pa.string()})),
        ),
        "a map": ([[("a", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        "lists of lists": ([[[1], []], [None], None], pa.list_(pa.list_(pa.int64()))),
        "a struct": (
            [{"a": {"b": b"\xff"}}, {"a": None}, None],
            pa.struct({"a": pa.struct({"b": pa.binary()})}),
        ),
        "fixed list": ([[1.5, 2.5], [0.0, -0.0], None], pa.list_(pa.float32(), 2)),
        "large list": ([[1], [], None], pa.large_list(pa.uint64())),
        "decimal": ([decimal.Decimal("1.25"), decimal.Decimal("-9999999.99"), None], pa.decimal128(20, 2)),
        "wide decimal": ([decimal.Decimal(10) ** 60, decimal.Decimal(-1), None], pa.decimal256(70, 0)),
        "day": ([moment.date(), datetime.date(1, 1, 1), None], pa.date32()),
        "time": ([moment.time(), datetime.time(0), None], pa.time64("us")),
        "moment": ([moment, datetime.datetime(1900, 1, 1), None], pa.timestamp("us")),
        "moment somewhere": (
            [moment.astimezone(datetime.timezone.utc), None, None],
            pa.timestamp("ms", tz="Asia/Tokyo"),
        ),
        "half": ([1.5, float("inf"), None], pa.float16()),
        "nothing": ([None, None, None], pa.null()),
        "sixteen bytes": ([b"0123456789abcdef", bytes(16), None], pa.binary(16)),
        "raw": ([b"\xff\x00", b"", None], pa.binary()),
        "flag": ([True, False, None], pa.bool_()),
        "category": (["a", "b", None], pa.dictionary(pa.int8(), pa.string())),
        "text view": (["a", "\U0001f436\u202e\n", None], pa.string_view()),
        '\U0001f436 "quoted" \\ name.with.dots\n': (["a", "b", None], pa.large_string()),
    }
    good = good_rows(3)
    columns = {
        "key": pa.array([row[0] for row in good]),
        "jpg": pa.array([row[1] for row in good]),
        "caption": pa.array([row[2] for row in good]),
    }
    columns |= {name: pa.array(values, kind) for name, (values, kind) in kinds.items()}
    pq.write_table(pa.table(columns), folder / "a.parquet")
    print(json.dumps(list(kinds), ensure_ascii=False))  # TOML has no surrogate pairs


def keys(folder):
    good = good_rows(6)
    texts = ["twice", "twice", None, "", "\U0001f436\u202e\n\0", "k" * 5_000]
    numbers = [7, 7, None, -(2**63), 2**63 - 1, 0]
    for name, kind, values in (("text", pa.string(), texts), ("number", pa.int64(), numbers)):
        fields = {
            "key": pa.array(values, kind),
            "jpg": pa.array([row[1] for row in good]),
            "caption": pa.array([row[2] for row in good]),
        }
        pq.write_table(pa.table(fields), folder / f"{name}.parquet")


def paths(folder):
    """Write rows with paths of objects; most paths are wrong."""
    good = good_rows(2)
    (folder / "images").mkdir()
    for name, content in {
        "good.png": good[0][1],
        "empty.jpg": b"",
        "text.jpg": b"no image",
        "large.jpg": bytes(70_000),
    }.items():
        (folder / "images" / name).write_bytes(content)
    named = {
        "good": "images/good.png",
        "whole URL": f"{folder}/images/good.png",
        "empty": "images/empty.jpg",
        "no image": "images/text.jpg",
        "large": "images/large.jpg",
        "gone": "images/gone.jpg",
        "folder": "images",
        "elsewhere": "/etc/passwd",
        "another scheme": "file:///etc/passwd",
        "another bucket": "s3://bucket/a.jpg",
        "above": "images/../../a.jpg",
        "no name": "",
        "nul": "images/a\0.jpg",
        "long name": "a" * 5_000,
        "many folders": "a/" * 3_000 + "b.jpg",
        "null": None,
    }
    schema = pa.schema({"key": pa.string(), "jpg": pa.string(), "caption": pa.string()})
    pq.write_table(
        table([(key, path, "a picture") for key, path in named.items()], schema), folder / "a.parquet"
    )


def files(folder):
    """Write good files between files that are not Parquet or that fail when they are read."""
    good = good_rows()
    whole = table(good)
    pq.write_table(whole.slice(0, 12), folder / "a good one.parquet", row_group_size=4)
    pq.write_table(whole.slice(12), folder / "z good one.parquet")
    content = (folder / "z good one.parquet").read_bytes()
    footer = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "four bytes.parquet").write_bytes(b"PAR1")
    (folder / "magic twice.parquet").write_bytes(b"PAR1PAR1")
    (folder / "zeros.parquet").write_bytes(bytes(10_000))
    (folder / "csv.parquet").write_text("key,jpg,caption\n1,,a dog\n" * 100)
    (folder / "cut.parquet").write_bytes(content[: len(content) // 2])
    (folder / "cut in the middle, footer mended.parquet").write_bytes(
        content[: footer // 2] + content[footer:]
    )
    (folder / "end alone.parquet").write_bytes(content[len(content) // 2 :])
    (folder / "damaged footer.parquet").write_bytes(content[:footer] + b"\xff" * 60 + content[footer + 60 :])
    (folder / "vast footer.parquet").write_bytes(content[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1")
    (folder / "encrypted.parquet").write_bytes(content[:-4] + b"PARE")
    pq.write_table(whole.drop_columns("jpg"), folder / "no image.parquet")
    pq.write_table(whole.drop_columns("caption"), folder / "no text.parquet")
    pq.write_table(pa.table({}), folder / "no columns.parquet")

    def typed(name, values):
        return whole.set_column(whole.schema.get_field_index(name), name, [values])

    pq.write_table(typed("jpg", pa.array(range(24))), folder / "image of numbers.parquet")
    pq.write_table(typed("jpg", pa.array([[1, 2]] * 24)), folder / "image of lists.parquet")
    pq.write_table(typed("jpg", pa.array([{"data": b"x"}] * 24)), folder / "image of another struct.parquet")
    pq.write_table(typed("caption", pa.array([1.5] * 24)), folder / "text of numbers.parquet")
    pq.write_table(typed("caption", pa.array([[1, 2]] * 24)), folder / "text of lists of numbers.parquet")
    pq.write_table(typed("key", pa.array([1.5] * 24)), folder / "key of fractions.parquet")
    pq.write_table(whole.slice(0, 0), folder / "no rows.parquet")
    pq.ParquetWriter(folder / "no row groups.parquet", PLAIN).close()
    broken_pages(folder, whole)


def broken_pages(folder, whole):
    """Write files with valid footers and damaged pages."""
    path = folder / "damaged page header.parquet"
    pq.write_table(whole.slice(0, 4), path, use_dictionary=False, compression="none")
    at = pq.read_metadata(path).row_group(0).column(2).data_page_offset
    overwrite(path, at, b"\xff" * 12)
    path = folder / "damaged page.parquet"
    pq.write_table(whole.slice(4, 4), path, use_dictionary=False, compression="gzip")
    column = pq.read_metadata(path).row_group(0).column(1)
    overwrite(path, column.data_page_offset + column.total_compressed_size // 2, b"\xff" * 200)
    path = folder / "lengths beyond the page.parquet"
    pq.write_table(whole.slice(8, 4), path, use_dictionary=False, compression="none", store_schema=False)
    column = pq.read_metadata(path).row_group(0).column(2)
    text = path.read_bytes().index(b"Part 8", column.data_page_offset)
    overwrite(path, text - 4, struct.pack("<I", 2**31 - 1))


def panics(folder):
    """Write a page that makes the `parquet` crate panic: a run of levels without bytes; then a good file."""
    whole = table(good_rows(8))
    path = folder / "a.parquet"
    pq.write_table(whole.slice(0, 4), path, use_dictionary=False, compression="none")
    levels = b"\x02\0\0\0\x08\x01"  # length; a run of four, all of them 1
    at = path.read_bytes().index(levels, pq.read_metadata(path).row_group(0).column(2).data_page_offset)
    overwrite(path, at, b"\x01\0\0\0\x7f")
    pq.write_table(whole.slice(4), folder / "b.parquet")


def overwrite(path, at, content):
    changed = bytearray(path.read_bytes())
    changed[at : at + len(content)] = content
    path.write_bytes(changed)


def nothing(folder):
    (folder / "readme.txt").write_text("the data are elsewhere")
    (folder / "_hidden.parquet").write_bytes(b"")


def budget(folder):
    """Write one good row group, and one in which 25 of 40 images cannot be decoded."""
    good = good_rows(15)
    broken = [(f"broken {i}", good[1][1][:300], "a picture that is broken") for i in range(25)]
    with pq.ParquetWriter(folder / "a.parquet", PLAIN) as writer:
        writer.write_table(table(good))
        writer.write_table(table(good + broken))


CASES = [clean, rows, spellings, odd, keys, paths, files, panics, nothing, budget]


def passed(job, source):
    """Print the pass-through columns that differ from the input's, with both values."""
    [pairs], source = committed(job)["pairs"], pq.read_table(source)
    pairs = pq.read_table(pairs)
    common = [name for name in pairs.schema.names if name in source.schema.names and name != "key"]
    values = {name: (pairs[name].to_pylist(), source[name].to_pylist()) for name in common}
    other = {name: [repr(found), repr(wanted)] for name, (found, wanted) in values.items() if found != wanted}
    print(json.dumps({"rows": pairs.num_rows, "columns": common, "other": other}))


if __name__ == "__main__":
    command, first, second = sys.argv[1:]
    if command == "passed":
        passed(pathlib.Path(first), pathlib.Path(second))
    else:
        folder = pathlib.Path(second)
        folder.mkdir(parents=True, exist_ok=True)
        {case.__name__: case for case in CASES}[first](folder)
