#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by host.t in a Debian of its own, as root of it: a libvirtd that runs already
# when the packages come, a guest on Ballast's QEMU, and the way back.

. /tap.sh

export LIBVIRT_DEFAULT_URI=qemu:///system
emulator=/usr/lib/ballast/qemu-system-x86_64
switch=/usr/lib/ballast/switch-emulator

apt() { apt-get -q -y -o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 "$@"; }

# The program that the guest runs on.
running() { readlink "/proc/$(cat /run/libvirt/qemu/g.pid)/exe"; }

# until_true SECONDS COMMAND...
until_true()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# It has no cgroups, no other user's rights, and nobody who logs for it.
cat >/etc/libvirt/qemu.conf <<-'CONF'
	security_driver = "none"
	user = "root"
	group = "root"
	dynamic_ownership = 0
	remember_owner = 0
	namespaces = []
	cgroup_controllers = []
	stdio_handler = "file"
CONF
mount -t sysfs sysfs /sys
mount -t tmpfs cgroup /sys/fs/cgroup
mkdir -p /run/libvirt
libvirtd >/var/log/libvirtd.out 2>&1 &
libvirtd=$!
ok "libvirtd" until_true 60 virsh -q list

# A guest that does nothing, with a balloon, under metadata that looks like XML
# of libvirt's own.
cat >/guest.xml <<-'XML'
	<domain type='qemu'>
	  <name>g</name>
	  <uuid>5f1c5a0e-0f0c-4a55-9a0b-6b616c6c6173</uuid>
	  <metadata><x:x xmlns:x='urn:x'>
	  <devices>
	    <emulator>not this one</emulator>
	  </devices></x:x></metadata>
	  <memory unit='MiB'>128</memory>
	  <os><type arch='x86_64' machine='q35'>hvm</type></os>
	  <devices>
	    <emulator>/usr/bin/qemu-system-x86_64</emulator>
	    <graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>
	    <video><model type='virtio'/></video>
	    <input type='tablet' bus='usb'/>
	    <interface type='user'><model type='virtio'/></interface>
	    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
	    <memballoon model='virtio' autodeflate='on' freePageReporting='on'/>
	  </devices>
	</domain>
XML
ok "a guest" virsh -q define /guest.xml

ok "install" apt install ballast-libvirt ballast-qemu ballast-dev
is "the hook is where libvirt looks" \
	"$(stat -L -c '%a %F' /etc/libvirt/hooks/qemu.d/ballast)" "755 regular file"
ok "libvirtd lives on" kill -0 $libvirtd
ok "the settings are good" ballastd --check
is "they are as they were made: a dry run" \
	"$(grep -c '^[^#;[]' /etc/ballast/ballastd.conf)" 0
is "the settings are the administrator's to keep" \
	"$(dpkg-query -W -f '${Conffiles}\n' ballast-libvirt | awk 'NF { print $1 }')" \
	/etc/ballast/ballastd.conf
ok "the unit is enabled" \
	[ -L /etc/systemd/system/multi-user.target.wants/ballastd.service ]
ok "each command has a manual" test -e /usr/share/man/man8/ballastd.8.gz \
	-a -e /usr/share/man/man1/ballastctl.1.gz \
	-a -e /usr/share/man/man8/ballast-hook.8.gz

ballastd -v >/var/log/ballastd.log 2>&1 &
ballastd=$!
ok "ballastd" until_true 30 ballastctl status
is "in a dry run" "$(ballastctl status | grep -ci 'dry.run')" 1

# --- the emulator
ok "the emulator runs" $emulator --version
case $(virsh -q version) in
*"libvirt 9.0."*)
	ok "a guest that could not start there is not switched" \
		sh -c "! $switch g ballast" ;;
esac
sed -i "s|<memory |<features><acpi/></features>&|" /guest.xml
ok "one with ACPI" virsh -q define /guest.xml
ok "to Ballast's" $switch g ballast
is "it is asked" "$($switch g)" $emulator
is "nothing else has changed" \
	"$(virsh dumpxml --security-info g | grep -E 'not this one|secret' | wc -l)" 2
is "once more is no error" "$($switch g ballast)" "g has $emulator already"
ok "the guest starts" virsh -q start g
is "with it" "$(running)" $emulator
ok "its balloon is Ballast's" virsh -q qemu-monitor-command g \
	'{"execute": "x-query-balloon"}'
# It ran before the hook was there, so it was told to look again.
ok "libvirt called the hook, ballastd made room" until_true 20 \
	grep -q "for g: there is room" /var/log/ballastd.log
ok "ballastctl sees the guest" grep -q '^ *g ' <(ballastctl list)
comment "$(cat /var/log/ballastd.log)"
ok "the guest ends" virsh -q destroy g
ok "and back" $switch g stock
is "it is asked" "$($switch g)" /usr/bin/qemu-system-x86_64
ok "starts again" virsh -q start g
is "with Debian's" "$(running)" \
	/usr/bin/qemu-system-x86_64
ok "a guest that is not there is an error" sh -c "! $switch nobody ballast"
virsh -q destroy g

virsh -q dumpxml --inactive g | sed "s|<name>g|<name>t|; /<uuid>/d; /<graphics/,/<\/graphics/d" \
	>/transient.xml
ok "a guest without a definition" virsh -q create /transient.xml
is "is not given one" "$($switch t ballast 2>&1)" \
	"switch-emulator: t has no definition that it starts from: it is transient"
is "it has none" "$(virsh -q list --all --name --persistent | grep -cx t)" 0
virsh -q destroy t
ok "one that has what ours alone knows" virsh -q desc g --config hugetlb-reserve
$switch g ballast >/dev/null
is "does not go back with it" "$($switch g stock 2>&1 | cut -d , -f 1)" \
	"switch-emulator: g has hugetlb-reserve in its definition"
is "it keeps what it had" "$($switch g)" $emulator
virsh -q desc g --config ''
ok "without that it goes" $switch g stock

# --- what authors of drivers have
release=$(ls /lib/modules)
ok "drivers build from the package" make -C /usr/share/ballast/drivers \
	KDIR="/lib/modules/$release/build" O=/tmp/drivers
cp -r /usr/share/ballast/drivers/sample /tmp/sample
ok "so does the sample alone" make -C /tmp/sample \
	KDIR="/lib/modules/$release/build" BALLAST=/usr/share/ballast/drivers \
	SYMVERS=/tmp/drivers/Module.symvers
ok "and the kit" test -e /tmp/drivers/driver_pages_selftest.ko
ok "the guide is there" test -s /usr/share/doc/ballast-dev/DRIVER-GUIDE.md

# --- away
kill $ballastd
wait $ballastd
ok "what is written in the settings" sh -c 'echo "# mine" >>/etc/ballast/ballastd.conf'
ok "remove" apt remove ballast-libvirt ballast-qemu ballast-dev
is "stays" "$(tail -n 1 /etc/ballast/ballastd.conf)" '# mine'
ok "the hook does not" test ! -e /etc/libvirt/hooks/qemu.d/ballast \
	-a ! -L /etc/libvirt/hooks/qemu.d/ballast
ok "guests start without it" virsh -q start g
virsh -q destroy g
virsh -q undefine g
ok "purge" apt autoremove --purge ballast-libvirt ballast-qemu ballast-dev
kill $libvirtd
wait $libvirtd
rm -r /guest.xml /transient.xml /tmp/drivers /tmp/sample
done_testing
