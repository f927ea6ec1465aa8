#!/usr/bin/env bash
# Builds and runs all tests, and prints which were skipped, which ten took longest, and how long all of them
# took.
#
# The number of parallel tests is the number of cores plus one, because many tests wait for servers and
# processes. The test runner measures the time of each test only with RUSTC_BOOTSTRAP. Cargo passes the
# variable to the test programs only, because the compiler must not see it.
set -uo pipefail
cd "$(dirname "$0")/.."
started=$(date +%s)
CAPFILT_SKIPS=$(mktemp)
output=$(mktemp)
trap 'rm -f "$CAPFILT_SKIPS" "$output"' EXIT
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export CAPFILT_SKIPS RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 1))}"
env "CARGO_TARGET_${host}_RUNNER=env RUSTC_BOOTSTRAP=1" \
    cargo test --release --workspace --tests --no-fail-fast -- -Zunstable-options --report-time 2>&1 | tee "$output"
code=$?

echo "== the ten tests that took longest"
sed -nE 's/^test (.*) \.\.\. .*<([0-9.]+)s>$/\2 s  \1/p' "$output" | sort -rn | head -10
sed 's/^/== skipped: /' "$CAPFILT_SKIPS"
echo "== $(wc -l < "$CAPFILT_SKIPS") tests were skipped"
echo "== tests: $(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed.*/\1 \2/p' "$output" |
    awk '{ passed += $1; failed += $2 } END { print passed + 0 " passed, " failed + 0 " failed" }')," \
    "$(($(date +%s) - started)) s with the build"
exit $code
