"""The program `capfilt`: where it is, and where its libtorch is.

The program is linked with libtorch, which the package `torch` of the same environment has. The search order:
`CAPFILT_LIBTORCH` (a folder with `lib/libtorch_cpu.so`), then the installed package `torch`. torch is not
imported, because that takes seconds.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys

# Series of torch that the program is linked with: libtorch's C++ interface changes between series.
SERIES = "2.11"
VARIABLE = "CAPFILT_LIBTORCH"


class ProgramError(RuntimeError):
    """The program cannot start, or has failed."""


def executable() -> pathlib.Path:
    """Path of the program: `CAPFILT_PROGRAM`, or the one that this package carries."""
    named = os.environ.get("CAPFILT_PROGRAM")
    path = pathlib.Path(named) if named else pathlib.Path(__file__).with_name("bin") / "capfilt"
    if not path.is_file():
        advice = "set CAPFILT_PROGRAM to a built program, or install the wheel of this platform"
        raise ProgramError(f"the program capfilt is not at {path}; {advice}")
    return path


def libtorch() -> pathlib.Path:
    """Folder of libtorch's libraries.

    Raises:
        ProgramError: no torch, or one of another series.
    """
    named = os.environ.get(VARIABLE)
    if named:
        folder = pathlib.Path(named) / "lib"
        if not (folder / "libtorch_cpu.so").is_file():
            raise ProgramError(f"{VARIABLE} is {named}, but there is no lib/libtorch_cpu.so in that folder")
        _refuse_other_series(_version_beside(folder), f"{VARIABLE}={named}")
        return folder
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        advice = f'pip install "torch=={SERIES}.*", or set {VARIABLE} to the folder of a libtorch'
        raise ProgramError(f"capfilt needs libtorch {SERIES}, and this Python has no package torch; {advice}")
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = None
    _refuse_other_series(version, str(pathlib.Path(found.origin).parent))
    return pathlib.Path(found.origin).parent / "lib"


def _version_beside(folder: pathlib.Path) -> str | None:
    """Version that a libtorch archive states in `build-version`; None where it states nothing."""
    stated = folder.parent / "build-version"
    return stated.read_text().strip() if stated.is_file() else None


def _refuse_other_series(version: str | None, where: str) -> None:
    if version is not None and not version.startswith(f"{SERIES}."):
        raise ProgramError(
            f"capfilt needs libtorch {SERIES}, but {where} is torch {version}; "
            f'pip install "torch=={SERIES}.*", or set {VARIABLE} to the folder of a libtorch {SERIES}'
        )


def environment() -> dict[str, str]:
    """Environment in which the program finds libtorch."""
    folders = [str(libtorch()), os.environ.get("LD_LIBRARY_PATH", "")]
    return os.environ | {"LD_LIBRARY_PATH": ":".join(filter(None, folders))}


def run(*arguments: str) -> str:
    """Runs the program and returns its standard output; progress and errors go to standard error.

    Raises:
        ProgramError: the program has ended with another code than 0.
    """
    command = [str(executable()), *arguments]
    ended = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True)
    if ended.returncode != 0:
        raise ProgramError(f"`capfilt {' '.join(arguments)}` has ended with code {ended.returncode}")
    return ended.stdout


def main() -> None:
    """Becomes the program: same process, so that signals and exit codes are those of the program."""
    try:
        path, variables = executable(), environment()
    except ProgramError as error:
        print(f"capfilt: {error}", file=sys.stderr)
        sys.exit(3)
    os.execve(path, ["capfilt", *sys.argv[1:]], variables)
