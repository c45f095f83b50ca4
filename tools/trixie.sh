# A Debian trixie next to the machine's own system, for a second version of R; sourced by ./dev.
#
# - The tree is made once and kept in the cache. A marker written last says which packages are complete in it; a
#   tree without one was left by a run that was killed, and is made anew.
# - Nothing is ever mounted on the machine: every command gets mount and pid namespaces of its own, which the
#   kernel takes down with the last process in them, however that ended. tools/chroot.sh does the mounting.
# - The Rust toolchain is this machine's, unless that is Debian's own. The tree has Debian's, too: it is the oldest that will do.

trixie_cache=${XDG_CACHE_HOME:-$HOME/.cache}/cowshed
trixie=$trixie_cache/trixie
trixie_marker=$trixie/cowshed-complete

# Stops, and says why, if there can be no Debian tree here.
trixie_require() {
  can_be_root || die "the Debian tree needs root, and there is no sudo. Without --all-r, ./dev test needs none."
  as_root unshare --mount --pid --fork true 2>/dev/null ||
    die "no mount namespace can be made here. In a container, allow it CAP_SYS_ADMIN, or leave out --all-r."
  have debootstrap || [ -f "$trixie_marker" ] || apt_install "the Debian tree" debootstrap debian-archive-keyring
}

trixie_packages() {
  printf '%s\n' r-base-dev python3-venv python3-numpy python3-pytest cargo rustc
  # shellcheck disable=SC2046 # a list of names
  debian_names $(suggested_packages)
}

# Makes the tree, or brings it up to date, one at a time for all checkouts. The crates are fetched out here, where the
# certificates and settings of this machine's network are.
trixie_prepare() {
  cargo fetch --quiet && mkdir -p "$trixie_cache" && (
    flock 9 &&
      trixie_bootstrap &&
      trixie_install "$(trixie_packages | sort)"
  ) 9>"$trixie_cache/lock"
}

trixie_bootstrap() {
  [ ! -f "$trixie_marker" ] || return 0
  trixie_remove &&
    as_root unshare --mount --propagation private debootstrap --variant=minbase trixie "$trixie" $(debian_mirror) &&
    echo 'force-unsafe-io' | as_root tee "$trixie/etc/dpkg/dpkg.cfg.d/cowshed" &&
    as_root touch "$trixie_marker"
}

# Where this machine gets its Debian packages; nothing, that is debootstrap's own choice, if it is not a Debian.
debian_mirror() {
  have apt-get || return 0
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" { print $2; exit }'
}

trixie_install() {
  [ "$(cat "$trixie_marker")" != "$1" ] || return 0
  # shellcheck disable=SC2086 # a list of names
  trixie_run apt-get update &&
    trixie_run dpkg --configure -a && # after a run that was killed
    trixie_run apt-get install --yes --no-install-recommends $1 &&
    trixie_run apt-get clean &&
    echo "$1" | as_root tee "$trixie_marker"
}

# trixie_prepare in the background, since it mostly waits for the network; $! is what trixie_wait waits for. In a
# process group of its own, which goes when we do.
trixie_start() {
  set -m
  trixie_prepare >"$logs/trixie.log" 2>&1 </dev/null &
  set +m
  # shellcheck disable=SC2064 # this job's id
  trap "kill -- -$! 2>/dev/null || true" EXIT
}

trixie_wait() {
  local status=0
  wait "$1" || status=$?
  cat "$logs/trixie.log"
  return $status
}

# What is built inside stays apart: it is linked to a newer libc than this machine may have.
trixie_run() {
  as_root unshare --mount --pid --fork --kill-child --propagation private \
    bash tools/chroot.sh "$trixie" "$root" "$(own_toolchain)" "${CARGO_HOME:-$HOME/.cargo}" \
    env COWSHED_TARGET_DIR="$target/trixie" CARGO_TARGET_DIR="$target/trixie" "$@"
}

# Never crosses into something that is mounted in the tree.
trixie_remove() {
  as_root rm -rf --one-file-system "$trixie"
}
