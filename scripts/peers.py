#!/usr/bin/env python3
"""Provide the Python of the peers (transformers, Pillow), and link it as `.peers` in this checkout.

usage: peers.py

The script works like python.py: the environment is in the per-user cache, one folder per requirements and
Python version; a lock lets one clone build at a time, and `.complete` is written last. The environment is
separate from that of the tests, because torch with CUDA has 5 GB.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts/peers-requirements.txt"
NEEDED = (3, 11)


def fail(what):
    sys.exit(f"peers: {what}")


def target_folder():
    base = os.environ.get("CAPFILT_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "capfilt"
    )
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    python = [f"{sys.version_info.major}.{sys.version_info.minor}", os.path.realpath(sys.executable)]
    digest = hashlib.sha256("\n".join(pins + python).encode()).hexdigest()[:12]
    return pathlib.Path(base) / f"peers-{digest}"


def build(target):
    print(f"peers: installing {REQUIREMENTS.name} into {target} (6 GB)", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(target)]).returncode != 0:
        fail(
            f"{sys.executable} could not make a virtual environment. On Debian and Ubuntu its module comes "
            f"with the package python3-venv."
        )
    command = [
        str(target / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        "-r",
        str(REQUIREMENTS),
    ]
    if subprocess.run(command).returncode != 0:
        fail(f"pip could not install {REQUIREMENTS}. Is there space, and is the package index reachable?")
    (target / ".complete").write_text("")


def main():
    if sys.version_info < NEEDED:
        fail(
            f"needs Python {NEEDED[0]}.{NEEDED[1]} or newer, this is {sys.version.split()[0]}. Name a newer "
            f"one: python3.12 {sys.argv[0]}"
        )
    target, place = target_folder(), ROOT / ".peers"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{target}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases the lock when this process ends
        if not (target / ".complete").exists():
            build(target)
    if place.is_dir() and not place.is_symlink():
        fail(f"{place} is a folder and not a link. Move it away; a link to {target} belongs there.")
    fresh = ROOT / f".peers-{os.getpid()}"
    fresh.symlink_to(target)
    fresh.rename(place)
    print(f"peers: {target} is ready")


main()
