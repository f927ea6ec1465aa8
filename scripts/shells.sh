#!/bin/sh
# Provides zsh and fish for the test of the completions, from the system's packages if possible. Fails if one
# is missing; with CAPFILT_ALLOW_SKIP=1 its test is skipped, and counted at the end of `make test`.
exec "$(dirname "$0")/need.sh" "zsh and fish" "zsh fish" "zsh fish"
