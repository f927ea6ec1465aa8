#!/bin/sh
# Provides Prometheus for the test of the dashboard, from the system's packages if possible. Fails if it is
# missing; with CAPFILT_ALLOW_SKIP=1 its test is skipped, and counted at the end of `make test`.
exec "$(dirname "$0")/need.sh" Prometheus "prometheus promtool" "prometheus"
