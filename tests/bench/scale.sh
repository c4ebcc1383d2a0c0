# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Guests of 1 to 16 GiB, on one and two nodes, shrink to half: what a GiB costs.

# MIB:NODES
SCALE=$(quick "1024:1 2048:1" "1024:1 4096:1 16384:1 4096:2")
SCALE_ROWS="scale_seconds_per_gib scale_fragmented_seconds_per_gib"
SCALE_ROWS+=" scale_moves_per_gib scale_flat"

# ratio A B
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

# per_gib FIGURE MIB
per_gib() { awk "BEGIN { printf \"%.3f\", $1 * 1024 / $2 }"; }

# scale COLUMN MIB NODES: at first not fragmented, then with the first of each four
# pages in use.
scale()
{
	local column=$1 mib=$2 setting=$2_$3 half=$(($2 / 2)) s

	available "$mib"
	# shellcheck disable=SC2046
	boot g "$column" off none --mem "$mib" --nodes "$3" \
		$(no_packing "$column")
	s=$(reach g $half 300)
	reach g "$mib" 300 > /dev/null
	fragment g regular 4 1 $((mib * 3 / 4))
	shrunk g $((half / 2)) reach g $half 300
	put scale_seconds_per_gib "$column" "$setting" "$(per_gib "$s" $half)"
	put scale_fragmented_seconds_per_gib "$column" "$setting" \
		"$(per_gib "$TOOK" $half)"
	put scale_moves_per_gib "$column" "$setting" $((MOVED * 1024 / half))
	progress "$s s, fragmented $TOOK s, $MOVED moves of $NEEDED needed"
	finish g "$column" "$SCALE_ROWS"
}

case_scale()
{
	local guest

	for guest in $SCALE; do
		each $MODULES_TOO -- scale "$SCALE_ROWS" ${guest/:/ }
	done
}

about_scale()
{
	cat <<-'END'
		Guests of 1 to 16 GiB
		Guests shrink to half, on one node and on two; `4096 2` is 4 GiB on two nodes. What a
		GiB costs should not depend on how many there are.

		scale_seconds_per_gib|s/GiB|plot|Of a guest that is not fragmented
		scale_fragmented_seconds_per_gib|s/GiB|plot|Where one of four pages is in use
		scale_moves_per_gib|pages/GiB||Migrated for it
		scale_flat|ratio||Seconds per GiB of the largest guest, by the median of all, fragmented, on one node
	END
}

table_scale()
{
	local raw=scale_fragmented_seconds_per_gib column setting all largest

	worst_row scale_seconds_per_gib s/GiB - "" max \
		"not fragmented; MiB_NODES" reference=
	worst_row $raw s/GiB - "" max "one page of four in use" reference=
	worst_row scale_moves_per_gib pages/GiB - "" max \
		"one page of four in use" reference=
	for column in stock modules all; do
		largest=$(value $raw $column "$(xargs -n 1 <<< "$SCALE" |
			sed -n 's/:1$/_1/p' | sort -g | tail -n 1)")
		[ -n "$largest" ] || continue
		all=$(for setting in $(settings $raw $column | grep '_1$'); do
			value $raw $column "$setting"
		done)
		put scale_flat $column 1_node \
			"$(ratio "$largest" "$(median <<< "$all")")"
	done
	worst_row scale_flat ratio "<= 1.5" \
		"$(ours "<=" 99 1.5 1.5 "$MODULES_TOO")" max \
		"seconds per GiB of the largest guest, by the median of all; \
one node, fragmented" reference=
}
