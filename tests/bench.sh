#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make bench, bench-quick and bench-goals: guests with a balloon, stock and Ballast
# side by side. One table at the end, and build/out/bench.json. Columns as in
# lib/results.sh; by_hand is vm.compaction_proactiveness=100; reference is what a
# row is compared with (virtio-mem, a guest without a balloon).
#
# tests/bench.sh [CASE...]: only these cases. BENCH_QUICK=1: one setting of each.
# BENCH_COLUMNS="stock all": only these columns. BENCH_CASES=goals: the cases of
# make bench-goals. BENCH_SECONDS=N: what has not begun by then is left out; 3480 if
# nothing else is said, so that it ends in an hour, and 560 of make bench-quick.
#
# A case NAME is a file, bench/NAME.sh, that defines
#
#   case_NAME	runs it, all through attempt or each: it is called twice, at first
#		to count them. Figures go to put ROW COLUMN SETTING VALUE.
#   table_NAME	writes its rows, with row or worst_row.
#   about_NAME	prints what make report says of it: a title; a text; an empty line;
#		and for each figure NAME|UNIT|plot or nothing|WHAT IT IS.

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/results.sh
. "$HERE/lib/results.sh"
# shellcheck source=tests/lib/qemu.sh
. "$HERE/lib/qemu.sh"
# shellcheck source=tests/lib/migrations.sh
. "$HERE/lib/migrations.sh"

# What make bench runs, in this order; and what proves goals of its own, and would
# take as long again.
BENCH="cycle shrink hugetlb interference scale driver_pages stranded highalloc"
GOALS="fpr thp oom migrations device"

for kind; do
	case " $BENCH $GOALS " in
	*" $kind "*) ;;
	*)	die "bad case: $kind; use $(xargs <<< "$BENCH $GOALS" |
			sed 's/ /, /g')" ;;
	esac
done
CASES=$BENCH JSON=bench
[ "${BENCH_CASES:-}" != goals ] || CASES=$GOALS JSON=bench-goals
[ -z "$*${BENCH_COLUMNS:-}" ] || JSON=bench-partial
CASES=${*:-$CASES}
QUICK=${BENCH_QUICK:-}
[ -z "$QUICK" ] || JSON=$JSON-quick

# quick A B: A if one setting of each is enough.
quick() { if [ -n "$QUICK" ]; then echo "$1"; else echo "$2"; fi; }

# shellcheck disable=SC2034 # for attempt
RESULTS_SECONDS=${BENCH_SECONDS:-$(quick 560 3480)}

# Where a guest takes long there is no time for the modules alone.
# shellcheck disable=SC2034 # for cases
MODULES_TOO=$(quick "stock all" "stock modules all")

for kind in $CASES; do
	# shellcheck source=/dev/null
	. "$HERE/bench/$kind.sh"
done
side_by_side "what a balloon costs and gives" "$@"

# --- the plan: all columns in each round, so that what else the machine does
# hits all of them

# wanted COLUMN
wanted() { [[ " ${BENCH_COLUMNS:-$1} " = *" $1 "* ]]; }

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

plan()
{
	local kind s

	for kind in $CASES; do
		s=$SECONDS
		"case_$kind"
		echo "{\"$kind\": $((SECONDS - s))}" >> "$RUN/took"
	done
}

environment "${QUICK:+true}" > "$RUN/before"
# shellcheck disable=SC2034 # for attempt
PLANNED=$(attempt() { echo; }; plan | wc -l)
: > "$RUN/took"
plan

# --- the table

for kind in $CASES; do
	"table_$kind"
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

for kind in $CASES; do
	about "$kind"
done > "$RUN/cases"
jq -n --slurpfile environment "$RUN/before" --slurpfile took "$RUN/took" \
	--slurpfile cases "$RUN/cases" '{environment: ($environment[0] +
		{case_seconds: ($took | add)}), $cases}' > "$RUN/more"
write_json "$OUT/$JSON.json" runs "$RUN/runs" "$RUN/more"
summary "$OUT/$JSON.json" unit stock by_hand modules all reference
