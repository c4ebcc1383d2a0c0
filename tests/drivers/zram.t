#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# zsmalloc's users, zram and zswap, in a guest that needs more memory than it
# has, with memory compaction in a loop: contents stay whole. On the patched
# kernel zsmalloc's pages are driver pages, and its mappings say what happened to
# them; on Debian's, for comparison, there is zram alone.
#
#	zram.t [stock|ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"
export BOOT_TIMEOUT=300

section() { comment "$SECONDS s: $*"; }
in_guest() { guest_exec a "$@"; }

# mapping NAME COLUMN: the sum of all mappings whose name begins so.
mapping()
{
	in_guest "awk -v k=$2 'NR == 1 { while (\$++i != k) ; next }
		index(\$1, \"$1\") == 1 { n += \$i } END { print n + 0 }' \
		/sys/kernel/debug/driver_pages/mappings"
}

compact_start()
{
	in_guest 'rm -f /run/stop /run/stopped
		(while [ ! -e /run/stop ]; do
			echo 1 > /proc/sys/vm/compact_memory
		done; : > /run/stopped) > /dev/null 2>&1 &'
}

compact_stop()
{
	in_guest ': > /run/stop; until [ -e /run/stopped ]; do usleep 20000; done'
}

# under_load WHAT MAPPING COUNTER DEVICE MIB: swap to the device, hold so many
# MiB, and find in /proc/vmstat that an eighth went that way at least.
under_load()
{
	local what=$1 mapping=$2 counter=$3 dev=$4 mib=$5

	ok "$what: swap is on" in_guest "mkswap $dev > /dev/null && swapon $dev"
	compact_start
	ok "$what: a workload that takes more than there is" \
		hold a start --mib "$mib" --pattern none
	comment "$what: $(in_guest 'awk "/^(MemTotal|SwapTotal|SwapFree)/ {
		printf \"%s %d MiB \", \$1, \$2 / 1024 }" /proc/meminfo
		grep -E "^(pswpin|pswpout|zswpin|zswpout) " /proc/vmstat |
			paste -sd " "')"
	for _ in $(seq $checks); do
		ok "$what: contents are whole" hold a check
	done
	between "$what: pages went to swap" "$(guest_vmstat a "$counter")" \
		$((mib * 32)) 100000000
	compact_stop
	[ -z "$mapping" ] || moved "$what" "$mapping"
	hold a stop
	ok "$what: swap is off" in_guest "swapoff $dev"
}

# moved WHAT MAPPING
moved()
{
	comment "$1: $(in_guest "sed -n '1p; /^$2/p' \
		/sys/kernel/debug/driver_pages/mappings")"
	between "$1: its pages are driver pages" "$(mapping "$2" marked)" \
		1000 100000000
	between "$1: and were migrated" "$(mapping "$2" migrated)" 100 100000000
	is "$1: no migration failed" "$(mapping "$2" failed)" 0
}

zram()
{
	section "zram, and $1 MiB"
	ok "zram: there is a device" in_guest '
		cd /lib/modules/$(uname -r)/stock
		for m in zsmalloc lz4_compress lz4hc_compress zram; do
			[ ! -e $m.ko ] || insmod ./$m.ko || exit
		done
		echo 1G > /sys/block/zram0/disksize'
	under_load zram "${2:-}" pswpout /dev/zram0 "$1"
	ok "zram: it goes" in_guest 'rmmod zram'
	[ -z "${2:-}" ] ||
		is "zram: and its mapping with it" "$(mapping zram marked)" 0
}

zswap()
{
	section "zswap with zsmalloc, and $1 MiB"
	if ! in_guest '[ -e /sys/module/zswap ]'; then
		skip "zswap" "this kernel has none"
		return
	fi
	# The disk of last resort is memory, too: nothing is to go there.
	ok "zswap: it takes zsmalloc" in_guest '
		cd /sys/module/zswap/parameters
		echo zsmalloc > zpool && echo 90 > max_pool_percent &&
		echo 1 > enabled && grep -qx zsmalloc zpool'
	under_load zswap zswap zswpout /dev/ram0 "$1"
}

kernels "stock ballast" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	guest_start a --kernel "$kernel" --balloon none --mem 512
	mib=$(in_guest 'awk "/^MemTotal/ { print int(\$2 / 1024) }" /proc/meminfo')
	# The debug kernel swaps at a tenth of the speed.
	case $kernel in
	debug)	mib=$((mib - 40)) checks=1 ;;
	*)	mib=$((mib + 32)) checks=2 ;;
	esac
	case $kernel in
	stock)	zram $mib ;;
	*)	zram $mib zram
		zswap $mib ;;
	esac
	finish a
done

done_testing
