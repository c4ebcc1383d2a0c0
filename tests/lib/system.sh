# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# A guest, g, that has a Debian on a disk, with its kernel and systemd, and boots from
# it by a boot loader; for tests of what is installed in guests.
#
#	. test.sh; . system.sh
#	system_guests "$@"	# instead of guests
#	( system_open; ...; root_image "$SYSTEM" MIB; root_close )
#	boot
#
# QEMU is that of ballast-qemu. SYSTEM_DEBIAN, if set, is which, and SYSTEM_KIND=host
# one with libvirt.

# shellcheck source=tests/lib/root.sh
. "$HERE_TEST/root.sh"

# systemd needs its time, and more of it when others work, too.
export BOOT_TIMEOUT=${BOOT_TIMEOUT:-600}
MEM=2048
SYSTEM_DEBIAN=${SYSTEM_DEBIAN:-13}
SYSTEM_KIND=${SYSTEM_KIND:-guest}

system_guests()
{
	local tar

	GUESTS_QEMU=$OUT/package/qemu-system-x86_64
	if [ -z "${BALLAST_RUN:-}" ]; then
		[ -e "$BUILD/guest/memhold" ] ||
			die "no programs for guests: run 'make guest'"
		# All that needs the network is fetched on this side.
		tar=$(root_tar $SYSTEM_DEBIAN \
			"$(root_packages $SYSTEM_DEBIAN $SYSTEM_KIND)")
		GUESTS_KERNEL=$BUILD/guest/vmlinuz-$SYSTEM_DEBIAN
		tar -xOf "$tar" --wildcards './boot/vmlinuz-*' >"$GUESTS_KERNEL"
	fi
	guests "$@"
	SYSTEM=$RUN/debian.disk
}

# system_open: the Debian to be, in ROOT: our packages are where its apt finds them,
# and the workload is there.
system_open()
{
	root_open $SYSTEM_DEBIAN $SYSTEM_KIND
	root_repository "$OUT/packages" >/dev/null
	cp "$BUILD/guest/memhold" "$BUILD/guest/blockmap" "$TOP/tests/guest/hold" \
		"$ROOT/usr/local/bin/"
	ln -s /bin/busybox "$ROOT/usr/local/bin/usleep"
	# What this guest needs alone: a large one takes minutes to make without KVM.
	printf '%s\n' MODULES=list COMPRESSLEVEL=1 \
		>"$ROOT/etc/initramfs-tools/conf.d/quick"
	printf '%s\n' virtio_pci virtio_blk ext4 >>"$ROOT/etc/initramfs-tools/modules"
}

# now TEXT: where the test is, for those who look how long it takes.
now() { comment "$SECONDS s: $*"; }

boot() { guest_start g --system "$SYSTEM" --qemu "$GUESTS_QEMU" --mem $MEM "$@"; }

# away: its log is asked before, since the next start has a new one.
away()
{
	ok "$1: nothing in the kernel's log" guest_check_log g
	guest_poweroff g
}

# apt ARGUMENT...: in the guest; what it says is in apt.out.
apt()
{
	guest_exec g "DEBIAN_FRONTEND=noninteractive $root_apt $*" 3600 \
		>"$RUN/apt.out" 2>&1 || { tail -n 20 "$RUN/apt.out"; return 1; }
}
said() { ok "$1" grep -qF -- "$2" "$RUN/apt.out"; }

# loaded: the module that the guest runs, once udev has loaded all there is to load: the
# agent may be there before.
loaded()
{
	# shellcheck disable=SC2016 # it is for the guest's shell
	guest_exec g 'systemctl is-system-running --wait >/dev/null
		udevadm settle
		cd /sys/module/virtio_balloon || exit
		[ -e parameters/floor_mb ] && echo "ballast $(cat version)" || echo stock'
}

# file: what modprobe would take, below the kernel's folder.
file()
{
	guest_exec g 'modinfo -F filename virtio_balloon' |
		sed -n 's,.*/\(kernel\|updates\)/\(.*\)/virtio_balloon\.ko.*,\1/\2,p'
}

# shrink WHAT: fragment the memory, then ask for half of it.
shrink()
{
	hold g start --mib 1600 --pattern regular --keep 1/4 >/dev/null
	ok "$1: virsh setmem is served" balloon_to g $((MEM / 2)) 600
	ok "$1: contents are whole" hold g check
}

# grow WHAT: and back.
grow()
{
	ok "$1: it gets all of it back" balloon_to g $MEM 600
	ok "$1: contents are whole after" hold g check
	hold g stop
}

# serve WHAT: the same, with no workload.
serve()
{
	ok "$1: virsh setmem is served" balloon_to g $((MEM * 3 / 4)) 600
	ok "$1: both ways" balloon_to g $MEM 600
}
