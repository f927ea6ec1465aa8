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

# Writes the archive of the release's essential packages with apt and the certificates.
make_base() {
    echo "container: making the base image, ${release:-release unknown}, as $target"
    mmdebstrap --quiet --variant=essential --include=apt,ca-certificates --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        "$release" "$target.new.tar" && mv "$target.new.tar" "$target"
}
mkdir -p "$(dirname "$target")"
# Clones share the archive: one makes it.
if ! (flock 9 && { [ -e "$target" ] || make_base; }) 9>"$target.lock"; then
    rm -f "$target.new.tar"
    echo "container: mmdebstrap could not make it. Is the mirror of ${release:-the release} reachable?" >&2
    [ "${CAPFILT_ALLOW_SKIP:-}" = 1 ] || exit 1
    echo "container: its tests will be SKIPPED (CAPFILT_ALLOW_SKIP=1)" >&2
    exit 0
fi
ln -sfn "$target" .container-base.tar
echo "container: is there"
