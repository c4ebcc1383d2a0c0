#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Contiguous memory where driver pages are: 1 GiB huge pages at run time, CMA,
# memory that goes offline, and poisoned pages, over the balloon's blocks and
# single pages, zpages and zsmalloc's. What memory of processes allows is the
# measure.
#
#	contig.t [stock|ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
guests "$@"
export BOOT_TIMEOUT=300
# QEMU's default CPU has no 1 GiB pages.
export BALLAST_CPU=max

BLOCK=512
MEMORY_KIB=131072	# of a memory block
GIGANTIC=/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages
PARAMS=/sys/module/virtio_balloon/parameters
MEMORY=/sys/devices/system/memory

section() { comment "$SECONDS s: $*"; }
in_guest() { guest_exec a "$@"; }

# boot KERNEL MIB [COMMAND LINE]: the kernel's image is not just anywhere.
boot()
{
	guest_start a --qemu patched --balloon ballast --fpr on --kernel "$1" \
		--mem "$2" --cmdline "nokaslr ${3:-}"
	snap a
	BOOT_TOTAL=${B[MemTotal]}
	in_guest 'echo 0 > /proc/sys/vm/compaction_proactiveness'
}

# place KIND MIB: so much memory of the kind, all over the place, since it fills
# the holes of a process that ends then.
place()
{
	local kind=$1 mib=$2 keep=$((SPREAD / $2))

	if [ "$kind" = blocks ]; then
		balloon_pages a $((mib * 256))
		return
	fi
	[ "$kind" = lru ] || keep=2
	hold a start --mib $SPREAD --pattern random --keep 1/$keep >/dev/null
	case $kind in
	lru)	return ;;
	singles)
		in_guest "echo N > $PARAMS/blocks"
		balloon_pages a $((mib * 256)) ;;
	zpages)	in_guest 'cd /lib/modules/$(uname -r)/ballast
			insmod ./zpages.ko && insmod ./zpages_test.ko &&
			echo '"$mib"' > /sys/kernel/debug/zpages_test/fill' ;;
	zsmalloc) in_guest 'cd /lib/modules/$(uname -r)/stock
			for m in zsmalloc lz4_compress lz4hc_compress zram; do
				[ ! -e $m.ko ] || insmod ./$m.ko || exit
			done
			echo '"$mib"'M > /sys/block/zram0/disksize
			while cat /bin/busybox *.ko 2> /dev/null; do :; done |
				head -c '$((mib << 20))' > /dev/zram0
			sync
			read -r size rest < /sys/block/zram0/mm_stat
			[ $size -ge '$((mib << 19))' ]
			sha256sum < /dev/zram0 > /run/zram.sum' ;;
	esac
	hold a stop
}

# whole KIND: what was placed holds what it did.
whole()
{
	case $1 in
	lru)	hold a check ;;
	zpages)	in_guest 'grep "bad 0$" /sys/kernel/debug/zpages_test/fill' ;;
	zsmalloc) in_guest 'echo 1 > /proc/sys/vm/drop_caches
			sha256sum < /dev/zram0 | cmp - /run/zram.sum' ;;
	esac
}

remove()
{
	case $1 in
	lru)	hold a stop ;;
	blocks)	balloon_pages a 0 ;;
	singles)
		balloon_pages a 0
		in_guest "echo Y > $PARAMS/blocks" ;;
	zpages)	in_guest 'echo 0 > /sys/kernel/debug/zpages_test/fill
			rmmod zpages_test zpages' ;;
	zsmalloc) in_guest 'rmmod zram' ;;
	esac
}

# gigantic MOST: how many 1 GiB pages are to be had. What is in a CPU's batch on
# its way to or from the LRU counts as unmovable: empty those first.
gigantic()
{
	in_guest "echo 1 > /proc/sys/vm/drop_caches
		echo $1 > $GIGANTIC; cat $GIGANTIC"
}

# offline MEMORY-BLOCK...: how many of them go, all at once.
offline()
{
	in_guest "n=0
		for i in $*; do
			timeout 120 sh -c \"echo offline > $MEMORY/memory\$i/state\" \
				2> /dev/null && n=\$((n + 1))
		done
		echo \$n"
}

online()
{
	in_guest "for i in $*; do
			grep -q online $MEMORY/memory\$i/state ||
				echo online > $MEMORY/memory\$i/state
		done"
}

told()
{
	[ "$(vsh qemu-monitor-command a '{"execute": "query-balloon"}' |
		jq .return.actual)" = $((($(guest_mib a) * 256 - $1) * 4096)) ]
}

# accounted PAGES: these are the balloon's, and nobody else's. While compaction
# moves a single, both its places are offline. And the kernel takes no memory block
# online again that has a poisoned page.
accounted()
{
	local gone

	gone=$(in_guest "cat $MEMORY/memory*/state | grep -c offline || true")
	snap a
	echo "$gone memory blocks and ${B[pages_offline]} pages offline," \
		"MemTotal ${B[MemTotal]} KiB"
	[ "${B[pages_offline]} $((B[MemTotal] + gone * MEMORY_KIB))" = \
		"$1 $((BOOT_TOTAL - $1 * 4))" ]
}

# back WHAT PAGES: the balloon comes back to its target, and all is accounted.
back()
{
	ok "$1: the balloon is back at its target" until_guest a 60 \
		"grep -q \"^actual $2\$\" /sys/kernel/debug/virtio_balloon/*"
	ok "$1: every page of it is offline, and accounted" \
		until_true 60 accounted "$2"
	ok "$1: the host is told" until_true 10 told "$2"
}

# rest_accounted NUMBER: MemTotal without the balloon and so many memory blocks. The
# balloon may just be growing: then it is not, for a moment.
rest_accounted()
{
	snap a
	[ $((B[MemTotal] + $1 * MEMORY_KIB + B[actual] * 4)) = "$BOOT_TOTAL" ] &&
		[ "${B[pages_offline]}" = "${B[actual]}" ]
}

# pages_in KIND MIB: what a balloon of that kind has to hold.
pages_in()
{
	case $1 in
	blocks|singles) echo $(($2 * 256)) ;;
	*)	echo 0 ;;
	esac
}

# test_gigantic KIND MIB: 1 GiB pages where that much of KIND is, that is there.
test_gigantic()
{
	local kind=$1 pages moved

	pages=$(pages_in "$@")
	section "1 GiB pages, $kind"
	snap a
	is "$kind: it is there" "${B[actual]}" "$pages"
	moved=$((B[pgmigrate_success] + B[blocks_given_back] * BLOCK))
	HAD[$kind]=$(gigantic 2)
	CMA_FREE=$(guest_vmstat a nr_free_cma)
	snap a
	moved=$((B[pgmigrate_success] + B[blocks_given_back] * BLOCK - moved))
	comment "1 GiB pages: ${HAD[$kind]}, pages moved or given back: $moved"
	# The kernel's own pages may have spread to the only GiB there is.
	if [ "$kind ${HAD[$kind]}" = "lru 0" ]; then
		skip "$kind, 1 GiB pages" "there are none even so"
	else
		between "$kind: they were where it is" "$moved" 1000 1000000
	fi
	gigantic 0 > /dev/null
	ok "$kind, 1 GiB pages: contents are whole" whole "$kind"
	back "$kind, 1 GiB pages" "$pages"
}

# test_offline KIND MIB MEMORY-BLOCK...: these go offline.
test_offline()
{
	local kind=$1 pages gone

	pages=$(pages_in "$@")
	section "offline, $kind"
	shift 2
	gone=$(offline "$@")
	is "$kind: memory goes offline" "$gone" $#
	ok "$kind: the rest is accounted" until_true 60 rest_accounted "$gone"
	ok "$kind: contents are whole meanwhile" whole "$kind"
	online "$@"
	back "$kind, offline" "$pages"
	ok "$kind, offline: contents are whole" whole "$kind"
}

kinds()
{
	local kind

	for kind; do
		between "$kind: as many 1 GiB pages as among LRU memory" \
			"${HAD[$kind]}" \
			$((HAD[lru] > 0 ? HAD[lru] : 1)) 2
	done
}

# Memory goes offline and comes back again and again while the balloon's target
# changes, up and down, blocks and single pages.
test_races()
{
	local rounds=$1 most=$2 want=$((40 * BLOCK + 7)) pages seed=$RANDOM n=0

	section "memory goes offline and comes back meanwhile, seed $seed"
	hold a start --mib 120 --pattern random --keep 1/2 >/dev/null
	in_guest 'rm -f /run/stop /run/stopped
		(n=0
		while [ ! -e /run/stop ]; do
			for m in '$MEMORY'/memory*/state; do
				[ ! -e /run/stop ] || break
				timeout 60 sh -c "echo offline > $m" 2> /dev/null || continue
				n=$((n + 1))
				echo online > $m
			done
		done; echo $n > /run/stopped) > /dev/null 2>&1 &'
	for pages in $(awk -v s=$seed -v n="$rounds" -v m="$most" 'BEGIN {
			srand(s); for (; n; n--) print int(rand() * m) }'); do
		n=$((n + 1))
		in_guest "echo $([ $((n % 3)) = 0 ] && echo N || echo Y) \
			> $PARAMS/blocks"
		balloon_pages a "$pages" 3 || true
	done
	in_guest ': > /run/stop; until [ -e /run/stopped ]; do usleep 50000; done'
	between "races: memory went offline, times" \
		"$(in_guest 'cat /run/stopped')" 1 1000000
	is "races: no single page had to stay because the balloon was busy" \
		"$(in_guest 'dmesg | awk "/ page: refcount/ { offline = 0 }
			/page_type:.*offline/ { offline = 1 }
			/because: migration failure/ { n += offline }
			END { print n + 0 }"')" 0
	in_guest "echo Y > $PARAMS/blocks"
	vsh setmem a --size "$(($(guest_mib a) * 1024 - want * 4))KiB" --live
	back races $want
	ok "races: contents are whole" hold a check
	hold a stop
	balloon_pages a 0
	back "races, empty" 0
}

# pages_of MAPPING: three pages that are marked with it: they have just moved.
pages_of()
{
	in_guest "cd /sys/kernel/tracing
		echo > trace
		echo 1 > events/driver_pages/driver_page_migrate/enable
		echo 1 > /proc/sys/vm/compact_memory
		echo 0 > events/driver_pages/driver_page_migrate/enable
		sed -n 's/.*name=$1 .*dst_pfn=\(0x[0-9a-f]*\).*ret=0/\1/p' \
			trace | tail -n 3"
}

# poison soft|hard PFN: what the kernel answers is not the point.
poison() { in_guest "echo $(($2 * 4096)) > $MEMORY/${1}_offline_page || true" 2> /dev/null; }

poisoned() { in_guest "awk '/^HardwareCorrupted/ { print \$2 / 4 }' /proc/meminfo"; }

# The memory block of a page goes offline, or it does not; but it ends.
offline_ends()
{
	in_guest "s=$MEMORY/memory$(($1 >> 15))/state rc=0
		timeout 60 sh -c \"echo offline > \$s\" 2> /dev/null || rc=\$?
		echo online > \$s 2> /dev/null
		[ \$rc -lt 124 ]"
}

# A poisoned page is lost, and nothing else is: not in the books, either.
test_poison()
{
	local ends=$1 blocks pages before

	section "poisoned pages"
	before=$(poisoned)
	balloon_pages a $((60 * BLOCK))
	mapfile -t blocks < <(in_guest 'blockmap --map |
		sed -n "s/^block \(0x[0-9a-f]*\) .* offline 512 .*/\1/p" |
		head -n 3')
	poison soft "${blocks[0]}"
	poison soft $((blocks[0] + 7))
	poison hard "${blocks[1]}"
	poison hard $((blocks[2] + 7))
	back "poison, blocks" $((60 * BLOCK))
	balloon_pages a 0
	back "poison, blocks released" 0
	in_guest "echo N > $PARAMS/blocks"
	hold a start --mib 200 --pattern random --keep 1/2 >/dev/null
	balloon_pages a 10000
	hold a stop
	mapfile -t pages < <(pages_of 'virtio[0-9]*')
	is "poison: single pages are found" ${#pages[@]} 3
	poison soft "${pages[0]}"
	poison hard "${pages[1]}"
	back "poison, singles" 10000
	[ -z "$ends" ] ||
		ok "poison: offlining ends, singles" offline_ends "${pages[1]}"
	balloon_pages a 0
	in_guest "echo Y > $PARAMS/blocks"
	[ -z "$ends" ] ||
		ok "poison: and after them" offline_ends "${pages[0]}"
	back "poison, singles released" 0

	place zpages 40
	mapfile -t pages < <(pages_of zpages-fill)
	poison soft "${pages[0]}"
	poison hard "${pages[1]}"
	ok "poison: contents of zpages are whole" whole zpages
	in_guest 'echo 1 > /proc/sys/vm/compact_memory'
	[ -z "$ends" ] ||
		ok "poison: offlining ends, zpages" offline_ends "${pages[0]}"
	ok "poison: contents of zpages are whole after" whole zpages
	remove zpages
	between "poison: that many pages are lost" \
		$(($(poisoned) - before)) 4 7
	back "poison, at the end" 0
}

kernels "debug -- stock ballast" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	declare -A HAD=()
	SPREAD=2000
	if [ "$kernel" = debug ]; then
		boot debug 1536
		SPREAD=400
		test_races 8 30000
		test_poison yes
		finish a
		continue
	fi

	# No pages of the kernel's own above 900 MiB; and none of the balloon's
	# blocks, nor 1 GiB pages.
	boot "$kernel" 3072 kernelcore=900M
	for kind in singles zpages zsmalloc; do
		place $kind 200
		test_offline $kind 200 8 9 10 11 12
		remove $kind
	done
	finish a

	# The kernel's own pages and the firmware's leave a GiB alone.
	SPREAD=3000
	boot "$kernel" 5120
	place blocks 2000
	test_gigantic blocks 2000
	test_offline blocks 2000 8 9 10 11 12
	remove blocks
	place lru 200
	test_gigantic lru 200
	remove lru
	kinds blocks
	test_races 12 100000
	# Without the patch offlining waits for poisoned driver pages for ever.
	test_poison "$([ "$kernel" = stock ] || echo yes)"
	finish a

	# Debian's kernel has no CMA.
	[ "$kernel" != stock ] || continue
	boot "$kernel" 5120 hugetlb_cma=1G
	is "there is CMA" "$(in_guest "awk '/^CmaTotal/ { print \$2 }' \
		/proc/meminfo")" 1048576
	for kind in lru singles zpages zsmalloc; do
		place $kind 200
		test_gigantic $kind 200
		is "$kind: the page is of CMA" "$CMA_FREE" 0
		remove $kind
	done
	kinds singles zpages zsmalloc
	finish a
done

done_testing
