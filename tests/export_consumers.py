"""Print the samples that the readers of training programs yield from a WebDataset export.

usage: export_consumers.py FOLDER    (the export's data folder); prints sorted texts by reader as JSON

The readers are the original programs, called as users call them. The exception is LAVIS, which cannot be
installed beside current libraries: its `LaionDataset` is copied below.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
WORKERS = 4


def tars(folder):
    return sorted(str(path) for path in folder.glob("*.tar"))


def pattern(folder):
    """Return the files in the notation of open_clip's command line."""
    return f"{folder}/pairs-{{00000..{len(tars(folder)) - 1:05}}}.tar"


def open_clip(folder):
    """Read with open_clip's pipelines for evaluation and for training, with four loader workers."""
    from types import SimpleNamespace

    from open_clip_train.data import get_dataset_size, get_wds_dataset

    arguments = SimpleNamespace(
        train_data=pattern(folder),
        val_data=pattern(folder),
        train_num_samples=None,
        val_num_samples=None,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        seed=0,
        batch_size=1,
        workers=WORKERS,
        world_size=1,
        distributed=False,
        rank=0,
        local_rank=0,
    )
    total, shards = get_dataset_size(pattern(folder))
    assert shards == len(tars(folder)) and total is not None, "sizes.json is not beside the tars"
    arguments.val_num_samples = total
    as_is = dict(
        preprocess_img=lambda image: image.convert("RGB").resize((8, 8)).tobytes(),
        tokenizer=lambda text: [text],
    )
    # In training, batches of images are tensors; one sample per batch keeps the images unchanged.
    loader = get_wds_dataset(arguments, **as_is, is_train=False).dataloader
    texts = [text for _, batch in loader for text in batch]
    train = get_wds_dataset(arguments, **as_is, is_train=True).dataloader
    assert train.num_samples >= total and next(iter(train))
    return texts


def webdataset(folder):
    import webdataset as wds

    dataset = wds.WebDataset(tars(folder), shardshuffle=False).decode("pil").to_tuple("jpg", "txt", "json")
    texts = []
    for image, text, record in dataset:
        assert image.size == (record["width"], record["height"]) and record["caption"] == text
        texts.append(text)
    return texts


def datasets(folder, streaming):
    import datasets as hf
    from PIL.Image import Image

    hf.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        table = hf.load_dataset(
            "webdataset",
            data_files={"train": tars(folder)},
            split="train",
            streaming=streaming,
            cache_dir=cache,
        )
        by_folder = hf.load_dataset(str(folder), split="train", streaming=streaming, cache_dir=cache)
        assert next(iter(by_folder))["txt"] == next(iter(table))["txt"]
        texts = []
        for sample in table:
            assert isinstance(sample["jpg"], Image) and sample["json"]["caption"] == sample["txt"]
            assert sample["json"]["captions"] and all(
                type(caption["itm"]) is float for caption in sample["json"]["captions"]
            )
            texts.append(sample["txt"])
        return texts


def energon(folder):
    """Run `energon prepare` on a copy of the folder's files, and its loader for one epoch."""
    from megatron.energon import WorkerConfig, get_loader, get_val_dataset

    with tempfile.TemporaryDirectory() as place:
        copy = pathlib.Path(place) / "data"
        copy.mkdir()
        for path in folder.iterdir():
            (copy / path.name).symlink_to(path)
        prepare = [
            str(pathlib.Path(sys.executable).parent / "energon"),
            "prepare",
            "--non-interactive",
            "--split-ratio",
            "0,1,0",
            "--sample-type",
            "CaptioningSample",
            "--field-map",
            '{"image": "jpg", "caption": "txt"}',
            str(copy),
        ]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
        worker = WorkerConfig(rank=0, world_size=1, num_workers=0)
        loader = get_loader(get_val_dataset(str(copy), worker_config=worker, batch_size=1))
        texts = []
        for batch in loader:
            assert batch.image.ndim == 4
            texts.extend(batch.caption)
        return texts


def energon_as_is(folder):
    """Read an export for Energon, without `energon prepare`, for one epoch of training."""
    from megatron.energon import WorkerConfig, get_loader, get_train_dataset

    dataset = get_train_dataset(
        str(folder),
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=2),
        batch_size=1,
        shuffle_buffer_size=16,
        max_samples_per_sequence=None,
        repeat=False,
    )
    texts = []
    for batch in get_loader(dataset):
        assert batch.image.ndim == 4 and batch.image.shape[1] == 3
        texts.extend(batch.caption)
    return texts


def mosaic(folder, shuffle):
    """Read with MosaicML's StreamingDataset, in order or shuffled."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    texts = []
    dataset = StreamingDataset(local=str(folder), shuffle=shuffle, shuffle_seed=3, batch_size=1)
    for sample in dataset:
        assert sample["image"].convert("RGB").size == (sample["width"], sample["height"])
        own = [caption for caption in sample["captions"] if caption["text"] == sample["caption"]]
        assert abs(own[0]["itm"] - sample["itm"]) < 1e-6 and own[0]["source"] == sample["source"]
        assert (sample["itm"] == -1) == (sample["source"] == "human") == (sample["url"] == "")
        assert type(sample["likes"]) is int and type(sample["licence"]) is str and sample["share"] >= 0
        texts.append(sample["caption"])
    first = [sample["caption"] for sample in (dataset[i] for i in range(len(dataset)))]
    assert sorted(first) == sorted(texts) and (first != texts) == shuffle
    return texts


def lavis(folder):
    """Read with LAVIS's `LaionDataset`.

    It skips, with a warning, a sample without `jpg` or `json`, or whose record has no `caption`.
    """
    import webdataset as wds

    def to_dict(sample):
        return {"image": sample[0], "text_input": sample[1]["caption"]}

    dataset = wds.DataPipeline(
        wds.SimpleShardList(tars(folder)),
        wds.tarfile_to_samples(handler=wds.warn_and_continue),
        wds.shuffle(1000, handler=wds.warn_and_continue),
        wds.decode("pilrgb", handler=wds.warn_and_continue),
        wds.to_tuple("jpg", "json", handler=wds.warn_and_continue),
        wds.map(to_dict, handler=wds.warn_and_continue),
    )
    return [sample["text_input"] for sample in dataset]


def of_card(folder):
    """Read the whole export, whose dataset card says where its data are."""
    import datasets

    cache = tempfile.mkdtemp()
    data = datasets.load_dataset(str(folder.parent), split="train", cache_dir=cache)
    name = "caption" if "caption" in data.column_names else "txt"
    return [row[name] for row in data.select_columns([name])]


def imagefolder(folder):
    import datasets

    cache = tempfile.mkdtemp()
    data = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=cache)
    return [row["text"] for row in data if row["image"].size == (row["width"], row["height"])]


def sidecars(folder):
    """Read an image and the first line of the text file beside it, as trainers of diffusion models do."""
    from PIL import Image

    texts = []
    for path in (folder / "images").rglob("*"):
        if path.is_file() and path.suffix != ".txt":
            Image.open(path).load()
            texts.append(path.with_suffix(".txt").read_text().splitlines()[0])
    return texts


def llava(folder):
    """Read the list and the images in the way of LLaVA's training, whose code is not a package."""
    from PIL import Image

    texts = []
    for path in sorted(folder.glob("pairs-*.json")):
        for sample in json.loads(path.read_text()):
            Image.open(folder / sample["image"]).convert("RGB")
            human, answer = sample["conversations"]
            if (
                human["from"] == "human"
                and human["value"].startswith("<image>\n")
                and answer["from"] == "gpt"
            ):
                texts.append(answer["value"])
    return texts


# Readers of the tars; the other readers have their own formats.
TAR_READERS = ("open_clip", "webdataset", "datasets", "datasets, streaming", "energon", "LAVIS")

READERS = {
    "open_clip": open_clip,
    "webdataset": webdataset,
    "datasets": lambda folder: datasets(folder, streaming=False),
    "datasets, streaming": lambda folder: datasets(folder, streaming=True),
    "energon": energon,
    "energon, prepared": energon_as_is,
    "mosaicml-streaming": lambda folder: mosaic(folder, shuffle=False),
    "mosaicml-streaming, shuffled": lambda folder: mosaic(folder, shuffle=True),
    "LAVIS": lavis,
    "the dataset card": of_card,
    "imagefolder": imagefolder,
    "sidecars": sidecars,
    "LLaVA": llava,
}


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:] or TAR_READERS
    # Messages of the libraries go to standard error: standard output is for the result.
    with contextlib.redirect_stdout(sys.stderr):
        read = {name: sorted(READERS[name](folder)) for name in wanted}
    json.dump(read, sys.stdout)


if __name__ == "__main__":
    main()
