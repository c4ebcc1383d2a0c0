#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# regiond's regions, from a pageblock to a memory block: how full each is, and
# what becomes of one that is to be emptied.
#
#	regions.t [stock|ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"

BLOCK=512
DIR=/sys/kernel/debug/regiond
SIZE=/sys/module/regiond/parameters/region_mib

section() { comment "$SECONDS s: $*"; }

# regions NAME CONDITION: address of the fullest region that awk's condition on
# f, m, d, u, b (free, movable, driver, unmovable, balloon) and n, all, is true for.
region()
{
	guest_exec "$1" "awk 'NR > 1 { f = \$2; m = \$3; d = \$4; u = \$5; b = \$6
			n = f + m + d + u + b
			if (($2) && m + d >= most) { most = m + d; at = \$1 } }
		END { print at }' $DIR/node0"
}

# pages_of NAME ADDRESS: what is in a region.
pages_of() { guest_exec "$1" "awk '\$1 == \"$2\" { \$1 = \"\"; print }' $DIR/node0"; }

# column NAME NUMBER: sum over all regions.
column()
{
	guest_exec "$1" "awk 'NR > 1 { n += \$$2 } END { print n + 0 }' $DIR/node0"
}

# empty NAME ADDRESS: prints what became of it, as "0 won=64 failed=0 ...".
empty()
{
	guest_exec "$1" "rc=0; echo $2 > $DIR/empty || rc=1
		echo \$rc \$(sed 's/ /=/' $DIR/empty)" 2>/dev/null
}

value() { sed -n "s/.* $2=\([0-9a-fx]*\).*/\1/p" <<< "$1"; }

test_size()
{
	local bytes

	section "sizes"
	bytes=$((16#$(guest_exec "$1" \
		'cat /sys/devices/system/memory/block_size_bytes')))
	MEMORY_BLOCK=$((bytes >> 20))
	is "size: a memory block, if nothing is said" \
		"$(guest_exec "$1" "cat $SIZE")" $MEMORY_BLOCK
	for mib in 1 3 $((MEMORY_BLOCK * 2)) x; do
		ok "size: not $mib" guest_fails "$1" "echo $mib > $SIZE"
	done
	is "size: still the same" "$(guest_exec "$1" "cat $SIZE")" $MEMORY_BLOCK
}

guest_fails() { ! guest_exec "$@" > /dev/null 2>&1; }

# What is said of the regions is what blockmap sees.
test_map()
{
	local n mib movable

	section "how full they are"
	movable=$(guest_exec "$1" "blockmap --drain" |
		sed -n 's/^pages_movable //p')
	for mib in 2 $MEMORY_BLOCK; do
		guest_exec "$1" "echo $mib > $SIZE"
		n=$(guest_exec "$1" "awk 'NR > 1 && \$2 + \$3 + \$4 + \$5 + \$6 > \
			$((mib * 256))' $DIR/node0 | wc -l")
		is "map, $mib MiB: none has more than there is room for" "$n" 0
		between "map, $mib MiB: as many movable pages" \
			"$(column "$1" 3)" $((movable * 95 / 100)) \
			$((movable * 105 / 100))
	done
	ok "map: the balloon takes 50 blocks" balloon_pages "$1" $((50 * BLOCK))
	is "map: and they are seen" "$(column "$1" 6)" $((50 * BLOCK))
}

test_empty()
{
	local at got mib

	section "emptied, and left free"
	for mib in 2 16 32 $MEMORY_BLOCK; do
		guest_exec "$1" "echo $mib > $SIZE"
		at=$(region "$1" "!u && !b && f < n && n == $mib * 256")
		# The kernel's own pages may be in all of the large ones.
		if [ -z "$at" ] && [ "$mib" = "$MEMORY_BLOCK" ]; then
			skip "empty, $mib MiB" "none without unmovable pages"
			continue
		fi
		isnt "empty, $mib MiB: there is one that can be" "$at" ""
		comment "$at: $(pages_of "$1" "$at")"
		got=$(empty "$1" "$at")
		comment "$got; $(pages_of "$1" "$at")"
		is "empty, $mib MiB: all its blocks" \
			"${got%% *} $(value "$got" won) $(value "$got" failed)" \
			"0 $((mib / 2)) 0"
		isnt "empty, $mib MiB: something was moved" \
			"$(value "$got" moved)" 0
		between "empty, $mib MiB: it is free now" \
			"$(pages_of "$1" "$at" | awk '{ print $1 }')" \
			$((mib * 256 * 9 / 10)) $((mib * 256))
		ok "empty, $mib MiB: contents are whole" hold "$1" check
	done
}

test_refuse()
{
	local at got before

	section "what can't be emptied"
	guest_exec "$1" "echo 2 > $SIZE"
	# What is in a CPU's batch looks unmovable, too: more than fits there.
	at=$(region "$1" "u > 100 && u < n")
	isnt "refuse: there is a block with something unmovable in it" "$at" ""
	comment "$at: $(pages_of "$1" "$at")"
	got=$(empty "$1" "$at")
	is "refuse: a block with something unmovable in it" \
		"${got%% *} $(value "$got" won) $(value "$got" failed)" "1 0 1"
	snap "$1"
	before="${B[blocks]} ${B[singles]} ${B[blocks_given_back]}"
	at=$(region "$1" "b")
	got=$(empty "$1" "$at")
	is "refuse: a block of the balloon's" \
		"${got%% *} $(value "$got" won) $(value "$got" failed)" "1 0 1"
	snap "$1"
	is "refuse: the balloon keeps it" \
		"${B[blocks]} ${B[singles]} ${B[blocks_given_back]}" "$before"
	for at in 0xfffffffff000 -1 x; do
		ok "refuse: $at" guest_fails "$1" "echo $at > $DIR/empty"
	done
	ok "refuse: the balloon deflates" balloon_pages "$1" 0
	ok "refuse: contents are whole" hold "$1" check
	hold "$1" stop
}

# Less is free than a region is large.
test_room()
{
	local at got free

	section "no room"
	guest_exec "$1" "echo $MEMORY_BLOCK > $SIZE"
	snap "$1"
	free=$((B[MemFree] / 1024 - MEMORY_BLOCK / 2 - 40))
	hold "$1" start --mib $free --pattern none > /dev/null
	at=$(region "$1" "!u && !b && n == $MEMORY_BLOCK * 256")
	# The kernel's own pages may be in all of them.
	if [ -z "$at" ]; then
		skip "room" "no region without unmovable pages"
		hold "$1" stop
		return
	fi
	got=$(empty "$1" "$at")
	comment "$at: $got"
	is "room: it isn't, and that is why" \
		"${got%% *} $(value "$got" nomem)" "1 1"
	snap "$1"
	is "room: nobody was killed" "${B[oom_kill]}" "$OOM"
	ok "room: contents are whole" hold "$1" check
	hold "$1" stop
}

kernels "ballast debug -- stock" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	guest_start a --kernel $kernel --qemu patched --balloon ballast \
		--mem 1536 --fpr on --params pack_cpu=0
	snap a
	OOM=${B[oom_kill]}
	# Or what is empty would be filled again.
	guest_exec a 'echo 0 > /proc/sys/vm/compaction_proactiveness'
	test_size a
	hold a start --mib 900 --pattern random --keep 1/4 > /dev/null
	test_map a
	test_empty a
	test_refuse a
	test_room a
	finish a
done

done_testing
