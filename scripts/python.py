#!/usr/bin/env python3
"""Provide a Python environment for the tests, and link it in this checkout.

usage: python.py            scripts/test-requirements.txt, linked as .venv: all tests need it
       python.py deploy     scripts/deploy-requirements.txt, linked as .deploy: the tests of configs/deploy
       python.py stores     scripts/stores-requirements.txt, linked as .stores: the tests of Google's stores
       python.py readers    scripts/readers-requirements.txt, linked as .readers: the tests of exports; 4 GB
       python.py croissant  scripts/croissant-requirements.txt, linked as .croissant: tests/croissant.rs
       python.py lance      scripts/lance-requirements.txt, linked as .lance: tests/lance.rs
       python.py img2dataset  scripts/img2dataset-requirements.txt, linked as .img2dataset: tests/doors.rs,
                            benches/links; 800 MB

The environment is in the per-user cache, one folder per requirements and Python version, so clones share it.
A lock lets one clone build at a time. The marker `.complete` is written last, so a killed build is repeated.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Prefix of the folder in the cache, requirements, link.
ENVIRONMENTS = {
    "tests": ("python", ROOT / "scripts/test-requirements.txt", ROOT / ".venv"),
    "deploy": ("deploy", ROOT / "scripts/deploy-requirements.txt", ROOT / ".deploy"),
    "stores": ("stores", ROOT / "scripts/stores-requirements.txt", ROOT / ".stores"),
    "readers": ("readers", ROOT / "scripts/readers-requirements.txt", ROOT / ".readers"),
    "croissant": ("croissant", ROOT / "scripts/croissant-requirements.txt", ROOT / ".croissant"),
    "lance": ("lance", ROOT / "scripts/lance-requirements.txt", ROOT / ".lance"),
    "img2dataset": ("img2dataset", ROOT / "scripts/img2dataset-requirements.txt", ROOT / ".img2dataset"),
}
# Environments whose requirements list every package: pip installs no further dependencies.
COMPLETE = {"readers", "croissant", "lance", "img2dataset"}
# The pinned numpy has no wheel for an older Python.
NEEDED = (3, 11)
PROBE = "import sys; print(sys.executable, *sys.version_info[:2], sep='\\n')"


def cache_folder():
    base = os.environ.get("CAPFILT_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "capfilt"
    )
    return pathlib.Path(base)


def fail(what):
    """Exit with 1, or with 0 if the tests that need the environment may be skipped.

    Only the tests of recipes and of Google's stores may be skipped.
    """
    print(f"python: {what}", file=sys.stderr)
    may_skip = sys.argv[1:] in (["deploy"], ["stores"]) and os.environ.get("CAPFILT_ALLOW_SKIP") == "1"
    if may_skip:
        print(
            f"python: the tests that need `{sys.argv[1]}` will be SKIPPED (CAPFILT_ALLOW_SKIP=1)",
            file=sys.stderr,
        )
    sys.exit(0 if may_skip else 1)


def interpreter():
    """Return (path, 'major.minor') of a Python that is new enough.

    The interpreter of this script comes first, then the newest one on the PATH.
    """
    for name in [sys.executable] + [f"python3.{minor}" for minor in (14, 13, 12, 11)]:
        try:
            path, major, minor = subprocess.run(
                [name, "-c", PROBE], capture_output=True, text=True, check=True
            ).stdout.split("\n")[:3]
        except (OSError, subprocess.CalledProcessError):
            continue  # not installed
        if (int(major), int(minor)) >= NEEDED:
            return path, f"{major}.{minor}"
    fail(
        f"the tests need Python {NEEDED[0]}.{NEEDED[1]} or newer, this is {sys.version.split()[0]}, and the "
        f"PATH has no newer one. Install python3.{NEEDED[1]} with its venv module."
    )


def build(name, python, requirements, target):
    started = time.monotonic()
    shutil.rmtree(target, ignore_errors=True)
    print(f"python: installing {requirements.name} into {target}", flush=True)
    if subprocess.run([python, "-m", "venv", str(target)]).returncode != 0:
        fail(
            f"{python} could not make a virtual environment. On Debian and Ubuntu its module comes with the "
            f"package python3-venv."
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
        str(requirements),
    ]
    command += ["--no-deps"] if name in COMPLETE else []
    if subprocess.run(command).returncode != 0:
        fail(f"pip could not install {requirements}. Is the package index reachable?")
    (target / ".complete").write_text("")
    print(f"python: ready after {time.monotonic() - started:.0f} s")


def provide(name, requirements):
    python, version = interpreter()
    # The pins, and the interpreter's version and path, identify the environment; comments do not.
    pins = sorted(line for line in requirements.read_text().splitlines() if line and not line.startswith("#"))
    digest = hashlib.sha256("\n".join(pins + [version, os.path.realpath(python)]).encode()).hexdigest()[:12]
    target = cache_folder() / f"{name}-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{target}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases the lock when this process ends
        if (target / ".complete").exists():
            print(f"python: {target} is ready")
        else:
            build(name, python, requirements, target)
    return target


def link(target, place):
    """Point `place` at the environment in one step, so that a running test finds the old or the new one."""
    fresh = place.with_name(f"{place.name}-{os.getpid()}")
    if place.is_dir() and not place.is_symlink():
        fail(f"{place} is a folder and not a link. Move it away; a link to {target} belongs there.")
    fresh.symlink_to(target)
    fresh.rename(place)


name = sys.argv[1] if len(sys.argv) > 1 else "tests"
if len(sys.argv) > 2 or name not in ENVIRONMENTS:
    sys.exit(__doc__)
folder, requirements, place = ENVIRONMENTS[name]
link(provide(folder, requirements), place)
