"""What an export holds, read by the tools that trainers use, against what its sources hold. Prints one JSON object."""

import hashlib
import io
import json
import pathlib
import re
import sys
import tarfile

import pyarrow.parquet as pq
from PIL import Image


def cleaned(text):
    """BLIP's pre_caption."""
    text = re.sub(r'([.!"()*#:;~])', " ", text.lower())
    text = re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:30])


def rows(file, columns=None):
    """`pq.read_table` has threads that read ahead, and a process that ends soon after may die of them."""
    return pq.ParquetFile(file).read(columns=columns, use_threads=False).to_pylist()


def named(image, text, source):
    Image.open(io.BytesIO(image)).verify()
    return (hashlib.sha256(image).hexdigest(), text, source)


def human(folder):
    for path in sorted(pathlib.Path(folder).glob("*.parquet")):
        for row in rows(path, columns=["jpg", "caption"]):
            yield named(row["jpg"], cleaned(row["caption"]), "human")


def job(folder):
    """The pairs of every commit; its order is the plan's, which does not matter here."""
    for record in sorted(pathlib.Path(folder).glob("commits/*/0.json")):
        outputs = json.loads(record.read_text())["outputs"]
        for output in (output for output in outputs if output["table"] == "pairs"):
            for row in rows(pathlib.Path(folder) / output["path"]):
                for text in row["captions"]:
                    yield named(row["image"]["bytes"], cleaned(text["text"]), text["source"])


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
        assert (row["itm"] is None) == (row["source"] == "human")
        yield named(row["image"]["bytes"], row["caption"], row["source"])


def webdataset(_, data):
    samples = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            key, ending = member.name.split(".", 1)
            samples.setdefault(key, {})[ending] = tar.extractfile(member).read()
    for sample in samples.values():
        yield named(sample["jpg"], sample["txt"].decode(), json.loads(sample["json"])["source"])


def lists(folder, data):
    for entry in json.loads(data):
        yield named((folder / entry["image"]).read_bytes(), entry["caption"], entry["source"])


READ = {"parquet": parquet, "webdataset": webdataset, "json": lists}

form, folder, human_folder, job_folder = sys.argv[1:]
read = list(human(human_folder)) + list(job(job_folder))
first = {}
for image, text, source in read:
    first.setdefault((image, text), source)
wanted = {(image, text, source) for (image, text), source in first.items()}
found = list(exported(pathlib.Path(folder), form))
assert len(set(found)) == len(found), "a pair is there twice"
print(json.dumps({
    "read": len(read),
    "written": len(found),
    "missing": len(wanted - set(found)),
    "strange": len(set(found) - wanted),
    "by_source": {name: sum(source == name for *_, source in found) for name in ("human", "web", "synthetic")},
}))
