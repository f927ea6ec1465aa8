#!/bin/sh
# Provides a browser for the test of the report's page: Chromium and a font from the system's packages, and by
# npm in the per-user cache (15 MB) playwright-core, which controls the browser, and axe-core, which finds
# faults of accessibility; linked in this checkout as .browser. Fails if one is missing; with
# CAPFILT_ALLOW_SKIP=1 its test is skipped, and counted at the end of `make test`.
set -eu
cd "$(dirname "$0")/.."
playwright=1.65.1 axe=4.14.1 before=2026-11-25
target=${CAPFILT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/capfilt}/browser-$playwright-$axe

# One call each: packages of a Node from elsewhere conflict with Debian's npm.
scripts/need.sh Chromium "chromium" "chromium fonts-liberation"
scripts/need.sh Node "node npm" "nodejs npm"
command -v chromium >/dev/null 2>&1 || exit 0
if [ ! -e "$target/.complete" ]; then
    command -v npm >/dev/null 2>&1 || exit 0
    mkdir -p "$target"
    echo "browser: installing playwright-core $playwright and axe-core $axe into $target"
    # Clones share the folder. The marker is written last, so that the next run completes a killed
    # installation. playwright-core brings no browser, and no script of a package runs.
    if (flock 9 && npm install --silent --no-save --no-package-lock --omit=dev --ignore-scripts --prefix "$target" \
        --before="$before" "playwright-core@$playwright" "axe-core@$axe") 9>"$target.lock"; then
        : >"$target/.complete"
    else
        echo "browser: npm could not install them. Is the package registry reachable?" >&2
        [ "${CAPFILT_ALLOW_SKIP:-}" = 1 ] || exit 1
        echo "browser: its test will be SKIPPED (CAPFILT_ALLOW_SKIP=1)" >&2
        exit 0
    fi
fi
ln -sfn "$target" .browser
echo "browser: is there"
