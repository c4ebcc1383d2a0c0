#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Our modules on Debian's kernel, with Debian's QEMU.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/drivers/suite.sh"
guests "$@"

guest_start a --balloon ballast --mem 1536 --fpr on
test_all a

# Deflating on OOM is the device's choice, so it takes a guest of its own.
guest_start b --balloon ballast --mem 1024 --fpr off \
	--autodeflate on
test_load b inflate
test_oom b
finish b

# This one's log has what the OOM killer says.
guest_start c --balloon ballast --mem 768 --params floor_mb=0
test_load c inflate
test_no_floor c
guest_stop c

done_testing
