#!/bin/sh
# Searches programs on the PATH, and installs their Debian packages if this user may.
#
# usage: need.sh NAME "PROGRAM ..." "PACKAGE ..."     exits with 1 if a program is missing, unless
# CAPFILT_ALLOW_SKIP=1
name=$1 programs=$2 packages=$3
are_there() { for program in $programs; do command -v "$program" >/dev/null 2>&1 || return; done; }

are_there && { echo "$name: is there"; exit 0; }
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "$name: installing Debian's packages $packages"
    # RUNLEVEL keeps the packages from starting their services. The list of packages is unquoted on purpose.
    # shellcheck disable=SC2086
    { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $packages; } >/dev/null 2>&1
    are_there && { echo "$name: is there"; exit 0; }
fi
echo "$name: missing ($programs on the PATH). On Debian and Ubuntu: apt-get install $packages" >&2
[ "${CAPFILT_ALLOW_SKIP:-}" = 1 ] && { echo "$name: its tests will be SKIPPED (CAPFILT_ALLOW_SKIP=1)" >&2; exit 0; }
echo "$name: CAPFILT_ALLOW_SKIP=1 skips its tests" >&2
exit 1
