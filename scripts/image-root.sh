#!/usr/bin/env bash
# Lays out the files of the container image: the program, the libraries that it is linked to, and
# a user without rights. Nothing else is in the image: no shell, no package manager.
#
#   scripts/image-root.sh PROGRAM FOLDER
#
# packaging/Dockerfile calls it, and so do the tests, which start the program in a chroot of it.
set -euo pipefail

if (($# != 2)); then
    echo 'usage: scripts/image-root.sh PROGRAM FOLDER' >&2
    exit 2
fi
program=$1 folder=$2

# The libraries of the program and the dynamic linker, each by its whole path.
libraries() {
    # A program that is linked statically has none, which ldd tells by its status.
    ldd "$program" | grep --only-matching '/[^ ]*' || true
}

if ! [[ -x $program ]]; then
    echo "image-root: no program at $program: cargo build --release --package throng-cli" >&2
    exit 1
fi
install -D -m 755 "$program" "$folder/usr/bin/throng"
libraries | while IFS= read -r library; do
    install -D -m 755 "$library" "$folder$library"
done
# The number is the one that images without a distribution use for it.
install -d "$folder/etc/throng"
echo 'throng:x:65532:65532::/nonexistent:/usr/sbin/nologin' >"$folder/etc/passwd"
echo 'throng:x:65532:' >"$folder/etc/group"
