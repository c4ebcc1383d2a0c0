#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh [stock] [patched] [7.2] [fuzz] [package]: QEMU 10.0 from Debian's source
# package, with only Debian's patches (build/out/stock/) and with ours on top
# (build/out/); Debian 12's QEMU 7.2 with ours on top (build/out/7.2/); and 10.0
# once more with sanitizers and the fuzzer (build/out/fuzz/), and with what guests
# outside of the tests want (build/out/package/). By default the first two, with
# QEMU_BASE=7.2 three. What is up to date is not built again.

. "$(dirname "$0")/../scripts/lib.sh"

# ASan and UBSan, for the tests of the device and for libFuzzer. Compiling for
# them is slow: only the devices that the tests have, no TCG, little
# optimisation. The line numbers are for what the sanitizers say.
FUZZ=("--cc=ccache clang" --disable-tcg
	--enable-fuzzing --enable-asan --enable-ubsan
	--without-default-devices --with-devices-x86_64=ballast
	-Doptimization=1 --extra-cflags=-gline-tables-only)
FUZZ_DEVICES=(I440FX Q35 VIRTIO_PCI VIRTIO_BALLOON VIRTIO_MEM)

# What ballast-qemu has: all that Debian's own has without its packages of modules
# (qemu-block-extra, qemu-system-gui, qemu-system-modules-opengl), and Spice.
# Named one by one, so that it does not depend on what is installed.
PACKAGE=(--prefix=/usr --bindir=/usr/lib/ballast --libdir=/usr/lib/ballast
	--libexecdir=/usr/lib/qemu --sysconfdir=/etc --localstatedir=/var
	--disable-relocatable --disable-strip --interp-prefix=/etc/qemu-binfmt/%M
	--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu
	--with-pkgversion=Ballast)
PACKAGE_FEATURES=(tcg numa seccomp cap-ng attr virtfs linux-aio linux-io-uring
	vhost-kernel vhost-net vhost-vdpa vhost-user vhost-user-blk-server
	vhost-crypto vnc vnc-jpeg vnc-sasl png pixman spice spice-protocol
	slirp l2tpv3 colo-proxy libusb usb-redir smartcard libudev tpm
	gnutls nettle keyring libkeyutils crypto-afalg zstd fdt=system
	qcow1 vdi vhdx vmdk vpc vvfat qed parallels bochs cloop dmg
	replication multiprocess hv-balloon coroutine-pool
	malloc-trim membarrier avx2 avx512bw stack-protector iconv)

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
		tests/qtest/device-plug-test tests/qtest/qos-test
		tests/qtest/qmp-cmd-test tests/qtest/test-hmp
		tests/qtest/migration-test)

	# 7.2 has no virtio-balloon-test, downloads nothing, takes --python only
	# with a meson of its own, and was written for older compilers.
	if [ "$1" = 7.2 ]; then
		python=--meson=/usr/bin/meson extra=--disable-werror
		QTESTS=("${QTESTS[@]:1:3}")
	fi
	COMMON=(
		"$python"
		--target-list=x86_64-softmmu
		--without-default-features
		--enable-system --enable-kvm
		--enable-trace-backends=log
		--disable-debug-info
		--disable-docs "$extra" --disable-install-blobs
		--firmwarepath=/usr/share/qemu:/usr/share/seabios
	)
	PLAIN=("${COMMON[@]}" "--cc=ccache gcc" --enable-tcg --enable-numa)
}

# unpack TREE [PATCH...]: with a configuration of the devices, if the array
# devices names any.
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
	[ ${#devices[@]} = 0 ] || printf 'CONFIG_%s=y\n' "${devices[@]}" \
		>"$tree/configs/devices/x86_64-softmmu/ballast.mak"
}

# configure OPTION...
configure()
{
	mkdir -p build && cd build &&
		PYTHON=/usr/bin/python3 ../configure "$@"
}

# stamped FILE STAMP
stamped() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# build NAME TREE OUTDIR [PATCH...]: the programs of the array programs, and
# tests of the array qtests, configured as the array options says.
build()
{
	local name=$1 tree=$2 out=$3 want p missing=

	shift 3
	want=$(hash "$DSC" "$@" <(echo "${options[@]}" "${devices[@]}" \
		"${programs[@]}" "${qtests[@]}"))

	for p in "${programs[@]}"; do
		[ -x "$out/$p" ] || missing=$p
	done
	[ -z "$missing" ] && stamped "$tree/.built" "$want" && return
	if ! stamped "$tree/.configured" "$want"; then
		need_space "$BUILD" 3
		step "unpack QEMU ($name)" unpack "$tree" "$@"
		cd "$tree"
		step "configure QEMU ($name)" configure "${options[@]}"
		echo "$want" >.configured
	fi

	cd "$tree"
	step "build QEMU ($name)" ninja -C build -j "$JOBS" \
		"${programs[@]}" "${qtests[@]}"
	mkdir -p "$out/qtest"
	[ ${#qtests[@]} = 0 ] || install -t "$out/qtest" "${qtests[@]/#/build/}"
	for p in "${programs[@]}"; do
		install "build/$p" "$out/$p.new"
		mv "$out/$p.new" "$out/$p"
	done
	echo "$want" >.built
	cd "$TOP"
}

if [ $# = 0 ]; then
	set -- stock patched
	[ "$QEMU_BASE" = 10.0 ] || set -- "$@" "$QEMU_BASE"
fi
for what in "$@"; do
	programs=(qemu-system-x86_64)
	qtests=() devices=()
	case $what in
	stock)
		base 10.0
		options=("${PLAIN[@]}")
		build stock "$BUILD/qemu-stock" "$OUT/stock" ;;
	patched)
		base 10.0
		options=("${PLAIN[@]}") qtests=("${QTESTS[@]}")
		build patched "$BUILD/qemu" "$OUT" "$SERIES"/*.patch ;;
	7.2)
		base 7.2 QEMU_BASE=7.2
		options=("${PLAIN[@]}") qtests=("${QTESTS[@]}")
		build 7.2 "$BUILD/qemu-7.2" "$OUT/7.2" "$SERIES"/*.patch ;;
	package)
		base 10.0
		# The last of two wins.
		options=("${PLAIN[@]}" "${PACKAGE[@]}"
			"${PACKAGE_FEATURES[@]/#/--enable-}")
		build package "$BUILD/qemu-package" "$OUT/package" \
			"$SERIES"/*.patch ;;
	fuzz)
		base 10.0
		options=("${COMMON[@]}" "${FUZZ[@]}")
		devices=("${FUZZ_DEVICES[@]}")
		programs+=(qemu-fuzz-x86_64)
		build fuzz "$BUILD/qemu-fuzz" "$OUT/fuzz" "$SERIES"/*.patch ;;
	*)	die "unknown build: $what; say stock, patched, 7.2, fuzz or package" ;;
	esac
done
