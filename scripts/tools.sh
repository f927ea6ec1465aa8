#!/bin/sh
# Checks, before the build, the tools that this machine needs, and prints how to install a missing tool.
missing=0
need() { command -v "$1" >/dev/null 2>&1 && return; echo "setup: $1 is missing: $2" >&2; missing=1; }
need cargo   "install Rust with rustup, version 1.95 or newer"
need c++     "install a C++ compiler, for example: apt-get install g++"
need python3 "install Python 3.9 or newer with pip and venv, for example: \
apt-get install python3 python3-pip python3-venv"
[ "$missing" = 0 ] || exit 1
fail() { echo "setup: $1" >&2; exit 1; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || fail "python3 is older than 3.9"
python3 -m pip --version >/dev/null 2>&1 ||
    fail "python3 has no pip: apt-get install python3-pip, or python3 -m ensurepip"
