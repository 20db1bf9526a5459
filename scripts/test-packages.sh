#!/usr/bin/env bash
# Tries what is shipped in Debians that have nothing else: runs the steps of packaging/Dockerfile in
# one and starts the program in a chroot of what they make, and installs the Debian package in
# another, starts it from there and removes it.
#
#   scripts/test-packages.sh [image] [package]     both without an argument; the package is made of
#                                                  target/release/throng as it is
#
# For root on Debian, with debootstrap and cargo-deb. It works in a mount namespace of its own, so
# that nothing stays mounted, and in a folder of /var/tmp that it removes; it fetches packages of
# Debian. Most of its time is a release build. Exit status: 0 if all was good.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

if [[ -z ${THRONG_TEST_OWN_MOUNTS-} ]]; then
    export THRONG_TEST_OWN_MOUNTS=1
    exec unshare --mount --propagation private scripts/test-packages.sh "$@"
fi

say() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'test-packages: %s\n' "$*" >&2
    exit 1
}

((EUID == 0)) || die 'chroots are for root'
command -v debootstrap >/dev/null || die 'no debootstrap here: apt-get install debootstrap'
work=$(mktemp --directory /var/tmp/throng-packages.XXXXXX)
server=
mounted() { findmnt --noheadings --list --output TARGET | grep "^$work/" | sort --reverse || true; }
cleanup() {
    [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
    mounted | xargs --no-run-if-empty umount --lazy
    # What is bound there belongs to the host and is not to go with the folder.
    [[ -z $(mounted) ]] || die "still mounted, so it is left as it is: $work"
    rm -rf --one-file-system "$work"
}
trap 'exit 1' INT TERM
trap cleanup EXIT

# The release of the host, since the program on it is linked to its libraries.
release=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")

base() {
    [[ ! -d $work/base ]] || return 0
    say "debootstrap $release"
    debootstrap --variant=minbase "$release" "$work/base" >"$work/debootstrap.log" ||
        { tail -n 20 "$work/debootstrap.log" >&2 && die 'debootstrap failed'; }
}

# debian NAME PACKAGE...: a Debian of that name with these packages.
debian() {
    local name=$1
    shift
    base
    cp -a "$work/base" "$work/$name"
    mount -t proc proc "$work/$name/proc"
    mount --bind /dev/null "$work/$name/dev/null"
    # Nothing that is installed is to be started.
    install -m 755 /dev/stdin "$work/$name/usr/sbin/policy-rc.d" <<<$'#!/bin/sh\nexit 101'
    (($# == 0)) || inside "$name" apt-get install --yes --quiet --quiet --no-install-recommends "$@"
}

# inside NAME COMMAND...: runs a command in it, without the environment of this one.
inside() {
    local name=$1
    shift
    env --ignore-environment DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        PATH=/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/cargo \
        CARGO_NET_OFFLINE=true chroot "$work/$name" "$@" </dev/null >&2
}

free_port() {
    python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

# serves FOLDER PROGRAM ARGUMENT...: starts it in a chroot as the image's user, and asks for its
# health until it is well, by the program itself.
serves() {
    local folder=$1 program=$2 port attempt
    shift 2
    port=$(free_port)
    THRONG_LISTEN=127.0.0.1:$port chroot --userspec=65532:65532 "$folder" "$program" "$@" &
    server=$!
    for ((attempt = 0; attempt < 600; attempt++)); do
        if chroot "$folder" "$program" health "http://127.0.0.1:$port/" 2>/dev/null; then
            kill -TERM "$server"
            wait "$server" || die "it ended with status $?"
            server=
            return
        fi
        kill -0 "$server" 2>/dev/null || die 'it ended by itself'
        sleep 0.1
    done
    die 'it is not well after a minute'
}

# What Docker does with packaging/Dockerfile, with the toolchain of this host in the place of that
# of the image: the steps of the first stage, and what the second copies.
image() {
    local step copied
    cargo fetch --locked
    debian build gcc libc6-dev
    mkdir "$work/build/toolchain" "$work/build/cargo" "$work/build/source"
    mount --bind --options ro "$(rustc --print sysroot)" "$work/build/toolchain"
    mkdir "$work/build/cargo/registry"
    mount --bind --options ro "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/build/cargo/registry"
    git ls-files -z | tar --create --null --files-from=- | tar --extract -C "$work/build/source"
    sed -n 's/^RUN //p' packaging/Dockerfile | while IFS= read -r step; do
        say "RUN $step"
        inside build sh -c "cd /source && $step"
    done
    copied=$(sed -n 's/^COPY --from=build \([^ ]*\) \/$/\1/p' packaging/Dockerfile)
    [[ -n $copied ]] || die 'the Dockerfile copies nothing'
    say "starting the program in a chroot of $copied"
    serves "$work/build$copied" /usr/bin/throng
}

package() {
    local deb left
    deb=$(scripts/package.sh --no-build)
    # init-system-helpers is essential, so that only the unit's own checker is missing.
    debian target systemd man-db
    cp "$deb" "$work/target/throng.deb"
    say "installing $deb"
    inside target dpkg --install /throng.deb
    inside target systemd-analyze verify --man=no throng.service
    inside target test -L /etc/systemd/system/multi-user.target.wants/throng.service
    inside target man --warnings throng
    inside target bash -n /usr/share/bash-completion/completions/throng
    inside target /usr/bin/throng config check --config /etc/throng/throng.toml
    inside target /usr/share/throng/scripts/tune.sh --check || (($? == 1)) || die 'tune.sh failed'
    say 'starting what was installed, as the unit says'
    # shellcheck disable=SC2046 # words of the unit
    serves "$work/target" $(sed -n 's/^ExecStart=//p' packaging/throng.service |
        sed 's|/usr/local/bin/|/usr/bin/|')
    say 'removing it'
    inside target dpkg --purge throng
    left=$(cd "$work/target" && find . -xdev \( -path ./proc -o -path ./var/cache \
        -o -path ./var/log -o -path ./var/lib/systemd \) -prune \
        -o -name '*throng*' -not -path ./throng.deb -print)
    [[ -z $left ]] || die "left behind: $left"
}

(($# > 0)) || set -- image package
for part in "$@"; do
    case $part in
    image | package) "$part" ;;
    *) die "no part $part: image or package" ;;
    esac
done
say 'all is good'
