# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A Debian of its own in a folder, for tests that install packages with apt. Made with
# mmdebstrap once, and kept in the cache together with the packages that apt
# fetched, so that later runs need no network.
#
#	. lib.sh; . tap.sh; . root.sh
#	root_open 13		# a fresh one, in ROOT
#	inside COMMAND...	# in it, with namespaces of its own
#	root_repository DIR	# apt in it knows the packages there
#	root_close
#
# "13 guest" instead of 13 is one that a guest boots: with root_image on a disk. "13
# host" is one, too, and has libvirt and what ballast-libvirt needs.

roots=$CACHE/roots

# root_packages VERSION [guest | host]: what is in one beside a minimal Debian: all but
# what a test is about.
root_packages()
{
	local kernel=cloud-amd64 all=dkms,gcc,make,openssl,initramfs-tools
	local libvirt=libvirt-daemon-system,libvirt-clients,qemu-system-x86

	[ "$1" != 12 ] || kernel=6.12-cloud-amd64
	all+=,linux-headers-$kernel
	case ${2:-} in
	guest | host)
		all+=,linux-image-$kernel,systemd-sysv,udev,dbus,procps,busybox
		all+=,mokutil,zstd,qemu-guest-agent,grub-pc-bin,grub-common
		all+=,shim-signed,grub-efi-amd64-signed
		[ "$2" = guest ] ||
			all+=,$libvirt,libinih1,libjson-c5,libmicrohttpd12 ;;
	*)	all+=,$libvirt ;;
	esac
	echo "$all"
}

root_suite()
{
	case $1 in
	12) echo bookworm ;;
	13) echo trixie ;;
	*) die "unknown Debian: $1; use 12 or 13" ;;
	esac
}

# root_make VERSION PACKAGES TAR. Debian 12 has Linux 6.12 in its security suite.
root_make()
{
	local suite mirror sources

	suite=$(root_suite "$1")
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || die "no mirror: apt knows no suite of Debian's; run make setup"
	sources="deb $mirror $suite main"
	[ "$1" != 12 ] || sources+=$'\n'"deb ${mirror%/debian}/debian-security $suite-security main"
	unshare -m mmdebstrap --mode=root --variant=minbase \
		--include="$2" \
		--aptopt='APT::Install-Recommends "false"' \
		--skip=cleanup/apt/lists \
		"$suite" "$roots/new.$$.tar" - <<<"$sources" >"$LOG/root-$1.log" 2>&1 ||
		{ rm -f "$roots/new.$$.tar"; die "no Debian $1: see build/log/root-$1.log"; }
	mv "$roots/new.$$.tar" "$3"
}

# root_tar VERSION PACKAGES: prints where the archive of a Debian with these is, made
# if it is not in the cache, which needs the network.
root_tar()
{
	local tar

	command -v mmdebstrap >/dev/null ||
		die "mmdebstrap not found; run 'make setup'"
	tar=$roots/debian$1-$(hash <(echo "$2")).tar
	mkdir -p "$roots"
	[ -f "$tar" ] || root_make "$1" "$2" "$tar"
	echo "$tar"
}

# root_unpack VERSION PACKAGES: a fresh one that has these, in ROOT.
root_unpack()
{
	local tar

	need_root "a Debian of its own"
	need_space "$BUILD" 4
	tar=$(root_tar "$1" "$2")
	mkdir -p "$roots/archives-$1"
	ROOT=$(mktemp -d "$BUILD/root.XXXXXX")
	trap root_close EXIT
	tar -C "$ROOT" -xf "$tar"
	ROOT_ARCHIVES=$roots/archives-$1
}

# root_open VERSION [guest | host]: a fresh one with what root_packages says.
root_open()
{
	root_unpack "$1" "$(root_packages "$@")"
	# Nothing is started by being installed.
	printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
	chmod 755 "$ROOT/usr/sbin/policy-rc.d"
	mkdir "$ROOT/repository"
	# shellcheck disable=SC2016 # it is for the shell in there
	inside 'ls /lib/modules' >"$ROOT.kernel"
	ROOT_KERNEL=$(cat "$ROOT.kernel")
	rm "$ROOT.kernel"
	# shellcheck disable=SC2034 # for tests
	ROOT_MODULES=$ROOT/lib/modules/$ROOT_KERNEL
}

# Whatever was mounted went with the namespaces that it was mounted in.
root_close()
{
	[ -z "${ROOT:-}" ] || rm -rf --one-file-system "$ROOT" "$ROOT.out"
	ROOT=
}

# inside 'SHELL SCRIPT': what it starts does not outlive it. Loopback is the only
# network, but for apt.
inside()
{
	root_run unshare -n "$@"
}

root_run()
{
	local net=()

	[ "$1" != unshare ] || { net=(unshare -n); shift 2; }
	"${net[@]}" unshare -m -p -i -u --fork --kill-child bash -c '
		mount --make-rprivate /
		mount -t proc proc "$1/proc"
		mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
		mount --bind "$2" "$1/var/cache/apt/archives"
		exec chroot "$1" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
			sh -c "$3"' - "$ROOT" "$ROOT_ARCHIVES" "$1" </dev/null
}

# What apt is run with, in a guest, too; and with root_update it looks at our packages
# alone, not on the network.
root_apt="apt-get -q -y -o APT::Keep-Downloaded-Packages=true \
	-o APT::Sandbox::User=root -o Dpkg::Use-Pty=0"
root_update="-o Dir::Etc::sourcelist=sources.list.d/ballast.list \
	-o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 update"

# in_apt ARGUMENT...: the packages that it fetched stay in the cache.
in_apt() { root_run "$root_apt $*"; }

# root_repository DIR: apt knows the packages there.
root_repository()
{
	rm -f "$ROOT"/repository/*
	cp "$1"/*.deb "$1"/Packages "$1"/Release "$ROOT/repository/"
	echo 'deb [trusted=yes] file:/repository ./' \
		>"$ROOT/etc/apt/sources.list.d/ballast.list"
	in_apt "$root_update"
}

# A script for the folder to look through: all there is, but for what dpkg, apt and
# the log keep about packages that are gone.
root_files='find . -xdev \( -path ./proc -o -path ./dev -o -path ./repository \
	-o -path ./var/cache -o -path ./var/log -o -path ./var/lib/dpkg \
	-o -path ./var/lib/apt -o -path ./tmp \) -prune -o -print | sort'

root_files() { (cd "$ROOT" && eval "$root_files"); }

# root_newer DIR: packages there, as if something had been committed a second later.
root_newer()
{
	(. "$TOP/packaging/version.sh"
	SOURCE_DATE_EPOCH=$((SOURCE_DATE_EPOCH + 1)) PACKAGES_OUT=$1 \
		"$TOP/packaging/build.sh" >"$LOG/newer.log" 2>&1) ||
		die "no newer packages: see build/log/newer.log"
}

# root_image FILE MIB: ROOT on a disk with a boot loader, which reads at each boot
# the kernel and the initramfs that the packages have put on it. Boots from BIOS, and
# from UEFI, also with Secure Boot: by what Debian has signed.
root_image()
{
	local gap=2048 base=$ROOT/usr/lib/grub/i386-pc esp=16

	rm "$ROOT/usr/sbin/policy-rc.d"
	echo guest >"$ROOT/etc/hostname"
	# It is not asked who it is, and nothing takes apt's lock by itself.
	inside 'systemd-machine-id-setup
		systemctl mask apt-daily.timer apt-daily-upgrade.timer' \
		>"$LOG/image.log" 2>&1
	cat >"$ROOT/load.cfg" <<-'END'
		linux /vmlinuz root=/dev/vda1 rw console=ttyS0 loglevel=5 panic=-1
		initrd /initrd.img
		boot
	END
	inside 'grub-mkimage -O i386-pc -p "(hd0,msdos1)/" -c /load.cfg -o /core.img \
		biosdisk part_msdos ext2 linux' >>"$LOG/image.log" 2>&1 ||
		die "no boot loader: see build/log/image.log"
	[ "$(stat -c %s "$ROOT/core.img")" -lt $(((gap - 1) * 512)) ] ||
		die "the boot loader has $gap sectors, and needs more"
	truncate -s "$2M" "$1"
	printf '%s\n' "$gap,$((($2 - esp) * 2048 - gap)),L,*" ",,U" | sfdisk -q "$1"
	dd if="$base/boot.img" of="$1" bs=440 count=1 conv=notrunc status=none
	dd if="$ROOT/core.img" of="$1" seek=1 conv=notrunc status=none
	root_esp "$1" $((($2 - esp) * 2048)) $((esp * 1024)) >>"$LOG/image.log" 2>&1 ||
		die "no disk for UEFI: see build/log/image.log"
	rm "$ROOT/core.img" "$ROOT/load.cfg"
	mkfs.ext4 -qF -d "$ROOT" -E "offset=$((gap * 512))" "$1" \
		"$((($2 - esp) * 1024 - gap / 2))k" >>"$LOG/image.log" 2>&1 ||
		die "no disk image: see build/log/image.log"
}

# root_esp FILE SECTOR KIB: there begins what UEFI boots. GRUB looks for its own
# configuration there, in a folder whose name is signed with it.
root_esp()
{
	local at=$1@@$(($2 * 512))

	mkfs.vfat -F 16 --offset "$2" "$1" "$3" &&
	mmd -i "$at" ::EFI ::EFI/BOOT ::EFI/debian &&
	mcopy -i "$at" "$ROOT/usr/lib/shim/shimx64.efi.signed" ::EFI/BOOT/BOOTX64.EFI &&
	mcopy -i "$at" "$ROOT/usr/lib/shim/mmx64.efi.signed" ::EFI/BOOT/mmx64.efi &&
	mcopy -i "$at" "$ROOT/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" \
		::EFI/BOOT/grubx64.efi &&
	{ echo 'set root=hd0,msdos1'; cat "$ROOT/load.cfg"; } |
		mcopy -i "$at" - ::EFI/debian/grub.cfg
}
