#!/usr/bin/env bash
# Runs a command inside a Debian tree: chroot.sh TREE CHECKOUT RUST CARGO_HOME COMMAND...
#
# - Expects mount and pid namespaces of its own (tools/trixie.sh makes them), and so never unmounts.
# - CHECKOUT, RUST and CARGO_HOME are seen inside at the paths they have outside; RUST may be empty.
# - Shared memory is empty at the start, so what is in it at the end was left by the command.
set -euo pipefail

tree=$1 checkout=$2 rust=$3 cargo_home=$4
shift 4

same_path() {
  mkdir -p "$1" "$tree$1"
  mount --bind "$1" "$tree$1"
}

mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$tree/dev/shm"
same_path "$checkout"
same_path "$cargo_home"
[ -z "$rust" ] || same_path "$rust"
cp --dereference --remove-destination /etc/resolv.conf "$tree/etc/resolv.conf"

# Not by exec: this shell stays as process 1 of the namespace, where it reaps what the tests orphan.
chroot "$tree" /usr/bin/env --ignore-environment --chdir="$checkout" \
  HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" DEBIAN_FRONTEND=noninteractive \
  PATH="${rust:+$rust/bin:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
  CARGO_HOME="$cargo_home" ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
  "$@"
