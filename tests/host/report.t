#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# report.sh: what becomes of the benchmark's figures on the page. How plots look is
# for eyes.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT

# runs NAME COLUMN SETTING VALUE...
runs()
{
	local v

	for v in "${@:4}"; do
		jq -n --arg name "$1" --arg column "$2" --arg setting "$3" \
			--argjson value "$v" '$ARGS.named'
	done
}

{
	runs seconds all random_4 3 1 2
	runs seconds stock random_4 10 20
	runs seconds stock regular_2 1234.5
	runs moves all random_4 0.00049
	runs size all 16384_1 1
	runs size all 2048_1 1
} >"$run/runs"
jq -n --slurpfile runs "$run/runs" '{
	seconds: 600, accelerator: "tcg", $runs, environment: {cpu: "a CPU", quick: false,
		qemu: {stock: "10.0"}},
	cases: [{name: "shrink", title: "Shrinking", text: "A guest shrinks.", figures: [
		{name: "seconds", unit: "s", text: "How long", plot: true},
		{name: "never", unit: "s", text: "Not run", plot: true},
		{name: "moves", unit: "pages", text: "Moved", plot: false},
		{name: "size", unit: "", text: "Sizes", plot: false}]}],
	rows: [
		{name: "slower", unit: "ratio", goal: "<= 1", ok: false,
			better: -1, stock: 1, all: 1.2},
		{name: "fewer", unit: "%", goal: ">= 95", ok: true, better: 1,
			left_out: 2, stock: 99, modules: 90, all: 98},
		{name: "no_goal", unit: "s", goal: "-", ok: null, better: -1,
			stock: 1, all: 9},
		{name: "no_side", unit: "s", goal: "-", ok: null, stock: 1, all: 9},
		{name: "broken", unit: "s", goal: "-", ok: false, note: "it burned",
			stock: 1},
		{name: "not_run", unit: "s", goal: ">= 1", ok: null}]}' >"$run/json"

page() { jq -r --arg plot "$1" -f "$TOP/scripts/report.jq" "$run/json"; }
page '' >"$run/page" || die "no page"
says() { ok "$1" grep -qxF -- "$2" "$run/page"; }
silent() { is "$1" "$(grep -c -- "$2" "$run/page")" 0; }

says "the environment" '| cpu | a CPU |'
says "also what has parts" '| qemu stock | 10.0 |'
says "and what is false" '| quick | false |'
says "the case's title" '## Shrinking'
says "how to repeat it" '    tests/bench.sh shrink'
says "columns in their order" '|  | stock | all |'
says "median, least and greatest" '| random 4 | 15 (10 to 20) | 2 (1 to 3) |'
says "one run, and none" '| regular 2 | 1235 | - |'
says "small figures" "| random 4 | 0.00049 |"
is "sizes in their order" "$(grep -o '^| [0-9]* 1 |' "$run/page" | xargs)" \
	'| 2048 1 | | 16384 1 |'
says "a plot" '![seconds](performance/seconds.svg)'
silent "none where it is not wanted" 'performance/moves'
silent "nor a figure that nobody has" 'Not run'
says "a goal that is missed" '| slower | 1 | - | - | 1.2 | - | ratio | <= 1 | **missed** |'
says "one that is met, as far as it ran" \
	'| fewer | 99 | - | 90 | 98 | - | % | >= 95 | met (2 runs left out) |'
says "a row without one" '| no goal | 1 | - | - | 9 | - | s | - |  |'
says "and one of these where something went wrong" \
	'| broken | 1 | - | - | - | - | s | - | **failed** |'
says "and what" '- broken: failed: it burned.'
says "a row that did not run" '| not run | - | - | - | - | - | s | >= 1 | not run |'
says "it loses where more is worse" '- slower: all 1.2, stock 1 ratio, in their worst settings.'
says "and where less is" '- fewer: modules 90, stock 99 %, in their worst settings.'
silent "not by a twentieth" '- fewer: all'
says "also without a goal" '- no goal: all 9, stock 1 s, in their worst settings.'
silent "not where neither side is better" '- no side'
is "data of a plot" "$(page seconds)" '"setting" "stock" "stock" "stock" "all" "all" "all"
"random 4" 15 10 20 2 1 3
"regular 2" 1234.5 1234.5 1234.5 ? ? ?'

echo '{}' >"$run/bad"
if command -v gnuplot >/dev/null; then
	mkdir "$run/docs"
	ok "page and plots are made" "$TOP/scripts/report.sh" "$run/json" "$run/docs"
	is "of what is to be drawn, and was run" "$(ls "$run/docs/performance")" \
		seconds.svg
	ok "a drawing" grep -q '</svg>' "$run/docs/performance/seconds.svg"
	is "the page is the same" "$(diff "$run/page" "$run/docs/PERFORMANCE.md")" ""
else
	skip "page and plots are made" "no gnuplot: run make report"
fi

is "what is no result is refused" "$("$TOP/scripts/report.sh" "$run/bad" 2>&1)" \
	"ballast: not what the benchmark writes: $run/bad; run 'make bench'"
done_testing
