#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make torture: driver pages for an hour, or BALLAST_TORTURE seconds, shared by
# the kernels that are there; and the fuzzer of the device for a sixth of that.

. "$(dirname "$0")/lib/test.sh"
. "$TOP/tests/drivers/framework.sh"
guests "$@"
export BOOT_TIMEOUT=300

seconds=${BALLAST_TORTURE:-3600}
kernels=()
for kernel in stock ballast debug; do
	[ ! -e "$(kernel_path $kernel 2>/dev/null)" ] || kernels+=("$kernel")
done
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	guest_start a --kernel "$kernel" --balloon none --mem 1024
	fw_load a
	test_torture a $((seconds / ${#kernels[@]}))
	fw_unload a
	finish a
done

if [ -x "$OUT/fuzz/qemu-fuzz-x86_64" ]; then
	comment "the device"
	# Not the same every time.
	BALLAST_FUZZ=${BALLAST_FUZZ:-$((seconds / 6))} \
		BALLAST_FUZZ_SEED=${BALLAST_FUZZ_SEED:-$((SRANDOM % 1000000 + 1))} \
		include "$TOP/tests/qemu/fuzz.t"
else
	skip "the device" "no fuzzer: build/out/fuzz; run make qemu-fuzz"
fi
done_testing
