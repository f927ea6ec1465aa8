#!/bin/sh
# A nats-server for the tests of the cluster: taken from the system's packages where that is possible, else said to be missing.
# Those tests then say SKIPPED and pass.
command -v nats-server >/dev/null 2>&1 && { echo "nats-server: $(nats-server --version)"; exit 0; }
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "nats-server: installing Debian's package"
    { apt-get update -qq && apt-get install -y -qq nats-server; } >/dev/null 2>&1 && { echo "nats-server: $(nats-server --version)"; exit 0; }
fi
echo "nats-server: not there, and not to be had here: the tests of the cluster will be SKIPPED. On Debian and Ubuntu: apt-get install nats-server" >&2
