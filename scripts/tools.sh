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
# nasm assembles the vector code of JPEG decoding. Without nasm the code is plain C, with the same pixels.
if ! command -v nasm >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing Debian's package nasm"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends nasm; } >/dev/null 2>&1
fi
command -v nasm >/dev/null 2>&1 ||
    echo "setup: nasm is missing, so JPEG decoding will take twice the time; before the first build: apt-get install nasm" >&2
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || fail "python3 is older than 3.9"
python3 -m pip --version >/dev/null 2>&1 ||
    fail "python3 has no pip: apt-get install python3-pip, or python3 -m ensurepip"
