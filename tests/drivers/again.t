#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The host has got memory again for what is in the balloon, and asks for the size
# that the balloon has: all of it goes to the host once more. Then the same while
# the balloon changes, memory is moved and used, and the module comes and goes:
# what left the balloon must not go.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/drivers/suite.sh"
guests "$@"
export BOOT_TIMEOUT=300

STATS='/sys/kernel/debug/virtio_balloon/*'

# MiB that the host has for the guest.
host_has()
{
	echo $(($(smaps_ram_kib "$1" Rss Shared_Hugetlb Private_Hugetlb) / 1024))
}

# populate NAME: the host has a page of its own for each of the guest's, and the
# guest's memory is what it was: each is written over itself. HAS is the MiB that
# the host has then; the guest that goes on may report free pages.
populate()
{
	local start

	start=$(awk -v size=$(($(guest_mib "$1") * 1024)) '
		/^[0-9a-f]+-[0-9a-f]+ / { split($1, a, "-") }
		$1 == "Size:" && $2 >= size { print a[1]; exit }' \
		"/proc/$(guest_pid "$1")/smaps")
	vsh suspend "$1" >/dev/null
	dd if="/proc/$(guest_pid "$1")/mem" of="/proc/$(guest_pid "$1")/mem" \
		bs=2M iflag=skip_bytes oflag=seek_bytes conv=notrunc \
		skip=$((16#$start)) seek=$((16#$start)) \
		count=$(($(guest_mib "$1") / 2)) status=none
	HAS=$(host_has "$1")
	vsh resume "$1" >/dev/null
}

given() { guest_exec "$1" "sed -n 's/^given_again //p' $STATS"; }
# until_given NAME PAGES
until_given()
{
	until_guest "$1" 120 "grep -q \"^given_again $2\\\$\" $STATS"
}

# same NAME: ask for the size that it was asked for last.
same() { setmem_pages "$1" "$(guest_exec "$1" "sed -n 's/^target //p' $STATS")"; }

# give WHAT NAME PAGES LEAST: populate a balloon of so many pages, and ask again;
# at least that many MiB are the host's again then.
give()
{
	local what=$1 name=$2 pages=$3 least=$4 given sent mark

	snap "$name"
	is "$what: nothing was given again so far" "${B[given_again]}" \
		"$GIVEN"
	populate "$name"
	is "$what: the host has memory for all of the guest" "$HAS" "$mem"
	sent=${B[ranges_sent]}
	mark=$(log_mark "$name")
	same "$name"
	given=$((GIVEN + B[actual]))
	ok "$what: all of it goes again" until_given "$name" $given
	between "$what: the host has that memory back" \
		$((HAS - $(host_has "$name"))) "$least" "$mem"
	snap "$name"
	is "$what: each page once" "${B[given_again]}" $given
	is "$what: the balloon is as it was" \
		"${B[actual]} ${B[blocks]} ${B[singles]}" \
		"$pages $((pages / BLOCK)) $((pages % BLOCK))"
	is "$what: the guest says nothing to the host" \
		"$(trace_events "$name" "$mark" virtio_balloon_set_config)" ""
	if [ "${B[queue]}" = reporting ]; then
		between "$what: neighbours go as one range" \
			$((B[ranges_sent] - sent)) 1 $((B[blocks] / 4))
	else
		is "$what: no ranges" "${B[ranges_sent]}" 0
	fi
	GIVEN=$given
}

# basics NAME PAGES LEAST: of PAGES, so many MiB at least come back.
basics()
{
	local what=${1#*-}

	section "$what"
	GIVEN=0
	hold "$1" start --mib 100 --pattern random --keep 1/2 >/dev/null
	balloon_pages "$1" "$2"
	give "$what" "$1" "$2" "$3"
	[ "$kernel" = debug ] || give "$what, again" "$1" "$2" "$3"
	ok "$what: contents are whole" hold "$1" check
	hold "$1" stop
	balloon_pages "$1" 0
	same "$1"
	balloon_pages "$1" 1
	snap "$1"
	is "$what: an empty balloon, and a new size, give nothing again" \
		"${B[given_again]}" "$GIVEN"
	balloon_pages "$1" 0
}

# load NAME MIB...: memory is allocated, checked and freed, by a process for each
# size, until /run/stop.
load()
{
	guest_exec "$1" '
		for mib in '"${*:2}"'; do
			(n=$mib f=/run/load$mib
			while [ ! -e /run/stop ]; do
				n=$((n + 1))
				rm -f $f.*
				memhold --mib $mib --seed $n --ready $f.ready \
					--result $f.result &
				for i in ready result; do
					until [ -e $f.$i ] || ! kill -0 $!; do
						usleep 10000
					done
					kill -USR1 $!
				done
				cat $f.result >> /run/load
				kill $!
				wait $!
			done) > /dev/null 2>&1 &
		done'
}

blocks() { guest_exec "$1" "echo $2 > /sys/module/virtio_balloon/parameters/blocks"; }

# counts WHAT NAME: for who reads this.
counts()
{
	comment "$1: $(guest_exec "$2" "grep -E \
		\"given|migrated|_deflations\" $STATS; grep -c OK /run/load" |
		paste -sd ' ') checks"
}

# race_singles NAME WHAT MOVES: single pages, not all in one block, are moved while
# they are given again, and what they leave is used: for there is little else.
race_singles()
{
	local kit=/sys/kernel/debug/driver_pages_selftest/run free

	section "$2: single pages are moved"
	blocks "$1" N
	balloon_pages "$1" 700
	blocks "$1" Y
	snap "$1"
	free=$((B[MemFree] / 4 - 70 * 256))
	balloon_pages "$1" $((free / BLOCK * BLOCK + 511))
	load "$1" 19 20
	guest_exec "$1" '
		insmod /lib/modules/$(uname -r)/ballast/driver_pages_selftest.ko
		(echo "'"$(singles_mapping "$1" 1)"' busy contents=no pages=64 \
			moves='"$3"'" > '$kit'; : > /run/stopped) \
			> /dev/null 2>&1 &'
	until guest_exec "$1" '[ -e /run/stopped ]'; do
		for _ in {1..5}; do
			same "$1"
		done
	done
	include guest_exec "$1" "cat $kit; rmmod driver_pages_selftest"
	counts "$2" "$1"
	snap "$1"
	between "$2: they were" "${B[singles_migrated]}" 100 100000000
}

# race_blocks NAME WHAT ROUNDS: blocks are given back because memory is short or
# goes offline, and the host wants another size every now and then.
race_blocks()
{
	local i=0 pages most=$((mem * 200)) seed=$RANDOM given

	section "$2: random sizes, seed $seed"
	load "$1" $((mem / 4))
	guest_exec "$1" '
		(while [ ! -e /run/stop ]; do
			echo 1 > /proc/sys/vm/compact_memory
			for m in /sys/devices/system/memory/memory*; do
				echo offline > $m/state &&
					echo online > $m/state
			done
		done) > /dev/null 2>&1 &'
	for pages in $(random_sizes "$seed" "$3" $((most / 2))); do
		[ "$pages" = 0 ] || pages=$((pages + most / 2))
		given=$(given "$1") i=$((i + 1))
		for _ in {1..9}; do
			setmem_pages "$1" "$pages"
		done
		# Every other one is given up on its way.
		[ $((i % 2)) = 0 ] || [ "$pages" = 0 ] ||
			ok "$2: $pages pages, or what it can get, again" \
				until_guest "$1" 120 \
				"! grep -q \"^given_again $given\\\$\" $STATS"
	done
	counts "$2" "$1"
	ok "$2: it comes to rest" until_guest "$1" 120 \
		"grep -q \"^actual 0\\\$\" $STATS"
}

# race NAME MOVES ROUNDS
race()
{
	local what last=$((20 * BLOCK + 7))

	what="race, $(guest_exec "$1" "sed -n \"s/^queue //p\" $STATS")"
	hold "$1" start --mib 40 --pattern random --keep 1/2 >/dev/null
	race_singles "$1" "$what" "$2"
	race_blocks "$1" "$what" "$3"
	guest_exec "$1" ': > /run/stop'

	section "$what: the module goes"
	ok "$what: a last balloon" balloon_pages "$1" $last
	same "$1"
	ok "$what: the module goes" guest_exec "$1" '
		cd /lib/modules/$(uname -r)/ballast
		rmmod virtio_balloon && insmod ./virtio_balloon.ko'
	ok "$what: and the next one inflates" until_guest "$1" 120 \
		"grep -q \"^actual $last\\\$\" $STATS"
	ok "$what: contents are whole" hold "$1" check
	ok "$what: what was used meanwhile, too" guest_exec "$1" '
		grep -q OK /run/load && ! grep BAD /run/load'
	hold "$1" stop
	guest_exec "$1" 'until ! pidof memhold > /dev/null; do usleep 50000; done'
	balloon_pages "$1" 0
}

kernels "stock debug -- ballast" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	mem=1024 pages=$((250 * BLOCK + 300)) moves=3000 rounds=9
	[ "$kernel" != debug ] ||
		mem=640 pages=$((70 * BLOCK + 300)) moves=300 rounds=5

	backing=thp
	guest_start "$kernel-ranges" --kernel "$kernel" --balloon ballast \
		--mem $mem --fpr on --autodeflate on --vcpus 4 \
		--params pack_cpu=0,oom_holdoff=0
	basics "$kernel-ranges" $pages $((pages / 256 * 95 / 100))
	[ "$kernel" = stock ] || race "$kernel-ranges" $moves $rounds
	finish "$kernel-ranges"

	# It takes its time; the locks are the same ones.
	[ "$kernel" != debug ] || [ -z "${BALLAST_SHORT:-}" ] || continue

	# Whole blocks come back, and of the single pages none or all.
	backing=hugetlb
	if ! hugepages_reserve $((mem / 2)); then
		skip "PFNs" "$((mem / 2)) huge pages are not to be had"
		continue
	fi
	guest_start "$kernel-PFNs" --kernel "$kernel" --balloon ballast \
		--qemu patched --mem $mem --fpr off --autodeflate on --vcpus 4 \
		--backing hugetlb --params oom_holdoff=0
	basics "$kernel-PFNs" $pages $((pages / BLOCK * 2 * 95 / 100))
	[ "$kernel" = stock ] || race "$kernel-PFNs" $moves $rounds
	finish "$kernel-PFNs"
	hugepages_release $((mem / 2))
done

done_testing
