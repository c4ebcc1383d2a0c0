#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ballast-dkms where it is meant to be: in a guest with Debian 13, its kernel and
# systemd, which boots from its disk by a boot loader. Installed with apt, used after
# a boot without a further step, upgraded, purged; and with Secure Boot, without a key
# and with one. QEMU is that of ballast-qemu.

. "$(dirname "$0")/../lib/test.sh"
. "$TOP/tests/lib/system.sh"
system_guests "$@"

with='echo virtio_balloon >>/etc/initramfs-tools/modules && update-initramfs -u'
without='sed -i /virtio_balloon/d /etc/initramfs-tools/modules && update-initramfs -u'

# The disk: our packages, those of a newer build beside them, and the workload. Debian's
# initramfs has no virtio_balloon, but an administrator may want it there: then it is
# the one that is loaded, whatever is on the disk. Here it is there at first.
(
	system_open
	root_newer "$ROOT/repository/newer"
	inside "$with" >"$LOG/initramfs.log" 2>&1
	root_image "$SYSTEM" 4096
	dpkg-deb -f "$ROOT"/repository/ballast-dkms_*.deb Version >"$RUN/version"
	dpkg-deb -f "$ROOT"/repository/newer/ballast-dkms_*.deb Version >"$RUN/newer"
	root_close
)
version=$(cat "$RUN/version")
newer=$(cat "$RUN/newer")

# initramfs: what is in it of virtio_balloon and of what Ballast's needs.
initramfs()
{
	guest_exec g 'lsinitramfs /initrd.img |
		grep -oE "(driver_pages|regiond|virtio_balloon)\.ko" | sort | paste -sd " "'
}

# --- stock
boot
now "up, $(guest_exec g 'systemctl is-system-running'), $(guest_exec g 'uname -r')"
before=$(guest_exec g "cd / && $root_files")
is "before: the kernel's own balloon" "$(loaded) $(file)" "stock kernel/drivers/virtio"
is "before: it is in the initramfs" "$(initramfs)" virtio_balloon.ko
shrink "stock"
stock=$(thp_share g ram)
comment "on huge pages: $stock %"
grow "stock"

# --- install
now "install"
ok "install" apt install ballast-dkms
said "it says what will be" "has Ballast's virtio_balloon from its next boot on"
now "installed"
is "Ballast's is for the next boot" "$(file)" updates/dkms
ours="driver_pages.ko regiond.ko virtio_balloon.ko"
is "it is in the initramfs" "$(initramfs)" "$ours"
is "the kernel's own still runs" "$(loaded)" stock
ok "it is inflated" balloon_to g $((MEM * 3 / 4)) 600
ok "then it is not replaced" \
	guest_exec g '! ballast-modules replace'
is "it still runs" "$(loaded)" stock
ok "it gets all of it back" balloon_to g $MEM 600
ok "it is replaced" guest_exec g 'ballast-modules replace'
is "Ballast's runs" "$(loaded)" "ballast $version"
serve "replaced"
guest_exec g 'ballast-modules' >"$RUN/status" || true
ok "ballast-modules says so" grep -qxF "loaded: Ballast's $version" "$RUN/status"
ok "and what will be" grep -q "^at boot of .*: Ballast's, /" "$RUN/status"
comment "$(cat "$RUN/status")"
away "installed"

# --- what a boot gives
boot
now "up after the installation"
is "a boot: Ballast's runs" "$(loaded)" "ballast $version"
shrink "fragmented"
share=$(thp_share g ram)
comment "on huge pages: $share %, stock $stock %"
between "fragmented: of what the host holds, on huge pages" "$share" 90 100
between "fragmented: stock has much less" "$stock" 0 60
grow "fragmented"

# --- a newer build, and a reboot while the balloon is inflated
ok "the initramfs is without it" guest_exec g "$without"
is "it is" "$(initramfs)" ""
now "upgrade"
guest_exec g 'cd /repository && rm ./*.deb && mv newer/* .'
ok "apt looks again" apt "$root_update"
ok "upgrade" apt install ballast-dkms
now "upgraded"
is "the former runs on" "$(loaded)" "ballast $version"
is "the initramfs is without the newer, too" "$(initramfs)" ""
ok "it is inflated" balloon_to g $((MEM / 2)) 600
mark=$(log_mark g)
guest_reboot g
now "up after the upgrade"
is "a reboot: the newer runs" "$(loaded)" "ballast $newer"
ok "the balloon is as large as before" wait_balloon g $((MEM / 2)) 600 "$mark"
ok "it gets all of it back" balloon_to g $MEM 600
serve "upgraded"
ok "the initramfs is with it" guest_exec g "$with"
is "it is" "$(initramfs)" "$ours"
away "upgraded"

# --- huge pages of the host
if hugepages_reserve $((MEM / 2)); then
	available=$(hugepages_available)
	boot --backing hugetlb --prealloc on
	now "up on hugetlbfs"
	is "hugetlbfs: the guest has all" $((available - $(hugepages_available))) \
		$((MEM / 2))
	shrink "hugetlbfs"
	back=$((MEM / 2 - (available - $(hugepages_available))))
	between "hugetlbfs: whole pages come back, of $((MEM / 4))" $back \
		$((MEM / 4 * 9 / 10)) $((MEM / 4))
	comment "$back of $((MEM / 4))"
	grow "hugetlbfs"
else
	skip "hugetlbfs" "this machine has no $((MEM / 2)) huge pages to spare"
	boot
fi

# --- away
now "purge"
ok "purge" apt purge ballast-dkms
now "purged"
is "the kernel's own is for the next boot" "$(file)" kernel/drivers/virtio
guest_reboot g
now "up after the purge"
is "a reboot: the kernel's own runs" "$(loaded)" stock
serve "purged"
is "the initramfs has the kernel's own" "$(initramfs)" virtio_balloon.ko
# The key is DKMS's, and stays for others; the rest is systemd's.
is "nothing is left" "$(diff <(echo "$before") <(guest_exec g "cd / && $root_files") |
	grep '^[<>]' | grep -v 'var/lib/dkms/mok\.\|var/lib/systemd\|var/tmp/systemd' || true)" ""
away "purged"

# --- Secure Boot: firmware that boots what Microsoft and Debian have signed
boot --firmware secure
now "up with Secure Boot"
is "Secure Boot: it is on" "$(guest_exec g 'mokutil --sb-state')" "SecureBoot enabled"
is "Secure Boot: the kernel's own runs" "$(loaded)" stock
ok "Secure Boot: install" apt install ballast-dkms
said "it says why nothing is built" "Secure Boot is on, and the key that dkms signs"
said "and how to enrol it" "mokutil --import /var/lib/dkms/mok.pub"
is "the kernel's own is for the next boot" "$(file)" kernel/drivers/virtio
guest_reboot g
is "a reboot: the kernel's own runs" "$(loaded)" stock
serve "Secure Boot, no key"

# on_screen TEXT: until the firmware's console shows it.
on_screen()
{
	until_true 300 grep -aqF "$1" "$RUN/g.console" ||
		die "the console does not show '$1'; see ${RUN#"$TOP"/}/g.console"
}

# keys KEY...: typed, one after the other.
keys()
{
	local key

	for key; do
		vsh send-key g "KEY_$key" >/dev/null
	done
}

# confirm: in the shim's menu, that the key is to be enrolled.
confirm()
{
	on_screen "Press any key to perform MOK management"
	keys ENTER
	on_screen "Enroll MOK"
	keys DOWN ENTER
	on_screen "View key 0"
	keys DOWN ENTER
	on_screen "Enroll the key(s)?"
	keys DOWN ENTER
	on_screen "Password:"
	keys A B C D ENTER
	on_screen "Reboot"
	keys ENTER
}
now "enrol"
guest_exec g "printf '%s\n' abcd abcd | mokutil --import /var/lib/dkms/mok.pub" >/dev/null
guest_reboot g confirm
now "up with the key"
ok "the key is enrolled: it is built" \
	guest_exec g 'DEBIAN_FRONTEND=noninteractive dpkg-reconfigure ballast-dkms' 3600
is "Ballast's is for the next boot" "$(file)" updates/dkms
guest_reboot g
is "a reboot: Ballast's runs" "$(loaded)" "ballast $newer"
is "the kernel is locked down" "$(guest_exec g 'cat /sys/kernel/security/lockdown')" \
	"none [integrity] confidentiality"
serve "Secure Boot"
finish g
done_testing
