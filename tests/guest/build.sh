#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the test guest's image, build/out/initramfs.cpio.gz: busybox,
# qemu-guest-agent with its libraries, the test programs, and the modules of
# every kernel that has been built so far.

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE/../../scripts/lib.sh"

mkdir -p "$BUILD/guest" "$OUT"
root=$(mktemp -d "$BUILD/guest/root.XXXXXX")
trap 'rm -rf "$root"' EXIT

# put FILE DEST: copy to the same or another place in the image.
put() {
	mkdir -p "$root$(dirname "$2")"
	cp -L "$1" "$root$2"
}

need() {
	command -v "$1" 2>/dev/null ||
		die "guest image: $1 not found; run 'make setup'"
}

busybox=$(need busybox)
agent=$(PATH=$PATH:/usr/sbin need qemu-ga)
need cpio >/dev/null
! ldd "$busybox" >/dev/null 2>&1 ||
	die "guest image: $busybox is not static; install busybox-static"

mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,var,etc,root,lib/modules}
ln -s ../run "$root/var/run"
put "$busybox" /bin/busybox
put "$agent" /bin/qemu-ga
ldd "$agent" | awk '/=> \//{print $3} $1 ~ /^\//{print $1}' |
	while read -r lib; do put "$lib" "$lib"; done
put "$HERE/init" /init
put "$HERE/hold" /bin/hold
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"

for src in "$HERE"/*.c; do
	prog=$(basename "$src" .c)
	bin=$BUILD/guest/$prog
	if [ ! "$bin" -nt "$src" ]; then
		gcc -static -O2 -Wall -Wextra -std=gnu11 -o "$bin.$$" "$src" ||
			die "guest image: $src does not compile"
		mv "$bin.$$" "$bin"
	fi
	put "$bin" "/bin/$prog"
done

# modules FROM KIND: build/out's modules, per kernel release.
modules() {
	local ko release

	for ko in "$1"/*/*.ko; do
		[ -e "$ko" ] || continue
		release=$(basename "$(dirname "$ko")")
		put "$ko" "/lib/modules/$release/$2/$(basename "$ko")"
		strip -g "$root/lib/modules/$release/$2/$(basename "$ko")"
	done
}
modules "$OUT/drivers" ballast
modules "$OUT/stock/modules" stock

(cd "$root" && find . -print0 | LC_ALL=C sort -z |
	cpio --quiet --null -o -H newc -R 0:0 | gzip -1) \
	> "$OUT/initramfs.cpio.gz.$$"
mv "$OUT/initramfs.cpio.gz.$$" "$OUT/initramfs.cpio.gz"
