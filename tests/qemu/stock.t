#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The same test program with Debian's QEMU: what the patches are about must
# fail there, or the tests see nothing; the rest must not.

# shellcheck source=tests/qemu/qtest.sh
. "$(dirname "$0")/qtest.sh"

stock() { qtest "$OUT/stock/qemu-system-x86_64" virtio-balloon-pages-test -p "$1"; }

qtest_hugepages
while read -r path; do
	rc=0
	out=$(stock "$path" 2>&1) || rc=$?
	case $path in
	*/odd-sizes|*/outside|*/descriptors|*/report|*/stats|*/hint|\
	*/packed|*/queue-reset)
		want="passes" ;;
	*)	want="fails" ;;
	esac
	case $rc,$out in
	0,*"# SKIP"*) skip "stock: ${path##*balloon/}" \
			"$(sed -n "s,.*# SKIP ,,p" <<< "$out")"
		continue ;;
	0,*)	got=passes ;;
	12[4-7],*) got="does not run to its end" ;;
	*)	got=fails ;;
	esac
	is "stock: ${path##*balloon/} $want" "$got" "$want"
	[ "$got" = "$want" ] || comment "$(tail -n 5 <<< "$out")"
done < <(qtest_list virtio-balloon-pages-test virtio-balloon)
done_testing
