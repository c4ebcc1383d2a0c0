#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The patched device: which pages go, in how many calls, and what a hostile
# guest can do to it.

# shellcheck source=tests/qemu/qtest.sh
. "$(dirname "$0")/qtest.sh"

qtest_hugepages
# What the device says of a hostile guest is for the log.
qtest "$OUT/qemu-system-x86_64" virtio-balloon-pages-test \
	2>"$LOG/qtest-pages.log"
