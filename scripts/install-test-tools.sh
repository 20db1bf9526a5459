#!/usr/bin/env bash
# Installs what the tests need on a Debian machine that has a Rust toolchain and nothing else:
# Debian packages, rustfmt and clippy, the npm packages of tests/browser, and the environments of
# scripts/conformance.sh. Does nothing where all is there, so it may be run any number of times.
#
#   scripts/install-test-tools.sh          what `scripts/test.sh` needs
#   scripts/install-test-tools.sh --full   also what `scripts/test.sh full` needs
#
# Run it as the user who runs the tests: apt-get alone goes through sudo.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'install-test-tools: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

has() { command -v "$1" >/dev/null; }
has_node() {
    has node && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'
}
has_python() {
    python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}
# A compiler without the C library's headers and start files is no linker for cargo.
has_c_compiler() {
    local output works=0
    output=$(mktemp)
    echo '#include <stdio.h>
int main(void) { return 0; }' | cc -x c -o "$output" - 2>/dev/null || works=1
    rm -f "$output"
    return $works
}

# Debian has servers where the PATH of an ordinary user does not reach.
has_server() { has "$1" || [[ -x /usr/sbin/$1 ]]; }

# Prints the Debian packages that are missing, one a line.
missing_packages() {
    has_c_compiler || printf '%s\n' gcc libc6-dev
    has chromium || echo chromium
    has curl || echo curl
    has promtool || echo prometheus
    has_server haproxy || echo haproxy
    has_server nginx || echo nginx-light
    has strace || echo strace
    has systemd-analyze || echo systemd
    has valgrind || echo valgrind
    has_python || printf '%s\n' python3 python3-venv
    has_node || echo nodejs
    if [[ -n $full ]]; then
        has caddy || echo caddy
        has_server debootstrap || echo debootstrap
    fi
}

apt_install() {
    local as_root=()
    has apt-get || die "no apt-get here; install by the system's own means: $*"
    if ((EUID != 0)); then
        has sudo || die "not root, and no sudo here; as root run: apt-get install $*"
        as_root=(sudo)
    fi
    say "installing Debian packages: $*"
    # The lists of some other source may be out of reach; what is missing then, the install tells.
    "${as_root[@]}" apt-get update --quiet --quiet || say "some package lists could not be fetched"
    # Waits for another apt-get; asks nothing; leaves out what the tests do not use.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet \
        --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
    hash -r
}

# Debian starts a server that it installs; the tests start their own.
stop_services() {
    local package as_root=()
    [[ -d /run/systemd/system ]] || return 0
    ((EUID == 0)) || as_root=(sudo)
    for package in "$@"; do
        case $package in
            nginx-light) "${as_root[@]}" systemctl disable --quiet --now nginx ;;
            caddy | prometheus) "${as_root[@]}" systemctl disable --quiet --now "$package" ;;
            haproxy) "${as_root[@]}" systemctl disable --quiet --now haproxy ;;
        esac
    done
}

install_debian_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]} == 0)) || apt_install "${packages[@]}"
    stop_services "${packages[@]}"
    # Apart from nodejs, since the packages of NodeSource contain npm and refuse Debian's.
    has npm || apt_install npm

    mapfile -t packages < <(missing_packages)
    ((${#packages[@]} == 0)) ||
        die "still missing or too old (node >= 18, python3 >= 3.11 with venv): ${packages[*]};" \
            "see that the PATH finds the Debian packages first, or upgrade to Debian 12 or later"
}

install_rust_components() {
    local component
    for component in fmt:rustfmt clippy:clippy; do
        if ! (cd "$root" && cargo "${component%:*}" --version) >/dev/null 2>&1; then
            has rustup || die "no cargo ${component%:*} here; install ${component#*:}"
            say "installing ${component#*:}"
            (cd "$root" && rustup component add "${component#*:}")
        fi
    done
}

install_browser_packages() {
    local folder=$root/tests/browser wanted stamp
    stamp=$folder/node_modules/.installed
    # The stamp lies inside node_modules, so that it goes when node_modules goes.
    wanted=$(cd "$folder" && sha256sum package.json package-lock.json) ||
        die "tests/browser is not complete: restore it with 'git checkout tests/browser'"
    if [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]]; then
        say "installing the npm packages of tests/browser"
        (cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts)
        # Without a single dependency npm makes no node_modules.
        mkdir -p "$folder/node_modules"
        printf '%s\n' "$wanted" >"$stamp"
    fi
}

full=
case ${1-} in
'') ;;
--full) full=yes ;;
*) die "unknown argument $1: there is only --full" ;;
esac

has cargo || die "no cargo here; install Rust from https://rustup.rs first"
install_debian_packages
install_rust_components
install_browser_packages
"$root/scripts/conformance.sh" --setup
say "all is there"
