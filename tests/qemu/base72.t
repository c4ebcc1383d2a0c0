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

qtest_hugepages
include qtest_cases "$QEMU" virtio-balloon-pages-test "$LOG/qtest-pages-7.2.log"
ok "device-plug-test" qtest "$QEMU" device-plug-test
qtest_qos "$QEMU"
qtest_checkpatch 7.2 "$BUILD/qemu-7.2"
done_testing
