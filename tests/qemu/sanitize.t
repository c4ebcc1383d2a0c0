#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The tests of the device once more, on a QEMU with ASan and UBSan: what they
# report ends QEMU, and is red. Leaks are looked for when QEMU ends.

# shellcheck source=tests/qemu/qtest.sh
. "$(dirname "$0")/qtest.sh"

qemu=$OUT/fuzz/qemu-system-x86_64
[ -x "$qemu" ] || skip_all "no QEMU with sanitizers: run make qemu-fuzz"

reports()
{
	grep -E -A 12 'runtime error: |ERROR: .*Sanitizer' \
		"$LOG/sanitize-$1.log" || true
}

sanitized()
{
	include qtest_cases "$qemu" "$1" "$LOG/sanitize-$1.log"
	is "$1: no report of a sanitizer" "$(reports "$1")" ""
}

qtest_hugepages
sanitized virtio-balloon-test
sanitized virtio-balloon-pages-test
done_testing
