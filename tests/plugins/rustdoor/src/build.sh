#!/bin/sh
# Builds the crate and copies its library over the one that R expects: sh build.sh rustdoor.so
set -eu

PATH="$PATH:${HOME:-}/.cargo/bin"
target=${CARGO_TARGET_DIR:-$(pwd)/rust/target}
# Without the network if what it needs is here.
build() {
  cargo build --release --manifest-path rust/Cargo.toml --target-dir "$target" "$@"
}
build --offline 2>/dev/null || build
rm -f "$1"
for built in "$target/release/librustdoor.so" "$target/release/librustdoor.dylib"; do
  [ ! -f "$built" ] || cp "$built" "$1"
done
[ -f "$1" ] || { echo "cargo made no library for $1" >&2; exit 1; }
