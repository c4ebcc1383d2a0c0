#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ballast-libvirt, ballast-qemu and ballast-dev in a Debian of their own, the one that
# they were built on: installed while libvirtd runs, used, purged.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"
. "$TOP/tests/lib/root.sh"

root_open "$(debian)"
comment "Debian $(debian)"
root_repository "$OUT/packages" >/dev/null
cp "$TOP/tests/lib/tap.sh" "$ROOT/tap.sh"
cp "$TOP/tests/packages/host-inside.sh" "$ROOT/host.sh"

# What the packages need besides is fetched before, with the network; what is left
# after them is compared with that.
ok "apt finds all that is needed" in_apt install --download-only \
	ballast-libvirt ballast-qemu ballast-dev
before=$(root_files)
include inside 'bash /host.sh'
# libvirt's own, that it made at run time.
is "nothing is left" "$(diff <(echo "$before") <(root_files) | grep '^[<>]' |
	grep -v '^[<>] \./\(run\|etc/libvirt\|var/lib/libvirt\|var/cache\)' )" ""
is "of Ballast nothing at all" "$(cd "$ROOT" && find . -xdev -path ./proc -prune -o \
	-path ./repository -prune -o -path ./var/log -prune -o \
	-name '*ballast*' -print | grep -v 'var/lib/apt\|var/cache/apt\|sources.list.d')" ""
done_testing
