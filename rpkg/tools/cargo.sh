# Finds cargo and rustc; sourced by configure and by src/build.sh.
#
# rustup installs into ~/.cargo/bin, which is not always on the PATH that R has.

minimum_rust=1.85

if [ -n "${HOME:-}" ]; then
  PATH="$PATH:$HOME/.cargo/bin"
  export PATH
fi

# Prints "1.95.0" for "rustc 1.95.0 (59807616e 2026-04-14)"; nothing when there is no such command.
rust_version() {
  "$1" --version 2>/dev/null | sed -n '1s/^[^ ]* \([0-9][0-9.]*\).*/\1/p'
}

# Is version $1 at least $2? Compares major and minor.
at_least() {
  [ "${1%%.*}" -gt "${2%%.*}" ] && return 0
  minor=${1#*.}
  [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${minor%%.*}" -ge "${2#*.}" ]
}

require_rust() {
  for tool in cargo rustc; do
    found=$(rust_version "$tool")
    if [ -z "$found" ]; then
      problem="$tool was not found on the PATH or in ~/.cargo/bin."
    elif at_least "$found" "$minimum_rust"; then
      continue
    else
      problem="$tool is version $found, which is too old."
    fi
    cat >&2 <<EOF
------------------------- cowshed cannot be built -------------------------
$problem
cowshed needs cargo and rustc $minimum_rust or newer. Any of these gives them:
 - Debian 13 or newer, Ubuntu 25.04 or newer: apt-get install cargo rustc
 - Fedora: dnf install cargo rust
 - anywhere: rustup, from https://www.rust-lang.org/tools/install
---------------------------------------------------------------------------
EOF
    return 1
  done
}
