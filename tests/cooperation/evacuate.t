#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Evacuation on the patched kernels: no page is moved into a block that is
# emptied next, the balloon's own pages are not moved out of what becomes its
# own, and what has to move stays on its node.
#
#	evacuate.t [ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"

BLOCK=512
PARAMS=/sys/module/virtio_balloon/parameters

section() { comment "$SECONDS s: $*"; }

# Blocks that are isolated, and free pages in such blocks.
isolated()
{
	guest_exec "$1" "awk '/^Number of blocks/ {
			for (i = 5; i <= NF; i++) if (\$i == \"Isolate\") c = i
			next }
		c { n += \$c }
		END { print n + 0 }' /proc/pagetypeinfo"
}

# The zones' free memory beyond their high watermarks, at the least.
above_watermarks()
{
	guest_exec "$1" "awk '\$1 == \"pages\" && \$2 == \"free\" { free = \$3 }
		\$1 == \"high\" { high = \$2 }
		\$1 == \"managed\" && \$2 && free < high { n++ }
		END { print n + 0 }' /proc/zoneinfo"
}

test_moves()
{
	local pattern=$2 blocks=$3 needed moves

	section "pages moved, $pattern"
	hold "$1" start --mib $MIB --pattern "$pattern" --keep 1/4 >/dev/null
	needed=$(guest_exec "$1" "blockmap --drain $blocks" |
		sed -n 's/^needed_moves //p')
	moves=$(guest_vmstat "$1" pgmigrate_success)
	ok "moves, $pattern: it inflates" balloon_pages "$1" $((blocks * BLOCK))
	moves=$(($(guest_vmstat "$1" pgmigrate_success) - moves))
	snap "$1"
	is "moves, $pattern: by whole blocks" "${B[blocks]} ${B[singles]}" \
		"$blocks 0"
	comment "pages moved $moves, needed $needed, in ${B[blocks_asked]}" \
		"blocks asked for, ${B[blocks_won]} won"
	between "moves, $pattern: little more than the least there is" \
		"$(awk -v m="$moves" -v n="$needed" 'BEGIN { print m / n }')" \
		0.5 1.2
	is "moves, $pattern: no block stays isolated" "$(isolated "$1")" 0
	is "moves, $pattern: each zone keeps its high watermark" \
		"$(above_watermarks "$1")" 0
	ok "moves, $pattern: contents are whole" hold "$1" check
	hold "$1" stop
	ok "moves, $pattern: it deflates" balloon_pages "$1" 0
}

# Single pages that are all over the place, and then blocks.
test_absorb()
{
	local blocks=300 singles=$((80 * BLOCK))

	section "single pages of the balloon's own"
	hold "$1" start --mib $MIB --pattern regular --keep 1/4 >/dev/null
	guest_exec "$1" "echo N > $PARAMS/blocks"
	ok "absorb: it inflates by single pages" balloon_pages "$1" $singles
	guest_exec "$1" "echo Y > $PARAMS/blocks"
	ok "absorb: then by blocks" balloon_pages "$1" \
		$((singles + blocks * BLOCK))
	snap "$1"
	comment "absorbed ${B[singles_absorbed]}, migrated" \
		"${B[singles_migrated]}, blocks ${B[blocks]}, singles ${B[singles]}"
	is "absorb: the target is reached" "${B[actual]} ${B[target]}" \
		"$((singles + blocks * BLOCK)) $((singles + blocks * BLOCK))"
	is "absorb: every page of it is offline" "${B[pages_offline]}" \
		"${B[actual]}"
	isnt "absorb: singles became a part of blocks" \
		"${B[singles_absorbed]}" 0
	is "absorb: none had to be moved" "${B[singles_migrated]}" 0
	ok "absorb: contents are whole" hold "$1" check
	hold "$1" stop
	ok "absorb: it deflates" balloon_pages "$1" 0
	snap "$1"
	is "absorb: all of it is back" \
		"${B[actual]} ${B[pages_offline]} ${B[MemTotal]}" "0 0 $TOTAL"
}

# on_node NAME NODE: pages of the workload that are there
on_node()
{
	guest_exec "$1" "for p in \$(cat /run/hold/*.pid); do
			cat /proc/\$p/numa_maps
		done | tr ' ' '\n' | sed -n 's/^N$2=//p' |
		awk '{ n += \$1 } END { print n + 0 }'"
}

test_nodes()
{
	local there before

	section "two nodes"
	hold "$1" start --mib $MIB --pattern regular --keep 1/4 >/dev/null
	before=$(on_node "$1" 0)
	there=$(on_node "$1" 1)
	ok "nodes: it inflates" balloon_pages "$1" $((400 * BLOCK))
	comment "on the nodes before: $before $there"
	# Stacks and page tables come and go, and what moves is not counted.
	between "nodes: what was moved stayed on its node (0)" \
		"$(on_node "$1" 0)" $((before - 500)) $((before + 500))
	between "nodes: what was moved stayed on its node (1)" \
		"$(on_node "$1" 1)" $((there - 500)) $((there + 500))
	ok "nodes: contents are whole" hold "$1" check
	hold "$1" stop
	ok "nodes: it deflates" balloon_pages "$1" 0
}

kernels "ballast -- debug" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	# Of the 2000 that the debug kernel leaves 1700 of.
	MIB=1500
	[ "$kernel" != debug ] || MIB=1350
	guest_start a --kernel $kernel --qemu patched --balloon ballast \
		--mem 2048 --fpr on --params pack_cpu=0
	snap a
	TOTAL=${B[MemTotal]}
	# What kcompactd moves at the same time is not counted.
	guest_exec a 'echo 0 > /proc/sys/vm/compaction_proactiveness'
	test_moves a regular 400
	test_moves a random 400
	test_absorb a
	finish a

	guest_start b --kernel $kernel --qemu patched --balloon ballast \
		--mem 2048 --fpr on --params pack_cpu=0 --nodes 2
	test_nodes b
	finish b
done

done_testing
