"""Read an export with the tools of trainers, and compare with its sources. Prints one JSON object.

usage: export.py compare FORMAT EXPORT HUMAN JOB      pairs of the export against those of its sources
       export.py folder EXPORT                        the data folder, read by pyarrow, polars and `datasets`
       export.py lists EXPORT                         images of the lists, opened from another folder
       export.py samples EXPORT                       every sample of a WebDataset export, with its record
       export.py make FOLDER                          inputs: `human` and `web`, images in six formats
       export.py broken FOLDER                        an input whose images are broken in several ways
       export.py similar FOLDER                       inputs `first` and `second`: pictures, and copies
       export.py large FOLDER N                       N inputs of 8 images of 2 MB each
"""

import collections
import hashlib
import io
import json
import os
import pathlib
import random
import re
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


def cleaned(text):
    """Apply BLIP's pre_caption without its limit of 30 words: the equality of two texts."""
    text = re.sub(r'([.!"()*#:;~])', " ", text.lower())
    return re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")


def rows(file, columns=None):
    """Read a table in this thread; threads of `pq.read_table` can crash a process that ends soon after."""
    return pq.ParquetFile(file).read(columns=columns, use_threads=False).to_pylist()


def named(image, text, source):
    Image.open(io.BytesIO(image)).verify()
    return (hashlib.sha256(image).hexdigest(), text, source)


def human(folder):
    for path in sorted(pathlib.Path(folder).glob("*.parquet")):
        for row in rows(path, columns=["jpg", "caption"]):
            yield named(row["jpg"], row["caption"], "human")


def job(folder):
    """Return the pairs of every commit, in the order of the plan, which does not matter here."""
    for record in sorted(pathlib.Path(folder).glob("commits/*/0.json")):
        outputs = json.loads(record.read_text())["outputs"]
        for output in (output for output in outputs if output["table"] == "pairs"):
            for row in rows(pathlib.Path(folder) / output["path"]):
                for text in row["texts"]:
                    yield named(row["image"]["bytes"], text["text"], text["source"])


def exported(folder, form):
    record = json.loads((folder / "export.json").read_text())
    for file in record["files"]:
        data = (folder / file["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"] and len(data) == file["bytes"]
        pairs = list(READ[form](folder, data))
        assert len(pairs) == file["pairs"], (len(pairs), file)
        yield from pairs


def parquet(_, data):
    for row in rows(io.BytesIO(data)):
        is_human = row["source"] == "human"
        assert (row["itm"] is None) == (row["cosine"] is None) == is_human, row
        assert {
            "text": row["caption"],
            "source": row["source"],
            "itm": row["itm"],
            "cosine": row["cosine"],
        } in row["captions"]
        yield named(row["image"]["bytes"], row["caption"], row["source"])


def members(data):
    samples = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            key, ending = member.name.split(".", 1)
            samples.setdefault(key, {})[ending] = tar.extractfile(member).read()
    return samples


def webdataset(_, data):
    for sample in members(data).values():
        assert list(sample) == ["jpg", "txt", "json"]
        record = json.loads(sample["json"])
        assert record["caption"] == sample["txt"].decode(), record
        assert Image.open(io.BytesIO(sample["jpg"])).size == (record["width"], record["height"])
        yield named(sample["jpg"], record["caption"], record["source"])


def kinds(value):
    """Return the types of a record, for comparison."""
    if isinstance(value, dict):
        return {name: kinds(part) for name, part in value.items()}
    if isinstance(value, list):
        return [kinds(part) for part in value[:1]]
    assert value is not None
    return type(value).__name__


def lists(folder, data):
    for entry in json.loads(data):
        yield named((folder / "data" / entry["image"]).read_bytes(), entry["caption"], entry["source"])


READ = {"parquet": parquet, "webdataset": webdataset, "json": lists}


def compare(form, folder, human_folder, job_folder):
    read = list(human(human_folder)) + list(job(job_folder))
    first = {}
    for image, text, source in read:
        first.setdefault((image, cleaned(text)), (text, source))
    wanted = {(image, text, source) for (image, _), (text, source) in first.items()}
    found = list(exported(pathlib.Path(folder), form))
    assert len(set(found)) == len(found), "a pair is there twice"
    return {
        "read": len(read),
        "written": len(found),
        "missing": len(wanted - set(found)),
        "strange": len(set(found) - wanted),
        "by_source": collections.Counter(source for *_, source in found),
    }


def folder(export):
    import datasets
    import polars
    import pyarrow.dataset

    data = f"{export}/data"
    datasets.disable_progress_bars()
    table = datasets.load_dataset(data, split="train", cache_dir=f"{export}.cache")
    return {
        "pyarrow": pyarrow.dataset.dataset(data).to_table(use_threads=False).num_rows,
        "polars": polars.read_parquet(data).height,
        "datasets": len(table),
        "images": sum(isinstance(row["image"], Image.Image) for row in table),
        "columns": table.column_names,
    }


def open_lists(export):
    data = pathlib.Path(export) / "data"
    os.chdir("/")
    entries = [entry for path in data.glob("*.json") for entry in json.loads(path.read_text())]
    return {
        "entries": len(entries),
        "opened": sum(Image.open(entry["image"]).size[0] > 0 for entry in entries),
    }


def samples(export):
    all_of_them = []
    for path in sorted((pathlib.Path(export) / "data").glob("*.tar")):
        for key, sample in members(path.read_bytes()).items():
            record = json.loads(sample["json"])
            image = hashlib.sha256(sample["jpg"]).hexdigest()
            all_of_them.append(
                {
                    "number": key,
                    "text": sample["txt"].decode(),
                    "record": record,
                    "image": image,
                    "kinds": kinds(record),
                }
            )
    return all_of_them


def picture(number, side=64):
    """Return a different picture for each number, in the six formats in turn."""
    chance = random.Random(number)
    image = Image.new("RGB", (side, side - 8), tuple(chance.randrange(256) for _ in range(3)))
    image.paste(
        tuple(chance.randrange(256) for _ in range(3)),
        (chance.randrange(30), 4, 60, chance.randrange(20, 50)),
    )
    out = io.BytesIO()
    image.save(out, FORMATS[number % len(FORMATS)])
    return out.getvalue()


def write(path, table, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(table), path, **options)


def make(folder):
    """Write web rows with other columns, and human rows: two texts per image with capitals and full stops."""
    web = [
        {
            "key": f"w{i}",
            "jpg": picture(i),
            "caption": f"A red square, number {i}.",
            "url": f"https://example.org/{i}",
            "licence": "cc" if i % 3 else None,
            "likes": i if i % 4 else None,
            "share": i / 7,
            "seen": [i],
        }
        for i in range(60)
    ]
    people = [
        {
            "key": f"h{i}-{text}",
            "jpg": picture(1000 + i),
            "caption": f"Picture {i}, said {text}: it's a Square!",
            "note": f"n{i}",
        }
        for i in range(45)
        for text in ("first", "second")
    ]
    write(folder / "web/web.parquet", web, row_group_size=20)
    write(folder / "human/human.parquet", people, row_group_size=30)


def broken(folder):
    """Write each format complete and cut in half; HTML, nothing, no text. The test expects this order."""
    whole = [{"jpg": picture(i, 200), "caption": f"whole {i}"} for i in range(6)]
    cut = [{"jpg": picture(i, 200)[: len(picture(i, 200)) // 2], "caption": f"cut {i}"} for i in range(6)]
    others = [
        {"jpg": b"<html>gone</html>", "caption": "a page"},
        {"jpg": b"", "caption": "nothing"},
        {"jpg": None, "caption": "null"},
        {"jpg": picture(7), "caption": "  "},
        {"jpg": picture(8), "caption": None},
    ]
    write(folder / "broken.parquet", whole + cut + others)


def scene(number):
    """Return a picture of smooth shapes, whose perceptual hash survives another size and quality."""
    chance = random.Random(7000 + number)
    small = Image.frombytes("L", (9, 8), chance.randbytes(72)).resize((270, 240), Image.Resampling.BICUBIC)
    return Image.merge("RGB", (small, small, small))


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def row(name, number, image):
    return {"key": f"{name}-{number}", "jpg": image, "caption": f"{name} {number}"}


def similar(folder):
    """Write 40 pictures, and 30 of them smaller and with less quality."""
    first = [row("first", i, saved(scene(i), "PNG")) for i in range(40)]
    smaller = (scene(i).resize((200, 180)) for i in range(30))
    second = [row("second", i, saved(image, "JPEG", quality=60)) for i, image in enumerate(smaller)]
    write(folder / "first/first.parquet", first, row_group_size=10)
    write(folder / "second/second.parquet", second, row_group_size=10)


def large(folder, count):
    """Write bitmaps of noise, which cannot be compressed."""
    for number in range(int(count)):
        chance = random.Random(number)
        table = []
        for i in range(8):
            out = io.BytesIO()
            Image.frombytes("RGB", (820, 820), chance.randbytes(820 * 820 * 3)).save(out, "BMP")
            table.append({"jpg": out.getvalue(), "caption": f"noise {number} {i}"})
        write(
            folder / f"large-{number}/large.parquet",
            table,
            row_group_size=4,
            compression="none",
            use_dictionary=False,
        )


def main():
    command, *rest = sys.argv[1:]
    commands = {
        "compare": lambda: compare(*rest),
        "folder": lambda: folder(*rest),
        "lists": lambda: open_lists(*rest),
        "samples": lambda: samples(*rest),
        "make": lambda: make(pathlib.Path(*rest)),
        "broken": lambda: broken(pathlib.Path(*rest)),
        "similar": lambda: similar(pathlib.Path(*rest)),
        "large": lambda: large(pathlib.Path(rest[0]), rest[1]),
    }
    json.dump(commands[command](), sys.stdout)


if __name__ == "__main__":
    main()
