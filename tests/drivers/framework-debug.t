#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Driver pages, the sample and the conformance kit, on the debug kernel. Faults
# that it has words of its own for are left out.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/drivers/framework.sh"
guests "$@"
export BOOT_TIMEOUT=300

guest_start a --kernel debug --balloon none --mem 1024
fw_load a
test_no_run a
test_misuse a
test_sample a 4000
test_trace a
test_churn a 2 2000
test_ends a 2000 4
test_torture a 20
test_broken a 1000 putback drop errno copy ref error
fw_unload a
finish a

done_testing
