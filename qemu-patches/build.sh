#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh [stock] [patched] [7.2]: QEMU 10.0 from Debian's source package, with
# only Debian's patches (build/out/stock/) and with ours on top (build/out/);
# Debian 12's QEMU 7.2 with ours on top (build/out/7.2/). By default the first
# two, with QEMU_BASE=7.2 all. What is up to date is not built again.

. "$(dirname "$0")/../scripts/lib.sh"

# base VERSION: set what depends on it.
base()
{
	local python=--python=/usr/bin/python3 extra=--disable-download

	DSC=$(qemu_dsc "$1")
	[ -n "$DSC" ] || die "no QEMU source: $src_dir has no qemu_$1*.dsc;" \
		"run make setup${2:+ $2}"
	SERIES=$TOP/qemu-patches/$1
	# The tests of the device: QEMU's own, and those the series adds.
	QTESTS=(tests/qtest/virtio-balloon-test
		tests/qtest/virtio-balloon-pages-test
		tests/qtest/device-plug-test tests/qtest/qos-test)

	# 7.2 has no virtio-balloon-test, downloads nothing, takes --python only
	# with a meson of its own, and was written for older compilers.
	if [ "$1" = 7.2 ]; then
		python=--meson=/usr/bin/meson extra=--disable-werror
		QTESTS=("${QTESTS[@]:1}")
	fi
	CONFIGURE=(
		"$python"
		"--cc=ccache gcc"
		--target-list=x86_64-softmmu
		--without-default-features
		--enable-system --enable-tcg --enable-kvm
		--enable-trace-backends=log
		--disable-debug-info
		--disable-docs "$extra" --disable-install-blobs
		--firmwarepath=/usr/share/qemu:/usr/share/seabios
	)
}

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

configure()
{
	mkdir -p build && cd build &&
		PYTHON=/usr/bin/python3 ../configure "${CONFIGURE[@]}"
}

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
	mkdir -p "${out%/*}"
	if [ "$name" != stock ]; then
		mkdir -p "${out%/*}/qtest"
		install -t "${out%/*}/qtest" "${QTESTS[@]/#/build/}"
	fi
	install build/qemu-system-x86_64 "$out.new"
	mv "$out.new" "$out"
	echo "$want" >.built
	cd "$TOP"
}

if [ $# = 0 ]; then
	set -- stock patched
	[ "$QEMU_BASE" = 10.0 ] || set -- "$@" "$QEMU_BASE"
fi
for what in "$@"; do
	case $what in
	stock)
		base 10.0
		build stock "$BUILD/qemu-stock" "$OUT/stock" ;;
	patched)
		base 10.0
		build patched "$BUILD/qemu" "$OUT" "$SERIES"/*.patch ;;
	7.2)
		base 7.2 QEMU_BASE=7.2
		build 7.2 "$BUILD/qemu-7.2" "$OUT/7.2" "$SERIES"/*.patch ;;
	*)	die "unknown build: $what; say stock, patched or 7.2" ;;
	esac
done
