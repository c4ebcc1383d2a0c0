#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two NUMA nodes: the balloon takes from both in proportion to what they can
# spare, or from those it is told to, and gives back where it is needed most.
#
#	nodes.t [stock|ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"
export BOOT_TIMEOUT=300

PARAMS=/sys/module/virtio_balloon/parameters

section() { comment "$SECONDS s: $*"; }

# MiB of node 0 and node 1: free, into FREE0 and FREE1; and all that is not in the
# balloon, into ALL0 and ALL1.
nodes()
{
	read -r ALL0 FREE0 ALL1 FREE1 < <(guest_exec "$1" "sed -nE \
		's/.*Mem(Total|Free): *([0-9]*) .*/\2/p' \
		/sys/devices/system/node/node[01]/meminfo" | paste -sd ' ')
	FREE0=$((FREE0 / 1024)) FREE1=$((FREE1 / 1024))
	ALL0=$((ALL0 / 1024)) ALL1=$((ALL1 / 1024))
	comment "free: $FREE0 of $ALL0 and $FREE1 of $ALL1 MiB"
}

# A process that has 400 MiB of node 1.
lopsided()
{
	guest_exec "$1" 'taskset -c 1 memhold --mib 400 --seed 7 --pattern none \
		--ready /run/one.ready --result /run/one.result \
		> /dev/null 2>&1 < /dev/null &
		echo $! > /run/one.pid
		until [ -e /run/one.ready ]; do usleep 20000; done'
}

whole()
{
	guest_exec "$1" 'rm -f /run/one.result; kill -USR1 $(cat /run/one.pid)
		until [ -e /run/one.result ]; do usleep 20000; done
		grep -q OK /run/one.result'
}

test_proportion()
{
	local all0 all1 had0 had1

	section "in proportion"
	nodes "$1"
	all0=$ALL0 all1=$ALL1
	lopsided "$1"
	nodes "$1"
	had0=$FREE0 had1=$FREE1
	between "proportion: one node has less to spare" "$had1" 0 \
		$((had0 * 9 / 10))
	ok "proportion: half of it, and 5 pages" balloon_pages "$1" \
		$(((had0 + had1) / 4 * 512 + 5))
	nodes "$1"
	between "proportion: node 0 has given half" "$FREE0" \
		$((had0 / 2 - 30)) $((had0 / 2 + 30))
	between "proportion: and so has node 1" "$FREE1" \
		$((had1 / 2 - 30)) $((had1 / 2 + 30))
	ok "proportion: contents are whole" whole "$1"

	# Where least is free, it is needed most.
	had0=$ALL0 had1=$ALL1
	ok "proportion: 100 MiB go back" balloon_pages "$1" \
		$(($(guest_exec "$1" 'sed -n "s/^actual //p" \
			/sys/kernel/debug/virtio_balloon/*') - 50 * 512))
	nodes "$1"
	between "proportion: to node 1" $((ALL1 - had1)) 99 101
	is "proportion: not to node 0" "$ALL0" "$had0"
	balloon_pages "$1" 0
	guest_exec "$1" 'kill $(cat /run/one.pid)
		until ! kill -0 $(cat /run/one.pid) 2>/dev/null; do usleep 20000
		done; rm -f /run/one.*'
	nodes "$1"
	is "proportion: all is back" "$ALL0 $ALL1" "$all0 $all1"
}

test_chosen()
{
	local had0 had1

	section "a node of one's choice"
	is "chosen: all by default" "$(guest_get "$1" $PARAMS/nodes)" 0-1
	guest_exec "$1" "echo 1 > $PARAMS/nodes"
	is "chosen: one" "$(guest_get "$1" $PARAMS/nodes)" 1
	no() { ! "$@"; }
	ok "chosen: what is none is refused" no \
		guest_exec "$1" "echo none > $PARAMS/nodes"
	nodes "$1"
	had0=$ALL0 had1=$ALL1
	hold "$1" start --mib 600 --pattern regular --keep 1/4 > /dev/null
	ok "chosen: a balloon" balloon_pages "$1" $((200 * 512 + 5))
	ok "chosen: contents are whole" hold "$1" check
	hold "$1" stop
	nodes "$1"
	between "chosen: all of it from node 1" $((had1 - ALL1)) 400 401
	is "chosen: none from node 0" "$ALL0" "$had0"
	# More than it has: the other one is not asked.
	setmem "$1" 300
	ok "chosen: no more than node 1 has" until_guest "$1" 60 \
		'grep -qE "^shortfall_reason (floor|allocation)" \
			/sys/kernel/debug/virtio_balloon/*'
	nodes "$1"
	is "chosen: still none from node 0" "$ALL0" "$had0"
	snap "$1"
	is "chosen: no process was killed" "${B[oom_kill]}" 0
	guest_exec "$1" "echo 0-1 > $PARAMS/nodes"
	balloon_pages "$1" 0
}

kernels "ballast -- stock debug" "$@"
for kernel in "${kernels[@]}"; do
	section "the $kernel kernel"
	guest_start a --kernel "$kernel" --balloon ballast --mem 2048 --nodes 2 \
		--fpr on
	test_proportion a
	test_chosen a
	finish a
done

done_testing
