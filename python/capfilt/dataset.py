"""A dataset for PyTorch: batches of pairs, in an order that any number of ranks and workers share."""

from __future__ import annotations

import concurrent.futures
import io
import os
import typing

import numpy as np
import torch
import torch.utils.data
from PIL import Image

from capfilt import blocks as blocks_of
from capfilt.blocks import Raw
from capfilt.cache import Cache
from capfilt.order import Share, Window, sample_generator, windows
from capfilt.texts import TextChoice

# Version of `CapFiltLoader.state_dict`.
STATE_VERSION = 1


class Sample(typing.TypedDict):
    """One sample of a batch."""

    key: str | None
    # What `transform` returned, by default a PIL image in RGB.
    image: typing.Any
    # The caption, or the list of captions with `text="all"`.
    text: str | list[str]


class CapFiltDataset(torch.utils.data.IterableDataset):
    """The pairs of a job or of an export, as batches.

    Use `loader()`, or a `DataLoader` with `batch_size=None`. The order depends on the seed, the epoch and the
    data alone (`capfilt.order`): with equal ranks × batch size, any number of ranks and workers delivers the
    same samples at the same step.

    Args:
        source: URL of a job, folder of an export, Parquet file or pattern; or a list of them.
        batch_size: samples per batch of one rank.
        transform: called with a PIL image in RGB; its result is the sample's `image`.
        collate: called with the list of samples of a batch; its result is the batch. Default:
            `torch.utils.data.default_collate` if there is a `transform`, else the list.
        text: which text of an image: `best`, `random`, `all`, or a `TextChoice`.
        seed: seed of shuffle and choice; None: the order of the data.
        shuffle_rows: samples that are shuffled together, at least; memory: see below.
        drop_last: leave out the last samples if they do not fill a batch of every rank. With False, ranks may
            have different numbers of batches, which makes collective operations wait for ever.
        manifest: number of the job's version; default: the newest.
        cut: name of a cut of the job, made with --materialise (`capfilt recut`).
        cache: folder for copies of files in a store; default: below the user's cache.
        rank, ranks: default: those of torch.distributed, else `RANK` and `WORLD_SIZE`, else 0 of 1.

    A worker holds the encoded images of its samples of two windows: 2 × shuffle_rows × image size / (ranks ×
    workers) bytes. It reads each row group of a window as a whole.

    Images that cannot be decoded are left out of their batch and counted (`decode_errors`).
    """

    def __init__(
        self,
        source: str | os.PathLike | typing.Sequence[str | os.PathLike],
        *,
        batch_size: int,
        transform: typing.Callable | None = None,
        collate: typing.Callable | None = None,
        text: str | TextChoice = "best",
        seed: int | None = 0,
        shuffle_rows: int = 8192,
        drop_last: bool = True,
        manifest: int | None = None,
        cut: str | None = None,
        cache: str | os.PathLike | None = None,
        rank: int | None = None,
        ranks: int | None = None,
    ):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        sources = [source] if isinstance(source, (str, os.PathLike)) else list(source)
        local = Cache(cache).local
        self.blocks = [
            block for one in sources for block in blocks_of.find(os.fspath(one), manifest, cut, local)
        ]
        self.batch_size, self.drop_last = batch_size, drop_last
        self.transform, self.collate = transform, collate
        self.text = text if isinstance(text, TextChoice) else TextChoice(text)
        self.seed, self.shuffle_rows = seed, shuffle_rows
        self.rank, self.ranks = _place(rank, ranks)
        self.epoch = self.start = 0
        self._errors = torch.zeros(1, dtype=torch.int64).share_memory_()

    @property
    def samples(self) -> int:
        """Samples of an epoch, of all ranks together."""
        return sum(block.rows for block in self.blocks)

    @property
    def decode_errors(self) -> int:
        """Images of this rank that could not be decoded since the start, of all its workers."""
        return int(self._errors.item())

    def digest(self) -> str:
        """SHA-256 that names the data and its order of blocks."""
        return blocks_of.digest(self.blocks)

    def share(self, worker: int = 0, workers: int = 1) -> Share:
        """Part of the order that a loader worker of this rank reads."""
        place = (self.rank, self.ranks, worker, workers)
        return Share(*place, self.batch_size, self.start, self.drop_last)

    def __len__(self) -> int:
        return self.share().batches(self.samples)

    def __iter__(self) -> typing.Iterator[typing.Any]:
        info = torch.utils.data.get_worker_info()
        share = self.share(info.id, info.num_workers) if info else self.share()
        block_rows = [block.rows for block in self.blocks]
        order = windows(block_rows, self.seed, self.epoch, self.shuffle_rows, share)
        number, held = None, []
        for batch, sample in self._samples(order):
            if batch != number and number is not None:
                yield self._collated(held)
                held = []
            number = batch
            if sample is not None:
                held.append(sample)
        if number is not None:
            yield self._collated(held)

    def _collated(self, samples: list[Sample]):
        if self.collate is not None:
            return self.collate(samples)
        return torch.utils.data.default_collate(samples) if self.transform and samples else samples

    def _samples(self, order: typing.Iterator[Window]) -> typing.Iterator[tuple[int, Sample | None]]:
        """Samples with their batch; None for an image that cannot be decoded."""
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            window = next(order, None)
            coming = reader.submit(self._read, window) if window else None
            while coming is not None:
                current, raw = window, coming.result()
                window = next(order, None)
                # The next window is read while the images of this one are decoded.
                coming = reader.submit(self._read, window) if window else None
                places = zip(
                    current.batch.tolist(), current.block.tolist(), current.row.tolist(), strict=True
                )
                for (batch, block, row), i in zip(places, range(len(raw)), strict=True):
                    yield batch, self._sample(raw[i], block, row)
                    raw[i] = None  # frees the bytes of the image

    def _read(self, window: Window) -> list[Raw | None]:
        found: list[Raw | None] = [None] * len(window.row)
        for block in np.unique(window.block):
            at = np.flatnonzero(window.block == block)
            at = at[np.argsort(window.row[at])]
            for i, raw in zip(at, self.blocks[block].read(window.row[at].tolist()), strict=True):
                found[i] = raw
        return found

    def _sample(self, raw: Raw, block: int, row: int) -> Sample | None:
        try:
            image = Image.open(io.BytesIO(raw.image)).convert("RGB")
        except Exception:  # Pillow raises many types for damaged files
            self._errors += 1
            return None
        generator = lambda: sample_generator(self.seed or 0, self.epoch, block, row)  # noqa: E731
        text = self.text.choose(raw.texts, generator)
        return Sample(key=raw.key or "", image=self.transform(image) if self.transform else image, text=text)

    def loader(self, num_workers: int = 0, **options) -> CapFiltLoader:
        """A loader of this dataset; `options` go to `torch.utils.data.DataLoader`."""
        return CapFiltLoader(self, num_workers, **options)


def _place(rank: int | None, ranks: int | None) -> tuple[int, int]:
    if (rank is None) != (ranks is None):
        raise ValueError("rank and ranks go together")
    if rank is None or ranks is None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if not 0 <= rank < ranks:
        raise ValueError(f"rank is {rank} of {ranks}, expected 0 to {ranks - 1}")
    return rank, ranks


class CapFiltLoader:
    """Iterates over epochs of a dataset; its state resumes in the middle of an epoch.

    Each `iter()` delivers the rest of the current epoch and then moves to the next. Save `state_dict()` with
    the model: it counts the batches that were delivered, and not those that workers have prepared. Another
    number of ranks or workers may resume it.
    """

    def __init__(self, dataset: CapFiltDataset, num_workers: int = 0, **options):
        self.dataset, self.num_workers, self.options = dataset, num_workers, options
        self._begun, self._delivered = dataset.start, 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self):
        dataset = self.dataset
        # After an interrupted iteration, this one continues behind its last batch.
        dataset.start = self._begun = self.state_dict()["samples"]
        self._delivered = 0
        options = {"batch_size": None, "num_workers": self.num_workers} | self.options
        for batch in torch.utils.data.DataLoader(dataset, **options):
            self._delivered += 1
            yield batch
        dataset.epoch, dataset.start = dataset.epoch + 1, 0
        self._begun = self._delivered = 0

    def state_dict(self) -> dict:
        """Position after the last delivered batch."""
        per_step = self.dataset.ranks * self.dataset.batch_size
        done = self._begun + self._delivered * per_step
        return {
            "version": STATE_VERSION,
            "epoch": self.dataset.epoch,
            "samples": min(done, self.dataset.samples),
            "seed": self.dataset.seed,
            "shuffle_rows": self.dataset.shuffle_rows,
            "data": self.dataset.digest(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Continues at a position.

        Raises:
            ValueError: the state is of other data, another seed or another version.
        """
        ours = self.state_dict()
        for name in ("version", "seed", "shuffle_rows", "data"):
            if state.get(name) != ours[name]:
                theirs = f"the state has {name} {state.get(name)!r}"
                raise ValueError(f"{theirs}, and the dataset {ours[name]!r}: the orders differ")
        self.dataset.epoch, self.dataset.start = state["epoch"], state["samples"]
        self._begun, self._delivered = state["samples"], 0
