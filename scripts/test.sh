#!/usr/bin/env bash
# Runs every test of the project and stops at the first failure. Installs what the tests need
# first (scripts/install-test-tools.sh); takes less than 30 minutes on two processors.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ((EUID != 0)); then
    echo 'test.sh: not root: the tests of tuning and of lowered limits will fail' >&2
fi

# A test that lacks a tool or a feature of the kernel fails instead of being left out.
export THRONG_TEST_REQUIRE_ALL=1

duration() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# step TITLE COMMAND ARGUMENT...
step() {
    local title=$1 began=$SECONDS status=0
    shift
    printf '\n==> %s\n' "$title"
    "$@" || status=$?
    if ((status != 0)); then
        printf '\nFAILED: %s (status %d) after %s, %s in all\n' "$title" "$status" \
            "$(duration $((SECONDS - began)))" "$(duration $SECONDS)" >&2
        exit "$status"
    fi
    printf '==> %s: passed in %s\n' "$title" "$(duration $((SECONDS - began)))"
}

# Most tests wait most of the time; those that measure take turns by themselves.
export RUST_TEST_THREADS=4

# The tests open many connections at once.
ulimit -Sn "$(ulimit -Hn)"

step 'test tools' scripts/install-test-tools.sh
step 'format' cargo fmt --all --check
step 'clippy' cargo clippy --workspace --all-targets -- -D warnings
step 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
step 'release build' cargo build --release
step 'tests' cargo test --workspace --release
# Counts are of one architecture.
if [[ $(uname -m) == x86_64 ]]; then
    step 'instruction counts' cargo bench --bench instructions
fi
step 'conformance' scripts/conformance.sh

printf '\nall passed in %s\n' "$(duration $SECONDS)"
