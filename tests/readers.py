#!/usr/bin/env python3
"""Write photographs as web data in three layouts, or read a job's tables with four readers.

usage: readers.py write FOLDER       inputs in FOLDER: img2dataset/, huggingface/, paths/; prints digests
       readers.py read JOB           {reader: {"ledger": [...], "pairs": [...]}} for pyarrow, duckdb, polars
                                     and datasets
       readers.py images JOB         the pairs' images as `datasets` decodes them
       readers.py passed JOB INPUT COLUMN [...]    pass-through columns against the input's, by key
       readers.py referenced JOB INPUT COLUMN      digests of the bytes that the pairs point at

The photographs are the image files inside scikit-image's wheel. Prints JSON.
"""

import datetime
import decimal
import hashlib
import io
import json
import os
import pathlib
import sys
import tempfile

SCRATCH = tempfile.TemporaryDirectory()
os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=SCRATCH.name)  # before `datasets` is imported, which reads them

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from tables import committed, shown

ENDINGS = {".png", ".jpg", ".gif", ".tif"}
NOT_FOR_PILLOW = {"multipage_rgb.tif"}  # its samples are arrays of 15 × 10 × 3 for scientists
TEXTS = {
    "astronaut": "Portrait of an astronaut in an orange suit",
    "chelsea": "A ginger cat watches you!!!",
    "coffee": "cup of coffee on a saucer, with a spoon",
    "rocket": "Rocket launch pad at night",
    "coins": "Greek coins from Pompeii",
    "horse": "black horse on a white background",
    "logo": "IMG_2041.JPG",
    "page": "馬",
    "moon": None,
    "text": "",
}
# Names that a store must not change.
AWKWARD = {"astronaut": "an astronaut", "chelsea": "chât~1", "coffee": "咖啡", "rocket": "50%25 [b] a#b?"}


def photographs():
    """Return [(name, bytes, text)] in a fixed order."""
    import skimage

    files = sorted(
        path
        for path in (pathlib.Path(skimage.__file__).parent / "data").iterdir()
        if path.suffix in ENDINGS and path.name not in NOT_FOR_PILLOW
    )
    return [
        (path.name, path.read_bytes(), TEXTS.get(path.stem, f"a photograph of {path.stem.replace('_', ' ')}"))
        for path in files
    ]


def write(folder):
    """Write the three inputs; return {input: {key or path: SHA-256 of the image}}."""
    images = photographs()
    return {
        "img2dataset": write_img2dataset(folder / "img2dataset", images),
        "huggingface": write_huggingface(folder / "huggingface", images),
        "paths": write_paths(folder / "paths", images),
    }


def write_img2dataset(folder, images):
    """Write two files with small row groups; every fifth download has failed."""
    folder.mkdir(parents=True)
    rows = []
    for name, content, text in images:
        if len(rows) % 5 == 2:
            rows.append(
                img2dataset_row(len(rows), "failed_to_download", "gone.jpg", None, "a picture that is gone")
            )
        rows.append(img2dataset_row(len(rows), "success", name, content, text))
    text = {
        "key": pa.string(),
        "status": pa.string(),
        "error_message": pa.string(),
        "url": pa.string(),
        "caption": pa.string(),
    }
    number = {name: pa.int32() for name in ("width", "height", "original_width", "original_height")}
    rest = {
        "exif": pa.string(),
        "sha256": pa.string(),
        "jpg": pa.binary(),
        "seen at": pa.timestamp("us", tz="UTC"),
        "licence": pa.decimal128(4, 1),
    }
    schema = pa.schema({**text, **number, **rest})
    half = len(rows) // 2
    for i, part in enumerate((rows[:half], rows[half:])):
        pq.write_table(pa.Table.from_pylist(part, schema), folder / f"{i:05}.parquet", row_group_size=6)
    return {row["key"]: row["sha256"] for row in rows if row["jpg"]}


def img2dataset_row(at, status, name, content, text):
    from PIL import Image

    width, height = Image.open(io.BytesIO(content)).size if content else (None, None)
    return {
        "key": f"{at:09}",
        "status": status,
        "error_message": None if content else "HTTP Error 404: Not Found",
        "url": f"https://example.org/{name}",
        "caption": text,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "exif": "{}" if content else None,
        "sha256": hashlib.sha256(content).hexdigest() if content else None,
        "jpg": content,
        "seen at": datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(hours=at),
        "licence": decimal.Decimal(at) / 2,
    }


def write_huggingface(folder, images):
    folder.mkdir(parents=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": image, "text": pa.string(), "image_id": pa.int64()})
    rows = [
        {"image": {"bytes": content, "path": name}, "text": text, "image_id": i}
        for i, (name, content, text) in enumerate(images)
    ]
    pq.write_table(
        pa.Table.from_pylist(rows, schema), folder / "train-00000-of-00001.parquet", row_group_size=10
    )
    return {str(i): shown(content) for i, (_, content, _) in enumerate(images)}


def write_paths(folder, images):
    (folder / "images").mkdir(parents=True)
    rows = []
    for name, content, text in images:
        stem, ending = name.rsplit(".", 1)
        path = f"images/{AWKWARD.get(stem, stem)}.{ending}"
        (folder / path).write_bytes(content)
        rows.append({"file": path, "alt": text})
    pq.write_table(pa.Table.from_pylist(rows), folder / "index ü.parquet")
    return {row["file"]: shown(content) for row, (_, content, _) in zip(rows, images)}


def by_pyarrow(paths):
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def by_duckdb(paths):
    import duckdb

    table = duckdb.execute("SELECT * FROM read_parquet($1)", [[str(path) for path in paths]])
    names = [column[0] for column in table.description]
    return [dict(zip(names, row)) for row in table.fetchall()]


def by_polars(paths):
    import polars

    return polars.read_parquet(paths).to_dicts()


def by_datasets(paths):
    table = as_dataset(paths)
    if "image" in table.column_names:
        import datasets

        table = table.cast_column("image", datasets.Image(decode=False))
    return list(table)


def as_dataset(paths):
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(
        "parquet", data_files=[str(path) for path in paths], split="train", cache_dir=SCRATCH.name
    )


READERS = {"pyarrow": by_pyarrow, "duckdb": by_duckdb, "polars": by_polars, "datasets": by_datasets}


def read(job):
    tables = committed(job)
    columns = {"ledger": None, "pairs": {"key", "image", "texts", "width", "height"}}

    def seen(row, names):
        return {name: shown(value) for name, value in row.items() if names is None or name in names}

    return {
        reader: {
            table: [seen(row, names) for row in read_all(tables[table])] for table, names in columns.items()
        }
        for reader, read_all in READERS.items()
    }


def images(job):
    """Return the pairs by `datasets`: its features, each picture's size, and the first row of a stream."""
    import datasets
    import PIL.Image

    paths = committed(job)["pairs"]
    table = as_dataset(paths)
    stream = datasets.load_dataset(
        "parquet",
        data_files=[str(path) for path in paths],
        split="train",
        streaming=True,
        cache_dir=SCRATCH.name,
    )
    return {
        "feature": type(table.features["image"]).__name__,
        "pictures": all(isinstance(row["image"], PIL.Image.Image) for row in table),
        "sizes": [row["image"].convert("RGB").size for row in table],
        "streamed": next(iter(stream))["image"].size,
    }


def passed(job, web, columns):
    """Return the columns whose type or values differ from the input's, row for row by `key`."""
    pairs = pa.concat_tables(pq.read_table(path) for path in committed(job)["pairs"])
    source = pa.concat_tables(pq.read_table(path) for path in sorted(web.glob("*.parquet")))
    at = {key: i for i, key in enumerate(source["key"].to_pylist())}
    wanted = source.take([at[key] for key in pairs["key"].to_pylist()])
    other = [
        name
        for name in columns
        if pairs.schema.field(name).type != source.schema.field(name).type
        or pairs[name].to_pylist() != wanted[name].to_pylist()
    ]
    return {"rows": pairs.num_rows, "order": pairs.schema.names, "other": other}


def referenced(job, web, column):
    """Return the target of each pair's path: an object of the input, or `file#row` for a row's image."""
    digests = []
    for image in (
        row["image"] for path in committed(job)["pairs"] for row in pq.read_table(path).to_pylist()
    ):
        assert image["bytes"] is None
        file, _, row = image["path"].rpartition("#")
        if row.isdecimal():
            cell = pq.read_table(web / file, columns=[column])[column][int(row)].as_py()
            digests.append(shown(cell["bytes"] if isinstance(cell, dict) else cell))
        else:
            digests.append(shown((web / image["path"]).read_bytes()))
    return digests


if __name__ == "__main__":
    command, place, *rest = sys.argv[1:]
    commands = {
        "write": write,
        "read": read,
        "images": images,
        "passed": lambda job: passed(job, pathlib.Path(rest[0]), rest[1:]),
        "referenced": lambda job: referenced(job, pathlib.Path(rest[0]), rest[1]),
    }
    json.dump(commands[command](pathlib.Path(place)), sys.stdout)
