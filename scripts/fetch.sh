#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetch Debian's packages of the kernel (source, and the stock image that is
# never installed), of Prometheus (for a test, never installed either) and of
# QEMU's source into the cache outside the tree; with QEMU_BASE=7.2 that of Debian
# 12's QEMU, too.

. "$(dirname "$0")/lib.sh"

# into FILE... -- COMMAND...: run a command in a new directory of the cache,
# and move what it fetched to its place when all of it is there.
into()
{
	local tmp

	tmp=$(mktemp -d "$src_dir/new.XXXXXX")
	chmod 755 "$tmp"
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	cd "$tmp"
	"$@"
	mv ./* "$src_dir/"
}

get() { into apt-get -q -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 "$@"; }

mkdir -p "$src_dir"

# The name of the package that stands for the newest stock kernel's headers.
case $(debian) in
12) meta=linux-headers-6.12-cloud-amd64 ;;
*) meta=linux-headers-cloud-amd64 ;;
esac

# The release and version that the archive has: the first "name (= version)".
newest()
{
	apt-cache show --no-all-versions "$meta" 2>/dev/null | sed -n \
		's/^Depends: linux-headers-\([^ ]*\) (= \([^)]*\)).*/\1 \2/p' |
		head -n 1
}

# here RELEASE VERSION: can apt download it, going by its indices?
here()
{
	local p

	[ $# = 2 ] || return 1
	for p in image source headers; do
		# shellcheck disable=SC2046
		apt-get -q --print-uris download $("stock_$p" "$@") \
			>/dev/null 2>&1 || return 1
	done
}

if [ -z "$(stock_release)" ]; then
	need_root "fetching packages"
	need_space "$src_dir" 1
	read -r -a kernel < <(newest) || true
	if ! here "${kernel[@]}"; then
		step "apt update" apt-get -q update
		read -r -a kernel < <(newest) || true
	fi
	here "${kernel[@]}" ||
		die "no stock kernel: apt does not offer $meta; run make setup"
	# shellcheck disable=SC2046
	step "fetch Debian's kernel ${kernel[0]} and its source" get download \
		$(for p in image source headers; do "stock_$p" "${kernel[@]}"; done)
	echo "${kernel[*]}" >"$src_dir/stock"
fi

# qemu BASE DEBIAN SUITE
qemu()
{
	[ -z "$(qemu_dsc "$1")" ] || return 0
	need_root "fetching packages"
	need_space "$src_dir" 1
	step "fetch QEMU $1's source package" \
		get source --download-only --only-source "qemu/$3"
	[ -n "$(qemu_dsc "$1")" ] ||
		die "not QEMU $1: Debian $2 has another version; see $src_dir"
}

qemu 10.0 13 trixie
[ "$QEMU_BASE" != 7.2 ] || qemu 7.2 12 bookworm

if [ -z "$(prometheus_deb)" ]; then
	need_root "fetching packages"
	need_space "$src_dir" 1
	step "fetch Debian's Prometheus" get download prometheus
fi
