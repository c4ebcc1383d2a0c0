#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the patched device gives a guest that knows nothing of it: Debian's
# kernel with its own driver. Memory isn't fragmented, but a quarter of it is
# in use, and must be whole afterwards.

. "$(dirname "$0")/../lib/test.sh"
guests "$@"

GIB=$((1024 * 256))

# calls NAME EVENT PAGES: how often that was traced on the way to PAGES.
calls()
{
	local mark

	mark=$(log_mark "$1")
	trace_on "$1" "$2"
	balloon_pages "$1" "$3"
	trace_off "$1" "$2"
	trace_events "$1" "$mark" "$2" | wc -l
}

guest_start thp --qemu patched --mem 2048
hold thp start --mib 512 --pattern none >/dev/null
between "4 KiB pages: discards for a GiB" \
	"$(calls thp ram_block_discard_range $GIB)" 1 4096
ok "4 KiB pages: contents are whole" hold thp check
between "4 KiB pages: runs for a GiB on the way back" \
	"$(calls thp virtio_balloon_handle_output 0)" 1 4096
hold thp stop
finish thp

hugepages_reserve 1024 ||
	{ skip "hugetlbfs" "1024 huge pages are not to be had"; done_testing; }
guest_start huge --qemu patched --mem 2048 --backing hugetlb --prealloc on
hold huge start --mib 512 --pattern none >/dev/null
before=$(hugepages_available)
balloon_pages huge $GIB
between "huge pages: won, of 512" $(($(hugepages_available) - before)) 500 512
ok "huge pages: contents are whole" hold huge check

# Taken back, used and given away again, a few times: what is remembered of a
# huge page must not cost the guest what it has in it.
for pages in $((GIB / 3)) $((GIB - 77)) $((GIB / 2 + 1)) $GIB; do
	balloon_pages huge "$pages"
	ok "huge pages: contents are whole at $pages" hold huge check
done
balloon_pages huge 0
hold huge stop
hold huge start --mib 1400 --pattern regular --keep 1/4 >/dev/null
balloon_pages huge $((GIB / 2))
ok "huge pages: contents are whole, fragmented" hold huge check
balloon_pages huge 0
ok "huge pages: and after" hold huge check
hold huge stop
finish huge
hugepages_release 1024
done_testing
