# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the device costs the host: a monitor that is silent, discards, and pages
# of hugetlbfs that come back.

# gap_begin COLUMN PAGES [OPTION...]: a guest whose memory the host has already, on
# huge pages, or on small ones: 4 KiB.
gap_begin()
{
	local column=$1 qemu

	GAP=$RUN/gap
	[ -x "$GAP" ] || gcc -O2 -Wall -o "$GAP" "$HERE/qemu/gap.c" ||
		die "gap.c does not compile"
	qemu=$(qemu_path "$(column_qemu "$column")")
	if [ "$2" = small ]; then
		printf '#!/bin/sh\nexec "%s" --no-thp "%s" "$@"\n' "$GAP" "$qemu" \
			> "$RUN/qemu-small"
		chmod +x "$RUN/qemu-small"
		qemu=$RUN/qemu-small
	fi
	# shellcheck disable=SC2046
	vm_start d $(parts "$column") --qemu "$qemu" --fpr on --prealloc on "${@:3}"
}

# gap COLUMN PAGES: how long the monitor is silent while 8 GiB are inflated.
gap()
{
	local column=$1 pages=$2 asked silent count

	gap_begin "$column" "$pages" --mem 9216 --monitor /run/gap.qmp
	exec {asked}> >("$GAP" /run/gap.qmp > "$RUN/gap.out")
	balloon_to d 1024 300 >/dev/null ||
		die "8 GiB are not inflated in 300 s: $(balloon_actual d) MiB"
	exec {asked}>&-
	wait $!
	read -r silent count < "$RUN/gap.out"
	put qmp_gap "$column" "$pages" "$(awk "BEGIN { print $silent / 1000 }")"
	progress "silent for $silent us at most, of $count answers"
	vm_stop_all
}

# madvise COLUMN: 3 GiB, against one call that does no more than discarding them.
madvise()
{
	local column=$1 bare seconds

	gap_begin "$column" thp --mem 4096
	bare=$("$GAP" --madvise 3072)
	seconds=$(balloon_to d 1024 60) || die "3 GiB are not inflated in 60 s"
	put inflate_vs_madvise "$column" once \
		"$(awk "BEGIN { printf \"%.2f\", $seconds * 1e6 / $bare }")"
	progress "$seconds s; one madvise $bare us"
	vm_stop_all
}

# own_driver QEMU BACKING: Debian's kernel and its driver give a GiB away; the
# device's discards, and the huge pages that the host gets.
own_driver()
{
	local qemu=$1 backing=$2 before column=stock mark n

	[ "$qemu" = stock ] || column=all
	if [ "$backing" = hugetlb ]; then
		hugepages_reserve 1024 || die "1024 huge pages are not to be had"
		trap "hugepages_release 1024" EXIT
	fi
	vm_start d --qemu "$qemu" --balloon stock --mem 2048 --backing "$backing"
	before=$(hugepages_available)
	trace_on d ram_block_discard_range
	mark=$(log_mark d)
	balloon_to d 1024 120 >/dev/null || die "1 GiB is not inflated in 120 s"
	if [ "$backing" = hugetlb ]; then
		put hugetlb_stock_driver "$column" once \
			$(($(hugepages_available) - before))
	else
		n=$(trace_events d "$mark" ram_block_discard_range | wc -l)
		[ "$n" != 0 ] || die "1 GiB is inflated, and nothing is discarded"
		put own_driver_discards "$column" once "$n"
	fi
	vm_stop_all
}

case_device()
{
	local pages

	for _ in $(quick 1 "1 2 3"); do
		for pages in thp small; do
			each stock modules all -- gap qmp_gap "$pages"
		done
		each stock modules all -- madvise inflate_vs_madvise
	done
	for pages in thp hugetlb; do
		attempt "stock driver, stock QEMU, $pages" \
			"own_driver_discards hugetlb_stock_driver" \
			own_driver stock $pages
		attempt "stock driver, patched QEMU, $pages" \
			"own_driver_discards hugetlb_stock_driver" \
			own_driver patched $pages
	done
}

about_device()
{
	cat <<-'END'
		The device
		8 GiB are inflated while somebody asks QEMU's monitor all the time, with memory on
		huge pages and on small ones; 3 GiB are inflated at once; and Debian's own driver
		gives away 1 GiB.

		qmp_gap|ms|plot|The longest time without an answer
		qmp_gap_ratio|ratio||The same, by stock
		inflate_vs_madvise|ratio||Time for 3 GiB, by that of one madvise
		own_driver_discards|calls||Discards for 1 GiB from Debian's driver; `all` is the patched QEMU
		coalesce_factor|ratio||The same, by the patched QEMU's
		hugetlb_stock_driver|of 512||Huge pages of hugetlbfs that come back from Debian's driver
	END
}

table_device()
{
	local gap

	gap=$(worst qmp_gap max all)
	ratio_rows qmp_gap_ratio qmp_gap stock 1 stock modules all
	worst_row qmp_gap_ratio ratio "<= 2 and 15 ms all" \
		"(.all // 99) <= 2 and ${gap:-99} <= 15" max \
		"the longest time without an answer while 8 GiB are inflated; \
ms: $(spread qmp_gap stock modules all)" reference=1
	worst_row inflate_vs_madvise ratio "<= 8 all" "(.all // 99) <= 8" max \
		"3 GiB, not fragmented" reference=1
	ratio_rows coalesce_factor own_driver_discards all 1 stock
	worst_row coalesce_factor factor ">= 5" "(.stock // 0) >= 5" min \
		"discards for a GiB from Debian's driver: \
$(spread own_driver_discards stock all)" reference=
	worst_row hugetlb_stock_driver pages ">= 400 all" "(.all // 0) >= 400" \
		min "of 512, from Debian's driver" reference=512
}
