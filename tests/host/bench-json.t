#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The shape of what the benchmark has written, if it ran.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

json=$OUT/bench.json
[ -e "$json" ] || skip_all "no build/out/bench.json; run 'make bench'"

has() { jq -e "$1" "$json"; }
ok "it is JSON" has .
ok "it has rows" has '.rows | type == "array" and length > 0'
ok "a row has these keys, and no other" has 'all(.rows[]; keys - ["better"] ==
	["all", "by_hand", "goal", "left_out", "modules", "name", "note", "ok",
	"reference", "stock", "unit"])'
ok "names are words, each once" has '[.rows[].name] | length ==
	(unique | length) and all(.[]; test("^[a-z_0-9]+$"))'
ok "figures are numbers, or null" has 'all(.rows[]; [.stock, .by_hand,
	.modules, .all, .reference] |
		all(.[]; type == "number" or . == null))'
ok "units are strings, verdicts yes or no, or null for what did not run or has no goal" has \
	'all(.rows[]; (.unit | type) == "string" and
		(.ok == null or (.ok | type) == "boolean"))'
ok "no row is missing" has '[.rows[].name] as $have |
	["cycle_shrink_touched", "cycle_shrink_untouched",
	"cycle_grow_touched", "cycle_grow_untouched", "cycle_touch",
	"shrink_thp_share", "shrink_seconds", "moves_ratio",
	"shrink_time_vs_virtio_mem", "shrink_huge_pages",
	"hugetlb_returned_share", "interference_p1", "scale_seconds_per_gib",
	"scale_fragmented_seconds_per_gib", "scale_moves_per_gib", "scale_flat",
	"highalloc_steps_25", "highalloc_steps_50", "highalloc_steps_75",
	"highalloc_stress", "highalloc_stress_50", "highalloc_stress_75",
	"pages_bad", "pages_huge", "pages_success", "pages_moves",
	"pages_kib", "stranded_dropped", "stranded_idle", "stranded_gib_minutes",
	"stranded_job_ratio", "stranded_ratchet", "ballastd_dropped"] - $have == []'
ok "every single run is there, with its setting" has '.runs | length > 0 and
	all(.[]; (.name, .column, .setting | type) == "string" and
		(.value | type) == "number")'
ok "it says what it was measured on" has '.environment | (.cores | . > 0) and
	(.memory_mib | . > 0) and (.quick | type) == "boolean" and
	all(.cpu, .accelerator, .host_kernel, .guest_kernel.stock,
		.guest_kernel.patched, .qemu.stock, .qemu.patched, .libvirt,
		.ballast; type == "string" and . != "") and
	(.case_seconds | length > 0 and all(.[]; type == "number"))'
ok "each case says what it is about" has '.cases | length > 0 and all(.[];
	(.name, .title, .text | type == "string" and . != "") and
	all(.figures[]; (.name, .text | test("."))))'
is "each figure is of a case" "$(jq -r '(.runs | map(.name) | unique) -
	[.cases[].figures[].name] | join(" ")' "$json")" ""
# The row is not better than any of its settings.
ok "a figure is the median of one of its settings" has '
	def median: sort | length as $n | if $n % 2 == 1 then .[($n - 1) / 2]
		else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
	.runs as $runs | all(.rows[]; .name as $name | . as $row |
		all("stock", "by_hand", "modules", "all"; . as $column |
			$row[$column] == null or
			([$runs[] | select(.name == $name and
				.column == $column)] |
			group_by(.setting) |
			any(.[]; [.[].value] | median as $m |
				($m - $row[$column] | fabs) <=
					($m | fabs) / 100000 + 0.001))))'
done_testing
