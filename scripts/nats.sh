#!/bin/sh
# Provides nats-server for the tests of the cluster, from the system's packages if possible. Fails if it is
# missing; with CAPFILT_ALLOW_SKIP=1 its tests are skipped, and counted at the end of `make test`.
exec "$(dirname "$0")/need.sh" nats-server "nats-server" "nats-server"
