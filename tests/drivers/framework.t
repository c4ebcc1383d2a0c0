#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Driver pages, the sample and the conformance kit, on Debian's kernel and on
# the patched one.
#
#	framework.t [stock|ballast]...

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/drivers/framework.sh"
guests "$@"

kernels "stock ballast" "$@"
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	guest_start a --kernel $kernel --balloon none --mem 1024
	fw_load a
	test_no_run a
	test_misuse a
	test_sample a
	test_trace a
	test_churn a
	test_ends a
	test_fragmented_half a 700
	test_torture a 20
	# A page that stays on the driver's list is put back through page->lru
	# where the kernel's own code does it, and can't be survived.
	list=
	! mod a '[ -e driver_pages.ko ]' || list=list
	# shellcheck disable=SC2086
	test_broken a 12000 putback $list lru sleep drop errno leak copy ref \
		old error
	fw_unload a
	fw_load a
	test_left_behind a
	finish a
done

done_testing
