#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ballast-libvirt on a host with systemd, which is a guest with the Debian that it was
# built on: ballastd as a service, all that its unit leaves it, killed, upgraded
# while a guest runs, purged.

. "$(dirname "$0")/../lib/test.sh"
SYSTEM_KIND=host
. "$TOP/tests/lib/system.sh"
SYSTEM_DEBIAN=$(debian)
system_guests "$@"

(
	system_open
	root_newer "$ROOT/repository/newer"
	root_image "$SYSTEM" 4096
	dpkg-deb -f "$ROOT"/repository/ballast-libvirt_*.deb Version >"$RUN/version"
	dpkg-deb -f "$ROOT"/repository/newer/ballast-libvirt_*.deb Version >"$RUN/newer"
	root_close
)

settings="[ballastd]
mode = active
metrics = 127.0.0.1:9547
record = /var/lib/ballast/record
socket_group = libvirt
[host]
grow_hugepages = room"

# It never runs: it has its memory, and that is all.
domain="<domain type='qemu'>
<name>v</name><memory unit='MiB'>64</memory>
<memoryBacking><hugepages/></memoryBacking>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<memballoon model='virtio'/></devices>
</domain>"

unit() { guest_exec g "systemctl show -P $1 ballastd"; }
journal() { until_guest g 60 "journalctl -u ballastd | grep -qE \"$1\""; }
system() { guest_exec g 'systemctl is-system-running --wait' || true; }

# serves WHAT PID: as a service, no longer that process
serves()
{
	ok "$1: it is up" until_guest g 120 "systemctl is-active -q ballastd &&
		[ \$(systemctl show -P MainPID ballastd) != $2 ]"
	ok "$1: it answers" guest_exec g 'ballastctl status'
}

boot
now "up"
is "before: nothing has failed" "$(system)" running
before=$(guest_exec g "cd / && $root_files")

# --- install
ok "install" apt install ballast-libvirt
now "installed"
serves "installed" 0
is "installed: it is for the next boot, too" \
	"$(guest_exec g 'systemctl is-enabled ballastd')" enabled
is "installed: a dry run" \
	"$(guest_exec g 'ballastctl status | grep -ci dry.run')" 1

# --- what the unit leaves it
echo "$settings" >"$RUN/settings"
guest_put g "$RUN/settings" /etc/ballast/ballastd.conf
guest_exec g 'systemctl restart ballastd'
now "with settings"
serves "settings" 0
is "settings: the group has its socket" "$(guest_exec g \
	'stat -c "%U %G %a" /run/ballast/ballastd.sock')" "root libvirt 660"
ok "settings: it serves metrics" guest_exec g \
	'busybox wget -qO - http://127.0.0.1:9547/metrics | grep -q ^ballast_'
ok "settings: it writes its record" until_guest g 60 '[ -s /var/lib/ballast/record ]'
ok "settings: systemd hears that it lives" until_guest g 60 \
	'[ $(systemctl show -P WatchdogTimestampMonotonic ballastd) -gt \
	$(($(systemctl show -P ActiveEnterTimestampMonotonic ballastd) + 10000000)) ]'
guest_exec g 'echo "huge_reserve = many" >>/etc/ballast/ballastd.conf'
ok "reload: fails with bad settings" guest_exec g '! systemctl reload ballastd'
ok "reload: which the journal names" journal "ballastd.conf:8: .*many"
mode() { echo "ballastctl status | grep -q \"^mode *$1\""; }
ok "reload: the old ones hold" guest_exec g "$(mode active)"
guest_exec g 'sed -i -e "/many/d" -e "s/active/dry-run/" /etc/ballast/ballastd.conf
	systemctl reload ballastd'
ok "reload: good ones hold" until_guest g 60 "$(mode dry)"
guest_exec g 'sed -i "s/dry-run/active/" /etc/ballast/ballastd.conf
	systemctl reload ballastd'
ok "reload: the first ones hold again" until_guest g 60 "$(mode active)"

# --- a guest of its own
echo "$domain" >"$RUN/v.xml"
guest_put g "$RUN/v.xml" /v.xml
is "no huge pages" "$(guest_exec g 'cat /proc/sys/vm/nr_hugepages')" 0
ok "a guest on huge pages starts" guest_exec g 'virsh -q create --paused /v.xml'
now "a guest"
is "for which ballastd has made them" \
	"$(guest_exec g 'cat /proc/sys/vm/nr_hugepages')" 32
ok "as libvirt's hook asked" journal "huge pages of 2 MiB made for v"
ok "it follows the guest" until_guest g 60 'ballastctl list | grep -q "^ *v "'
ok "the guest is left alone" guest_exec g 'ballastctl pause v'
paused() { ok "$1: the guest is left alone still" until_guest g 60 \
	'ballastctl list | grep -q "^ *v .*unmanaged"'; }
paused "pause"
qemu=$(guest_exec g 'cat /run/libvirt/qemu/v.pid')

# --- killed
pid=$(unit MainPID)
guest_exec g "kill -9 $pid"
now "killed"
serves "killed" "$pid"
paused "killed"

# --- a newer build
guest_exec g 'cd /repository && rm ./*.deb && mv newer/* .'
ok "apt looks again" apt "$root_update"
pid=$(unit MainPID)
ok "upgrade" apt install ballast-libvirt
now "upgraded"
is "upgrade: there is another" "$(guest_exec g \
	'dpkg-query -W -f "\${Version}" ballast-libvirt')" "$(cat "$RUN/newer")"
isnt "upgrade: than before" "$(cat "$RUN/version")" "$(cat "$RUN/newer")"
serves "upgrade" "$pid"
is "upgrade: that is the program which runs" "$(guest_exec g \
	"readlink /proc/$(unit MainPID)/exe")" /usr/sbin/ballastd
is "upgrade: the settings stay" \
	"$(guest_exec g 'cat /etc/ballast/ballastd.conf')" "$settings"
paused "upgrade"
is "upgrade: the guest runs on" "$(guest_exec g 'cat /run/libvirt/qemu/v.pid')" "$qemu"
ok "upgrade: it may be commanded again" guest_exec g 'ballastctl resume v'
ok "the guest ends" guest_exec g 'virsh -q destroy v'
ok "its huge pages are gone" until_guest g 60 '[ $(cat /proc/sys/vm/nr_hugepages) = 0 ]'

# --- away
ok "purge" apt purge ballast-libvirt
now "purged"
is "purge: no such unit" "$(unit LoadState)" not-found
is "purge: nothing has failed" "$(system)" running
is "purge: nothing is left" "$(diff <(echo "$before") \
	<(guest_exec g "cd / && $root_files") | grep -i ballast || true)" ""
# It is a file system of its own.
is "purge: nor in /run" "$(guest_exec g 'ls /run | grep -i ballast' || true)" ""
away "purged"
done_testing
