"""Blocks of samples: row groups of Parquet files, and tars of a job or an export in WebDataset's form."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
import pathlib
import tarfile
import typing

import pyarrow.parquet as pq

from capfilt.texts import Text

# Columns of texts, in the order of preference: tables of version 2, tables of version 1 and exports.
TEXT_COLUMNS = ("texts", "captions")


@dataclasses.dataclass(frozen=True)
class Raw:
    """A sample as stored."""

    key: str | None
    image: bytes
    texts: list[Text]


class Block(typing.Protocol):
    """Consecutive samples that are read together."""

    rows: int
    # Text that is equal for equal content: what a resumed run compares.
    identity: str

    def read(self, rows: list[int]) -> list[Raw]:
        """Samples at the given rows, in this order."""


@dataclasses.dataclass(frozen=True)
class RowGroup:
    """A row group of a Parquet file: pairs of a job, or an export in Parquet."""

    path: str
    group: int
    rows: int
    identity: str

    def read(self, rows: list[int]) -> list[Raw]:
        with pq.ParquetFile(self.path, memory_map=True) as file:
            names = set(file.schema_arrow.names)
            texts = next((name for name in TEXT_COLUMNS if name in names), None)
            wanted = [name for name in ("key", "image", "caption", texts) if name in names]
            table = file.read_row_group(self.group, columns=wanted).take(rows)
        images = table["image"].combine_chunks().field("bytes")
        if images.null_count:
            raise ValueError(
                f"{self.path} refers to its images and does not have them: export the job or the cut "
                "(capfilt export), or make the cut with --materialise"
            )
        keys = table["key"].to_pylist() if "key" in names else [None] * len(rows)
        listed = table[texts].to_pylist() if texts else [None] * len(rows)
        single = table["caption"].to_pylist() if "caption" in names else [None] * len(rows)
        return [
            Raw(key, bytes(image.as_buffer() or b""), _texts(many, one))
            for key, image, many, one in zip(keys, images, listed, single, strict=True)
        ]


def _texts(many: list[dict] | None, one: str | None) -> list[Text]:
    found = [Text(text["text"], text["source"], _score(text.get("itm"))) for text in many or []]
    return found or [Text(one or "", "human", None)]


def _score(itm: float | None) -> float | None:
    # Exports write -1 where no filter judged a text, because a column has no nulls there.
    return None if itm is None or itm < 0 else itm


class Tar:
    """A tar with samples of an image and its `.txt` and `.json`; the offsets are read once per process."""

    def __init__(self, path: str, rows: int, identity: str):
        self.path, self.rows, self.identity = path, rows, identity
        self._members: list[dict[str, tuple[int, int]]] | None = None

    def read(self, rows: list[int]) -> list[Raw]:
        members = self._index()
        with open(self.path, "rb") as file:

            def member(sample: dict[str, tuple[int, int]], suffix: str) -> bytes:
                offset, size = sample.get(suffix, (0, 0))
                file.seek(offset)
                return file.read(size)

            samples = [members[row] for row in rows]
            return [self._raw(member(one, "jpg"), member(one, "txt"), member(one, "json")) for one in samples]

    @staticmethod
    def _raw(image: bytes, text: bytes, sidecar: bytes) -> Raw:
        about = json.loads(sidecar) if sidecar else {}
        texts = next((about[name] for name in TEXT_COLUMNS if name in about), None)
        return Raw(about.get("key") or None, image, _texts(texts, text.decode()))

    def _index(self) -> list[dict[str, tuple[int, int]]]:
        if self._members is None:
            samples: dict[str, dict[str, tuple[int, int]]] = {}
            with tarfile.open(self.path, "r:") as tar:
                for member in tar:
                    name, _, suffix = member.name.partition(".")
                    samples.setdefault(name, {})[suffix] = (member.offset_data, member.size)
            self._members = list(samples.values())
            if len(self._members) != self.rows:
                raise ValueError(f"{self.path} has {len(self._members)} samples instead of {self.rows}")
        return self._members


def find(
    source: str,
    manifest: int | None,
    cut: str | None,
    local: typing.Callable[[str, str | None], str],
) -> list[Block]:
    """Blocks of a source: the URL of a job, the folder of an export, or a Parquet file or pattern.

    Args:
        source: URL or path.
        manifest: number of the job's version; default: the newest.
        cut: name of a cut of the job.
        local: gives the local path of a URL with a SHA-256 (or None), and fetches the file if need be.
    """
    folder = pathlib.Path(source)
    data = folder / "data" if (folder / "data").is_dir() else folder
    if (data / "sizes.json").is_file():
        sizes = json.loads((data / "sizes.json").read_text())
        return [Tar(str(data / name), rows, f"{name} {rows}") for name, rows in sorted(sizes.items()) if rows]
    if "://" not in source and not (folder / "job.json").is_file():
        patterns = [str(data / "*.parquet"), source]
        paths = next((sorted(found) for found in map(glob.glob, patterns) if _are_files(found)), [])
        if not paths:
            raise FileNotFoundError(f"{source} is not a job, not an export, and not a Parquet file")
        return [block for path in paths for block in _row_groups(path, os.path.basename(path))]
    from capfilt.tables import listing

    listed = listing(source, "pairs", manifest, cut)["files"]
    return [
        block
        for file in listed
        if file["rows"]
        for block in _blocks(local(file["url"], file["sha256"]), file)
    ]


def _blocks(path: str, file: dict) -> list[Block]:
    """Blocks of the pairs of a shard, as `capfilt files --json` lists them."""
    if file["url"].endswith(".tar"):
        return [Tar(path, file["rows"], f"{file['sha256']} {file['rows']}")]
    return _row_groups(path, file["sha256"])


def _are_files(paths: list[str]) -> bool:
    return bool(paths) and all(map(os.path.isfile, paths))


def _row_groups(path: str, identity: str) -> list[Block]:
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [RowGroup(path, group, rows, f"{identity} {rows}") for group, rows in enumerate(sizes) if rows]


def digest(blocks: list[Block]) -> str:
    """SHA-256 over the identities of the blocks, in order."""
    return hashlib.sha256("\n".join(block.identity for block in blocks).encode()).hexdigest()
