#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What else happens to a ballooned guest: stop and cont, reset, reboot, the driver
# unloaded, the device unplugged, suspend to memory and to disk, each with an
# inflated balloon or in the middle of inflating. Host and guest agree afterwards,
# contents are whole, and the host has no more of the guest's memory than the
# balloon leaves it.
#
# lifecycle.t [CASE...]: only these.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/migrations.sh
. "$(dirname "$0")/../lib/migrations.sh"
vms "$@"

MEM=512
MUCH=$((110 * 512 + 77))	# pages
SHORT=${BALLAST_SHORT:-}
MODULE='cd /lib/modules/$(uname -r); cd'

# settled NAME WHAT PAGES
settled()
{
	agree "$@"
	fits "$1" "$2"
}

# begin NAME DRIVER OPTION...: a guest whose balloon is large.
begin()
{
	comment "$SECONDS s: $*"
	vm_begin "$1" --balloon "$2" --qemu patched --mem $MEM "${@:3}"
	inflated "$1" before
}

inflated()
{
	vm_balloon_to "$1" $MUCH
	settled "$1" "$1: $2" $MUCH
}

# all_back NAME WHAT: the balloon is empty, and all memory can be used.
all_back()
{
	vm_balloon_to "$1" 0
	settled "$1" "$1: $2" 0
	guest_exec "$1" 'hold stop'
	ok "$1: $2: all memory can be used" vm_fill "$1"
}

# booted NAME WHAT MARK: it boots since then, and the target is what it was.
booted()
{
	vm_wait_up "$1" "$3"
	ok "$1: $2: the target is reached" vm_reached "$1" $MUCH
	# Those of before are gone.
	ok "$1: $2: it can be used" guest_exec "$1" \
		'hold start --mib 80 --pattern regular --keep 1/4'
	settled "$1" "$1: $2" $MUCH
}

# stop NAME: it stands still, is asked for something else, and goes on.
stop()
{
	local pages

	vm_balloon_to "$1" 0
	vm_reached "$1" 0
	vm_begins_to "$1" $MUCH
	vm_do "$1" stop >/dev/null
	pages=$(vm_balloon_pages "$1")
	comment "stopped at $pages of $MUCH pages"
	vm_do "$1" cont >/dev/null
	settled "$1" "$1: stopped while it inflates" $MUCH
	vm_begins_to "$1" 1000
	vm_do "$1" stop >/dev/null
	vm_balloon_to "$1" $MUCH
	vm_do "$1" cont >/dev/null
	settled "$1" "$1: stopped, and another target" $MUCH
}

# reset NAME: before the new guest has said anything there is nothing in its balloon.
reset()
{
	local mark

	vm_do "$1" stop >/dev/null
	mark=$(vm_mark "$1")
	vm_do "$1" system_reset >/dev/null
	vm_wait_event "$1" '"RESET"' 60 "$mark" >/dev/null
	is "$1: reset: the balloon is empty" "$(vm_balloon_pages "$1")" 0
	vm_do "$1" cont >/dev/null
	booted "$1" "reset" "$mark"

	# In the middle of it.
	vm_balloon_to "$1" 0
	vm_reached "$1" 0
	vm_begins_to "$1" $MUCH
	mark=$(vm_mark "$1")
	vm_do "$1" system_reset >/dev/null
	booted "$1" "reset while it inflates" "$mark"
}

reboot()
{
	local mark

	mark=$(vm_mark "$1")
	vm_begin_exec "$1" 'reboot -f'
	ok "$1: it reboots" vm_wait_event "$1" '"RESET".*"guest-reset"' 60 "$mark"
	booted "$1" "reboot" "$mark"
}

# unload NAME FOLDER: what the host is told, and what the guest has, is as at first.
unload()
{
	ok "$1: the driver goes" guest_exec "$1" 'rmmod virtio_balloon'
	is "$1: unloaded: the balloon is empty" "$(vm_balloon_pages "$1")" 0
	is "$1: unloaded: MemTotal is that of the boot" "$(vm_total "$1")" \
		"$(cat "$RUN/$1.total")"
	ok "$1: unloaded: contents are whole" hold "$1" check
	ok "$1: the driver comes" guest_exec "$1" \
		"$MODULE $2; insmod ./virtio_balloon.ko"
	settled "$1" "$1: loaded again" $MUCH
}

# bind NAME: the device is taken from its driver, and from its bus.
bind()
{
	local bus

	for bus in virtio/drivers/virtio_balloon/virtio pci/drivers/virtio-pci/0000:00:04; do
		ok "$1: unbind: ${bus%%/*}" guest_exec "$1" "cd /sys/bus/${bus%/*}
			set -- ${bus##*/}*
			echo \$1 > /run/bound
			echo \$1 > unbind"
		is "$1: unbound, ${bus%%/*}: the balloon is empty" \
			"$(vm_balloon_pages "$1")" 0
		is "$1: unbound, ${bus%%/*}: MemTotal is that of the boot" \
			"$(vm_total "$1")" "$(cat "$RUN/$1.total")"
		ok "$1: bind: ${bus%%/*}" guest_exec "$1" "cd /sys/bus/${bus%/*}
			cat /run/bound > bind"
		settled "$1" "$1: bound again, ${bus%%/*}" $MUCH
	done
}

unplug()
{
	local mark

	if ! guest_exec "$1" '[ -e /sys/bus/pci/slots/4 ]'; then
		skip "$1: unplug" "this kernel has no CONFIG_HOTPLUG_PCI_ACPI"
		return
	fi
	mark=$(vm_mark "$1")
	vm_do "$1" device_del '{"id": "balloon0"}' >/dev/null
	ok "$1: it is unplugged" vm_wait_event "$1" \
		'"DEVICE_DELETED".*"device": "balloon0"' 60 "$mark"
	is "$1: unplugged: MemTotal is that of the boot" "$(vm_total "$1")" \
		"$(cat "$RUN/$1.total")"
	ok "$1: unplugged: contents are whole" hold "$1" check
	ok "$1: it is plugged" vm_do "$1" device_add '{"addr": "4",
		"driver": "virtio-balloon-pci", "id": "balloon0",
		"free-page-reporting": true}'
	ok "$1: the driver has it" until_guest "$1" 60 \
		'[ -e /sys/bus/virtio/drivers/virtio_balloon/virtio* ]'
	is "$1: plugged: the balloon is empty" "$(vm_balloon_pages "$1")" 0
	inflated "$1" "plugged again"
	# In the middle of it.
	vm_balloon_to "$1" 0
	vm_reached "$1" 0
	mark=$(vm_mark "$1")
	vm_begins_to "$1" $MUCH
	vm_do "$1" device_del '{"id": "balloon0"}' >/dev/null
	ok "$1: it is unplugged while it inflates" vm_wait_event "$1" \
		'"DEVICE_DELETED".*"device": "balloon0"' 60 "$mark"
	is "$1: unplugged: MemTotal is that of the boot" "$(vm_total "$1")" \
		"$(cat "$RUN/$1.total")"
	vm_do "$1" device_add '{"driver": "virtio-balloon-pci",
		"id": "balloon0", "addr": "4", "free-page-reporting": true}' \
		>/dev/null
	inflated "$1" "plugged again"
}

# s3 NAME: suspend to memory
s3()
{
	local mark

	guest_exec "$1" 'grep -qw mem /sys/power/state' ||
		{ skip "$1: S3" "this kernel has none"; return; }
	mark=$(vm_mark "$1")
	vm_begin_exec "$1" 'echo mem > /sys/power/state'
	ok "$1: S3: it sleeps" vm_wait_event "$1" '"SUSPEND"' 60 "$mark"
	vm_do "$1" system_wakeup >/dev/null
	ok "$1: S3: it wakes up" vm_wait_event "$1" '"WAKEUP"' 60 "$mark"
	ok "$1: S3: the agent answers" guest_exec "$1" true
	settled "$1" "$1: S3" $MUCH
}

# life NAME DRIVER FOLDER OPTION...: all of it. Where the kernel is in memory makes
# a page's difference in MemTotal from boot to boot.
life()
{
	begin "$1" "$2" --cmdline nokaslr "${@:4}"
	stop "$1"
	unload "$1" "$3"
	bind "$1"
	unplug "$1"
	s3 "$1"
	all_back "$1" "all of that"
	inflated "$1" "for the reset"
	reset "$1"
	reboot "$1"
	vm_balloon_to "$1" 0
	settled "$1" "$1: the end" 0
	finish "$1"
}

case_ours() { life ours ballast ballast --kernel ballast --fpr on; }
case_modules() { life modules ballast ballast --fpr on; }
case_stock() { life stock stock stock --fpr off; }

# Suspend to disk: on our kernel, that has the disk's driver when it looks for what
# it left.

case_s4()
{
	local options=(--kernel ballast --fpr on --image "$RUN/swap.disk"
		--cmdline "resume=/dev/vda hibernate=nocompress")
	local pid

	vm_image "$RUN/swap.disk" 1024
	begin s4 ballast "${options[@]}"
	guest_exec s4 'mkswap /dev/vda && swapon /dev/vda' >/dev/null
	pid=$(guest_pid s4)
	vm_begin_exec s4 'echo disk > /sys/power/state'
	ok "s4: it sleeps" vm_wait_event s4 SUSPEND_DISK 120
	timeout 60 tail --pid="$pid" -s 0.1 -f /dev/null
	ok "s4: it is off" no vm_running s4
	vm_stop s4
	vm_start s4 --balloon ballast --qemu patched --mem $MEM "${options[@]}"
	# The host's order is of the new QEMU.
	settled s4 "s4: it is where it was" 0
	inflated s4 "again"
	all_back s4 "the end"
	finish s4
}

no() { ! "$@"; }

if [ $# = 0 ]; then
	set -- modules ours stock s4
	[ -z "$SHORT" ] || set -- modules s4
fi
for kind; do
	"case_$kind"
done
done_testing
