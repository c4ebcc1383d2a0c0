#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Our modules on the debug kernel: KASAN, lockdep, list and VM checks, kmemleak.
# It is slow, so only what takes locks and frees memory.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/drivers/suite.sh"
guests "$@"
export BOOT_TIMEOUT=300
MIB=560	# of some 740 that the checkers leave
FREEZE_MIB=60

guest_start a --kernel debug --qemu patched --balloon ballast --mem 1024 \
	--fpr on --params pack_cpu=0
test_load a reporting
test_fragmented a
test_resizes a 6
test_freeze a
test_reload a 2
test_leaks a
finish a

# PFNs instead of ranges, and the OOM notifier's locks.
guest_start b --kernel debug --qemu patched --balloon ballast --mem 1024 \
	--fpr off --autodeflate on
test_load b inflate
test_oom b
finish b

done_testing
