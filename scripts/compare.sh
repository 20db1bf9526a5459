#!/usr/bin/env bash
# Compares Throng on both backends with servers on other libraries, and with the kernel's floor.
#
#   scripts/compare.sh [--no-build] [--rounds N] [--seconds N] [--only WORKLOAD,...]
#                      [--servers NAME,...] [--peer NAME=COMMAND=URLBASE]... [--together]
#                      [--json FILE]
#
#   --no-build   take what was built before
#   --rounds     each measures every server; medians are printed (3)
#   --seconds    of each run (5)
#   --only       of broadcast, chat8, echo-1, echo-16, echo-16k, connect, last, p999
#   --servers    only these, such as 'throng epoll,Bun'
#   --peer       one more server that has /echo and /room/NAME; {port} in its command and address
#                is the port: --peer 'mine=./mine --port {port}=ws://127.0.0.1:{port}'
#   --together   all servers at the same time, for echoes: what else the machine does is alike for
#                all of them, so that small differences show; each shares the core with the others
#   --json       also write the values of all rounds to this file
#
# The server has processor 0 and the loader processor 1, so the machine needs two that nobody else
# uses meanwhile. In echoes a busy loop takes a third of the server's, or the loader would be what
# binds. All servers and workloads take some 45 minutes. Exit status: 1 if anything was
# lost or could not be measured, which the end of the table says.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

for tool in node npm python3; do
    if ! command -v "$tool" >/dev/null; then
        echo "compare.sh: $tool is missing: apt-get install nodejs npm python3" >&2
        exit 2
    fi
done

# What the command line names is where the caller is, so only this goes elsewhere.
build() (
    cd "$root"
    cargo build --release --package throng-cli --package loadtest
    cd benches/peers
    cargo build --release
    # npm leaves this file behind when it has installed everything.
    if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
        npm ci
    fi
)

if [[ -n ${CARGO_TARGET_DIR:-} ]]; then
    CARGO_TARGET_DIR=$(realpath -m "$CARGO_TARGET_DIR")
    export CARGO_TARGET_DIR
fi

[[ " $* " == *' --no-build '* || " $* " == *' --help '* || " $* " == *' -h '* ]] || build

# A server with one worker holds as many connections as the limit of descriptors allows.
ulimit -Sn "$(ulimit -Hn)"
exec python3 -B "$root/benches/compare" "$@"
