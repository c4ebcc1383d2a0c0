#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The unit tests that stand beside the host's programs: libvirt-hooks/*_test.c, with
# sanitizers.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

ok "they compile without a warning" make -s -j "$JOBS" -C "$TOP/libvirt-hooks" \
	UNITS="$BUILD/unit/libvirt" units
for src in "$TOP"/libvirt-hooks/*_test.c; do
	CMOCKA_MESSAGE_OUTPUT=TAP include "$BUILD/unit/libvirt/$(basename "$src" .c)"
done
done_testing
