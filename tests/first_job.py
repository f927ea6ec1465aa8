"""The Python side of a first job: photographs in a tar, counts of the pairs, and training on an export.

usage: first_job.py make FOLDER SEED    writes FOLDER/photos-00000.tar: 90 crops of scikit-image's photographs
       first_job.py count FILE ...      prints the rows and the kept texts of Parquet files, by DuckDB
       first_job.py train FOLDER        trains a small open_clip model for 50 steps on the tars of an export;
                                        prints the losses
"""

import io
import json
import pathlib
import random
import sys
import tarfile

STEPS = 50
SUFFIXES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
PHOTOGRAPHS = {
    "astronaut": "an astronaut in an orange space suit",
    "camera": "a man with a camera on a tripod",
    "chelsea": "a tabby cat with green eyes",
    "coffee": "a cup of coffee with a spoon",
    "coins": "old coins on a dark table",
    "hubble_deep_field": "a deep field of galaxies",
    "moon": "the surface of the moon",
    "rocket": "a rocket on its launch pad",
}


def crop(image, choice):
    """A part of a photograph, at random turned over and as grey values."""
    width, height = (int(side * choice.uniform(0.4, 0.9)) for side in image.size)
    left, top = (choice.randrange(whole - part) for whole, part in zip(image.size, (width, height)))
    image = image.crop((left, top, left + width, top + height)).resize((160, 120))
    return image.convert(choice.choice(["RGB", "RGB", "L"]))


def make(folder, seed):
    import skimage.data
    from PIL import Image

    choice = random.Random(seed)
    photographs = [
        (Image.fromarray(getattr(skimage.data, name)()), text) for name, text in PHOTOGRAPHS.items()
    ]
    folder.mkdir()
    with tarfile.open(folder / "photos-00000.tar", "w") as tar:
        for row in range(90):
            image, text = photographs[row % len(photographs)]
            suffix = list(SUFFIXES)[row % len(SUFFIXES)]
            encoded = io.BytesIO()
            crop(image, choice).save(encoded, SUFFIXES[suffix])
            # Every third text belongs to another photograph.
            text = text if row % 3 else choice.choice(list(PHOTOGRAPHS.values()))
            record = json.dumps({"url": f"https://example.org/{row}", "license": "CC0"})
            for name, data in ((suffix, encoded.getvalue()), ("txt", text), ("json", record)):
                data = data if isinstance(data, bytes) else data.encode()
                member = tarfile.TarInfo(f"{row:06}.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def count(files):
    import duckdb

    counts = duckdb.sql(f"select count(*), sum(len(texts)), count(url) from read_parquet({files})")
    rows, texts, urls = map(int, counts.fetchall()[0])
    print(json.dumps({"rows": rows, "texts": texts, "urls": urls}))


def train(folder):
    import open_clip
    import torch
    import webdataset

    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    path = folder.parent / "small-for-tests.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    torch.manual_seed(0)
    model, preprocess, _ = open_clip.create_model_and_transforms("small-for-tests")
    tokenize, loss_of = open_clip.SimpleTokenizer(context_length=32), open_clip.ClipLoss()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    tars = sorted(map(str, folder.glob("*.tar")))
    samples = webdataset.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("jpg", "txt").repeat()
    batches = samples.map_tuple(preprocess, lambda text: tokenize(text)[0]).batched(8, partial=False)
    losses = []
    for images, tokens in batches:
        loss = loss_of(*model(images, tokens))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if len(losses) == STEPS:
            break
    print(json.dumps(losses))


command, *arguments = sys.argv[1:]
if command == "make":
    make(pathlib.Path(arguments[0]), int(arguments[1]))
elif command == "count":
    count(arguments)
else:
    train(pathlib.Path(arguments[0]))
