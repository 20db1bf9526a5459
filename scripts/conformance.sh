#!/usr/bin/env bash
# Runs the Autobahn test suite and seven WebSocket clients of other makers against the server.
#
#   scripts/conformance.sh [--setup] [--clients]
#   scripts/conformance.sh [--full] [--cases PATTERNS] [--backend NAME]... [--binary PATH]
#
#   --setup           only install the suite and the clients, run nothing
#   --clients         only print where the clients are: a python and the modules of node
#   --full            all 517 Autobahn cases (about 10 minutes a backend); without it all but the
#                     compression groups 12 and 13, of which a spread is run
#   --cases PATTERNS  these Autobahn cases alone, such as '1.1.1,9.*'
#   --backend NAME    epoll or io_uring, may be given twice; without it both are run
#   --binary PATH     the server; without it target/release/throng, built from these sources
#
# The last line is 'conformance: N passed, N failed (Autobahn: ENGINE)', the engine being wstest,
# the original, or kosoku. Exit status: 0 when all cases behaved and closed as they should, all
# clients passed and the server ended with status 0; 1 when not; 2 when the run could not be made.
# The reports go to target/conformance/BACKEND.
#
# The suite and the clients come pinned from PyPI and npm into
# ${THRONG_TEST_CACHE:-${XDG_CACHE_HOME:-~/.cache}/throng-test}. The original suite needs a
# CPython 2.7 with its headers (python2.7, python2, one of pyenv's, or $THRONG_TEST_PYTHON2); where
# there is none, kosoku runs the same cases. All traffic stays on the loopback interface.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/conformance/environments.sh"

# The compression cases are 216 of 517 and take nearly all of the time. The spread has each kind of
# message and each set of offered parameters at least once.
quick_cases='[1-7].*,9.*,10.*'
quick_cases+=',12.1.1,12.1.2,12.1.3,12.1.4,12.1.5,12.2.1,12.2.5,12.3.1,12.4.5,12.5.1'
quick_cases+=',13.1.1,13.2.1,13.3.1,13.4.1,13.5.1,13.6.1,13.7.1'

target=${CARGO_TARGET_DIR:-$root/target}
cases=$quick_cases
binary=
backends=()
setup_only=
clients_only=
server=
passed=0
failed=0
summary=()

usage() { sed -n '2,/^set -euo/{/^set -euo/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

parse_arguments() {
    while (($# > 0)); do
        case $1 in
        --setup) setup_only=yes ;;
        --clients) clients_only=yes ;;
        --full) cases='*' ;;
        --cases | --backend | --binary)
            (($# >= 2)) || die "$1 needs a value; --help tells"
            take_value "$1" "$2"
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown argument $1; --help tells" ;;
        esac
        shift
    done
    ((${#backends[@]} > 0)) || backends=(epoll io_uring)
}

take_value() {
    case $1 in
    --cases) cases=$2 ;;
    --binary) binary=$2 ;;
    --backend)
        [[ $2 == epoll || $2 == io_uring ]] || die "no backend $2: give epoll or io_uring"
        backends+=("$2")
        ;;
    esac
}

prepare_binary() {
    if [[ -z $binary ]]; then
        binary=$target/release/throng
        # Also where there is one: it may be of other sources.
        (cd "$root" && cargo build --release)
    fi
    [[ -x $binary ]] || die "no server at $binary: build it, or give another one with --binary"
}

free_port() {
    python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

# Whether the server accepts a WebSocket connection on /echo.
answers() {
    local port=$1 status_line=
    # In a subshell, which also closes the connection.
    (
        exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
        printf '%s\r\n' 'GET /echo HTTP/1.1' "Host: 127.0.0.1:$port" 'Connection: Upgrade' \
            'Upgrade: websocket' 'Sec-WebSocket-Version: 13' \
            'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' '' >&3
        read -r -t 2 status_line <&3 || exit 1
        [[ $status_line == 'HTTP/1.1 101 '* ]]
    ) 2>/dev/null
}

server_runs() { kill -0 "$server" 2>/dev/null; }

# start_server BACKEND PORT LOG
start_server() {
    local backend=$1 port=$2 log=$3 attempt
    "$binary" serve --listen "127.0.0.1:$port" --operator off --backend "$backend" \
        --max-message-size 16MiB >"$log" 2>&1 </dev/null &
    server=$!
    for ((attempt = 0; attempt < 100; attempt++)); do
        server_runs || break
        ! answers "$port" || return 0
        sleep 0.1
    done
    tail -n 20 "$log" >&2
    if [[ $backend == io_uring ]]; then
        say "where the kernel or the container forbids io_uring, run with --backend epoll"
    fi
    die "the server with backend $backend does not answer on 127.0.0.1:$port: see $log"
}

# Ends the server with SIGTERM and sets `server_status` to its exit status.
end_server() {
    local attempt
    server_status=0
    kill -TERM "$server" 2>/dev/null || say "the server had ended by itself"
    for ((attempt = 0; attempt < 300; attempt++)); do
        server_runs || break
        sleep 0.1
    done
    if server_runs; then
        say "the server still runs 30 s after SIGTERM; killing it"
        kill -KILL "$server"
    fi
    wait "$server" || server_status=$?
    server=
}

# On any way out: a server of ours must not outlive this script.
kill_server() {
    [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
}

# count LOG...: adds up the 'N passed, N failed' that ends each log into `counted_passed` and
# `counted_failed`. A log without it is of a piece that broke down, which counts as one failure.
count() {
    local log
    counted_passed=0
    counted_failed=0
    for log in "$@"; do
        if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
            counted_passed=$((counted_passed + BASH_REMATCH[1]))
            counted_failed=$((counted_failed + BASH_REMATCH[2]))
        else
            say "a part of the run broke down: see $log"
            counted_failed=$((counted_failed + 1))
        fi
    done
    passed=$((passed + counted_passed))
    failed=$((failed + counted_failed))
}

# The statuses of the three pieces do not matter: `count` reads what they say of themselves.
run_pieces() {
    local url=$1 reports=$2
    python3 "$root/scripts/conformance/autobahn/run.py" --engine "$engine" \
        --python "$engine_python" --url "$url" --cases "$cases" --reports "$reports/autobahn" \
        2>&1 | tee "$reports/autobahn.log" || true
    NODE_PATH=$client_modules node "$root/scripts/conformance/clients/clients.cjs" "$url" 2>&1 |
        tee "$reports/javascript-clients.log" || true
    "$client_python" "$root/scripts/conformance/clients/clients.py" "$url" 2>&1 |
        tee "$reports/python-clients.log" || true
}

run_backend() {
    local backend=$1 port line reports=$target/conformance/$1
    port=$(free_port)
    rm -rf "$reports"
    mkdir -p "$reports"
    say "backend $backend: $binary on 127.0.0.1:$port"
    start_server "$backend" "$port" "$reports/server.log"
    run_pieces "ws://127.0.0.1:$port/echo" "$reports"
    end_server

    count "$reports/autobahn.log"
    line="$backend: Autobahn ($engine) $counted_passed passed, $counted_failed failed"
    count "$reports"/{javascript,python}-clients.log
    line+="; clients $counted_passed passed, $counted_failed failed"
    line+="; server ended with status $server_status"
    ((server_status == 0)) || failed=$((failed + 1))
    summary+=("$line")
}

main() {
    local backend
    parse_arguments "$@"
    prepare_environments
    [[ -z $setup_only ]] || return 0
    if [[ -n $clients_only ]]; then
        printf '%s\n' "$client_python" "$client_modules"
        return 0
    fi
    prepare_binary
    trap kill_server EXIT
    for backend in "${backends[@]}"; do
        run_backend "$backend"
    done
    printf 'conformance: %s\n' "${summary[@]}" \
        "$passed passed, $failed failed (Autobahn: $engine)"
    ((failed == 0))
}

main "$@"
