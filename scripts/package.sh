#!/usr/bin/env bash
# Makes the Debian package of Throng: program, unit, configuration, manual, completions, examples.
#
#   scripts/package.sh            builds the program, then the package
#   scripts/package.sh --no-build takes target/release/throng as it is
#
# Prints the path of the package. Needs cargo-deb: cargo install --locked cargo-deb
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1-} in
'') cargo build --locked --release --package throng-cli >&2 ;;
--no-build) ;;
*)
    sed -n '2,/^set -euo/{/^set -euo/!s/^# \{0,1\}//p}' scripts/package.sh >&2
    exit 2
    ;;
esac
program=${CARGO_TARGET_DIR:-target}/release/throng
[[ -x $program ]] || {
    echo "package.sh: no program at $program: run it without --no-build" >&2
    exit 1
}
cargo deb --version >/dev/null 2>&1 || {
    echo 'package.sh: no cargo-deb here: cargo install --locked cargo-deb' >&2
    exit 1
}

# What is made here and not kept in the repository. cli/Cargo.toml names all files of the package.
made=target/package
rm -rf "$made"
mkdir -p "$made/man" "$made/completions" "$made/systemd"
"$program" man "$made/man"
"$program" completions bash >"$made/completions/throng"
"$program" completions zsh >"$made/completions/_throng"
"$program" completions fish >"$made/completions/throng.fish"
# /usr/local belongs to the administrator of a host, /usr/bin to its packages.
sed 's|/usr/local/bin/|/usr/bin/|' packaging/throng.service >"$made/systemd/throng.service"
# Debian's form has to be there; what has changed is told by ours.
cat >"$made/changelog" <<END
throng ($("$program" --version | cut -d ' ' -f 2)-1) unstable; urgency=medium

  * See CHANGELOG.md in this folder.

 -- The Throng authors <throng@throng.invalid>  $(date --utc --rfc-email)
END

cargo deb --quiet --strip --no-build --package throng-cli
