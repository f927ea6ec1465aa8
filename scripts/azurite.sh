#!/bin/sh
# Azurite for the tests of Azure's stores: Node from the system's packages where that is possible, Azurite itself by npm
# into the per-user cache (190 MB), linked in this checkout as .azurite. Nothing of it is installed for the system.
# Fails where it cannot be had; with CAPFILT_ALLOW_SKIP=1 those tests are skipped, and counted at the end of `make test`.
set -eu
cd "$(dirname "$0")/.."
# The newest that runs with Debian's Node. What it asks for beside it is taken as of the day: the same on every machine.
version=3.35.0 before=2026-11-01
target=${CAPFILT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/capfilt}/azurite-$version-$before

if [ ! -e "$target/.complete" ]; then
    scripts/need.sh azurite "node npm" "nodejs npm"
    command -v npm >/dev/null 2>&1 || exit 0
    mkdir -p "$target"
    echo "azurite: installing version $version into $target"
    # Clones share the folder; the marker is written last, so that what a killed run left is completed.
    if (flock 9 && npm install --silent --no-save --no-package-lock --omit=dev --prefix "$target" --before="$before" \
        "azurite@$version") 9>"$target.lock"; then
        : >"$target/.complete"
    else
        echo "azurite: npm could not install it. Is the package registry reachable?" >&2
        [ "${CAPFILT_ALLOW_SKIP:-}" = 1 ] || exit 1
        echo "azurite: its tests will be SKIPPED (CAPFILT_ALLOW_SKIP=1)" >&2
        exit 0
    fi
fi
ln -sfn "$target" .azurite
echo "azurite: is there"
