#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The series for Debian 12's QEMU 7.2: its test of the device, QEMU's own
# tests that have to do with virtio-balloon, and how the patches look.

# shellcheck source=tests/qemu/qtest.sh
. "$(dirname "$0")/qtest.sh"

QEMU=$OUT/7.2/qemu-system-x86_64
QTESTS=$OUT/7.2/qtest
[ -x "$QEMU" ] ||
	skip_all "no build/out/7.2; run 'make qemu QEMU_BASE=7.2'"

# Another version, or the other base's tests, would pass, too.
is "the version" "$("$QEMU" --version | sed -n 's/.* version \(7\.2\)\..*/\1/p')" 7.2

# pages: what the device says of a hostile guest is for the log. A dash before
# the name of a case is for include.
pages()
{
	qtest "$QEMU" virtio-balloon-pages-test 2>"$LOG/qtest-pages-7.2.log" |
		sed -E 's,^((not )?ok [0-9]+) /,\1 - /,'
}
qtest_hugepages
include pages
ok "device-plug-test" qtest "$QEMU" device-plug-test
while read -r path; do
	ok "qos: ${path#/x86_64/}" qtest "$QEMU" qos-test -p "$path"
done < <(qtest_list qos-test virtio-balloon)

for patch in "$TOP"/qemu-patches/7.2/*.patch; do
	ok "checkpatch: ${patch##*/}" \
		perl "$BUILD/qemu-7.2/scripts/checkpatch.pl" --no-tree -q --patch "$patch"
done
done_testing
