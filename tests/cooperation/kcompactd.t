#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kcompactd of the patched kernels: it does what it is asked for, and has none
# of the faults that the review of its first version found.
#
#	kcompactd.t [ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"

DIR=/sys/kernel/debug/kcompactd_test
MIB=700		# of what a guest has: in ZONE_DMA32, and in ZONE_MOVABLE

section() { comment "$SECONDS s: $*"; }

# free_blocks NAME [ZONE]: of 2 MiB.
free_blocks()
{
	guest_exec "$1" "awk -v z='${2:-}' 'z == \"\" || \$4 == z {
		n += \$14 + 2 * \$15 } END { print n + 0 }' /proc/buddyinfo"
}

daemon() { guest_vmstat "$1" "compact_daemon_$2"; }

# ask NAME N 'NODE ORDER BLOCKS MS', and what became of it: 'ERRNO MADE'
ask() { guest_exec "$1" "echo $3 > $DIR/ask$2"; }
answer() { guest_exec "$1" "cat $DIR/ask$2"; }
ask_wait() { ask "$@" && answer "$1" "$2"; }
test_file() { guest_exec "$1" "echo $3 > $DIR/$2"; }

# Memory in holes, and not a free pageblock.
fragment()
{
	hold "$1" start --mib "$MIB" --pattern regular --keep 1/4 >/dev/null
	test_file "$1" blocks 1000
}

defragment()
{
	hold "$1" stop
	test_file "$1" blocks 0
	test_file "$1" pages 0
}

# traced NAME EVENT... : from now on; then trace NAME REGEX counts lines.
traced()
{
	guest_exec "$1" "cd /sys/kernel/tracing
		echo 0 > events/enable; echo 8192 > buffer_size_kb; echo > trace
		for e in ${*:2}; do echo 1 > events/\$e/enable; done"
}
trace() { guest_exec "$1" "grep -cE '$2' /sys/kernel/tracing/trace" || true; }
# until_traced NAME REGEX [COMMAND]: which provokes it, again and again
until_traced()
{
	until_guest "$1" 120 "${3:-:}
		grep -qE \"$2\" /sys/kernel/tracing/trace"
}

# An allocation that wakes kcompactd. What is free, or was made, would do for it.
wake() { echo "echo 1000 > $DIR/blocks; echo $1 > $DIR/wake; usleep 300000"; }

test_counters()
{
	section "counters"
	is "counters: their names" "$(guest_exec "$1" \
		'sed -n "s/^compact_daemon_\(.*\) .*/\1/p" /proc/vmstat |
			sort | paste -sd " "')" \
		"free_scanned migrate_scanned wake"
	is "counters: none that is misspelt" "$(guest_exec "$1" \
		"grep -c kcompatd /proc/vmstat" || true)" 0
}

test_bad()
{
	section "what can't be asked"
	is "bad: a single page" "$(ask_wait "$1" 0 '0 0 1 1000')" "EINVAL 0"
	is "bad: more than there can be" "$(ask_wait "$1" 0 '0 11 1 1000')" \
		"EINVAL 0"
	is "bad: a node without memory" "$(ask_wait "$1" 0 '5 9 1 1000')" \
		"ENODEV 0"
	is "bad: no node" "$(ask_wait "$1" 0 '-1 9 1 1000')" "ENODEV 0"
}

# A number of blocks is made: not one, and not all.
test_count()
{
	local free wake migrate targets

	section "so many blocks"
	fragment "$1"
	wake=$(daemon "$1" wake) migrate=$(daemon "$1" migrate_scanned)
	targets=$(daemon "$1" free_scanned)
	free=$(free_blocks "$1")
	between "count: there are none" "$free" 0 8
	is "count: it is done" "$(ask_wait "$1" 0 "0 9 $((free + 40)) 60000" |
		cut -d ' ' -f 1)" 0
	between "count: so many are free" "$(free_blocks "$1")" \
		$((free + 40)) $((free + 60))
	between "count: a wake was counted" \
		$(($(daemon "$1" wake) - wake)) 1 3
	isnt "count: pages scanned, to move" \
		$(($(daemon "$1" migrate_scanned) - migrate)) 0
	isnt "count: and to move to" \
		$(($(daemon "$1" free_scanned) - targets)) 0
	is "count: what is free already need not be made" \
		"$(ask_wait "$1" 0 "0 9 $((free + 20)) 60000")" "0 0"
	is "count: another order" "$(ask_wait "$1" 0 \
		"0 4 $(((free + 60) * 32)) 60000" | cut -d ' ' -f 1)" 0
	ok "count: contents are whole" hold "$1" check
	defragment "$1"
}

# The last zone of the node is compacted like the others.
test_last_zone()
{
	local made

	section "the last zone"
	fragment "$1"
	traced "$1" compaction/mm_compaction_finished
	made=$(ask_wait "$1" 0 '0 9 100000 120000')
	comment "all that can be made: $made"
	isnt "last zone: it has work" "$(trace "$1" 'kcompactd0.*zone=Movable')" 0
	isnt "last zone: so has the one before" \
		"$(trace "$1" 'kcompactd0.*zone=DMA32')" 0
	between "last zone: blocks are made in it" \
		"$(free_blocks "$1" Movable)" 40 1000
	is "last zone: more is not to be had" "${made% *}" EBUSY
	between "last zone: nearly all was made" "${made#* }" \
		$((MIB * 3 / 8 * 7 / 10)) 1000
	ok "last zone: contents are whole" hold "$1" check
	defragment "$1"
}

# kcompactd's other work. That requests have failed, and marked all blocks to be
# skipped, does not keep it from a zone. And a wake for lower zones does not keep
# later ones from the upper zones: the field that is set back is kcompactd's own.
test_classzone()
{
	section "the highest zone of a wake"
	fragment "$1"
	traced "$1" compaction/mm_compaction_kcompactd_wake \
		compaction/mm_compaction_finished
	ok "highest zone: it works for lower zones" until_traced "$1" \
		'kcompactd_wake:.*order=9.*=DMA32' "$(wake '9 DMA32')"
	ok "highest zone: and has done" until_traced "$1" \
		'zone=DMA32 .*order=9.*ret=success' "$(wake '9 DMA32')"
	# It may not have written down yet that it has.
	ok "highest zone: then for all" until_traced "$1" \
		'kcompactd_wake:.*order=9.*=Movable' "$(wake '9 Movable')"
	ok "highest zone: the last one included" until_traced "$1" \
		'kcompactd0.*zone=Movable' "$(wake '9 Movable')"
	defragment "$1"
}

# Pages that can't be moved in each block: the run fails, and the next is put off.
test_deferral()
{
	local said=''

	section "deferral"
	traced "$1" compaction/mm_compaction_defer_compaction \
		compaction/mm_compaction_deferred
	test_file "$1" pages "1000000 4"
	for _ in {1..12}; do
		said+=" $(ask_wait "$1" 0 '0 9 100000 60000' | cut -d ' ' -f 1)"
		[[ ! $said = *EBUSY*EAGAIN* ]] || break
	done
	ok "deferral: a request fails, and the next is put off" \
		grep -q 'EBUSY.*EAGAIN' <(echo "$said")
	comment "answers:$said"
	isnt "deferral: after a run that failed" "$(trace "$1" \
		'kcompactd0.*defer_compaction:.*order=9')" 0
	isnt "deferral: that is what it was" \
		"$(trace "$1" 'kcompactd0.*compaction_deferred:')" 0
	test_file "$1" pages 0
}

# An unmovable page that goes to a movable block is what wakes kcompactd.
test_fragmentation_event()
{
	local wake provoke

	section "a fragmentation event"
	fragment "$1"
	traced "$1" kmem/mm_page_alloc_extfrag \
		compaction/mm_compaction_wakeup_kcompactd
	wake=$(daemon "$1" wake)
	# With them in every block the trace could not be opened: an order of 3.
	# And a block that becomes free meanwhile does for kswapd.
	provoke="echo 20000 > $DIR/pages; echo 0 > $DIR/pages
		echo 1000 > $DIR/blocks; usleep 100000"
	ok "event: there is one" until_traced "$1" \
		'extfrag: .*alloc_migratetype=0 fallback_migratetype=1' "$provoke"
	ok "event: kswapd wakes kcompactd" until_traced "$1" \
		'kswapd0.*wakeup_kcompactd: nid=0 order=9' "$provoke"
	ok "event: which works" until_guest "$1" 60 \
		"[ \$(sed -n \"s/^compact_daemon_wake //p\" /proc/vmstat) -gt \
			$wake ]"
	ok "event: contents are whole" hold "$1" check
	defragment "$1"
}

# As long as kswapd is awake nothing is done; requests may run out of time, or be
# cancelled, and those that remain are merged.
test_after_kswapd()
{
	local free runs="kcompactd_wake: nid=0 order=(6|9) "

	section "after kswapd"
	fragment "$1"
	test_file "$1" kswapd 1
	ok "kswapd: it is awake" until_guest "$1" 120 "$(wake '9 Movable')
		[ \$(cat $DIR/kswapd) = 1 ]"
	ok "kswapd: kcompactd is asleep" until_guest "$1" 60 \
		'grep -q "^State:.*S" /proc/$(pidof kcompactd0)/status'
	free=$(free_blocks "$1")
	is "kswapd: the deadline passes" \
		"$(ask_wait "$1" 0 "0 9 $((free + 40)) 1000" |
			cut -d ' ' -f 1)" ETIMEDOUT
	# kcompactd has now also done what it may have been left with before.
	traced "$1" compaction/mm_compaction_kcompactd_wake
	ask "$1" 0 "0 9 $((free + 40)) 600000"
	test_file "$1" ask0 cancel
	is "kswapd: a request is cancelled" \
		"$(answer "$1" 0 | cut -d ' ' -f 1)" ECANCELED
	ask "$1" 0 "0 9 $((free + 40)) 600000"
	ask "$1" 1 "0 9 $((free + 20)) 600000"
	ask "$1" 2 "0 6 $(((free + 30) * 8)) 600000"
	# A small allocation that may not wait can wake it for itself: not counted.
	is "kswapd: no run for them" "$(trace "$1" "$runs")" 0
	test_file "$1" kswapd 0
	is "kswapd: when it sleeps, all are served" "$(for i in 0 1 2; do
		answer "$1" $i | cut -d ' ' -f 1; done | paste -sd ' ')" "0 0 0"
	# And so the pattern of the one above is right.
	isnt "kswapd: in runs of their own" "$(trace "$1" "$runs")" 0
	# Some may come from the CPUs' own lists, which hold free blocks, too.
	between "kswapd: the most that one has asked for, and little more" \
		"$(free_blocks "$1")" $((free + 40)) $((free + 80))
	defragment "$1"
}

# In the middle of a run: it stops, and says how far it got.
test_cancel()
{
	local said

	section "cancelled on the way"
	fragment "$1"
	# pgmigrate_success counts as it goes, compact_* at the end of a run. What
	# was done before may have put compaction off: then it is asked again.
	said=$(guest_exec "$1" "cd $DIR
		moved() { sed -n 's/^pgmigrate_success //p' /proc/vmstat; }
		was=\$(moved)
		until [ \$((\$(moved) - was)) -gt 1000 ]; do
			echo 0 9 100000 600000 > ask0
			rm -f /run/answer
			{ cat ask0 > /run/an; mv /run/an /run/answer; } &
			until [ \$((\$(moved) - was)) -gt 1000 ]; do
				[ ! -e /run/answer ] || break
			done
			! grep -qv EAGAIN /run/answer 2>/dev/null || break
		done
		echo cancel > ask0
		wait
		cat /run/answer")
	is "cancel: it is" "${said% *}" ECANCELED
	between "cancel: blocks were made, but not all" "${said#* }" 1 \
		$((MIB / 4))
	# The next one finds kcompactd at work.
	is "cancel: the next is served" "$(ask_wait "$1" 1 \
		"0 9 $(($(free_blocks "$1") + 5)) 60000" | cut -d ' ' -f 1)" 0
	defragment "$1"
}

# allowed NAME: the CPUs that node 1's kcompactd may run on
allowed()
{
	guest_exec "$1" 'sed -n "s/^Cpus_allowed_list:[^0-9]*//p" \
		/proc/$(pidof kcompactd1)/status'
}

test_cpu_hotplug()
{
	section "CPU hotplug"
	is "CPU: kcompactd runs on its node's" "$(allowed "$1")" 1
	guest_exec "$1" 'echo 0 > /sys/devices/system/cpu/cpu1/online'
	is "CPU: when that goes, it can be asked" \
		"$(ask_wait "$1" 0 '1 9 1 60000')" "0 0"
	isnt "CPU: since it runs elsewhere" "$(allowed "$1")" 1
	guest_exec "$1" 'echo 1 > /sys/devices/system/cpu/cpu1/online'
	is "CPU: when it is back, there" "$(allowed "$1")" 1
}

test_nodes()
{
	local there

	section "two nodes"
	fragment "$1"
	there=$(guest_exec "$1" "awk '\$2 == \"1,\" { n += \$14 + 2 * \$15 }
		END { print n }' /proc/buddyinfo")
	is "nodes: the one that is asked" "$(ask_wait "$1" 0 \
		"1 9 $((there + 20)) 60000" | cut -d ' ' -f 1)" 0
	between "nodes: has them" "$(guest_exec "$1" "awk '\$2 == \"1,\" {
		n += \$14 + 2 * \$15 } END { print n }' /proc/buddyinfo")" \
		$((there + 20)) $((there + 40))
	ok "nodes: contents are whole" hold "$1" check
	defragment "$1"
}

load_test()
{
	# What kcompactd does by itself would not be told apart. And kswapd that
	# got nowhere sixteen times is not woken any more: with generations, each
	# time that a fragmentation event wakes it, since it asks no shrinker then.
	# So they are off until no event is waited for.
	guest_exec "$1" 'insmod /lib/modules/$(uname -r)/ballast/kcompactd_test.ko
		echo n > /sys/kernel/mm/lru_gen/enabled
		echo 0 > /proc/sys/vm/compaction_proactiveness'
}

kernels "ballast -- debug" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	# The debug kernel keeps a fifth for itself.
	mem=1024
	[ "$kernel" != debug ] || mem=1280
	guest_start a --kernel "$kernel" --balloon none --mem "$mem" \
		--cmdline "movablecore=400M"
	load_test a
	test_counters a
	test_bad a
	test_count a
	test_last_zone a
	test_fragmentation_event a
	test_after_kswapd a
	test_cancel a
	guest_exec a 'echo y > /sys/kernel/mm/lru_gen/enabled'
	test_deferral a
	test_classzone a
	ok "the test's module goes" guest_exec a 'rmmod kcompactd_test'
	finish a

	guest_start b --kernel "$kernel" --balloon none --mem "$mem" --nodes 2
	load_test b
	test_cpu_hotplug b
	test_nodes b
	finish b
done

done_testing
