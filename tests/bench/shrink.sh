# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A fragmented guest shrinks, beside virtio-mem.

# PATTERN:KEEP:SEED, as in fpr.sh.
SHRINK_HOLES=$(quick random:4:1 "regular:4:1 random:8:1 random:4:1 random:4:2
	random:2:1 files:2:1")
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

case_shrink()
{
	local hole

	for hole in $SHRINK_HOLES; do
		each virtio_mem stock modules all -- \
			shrink "$SHRINK_ROWS" ${hole//:/ }
	done
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
