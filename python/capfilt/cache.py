"""Local copies of files in a store: one download per machine, shared by its ranks and workers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile


def default_folder() -> pathlib.Path:
    """`CAPFILT_CACHE`, or a folder of the user's cache."""
    base = os.environ.get("CAPFILT_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return pathlib.Path(base or pathlib.Path.home() / ".cache") / "capfilt-pairs"


class Cache:
    """Folder of files named by their SHA-256. The owner of the folder removes files that are not used."""

    def __init__(self, folder: str | os.PathLike | None):
        self.folder = pathlib.Path(folder) if folder else default_folder()

    def local(self, url: str, sha256: str | None) -> str:
        """Path of the file on this machine; a file of a store is fetched once, and its SHA-256 compared.

        Raises:
            ValueError: the store holds other bytes than the job wrote.
        """
        if "://" not in url:
            return url
        if url.startswith("file://"):
            return url.removeprefix("file://")
        name = sha256 or hashlib.sha256(url.encode()).hexdigest()
        target = self.folder / (f"{name}.tar" if url.endswith(".tar") else f"{name}.parquet")
        if target.exists():
            return str(target)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                self._fetch(url, sha256, target)
        return str(target)

    def _fetch(self, url: str, sha256: str | None, target: pathlib.Path) -> None:
        import fsspec

        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as copy:
            try:
                with fsspec.open(url, "rb") as file:
                    shutil.copyfileobj(file, copy, 1 << 20)
                copy.flush()
                found = _sha256(copy.name)
                if sha256 is not None and found != sha256:
                    raise ValueError(f"{url} has SHA-256 {found}, and the job wrote {sha256}")
                os.replace(copy.name, target)
            except BaseException:
                os.unlink(copy.name)
                raise


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
