# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# What a TAP test with guests begins with:
#
#	. "$(dirname "$0")/../lib/test.sh"
#	guests "$@"
#
# From there on the script runs on the private libvirtd, see libvirt.sh.

HERE_TEST=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE_TEST/../../scripts/lib.sh"
# shellcheck source=tests/lib/accel.sh
. "$HERE_TEST/accel.sh"
# shellcheck source=tests/lib/libvirt.sh
. "$HERE_TEST/libvirt.sh"
# shellcheck source=tests/lib/guest.sh
. "$HERE_TEST/guest.sh"
# shellcheck source=tests/lib/tap.sh
. "$HERE_TEST/tap.sh"

guests()
{
	if [ -z "${BALLAST_RUN:-}" ]; then
		[ -r "$OUT/initramfs.cpio.gz" ] ||
			die "no guest image: build/out/initramfs.cpio.gz;" \
				"run 'make guest'"
		accel_probe "$(qemu_path stock)" "$(kernel_path stock)" \
			"$OUT/initramfs.cpio.gz"
	fi
	libvirt_enter "$@"
	comment "accelerator: $ACCEL ($ACCEL_WHY)"
	# A command that nobody expected to fail ends the test: which one?
	set -E
	exec {TAP_OUT}>&1
	trap 'comment "stopped at ${BASH_SOURCE[0]##*/}:$LINENO:" \
		"$BASH_COMMAND" >&$TAP_OUT' ERR
}

# snap NAME: what the guest says about itself, into B: the balloon's counters
# (with our driver), MemTotal and so on in KiB, oom_kill, the offline pages.
declare -A B=()
snap()
{
	local key value

	B=()
	while read -r key value; do
		B[$key]=$value
	done < <(guest_exec "$1" '
		cat /sys/kernel/debug/virtio_balloon/* 2>/dev/null
		sed -n "s/^\(Mem[A-Za-z]*\): *\([0-9]*\).*/\1 \2/p" \
			/proc/meminfo
		grep -E "^(oom_kill|balloon_|pgmigrate_)" /proc/vmstat
		blockmap | grep offline')
}

# until_guest NAME SECONDS 'CONDITION': until it holds in the guest, looked at
# there.
until_guest()
{
	guest_exec "$1" "timeout $2 sh -c '
		until $3; do usleep 50000; done'" $(($2 + 30))
}

# until_true SECONDS COMMAND...: the same on the host.
until_true()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# wait_pages NAME PAGES SECONDS MARK: until the guest has said since MARK that
# its balloon holds so many pages of 4 KiB.
wait_pages()
{
	wait_line "$3" "$(domain_log "$1")" "$4" \
		"virtio_balloon_set_config actual: $2 " >/dev/null
}

# balloon_pages NAME PAGES [SECONDS]: make the balloon so large.
balloon_pages()
{
	local mark total

	total=$(($(guest_mib "$1") * 1024))
	mark=$(log_mark "$1")
	vsh setmem "$1" --size "$((total - $2 * 4))KiB" --live
	wait_pages "$1" "$2" "${3:-120}" "$mark"
}

# qmp_balloon NAME BYTES: what virsh would not ask for.
qmp_balloon()
{
	vsh qemu-monitor-command "$1" '{"execute": "balloon",
		"arguments": {"value": '"$2"'}}' | jq -c '.error // "fine"'
}

# hold NAME start|check|stop ...: memhold in the guest.
hold() { guest_exec "$1" "hold ${*:2}"; }

# finish NAME: the guest's log must be clean; stop it.
finish()
{
	ok "$1: nothing in the kernel's log" guest_check_log "$1"
	guest_stop "$1"
}
