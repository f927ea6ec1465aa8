#!/bin/sh
# Provides Azurite for the tests of Azure's stores: Node from the system's packages if possible, Azurite by
# npm in the per-user cache (190 MB), linked in this checkout as .azurite. Azurite is not installed for the
# system. Fails if Azurite is missing; with CAPFILT_ALLOW_SKIP=1 its tests are skipped, and counted at the end
# of `make test`.
set -eu
cd "$(dirname "$0")/.."
# The newest version that runs with Debian's Node. Its dependencies are those of a fixed day, the same on all
# machines.
version=3.35.0 before=2026-11-01
target=${CAPFILT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/capfilt}/azurite-$version-$before

if [ ! -e "$target/.complete" ]; then
    scripts/need.sh azurite "node npm" "nodejs npm"
    command -v npm >/dev/null 2>&1 || exit 0
    mkdir -p "$target"
    echo "azurite: installing version $version into $target"
    # Clones share the folder. The marker is written last, so that the next run completes a killed
    # installation.
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
