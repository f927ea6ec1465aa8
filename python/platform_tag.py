"""Build hook: tag the wheel for the platform of the program that it carries."""

import pathlib
import re
import subprocess

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = pathlib.Path(__file__).parent / "capfilt/bin/capfilt"


def least_glibc(program):
    """Return (major, minor) of the newest glibc symbol that the program needs."""
    symbols = subprocess.run(["readelf", "-VW", program], capture_output=True, text=True, check=True).stdout
    versions = {tuple(map(int, found)) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", symbols)}
    # torch's own libraries need 2.28, so an older tag would promise too much.
    return max(versions | {(2, 28)})


class PlatformTag(BuildHookInterface):
    """Sets `py3-none-manylinux_X_Y_x86_64`: the program does not depend on the version of Python."""

    def initialize(self, version, build_data):
        """Set the tag, or stop when the program is missing."""
        if not PROGRAM.exists():
            raise SystemExit(f"{PROGRAM} is missing; `make wheel` builds the program and puts it there")
        major, minor = least_glibc(PROGRAM)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{major}_{minor}_x86_64"
