#!/usr/bin/env bash
# Provide the Python of the peers (transformers, Pillow) in the per-user cache, and link it as `.peers` in this checkout.
#
# usage: peers.sh
#
# The folder's name holds a digest of scripts/peers-requirements.txt and of the Python, so clones share it and a changed pin
# makes a new one. A lock lets one clone build at a time; `.complete` is written last, so a killed build is begun anew.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
requirements=$root/scripts/peers-requirements.txt
python=${PYTHON:-python3}

fail() { echo "peers: $*" >&2; exit 1; }

version=$("$python" -c 'import sys; assert sys.version_info >= (3, 11); print(*sys.version_info[:2], sep=".")' 2>/dev/null) ||
    fail "$python is missing or older than 3.11. Install one, or name it: PYTHON=python3.12 $0"
digest=$( { grep -v '^#' "$requirements"; echo "$version"; } | sha256sum | cut -c1-12)
cache=${CAPFILT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/capfilt}
target=$cache/peers-$digest

build() {
    echo "peers: installing $(basename "$requirements") into $target (5 GB)"
    rm -rf "$target"
    "$python" -m venv "$target" || fail "$python could not make a virtual environment. On Debian and Ubuntu install python3-venv."
    "$target/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$requirements" ||
        fail "pip could not install $requirements. Is there space, and is the package index reachable?"
    touch "$target/.complete"
}

mkdir -p "$cache"
exec 9>"$target.lock"
flock 9 # released when this process ends, however it ends
[ -e "$target/.complete" ] || build

[ -L "$root/.peers" ] || [ ! -e "$root/.peers" ] || fail "$root/.peers is a file or folder of your own. Move it away; a link to $target belongs there."
ln -sfn "$target" "$root/.peers"
echo "peers: $target is ready"
