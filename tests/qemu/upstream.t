#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU's own tests that have to do with virtio-balloon, on the patched QEMU,
# and its opinion on how the patches look.

# shellcheck source=tests/qemu/qtest.sh
. "$(dirname "$0")/qtest.sh"

# own WHAT TEST [OPTION...]
own()
{
	ok "$1" qtest "$OUT/qemu-system-x86_64" "${@:2}"
}

own "virtio-balloon-test" virtio-balloon-test
own "device-plug-test" device-plug-test
while read -r path; do
	own "qos: ${path#/x86_64/}" qos-test -p "$path"
done < <(qtest_list qos-test virtio-balloon)

for patch in "$TOP"/qemu-patches/10.0/*.patch; do
	ok "checkpatch: ${patch##*/}" \
		perl "$BUILD/qemu/scripts/checkpatch.pl" --no-tree -q --patch "$patch"
done
done_testing
