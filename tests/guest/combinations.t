#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# {stock, Ballast driver} x {stock, patched QEMU} x {free page reporting on,
# off}: every pair must get there exactly, contents whole, and give all back.
# Then huge pages of the host: what a shared hugetlbfs gets back.

. "$(dirname "$0")/../lib/test.sh"
guests "$@"

MEM=512
WANT=$((100 * 512 + 77))	# pages

features() { guest_exec "$1" 'cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/features'; }
declare -A FEATURES=()

# blocks_sent NAME KEY WHAT
sent()
{
	is "$3: all blocks went out as ${2#blocks_sent_}" "${B[$2]}" \
		"$((B[blocks]))"
}

# cycle NAME WHAT DRIVER REPORTING
cycle()
{
	local total

	snap "$1"
	total=${B[MemTotal]}
	hold "$1" start --mib 240 --pattern regular --keep 1/4 >/dev/null
	ok "$2: it inflates" balloon_pages "$1" $WANT
	snap "$1"
	is "$2: MemTotal is that much less" $((total - B[MemTotal])) \
		$((WANT * 4))
	is "$2: every page of it is offline" "${B[pages_offline]}" $WANT
	if [ "$3" = ballast ]; then
		is "$2: in blocks" "${B[blocks]} ${B[singles]}" "100 77"
		case $4 in
		on)	sent "$1" blocks_sent_range "$2" ;;
		off)	sent "$1" blocks_sent_pfn "$2" ;;
		esac
	fi
	ok "$2: contents are whole" hold "$1" check
	ok "$2: it deflates" balloon_pages "$1" 0
	ok "$2: contents are whole after" hold "$1" check
	hold "$1" stop
	# Memory that was away is used again.
	hold "$1" start --mib 320 --pattern none >/dev/null
	ok "$2: all memory can be used" hold "$1" check
	hold "$1" stop
	snap "$1"
	is "$2: MemTotal is back" "${B[MemTotal]}" "$total"
}

n=0
# combination KERNEL QEMU DRIVER REPORTING
combination()
{
	local what="$1 kernel, $3 driver, $2 QEMU, reporting $4"

	comment "$SECONDS s: $what"
	n=$((n + 1))
	guest_start g$n --kernel "$1" --qemu "$2" --balloon "$3" --fpr "$4" \
		--mem $MEM
	FEATURES[$3]=$(features g$n)
	cycle g$n "$what" "$3" "$4"
	ok "$what: nothing in the kernel's log" guest_check_log g$n
	guest_stop g$n
}

for qemu in stock patched; do
	for fpr in on off; do
		for driver in stock ballast; do
			combination stock $qemu $driver $fpr
		done
		is "$qemu QEMU, reporting $fpr: both drivers want the same" \
			"${FEATURES[ballast]}" "${FEATURES[stock]}"
	done
done
# Our kernel with its own driver: what the patches change in it must not show.
combination ballast stock stock off
combination ballast patched stock on

# On hugetlbfs the host's page is 2 MiB: what counts is whole ones. All are
# the guest's at first; half of them are asked for.
# huge WHAT LEAST OPTION...
huge()
{
	local what=$1 least=$2 before

	shift 2
	comment "$SECONDS s: $what"
	n=$((n + 1))
	before=$(hugepages_available)
	guest_start g$n --mem 1024 --backing hugetlb --prealloc on "$@"
	# Reporting returns the first ones two seconds after it begins.
	[[ " $* " == *" --fpr on "* ]] || is "$what: the guest has all of them" \
		$((before - $(hugepages_available))) 512
	hold g$n start --mib 760 --pattern random --keep 1/4 >/dev/null
	ok "$what: it inflates" balloon_pages g$n $((256 * 512)) 240
	before=$((before - 512))
	# Reporting may return some more.
	between "$what: whole pages come back, of 256" \
		$(($(hugepages_available) - before)) "$least" 512
	ok "$what: contents are whole" hold g$n check
	ok "$what: it deflates" balloon_pages g$n 0
	ok "$what: contents are whole after" hold g$n check
	ok "$what: nothing in the kernel's log" guest_check_log g$n
	guest_stop g$n
}

if hugepages_reserve 512; then
	for fpr in on off; do
		huge "hugetlbfs, modules, reporting $fpr" 230 \
			--balloon ballast --fpr $fpr
	done
	huge "hugetlbfs, all" 250 --balloon ballast --kernel ballast \
		--qemu patched --fpr on
	hugepages_release 512
else
	skip "hugetlbfs" "this machine has no 512 huge pages to spare"
fi
done_testing
