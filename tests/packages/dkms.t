#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# dkms.t [DEBIAN...]: ballast-dkms with Debian's own Linux 6.12, in Debian 12 and 13.
# Nothing is loaded: which file modprobe would take is what counts.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"
. "$TOP/tests/lib/root.sh"

newer=$(mktemp -d)
end() { root_close; rm -rf "$newer"; }

[ $# -gt 0 ] || set -- 12 13

# file [KERNEL]: what modprobe would take, below the kernel's folder.
file()
{
	inside "modinfo -k ${1:-$ROOT_KERNEL} -F filename virtio_balloon" |
		sed -n 's,.*/\(kernel\|updates\)/\(.*\)virtio_balloon\.ko.*,\1 \2,p'
}

# said WHAT TEXT: in what the last "apt" printed.
said() { ok "$1" grep -qF -- "$2" "$ROOT.out"; }

# apt ARGUMENT...: what it says is in ROOT.out
apt() { in_apt "$@" >"$ROOT.out" 2>&1; }

# A kernel that differs in its name alone.
another_kernel()
{
	mkdir "$ROOT/lib/modules/$1"
	cp -a "$ROOT_MODULES"/{build,source,kernel,modules.*} "$ROOT/lib/modules/$1/" \
		2>/dev/null
	cp "$ROOT/boot/config-$ROOT_KERNEL" "$ROOT/boot/config-$1"
	inside "depmod $1"
}

forget_kernel() { rm -r "$ROOT/lib/modules/$1" "$ROOT/boot/config-$1"; }

# mokutil 'SecureBoot enabled|disabled' 'is not enrolled|is already enrolled'
mokutil()
{
	cat >"$ROOT/usr/local/bin/mokutil" <<-END
		#!/bin/sh
		case \$1 in
		--sb-state) echo "$1" ;;
		--test-key) echo "\$2 $2"; exit 1 ;;
		esac
	END
	chmod 755 "$ROOT/usr/local/bin/mokutil"
}

# initramfs: kernel or updates, of which the one in it is.
initramfs()
{
	inside "lsinitramfs /boot/initrd.img-$ROOT_KERNEL" |
		sed -n 's,.*/\(kernel\|updates\)/.*/virtio_balloon\.ko.*,\1,p'
}

root_newer "$newer"

one()
{
	local before headers

	comment "Debian $1"
	root_open "$1"
	trap end EXIT
	comment "kernel $ROOT_KERNEL"
	headers="run-parts --arg=$ROOT_KERNEL /etc/kernel/header_postinst.d"
	root_repository "$OUT/packages" >/dev/null
	before=$(root_files)
	is "before: the kernel's own" "$(file)" "kernel drivers/virtio/"

	# --- another one's kernels, and one that has no headers
	another_kernel 6.1.0-other
	another_kernel 6.12.999-new
	mv "$ROOT/lib/modules/6.12.999-new" "$ROOT/new"
	mv "$ROOT/boot/config-6.12.999-new" "$ROOT/new/config"
	ok "install" apt install ballast-dkms
	is "Ballast's module is the one for the next boot" "$(file)" "updates dkms/"
	is "all of them are there" "$(cd "$ROOT_MODULES/updates/dkms" && echo * |
		sed 's/\.ko[.xz]*//g')" "driver_pages regiond virtio_balloon zpages"
	said "it says so" "$ROOT_KERNEL has Ballast's virtio_balloon"
	is "its modules are found" "$(inside "modprobe -S $ROOT_KERNEL \
		--show-depends virtio_balloon" | sed 's,.*/,,; s,\.ko.*,,' |
		paste -sd ' ')" "driver_pages regiond virtio_balloon"
	is "they are signed" "$(inside "modinfo -k $ROOT_KERNEL -F signer \
		virtio_balloon")" "DKMS module signing key"
	# shellcheck disable=SC2016 # it is for the shell in there
	is "a kernel with driver pages has the others built" "$(inside '
		mkdir -p /tmp/src/include/linux
		touch /tmp/src/include/linux/driver_pages.h
		bash -c "kernel_source_dir=/tmp/src; . /usr/src/ballast-*/dkms.conf
			echo \${BUILT_MODULE_NAME[*]} \${DEST_MODULE_LOCATION[*]}"
		rm -r /tmp/src')" \
		"regiond virtio_balloon zpages /updates/dkms /updates/dkms /updates/dkms"
	is "a kernel 6.1 has its own" "$(file 6.1.0-other)" "kernel drivers/virtio/"
	inside 'dkms build ballast/$(dkms status ballast |
		sed "s,[^/]*/\([^,]*\).*,\1,; q") -k 6.1.0-other' >"$ROOT.out" 2>&1 || true
	said "it is refused clearly" 'BUILD_EXCLUSIVE directive'
	ok "and its installation does not fail because of that" \
		inside '/etc/kernel/postinst.d/dkms 6.1.0-other'
	forget_kernel 6.1.0-other

	# --- a new kernel
	mv "$ROOT/new/config" "$ROOT/boot/config-6.12.999-new"
	mv "$ROOT/new" "$ROOT/lib/modules/6.12.999-new"
	ok "a kernel is installed" inside '/etc/kernel/postinst.d/dkms 6.12.999-new'
	is "it gets the module" "$(file 6.12.999-new)" "updates dkms/"

	# --- a new version
	root_repository "$newer" >/dev/null
	ok "upgrade" apt install ballast-dkms
	is "the module is there" "$(file)" "updates dkms/"
	is "of one version" "$(inside 'dkms status ballast' 2>/dev/null |
		grep -c "^ballast.*$ROOT_KERNEL.*installed")" 1
	is "nothing is left of the old one" \
		"$(find "$ROOT/usr/src" "$ROOT/var/lib/dkms" -maxdepth 2 \
			-name 'ballast-*' -o -maxdepth 2 -path '*/ballast/0*' | wc -l)" 2

	# --- and away
	ok "remove" apt remove ballast-dkms
	is "the kernel's own is back" "$(file)" "kernel drivers/virtio/"
	is "for the other kernel, too" "$(file 6.12.999-new)" "kernel drivers/virtio/"
	forget_kernel 6.12.999-new
	ok "purge" apt purge ballast-dkms

	# --- Secure Boot
	mokutil 'SecureBoot enabled' 'is not enrolled'
	ok "install with Secure Boot and no enrolled key" apt install ballast-dkms
	is "the kernel's own stays" "$(file)" "kernel drivers/virtio/"
	said "it says what to do" 'mokutil --import'
	ok "a new kernel's installation does not fail" \
		inside "/etc/kernel/postinst.d/dkms $ROOT_KERNEL"
	is "and has its own" "$(file)" "kernel drivers/virtio/"
	mokutil 'SecureBoot enabled' 'is already enrolled'
	ok "a key" inside 'cd /var/lib/dkms && [ -e mok.pub ] || openssl req -new -x509 \
		-nodes -newkey rsa:2048 -subj "/CN=DKMS module signing key" \
		-outform DER -keyout mok.key -out mok.pub'
	ok "enrolled" inside 'dpkg-reconfigure ballast-dkms'
	is "now it is Ballast's" "$(file)" "updates dkms/"
	is "and signed" "$(inside "modinfo -k $ROOT_KERNEL -F signer virtio_balloon")" \
		"DKMS module signing key"
	rm "$ROOT/usr/local/bin/mokutil"

	# --- no headers
	ok "purge" apt purge ballast-dkms
	mv "$ROOT_MODULES/build" "$ROOT_MODULES/build.away"
	ok "install without the kernel's headers" apt install ballast-dkms
	said "it says what is missing" "apt install linux-headers-$ROOT_KERNEL"
	inside "echo virtio_balloon >>/etc/initramfs-tools/modules
		update-initramfs -u -k $ROOT_KERNEL" >"$LOG/initramfs.log" 2>&1
	is "the initramfs has the kernel's own" "$(initramfs)" kernel
	mv "$ROOT_MODULES/build.away" "$ROOT_MODULES/build"
	inside "mv /etc/kernel/header_postinst.d/zz-ballast /tmp"
	ok "headers come, and are built for" inside "$headers"
	is "it has it still" "$(initramfs)" kernel
	inside "ballast-modules status" >"$ROOT.out"
	said "it is said" "the kernel's own, in its initramfs: run update-initramfs -u -k"
	inside "mv /tmp/zz-ballast /etc/kernel/header_postinst.d/"
	ok "with our hook behind them" inside "$headers"
	is "it has Ballast's" "$(initramfs)" updates
	ok "purge" apt purge ballast-dkms
	is "and then the kernel's own" "$(initramfs)" kernel
	inside "sed -i /virtio_balloon/d /etc/initramfs-tools/modules
		update-initramfs -u -k $ROOT_KERNEL" >>"$LOG/initramfs.log" 2>&1
	# The key is DKMS's, and stays for others. modules.* are depmod's.
	is "nothing is left" "$(diff <(echo "$before") <(root_files) |
		grep '^[<>]' | grep -v 'var/lib/dkms/mok\.')" ""
	root_close
}

for debian; do
	one "$debian"
done
done_testing
