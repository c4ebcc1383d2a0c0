#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# zpages on every kernel that is there: its own tests inside the kernel, beside
# zsmalloc and zbud, under zswap, and half of a guest full of it.
#
#	zpages.t [stock|ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"
export BOOT_TIMEOUT=300

T=/sys/kernel/debug/zpages_test
KIT=/sys/kernel/debug/driver_pages_selftest

section() { comment "$SECONDS s: $*"; }
in_guest() { guest_exec a "$@"; }

# driver_pages.ko is there where the kernel does not have it itself.
load()
{
	section "load"
	ok "load: the modules" in_guest '
		cd /lib/modules/$(uname -r)
		for m in stock/zsmalloc ballast/driver_pages; do
			[ ! -e $m.ko ] || insmod ./$m.ko || exit
		done
		insmod ballast/zpages.ko && insmod ballast/zpages_test.ko &&
		insmod ballast/driver_pages_selftest.ko'
	if in_guest '[ -e /sys/module/zswap ]'; then
		is "load: nothing to say where there is a zpool" \
			"$(in_guest 'dmesg | grep "zpages: .*zpool" || true')" ""
	else
		is "load: one line says that there is no zpool" \
			"$(in_guest 'dmesg | grep -c "zpages: .*zpool"')" 1
	fi
}

# What debugfs says of a mapping: COLUMN of the line that begins so.
mapping()
{
	in_guest "awk -v k=$2 'NR == 1 { while (\$++i != k) ; }
		index(\$1, \"$1\") == 1 { print \$i; exit }' \
		/sys/kernel/debug/driver_pages/mappings"
}

# kit 'MAPPING OPTIONS': the conformance kit, and what it says.
kit() { in_guest "echo $1 > $KIT/run && cat $KIT/run"; }

# kernel_tests OPS MOVES
kernel_tests()
{
	section "each function, one at a time"
	include in_guest "cat $T/api"
	is "api: one line in the log says what was left in a pool" \
		"$(in_guest "dmesg | grep -c 'pool test destroyed with 2 obj'")" 1
	include in_guest "cat $T/move"
	include in_guest "cat $T/zsmalloc"

	section "held to the rules of driver pages, see docs/DRIVER-GUIDE.md"
	in_guest "echo 16 > $T/fill"
	include kit "zpages-fill moves=$2"
	is "rules: objects are whole" "$(in_guest "cat $T/fill")" \
		"pages 4096 bad 0"
	in_guest "echo 0 > $T/fill"

	section "all at once, memory compaction and the kit included"
	in_guest "echo $1 > /sys/module/zpages_test/parameters/torture_ops
		(while [ ! -e /run/stop ]; do
			echo 1 > /proc/sys/vm/compact_memory
		done) > /dev/null 2>&1 &
		(cat $T/torture > /run/torture.tap; : > /run/torture.end) \
			> /dev/null 2>&1 &"
	include in_guest "until awk '\$1 == \"zpages-torture\" && \$3 > 100 { n++ }
				END { exit !n }' \
			/sys/kernel/debug/driver_pages/mappings ||
		      [ -e /run/torture.end ]; do usleep 10000; done
		echo zpages-torture busy contents=no pages=64 \
			moves=$(($2 / 4)) > $KIT/run && cat $KIT/run" 600
	ok "all of that: it ends" until_guest a 300 '[ -e /run/torture.end ]'
	include in_guest 'cat /run/torture.tap'
	in_guest ': > /run/stop'
	is "all of that: no mapping is left" "$(mapping zpages- marked)" ""
}

# The same objects in each; only that they are whole is asserted, and that pages
# do migrate where they can. Objects are stored in a memory full of holes.
compare()
{
	local name line objects=$1 mib=$2
	local -A v

	section "the same $objects objects in others"
	in_guest "echo $objects > /sys/module/zpages_test/parameters/compare_objects"
	comment "$(printf '%-9s %8s %9s %8s %9s %10s' '' pages bytes/page \
		'3 in 4' 'of them' compacted)"
	comment "$(printf '%-9s %8s %9s %8s %9s %10s' '' '' '' freed migrated to)"
	for name in zpages zsmalloc zbud; do
		line=$(in_guest "hold start --mib $mib --pattern random \
				--keep 1/2 > /dev/null
			echo $name > $T/compare; rc=\$?
			hold stop > /dev/null
			[ \$rc = 0 ] || exit 0
			echo 1 > /proc/sys/vm/compact_memory
			cat $T/compare; echo end > $T/compare" 2>/dev/null)
		if [ -z "$line" ]; then
			skip "compare: $name" "this kernel has none"
			continue
		fi
		# shellcheck disable=SC2086
		set -- ${line#* }
		v=()
		while [ $# -gt 1 ]; do v[$1]=$2; shift 2; done
		comment "$(printf '%-9s %8d %9d %8d %9d %10d' "$name" \
			"${v[pages]}" "${v[bytes_per_page]}" \
			"${v[sparse_pages]}" "${v[migrated]}" \
			"${v[compacted_pages]}")"
		is "compare: contents in $name are whole" "${v[bad]}" 0
		[ $name != zpages ] ||
			between "compare: pages of $name migrate" \
				"${v[migrated]}" 1 "${v[sparse_pages]}"
	done
}

# Half of so much memory is kept, pages at random: how many huge pages are to be
# had, if they are of processes, and if they are all of a zpages pool? Each in
# a fresh guest: compaction remembers where it was in vain. Per cent of the
# former is what the latter has to reach: handles have to be somewhere, and a
# debug kernel keeps some hundred bytes with each. No more is asked for than is
# free beside them.
half_full()
{
	local kernel=$1 mib=$2 share=$3 most lru ask zpages filled

	section "half of $mib MiB full, and huge pages"
	guest_start a --kernel "$kernel" --balloon none --mem 1024
	hold a start --mib "$mib" --pattern random --keep 1/2 >/dev/null
	most=$(huge_pages_most a)
	lru=$(huge_pages a "$most")
	guest_stop a
	guest_start a --kernel "$kernel" --balloon none --mem 1024
	load
	# The pool has the holes that the processes leave, and these go.
	hold a start --mib "$mib" --pattern random --keep 1/2 >/dev/null
	ok "half full: the pool fills the other half" \
		in_guest "echo $((mib / 2)) > $T/fill"
	hold a stop
	filled=$(in_guest "cat $T/fill")
	is "half full: it is" "$filled" "pages $((mib * 128)) bad 0"
	ask=$(huge_pages_most a)
	ask=$((ask < most ? ask : most))
	zpages=$(huge_pages a $ask)
	comment "huge pages: $lru of $most with LRU memory," \
		"$zpages of $ask with zpages"
	between "half full: nearly all that are asked for" \
		"$zpages" $(((ask < lru ? ask : lru) * 98 / 100)) 100000
	between "half full: as many huge pages as with LRU memory" \
		"$zpages" $((lru * share / 100)) 100000
	is "half full: contents are whole" "$(in_guest "cat $T/fill")" "$filled"
	in_guest "echo 0 > $T/fill"
	is "half full: nothing is left" "$(in_guest "cat $T/fill")" \
		"pages 0 bad 0"
}

# A workload in a control group that has 5/8 of the memory that it needs, memory
# compaction beside it.
zswap()
{
	local mib=$1 stored dev

	section "zswap"
	if ! in_guest '[ -e /sys/module/zswap ]'; then
		skip "zswap" "this kernel has none"
		return
	fi
	# What zswap does not take goes there.
	dev=$(in_guest 'cd /lib/modules/$(uname -r)/stock
		[ -e /dev/ram0 ] || { insmod ./zram.ko &&
			echo 512M > /sys/block/zram0/disksize; } || exit
		ls /dev/ram0 /dev/zram0 2>/dev/null | head -n 1' 2>/dev/null)
	if [ -z "$dev" ]; then
		skip "zswap" "nothing to swap to"
		return
	fi
	ok "zswap: it takes zpages" in_guest "
		cd /sys/module/zswap/parameters
		echo zpages > zpool && echo 1 > enabled
		echo 50 > max_pool_percent
		mkswap $dev > /dev/null && swapon $dev
		grep -qx zpages zpool"
	# Room to migrate to, for pages that zswap will have next to it.
	in_guest "echo $mib > $T/fill"
	ok "zswap: a workload with too little memory" in_guest "
		mount -t cgroup2 none /sys/fs/cgroup && cd /sys/fs/cgroup &&
		echo +memory > cgroup.subtree_control && mkdir -p few &&
		echo $((mib * 5 / 8))M > few/memory.max &&
		echo \$\$ > few/cgroup.procs &&
		hold start --mib $mib --pattern none"
	stored=$(in_guest 'cat /sys/kernel/debug/zswap/stored_pages')
	comment "zswap: $stored pages stored, in zpages:" \
		"$(in_guest 'tail -qn 1 /sys/kernel/debug/zpages/*/classes')"
	between "zswap: it stores pages" "$stored" 1000 100000000
	between "zswap: in pages of zpages" "$(mapping zpages-zswap marked)" \
		100 100000000
	in_guest "echo 0 > $T/fill"
	in_guest '(while [ ! -e /run/stop2 ]; do
			echo 1 > /proc/sys/vm/compact_memory
		done) > /dev/null 2>&1 &'
	ok "zswap: contents are whole" hold a check
	in_guest ': > /run/stop2'
	between "zswap: pages of it migrate" \
		"$(mapping zpages-zswap migrated)" 1 100000000
	ok "zswap: zpages stays while it is in use" in_guest '! rmmod zpages_test zpages'
	hold a stop
	ok "zswap: it ends" in_guest "swapoff $dev
		cd /sys/module/zswap/parameters
		echo 0 > enabled; echo zsmalloc > zpool" 300
	gone() { [ -z "$(mapping zpages-zswap marked)" ]; }
	ok "zswap: its pool goes" until_true 30 gone
}

unload()
{
	section "unload"
	ok "unload: nobody is left who needs it" in_guest '
		[ ! -e /sys/module/zpages_test ] || rmmod zpages_test
		rmmod driver_pages_selftest zpages
		[ ! -e /sys/module/driver_pages/initstate ] || rmmod driver_pages
		! ls -d /sys/kernel/debug/zpages* 2>/dev/null'
}

kernels "stock ballast debug" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	case $kernel in
	debug)	mib=300 ops=3000 moves=1000 objects=5000 share=85 swap=64 ;;
	*)	mib=700 ops=20000 moves=4000 objects=20000 share=98 swap=256 ;;
	esac
	half_full "$kernel" $mib $share
	kernel_tests $ops $moves
	compare $objects $mib
	zswap $swap
	unload
	finish a
done

done_testing
