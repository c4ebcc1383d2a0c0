# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests here: QEMU's own test programs (qtest) drive the device
# without a guest. They speak TAP.

HERE_QTEST=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE_QTEST/../../scripts/lib.sh"
# shellcheck source=tests/lib/libvirt.sh
. "$HERE_QTEST/../lib/libvirt.sh"
# shellcheck source=tests/lib/tap.sh
. "$HERE_QTEST/../lib/tap.sh"

QEMU=$OUT/qemu-system-x86_64
QTESTS=$OUT/qtest
[ -x "$QTESTS/virtio-balloon-pages-test" ] ||
	die "no qtests: build/out/qtest; run make qemu"

# qtest QEMU TEST [OPTION...]. QEMU's own tests leave the default NIC where it
# is; its ROM is in no package that is needed here otherwise.
qtest()
{
	local qemu=$TMP_QTEST/${1##*/} test=$2

	printf '#!/bin/sh\nexec "%s" "$@" -nic none\n' "$1" >"$qemu"
	chmod +x "$qemu"
	shift 2
	(
		cd "$TMP_QTEST"
		QTEST_QEMU_BINARY=$qemu TMPDIR=$TMP_QTEST \
			timeout 300 "$QTESTS/$test" --tap -k "$@"
	)
}

# For a QEMU with sanitizers: what they report ends it.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export ASAN_OPTIONS=detect_leaks=1

# qtest_cases QEMU TEST LOG: for include, all cases as tests, with the dash that it
# wants before their names. What QEMU says is in the log.
qtest_cases()
{
	qtest "$1" "$2" 2>"$3" |
		sed -E '/^#/d; s/^((not )?ok [0-9]+) /\1 - /'
}

# qtest_qos QEMU: the cases of QEMU's own about the balloon, on each bus.
qtest_qos()
{
	local path

	while read -r path; do
		ok "qos: ${path#/x86_64/}" qtest "$1" qos-test -p "$path"
	done < <(qtest_list qos-test virtio-balloon)
}

# qtest_checkpatch BASE TREE: what the QEMU there thinks of how the patches look.
qtest_checkpatch()
{
	local patch

	for patch in "$TOP/qemu-patches/$1"/*.patch; do
		ok "checkpatch: ${patch##*/}" perl "$2/scripts/checkpatch.pl" \
			--no-tree -q --patch "$patch"
	done
}

# The paths of a test program's cases.
qtest_list()
{
	QTEST_QEMU_BINARY=$QEMU "$QTESTS/$1" -l | grep "^/.*${2:-}"
}

TMP_QTEST=$(mktemp -d)
RUN=$TMP_QTEST	# where libvirt.sh keeps how many huge pages are ours
qtest_end()
{
	hugepages_release "$(cat "$RUN/hugepages" 2>/dev/null || echo 0)"
	rm -rf "$TMP_QTEST"
}
trap qtest_end EXIT

# Have 18 huge pages more while the script runs. Without root, or memory, the
# tests that need them say that they are skipped.
qtest_hugepages()
{
	[ -w /proc/sys/vm/nr_hugepages ] || return 0
	mkdir -p "$BUILD/libvirt-cache"
	hugepages_reserve 18 || comment "18 huge pages are not to be had"
}
