#!/bin/sh
# Builds the Rust crate `cowshed` and copies its library over the one that R expects: sh build.sh cowshed.so
#
# - In a checkout the crates are members of the workspace two folders up, and cargo builds in its target/.
# - In a source package the workspace is in this folder, and every dependency in vendor.tar.xz: cargo neither
#   looks at the network nor writes outside of this folder, and nothing but the library is left.
# - One target folder per R version, because the bindings to R are not rebuilt when R changes.
#   COWSHED_TARGET_DIR names another folder than target/, for builds that cannot share one with this machine's.
set -eu

shlib=$1
here=$(pwd)
. ../tools/cargo.sh
require_rust

r_version=$("$R_HOME/bin/Rscript" --vanilla -e 'cat(sub("[.][^.]*$", "", getRversion()))')

build() {
  workspace=$1
  target=$2/r-$r_version
  shift 2
  (cd "$workspace" && cargo build --release --package cowshed --target-dir "$target" "$@")
  for built in "$target/release/libcowshed.so" "$target/release/libcowshed.dylib" "$target/release/cowshed.dll"; do
    [ -f "$built" ] && install_library "$built"
  done
  return 0
}

# By rename, not over the old file: a process that has that one mapped keeps it whole.
install_library() {
  cp "$1" "$shlib.new"
  mv -f "$shlib.new" "$shlib"
}

build_checkout() {
  root=$(cd ../.. && pwd)
  build "$root" "${COWSHED_TARGET_DIR:-$root/target}"
}

build_source_package() {
  xz -dc vendor.tar.xz | tar -xf -
  CARGO_HOME=$here/cargo-home
  # R CMD check reads the symbol table; R CMD INSTALL --strip takes it away.
  CARGO_PROFILE_RELEASE_STRIP=debuginfo
  export CARGO_HOME CARGO_PROFILE_RELEASE_STRIP
  build "$here" "$here/target" --offline --locked --jobs 2 \
    --config 'source.crates-io.replace-with="vendored"' \
    --config "source.vendored.directory=\"$here/vendor\""
  rm -rf vendor target cargo-home
}

rm -f "$shlib"
if [ -f vendor.tar.xz ]; then build_source_package; else build_checkout; fi
[ -f "$shlib" ] || { echo "cargo made no library for $shlib" >&2; exit 1; }
