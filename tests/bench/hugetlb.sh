# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A fragmented guest on shared huge pages shrinks: how many the host has again.

# hugetlb COLUMN PATTERN KEEP SEED: 2 -> 1 GiB, or with half of it in use, -> 1.5.
hugetlb()
{
	local column=$1 setting=$2_$3 pages=512 won

	[ "$3" != 2 ] || pages=256
	# shellcheck disable=SC2046
	resizable "$column" 2048 hugetlb_boot h "$column" "$(ours_on "$column")" \
		"$2" $(no_packing "$column")
	fragment h "$2" "$3" "$4" 1600
	shrunk h $pages resize h "$column" $((2048 - pages * 2)) 2048
	won=$(hugetlb_won)
	put hugetlb_returned_share "$column" "$setting" \
		"$(awk "BEGIN { printf \"%.1f\", 100 * $won / $pages }")"
	put hugetlb_seconds "$column" "$setting" "$TOOK"
	put hugetlb_moves "$column" "$setting" "$MOVED"
	progress "$won of $pages huge pages are free on the host, $TOOK s," \
		"$MOVED moves"
	finish h "$column" hugetlb_returned_share
}

case_hugetlb()
{
	local hole

	# All patterns, shares and seeds, each once.
	for hole in $(quick random:4:1 "regular:8:1 random:4:2 files:2:3"); do
		each virtio_mem stock modules all -- \
			hugetlb hugetlb_returned_share ${hole//:/ }
	done
}

about_hugetlb()
{
	cat <<-'END'
		A fragmented guest on hugetlbfs shrinks
		The same with a guest of 2 GiB on shared huge pages of hugetlbfs, which
		shrinks to 1 GiB, or to 1.5 GiB where every second page stays.

		hugetlb_returned_share|%|plot|Of the huge pages that were asked for, so many are free on the host
		hugetlb_seconds|s||Until the guest has shrunk
		hugetlb_moves|pages||Pages that were migrated for it
	END
}

table_hugetlb()
{
	worst_row hugetlb_returned_share % - "" min "of the huge pages that were \
asked for; virtio-mem: $(spread hugetlb_returned_share virtio_mem); seconds: \
$(spread hugetlb_seconds virtio_mem stock modules all); pages moved: \
$(spread hugetlb_moves virtio_mem stock modules all)" \
		reference="$(worst hugetlb_returned_share min virtio_mem)"
}
