#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The shape of what the demo has written, if it ran.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

json=$OUT/demo.json
[ -e "$json" ] || skip_all "no build/out/demo.json; run 'make demo'"

has() { jq -e "$1" "$json"; }
ok "it is JSON" has .
ok "it has rows" has '.rows | type == "array" and length > 0'
ok "a row has these keys, and no other" has 'all(.rows[]; keys - ["note"] ==
	["all", "by_hand", "goal", "left_out", "modules", "name", "ok", "stock",
	"unit"])'
ok "names are words, each once" has '[.rows[].name] | length ==
	(unique | length) and all(.[]; test("^[a-z_0-9]+$"))'
ok "figures are numbers, or null" has 'all(.rows[]; [.stock, .by_hand,
	.modules, .all] | all(.[]; type == "number" or . == null))'
ok "units are strings, verdicts yes or no, or null for what did not run" has \
	'all(.rows[]; (.unit | type) == "string" and
		(.ok == null or (.ok | type) == "boolean"))'
ok "no row is missing" has '[.rows[].name] as $have | ["thp_share",
	"thp_share_random", "fragmented_speedup", "moves_ratio",
	"guest_huge_pages", "hugetlb_returned", "inflate_speedup",
	"deflate_speedup", "discards_per_gib", "oom_kills"] - $have == []'
done_testing
