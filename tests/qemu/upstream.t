#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU's own tests of what the patches touch, on the patched QEMU,
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
qtest_qos "$OUT/qemu-system-x86_64"
# Of all commands, those about the balloon; migration, without one.
while read -r path; do
	own "QMP: ${path#/x86_64/}" qmp-cmd-test -p "$path"
done < <(qtest_list qmp-cmd-test balloon)
own "HMP" test-hmp -p /x86_64/hmp/none
for path in precopy/unix/plain postcopy/plain; do
	own "migration: $path" migration-test -p "/x86_64/migration/$path"
done

qtest_checkpatch 10.0 "$BUILD/qemu"
done_testing
