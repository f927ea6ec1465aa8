#!/bin/sh
# systemd for the tests of its units: installed from the system's packages where that is possible.
# Fails where it is not; with CAPFILT_ALLOW_SKIP=1 those tests are skipped, and counted at the end of `make test`.
exec "$(dirname "$0")/need.sh" systemd "systemd-analyze" "systemd"
