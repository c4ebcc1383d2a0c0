#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Scattered free memory goes back to the host by itself, where free page
# reporting is on: as whole blocks that kcompactd makes, with few moves, and
# nothing is moved where there is nothing to win.
#
#	pack.t [ballast|debug|stock]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"

MEM=1536 MIB=1200
PARAMS=/sys/module/virtio_balloon/parameters
DIR=/sys/kernel/debug/kcompactd_test

section() { comment "$SECONDS s: $*"; }

param() { guest_exec "$1" "echo $3 > $PARAMS/$2"; }
moved() { guest_vmstat "$1" pgmigrate_success; }
pack_is()
{
	echo "grep -qE \"^pack_reason ($1)\" /sys/kernel/debug/virtio_balloon/*"
}

free_blocks()
{
	guest_exec "$1" "awk '{ n += \$14 + 2 * \$15 } END { print n + 0 }' \
		/proc/buddyinfo"
}

# looks NAME N: until it has looked so often again.
looks()
{
	local was

	was=$(guest_exec "$1" "sed -n 's/^pack_looks //p' \
		/sys/kernel/debug/virtio_balloon/*")
	until_guest "$1" 120 "[ \$(sed -n \"s/^pack_looks //p\" \
		/sys/kernel/debug/virtio_balloon/*) -ge $((was + $2)) ]"
}

# CPU time of kcompactd, ms.
kcompactd_ms()
{
	# shellcheck disable=SC2016
	guest_exec "$1" 'awk "{ print (\$14 + \$15) * 10 }" \
		/proc/$(pidof kcompactd0)/stat'
}

# What comes back, with how many moves, for how much CPU time.
test_pack()
{
	local what="pack, $2 1/$3" before after least moves ms blocks made
	local holes=$((MIB * ($3 - 1) / $3))

	section "$what"
	param "$1" pack_threshold_mb 100000
	hold "$1" start --mib $MIB --pattern "$2" --keep "1/$3" >/dev/null
	looks "$1" 1
	blocks=$((holes * 95 / 200))
	# Those that are free already cost nothing.
	least=$(guest_exec "$1" \
		"blockmap --drain $((blocks + $(free_blocks "$1")))" |
		sed -n 's/^needed_moves //p')
	before=$(host_rss "$1") moves=$(moved "$1") ms=$(kcompactd_ms "$1")
	snap "$1"
	local was_moved=${B[pack_pages_moved]} was_ms=${B[pack_cpu_ms]}
	local was_made=${B[pack_blocks_made]}

	param "$1" pack_threshold_mb -1
	ok "$what: it begins" until_guest "$1" 60 \
		"! grep -q \"^pack_passes ${B[pack_passes]}\\\$\" \
			/sys/kernel/debug/virtio_balloon/*"
	# From then on the reason is this pass's.
	looks "$1" 1
	ok "$what: it ends" until_guest "$1" 200 "$(pack_is 'little|futile')"
	# Reporting follows, two seconds later or after each other.
	until_true 60 eval "[ \$(host_rss $1) -le \
		$((before - holes * 1024 * 96 / 100)) ]" || true
	after=$(host_rss "$1")
	snap "$1"
	moves=$(($(moved "$1") - moves)) ms=$(($(kcompactd_ms "$1") - ms))
	made=$((B[pack_blocks_made] - was_made))
	comment "$what: $(((before - after) / 1024)) of $holes MiB came back;" \
		"$moves pages moved, $((B[pack_pages_moved] - was_moved)) by" \
		"the driver's count, for $made blocks; $least" \
		"would be least for $blocks; kcompactd took $ms ms," \
		"$((B[pack_cpu_ms] - was_ms)) by the driver's count"
	comment "$(snap_pack)"
	between "$what: per cent that the host has back" \
		$(((before - after) * 100 / 1024 / holes)) 95 105
	# More is scattered than the holes, so this is about one block. How well
	# its two scanners meet is luck: 1.1 to 1.4 was seen.
	between "$what: moves for a block, to the least there are" \
		"$(awk -v m=$moves -v n=$made -v l="$least" -v b=$blocks \
			'BEGIN { print (m / n) / (l / b) }')" 0.9 1.6
	between "$what: moves are counted" \
		$(((B[pack_pages_moved] - was_moved) * 100 / moves)) 95 101
	between "$what: and CPU time" \
		$(((B[pack_cpu_ms] - was_ms) * 100 / ms)) 80 105
	ok "$what: contents are whole" hold "$1" check
}

snap_pack()
{
	local k

	for k in "${!B[@]}"; do
		[[ $k != pack_* ]] || echo -n "$k ${B[$k]} "
	done
}

# idle NAME WHAT: for some looks, nothing is done.
idle()
{
	local moves ms asked

	moves=$(moved "$1") ms=$(kcompactd_ms "$1")
	snap "$1"
	asked=${B[pack_blocks_asked]}
	looks "$1" 3
	snap "$1"
	is "$2: nothing is asked for" "${B[pack_blocks_asked]}" "$asked"
	is "$2: nothing is moved" "$(moved "$1")" "$moves"
	between "$2: kcompactd sleeps, ms" $(($(kcompactd_ms "$1") - ms)) 0 1
}

# Unmovable pages in each block: it is tried once.
test_futile()
{
	section "nothing can be won"
	guest_exec "$1" "echo 1000000 4 > $DIR/pages"
	ok "futile: it finds out" until_guest "$1" 120 "$(pack_is futile)"
	snap "$1"
	comment "$(snap_pack)"
	isnt "futile: there is something scattered" "${B[pack_scattered]}" 0
	idle "$1" "futile"
	guest_exec "$1" "echo 0 > $DIR/pages"
}

# Who waits for memory is not disturbed.
test_pressure()
{
	section "pressure"
	hold "$1" start --mib $MIB --pattern regular --keep 1/4 >/dev/null
	ok "pressure: it stops when allocations stall" until_guest "$1" 60 "
		echo 2000 > /proc/sys/vm/nr_hugepages
		echo 0 > /proc/sys/vm/nr_hugepages
		$(pack_is pressure)"
	param "$1" floor_mb 4096
	setmem "$1" 1024
	ok "pressure: and while the balloon is less than it should be" \
		until_guest "$1" 60 "$(pack_is balloon)"
	idle "$1" "short balloon"
	param "$1" floor_mb -1
	setmem "$1" $MEM
	ok "pressure: it goes on" until_guest "$1" 200 \
		"$(pack_is 'little|futile')"
	ok "pressure: contents are whole" hold "$1" check
	hold "$1" stop
}

test_budget()
{
	section "the budget"
	# As if it had been used up: there is none to be saved.
	param "$1" pack_cpu 0
	looks "$1" 1
	hold "$1" start --mib $MIB --pattern random --keep 1/4 >/dev/null
	snap "$1"
	is "budget: without one nothing is asked for" "${B[pack_reason]}" off
	idle "$1" "no budget"
	hold "$1" stop
	param "$1" pack_cpu 2
}

sysctl() { guest_exec "$1" 'cat /proc/sys/vm/compaction_proactiveness'; }

# A stock kernel says what it would be good for, and can be told to use it.
test_stock()
{
	section "stock kernel"
	guest_start s --balloon ballast --mem 512 --fpr on
	is "stock: it recommends, in one line" "$(guest_exec s \
		'dmesg | grep -c "consider vm.compaction_proactiveness"')" 1
	is "stock: and changes nothing" "$(sysctl s)" 20
	snap s
	is "stock: the counters say so" "${B[pack_reason]}" unsupported
	guest_exec s 'rmmod virtio_balloon
		insmod /lib/modules/$(uname -r)/ballast/virtio_balloon.ko \
			pack_proactiveness=100'
	is "stock: it can be told to" "$(sysctl s)" 100
	is "stock: and says so" "$(guest_exec s 'dmesg |
		grep -c "compaction_proactiveness is 100 as long"')" 1
	guest_exec s 'rmmod virtio_balloon'
	is "stock: only as long as it is loaded" "$(sysctl s)" 20
	guest_exec s 'insmod /lib/modules/$(uname -r)/ballast/virtio_balloon.ko \
			pack_proactiveness=100
		echo 30 > /proc/sys/vm/compaction_proactiveness
		rmmod virtio_balloon'
	is "stock: what somebody else has set since stays" "$(sysctl s)" 30
	finish s

	guest_start s --balloon ballast --mem 512 --fpr off
	is "stock, no reporting: not a word" "$(guest_exec s \
		'dmesg | grep -c proactiveness' || true)" 0
	finish s
}

kernels "ballast stock -- debug" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	if [ "$kernel" = stock ]; then
		test_stock
		continue
	fi
	[ "$kernel" != debug ] || MIB=800	# the checkers have the rest
	guest_start a --kernel "$kernel" --balloon ballast --mem $MEM --fpr on \
		--prealloc on
	guest_exec a 'insmod /lib/modules/$(uname -r)/ballast/kcompactd_test.ko
		echo 0 > /proc/sys/vm/compaction_proactiveness'
	test_pack a regular 4
	idle a "packed"
	hold a stop
	if [ "$kernel" != debug ]; then
		test_pack a random 2
		hold a stop
	fi
	test_pressure a
	test_futile a
	# Last, since none is left then.
	test_budget a
	guest_exec a 'rmmod kcompactd_test virtio_balloon'
	finish a
done

done_testing
