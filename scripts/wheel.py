#!/usr/bin/env python3
"""Build the wheel of the program and of the Python package.

usage: wheel.py PROGRAM [FOLDER]     FOLDER (default out/wheels) gets capfilt-VERSION-….whl

The wheel carries the stripped program, the demo's models, the licences of the program's parts and their list
(scripts/sbom.py). Its tag names the oldest glibc that the program
runs with; libtorch is not in the wheel, because torch is a dependency.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python/capfilt"
BUILD_TOOLS = ("build==1.3.0", "hatchling==1.33.0")


def version_of(path):
    return re.search(r'(?m)^version = "([^"]+)"', path.read_text()).group(1)


def stage(program):
    """Put the program, the demo and the licences into the package's folders; git ignores them."""
    for name in ("bin", "share"):
        shutil.rmtree(PACKAGE / name, ignore_errors=True)
    (PACKAGE / "bin").mkdir()
    subprocess.run(["strip", "-o", PACKAGE / "bin/capfilt", program], check=True)
    (PACKAGE / "bin/capfilt").chmod(0o755)
    shutil.copytree(ROOT / "demo/models", PACKAGE / "share/demo/models")
    subprocess.run([sys.executable, ROOT / "scripts/sbom.py", ROOT / "python"], check=True)
    shutil.copy(ROOT / "LICENSE", ROOT / "python")


def builder():
    """Python with the build tools, in out/."""
    folder = ROOT / "out/wheel-tools"
    python = folder / "bin/python"
    marker = folder / "complete"
    if not marker.exists() or marker.read_text() != " ".join(BUILD_TOOLS):
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *BUILD_TOOLS], check=True)
        marker.write_text(" ".join(BUILD_TOOLS))
    return python


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    program = pathlib.Path(sys.argv[1])
    target = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else ROOT / "out/wheels")
    ours, programs = version_of(ROOT / "python/pyproject.toml"), version_of(ROOT / "Cargo.toml")
    if ours != programs:
        sys.exit(
            f"wheel: python/pyproject.toml has version {ours}, and Cargo.toml {programs}; make them equal"
        )
    stage(program)
    command = [builder(), "-m", "build", "--wheel", "--no-isolation", "--outdir", target, ROOT / "python"]
    subprocess.run(command, check=True)
    (wheel,) = target.glob(f"capfilt-{ours}-*.whl")
    print(f"wheel: {wheel} ({wheel.stat().st_size >> 20} MiB)")


if __name__ == "__main__":
    main()
