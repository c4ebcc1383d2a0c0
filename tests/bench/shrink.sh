# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A fragmented guest shrinks, beside virtio-mem: how long it takes, what is moved,
# and whether host and guest have huge pages then. That, too, beside a guest that has
# been so small from the start and has no balloon.

# How a guest is fragmented: PATTERN:KEEP:SEED, see guest/memhold.c; one of KEEP pages
# or files stays. All patterns with all shares, each with another seed.
SHRINK_HOLES=$(quick random:4:1 "regular:8:1 random:8:2 files:8:3 regular:4:2 random:4:3
	files:4:1 regular:2:3 random:2:1 files:2:2")
SHRINK_ROWS="shrink_thp_share shrink_seconds moves_ratio"
SHRINK_ROWS+=" shrink_time_vs_virtio_mem shrink_huge_pages"

# half_used KEEP MIB HALF: MIB, or HALF if one of two pages stays: where half of
# memory is in use, half of it can't be had.
half_used() { if [ "$1" = 2 ]; then echo "$3"; else echo "$2"; fi; }

# shrink COLUMN PATTERN KEEP SEED: 4 -> 2 GiB, or -> 3.
shrink()
{
	local column=$1 setting=$2_$3 mib share huge

	mib=$(half_used "$3" 2048 1024)
	# shellcheck disable=SC2046
	resizable "$column" 4096 boot s "$column" "$(ours_on "$column")" "$2" \
		$(no_packing "$column")
	fragment s "$2" "$3" "$4"
	shrunk s $((mib / 2)) resize s "$column" $((4096 - mib)) 4096
	case $column in
	virtio_mem) share=$(RAM_MIB=1024 thp_share s ram) ;;
	*)	share=$(thp_share s ram) ;;
	esac
	huge=$(huge_pages_once s 300)
	put shrink_seconds "$column" "$setting" "$TOOK"
	put shrink_moves "$column" "$setting" "$MOVED"
	# Of files, so much may be free in whole blocks that none is needed.
	[ "$column" = stock ] || [ "$NEEDED" = 0 ] ||
		put moves_ratio "$column" "$setting" \
			"$(awk "BEGIN { printf \"%.2f\", $MOVED / $NEEDED }")"
	put shrink_thp_share "$column" "$setting" "$share"
	put shrink_huge_pages "$column" "$setting" "$huge"
	progress "$TOOK s, $MOVED moves of $NEEDED needed, then $share % of the" \
		"host's on huge pages, and $huge of 300 in the guest"
	finish s "$column" "$SHRINK_ROWS"
}

# small COLUMN PATTERN KEEP SEED: as large as that is then, and as much in use, or
# three quarters of it where that is half.
small()
{
	local mib huge disk=()

	mib=$(half_used "$3" 2048 1024)
	[ "$2" != files ] || disk=(--disk 6144)
	guest_start s --balloon none --mem $((4096 - mib * 64 / 63)) "${disk[@]}"
	fragment s "$2" $(($3 > 2 ? $3 / 2 : 2)) "$4" \
		$(((4096 - mib) * 3500 / 4096))
	huge=$(huge_pages_once s 300)
	put shrink_huge_pages "$1" "$2_$3" "$huge"
	progress "$huge of 300 huge pages in the guest"
	finish s "$1" shrink_huge_pages
}

case_shrink()
{
	local hole

	for hole in $SHRINK_HOLES; do
		each virtio_mem stock modules all -- \
			shrink "$SHRINK_ROWS" ${hole//:/ }
		[ -n "$QUICK" ] ||
			each stock_alone -- small shrink_huge_pages ${hole//:/ }
	done
}

about_shrink()
{
	cat <<-'END'
		A fragmented guest shrinks
		A guest of 4 GiB fills 3.5 GiB (page cache: 3.3 GiB) and gives most of it
		back in pieces: of 2, 4 or 8 pages (of `files`: files) one stays, the
		others are dropped regularly or at random. Then it shrinks to 2 GiB, or,
		where every second page stays, to 3 GiB; virtio-mem unplugs as much. `random
		4` is the pattern `random`, one page of 4 stays. The last figure stands
		beside a guest that had so little memory from the start, without a balloon
		(`stock alone`). Of `files`, `all` drops clean page cache from the blocks that it
		empties, as the kernel does for any contiguous allocation, so that little of it is
		moved, and the guest may have to read it again.

		shrink_thp_share|%|plot|Of what the host still holds of the guest's memory, so much is on huge pages
		shrink_seconds|s|plot|Until the guest has shrunk
		shrink_moves|pages||Pages that were migrated for it
		moves_ratio|ratio|plot|Pages migrated, by those in the blocks that are cheapest to empty
		shrink_time_vs_virtio_mem|ratio||Seconds, by those of virtio-mem
		shrink_huge_pages|of 300|plot|Huge pages that the guest can allocate afterwards
	END
}

table_shrink()
{
	worst_row shrink_thp_share % - "" min "of what the host holds, after; \
virtio-mem: $(spread shrink_thp_share virtio_mem)" \
		reference="$(worst shrink_thp_share min virtio_mem)"
	worst_row shrink_seconds s - "" max \
		"virtio-mem: $(spread shrink_seconds virtio_mem)" \
		reference="$(worst shrink_seconds max virtio_mem)"
	worst_row moves_ratio ratio "<= 1.6 modules, <= 1.2 all" \
		"$(ours "<=" 99 1.6 1.2)" max "pages moved: $(spread \
			shrink_moves virtio_mem stock modules all)" \
		reference="$(worst moves_ratio max virtio_mem)"
	ratio_rows shrink_time_vs_virtio_mem shrink_seconds virtio_mem 1 \
		stock modules all
	worst_row shrink_time_vs_virtio_mem ratio \
		"<= 1.2 modules, <= 0.25 all" "$(ours "<=" 99 1.2 0.25)" max \
		"" reference=1
	worst_row shrink_huge_pages "of 300" - "" min \
		"in the guest, after; without a balloon: $(spread \
			shrink_huge_pages stock_alone)" \
		reference="$(worst shrink_huge_pages min stock_alone)"
}
