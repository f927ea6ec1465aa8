#!/bin/sh
# A nats-server for the tests of the cluster: installed from the system's packages where that is possible.
# Fails where it is not; with CAPFILT_ALLOW_SKIP=1 those tests are skipped, and counted at the end of `make test`.
exec "$(dirname "$0")/need.sh" nats-server "nats-server" "nats-server"
