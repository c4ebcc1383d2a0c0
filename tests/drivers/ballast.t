#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Our modules on the patched kernel, with the patched QEMU.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/drivers/suite.sh"
guests "$@"

guest_start a --kernel ballast --qemu patched --balloon ballast --mem 1536 --fpr on \
	--params pack_cpu=0
test_all a

# Deflating on OOM is the device's choice, so it takes a guest of its own.
guest_start b --kernel ballast --qemu patched --balloon ballast --mem 1024 --fpr off \
	--autodeflate on
test_load b inflate
test_oom b
finish b

done_testing
