# shellcheck shell=bash
# Sourced by scripts/conformance.sh: builds what the conformance run needs from PyPI and npm.
#
# Each environment is a folder of the cache named after a hash of its pins and its interpreter, so
# a changed pin or an upgraded interpreter makes a new one. A folder counts as finished only once
# it holds `.complete`; an interrupted build is started afresh.

pieces=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${THRONG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/throng-test}

say() { printf 'conformance: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}

# Prints the path of a CPython 2.7 that can build and run the original suite, fails if there is
# none. Python.h is needed because one of the suite's packages is a C extension without a wheel.
find_python2() {
    local candidate probe
    probe='import os, platform, ssl, sys, sysconfig, zlib
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(not (sys.version_info[:2] == (2, 7) and platform.python_implementation() == "CPython"
              and os.path.exists(header)))'
    for candidate in "${THRONG_TEST_PYTHON2:-}" python2.7 python2 \
        "$HOME"/.pyenv/versions/2.7.*/bin/python; do
        if candidate=$(command -v "$candidate") && "$candidate" -c "$probe" 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

require_interpreters() {
    python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        die "needs python3 >= 3.11 with venv: run scripts/install-test-tools.sh"
    if ! command -v npm >/dev/null ||
        ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
        die "needs node >= 18 and npm: run scripts/install-test-tools.sh"
    fi
}

# environment_path NAME INTERPRETER PIN_FILE...: where the environment of that name and pins is.
# INTERPRETER is its path and version in any form.
environment_path() {
    local name=$1 interpreter=$2 key
    shift 2
    key=$({ printf '%s\n' "$interpreter"; cat "$@"; } | sha256sum)
    printf '%s/%s-%s\n' "$cache" "$name" "${key:0:12}"
}

# Asked of the interpreter itself, since the command may be a shim that picks one of several.
python_identity() { "$1" -c 'import sys; print(sys.executable + " " + sys.version)'; }

# build_once DIRECTORY BUILDER ARGUMENT...: calls the builder with the arguments and the directory
# unless the directory is finished. The lock makes a second run at the same time wait.
build_once() {
    local directory=$1
    shift
    [[ ! -e $directory/.complete ]] || return 0
    mkdir -p "$cache"
    (
        flock 9
        [[ ! -e $directory/.complete ]] || exit 0
        say "building $directory (once)"
        rm -rf "$directory"
        # A trap, since `"$@" || ...` would switch `set -e` off inside the builder.
        trap 'explain_failed_build "$directory"' EXIT
        "$@" "$directory" >"$directory.log" 2>&1
        trap - EXIT
        touch "$directory/.complete"
    ) 9>"$directory.lock"
}

explain_failed_build() {
    tail -n 20 "$1.log" >&2
    die "cannot build $1: check that PyPI and npm can be reached; the whole log is $1.log"
}

pip_install() {
    local python=$1
    shift
    "$python" -m pip install --disable-pip-version-check --no-input --quiet "$@"
}

build_wstest() {
    local python2=$1 directory=$2
    python3 -m venv "$directory/maker"
    pip_install "$directory/maker/bin/python" --requirement "$pieces/autobahn/virtualenv.txt"
    "$directory/maker/bin/python" -m virtualenv --quiet --no-download --no-periodic-update \
        --python "$python2" "$directory/env"
    # Without --no-deps pip would look for newer releases, which no longer run on Python 2.7.
    pip_install "$directory/env/bin/python" --no-deps --requirement "$pieces/autobahn/wstest.txt"
    "$directory/env/bin/python" -m autobahntestsuite.wstest --autobahnversion
}

build_kosoku() {
    local directory=$1
    python3 -m venv "$directory/env"
    pip_install "$directory/env/bin/python" --requirement "$pieces/autobahn/kosoku.txt"
    "$directory/env/bin/python" -c 'import kosoku'
}

build_python_clients() {
    local directory=$1
    python3 -m venv "$directory/env"
    pip_install "$directory/env/bin/python" --requirement "$pieces/clients/requirements.txt"
}

build_javascript_clients() {
    local directory=$1
    mkdir "$directory"
    cp "$pieces/clients/package.json" "$pieces/clients/package-lock.json" "$directory"
    (cd "$directory" && npm ci --no-audit --no-fund --ignore-scripts)
}

# shellcheck disable=SC2034 # these variables are for the script that sources this
# Sets `engine`, `engine_python`, `client_python` and `client_modules`.
prepare_environments() {
    local python2 python3 suite clients
    require_interpreters
    python3=$(python_identity python3)
    if python2=$(find_python2); then
        engine=wstest
        say "Autobahn engine: wstest, the original, on $python2"
        suite=$(environment_path wstest "$(python_identity "$python2")" \
            "$pieces/autobahn/"{wstest,virtualenv}.txt)
        build_once "$suite" build_wstest "$python2"
    else
        engine=kosoku
        say "Autobahn engine: kosoku, as no CPython 2.7 with its headers was found" \
            "(the original is stricter on how a connection closes)"
        suite=$(environment_path kosoku "$python3" "$pieces/autobahn/kosoku.txt")
        build_once "$suite" build_kosoku
    fi
    engine_python=$suite/env/bin/python

    clients=$(environment_path python-clients "$python3" "$pieces/clients/requirements.txt")
    build_once "$clients" build_python_clients
    client_python=$clients/env/bin/python
    clients=$(environment_path javascript-clients "node $(node --version)" \
        "$pieces/clients/"package{,-lock}.json)
    build_once "$clients" build_javascript_clients
    client_modules=$clients/node_modules
}
