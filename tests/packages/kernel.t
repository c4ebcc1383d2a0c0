#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The patched guest kernel's packages in a guest with the Debian that they were built
# on: installed with apt, after ballast-dkms, which is then built for it; booted by its
# boot loader, ballooned, packed.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/lib/system.sh"

ls "$OUT"/packages/linux-image-*-ballast-amd64_*.deb >/dev/null 2>&1 || {
	skip "the kernel's packages" "not there; make kernel-package, which takes long"
	done_testing
	exit
}
SYSTEM_DEBIAN=$(debian)
system_guests "$@"

version=$(dpkg-deb -f "$OUT"/packages/ballast-dkms_*.deb Version)
release=$(dpkg-deb -f "$OUT"/packages/linux-image-*-ballast-amd64_*.deb Package)
release=${release#linux-image-}

# The kernel's own packages, as upstream builds them, leave Debian's links alone; GRUB
# as it is set up in a Debian looks for kernels by itself.
(
	system_open
	in_apt install ballast-dkms >"$LOG/kernel-package.log" 2>&1 || exit
	in_apt install "linux-image-$release" "linux-headers-$release" \
		>>"$LOG/kernel-package.log" 2>&1 || exit
	cp "$ROOT/boot/config-$release" "$RUN/config"
	ln -sf "boot/vmlinuz-$release" "$ROOT/vmlinuz"
	ln -sf "boot/initrd.img-$release" "$ROOT/initrd.img"
	root_image "$SYSTEM" 4096
	root_close
) || die "not installed: see build/log/kernel-package.log"
ok "it has what a driver's pages need" grep -qx CONFIG_DRIVER_PAGES=y "$RUN/config"

boot
now "up"
is "its kernel" "$(guest_exec g 'uname -r')" "$release"
# shellcheck disable=SC2016
isnt "its own modules are signed" "$(guest_exec g 'modinfo -F signer \
	$(find /lib/modules/$(uname -r)/kernel -name "*.ko*" | head -n 1)')" ""
is "nothing failed" "$(guest_exec g 'systemctl is-system-running')" running
is "Ballast's modules were built for it" "$(loaded) $(file)" \
	"ballast $version updates/dkms"
shrink "fragmented"
between "fragmented: of what the host holds, on huge pages" "$(thp_share g ram)" 90 100
grow "fragmented"
away "shrunk"

boot --fpr on
now "up with free page reporting"
key() { guest_exec g "sed -n 's/^$1 //p' /sys/kernel/debug/virtio_balloon/*"; }
ok "it can pack" until_guest g 60 \
	'grep "^pack_reason " /sys/kernel/debug/virtio_balloon/* | grep -vq unsupported'
hold g start --mib 1600 --pattern regular --keep 1/4 >/dev/null
ok "it packs" until_guest g 300 \
	'! grep -q "^pack_blocks_made 0$" /sys/kernel/debug/virtio_balloon/*'
comment "$(key pack_blocks_made) blocks, $(key pack_pages_moved) pages moved"
ok "contents are whole" hold g check
away "packed"
done_testing
