#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make demo: the main job on real parts, stock and Ballast side by side. One
# table at the end, and build/out/demo.json. Columns as in lib/results.sh;
# by_hand is after echo 1 > /proc/sys/vm/compact_memory.
#
# Free page reporting (fpr) is on for ours; stock and by_hand run with it off
# and on, and the better of the two stands in the table.
#
# tests/demo.sh [CASE...]: only these cases: frag hugetlb inflate oom

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/results.sh
. "$HERE/lib/results.sh"
side_by_side "what virsh setmem gives back" "$@"
CASES=" ${*:-inflate frag hugetlb oom} "

# --- the cases

# compact_and_reach NAME MIB: prints the seconds of both.
compact_and_reach()
{
	local hand s

	hand=$(compact "$1") || return
	s=$(reach "$@") || return
	awk "BEGIN { print $s + $hand }"
}

FRAG_ROWS="thp_share thp_share_random fragmented_speedup moves_ratio"
FRAG_ROWS+=" guest_huge_pages"

# frag COLUMN FPR PATTERN: 4 -> 2 GiB with a fragmented guest.
frag()
{
	local column=$1 fpr=$2 pattern=$3 share ram huge by=reach
	local row=thp_share

	[ "$pattern" = regular ] || row=thp_share_random
	# shellcheck disable=SC2046
	boot f "$column" "$fpr" "$pattern" --mem 4096 \
		$(no_packing "$column")
	fragment f "$pattern" 4 0
	put thp_before "$column" "$fpr" "$(thp_share f)"
	[ "$column" != by_hand ] || by=compact_and_reach
	shrunk f 1024 $by f 2048
	# What the host holds of the guest; the process has some 70 MiB more
	# on small pages (its heap, the emulator's tables, the kernel's image).
	ram=$(thp_share f ram)
	share=$(thp_share f)
	put "process_${row#thp_}" "$column" "$fpr" "$share"
	put rss_mib "$column" "$fpr" $(($(host_rss f) / 1024))
	huge=$(huge_pages_once f 300)
	put "$row" "$column" "$fpr" "$ram"
	put frag_seconds "$column" "$fpr" "$TOOK"
	put guest_huge_pages "$column" "$fpr" "$huge"
	put moves "$column" "$fpr" "$MOVED"
	[ "$column" = stock ] || put moves_ratio "$column" "$fpr" \
		"$(awk "BEGIN { printf \"%.2f\", $MOVED / $NEEDED }")"
	progress "$ram % on huge pages (whole process $share %)," \
		"$TOOK s, $MOVED moves of $NEEDED needed," \
		"$huge of 300 huge pages"
	finish f "$column" "$FRAG_ROWS"
}

# hugetlb COLUMN FPR: a fragmented guest on shared huge pages, 2 -> 1 GiB.
hugetlb()
{
	local column=$1 fpr=$2 won

	# shellcheck disable=SC2046
	hugetlb_boot h "$column" "$fpr" regular --mem 2048 \
		$(no_packing "$column")
	fragment h regular 4 0 1600
	[ "$column" != by_hand ] || compact h > /dev/null
	reach h 1024 > /dev/null
	won=$(hugetlb_won)
	put hugetlb_returned "$column" "$fpr" $((won < 512 ? won : 512))
	progress "$won huge pages are free on the host"
	finish h "$column" hugetlb_returned
}

# inflate COLUMN FPR [CMDLINE ROW]: unfragmented, 3 GiB, and back.
inflate()
{
	local column=$1 fpr=$2 cmdline=${3:-} row=${4:-} s d mark n

	start i "$column" "$fpr" --mem 4096 --prealloc on --cmdline "$cmdline"
	# An emulator translates code when it runs for the first time, which
	# takes as long as a fast balloon: not what this is about.
	reach i 4032 > /dev/null
	reach i 4096 > /dev/null
	s=$(reach i 1024)
	d=$(reach i 4096)
	put "inflate_seconds$row" "$column" "$fpr" "$s"
	put "deflate_seconds$row" "$column" "$fpr" "$d"
	progress "inflated in $s s, deflated in $d s"
	if [ -z "$row" ] && { [ "$column" != stock ] ||
			      [ ! -e "$R/discards_per_gib.$column.$fpr" ]; }; then
		# Counted apart: the log lines would slow it down. Stock's are
		# 262144 each time.
		trace_on i ram_block_discard_range
		mark=$(log_mark i)
		reach i 3072 > /dev/null
		trace_off i ram_block_discard_range
		n=$(trace_events i "$mark" |
			awk '/balloon_to_target/ { on = 1 }
			on && /ram_block_discard_range/ { n++ }
			/virtio_balloon_set_config/ { last = n }
			END { print last + 0 }')
		put discards_per_gib "$column" "$fpr" "$n"
		progress "$n discards for 1 GiB"
	fi
	finish i "$column" "inflate_speedup$row deflate_speedup"
}

# oom COLUMN FPR: setmem to below what the guest steadily uses.
oom()
{
	below_use o "$1" "$2" oom_kills
	put oom_kills "$1" "$2" "$KILLS"
	[ "$KILLS" != 0 ] || finish o "$1" oom_kills
	guest_stop o
}

# --- the plan
#
# Round by round, all columns in each, so that what else the machine does hits
# all of them.

# again ROW COLUMN FPR: does a time need more runs? Free page reporting off,
# and ours, always; on, only if it is the better setting so far.
again()
{
	case $2.$3 in
	stock.on | by_hand.on)
		[ -e "$R/$1.$2.on" ] && [ -e "$R/$1.$2.off" ] &&
			awk -v on="$(value "$1" "$2" on)" \
				-v off="$(value "$1" "$2" off)" \
				'BEGIN { exit !(on < off) }'
		;;
	esac
}

# each_setting PLAN ROUND
each_setting()
{
	local column fpr

	for column in stock by_hand; do
		for fpr in off on; do
			"$1" $column $fpr "$2"
		done
	done
	for column in modules all; do
		"$1" $column on "$2"
	done
}

plan_frag()
{
	local pattern=regular

	[ "$3" != 2 ] || pattern=random
	[ "$3" != 3 ] || again frag_seconds "$1" "$2" || return 0
	attempt "fragmented, $1, fpr $2, $pattern" "$FRAG_ROWS" \
		frag "$1" "$2" $pattern
}

plan_inflate()
{
	[ "$1" != by_hand ] || return 0
	[ "$3" = 1 ] || again inflate_seconds "$1" "$2" ||
		again deflate_seconds "$1" "$2" || return 0
	attempt "3 GiB, $1, fpr $2" \
		"inflate_speedup deflate_speedup discards_per_gib" \
		inflate "$1" "$2"
	[ "$1" != modules ] ||
		attempt "3 GiB, modules, init_on_alloc=0" \
			inflate_speedup_no_init \
			inflate modules on init_on_alloc=0 _no_init
}

plan_hugetlb()
{
	attempt "hugetlbfs, $1, fpr $2" hugetlb_returned hugetlb "$1" "$2"
}

plan_oom()
{
	attempt "below use, $1, fpr $2" oom_kills oom "$1" "$2"
}

for kind in $CASES; do
	case $kind in
	inflate | frag) rounds="1 2 3" ;;
	hugetlb | oom) rounds=1 ;;
	*)	die "bad case: $kind; use inflate, frag, hugetlb, oom" ;;
	esac
	for round in $rounds; do
		each_setting "plan_$kind" "$round"
	done
done

# --- the table

# chosen ROW max|min: "stock fpr off, by_hand fpr on": the better settings.
chosen()
{
	local column v

	for column in stock by_hand; do
		v=$(extreme "$1" $column "$2")
		[ -z "$v" ] || echo "$column fpr ${v#* }"
	done | paste -sd, | sed 's/,/, /g'
}

# plain NAME UNIT GOAL CONDITION max|min [NOTE]
plain()
{
	local s h

	s=$(extreme "$1" stock "$5") h=$(extreme "$1" by_hand "$5")
	row "$1" "$2" "$3" "$4" "$(chosen "$1" "$5")${6:+; $6}" \
		stock="${s% *}" by_hand="${h% *}" \
		modules="$(value "$1" modules on)" all="$(value "$1" all on)"
}

# process SHARE: thp_share's other way to count, for the note.
process()
{
	local column v

	for column in stock by_hand modules all; do
		v=$(extreme "$1" $column max)
		[ -z "$v" ] || echo "$column ${v% *}"
	done | paste -sd, | sed 's/,/, /g; s/^/of the whole QEMU process: /'
}

# speedup NAME SECONDS-ROW GOAL CONDITION [MODULES-SECONDS-ROW]: ratio to
# stock's better setting.
speedup()
{
	local s h m a

	s=$(extreme "$2" stock min) h=$(extreme "$2" by_hand min)
	m=$(value "${5:-$2}" modules on) a=
	[ -n "${5:-}" ] || a=$(value "$2" all on)
	ratio() { [ -z "$1" ] || [ -z "$s" ] ||
		awk "BEGIN { printf \"%.2f\", ${s% *} / $1 }"; }
	row "$1" ratio "$3" "$4" \
		"seconds: stock ${s% *}${h:+, by_hand ${h% *}}${m:+, modules \
$m}${a:+, all $a}; $(chosen "$2" min)" \
		stock="${s:+1}" by_hand="$(ratio "${h% *}")" \
		modules="$(ratio "$m")" all="$(ratio "$a")"
}

ge() { echo "(.modules // -1) >= $1 and (.all // -1) >= $2"; }
le() { echo "(.modules // 1e9) <= $1 and (.all // 1e9) <= $2"; }

case $CASES in *" frag "*)
	plain thp_share % ">= 95 modules, >= 97 all" "$(ge 95 97)" max \
		"$(process process_share)"
	plain thp_share_random % ">= 95 modules, >= 97 all" "$(ge 95 97)" \
		max "$(process process_share_random)"
	speedup fragmented_speedup frag_seconds ">= 0.8 modules, >= 3 all" \
		"$(ge 0.8 3)"
	plain moves_ratio ratio "<= 2.0 modules, <= 1.5 all" "$(le 2 1.5)" min
	plain guest_huge_pages "of 300" "300" "$(ge 300 300)" max ;;
esac
case $CASES in *" hugetlb "*)
	plain hugetlb_returned "of 512" ">= 500" "$(ge 500 500)" max ;;
esac
case $CASES in *" inflate "*)
	speedup inflate_speedup inflate_seconds ">= 1.3 modules, >= 150 all" \
		"$(ge 1.3 150)"
	speedup inflate_speedup_no_init inflate_seconds \
		">= 100 modules with init_on_alloc=0" "(.modules // -1) >= 100" \
		inflate_seconds_no_init
	speedup deflate_speedup deflate_seconds ">= 25" "$(ge 25 25)"
	plain discards_per_gib calls "<= 512 modules, <= 16 all" \
		"$(le 512 16)" min ;;
esac
case $CASES in *" oom "*)
	plain oom_kills processes 0 "$(le 0 0)" min ;;
esac

# What is good to know and has no goal: per column, medians.
extra()
{
	local name column fpr v

	for name in thp_before process_share process_share_random rss_mib \
		moves; do
		for column in stock by_hand modules all; do
			for fpr in off on; do
				v=$(value $name $column $fpr)
				[ -z "$v" ] || jq -cn --arg n "$name" \
					--arg c "$column" --arg f $fpr \
					--argjson v "$v" \
					'{name: $n, column: $c, fpr: $f, value: $v}'
			done
		done
	done
}
extra > "$RUN/extra"

json=$OUT/demo.json
[ $# = 0 ] || json=$OUT/demo-partial.json
write_json "$json" extra "$RUN/extra"
summary "$json" unit stock by_hand modules all
