#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build libvirt-hooks/ into build/out/libvirt.

. "$(dirname "$0")/lib.sh"

step "build ballastd, ballastctl and the hook" make -s -j "$JOBS" \
	-C "$TOP/libvirt-hooks" CC="ccache gcc" OUT="$OUT/libvirt" \
	OBJ="$BUILD/libvirt-hooks"
