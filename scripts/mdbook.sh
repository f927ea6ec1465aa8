#!/bin/sh
# Provides mdBook for the book of docs/, compiled by cargo into the per-user cache, and linked in this checkout
# as .mdbook. Fails if mdBook cannot be installed; with CAPFILT_ALLOW_SKIP=1 its tests are skipped, and counted
# at the end of `make test`.
set -eu
cd "$(dirname "$0")/.."
version=0.5.4
target=${CAPFILT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/capfilt}/mdbook-$version

if [ ! -e "$target/.complete" ]; then
    mkdir -p "$target"
    echo "mdbook: compiling version $version into $target"
    # Without optimization, because one book is built. Without `watch` and `serve`, which need a web server.
    # Clones share the folder; the marker is written last, so that the next run repeats a killed installation.
    if (flock 9 && cargo install --quiet --debug --locked --no-default-features --features search \
        --root "$target" --target-dir "$target/target" "mdbook@$version") 9>"$target.lock"; then
        rm -rf "$target/target"
        : >"$target/.complete"
    else
        echo "mdbook: cargo could not install it. Is the package registry reachable?" >&2
        [ "${CAPFILT_ALLOW_SKIP:-}" = 1 ] || exit 1
        echo "mdbook: its tests will be SKIPPED (CAPFILT_ALLOW_SKIP=1)" >&2
        exit 0
    fi
fi
ln -sfn "$target" .mdbook
echo "mdbook: is there"
