# SPDX-License-Identifier: GPL-2.0-or-later
#
# docs/PERFORMANCE.md of what the benchmark has written: report.sh. With --arg plot
# FIGURE: the data of a plot instead, a line a setting, for each column the median,
# the least and the greatest.

def order: ["none", "stock_alone", "stock", "by_hand", "fpr", "virtio_mem", "modules",
	"ballast_alone", "all"];
def rank: . as $c | (order | index($c)) // (order | length);
def columns: map(.column) | unique | sort_by(rank);
def median: sort | length as $n | if $n % 2 == 1 then .[($n - 1) / 2]
	else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
# Four digits are more than a run is good for.
def short: if . == null then "-" elif fabs >= 1000 then round
	elif fabs >= 100 then . * 10 | round / 10
	elif fabs >= 1 then . * 100 | round / 100
	elif fabs >= 0.01 then . * 1000 | round / 1000
	else . * 1e6 | round / 1e6 end | tostring;
def words: gsub("_"; " ");
def line: "| " + join(" | ") + " |";
def table($head): ($head | line), ($head | map("---") | line), (.[] | line);

# Of the runs of one figure: [{setting, COLUMN: {median, min, max, n}}].
# Sorted as people count: 2048 before 16384.
def settings: group_by(.setting) | sort_by([.[0].setting |
	scan("[0-9]+|[^0-9]+") | tonumber? // .]) | map({setting: .[0].setting} +
	(group_by(.column) | map({key: .[0].column, value: map(.value) |
		{median: median, min: min, max: max, n: length}}) | from_entries));

def cell: if . == null then "-" elif .n == 1 then .median | short
	else "\(.median | short) (\(.min | short) to \(.max | short))" end;

def plot_data: settings as $s | columns as $c |
	(["setting"] + ($c | map(words | (., ., .))) | map("\"\(.)\"") | join(" ")),
	($s[] | . as $row | "\"\(.setting | words)\" " + ($c | map($row[.] |
		if . == null then "? ? ?" else "\(.median) \(.min) \(.max)" end) |
		join(" ")));

def figure($f): [.runs[] | select(.name == $f.name)] |
	if length == 0 then empty else
	columns as $c | (map([.setting, .column] | join(" ")) | group_by(.) |
		map(length) | max) as $n |
	"**\($f.name | words)**\(if $f.unit == "" then "" else ", " + $f.unit end): " +
	"\($f.text)." +
	(if $n > 1 then " Median (least to greatest) of up to \($n) runs." else "" end),
	"",
	(settings | map(. as $row | [.setting | words] + ($c | map($row[.] | cell))) |
		table([""] + ($c | map(words)))),
	"",
	(if $f.plot then "![\($f.name | words)](performance/\($f.name).svg)", ""
	else empty end) end;

def verdict: (if .ok == null then (if .goal == "-" then "" else "not run" end)
	elif .ok then "met" elif .goal == "-" then "**failed**" else "**missed**" end) +
	if (.left_out // 0) > 0 then " (\(.left_out) runs left out)" else "" end;
def rows: ["stock", "by_hand", "modules", "all", "reference"] as $c |
	map(. as $row | [.name | words] + ($c | map($row[.] | short)) +
		[.unit, .goal, verdict]) |
	table([""] + ($c | map(words)) + ["unit", "goal", ""]);

# Where a goal is missed; and where stock, or what a row is compared with, is better
# by more than a twentieth.
def missed: .rows[] | select(.ok == false) | "- \(.name | words): " +
	if .goal == "-" then "failed: \(.note)." else "the goal, \(.goal), is missed." end;
def losses: .rows[] | . as $row | (.better // 0) as $side |
	("stock", "by_hand", "reference") as $other | ("modules", "all") as $ours |
	select($row[$other] != null and $row[$ours] != null) |
	select(($row[$other] - $row[$ours]) * $side > ($row[$ours] | fabs) / 20) |
	"- \($row.name | words): \($ours) \($row[$ours] | short), " +
	"\($other | words) \($row[$other] | short) \($row.unit), in their worst settings.";

if $plot != "" then [.runs[] | select(.name == $plot)] | plot_data else
. as $json |
"<!-- SPDX-License-Identifier: GPL-2.0-or-later -->",
"<!-- Made by \"make report\" of build/out/bench.json: do not edit. -->",
"# Performance",
"",
"What `make bench\(if .environment.quick then "-quick" else "" end)` measured in one run of \(.seconds / 60 | round) minutes, stock and",
"Ballast side by side. `make bench` repeats all of it, `tests/bench.sh CASE` a part.",
"",
([.environment | paths(type != "object") as $p | [($p | join(" ") | words),
	(getpath($p) | tostring)]] | table(["", ""])),
"",
"What the columns are is in [README.md](../README.md#try-it); what else stands there",
"is said where it does.",
"",
"## What the figures do not say",
"",
"- The guests had \(.accelerator | if . == "kvm" then "KVM" else
	"an emulated CPU (TCG)" end). Counts and shares (pages, discards, huge pages) do",
"  not depend on that. Times do: compare columns of one row, not rows with what others",
"  have published.",
"- The machine was not idle for us alone, and has few cores: a time may be off by a",
"  fifth. Where there was more than one run, the least and the greatest are given.",
"- Workloads are made up for one question each. None of them is yours.",
"- Times of virtio-mem have a virsh in them, about a tenth of a second; those of",
"  balloons begin in QEMU.",
"- One host, one version of each kernel and of QEMU.",
"",
"## All goals",
"",
"Each figure is that of the worst setting.",
"",
(.rows | rows),
"",
"## Where Ballast loses",
"",
([missed, losses] | if length == 0 then "In none of the rows."
	else .[] end),
"",
(.cases[] | . as $case |
	"## \(.title)", "", .text, "", "    tests/bench.sh \(.name)", "",
	if ([.figures[].name] - ($json.runs | map(.name))) == [.figures[].name] then
		"Not run: it could not, or time was up.", "" else (.figures[] as $f | $json | figure($f)) end),
empty end
