#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A balloon that may deflate on OOM gives memory back before the guest suffers,
# keeps what nobody needs, and grows again later.
#
#	pressure.t [stock|ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"
export BOOT_TIMEOUT=300

BALLOON='/sys/kernel/debug/virtio_balloon/*'
PARAMS=/sys/module/virtio_balloon/parameters

section() { comment "$SECONDS s: $*"; }

qmp_actual()
{
	vsh qemu-monitor-command "$1" '{"execute": "query-balloon"}' |
		jq .return.actual
}

# What the host was told is what the balloon holds.
told()
{
	[ "$(($(guest_mib "$1") * 256 - $(qmp_actual "$1") / 4096))" = \
		"$(guest_exec "$1" "sed -n 's/^actual //p' $BALLOON")" ]
}

# inflate NAME MIB: ask for so large a balloon, and take what the floor leaves.
inflate()
{
	setmem "$1" $(($(guest_mib "$1") - $2))
	until_guest "$1" 120 "grep -q \"^target $(($2 * 256))\$\" $BALLOON &&
		grep -qE \"^shortfall (0\$|reason)|^shortfall_reason (none|floor)\" $BALLOON &&
		grep -qE \"^shortfall 0\$|^shortfall_reason floor\" $BALLOON"
	snap "$1"
	comment "a balloon of $((B[actual] / 256)) of $2 MiB;" \
		"MemAvailable $((B[MemAvailable] / 1024)) MiB"
}

unharmed() { is "$1: no process was killed" "${B[oom_kill]}" 0; }

# grown WHAT BEFORE: how the balloon came down from so many pages.
relieved()
{
	comment "$1: $((B[actual] / 256)) MiB are left," \
		"$((B[oom_deflations] - OOMS)) OOM rounds," \
		"$((B[pressure_deflations] - EARLY)) portions before"
	unharmed "$1"
	between "$1: few rounds of OOM" $((B[oom_deflations] - OOMS)) 0 16
	between "$1: it gave way" "${B[actual]}" 0 $(($2 - 256))
}

relief_mark() { OOMS=${B[oom_deflations]} EARLY=${B[pressure_deflations]}; }

# A guest of 1 GiB, of which 900 MiB are asked for: two processes need 800.
test_growth()
{
	local before mib=$2

	section "$mib MiB are needed"
	inflate "$1" 900
	before=${B[actual]}
	relief_mark
	# However long it takes to look.
	guest_exec "$1" "echo 60 > $PARAMS/oom_holdoff"
	ok "growth: two processes get $mib MiB" \
		hold "$1" start --mib "$mib" --pattern none
	snap "$1"
	relieved growth "$before"
	between "growth: before the guest ran out" \
		$((B[pressure_deflations] - EARLY)) 1 1000
	is "growth: the balloon says why" "${B[shortfall_reason]}" pressure
	guest_exec "$1" "echo 2 > $PARAMS/oom_holdoff"
	ok "growth: the host sees it" until_true 10 told "$1"
	ok "growth: contents are whole" hold "$1" check
	hold "$1" stop
	ok "growth: the balloon grows again" until_guest "$1" 60 \
		"[ \$(sed -n \"s/^actual //p\" $BALLOON) -gt $((before - 16384)) ]"
	snap "$1"
	unharmed growth
}

# Many at a time, and nobody waits for the other.
test_many()
{
	local before each=$(($2 / 8))

	section "8 processes need $each MiB each"
	inflate "$1" 900
	before=${B[actual]}
	relief_mark
	ok "many: they all get it" guest_exec "$1" '
		for i in 1 2 3 4 5 6 7 8; do
			rm -f /run/m$i
			memhold --mib '"$each"' --seed $i --ready /run/m$i \
				--result /run/r$i > /dev/null 2>&1 < /dev/null &
			echo $!
		done > /run/many
		for i in 1 2 3 4 5 6 7 8; do
			until [ -e /run/m$i ]; do
				kill -0 $(sed -n ${i}p /run/many) || exit 1
				usleep 50000
			done
		done'
	snap "$1"
	relieved many "$before"
	guest_exec "$1" 'kill $(cat /run/many)'
}

# A load that fits is left alone, and so is the balloon.
test_steady()
{
	local rounds

	section "a steady load"
	balloon_pages "$1" 0
	guest_exec "$1" 'memsteady '"$2"' /run/steady > /run/steady.log 2>&1 &
		echo $! > /run/steady.pid'
	ok "steady: the load runs" until_guest "$1" 60 '[ -e /run/steady ]'
	inflate "$1" 900
	relief_mark
	rounds=$(guest_exec "$1" 'cat /run/steady')
	ok "steady: it goes on" until_guest "$1" 120 \
		"[ \$(cat /run/steady) -gt $((rounds + 10)) ]"
	snap "$1"
	unharmed steady
	is "steady: not once out of memory" $((B[oom_deflations] - OOMS)) 0
	between "steady: the balloon stays" \
		$((B[pressure_deflations] - EARLY)) 0 2
	is "steady: it says why it stopped" "${B[shortfall_reason]}" floor
	guest_exec "$1" 'kill $(cat /run/steady.pid)'
}

# Page cache that comes and goes is no need; and does not hide one.
test_cache()
{
	local before

	section "a stream through the page cache"
	balloon_pages "$1" 0
	if ! guest_exec "$1" '[ -e /dev/ram0 ]'; then
		skip "cache" "this kernel has no disk in memory"
		return
	fi
	inflate "$1" $(($2 - 100))
	before=${B[actual]}
	relief_mark
	ok "cache: more is read than there is memory for" guest_exec "$1" \
		'for i in 1 2; do cat /dev/ram0 > /dev/null; done'
	snap "$1"
	unharmed cache
	is "cache: the balloon stays" \
		"${B[actual]} $((B[pressure_deflations] - EARLY))" "$before 0"
	guest_exec "$1" '(while [ ! -e /run/stop ]; do
			cat /dev/ram0
		done) > /dev/null 2>&1 &'
	relief_mark
	ok "cache: processes get $2 MiB meanwhile" \
		hold "$1" start --mib "$2" --pattern none
	snap "$1"
	relieved cache "$before"
	ok "cache: contents are whole" hold "$1" check
	hold "$1" stop
	guest_exec "$1" ': > /run/stop'
}

# No floor: the balloon takes all it can get, as the in-tree driver does, and
# gives way on OOM alone. It must not fight for what it gave.
test_no_floor()
{
	section "no floor"
	guest_exec "$1" "echo 0 > $PARAMS/floor_mb
		echo 10 > $PARAMS/oom_holdoff"
	setmem "$1" 124
	ok "no floor: a large balloon" until_guest "$1" 120 \
		"[ \$(sed -n \"s/^actual //p\" $BALLOON) -gt $(($2 * 256)) ]"
	snap "$1"
	relief_mark
	comment "a balloon of $((B[actual] / 256)) MiB," \
		"MemFree $((B[MemFree] / 1024)) MiB"
	ok "no floor: two processes get $2 MiB" \
		hold "$1" start --mib "$2" --pattern none
	ok "no floor: contents are whole" hold "$1" check
	snap "$1"
	relieved "no floor" 235000
	ok "no floor: the host sees it" until_true 10 told "$1"
	hold "$1" stop
}

# Huge pages that the guest could not get: with the parameter, and only then, the
# balloon stays below its target. Without a floor nothing else makes it do so.
test_huge()
{
	local before n

	section "huge pages are wanted"
	guest_exec "$1" "echo 0 > $PARAMS/floor_mb"
	ok "huge: a balloon" balloon_pages "$1" $((300 * 512))
	try='echo 1000 > /proc/sys/vm/nr_hugepages
		cat /proc/sys/vm/nr_hugepages
		echo 0 > /proc/sys/vm/nr_hugepages'
	n=$(guest_exec "$1" "$try")
	ok "huge: it is counted" until_guest "$1" 30 \
		"grep -q \"^huge_failures [1-9]\" $BALLOON"
	snap "$1"
	before=${B[huge_deflations]}
	relief_mark
	comment "$n huge pages, ${B[huge_failures]} failures"
	is "huge: by default the balloon stays" \
		"${B[actual]} $before" "$((300 * 512)) 0"
	guest_exec "$1" "echo 64 > $PARAMS/huge_demand_mb"
	ok "huge: the guest gets most of 32 more" until_guest "$1" 60 \
		"[ \$($try) -ge $((n + 24)) ]"
	snap "$1"
	unharmed huge
	# Who asks for huge pages may come under pressure, too.
	if [ "${B[oom_deflations]} ${B[pressure_deflations]}" = "$OOMS $EARLY" ]
	then
		between "huge: the balloon is smaller, but not by more" \
			"${B[shortfall]}" $((24 * 512)) $((32 * 512))
		is "huge: it says why" "${B[shortfall_reason]}" huge
	else
		skip "huge: by how much" "the guest was short of memory"
	fi
	ok "huge: later it is as large as it should be" until_guest "$1" 60 \
		"grep -q \"^shortfall 0\$\" $BALLOON"
	guest_exec "$1" "echo 0 > $PARAMS/huge_demand_mb
		echo -1 > $PARAMS/floor_mb"
	balloon_pages "$1" 0
}

# Memory that is free, but in pieces that cannot be moved: the balloon says so,
# takes single pages, and does not try over and over.
test_unmovable()
{
	local i evacuations

	section "unmovable pages everywhere"
	guest_exec "$1" 'insmod /lib/modules/$(uname -r)/ballast/kcompactd_test.ko
		echo 1000000 400 > /sys/kernel/debug/kcompactd_test/pages'
	snap "$1"
	evacuations=${B[evacuations]} room=${B[room_made]}
	ok "unmovable: the balloon gets there" balloon_pages "$1" $((200 * 512))
	# Told first, and then said.
	until_guest "$1" 10 "grep -q \"^shortfall_reason contiguity\" $BALLOON" || true
	snap "$1"
	comment "${B[blocks]} blocks, $((B[evacuations] - evacuations))" \
		"requests to regiond"
	between "unmovable: with single pages" "${B[singles]}" \
		$((100 * 512)) $((200 * 512))
	is "unmovable: and says why" "${B[shortfall_reason]}" contiguity
	ok "unmovable: in the log, too" guest_exec "$1" \
		'dmesg | grep -q "in single pages: the guest has no more whole"'
	is "unmovable: no page cache was dropped for it" \
		"${B[room_made]}" "$room"
	for i in {1..20}; do
		balloon_pages "$1" $(((200 - i) * 512 + i % 2 * 3000))
	done
	snap "$1"
	comment "after 20 more targets:" \
		"$((B[evacuations] - evacuations)) requests," \
		"${B[evacuations_deferred]} deferred"
	between "unmovable: it gave up asking" \
		$((B[evacuations] - evacuations)) 1 12
	unharmed unmovable
	balloon_pages "$1" 0
	guest_exec "$1" 'rmmod kcompactd_test'
}

# Memory that is page cache: it is reclaimed. In holes: it is evacuated.
test_shortage()
{
	local room evacuations most i

	section "want of memory, and of whole blocks"
	hold "$1" start --mib 500 --pattern regular --keep 1/4 > /dev/null
	snap "$1"
	room=${B[room_made]} evacuations=${B[evacuations]}
	ok "shortage: scattered memory" balloon_pages "$1" \
		$((B[MemFree] / 2048 * 512 - 100 * 512))
	snap "$1"
	is "shortage: is no reason to reclaim" "${B[room_made]}" "$room"
	isnt "shortage: but to evacuate" "${B[evacuations]}" "$evacuations"
	ok "shortage: contents are whole" hold "$1" check
	hold "$1" stop
	balloon_pages "$1" 0
	guest_exec "$1" '[ -e /dev/ram0 ]' || return 0
	# When nobody has it open any more its cache is dropped.
	guest_exec "$1" 'sleep 1000 < /dev/ram0 > /dev/null 2>&1 &
		echo $! > /run/open
		cat /dev/ram0 > /dev/null'
	snap "$1"
	room=${B[room_made]}
	most=$((B[MemFree] / 2048 * 512 + 75 * 512))
	ok "shortage: page cache" balloon_pages "$1" "$most"
	snap "$1"
	isnt "shortage: is reclaimed" "${B[room_made]}" "$room"
	# What one block needs is less than a CPU keeps on lists of its own.
	for ((i = 1; i <= 50; i++)); do
		balloon_pages "$1" $((most + i * 512)) 30 || break
	done
	is "shortage: block by block" $((i - 1)) 50
	snap "$1"
	comment "${B[singles]} single pages"
	[ "$kernel" = debug ] ||	# there it takes single pages
		between "shortage: nearly all are blocks" "${B[singles]}" 0 5120
	unharmed shortage
	guest_exec "$1" 'kill $(cat /run/open)'
	balloon_pages "$1" 0
}

kernels "ballast -- stock debug" "$@"
for kernel in "${kernels[@]}"; do
	section "the $kernel kernel"
	qemu=patched most=800
	[ "$kernel" != stock ] || qemu=stock
	[ "$kernel" != debug ] || most=560	# the checkers have the rest
	guest_start a --kernel "$kernel" --qemu $qemu --balloon ballast \
		--mem 1024 --fpr on --autodeflate on --params oom_holdoff=2,pack_cpu=0
	test_growth a $most
	if [ "$kernel" != debug ]; then
		test_many a $most
		test_steady a 400
		test_cache a $most
	fi
	test_no_floor a $most
	balloon_pages a 0
	test_huge a
	test_shortage a
	test_unmovable a
	finish a
done

done_testing
