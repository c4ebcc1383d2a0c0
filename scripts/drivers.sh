#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build drivers/ for every guest kernel that is there, into
# build/out/drivers/<release>/.

. "$(dirname "$0")/lib.sh"

[ -f "$TOP/drivers/Makefile" ] ||
	die "no drivers: drivers/Makefile is not in this tree; take a complete one"

# one KDIR RELEASE
one()
{
	local o=$BUILD/drivers/$2 to=$OUT/drivers/$2

	mkdir -p "$o" "$to"
	make -s -C "$TOP/drivers" KDIR="$1" O="$o" CC="ccache gcc" modules
	# What was built before, and no longer is, would be found as well.
	rm -f "$to"/*.ko
	sed 's/\.o$/.ko/' "$o/modules.order" | xargs cp -t "$to"
}

rel=$(stock_release)
step "build the drivers for $rel" one "$(stock_kdir)" "$rel"
for obj in out out-debug; do
	obj=$BUILD/linux/$obj
	[ -f "$obj/.ballast-built" ] || continue
	rel=$(cat "$obj/include/config/kernel.release")
	step "build the drivers for $rel" one "$obj" "$rel"
done
