#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What our driver tells the host beyond the specification: right on the patched
# QEMU, whatever the guest's kernel; not there, and nobody disturbed, on a QEMU
# that does not know it. What libvirt shows is what it shows of the in-tree
# driver.
#
#	stats.t [stock|ballast|debug]...	# the guests' kernels

. "$(dirname "$0")/../lib/test.sh"
guests "$@"
export BOOT_TIMEOUT=300

BLOCK=512
OURS="balloon-blocks balloon-floor balloon-huge-failures balloon-shortfall"
OURS+=" balloon-shortfall-reason balloon-singles block-size free-blocks"
OURS+=" pages-migrated thp-collapse-failures thp-fault-fallbacks"
OURS+=" unusable-index"
PSI="psi-memory-full psi-memory-some"
SPECIFIED="swap-(in|out)|(major|minor)-faults|(free|total|available)-memory"
SPECIFIED+="|disk-caches|htlb-pg(alloc|fail)|oom-kills|alloc-stalls"
SPECIFIED+="|(async|direct)-(scans|reclaims)"
REASONS=(none floor pressure allocation range contiguity huge)

section() { comment "$SECONDS s: $*"; }

guest_stats()
{
	vsh qemu-monitor-command "$1" '{"execute": "qom-get", "arguments":
		{"path": "/machine/peripheral/balloon0",
		"property": "guest-stats"}}' | jq -c .return
}

# stats NAME: into S, by name, what the guest has said since now.
declare -A S=()
stats()
{
	local key value end

	# In whole seconds, and the guest may just be answering.
	end=$(($(date +%s) + 2))
	newer() { [ "$(guest_stats "$1" | jq '.["last-update"]')" -ge "$2" ]; }
	until_true 60 newer "$1" $end || die "no statistics from $1"
	S=()
	while read -r key value; do
		S[${key#stat-}]=$value
	done < <(guest_stats "$1" | jq -r '.stats | to_entries[] |
		"\(.key) \(.value)"')
}

# The names of what is beyond the specification, in order.
beyond()
{
	guest_stats "$1" | jq -r '.stats | keys[] | sub("^stat-"; "")' |
		{ grep -vxE "$SPECIFIED" || true; } | paste -sd ' '
}

# What virsh shows, without the values.
virsh_keys()
{
	{
		vsh dommemstat "$1" | awk '{ print $1 }'
		vsh domstats "$1" --balloon | sed -n 's/^ *\(.*\)=.*/\1/p'
	} | sort | paste -sd ' '
}

# look NAME: the same as the guest sees it, into G. Free memory is that of the
# zones that have a block to give.
declare -A G=()
look()
{
	local key value

	G=()
	while read -r key value; do
		G[$key]=$value
	done < <(guest_exec "$1" "
		sed 's/,//g' /proc/zoneinfo /proc/buddyinfo | awk '
			\$1 == \"Node\" { zone = \$2 \$4 }
			\$1 == \"pages\" && \$2 == \"free\" { free = \$3 }
			\$1 == \"low\" { low = \$2 }
			\$1 == \"protection:\" {
				room[zone] = free >= $BLOCK + low + \$NF }
			\$1 == \"Node\" && NF > 4 && room[zone] {
				size = 1
				for (i = 5; i <= NF; i++) {
					areas += \$i
					pages += \$i * size
					if (size >= $BLOCK)
						blocks += \$i * size / $BLOCK
					size *= 2
				}
			}
			END {
				print \"free-blocks\", blocks + 0
				print \"unusable-index\", pages ? int((pages -
					blocks * $BLOCK) * 1000 / pages) : 1000
				if (blocks)
					exit
				print \"fragmentation-index\", areas ? int(1000 -
					(1000 + pages * 1000 / $BLOCK) / areas) : 0
			}'
		awk '\$1 == \"pgmigrate_success\" { print \"pages-migrated\", \$2 }
			\$1 == \"thp_fault_fallback\" {
				print \"thp-fault-fallbacks\", \$2 }
			\$1 == \"thp_collapse_alloc_failed\" {
				print \"thp-collapse-failures\", \$2 }
			\$1 == \"htlb_buddy_alloc_fail\" {
				print \"htlb-pgfail\", \$2 }' /proc/vmstat
		sed -n 's/^\(some\|full\).*total=/psi-memory-\1 /p' \
			/proc/pressure/memory
		cat /sys/kernel/debug/virtio_balloon/*")
	G[failures]=$((G[htlb-pgfail] + G[thp-fault-fallbacks] +
		       G[thp-collapse-failures]))
}

# bracket NAME: look, hear, and look again: A before, S, G after.
declare -A A=()
bracket()
{
	local key

	look "$1"
	A=()
	for key in "${!G[@]}"; do A[$key]=${G[$key]}; done
	stats "$1"
	look "$1"
}

# counted WHAT KEY...: what only grows was between the two looks.
counted()
{
	local key

	for key in "${@:2}"; do
		between "$1: $key" "${S[$key]-none}" "${A[$key]}" "${G[$key]}"
	done
}

# about WHAT KEY SLACK: what goes up and down, in a guest that has nothing to do.
about()
{
	local least=${A[$2]-0} most=${G[$2]-0}

	[ "$least" -le "$most" ] || least=${G[$2]} most=${A[$2]}
	between "$1: $2" "${S[$2]-none}" $((least - $3)) $((most + $3))
}

# What the driver says of its balloon is what it says in debugfs.
balloon_is()
{
	is "$1: blocks, singles" "${S[balloon-blocks]} ${S[balloon-singles]}" \
		"${G[blocks]} ${G[singles]}"
	is "$1: floor, shortfall" "${S[balloon-floor]} ${S[balloon-shortfall]}" \
		"$((G[floor] * 4096)) $((G[shortfall] * 4096))"
	is "$1: the reason" "${REASONS[${S[balloon-shortfall-reason]}]-none such}" \
		"${G[shortfall_reason]}"
	is "$1: failures for want of huge pages" \
		"${S[balloon-huge-failures]}" "${G[huge_failures]}"
}

# Ask for more huge pages than there can be.
huge_failures()
{
	guest_exec "$1" 'cd /proc/sys/vm
		echo 1000 > nr_hugepages; echo 0 > nr_hugepages'
}

# take_blocks NAME: a process for the free blocks that look has found.
take_blocks()
{
	guest_exec "$1" 'rm -f /run/more
		memhold --mib '$((G[free-blocks] * 2 + 32))' --thp on --ready /run/more \
			> /dev/null 2>&1 &
		until [ -e /run/more ]; do usleep 50000; done'
}

test_values()
{
	local psi=$2 before failed

	section "values"
	bracket "$1"
	is "values: a block's size" "${S[block-size]}" $((BLOCK * 4096))
	about "values" free-blocks 2
	about "values" unusable-index 10
	is "values: there are free blocks, so there is no fragmentation index" \
		"${S[fragmentation-index]-none} ${G[fragmentation-index]-none}" \
		"none none"
	counted "values" pages-migrated thp-fault-fallbacks thp-collapse-failures
	balloon_is "values"

	section "free memory in pieces"
	hold "$1" start --mib "$MIB" --pattern regular --keep 1/4 >/dev/null
	guest_exec "$1" 'echo never > /sys/kernel/mm/transparent_hugepage/defrag'
	# Whole blocks that are left go to processes: none is made for them. But
	# kcompactd may be making one just now, or somebody gives one back, and
	# then there is no index to compare.
	for _ in 1 2 3 4 5 6 7 8; do
		look "$1"
		[ "${G[free-blocks]}" = 0 ] || take_blocks "$1"
		bracket "$1"
		[ -z "${A[fragmentation-index]-}" ] ||
			[ -z "${S[fragmentation-index]-}" ] ||
			[ -z "${G[fragmentation-index]-}" ] || break
	done
	comment "unusable ${S[unusable-index]}, fragmentation" \
		"${S[fragmentation-index]-none}, free blocks ${S[free-blocks]}"
	about "pieces" free-blocks 2
	about "pieces" unusable-index 10
	about "pieces" fragmentation-index 10
	between "pieces: it is in pieces" "${S[unusable-index]}" 900 1000
	between "pieces: which is why there are no huge pages" \
		"${S[fragmentation-index]}" 700 1000
	counted "pieces" pages-migrated thp-fault-fallbacks thp-collapse-failures
	between "pieces: page faults noticed" "${S[thp-fault-fallbacks]}" 1 100000
	is "pieces: not while there were blocks in the balloon" \
		"${S[balloon-huge-failures]}" 0
	ok "pieces: contents are whole" hold "$1" check
	guest_exec "$1" 'kill $(pidof memhold); while pidof memhold; do
			usleep 50000; done; rm -rf /run/hold
		echo madvise > /sys/kernel/mm/transparent_hugepage/defrag' >/dev/null

	section "huge pages while blocks are held"
	hold "$1" start --mib $((MIB / 2)) --pattern random --keep 1/4 >/dev/null
	huge_failures "$1"
	look "$1"
	before=${G[failures]}
	ok "huge: it inflates" balloon_pages "$1" $((50 * BLOCK + 7))
	look "$1"
	failed=${G[failures]}
	huge_failures "$1"
	bracket "$1"
	is "huge: blocks, singles" "${S[balloon-blocks]} ${S[balloon-singles]}" \
		"50 7"
	between "huge: failures are counted" "${S[balloon-huge-failures]}" \
		$((A[failures] - failed)) $((G[failures] - before))
	between "huge: there were some" "${S[balloon-huge-failures]}" 1 100000
	between "huge: hugetlb's are among them" "${S[htlb-pgfail]}" 2 100000
	comment "failures ${S[balloon-huge-failures]}, stalled" \
		"${S[psi-memory-some]-not known} us"
	counted "huge" pages-migrated htlb-pgfail $psi
	[ -z "$psi" ] || between "huge: making them stalls tasks" \
		"${S[psi-memory-some]}" 1 1000000000
	balloon_is "huge"
	ok "huge: it deflates" balloon_pages "$1" 0
	stats "$1"
	failed=${S[balloon-huge-failures]}
	huge_failures "$1"
	bracket "$1"
	is "huge: not counted with an empty balloon" \
		"${S[balloon-huge-failures]}" "$failed"
	ok "huge: contents are whole" hold "$1" check

	section "more than the guest can give"
	setmem "$1" 64
	ok "floor: the balloon stops" until_guest "$1" 120 \
		"grep -q \"^shortfall_reason floor\" \
			/sys/kernel/debug/virtio_balloon/*"
	bracket "$1"
	comment "unusable ${S[unusable-index]}, fragmentation" \
		"${S[fragmentation-index]-none}, missing" \
		"$((S[balloon-shortfall] >> 20)) MiB"
	balloon_is "floor"
	between "floor: the host sees how much is missing" \
		"${S[balloon-shortfall]}" $((16 << 20)) $((MIB << 20))
	is "floor: and why" "${S[balloon-shortfall-reason]}" 1
	ok "floor: contents are whole" hold "$1" check
	hold "$1" stop
	ok "floor: it deflates" balloon_pages "$1" 0
	stats "$1"
	is "floor: nothing is missing any more" "${S[balloon-shortfall]}" 0
}

# The in-tree driver takes over: what libvirt shows is the same, and what ours
# said is gone.
test_driver()
{
	local shown

	section "the in-tree driver"
	stats "$1"
	shown=$(virsh_keys "$1")
	is "driver: actual" \
		"$(vsh dommemstat "$1" | awk '$1 == "actual" { print $2 }')" \
		$(($(guest_mib "$1") * 1024))
	is "driver: memory as the guest sees it" \
		"$(vsh dommemstat "$1" | awk '$1 == "available" { print $2 }')" \
		"$(guest_exec "$1" "awk '/^MemTotal/ { print \$2 }' /proc/meminfo")"
	guest_exec "$1" 'rmmod virtio_balloon'
	is "driver: without one there is nothing beyond the specification" \
		"$(beyond "$1")" ""
	guest_exec "$1" 'insmod /lib/modules/$(uname -r)/stock/virtio_balloon.ko'
	stats "$1"
	is "driver: nor with the in-tree one" "$(beyond "$1")" ""
	is "driver: libvirt shows the same as with ours" "$shown" \
		"$(virsh_keys "$1")"
	isnt "driver: which is something" "${shown/ usable/}" "$shown"
}

# guest KERNEL QEMU
guest()
{
	local psi=$PSI

	comment "$SECONDS s: kernel: $1, QEMU: $2"
	[ "$1" != stock ] || psi=
	# Of some 740 that the debug kernel's checkers leave.
	MIB=600
	[ "$1" != debug ] || MIB=420
	guest_start a --kernel "$1" --qemu "$2" --balloon ballast --mem 1024
	vsh dommemstat a --period 1 --live
	# Nothing moves but what is told to.
	guest_exec a 'echo 0 > /proc/sys/vm/compaction_proactiveness
		echo 0 > /sys/kernel/mm/transparent_hugepage/khugepaged/defrag'
	stats a
	if [ "$2" = stock ]; then
		is "$1 kernel, $2 QEMU: nothing beyond the specification" \
			"$(beyond a)" ""
		is "$1 kernel, $2 QEMU: all of the specification" \
			"$(guest_stats a | jq '[.stats[] |
				select(. < 18446744073709551615)] | length')" 16
	else
		is "$1 kernel, $2 QEMU: all that there is" \
			"$(beyond a | sed 's/ fragmentation-index / /')" \
			"$(printf '%s\n' $OURS $psi | sort | paste -sd ' ')"
		test_values a "$psi"
	fi
	test_driver a
	finish a
}

kernels "ballast -- stock debug" "$@"
for kernel in "${kernels[@]}"; do
	guest $kernel patched
	[ $kernel = debug ] || guest $kernel stock
done
done_testing
