#!/usr/bin/env python3
"""Provide the Python that the tests use, with scripts/test-requirements.txt in it, and link it as `.venv` in this checkout.

usage: python.py

The environment stands in the per-user cache, one folder per requirements and Python version, so clones share it.
A lock lets one clone build at a time; the marker `.complete` is written last, so a killed build is begun anew.
"""
import fcntl, hashlib, os, pathlib, shutil, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts/test-requirements.txt"
# The pinned numpy has no wheel for an older one.
NEEDED = (3, 11)
PROBE = "import sys; print(sys.executable, *sys.version_info[:2], sep='\\n')"


def cache_folder():
    base = os.environ.get("CAPFILT_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "capfilt")
    return pathlib.Path(base)


def fail(what):
    sys.exit(f"python: {what}")


def interpreter():
    """Return (path, 'major.minor') of a new enough Python: the one that runs this script, or else the newest on the PATH."""
    for name in [sys.executable] + [f"python3.{minor}" for minor in (14, 13, 12, 11)]:
        try:
            path, major, minor = subprocess.run([name, "-c", PROBE], capture_output=True, text=True, check=True).stdout.split("\n")[:3]
        except (OSError, subprocess.CalledProcessError):
            continue  # not installed
        if (int(major), int(minor)) >= NEEDED:
            return path, f"{major}.{minor}"
    fail(f"the tests need Python {NEEDED[0]}.{NEEDED[1]} or newer, this is {sys.version.split()[0]} and there is no newer one on the PATH. Install python3.{NEEDED[1]} with its venv module.")


def build(python, target):
    started = time.monotonic()
    shutil.rmtree(target, ignore_errors=True)
    print(f"python: installing {REQUIREMENTS.name} into {target}", flush=True)
    if subprocess.run([python, "-m", "venv", str(target)]).returncode != 0:
        fail(f"{python} could not make a virtual environment. On Debian and Ubuntu its module comes with the package python3-venv.")
    command = [str(target / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r", str(REQUIREMENTS)]
    if subprocess.run(command).returncode != 0:
        fail(f"pip could not install {REQUIREMENTS}. Is the package index reachable?")
    (target / ".complete").write_text("")
    print(f"python: ready after {time.monotonic() - started:.0f} s")


def provide():
    python, version = interpreter()
    # Comments don't change what is installed; the interpreter's version and place do.
    pins = sorted(line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#"))
    digest = hashlib.sha256("\n".join(pins + [version, os.path.realpath(python)]).encode()).hexdigest()[:12]
    target = cache_folder() / f"python-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{target}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system drops it when this process ends, however it ends
        if (target / ".complete").exists():
            print(f"python: {target} is ready")
        else:
            build(python, target)
    return target


def link(target):
    """Point `.venv` at the environment in one step, so that a test that runs meanwhile finds the old one or the new one."""
    place, fresh = ROOT / ".venv", ROOT / f".venv-{os.getpid()}"
    if place.is_dir() and not place.is_symlink():
        fail(f"{place} is a folder of your own. Move it away; a link to {target} belongs there.")
    fresh.symlink_to(target)
    fresh.rename(place)


link(provide())
