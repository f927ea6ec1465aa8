"""Tables of a job, as its newest manifest counts them."""

from __future__ import annotations

import json
import pathlib
import typing

from capfilt.program import run

if typing.TYPE_CHECKING:
    import datasets
    import pyarrow.dataset

Table = typing.Literal["pairs", "ledger", "quarantine"]


def listing(job: str, table: Table = "pairs", manifest: int | None = None, cut: str | None = None) -> dict:
    """What `capfilt files --json` prints: manifest, shards, rows, and url, rows, bytes, sha256 per file."""
    version = [] if manifest is None else ["--manifest", str(manifest)]
    version += [] if cut is None else ["--cut", cut]
    return json.loads(run("files", "--job", job, "--table", table, "--json", *version))


def files(job: str, table: Table = "pairs", manifest: int | None = None, cut: str | None = None) -> list[str]:
    """URLs or paths of the files of a table that count, in the order of the plan.

    Args:
        job: URL or path of the job.
        table: `pairs`, `ledger` or `quarantine`.
        manifest: number of an older version; default: the newest.
        cut: name of a cut, whose pairs are listed (`capfilt recut`).

    Raises:
        ProgramError: there is no such job, manifest or cut.
    """
    return [file["url"] for file in listing(job, table, manifest, cut)["files"]]


def open(
    job: str, table: Table = "pairs", manifest: int | None = None, cut: str | None = None
) -> pyarrow.dataset.Dataset:
    """A table of a job as one pyarrow dataset: columns and conditions are read from the store as needed.

    Args, errors: as `files`. Buckets need `fsspec` and its package for the store (s3fs, gcsfs, adlfs).
    """
    import pyarrow.dataset

    urls = _parquet(job, table, manifest, cut)
    if not urls:
        raise FileNotFoundError(f"{job} has no table {table} with rows")
    filesystem, paths = _filesystem(urls)
    return pyarrow.dataset.dataset(paths, format="parquet", filesystem=filesystem)


def to_hf(
    job: str, table: Table = "pairs", manifest: int | None = None, cut: str | None = None
) -> datasets.Dataset:
    """A table of a job as a `datasets.Dataset`, whose column `image` shows images.

    Args, errors: as `files`.
    """
    import datasets

    urls = _parquet(job, table, manifest, cut)
    return datasets.load_dataset("parquet", data_files=urls, split="train")


def _parquet(job: str, table: Table, manifest: int | None, cut: str | None) -> list[str]:
    urls = files(job, table, manifest, cut)
    if any(url.endswith(".tar") for url in urls):
        raise ValueError(
            f'the {table} of {job} are tars (output.format = "webdataset"), not Parquet: read the URLs of '
            "capfilt.files with webdataset, or export the job as Parquet"
        )
    return urls


def _filesystem(urls: list[str]):
    """The file system of the URLs (None: the local one), and their paths in it."""
    if "://" not in urls[0]:
        return None, urls
    if urls[0].startswith("file://"):
        return None, [str(pathlib.Path(url.removeprefix("file://"))) for url in urls]
    import fsspec

    filesystem, _ = fsspec.core.url_to_fs(urls[0])
    return filesystem, [filesystem._strip_protocol(url) for url in urls]
