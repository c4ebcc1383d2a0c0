#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make demo: the main job on real parts, stock and Ballast side by side. One
# table at the end, and build/out/demo.json. Columns:
#
#   stock    Debian's kernel, its driver, QEMU without our patches
#   by_hand  the same, after echo 1 > /proc/sys/vm/compact_memory
#   modules  our modules on that kernel and that QEMU
#   all      our modules on the patched kernel and the patched QEMU
#
# Free page reporting (fpr) is on for ours; stock and by_hand run with it off
# and on, and the better of the two stands in the table.
#
# tests/demo.sh [CASE...]: only these cases: frag hugetlb inflate oom

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE/../scripts/lib.sh"
# shellcheck source=tests/lib/accel.sh
. "$HERE/lib/accel.sh"
# shellcheck source=tests/lib/libvirt.sh
. "$HERE/lib/libvirt.sh"
# shellcheck source=tests/lib/guest.sh
. "$HERE/lib/guest.sh"

if [ -z "${BALLAST_RUN:-}" ]; then
	need_root "a private libvirtd"
	[ -r "$OUT/initramfs.cpio.gz" ] || die "no guest image:" \
		"build/out/initramfs.cpio.gz is not there; run 'make guest'"
	accel_probe "$(qemu_path stock)" "$(kernel_path stock)" \
		"$OUT/initramfs.cpio.gz"
	say "Ballast: what virsh setmem gives back, stock and Ballast"
	say "accelerator: $ACCEL ($ACCEL_WHY)"
fi
libvirt_enter "$@"

R=$RUN/results
mkdir -p "$R"
CASES=" ${*:-inflate frag hugetlb oom} "

# --- results: one file per row, column and setting, one value a line

# put ROW COLUMN FPR VALUE
put() { echo "$4" >> "$R/$1.$2.$3"; }

# bad ROW TEXT: the row fails, whatever the figures are.
bad() { echo "$2" >> "$R/$1.bad"; }

# cannot ROW TEXT: a column could not run.
cannot() { echo "$2" >> "$R/$1.cannot"; }

median()
{
	sort -g | awk '{ v[NR] = $1 } END { i = int((NR + 1) / 2)
		if (NR) print NR % 2 ? v[i] : (v[i] + v[i + 1]) / 2 }'
}

# value ROW COLUMN FPR: the median, or nothing.
value()
{
	[ ! -e "$R/$1.$2.$3" ] || median < "$R/$1.$2.$3"
}

# better ROW COLUMN max|min: "VALUE FPR" of the better setting, or nothing.
better()
{
	local fpr v

	for fpr in off on; do
		v=$(value "$1" "$2" $fpr)
		[ -z "$v" ] || echo "$v $fpr"
	done | if [ "$3" = max ]; then sort -grk1,1; else sort -gk1,1; fi |
		head -n 1
}

# attempt "LABEL" "ROW ROW..." FUNCTION ARGUMENT...: a case that fails says
# why in its rows, and the rest goes on.
attempt()
{
	local rows=$2 row rc why

	LABEL=$1
	shift 2
	set +e
	( set -e; "$@" ) 2> "$RUN/case.err"
	rc=$?
	set -e
	if [ $rc != 0 ]; then
		why=$(tail -n 1 "$RUN/case.err" | sed 's/^ballast: //')
		progress "can't run: ${why:-status $rc}"
		for row in $rows; do
			cannot "$row" "$LABEL: ${why:-status $rc}"
		done
		virsh -q list --name | while read -r g; do
			[ -z "$g" ] || guest_stop "$g" </dev/null
		done
	fi
}

progress() { say "  [$SECONDS s] $LABEL: $*"; }

# start NAME COLUMN FPR OPTION...
start()
{
	local name=$1 column=$2 fpr=$3

	shift 3
	case $column in
	stock|by_hand)
		set -- --kernel stock --qemu stock --balloon stock "$@" ;;
	modules)
		set -- --kernel stock --qemu stock --balloon ballast "$@" ;;
	all)	set -- --kernel ballast --qemu patched --balloon ballast "$@" ;;
	esac
	guest_start "$name" --fpr "$fpr" "$@"
}

# reach NAME MIB: setmem and wait; prints the seconds, or dies with the reason.
reach()
{
	local why

	balloon_to "$1" "$2" 60 && return
	why=$(guest_exec "$1" 'cat /sys/kernel/debug/virtio_balloon/* |
		grep -E "^(target|actual|shortfall)"' 2>/dev/null |
		tr '\n' ' ') || true
	die "setmem to $2 MiB is not reached in 60 s:" \
		"$(balloon_actual "$1") MiB; $why"
}

# compact NAME: what an administrator would do first; prints the seconds.
compact()
{
	# shellcheck disable=SC2016
	guest_exec "$1" 'read a x < /proc/uptime
		echo 1 > /proc/sys/vm/compact_memory
		read b x < /proc/uptime
		echo "$a $b" | awk "{ print \$2 - \$1 }"'
}

# finish NAME COLUMN ROWS: contents and the guest's log must be clean.
finish()
{
	local row hold log

	hold=$(guest_exec "$1" '[ ! -e /run/hold ] || hold check') || true
	case $hold in
	OK*|'') ;;
	*)	progress "MEMORY CONTENTS CHANGED: $hold"
		for row in $3; do
			bad "$row" "$LABEL: memory contents changed: $hold"
		done
		;;
	esac
	log=$(guest_check_log "$1") || {
		progress "the guest's kernel complained: ${log%%$'\n'*}"
		for row in $3; do
			bad "$row" "$LABEL: kernel log: ${log%%$'\n'*}"
		done
	}
	guest_stop "$1"
}

# --- the cases

FRAG_ROWS="thp_share thp_share_random fragmented_speedup moves_ratio"
FRAG_ROWS+=" guest_huge_pages"

# frag COLUMN FPR PATTERN: 4 -> 2 GiB with a fragmented guest.
frag()
{
	local column=$1 fpr=$2 pattern=$3 needed m0 m1 s hand=0 share ram huge
	local row=thp_share

	[ "$pattern" = regular ] || row=thp_share_random
	start f "$column" "$fpr" --mem 4096 --prealloc on
	guest_exec f "hold start --mib 3500 --pattern $pattern --keep 1/4" \
		> /dev/null
	needed=$(guest_exec f "blockmap --drain 1024" |
		sed -n 's/^needed_moves //p')
	put thp_before "$column" "$fpr" "$(thp_share f)"
	m0=$(guest_vmstat f pgmigrate_success)
	[ "$column" != by_hand ] || hand=$(compact f)
	s=$(reach f 2048)
	s=$(awk "BEGIN { print $s + $hand }")
	m1=$(guest_vmstat f pgmigrate_success)
	# What the host holds of the guest; the process has some 70 MiB more
	# on small pages (its heap, the emulator's tables, the kernel's image).
	ram=$(thp_share f ram)
	share=$(thp_share f)
	put "process_${row#thp_}" "$column" "$fpr" "$share"
	put rss_mib "$column" "$fpr" $(($(host_rss f) / 1024))
	huge=$(guest_exec f 'echo 300 > /proc/sys/vm/nr_hugepages
		cat /proc/sys/vm/nr_hugepages')
	put "$row" "$column" "$fpr" "$ram"
	put frag_seconds "$column" "$fpr" "$s"
	put guest_huge_pages "$column" "$fpr" "$huge"
	put moves "$column" "$fpr" $((m1 - m0))
	[ "$column" = stock ] || put moves_ratio "$column" "$fpr" \
		"$(awk "BEGIN { printf \"%.2f\", ($m1 - $m0) / $needed }")"
	progress "$ram % on huge pages (whole process $share %)," \
		"$s s, $((m1 - m0)) moves of $needed needed," \
		"$huge of 300 huge pages"
	finish f "$column" "$FRAG_ROWS"
}

# hugetlb COLUMN FPR: a fragmented guest on shared huge pages, 2 -> 1 GiB.
hugetlb()
{
	local column=$1 fpr=$2 others won

	others=$(hugepages_available)
	hugepages_reserve 1024 ||
		die "no 1024 free huge pages on this host; free memory"
	# shellcheck disable=SC2064
	trap "hugepages_release 1024" EXIT
	start h "$column" "$fpr" --mem 2048 --backing hugetlb --prealloc on
	guest_exec h "hold start --mib 1600 --pattern regular --keep 1/4" \
		> /dev/null
	[ "$column" != by_hand ] || compact h > /dev/null
	reach h 1024 > /dev/null
	won=$(($(hugepages_available) - others))
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
	if [ -z "$row" ] && [ ! -e "$R/discards_per_gib.$column.$fpr" ]; then
		# Counted apart: the log lines would slow it down.
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
	local column=$1 fpr=$2 kills end old new still=0 r0 r1

	start o "$column" "$fpr" --mem 1024
	# shellcheck disable=SC2016
	guest_exec o 'setsid memsteady 500 > /run/steady.log 2>&1 </dev/null &
		until [ -e /tmp/memsteady.state ]; do usleep 20000; done'
	[ "$column" != by_hand ] || compact o > /dev/null
	setmem o 300
	# Until somebody is killed or the balloon has stood still for 4 s: that
	# nothing happens has no event.
	end=$((SECONDS + 40))
	old=-1
	while kills=$(oom_kills o); [ "$kills" = 0 ] && [ $SECONDS -lt $end ]
	do
		new=$(balloon_actual o)
		[ "$new" != "$old" ] || [ $SECONDS -lt $((still + 4)) ] || break
		[ "$new" = "$old" ] || { old=$new; still=$SECONDS; }
		sleep 0.5
	done
	if [ "$kills" = 0 ]; then
		r0=$(guest_exec o 'cat /tmp/memsteady.state')
		# shellcheck disable=SC2016
		r1=$(guest_exec o 'for i in $(seq 200); do
			[ "$(cat /tmp/memsteady.state)" = '"$r0"' ] || break
			usleep 50000; done; cat /tmp/memsteady.state')
		[ "$r1" -gt "$r0" ] ||
			bad oom_kills "$LABEL: the workload no longer gets on"
		kills=$(oom_kills o)
	fi
	put oom_kills "$column" "$fpr" "$kills"
	progress "$kills killed, the balloon stands at" \
		"$(printf %.0f "$(balloon_actual o)") MiB"
	[ "$kills" != 0 ] || finish o "$column" oom_kills
	guest_stop o
}

# Killed processes; a guest that panicked for lack of memory counts too.
oom_kills()
{
	grep -acE 'Killed process|Kernel panic' "$RUN/$1.console" || true
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

ROWS=$RUN/rows
: > "$ROWS"

# row NAME UNIT GOAL "CONDITION" STOCK BY_HAND MODULES ALL NOTE: a value that
# is missing is null. The condition is jq's, over .stock .by_hand .modules
# .all; a value that it needs and that is missing makes it false.
row()
{
	local missing='' trouble='' note=$9

	[ ! -e "$R/$1.bad" ] || trouble=$(sort -u "$R/$1.bad" | head -n 1)
	[ ! -e "$R/$1.cannot" ] ||
		missing=$(sort -u "$R/$1.cannot" | paste -sd ';')
	jq -cn --arg name "$1" --arg unit "$2" --arg goal "$3" \
		--arg stock "$5" --arg by_hand "$6" --arg modules "$7" \
		--arg all "$8" --arg note "$note" --arg bad "$trouble" \
		--arg missing "$missing" '
		def n: if . == "" then null else tonumber end;
		{name: $name, unit: $unit, stock: ($stock | n),
		 by_hand: ($by_hand | n), modules: ($modules | n),
		 all: ($all | n), goal: $goal} |
		.ok = if [.stock, .by_hand, .modules, .all] | all(. == null)
			then null else ($bad == "" and ('"$4"')) end |
		.note = ([$note, $bad, $missing] | map(select(. != "")) |
			join("; "))' >> "$ROWS"
}

# settings ROW max|min: "stock fpr off, by_hand fpr on"
settings()
{
	local column v

	for column in stock by_hand; do
		v=$(better "$1" $column "$2")
		[ -z "$v" ] || echo "$column fpr ${v#* }"
	done | paste -sd, | sed 's/,/, /g'
}

# plain NAME UNIT GOAL CONDITION max|min [NOTE]
plain()
{
	local s h

	s=$(better "$1" stock "$5") h=$(better "$1" by_hand "$5")
	row "$1" "$2" "$3" "$4" "${s% *}" "${h% *}" "$(value "$1" modules on)" \
		"$(value "$1" all on)" "$(settings "$1" "$5")${6:+; $6}"
}

# process SHARE: thp_share's other way to count, for the note.
process()
{
	local column v

	for column in stock by_hand modules all; do
		v=$(better "$1" $column max)
		[ -z "$v" ] || echo "$column ${v% *}"
	done | paste -sd, | sed 's/,/, /g; s/^/of the whole QEMU process: /'
}

# speedup NAME SECONDS-ROW GOAL CONDITION [MODULES-SECONDS-ROW]: ratio to
# stock's better setting.
speedup()
{
	local s h m a

	s=$(better "$2" stock min) h=$(better "$2" by_hand min)
	m=$(value "${5:-$2}" modules on) a=
	[ -n "${5:-}" ] || a=$(value "$2" all on)
	ratio() { [ -z "$1" ] || [ -z "$s" ] ||
		awk "BEGIN { printf \"%.2f\", ${s% *} / $1 }"; }
	row "$1" ratio "$3" "$4" "${s:+1}" "$(ratio "${h% *}")" \
		"$(ratio "$m")" "$(ratio "$a")" \
		"seconds: stock ${s% *}${h:+, by_hand ${h% *}}${m:+, modules \
$m}${a:+, all $a}; $(settings "$2" min)"
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
jq -n --slurpfile rows "$ROWS" --slurpfile extra "$RUN/extra" \
	--arg accel "$ACCEL" --argjson seconds $SECONDS \
	'{rows: $rows, accelerator: $accel, seconds: $seconds, extra: $extra}' \
	> "$json.new"
mv "$json.new" "$json"

say
jq -r '["", "unit", "stock", "by hand", "modules", "all", "goal", "verdict"],
	(.rows[] | [.name, .unit, (.stock, .by_hand, .modules, .all |
		if . == null then "-" else tostring end), .goal,
		if .ok == null then "NOT RUN" elif .ok then "PASS"
		else "FAIL" end]) | @tsv' "$json" |
	column -t -s "$(printf '\t')"
say
jq -r '.rows[] | select(.note != "") | "\(.name): \(.note)"' "$json"
say
names() { jq -r "[.rows[] | select(.ok == $1) | .name] | join(\", \")" "$json"; }
failed=$(names false) idle=$(names null)
say "verdict: $([ -z "$failed" ] && echo PASS || echo "FAIL: $failed")\
${idle:+; not run: $idle} (${json#"$TOP"/}, $SECONDS s)"
[ -z "$failed" ]
