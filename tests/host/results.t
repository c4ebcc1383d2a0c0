#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How the demo and the benchmark come from figures to verdicts.

. "$(dirname "$0")/../lib/results.sh"
. "$TOP/tests/lib/tap.sh"

RUN=$(mktemp -d)
trap 'rm -rf "$RUN"' EXIT
results_begin
ACCEL=none

put speed stock off 3
put speed stock off 1
put speed stock off 2
put speed stock on 5
put speed stock on 6
put speed_of_light stock on 99
put speed all on 0
is "the median of three" "$(value speed stock off)" 2
is "the median of two" "$(value speed stock on)" 5.5
is "no figure" "$(value speed modules on)" ""
is "the largest, and its setting" "$(extreme speed stock max)" "5.5 on"
is "the smallest, and its setting" "$(extreme speed stock min)" "2 off"
is "the largest of none" "$(extreme speed modules max)" ""

# verdict NAME [KEY]: of a row, or another of its values
verdict() { jq -c --arg n "$1" --arg k "${2:-ok}" 'select(.name == $n) | .[$k]' "$ROWS"; }

row good % ">= 1" ".all >= 1" note stock= all=1.5
is "a row that is as it should be" "$(verdict good)" true
is "its figure" "$(verdict good all)" 1.5
is "a figure that is missing" "$(verdict good stock)" null
row short % ">= 2" ".all >= 2" "" stock=3 all=1.5
is "a row that is not" "$(verdict short)" false
row idle % ">= 2" "(.all // 0) >= 2" "" stock= all=
is "a row without figures" "$(verdict idle)" null
row alone % ">= 2" ".all >= 2" "" stock= all= reference=1
is "but for what it is compared with" "$(verdict alone)" null
row told % - "" "" stock=3 all=1.5
is "a row without a goal" "$(verdict told)" null
bad odd "contents changed"
row odd % - "" "" stock=3 all=1.5
is "if something went wrong there" "$(verdict odd)" false
row silent % - "" "" stock= all=
is "if it did not run" "$(verdict silent)" null
bad spoilt "contents changed"
row spoilt % ">= 2" ".all >= 2" note stock=3 all=5
is "good figures, but something went wrong" "$(verdict spoilt)" false
is "and what" "$(verdict spoilt note)" '"note; contents changed"'

fails() { die "no luck: there was none; try again"; }
fine() { put luck "$1" on 7; }
virsh() { :; }
out=$(attempt "first" "luck" fails all; attempt "second" "luck" fine all)
is "a case that fails says so" "${out##*can\'t run: }" \
	"no luck: there was none; try again"
is "the next one runs" "$(value luck all on)" 7
row luck % "7" ".all == 7" "" all="$(value luck all on)"
is "and the row tells of both" "$(verdict luck) $(verdict luck note)" \
	'true "first: no luck: there was none; try again"'

echo '{"a": 1}' > "$RUN/more"
write_json "$RUN/all.json" more "$RUN/more"
is "the file" "$(jq -c '[.accelerator, .more[0].a, (.rows | length)]' \
	"$RUN/all.json")" '["none",1,9]'
rc=0
out=$(summary "$RUN/all.json" unit stock all) || rc=$?
is "the verdict over all" "$rc $(grep '^verdict' <<< "$out" | cut -d '(' -f 1)" \
	"1 verdict: FAIL: short, odd, spoilt; not run: idle, alone, silent "
is "a line of the table" "$(grep '^good ' <<< "$out" | tr -s ' ')" \
	"good % - 1.5 >= 1 PASS"
is "one without a goal" "$(grep '^told ' <<< "$out" | tr -s ' ')" "told % 3 1.5 - -"
# over: status and verdict of the rows that there are.
over()
{
	local rc=0 out

	write_json "$RUN/idle.json" more "$RUN/more"
	out=$(summary "$RUN/idle.json" all) || rc=$?
	echo "$rc $(grep '^verdict' <<< "$out" | cut -d '(' -f 1)"
}

row_idle=$(grep '"idle"' "$ROWS")
echo "$row_idle" > "$ROWS"
is "nothing ran" "$(over)" \
	"1 verdict: NOTHING RAN; not run: idle "
row told % - "" "" stock=3
is "nothing that had a goal" "$(over)" \
	"1 verdict: NOTHING RAN; not run: idle "
: > "$ROWS"
row told % - "" "" stock=3
is "nothing had a goal" "$(over)" \
	"0 verdict: NO GOALS "

cannot early "f, all, random 4: it broke"
row early % "1" ".all == 1" "" all=1
is "where one of ours could not run, the others do not make it good" \
	"$(verdict early)" false
cannot late "f, all, random 4: left out: time is up"
cannot late "f, stock, all 4: it broke"
row late % "1" ".all == 1" "" all=1
is "what was left out, or is not ours, does not make it bad" "$(verdict late)" true
is "and it is counted" "$(verdict late left_out) $(verdict early left_out)" "1 0"

# met VALUE...: is the condition true of a row that has these?
met() { : > "$ROWS"; row cond s "<= 1" "$condition" "" "$@"; verdict cond; }
condition=$(ours "<=" 9 1 2)
is "what ours are to be" "$(met modules=1 all=2) $(met modules=2 all=2)" "true false"
is "a column without a figure" "$(met all=1) $(met modules=1)" "false false"
condition=$(ours "<=" 9 1 2 "stock all")
is "but for one that was not to run" "$(met all=2) $(met all=3) $(met stock=1)" \
	"true false false"

put once stock a 0
put once stock b 4
put once all a 3
put once all b 3
ratio_rows twice once stock 1 all
is "a ratio" "$(value twice all b)" 0.75
is "none to nothing" "$(value twice all a)" ""
worst_row twice ratio - "" max "" reference=
is "less is better where the worst is the most" "$(verdict twice better)" -1
is "what is no figure is none" "$( (put speed all on "") 2>&1 ||
	(put speed all on inf) 2>&1)" \
	"ballast: not a figure of speed: ''
ballast: not a figure of speed: 'inf'"

echo '{"environment": {"cores": 2}}' > "$RUN/here"
write_json "$RUN/here.json" more "$RUN/more" "$RUN/here"
is "where it ran" "$(jq .environment.cores "$RUN/here.json")" 2
about_one() { printf '%s\n' "A title" "Text" "of two lines." "" "rate|MiB/s|plot|How fast"; }
is "what a case is about" "$(about one | jq -c)" '{"name":"one","title":"A title",'\
'"text":"Text\nof two lines.","figures":[{"name":"rate","unit":"MiB/s","plot":true,'\
'"text":"How fast"}]}'
for file in "$TOP"/tests/bench/*.sh; do
	(
		quick() { echo "$2"; }
		# shellcheck source=/dev/null
		. "$file"
		file=${file##*/}
		about "${file%.sh}"
	)
done | jq -s > "$RUN/about"
is "each of the benchmark's is" "$(jq length "$RUN/about")" \
	"$(find "$TOP/tests/bench" -name '*.sh' | wc -l)"
ok "with title, text and figures" jq -e 'all(.[]; (.title | test("^[A-Z].*[A-Za-z]$")) and
	(.text | test("\\.$")) and (.figures | length > 0) and all(.figures[];
		(.name | test("^[a-z_0-9]+$")) and (.text | test("^[A-Z]"))))' "$RUN/about"
is "each figure is one of them alone" "$(jq -r '[.[].figures[].name] |
	group_by(.) | map(select(length > 1)[0]) | join(" ")' "$RUN/about")" ""

# The clock goes on meanwhile.
SECONDS=100
is "what is ahead" "$(PLANNED=4 ATTEMPTS=1; attempt third luck fine all)" \
	"  2 of 4, about 2 min left"
rm -f "$RUN/ran"
is "when time is up, the rest is left out" "$(RESULTS_SECONDS=100
	attempt fourth luck touch "$RUN/ran" | sed 's/\[1[0-9][0-9] s\]/[100 s]/')" \
	"  [100 s] fourth: can't run: left out: time is up"
ok "and is not run" [ ! -e "$RUN/ran" ]
RESULTS_SECONDS=9999 attempt fifth luck touch "$RUN/ran"
ok "else it is" [ -e "$RUN/ran" ]

# The guest stood still for one slot of 300, in which it shrank.
quick() { echo "$2"; }
. "$TOP/tests/bench/interference.sh"
seq 0 299 | awk '{ printf "%.3f %d\n", 1000 + $1 / 50, $1 == 100 ? 0 : 500 + $1 % 2 }' \
	> "$RUN/bandwidth"
slots=$(echo "992.01 992.03" | slots "$RUN/bandwidth" 10)
is "slots that overlap, by the guest's clock" "$(xargs <<< "$slots")" "0 501"
is "no slot" "$(echo "900 901" | slots "$RUN/bandwidth" 10)" ""
is "the first percentile of few" "$(percentile 1 <<< "$slots")" 0
is "of many" "$(seq 300 | percentile 1) $(seq 300 | percentile 50)" "3 150"
done_testing
