#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh normal|debug: Debian's 6.12 source with our patches, the smallest
# configuration that has what the guests need; and the stock kernel unpacked
# beside it. See README.md.

. "$(dirname "$0")/../scripts/lib.sh"

kind=${1:-normal}
case $kind in
normal) suffix='' frags=(base) ;;
debug) suffix=-debug frags=(base debug) ;;
*) die "bad argument: $kind; use normal or debug" ;;
esac

shopt -s nullglob
here=$TOP/guest-kernel
linux=$BUILD/linux
obj=$linux/out$suffix
state=$linux/.ballast
patches=("$here"/patches/*.patch)
frags=("${frags[@]/#/$here/configs/}")
frags=("${frags[@]/%/.config}")
either=$here/configs/either.config

export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
export KBUILD_BUILD_USER=ballast KBUILD_BUILD_HOST=ballast
export KBUILD_BUILD_VERSION=1
kmake()
{
	make -C "$linux" O="out$suffix" -j"$((JOBS + 1))" \
		CC="ccache gcc" HOSTCC="ccache gcc" "$@"
}

unpack_source()
{
	rm -rf "$linux.new" "$linux"
	mkdir -p "$linux.new"
	dpkg-deb --fsys-tarfile "$deb" |
		tar -xO --wildcards '*/linux-source-6.12.tar.xz' |
		tar -xJ --strip-components=1 -C "$linux.new"
	mkdir "$linux.new/.ballast"
	basename "$deb" >"$linux.new/.ballast/source"
	mv "$linux.new" "$linux"
}

# The files that patches touch, as they were left, so that work done in the
# tree by hand is never overwritten.
touched()
{
	sed -n 's,^+++ b/\([^	]*\).*,\1,p; s,^--- a/\([^	]*\).*,\1,p' \
		"$@" </dev/null | sort -u
}
sums()
{
	touched "$state"/*.patch | (cd "$linux" && xargs -r sha256sum) 2>&1 ||
		true
}

apply_patches()
{
	local p

	rm -f "$state/applied"
	for p in "${patches[@]}"; do
		patch -d "$linux" -p1 -s -F0 --no-backup-if-mismatch <"$p" ||
			die "patch does not apply: $p; mend it, then remove build/linux"
		cp "$p" "$state/"
	done
	sums >"$state/sums"
	hash "${patches[@]}" >"$state/applied"
}

# Take off the patches that are on: only the files they touch change.
unapply_patches()
{
	local p

	[ ! -e "$state/sums" ] || [ "$(sums)" = "$(cat "$state/sums")" ] ||
		die "changed by hand: build/linux; keep your work elsewhere and remove build/linux"
	rm -f "$state/applied"
	for p in $(printf '%s\n' "$state"/*.patch | sort -r); do
		[ -e "$p" ] || continue
		patch -d "$linux" -p1 -s -R --no-backup-if-mismatch <"$p"
		rm "$p"
	done
}

# No kernel is built from this source any more.
repatch()
{
	rm -f "$linux"/out*/.ballast-built
	unapply_patches
	apply_patches
}

configure()
{
	local line opt bad=''

	mkdir -p "$obj"
	kmake -s tinyconfig
	(cd "$linux" && scripts/kconfig/merge_config.sh -m -O "$obj" \
		"$obj/.config" "${frags[@]}" "$either")
	kmake -s olddefconfig
	# A later fragment may say again what an earlier one said.
	while read -r line; do
		opt=${line#\# } opt=${opt%%[ =]*}
		case $line in
		CONFIG_*) grep -qxF "$line" "$obj/.config" || bad+=" $line" ;;
		*) ! grep -q "^$opt=" "$obj/.config" || bad+=" $opt=n" ;;
		esac
	done < <(cat "${frags[@]}" | grep -E '^(# )?CONFIG_' | tac |
		awk '{ o = $1 == "#" ? $2 : $1; sub(/=.*/, "", o) } !seen[o]++')
	grep '^CONFIG' "$either" | grep -qxFf - "$obj/.config" ||
		bad+=" $(grep -m 1 '^CONFIG' "$either")"
	[ -z "$bad" ] ||
		die "options that do not hold:$bad; see guest-kernel/configs"
	hash "${frags[@]}" "$either" >"$obj/.ballast-config"
}

# in_tree RELEASE DIR: the modules a kernel brings, uncompressed. Only the two
# of the main job have to be there.
in_tree()
{
	local to=$OUT/stock/modules/$1 name from

	mkdir -p "$to"
	for name in virtio_balloon virtio_mem virtio_blk zsmalloc zram \
			lz4_compress lz4hc_compress kunit driver_pages_kunit; do
		from=$(find "$2" -name "$name.ko" -o -name "$name.ko.xz" |
			head -n 1)
		case $name:$from in
		*.xz) xz -dc "$from" >"$to/$name.ko" ;;
		*.ko) cp "$from" "$to/" ;;
		virtio_balloon:* | virtio_mem:*) die "no module: $name in kernel $1; see guest-kernel/configs" ;;
		esac
	done
}

# What unpack_stock depends on.
stock_wanted() { cat "$src_dir/stock"; hash "$here/build.sh"; }

unpack_stock()
{
	local tmp=$BUILD/stock.new headers=$BUILD/stock-headers deb

	rm -rf "$tmp" "$headers"
	mkdir -p "$tmp" "$headers" "$OUT/stock"
	for deb in $(stock_debs headers); do
		dpkg-deb -x "$deb" "$headers"
	done
	# They name each other by where they would be installed.
	sed -i "s,/usr/src/,$headers&," "$(stock_kdir)/Makefile"
	dpkg-deb -x "$(stock_debs image)" "$tmp"
	in_tree "$(stock_release)" "$tmp"
	cp "$tmp"/boot/config-* "$OUT/stock/config"
	cp "$tmp"/boot/vmlinuz-* "$OUT/stock/vmlinuz"
	rm -rf "$tmp"
	stock_wanted >"$headers/stock"
}

build()
{
	kmake vmlinux modules
	# It packs vmlinux with .incbin, whose contents ccache does not look at.
	CCACHE_DISABLE=1 kmake bzImage
	in_tree "$(kmake -s kernelrelease)" "$obj"
	# Only when it changed, for what depends on it.
	cmp -s "$obj/arch/x86/boot/bzImage" "$OUT/bzImage$suffix" ||
		cp "$obj/arch/x86/boot/bzImage" "$OUT/bzImage$suffix"
	echo "$want" >"$obj/.ballast-built"
}

deb=$(stock_debs source)
for f in "$deb" $(stock_debs image) $(stock_debs headers); do
	[ -f "$f" ] || die "not in the cache: $f; run make setup"
done

if [ ! -f "$OUT/stock/vmlinuz" ] ||
   ! stock_wanted | cmp -s - "$BUILD/stock-headers/stock"; then
	step "unpack Debian's kernel $(stock_release)" unpack_stock
fi

want=$(basename "$deb")-$(hash "$0" "${frags[@]}" "$either" "${patches[@]}")
if [ -f "$OUT/bzImage$suffix" ] &&
   [ "$(cat "$obj/.ballast-built" 2>/dev/null)" = "$want" ]; then
	exit 0
fi

if [ "$(cat "$state/source" 2>/dev/null)" != "$(basename "$deb")" ]; then
	[ ! -d "$state" ] || unapply_patches
	need_space "$BUILD" 6
	step "unpack $(basename "$deb" .deb)" unpack_source
fi
if [ "$(cat "$state/applied" 2>/dev/null)" != "$(hash "${patches[@]}")" ]; then
	step "patch the kernel (${#patches[@]} patches)" \
		repatch
fi
[ "$(cat "$obj/.ballast-config" 2>/dev/null)" = "$(hash "${frags[@]}" "$either")" ] ||
	step "configure the $kind kernel" configure
step "build the $kind kernel" build
