#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make bench: what compaction and the balloon do for each other, stock and
# Ballast side by side. One table at the end, and build/out/bench.json. Columns
# as in lib/results.sh; by_hand is vm.compaction_proactiveness=100; reference is
# what a row is compared with (virtio-mem, a guest without a balloon).
#
# tests/bench.sh [CASE...]: only these cases: fpr idle shrink thp steps stress
# oom migrations device. BENCH_QUICK=1: one pattern, one seed.
# BENCH_COLUMNS="stock all": only these columns.

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/results.sh
. "$HERE/lib/results.sh"
# shellcheck source=tests/lib/qemu.sh
. "$HERE/lib/qemu.sh"
# shellcheck source=tests/lib/migrations.sh
. "$HERE/lib/migrations.sh"

ALL_CASES="fpr idle shrink thp steps stress oom migrations device"
for kind; do
	case " $ALL_CASES " in
	*" $kind "*) ;;
	*)	die "bad case: $kind; use ${ALL_CASES// /, }" ;;
	esac
done
side_by_side "what compaction and the balloon do for each other" "$@"
CASES=" ${*:-$ALL_CASES} "
QUICK=${BENCH_QUICK:-}

# How a guest is fragmented: PATTERN:KEEP:SEED, see guest/memhold.c. One of KEEP
# pages or files stays. Seeds are runs of the same setting.
PLAN="regular:4:1 random:8:1 random:4:1 random:4:2 random:2:1 files:2:1"
PERCENTS="25 50 75"
SEEDS="1 2"
MIGRATIONS=50
if [ -n "$QUICK" ]; then
	PLAN=random:4:1
	PERCENTS=50
	SEEDS=1
	MIGRATIONS=10
fi

# --- the cases

# boot NAME COLUMN FPR PATTERN OPTION...: all of its memory is the host's; page
# cache is on a disk of its own.
boot()
{
	local name=$1 column=$2 fpr=$3 pattern=$4

	shift 4
	[ "$pattern" != files ] || set -- --disk 6144 "$@"
	start "$name" "$column" "$fpr" --prealloc on "$@"
}

# fragment NAME PATTERN KEEP SEED
fragment()
{
	local mib=3500

	# Page cache that fills memory would be reclaimed.
	[ "$2" != files ] || mib=3300
	guest_exec "$1" "hold start --mib $mib --seed $4 --pattern $2 \
		--keep 1/$3" > /dev/null
}

# kcompactd_ms NAME: the CPU time that it has used.
kcompactd_ms()
{
	guest_exec "$1" 'cat /proc/[0-9]*/stat 2>/dev/null |
		awk "\$2 ~ /^\\(kcompactd/ { n += \$14 + \$15 }
			END { print n * 10 }"'
}

# cpu_share MS SECONDS: per cent of the guest's CPU time; it has two.
cpu_share() { awk "BEGIN { printf \"%.2f\", $1 / 10 / 2 / $2 }"; }

mem_free_mib()
{
	guest_exec "$1" "awk '/^MemFree/ { print int(\$2 / 1024) }' \
		/proc/meminfo"
}

FPR_SECONDS=30
FPR_ROWS="fpr_returned_share fpr_moves_ratio packing_cpu_share"

# fpr COLUMN PATTERN KEEP SEED: what free page reporting gives back of holes.
fpr()
{
	local column=$1 setting=$2_$3 moves cpu share returned free

	boot f "$column" on "$2" --mem 4096
	[ "$column" != by_hand ] || guest_exec f \
		'echo 100 > /proc/sys/vm/compaction_proactiveness'
	# Some moves before all holes are there.
	moves=$(guest_vmstat f pgmigrate_success)
	fragment f "$2" "$3" "$4"
	cpu=$(kcompactd_ms f)
	sleep $FPR_SECONDS
	# All memory was the host's at first, and what is in use still is.
	returned=$((4096 - $(smaps_ram_kib f Rss) / 1024))
	free=$(mem_free_mib f)
	cpu=$(($(kcompactd_ms f) - cpu))
	moves=$(($(guest_vmstat f pgmigrate_success) - moves))
	share=$(awk "BEGIN { printf \"%.1f\", 100 * $returned / $free }")
	put fpr_returned_share "$column" "$setting" "$share"
	put fpr_moves "$column" "$setting" "$moves"
	put packing_cpu_share "$column" "$setting" \
		"$(cpu_share $cpu $FPR_SECONDS)"
	progress "$share % of $free MiB free are the host's, $moves moves," \
		"kcompactd $cpu ms"
	finish f "$column" "$FPR_ROWS"
}

# idle COLUMN: memory in use without holes: nothing can be won.
idle()
{
	local column=$1 seconds=15 cpu

	start d "$column" on --mem 2048
	[ "$column" != by_hand ] || guest_exec d \
		'echo 100 > /proc/sys/vm/compaction_proactiveness'
	guest_exec d "hold start --mib 1400 --pattern none" > /dev/null
	# What filling memory has set going may come to its end.
	sleep 5
	cpu=$(kcompactd_ms d)
	sleep $seconds
	cpu=$(($(kcompactd_ms d) - cpu))
	put packing_idle "$column" none \
		"$(cpu_share $cpu $seconds)"
	progress "kcompactd $cpu ms in $seconds s"
	finish d "$column" packing_cpu_share
}

SHRINK_ROWS="moves_ratio shrink_time_vs_virtio_mem"

# shrink COLUMN PATTERN KEEP SEED: 4 -> 2 GiB; with half of memory in use 4 -> 3.
shrink()
{
	local column=$1 setting=$2_$3 mib=2048 needed moves s

	[ "$3" != 2 ] || mib=1024
	case $column in
	virtio_mem)
		boot s "$column" off "$2" --balloon none --mem 1024 \
			--virtio-mem 3072
		virtio_mem_wait s 3072
		;;
	stock)	boot s "$column" off "$2" --mem 4096 ;;
	*)	# shellcheck disable=SC2046
		boot s "$column" on "$2" --mem 4096 $(no_packing "$column") ;;
	esac
	fragment s "$2" "$3" "$4"
	needed=$(guest_exec s "blockmap --drain $((mib / 2))" |
		sed -n 's/^needed_moves //p')
	moves=$(guest_vmstat s pgmigrate_success)
	case $column in
	virtio_mem) s=$(virtio_mem_to s $((3072 - mib))) ;;
	*)	s=$(reach s $((4096 - mib))) ;;
	esac
	moves=$(($(guest_vmstat s pgmigrate_success) - moves))
	put shrink_seconds "$column" "$setting" "$s"
	put shrink_moves "$column" "$setting" "$moves"
	[ "$column" = stock ] || put moves_ratio "$column" "$setting" \
		"$(awk "BEGIN { printf \"%.2f\", $moves / $needed }")"
	put shrink_thp_share "$column" "$setting" "$(thp_share s)"
	progress "$s s, $moves moves of $needed needed, then $(thp_share s) %" \
		"of the process on huge pages"
	finish s "$column" "$SHRINK_ROWS"
}

# thp COLUMN: 100 compactions of a guest with a quarter of it in the balloon and
# a little load. Reporting is off: it gives huge pages back whole.
thp()
{
	local column=$1 before after moves

	start c "$column" off --mem 2048 --prealloc on --disk 2048
	guest_exec c "hold start --mib 900 --seed 1 --pattern random \
		--keep 1/2" > /dev/null
	reach c 1536 > /dev/null
	before=$(smaps_ram_kib c AnonHugePages)
	moves=$(guest_vmstat c pgmigrate_success)
	# shellcheck disable=SC2016
	guest_exec c 'mkdir /mnt/churn
		setsid churn 2 16 /mnt/churn > /run/churn.log 2>&1 </dev/null &
		for i in $(seq 100); do
			echo 1 > /proc/sys/vm/compact_memory
			usleep 100000
		done
		kill $!'
	after=$(smaps_ram_kib c AnonHugePages)
	moves=$(($(guest_vmstat c pgmigrate_success) - moves))
	put compaction_keeps_thp "$column" random_2 \
		"$(awk "BEGIN { printf \"%.1f\", 100 * $after / $before }")"
	put compaction_moves "$column" random_2 "$moves"
	progress "$((before / 2048)) huge pages before, $((after / 2048))" \
		"after, $moves moves"
	finish c "$column" compaction_keeps_thp
}

# huge_guest NAME COLUMN MIB PERCENT: a guest that has so much of MIB in its
# balloon; or, for column KERNEL_alone, as much less memory. Page by page, each
# 64th page of memory is for the kernel's own table of it.
huge_guest()
{
	local name=$1 column=$2 mib=$3 balloon=$(($3 * $4 / 100))

	case $column in
	*_alone)
		guest_start "$name" --kernel "${column%_alone}" --balloon none \
			--mem $((mib - balloon * 64 / 63)) --disk 4096 ;;
	*)	start "$name" "$column" on --mem "$mib" --disk 4096
		reach "$name" $((mib - balloon)) > /dev/null
		;;
	esac
	# What hugeadm --set-recommended-min_free_kbytes sets, for a guest of
	# two zones; the same for all, as it depends on the size at boot.
	guest_exec "$name" 'echo 45056 > /proc/sys/vm/min_free_kbytes'
}

# mem_blocks NAME KEY: MemTotal and so on, in huge pages.
mem_blocks()
{
	guest_exec "$1" "awk '/^$2:/ { print int(\$2 / 2048) }' /proc/meminfo"
}

# steps COLUMN PERCENT SEED: huge pages in steps of 5 % of memory that is full of
# page cache, of which every second file was deleted.
steps()
{
	local column=$1 percent=$2 blocks rest out

	huge_guest h "$column" 2048 "$percent"
	blocks=$(mem_blocks h MemTotal)
	guest_exec h "hold start --mib $((blocks * 2)) --seed $3 \
		--pattern files --keep 1/2" > /dev/null
	out=$(guest_exec h "hugealloc $blocks $((blocks / 20))")
	rest=${out//$'\n'/, }
	put "steps_$percent" "$column" files_2 "$(awk -v n="$blocks" \
		'/^got/ { printf "%.2f", 100 * $2 / n }' <<< "$out")"
	put "steps_reclaimed_$percent" "$column" files_2 \
		"$(sed -n 's/^reclaimed //p' <<< "$out")"
	progress "memory is $blocks huge pages; $rest"
	[ "$(killed h)" = 0 ] || bad "highalloc_steps_$percent" \
		"$LABEL: $(killed h) killed"
	finish h "$column" "highalloc_steps_$percent"
}

# stress COLUMN: 90 % of what is available as huge pages, one at a time, while a
# load like a compilation runs.
stress()
{
	local column=$1 available want out rest jobs

	huge_guest w "$column" 2048 25
	available=$(mem_blocks w MemAvailable)
	want=$((available * 9 / 10))
	guest_exec w "hold start --mib $((available * 2)) --seed 1 \
		--pattern files --keep 1/2" > /dev/null
	# shellcheck disable=SC2016
	out=$(guest_exec w 'mkdir /mnt/churn
		setsid churn 4 8 /mnt/churn > /run/churn.log 2>&1 </dev/null &
		until [ -e /tmp/churn.state ]; do usleep 20000; done
		hugealloc '"$want"' 1 20
		cat /tmp/churn.state
		kill $!')
	rest=${out//$'\n'/, }
	put highalloc_stress "$column" files_2 "$(awk -v n=$want \
		'/^got/ { printf "%.2f", 100 * $2 / n }' <<< "$out")"
	put stress_reclaimed "$column" files_2 \
		"$(sed -n 's/^reclaimed //p' <<< "$out")"
	progress "$rest"
	jobs=$(sed -n 's/^failed //p' <<< "$out")
	put stress_jobs_failed "$column" files_2 "${jobs:-0}"
	finish w "$column" highalloc_stress
}

# steady_load COLUMN: setmem to below what it uses.
steady_load()
{
	below_use o "$1" on oom_kills
	put oom_kills "$1" steady "$KILLS"
	[ "$KILLS" != 0 ] || finish o "$1" oom_kills
	guest_stop o
}

# growth COLUMN: 900 of 1024 MiB are in the balloon, with deflate-on-OOM; then a
# process needs 800. Livelock is when it has not got them after two minutes.
growth()
{
	local column=$1 kills state s=$SECONDS

	start g "$column" on --mem 1024 --autodeflate on
	setmem g 124
	kills=$(stands_still g)
	progress "the balloon stands at $(printf %.0f "$(balloon_actual g)") MiB"
	state=$(guest_exec g 'setsid memsteady 800 > /run/steady.log 2>&1 \
			</dev/null &
		for i in $(seq 1200); do
			[ ! -e /tmp/memsteady.state ] || break
			kill -0 $! || break
			usleep 100000
		done
		cat /tmp/memsteady.state' 150) || state=
	kills=$(killed g)
	s=$((SECONDS - s))
	if [ -z "$state" ] && [ "$kills" = 0 ]; then
		put livelocks "$column" growth 1
		progress "livelock: nothing after $s s"
		[ "$column" = stock ] ||
			bad oom_kills "$LABEL: livelock"
	else
		put livelocks "$column" growth 0
		progress "$kills killed, $s s," \
			"$(printf %.0f "$(balloon_actual g)") MiB"
	fi
	put oom_kills "$column" growth "$kills"
	[ "$kills" != 0 ] || finish g "$column" oom_kills
	guest_stop g
}

# migrations COLUMN: from QEMU to QEMU, each time while the guest is at a new target
# for its balloon; how many in a row go well.
migrations()
{
	local column=$1

	RANDOM=1
	# shellcheck disable=SC2046
	vm_begin m $(parts "$column") --fpr on --mem 512
	hops m "$MIGRATIONS" "$(column_qemu "$column")"
	put migrations_ok "$column" chain "$HOPS_OK"
	progress "$HOPS_OK of $MIGRATIONS went well${HOPS_WHY:+; $HOPS_WHY}"
	[ -n "$HOPS_WHY" ] || finish m "$column" migrations_ok
	vm_stop_all
}

# gap_begin COLUMN PAGES [OPTION...]: a guest whose memory the host has already, on
# huge pages, or on small ones: 4 KiB.
gap_begin()
{
	local column=$1 qemu

	qemu=$(qemu_path "$(column_qemu "$column")")
	if [ "$2" = small ]; then
		printf '#!/bin/sh\nexec "%s" --no-thp "%s" "$@"\n' "$GAP" "$qemu" \
			> "$RUN/qemu-small"
		chmod +x "$RUN/qemu-small"
		qemu=$RUN/qemu-small
	fi
	# shellcheck disable=SC2046
	vm_start d $(parts "$column") --qemu "$qemu" --fpr on --prealloc on "${@:3}"
}

# gap COLUMN PAGES: how long the monitor is silent while 8 GiB are inflated.
gap()
{
	local column=$1 pages=$2 asked silent count

	gap_begin "$column" "$pages" --mem 9216 --monitor /run/gap.qmp
	exec {asked}> >("$GAP" /run/gap.qmp > "$RUN/gap.out")
	balloon_to d 1024 300 >/dev/null ||
		die "8 GiB are not inflated in 300 s: $(balloon_actual d) MiB"
	exec {asked}>&-
	wait $!
	read -r silent count < "$RUN/gap.out"
	put qmp_gap "$column" "$pages" "$(awk "BEGIN { print $silent / 1000 }")"
	progress "silent for $silent us at most, of $count answers"
	vm_stop_all
}

# madvise COLUMN: 3 GiB, against one call that does no more than discarding them.
madvise()
{
	local column=$1 bare seconds

	gap_begin "$column" thp --mem 4096
	bare=$("$GAP" --madvise 3072)
	seconds=$(balloon_to d 1024 60) || die "3 GiB are not inflated in 60 s"
	put inflate_vs_madvise "$column" once \
		"$(awk "BEGIN { printf \"%.2f\", $seconds * 1e6 / $bare }")"
	progress "$seconds s; one madvise $bare us"
	vm_stop_all
}

# own_driver QEMU BACKING: Debian's kernel and its driver give a GiB away; the
# device's discards, and the huge pages that the host gets.
own_driver()
{
	local qemu=$1 backing=$2 before column=stock mark

	[ "$qemu" = stock ] || column=all
	if [ "$backing" = hugetlb ]; then
		hugepages_reserve 1024 || die "1024 huge pages are not to be had"
	fi
	vm_start d --qemu "$qemu" --balloon stock --mem 2048 --backing "$backing"
	before=$(hugepages_available)
	trace_on d ram_block_discard_range
	mark=$(log_mark d)
	balloon_to d 1024 120 >/dev/null || die "1 GiB is not inflated in 120 s"
	if [ "$backing" = hugetlb ]; then
		put hugetlb_stock_driver "$column" once \
			$(($(hugepages_available) - before))
	else
		put own_driver_discards "$column" once \
			"$(trace_events d "$mark" ram_block_discard_range | wc -l)"
	fi
	vm_stop_all
	[ "$backing" != hugetlb ] || hugepages_release 1024
}

# --- the plan: all columns in each round, so that what else the machine does
# hits all of them

# wanted COLUMN
wanted() { [[ " ${BENCH_COLUMNS:-$1} " = *" $1 "* ]]; }

# each_hole FUNCTION "ROWS" COLUMN...: for the plan's ways to fragment
each_hole()
{
	local function=$1 rows=$2 hole column

	shift 2
	for hole in $PLAN; do
		for column; do
			wanted "$column" || continue
			attempt "$function, $column, ${hole//:/ }" "$rows" \
				"$function" "$column" ${hole//:/ }
		done
	done
}

# each COLUMN... -- FUNCTION ROWS ARGUMENT...
each()
{
	local columns=() column function rows

	while [ "$1" != -- ]; do
		columns+=("$1")
		shift
	done
	function=$2 rows=$3
	shift 3
	for column in "${columns[@]}"; do
		wanted "$column" || continue
		attempt "$function, $column${*:+, $*}" "$rows" "$function" \
			"$column" "$@"
	done
}

case_fpr()
{
	# Default settings of these two leave holes as they are: one is enough.
	each stock modules -- fpr "$FPR_ROWS" random 4 1
	each_hole fpr "$FPR_ROWS" by_hand all
}

case_idle() { each by_hand modules all -- idle packing_cpu_share; }
case_shrink() { each_hole shrink "$SHRINK_ROWS" virtio_mem stock modules all; }
case_thp() { each stock modules all -- thp compaction_keeps_thp; }

case_steps()
{
	local percent seed

	for percent in $PERCENTS; do
		for seed in $SEEDS; do
			each stock_alone stock modules ballast_alone all -- \
				steps "highalloc_steps_$percent" \
				"$percent" "$seed"
		done
	done
}

case_stress()
{
	each stock_alone stock modules all -- stress highalloc_stress
}

case_oom()
{
	each stock modules all -- steady_load oom_kills
	each stock modules all -- growth oom_kills
}

case_device()
{
	local pages seed

	GAP=$RUN/gap
	gcc -O2 -Wall -o "$GAP" "$HERE/qemu/gap.c" || die "gap.c does not compile"
	for seed in $SEEDS 3; do
		for pages in thp small; do
			each stock modules all -- gap qmp_gap "$pages"
		done
		each stock modules all -- madvise inflate_vs_madvise
	done
	for pages in thp hugetlb; do
		attempt "stock driver, stock QEMU, $pages" \
			"own_driver_discards hugetlb_stock_driver" \
			own_driver stock $pages
		attempt "stock driver, patched QEMU, $pages" \
			"own_driver_discards hugetlb_stock_driver" \
			own_driver patched $pages
	done
}

case_migrations() { each stock modules all -- migrations migrations_ok; }

for kind in $CASES; do
	"case_$kind"
done

# --- the table

# worst ROW max|min COLUMN: the median of the setting that is worst.
worst()
{
	local v

	v=$(extreme "$1" "$3" "$2")
	echo "${v% *}"
}

# ratio_rows ROW FROM REFERENCE FACTOR COLUMN...: FROM's figures of each setting
# by those of the reference column, times the factor.
ratio_rows()
{
	local to=$1 from=$2 reference=$3 factor=$4 column setting a b

	shift 4
	for column; do
		for setting in $(settings "$from" "$column"); do
			a=$(value "$from" "$column" "$setting")
			b=$(value "$from" "$reference" "$setting")
			[ -z "$b" ] || put "$to" "$column" "$setting" \
				"$(awk "BEGIN { printf \"%.2f\",
					$factor * $a / ($b ? $b : 1) }")"
		done
	done
}

# spread ROW COLUMN...: "all random_4 1.2 (1.1 to 1.3, 3 runs), ..."
spread()
{
	local name=$1 column setting

	shift
	for column; do
		for setting in $(settings "$name" "$column"); do
			sort -g "$R/$name.$column.$setting" | awk -v c="$column" \
				-v s="$setting" \
				-v m="$(value "$name" "$column" "$setting")" '
				{ v[NR] = $1 }
				END {
					printf "%s %s %s", c, s, m
					if (NR > 1)
						printf " (%s to %s, %d runs)",
							v[1], v[NR], NR
					print ""
				}'
		done
	done | paste -sd '|' | sed 's/|/, /g'
}

# worst_row NAME UNIT GOAL CONDITION max|min NOTE [COLUMN=VALUE...]: the worst
# setting of each column; what is worst is the largest or smallest.
worst_row()
{
	local name=$1 unit=$2 goal=$3 condition=$4 side=$5 note=$6 all

	shift 6
	all=$(spread "$name" stock by_hand modules all)
	row "$name" "$unit" "$goal" "$condition" \
		"$note${note:+${all:+; }}$all" \
		stock="$(worst "$name" "$side" stock)" \
		by_hand="$(worst "$name" "$side" by_hand)" \
		modules="$(worst "$name" "$side" modules)" \
		all="$(worst "$name" "$side" all)" "$@"
}

ours() { echo "(.modules // $2) $1 $3 and (.all // $2) $1 $4"; }

table_fpr()
{
	worst_row fpr_returned_share % ">= 95 all" "(.all // 0) >= 95" min \
		"of what is free, after $FPR_SECONDS s" reference=
	ratio_rows fpr_moves_ratio fpr_moves by_hand 1 stock by_hand modules all
	worst_row fpr_moves_ratio ratio "<= 0.6 all" "(.all // 9) <= 0.6" max \
		"pages moved, by those with the knob at 100" reference=
}

table_packing()
{
	local idle

	idle=$(worst packing_idle max all)
	# Its waking alone may show as one tick of a hundredth of a second.
	worst_row packing_cpu_share % "<= 2 all; none if nothing can be won" \
		"(.all // 99) <= 2 and ${idle:-99} <= 0.04" max \
		"kcompactd, of the guest's CPU time in these seconds; when \
nothing can be won: $(spread packing_idle by_hand modules all)" reference=
}

table_shrink()
{
	worst_row moves_ratio ratio "<= 1.6 modules, <= 1.2 all" \
		"$(ours "<=" 99 1.6 1.2)" max "" \
		reference="$(worst moves_ratio max virtio_mem)"
	ratio_rows shrink_time_vs_virtio_mem shrink_seconds virtio_mem 1 \
		stock modules all
	worst_row shrink_time_vs_virtio_mem ratio \
		"<= 1.2 modules, <= 0.25 all" "$(ours "<=" 99 1.2 0.25)" max \
		"seconds: $(spread shrink_seconds virtio_mem stock modules all)" \
		reference=1
}

table_thp()
{
	worst_row compaction_keeps_thp % ">= 98" "$(ours ">=" 0 98 98)" min \
		"moves: $(spread compaction_moves stock modules all)" reference=
}

# fewer ROW: a condition: modules and all have less than stock.
fewer()
{
	local stock column v

	stock=$(worst "$1" max stock)
	for column in modules all; do
		v=$(worst "$1" max $column)
		[ -n "$v" ] && [ -n "$stock" ] ||
			{ echo false; return; }
		awk "BEGIN { exit !($v < $stock) }" || { echo false; return; }
	done
	echo true
}

# Success by that of a guest that has as much memory and no balloon.
table_steps()
{
	local percent name raw reclaimed

	for percent in $PERCENTS; do
		name=highalloc_steps_$percent
		raw=steps_$percent reclaimed=steps_reclaimed_$percent
		ratio_rows "$name" "$raw" stock_alone 100 stock modules
		ratio_rows "$name" "$raw" ballast_alone 100 all
		worst_row "$name" % \
			">= 99, fewer pages reclaimed than stock" \
			"$(ours ">=" 0 99 99) and $(fewer "$reclaimed")" min \
			"% of memory: $(spread "$raw" stock_alone stock \
				modules ballast_alone all); pages reclaimed: \
$(spread "$reclaimed" stock_alone stock modules ballast_alone all)" \
			reference=100
	done
}

table_stress()
{
	worst_row highalloc_stress % ">= 98" "$(ours ">=" 0 98 98)" min \
		"pages reclaimed: $(spread stress_reclaimed stock_alone stock \
			modules all); jobs that failed: $(spread \
			stress_jobs_failed stock_alone stock modules all)" \
		reference="$(worst highalloc_stress min stock_alone)"
}

table_oom()
{
	worst_row oom_kills processes 0 "$(ours "<=" 9 0 0)" max \
		"livelocks: $(spread livelocks stock modules all)" reference=
}

table_device()
{
	ratio_rows qmp_gap_ratio qmp_gap stock 1 stock modules all
	worst_row qmp_gap_ratio ratio "<= 2 and 15 ms all" \
		"(.all // 99) <= 2 and $(worst qmp_gap max all || echo 99) <= 15" max \
		"the longest time without an answer while 8 GiB are inflated; \
ms: $(spread qmp_gap stock modules all)" reference=1
	worst_row inflate_vs_madvise ratio "<= 8 all" "(.all // 99) <= 8" max \
		"3 GiB, not fragmented" reference=1
	ratio_rows coalesce_factor own_driver_discards all 1 stock
	worst_row coalesce_factor factor ">= 5" "(.stock // 0) >= 5" min \
		"discards for a GiB from Debian's driver: \
$(spread own_driver_discards stock all)" reference=
	worst_row hugetlb_stock_driver pages ">= 400 all" "(.all // 0) >= 400" \
		min "of 512, from Debian's driver" reference=512
}

table_migrations()
{
	worst_row migrations_ok migrations "all of them" \
		"$(ours "==" 0 "$MIGRATIONS" "$MIGRATIONS")" min \
		"in a row, each in the middle of inflating or deflating" \
		reference="$MIGRATIONS"
}

for kind in $CASES; do
	case $kind in
	idle)	case $CASES in *" fpr "*) ;; *) table_packing ;; esac ;;
	fpr)	table_fpr; table_packing ;;
	*)	"table_$kind" ;;
	esac
done

# All figures, one by one: runs are those of one row, column and setting.
for f in "$R"/*.*.*; do
	[ -e "$f" ] || continue
	name=${f##*/}
	while read -r v; do
		printf '%s\t%s\n' "${name//./$'\t'}" "$v"
	done < "$f"
done | jq -R 'split("\t") | {name: .[0], column: .[1], setting: .[2],
	value: (.[3] | tonumber)}' > "$RUN/runs"

json=$OUT/bench.json
[ -z "$*${BENCH_COLUMNS:-}" ] || json=$OUT/bench-partial.json
[ -z "$QUICK" ] || json=$OUT/bench-quick.json
write_json "$json" runs "$RUN/runs"
summary "$json" unit stock by_hand modules all reference
