#!/usr/bin/env bash
# A hostile mix against a server with limits on: honest clients beside it must lose nothing.
#
#   scripts/abuse.sh [--backend NAME] [--clients N] [--duration DUR] [OPTION...]
#
#   --backend    of the server: epoll or io_uring (auto)
#   --clients    honest ones (200)
#   --duration   how long the abuse goes on (60s)
#
# All other options are those of `loadtest abuse`, such as --each 50 or --html FILE. What each
# kind of abuse gets to hear stands beside what the server counts of it. Exit status: 0 if all has
# held, 1 if an honest client lost anything, the server took too much memory, or refused nobody.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

backend=auto
clients=200
duration=60s
options=()
while (($# > 0)); do
    case $1 in
    -h | --help)
        sed -n '2,/^set -euo/{/^set -euo/!s/^# \{0,1\}//p}' scripts/abuse.sh
        exit 0
        ;;
    --backend | --clients | --duration)
        (($# > 1)) || { echo "abuse.sh: $1 needs a value" >&2; exit 2; }
        printf -v "${1#--}" %s "$2"
        shift 2
        ;;
    *)
        options+=("$1")
        shift
        ;;
    esac
done

folder=${CARGO_TARGET_DIR:-target}/release
if [[ -n ${THRONG_BIN:-} ]]; then
    cargo build --release --package loadtest
else
    cargo build --release --package throng-cli --package loadtest
fi
server=$(realpath "${THRONG_BIN:-$folder/throng}")

free_port() {
    python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}
port=$(free_port)
operator=$(free_port)

# Honest clients share an address here, up to 4,000 of them, and come one after the other: the
# limits of an address are above what theirs brings, and below what a hostile one does.
export THRONG_LIMITS_PER_IP_CONNECTIONS=4100
export THRONG_LIMITS_PER_IP_CONNECT_RATE=60
export THRONG_LIMITS_MESSAGES_PER_SECOND=500
export THRONG_LIMITS_BYTES_PER_SECOND=256KiB
ulimit -Sn "$(ulimit -Hn)"
exec "$folder/loadtest" abuse --duration "$duration" --url "ws://127.0.0.1:$port/room/loadtest" \
    --connections "$clients" --connect-rate 40 \
    --operator "http://127.0.0.1:$operator" --memory-max 512MiB "${options[@]}" \
    --spawn "$server --backend $backend --listen 127.0.0.1:$port --operator 127.0.0.1:$operator \
--memory 256MiB --max-connections 5000"
