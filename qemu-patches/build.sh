#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh [stock] [patched]: QEMU 10.0 from Debian's source package, with
# only Debian's patches (build/out/stock/) and with ours on top (build/out/).
# Both by default. What is up to date is not built again.

. "$(dirname "$0")/../scripts/lib.sh"

SERIES=$TOP/qemu-patches/10.0
CONFIGURE=(
	--python=/usr/bin/python3
	"--cc=ccache gcc"
	--target-list=x86_64-softmmu
	--without-default-features
	--enable-system --enable-tcg --enable-kvm
	--enable-trace-backends=log
	--disable-debug-info
	--disable-docs --disable-download --disable-install-blobs
	--firmwarepath=/usr/share/qemu:/usr/share/seabios
)
# The tests of the device: QEMU's own, and those the series adds.
QTESTS=(tests/qtest/virtio-balloon-test
	tests/qtest/virtio-balloon-pages-test
	tests/qtest/device-plug-test tests/qtest/qos-test)

# unpack TREE [PATCH...]
unpack()
{
	local tree=$1 p

	shift
	rm -rf "$tree"
	dpkg-source --no-check -x "$DSC" "$tree" || return
	for p in "$@"; do
		echo "applying ${p##*/}"
		patch -d "$tree" -p1 -F0 -s <"$p" || return
	done
}

configure() { mkdir -p build && cd build && ../configure "${CONFIGURE[@]}"; }

# stamped FILE STAMP
stamped() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# build NAME TREE OUTDIR [PATCH...]
build()
{
	local name=$1 tree=$2 out=$3/qemu-system-x86_64 want targets

	shift 3
	want=$(hash "$DSC" "$@" <(echo "${CONFIGURE[@]}" "${QTESTS[@]}"))
	targets=(qemu-system-x86_64)
	[ "$name" = stock ] || targets+=("${QTESTS[@]}")

	[ -x "$out" ] && stamped "$tree/.built" "$want" && return
	if ! stamped "$tree/.configured" "$want"; then
		need_space "$BUILD" 3
		step "unpack QEMU ($name)" unpack "$tree" "$@"
		cd "$tree"
		step "configure QEMU ($name)" configure
		echo "$want" >.configured
	fi

	cd "$tree"
	step "build QEMU ($name)" ninja -C build -j "$JOBS" "${targets[@]}"
	mkdir -p "${out%/*}" "$OUT/qtest"
	[ "$name" = stock ] || install -t "$OUT/qtest" "${QTESTS[@]/#/build/}"
	install build/qemu-system-x86_64 "$out.new"
	mv "$out.new" "$out"
	echo "$want" >.built
	cd "$TOP"
}

DSC=$(qemu_dsc)
[ -n "$DSC" ] ||
	die "no QEMU source: $src_dir has no qemu_10.0*.dsc; run make setup"
[ $# -gt 0 ] || set -- stock patched
for what in "$@"; do
	case $what in
	stock)   build stock "$BUILD/qemu-stock" "$OUT/stock" ;;
	patched) build patched "$BUILD/qemu" "$OUT" "$SERIES"/*.patch ;;
	*)       die "unknown build: $what; say stock or patched" ;;
	esac
done
