#!/bin/sh
# Provides Buildah and a base image for the test of the image (configs/deploy/container): Buildah and
# mmdebstrap from the system's packages if possible; the base image, this machine's release of Debian or
# Ubuntu without documentation (120 MB, a minute), in the per-user cache, linked in this checkout as
# .container-base.tar. The program under test needs this release's C library. Fails if a part is missing; with
# CAPFILT_ALLOW_SKIP=1 its tests are skipped, and counted at the end of `make test`.
set -eu
cd "$(dirname "$0")/.."
scripts/need.sh Buildah "buildah mmdebstrap" "buildah mmdebstrap"
command -v mmdebstrap >/dev/null 2>&1 || exit 0
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
target=${CAPFILT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/capfilt}/container-base-$release.tar

if [ ! -e "$target" ]; then
    mkdir -p "$(dirname "$target")"
    echo "container: making the base image, ${release:-release unknown}, as $target"
    without="/usr/share/doc/* /usr/share/locale/* /usr/share/man/*"
    # The list is unquoted on purpose, and its patterns are dpkg's.
    # shellcheck disable=SC2046
    if (flock 9 && set -f && mmdebstrap --quiet --variant=essential --include=apt,ca-certificates \
        --dpkgopt=force-unsafe-io $(printf -- '--dpkgopt=path-exclude=%s ' $without) \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' "$release" "$target.new.tar") 9>"$target.lock"; then
        mv "$target.new.tar" "$target"
    else
        rm -f "$target.new.tar"
        echo "container: mmdebstrap could not make it. Is the mirror of ${release:-the release} reachable?" >&2
        [ "${CAPFILT_ALLOW_SKIP:-}" = 1 ] || exit 1
        echo "container: its tests will be SKIPPED (CAPFILT_ALLOW_SKIP=1)" >&2
        exit 0
    fi
fi
ln -sfn "$target" .container-base.tar
echo "container: is there"
