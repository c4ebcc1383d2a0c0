#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the kernel's own tests of compaction and migration, from the source
# that the guest kernel is built from, into build/guest/selftests/. They are not
# in the guest's image, which is in every guest's memory; tests/drivers/selftests.t
# copies them in.

set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE/../../scripts/lib.sh"

tests=$BUILD/linux/tools/testing/selftests
to=$BUILD/guest/selftests
[ -d "$tests/mm" ] || die "no kernel source: build/linux; run 'make kernel'"
want=$(hash "$0" "$BUILD/linux/.ballast/source")
[ "$(cat "$to/.built" 2>/dev/null)" != "$want" ] || exit 0

# Of migration's 20 s for each of its six tests 2 are enough here; and a busy
# machine gets more than twice of that before a test counts as hung.
edit=(-e 's/^#define RUNTIME.*/#define RUNTIME (2)/' -e 's/2\*RUNTIME/60/')

rm -rf "$to"
mkdir -p "$to"
cd "$tests/mm"
for prog in compaction_test migration transhuge-stress hugepage-mremap; do
	sed "${edit[@]}" $prog.c |
		gcc -static -s -O2 -w -std=gnu11 -D_GNU_SOURCE= \
			-isystem "$BUILD/linux/tools/include/uapi" \
			-o "$to/$prog" -x c - vm_util.c thp_settings.c \
			-lnuma -lpthread 2>"$to/log" || {
		cat "$to/log" >&2
		die "kernel selftests: $prog does not compile; run 'make setup'"
	}
done
cp ../memory-hotplug/mem-on-off-test.sh "$to/"
echo "$want" >"$to/.built"
