#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make torture: driver pages for an hour, or BALLAST_TORTURE seconds, shared by
# the kernels that are there.

. "$(dirname "$0")/lib/test.sh"
. "$TOP/tests/drivers/framework.sh"
guests "$@"
export BOOT_TIMEOUT=300

kernels=()
for kernel in stock ballast debug; do
	[ ! -e "$(kernel_path $kernel 2>/dev/null)" ] || kernels+=("$kernel")
done
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	guest_start a --kernel "$kernel" --balloon none --mem 1024
	fw_load a
	test_torture a $((${BALLAST_TORTURE:-3600} / ${#kernels[@]}))
	fw_unload a
	finish a
done

done_testing
