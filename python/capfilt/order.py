"""The order of an epoch: which sample is where, for any number of ranks and loader workers.

The order depends on the seed, the epoch and the data alone. Blocks (row groups of Parquet, whole tars) are
shuffled; consecutive blocks form windows of at least `window_rows` rows; the rows of a window are shuffled.
So the order is known without memory for every sample, and a reader opens each block in one window only.

Sample i of the order belongs to rank i mod R. The samples of a rank form batches of b; batch t of every rank
belongs to loader worker t mod W, as PyTorch's DataLoader takes batches from its workers in turns. Hence the
batches t of all ranks together are R·b consecutive samples of the order: the same for 1 × 4, 2 × 2 and 4 × 1
ranks × workers with equal R·b, and a position in the order is all that a resumed epoch needs.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np


@dataclasses.dataclass(frozen=True)
class Share:
    """Part of the order that one loader worker of one rank reads."""

    rank: int
    ranks: int
    worker: int
    workers: int
    batch_size: int
    # Position of the order at which this run begins: all samples before it were delivered.
    start: int = 0
    # Leaves out the last samples if they do not fill a batch of every rank.
    drop_last: bool = False

    def batches(self, total: int) -> int:
        """Batches of every rank from `start` on; the last may be smaller, or empty on some ranks."""
        left = max(0, total - self.start)
        whole, rest = divmod(left, self.ranks * self.batch_size)
        return whole + bool(rest and not self.drop_last)


@dataclasses.dataclass(frozen=True)
class Window:
    """Samples of one share in one window, in the order of delivery."""

    # Batch of each sample, counted from `Share.start`.
    batch: np.ndarray
    # Number of the block of each sample, and its row in the block.
    block: np.ndarray
    row: np.ndarray


def windows(
    block_rows: typing.Sequence[int], seed: int | None, epoch: int, window_rows: int, share: Share
) -> typing.Iterator[Window]:
    """The windows of an epoch that have samples of `share`.

    Args:
        block_rows: rows of each block, in the order of the data.
        seed: seed of the shuffle; None: the order of the data.
        epoch: number of the epoch, from 0.
        window_rows: least number of rows of a window, except of the last.
        share: the loader worker.
    """
    rows = np.asarray(block_rows, dtype=np.int64)
    total = int(rows.sum())
    end = share.start + share.batches(total) * share.ranks * share.batch_size
    blocks = np.arange(len(rows)) if seed is None else _generator(seed, epoch, 0).permutation(len(rows))
    first = number = begin = 0
    while begin < len(blocks):
        stop, held = begin, 0
        while stop < len(blocks) and held < window_rows:
            held += int(rows[blocks[stop]])
            stop += 1
        number += 1
        if first + held > share.start and first < end:
            window = _window(rows, blocks[begin:stop], first, end, share, seed, (epoch, number))
            if len(window.batch):
                yield window
        first, begin = first + held, stop


def _window(rows, blocks, first, end, share, seed, key) -> Window:
    held = rows[blocks]
    block = np.repeat(blocks, held)
    row = np.concatenate([np.arange(n) for n in held]) if len(held) else np.empty(0, np.int64)
    if seed is not None:
        shuffled = _generator(seed, *key).permutation(len(block))
        block, row = block[shuffled], row[shuffled]
    position = np.arange(first, first + len(block))
    offset = position - share.start
    batch = offset // share.ranks // share.batch_size
    mine = (offset >= 0) & (position < end)
    mine &= (offset % share.ranks == share.rank) & (batch % share.workers == share.worker)
    return Window(batch[mine], block[mine], row[mine])


def _generator(seed: int, *key: int) -> np.random.Generator:
    # Philox is specified bit by bit, so the order is equal on every machine and numpy version.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *key])))


def sample_generator(seed: int, epoch: int, block: int, row: int) -> np.random.Generator:
    """Random numbers of one sample: equal for any number of ranks and workers."""
    return _generator(seed, epoch, block, row, 1)
