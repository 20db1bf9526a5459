#!/usr/bin/env bash
# Runs the tests of the project: CONTRIBUTING.md says what each tier has and how long it takes.
#
#   scripts/test.sh quick   what an edit may have broken: format, lints, rules, unit tests, seeds
#   scripts/test.sh         what continuous integration runs
#   scripts/test.sh full    that, and what needs the clock or hours
#
# A step that fails does not hide the ones behind it: all are run, and those that failed are named
# at the end. Exit status: 0 if none failed, 1 if one did, 2 for a wrong command line.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set -euo/{/^set -euo/!s/^# \{0,1\}//p}' "scripts/test.sh"; }

duration() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

failed=()
times=()

# step TITLE COMMAND ARGUMENT...
step() {
    local title=$1 began=$SECONDS outcome=passed
    shift
    printf '\n==> %s\n' "$title"
    "$@" || outcome="FAILED (status $?)"
    [[ $outcome == passed ]] || failed+=("$title")
    times+=("$(printf '%-22s %s in %s' "$title" "$outcome" "$(duration $((SECONDS - began)))")")
    printf '==> %s\n' "${times[-1]}"
}

finish() {
    printf '\n'
    printf '%s\n' "${times[@]}"
    if ((${#failed[@]} > 0)); then
        printf '\nFAILED after %s: %s\n' "$(duration $SECONDS)" \
            "$(printf '%s; ' "${failed[@]}")" >&2
        exit 1
    fi
    printf '\nall passed in %s\n' "$(duration $SECONDS)"
}

# Without optimisation across crates, and kept between builds: for all that does not measure.
cargo_test() { cargo test --profile quick --no-fail-fast "$@"; }

# Most of them wait most of the time, so two groups run at once; the output of one comes behind that
# of the other.
tests_in_two_groups() {
    local output status=0
    output=$(mktemp)
    tests_that_wait >"$output" 2>&1 &
    cargo_test -p throng -p throng-control || status=$?
    cargo_test -p throng-cli --bins --test load || status=$?
    wait $! || status=$?
    cat "$output"
    rm -f "$output"
    return $status
}

tests_that_wait() {
    local status=0
    cargo_test -p throng-cli --test behaviour --test browser || status=$?
    cargo_test -p loadtest -p testkit || status=$?
    return $status
}

lint() {
    step 'format' cargo fmt --all --check
    step 'clippy' cargo clippy --profile quick --workspace --all-targets -- -D warnings
    step "clippy without the operator's port" \
        cargo clippy --profile quick -p throng-cli --no-default-features -- -D warnings
}

quick() {
    lint
    step 'rules and unit tests' cargo_test --lib --bins --test tidy
    # SEEDS is how many of them.
    step 'seeds' env SEEDS="${SEEDS:-100}" \
        cargo test --profile quick --test simulation every_seed_keeps_the_promises
}

ci() {
    prepare
    lint
    step 'documentation' env RUSTDOCFLAGS='-D warnings' \
        cargo doc --profile quick --workspace --no-deps
    step 'builds of the tests' cargo_test --workspace --no-run
    step 'tests' tests_in_two_groups
    # From here on figures are of the program that is shipped.
    step 'release build' cargo build --release
    step 'allocations' cargo test --release --test allocations
    # Counts are of one architecture.
    if [[ $(uname -m) == x86_64 ]]; then
        step 'instruction counts' cargo bench --bench instructions
    fi
    step 'conformance' scripts/conformance.sh "$@"
}

full() {
    ci --full
    # They measure the server as it is shipped.
    step 'tools of this tier' scripts/install-test-tools.sh --full
    step 'tests of this tier' env THRONG_TEST_FULL=1 THRONG_BIN="$PWD/target/release/throng" \
        cargo test --profile quick --no-fail-fast --test load --test behaviour full::
    step 'batches' env THRONG_TEST_FULL=1 \
        cargo test --profile quick -p throng-control --test batches
    step 'all seeds' env SEEDS=1000 THRONG_TEST_FULL=1 \
        cargo test --profile quick --test simulation -- every_seed nobody_notices \
        what_is_dropped who_came_after
    step 'idle memory' cargo run --release -p testkit --bin idle_memory
    step 'packages' packages
    step 'soak' soak
}

# Chroots of Debian; cargo keeps the maker of packages beside what it builds.
packages() {
    cargo install --quiet --locked --root target/tools cargo-deb
    PATH=$PWD/target/tools/bin:$PATH scripts/test-packages.sh
}

# Half an hour of everything at once; the loader starts the server that is shipped.
soak() {
    local port
    port=$(python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])')
    cargo build --release --workspace
    target/release/loadtest soak --duration 30m --url "ws://127.0.0.1:$port/room/soak" \
        --spawn "target/release/throng --listen 127.0.0.1:$port --operator off"
}

prepare() {
    if ((EUID != 0)); then
        echo 'test.sh: not root: the tests of tuning and of lowered limits will fail' >&2
    fi
    # A test that lacks a tool or a feature of the kernel fails instead of being left out.
    export THRONG_TEST_REQUIRE_ALL=1
    # The tests open many connections at once.
    ulimit -Sn "$(ulimit -Hn)"
    step 'test tools' scripts/install-test-tools.sh
}

# Most tests wait most of the time; those that measure take turns by themselves.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}

case ${1-} in
quick) quick ;;
'') ci ;;
full) full ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
finish
