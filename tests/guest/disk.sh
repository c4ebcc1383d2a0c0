#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds a disk for the test guest, build/out/compile.img: a Debian with a compiler,
# and in /src a part of the kernel's source, packed, configured, and prepared so far
# that single folders of it can be compiled; sums has the objects that come of them.
# For the benchmark's case "stranded".

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE/../../scripts/lib.sh"
# shellcheck source=tests/lib/root.sh
. "$HERE/../lib/root.sh"

image=$OUT/compile.img
packages=gcc,make,libc6-dev,flex,bison,bc
targets=kernel/locking/

# What no x86 kernel needs is left out, and most drivers; those of graphics cards stay,
# which are large. Files that Kconfig reads are there for all.
unpack_source()
{
	dpkg-deb --fsys-tarfile "$src_dir"/linux-source-6.12_*.deb |
		tar -xO ./usr/src/linux-source-6.12.tar.xz | xz -dcT "$JOBS" |
		tar -x --strip-components=1 -C "$1" --wildcards \
			--exclude='*/Documentation/*.*' --exclude='*/tools/testing' \
			--exclude='*/tools/perf' --exclude='*/sound/*.[ch]' \
			--exclude='*/arch/[!x]*/*.[chSd]*' \
			--exclude='*/drivers/[!g]*/*.[ch]'
}

make_disk()
{
	local new

	root_unpack "$(debian)" "$packages"
	mkdir -p "$ROOT/src/linux"
	unpack_source "$ROOT/src/linux"
	# shellcheck disable=SC2016 # it is for the shell in there
	inside 'set -e
		cd /src/linux
		make -s tinyconfig
		make -s -j "$(nproc)" prepare
		tar -cf ../linux.tar -C .. linux
		make -s -j "$(nproc)" '"$targets"'
		cd ..
		find linux -name "*.o" -newer linux.tar | sort |
			xargs -r sha256sum > sums
		[ -s sums ]
		echo "'"$targets"'" > targets
		rm -rf linux'
	# The unpacked source goes there once more.
	new=$ROOT.out
	truncate -s 4G "$new"
	mkfs.ext4 -qF -d "$ROOT" "$new" || die "no disk: mkfs.ext4 failed"
	mv "$new" "$image"
	root_close
}

wanted=$(hash "$0" <(debian; stock_version))
[ -e "$image" ] && [ "$(cat "$image.made" 2>/dev/null)" = "$wanted" ] && exit 0
need_root "making a Debian of its own"
need_space "$BUILD" 6
step "a disk with a compiler and source" make_disk
echo "$wanted" > "$image.made"
