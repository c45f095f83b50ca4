# What must be on this machine, and how to get it; sourced by ./dev.
#
# On Debian and its children what is missing is installed with apt-get, as root or through sudo. Elsewhere, and
# without root, the script says what is missing and stops.

have() {
  command -v "$1" >/dev/null 2>&1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    echo "this needs root, and there is no sudo: $*" >&2
    return 1
  fi
}

can_be_root() {
  [ "$(id -u)" -eq 0 ] || have sudo
}

# Installs Debian packages; $1 says what for.
apt_install() {
  local purpose=$1
  shift
  have apt-get || die "missing for $purpose. On Debian: $*. Please install their equivalents here."
  can_be_root || die "missing for $purpose. Please run as root: apt-get install $*"
  step "apt" "Install for $purpose: $*" apt_get_install "$@"
}

apt_get_install() {
  # A source that cannot be reached matters only if a package then cannot be found.
  as_root apt-get update || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# Needed by every command: R, a linker, cargo, and what packs and unpacks the vendored crates.
need_build_tools() {
  local missing=()
  have R && have make && have cc || missing+=(r-base-dev)
  have xz || missing+=(xz-utils)
  have nm || missing+=(binutils)
  [ ${#missing[@]} -eq 0 ] || apt_install "building" "${missing[@]}"
  # One of R's recommended packages, which Debian has apart.
  need_r_packages codetools
  need_rust
}

need_rust() {
  . rpkg/tools/cargo.sh
  if require_rust 2>/dev/null; then
    return 0
  elif have apt-get && can_be_root && debian_rust_is_new_enough; then
    apt_install "building" cargo rustc
  fi
  require_rust || exit 1
}

debian_rust_is_new_enough() {
  local candidate
  as_root apt-get update >/dev/null 2>&1 || true
  candidate=$(apt-cache policy rustc cargo 2>/dev/null | awk '/Candidate:/ { print $2; exit }')
  case $candidate in
    [0-9]*.[0-9]*) at_least "${candidate%%[+~-]*}" "$minimum_rust" ;;
    *) return 1 ;;
  esac
}

# Needed by fmt and clippy, which Debian and minimal toolchains ship apart.
need_lints() {
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    if [ -n "$(own_toolchain)" ]; then
      step "rustup" "Install rustfmt and clippy" rustup component add rustfmt clippy
    else
      apt_install "the lints" rustfmt rust-clippy
    fi
  fi
}

# The folder of a toolchain that rustup or a person put here; nothing for one that came with the system.
own_toolchain() {
  local sysroot
  sysroot=$(rustc --print sysroot)
  [ "$sysroot" = /usr ] || [ ! -x "$sysroot/bin/cargo" ] || echo "$sysroot"
}

# Makes sure that these R packages can be loaded.
need_r_packages() {
  local missing
  missing=$(Rscript --vanilla -e 'cat(Filter(function(p) !nzchar(system.file(package = p)), commandArgs(TRUE)))' "$@")
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086 # a list of names
  apt_install "R" $(debian_names $missing)
}

# Debian calls an R package after where it is from, in small letters.
debian_names() {
  local name
  for name in "$@"; do
    case $name in
      Bioc* | SummarizedExperiment) echo "r-bioc-$name" ;;
      *) echo "r-cran-$name" ;;
    esac
  done | tr '[:upper:]' '[:lower:]'
}

# The packages that DESCRIPTION suggests, without those that are a part of R.
suggested_packages() {
  awk '/^Suggests:/ { on = 1; sub(/^Suggests:/, ""); print; next } /^[^ \t]/ { on = 0 } on' rpkg/DESCRIPTION |
    sed 's/([^)]*)//g' | tr ', \t' '\n\n\n' |
    grep -Ev '^(compiler|grid|parallel|splines|stats|stats4|tcltk|tools|)$'
}
