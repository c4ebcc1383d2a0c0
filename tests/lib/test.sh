# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# What a TAP test with guests begins with:
#
#	. "$(dirname "$0")/../lib/test.sh"
#	guests "$@"
#
# From there on the script runs on the private libvirtd, see libvirt.sh; with vms
# instead of guests it has none, and runs QEMU itself, see qemu.sh.
#
# GUESTS_QEMU and GUESTS_KERNEL, if set before, are what the accelerator is tried with,
# instead of "stock"; as in qemu_path and kernel_path.

HERE_TEST=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE_TEST/../../scripts/lib.sh"
# shellcheck source=tests/lib/accel.sh
. "$HERE_TEST/accel.sh"
# shellcheck source=tests/lib/libvirt.sh
. "$HERE_TEST/libvirt.sh"
# shellcheck source=tests/lib/guest.sh
. "$HERE_TEST/guest.sh"
# shellcheck source=tests/lib/qemu.sh
. "$HERE_TEST/qemu.sh"
# shellcheck source=tests/lib/tap.sh
. "$HERE_TEST/tap.sh"

# The test's own output, for what is said where stdout is somebody else's.
exec {TAP_OUT}>&1

die() { comment "ballast: $*" >&"$TAP_OUT"; exit 1; }

guests() { guests_begin libvirt_enter "$@"; }
vms() { guests_begin qemu_enter "$@"; }

# guests_begin ENTER ARGUMENT...
guests_begin()
{
	if [ -z "${BALLAST_RUN:-}" ]; then
		[ -r "$OUT/initramfs.cpio.gz" ] ||
			die "no guest image: build/out/initramfs.cpio.gz;" \
				"run 'make guest'"
		accel_probe "$(qemu_path "${GUESTS_QEMU:-stock}")" \
			"$(kernel_path "${GUESTS_KERNEL:-stock}")" \
			"$OUT/initramfs.cpio.gz"
	fi
	"$@"
	comment "accelerator: $ACCEL ($ACCEL_WHY)"
	# A command that nobody expected to fail ends the test: which one?
	set -E
	trap 'comment "stopped at ${BASH_SOURCE[0]##*/}:$LINENO:" \
		"$BASH_COMMAND" >&$TAP_OUT' ERR
	trap guests_end EXIT
}

# A test that stops on its way has failed; what did its guests do then?
guests_end()
{
	local rc=$? name

	[ -z "$tap_done" ] && [ $rc != 0 ] && [ $rc -lt 128 ] || return 0
	trap - ERR
	set +e
	result 1 "the test runs to its end"
	{ vm_names; vsh list --all --name 2>/dev/null; } | while read -r name; do
		[ -z "$name" ] || evidence "$name" </dev/null
	done
	echo "1..$tap_n"
}

guest_state()
{
	if is_vm "$1"; then
		monitor "$1" '{"execute": "query-status"}'
	else
		vsh domstate "$1" --reason
	fi
}

# evidence NAME: what a guest has to say when something has gone wrong.
evidence()
{
	comment "guest $1: $(guest_state "$1" 2>&1)" \
		"$(agent "$1" '{"execute": "guest-ping"}' 10 2>&1)" \
		"$(guest_exec "$1" '
			cat /sys/kernel/debug/virtio_balloon/* 2>/dev/null
			grep -E "^(MemTotal|MemFree|MemAvail|AnonPages)" \
				/proc/meminfo
			ps -o pid,stat,comm | grep -v "\[" | tail -n 12' \
			20 2>&1 | paste -sd '|' | sed 's/|/ | /g')" \
		"its console:" "$(guest_log "$1" | tail -n 12 | tr -d '\r')" \
		"its QEMU:" "$(tail -n 6 "$(domain_log "$1")")"
}

# kernels "A B -- C" [KERNEL...]: those that a test is to run on, into kernels. It
# was given some; or these, but in make check, which runs everything, only those
# before the --. One that is not built is skipped.
kernels()
{
	local default=$1 kernel names

	shift
	[ -z "${BALLAST_SHORT:-}" ] || default=${default%% -- *}
	names=("$@")
	[ $# -gt 0 ] || read -ra names <<< "${default/ -- / }"
	kernels=()
	for kernel in "${names[@]}"; do
		if [ -e "$(kernel_path "$kernel" 2>/dev/null)" ]; then
			kernels+=("$kernel")
		else
			skip "$kernel" "not built"
		fi
	done
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
	setmem_kib "$1" $((total - $2 * 4))
	wait_pages "$1" "$2" "${3:-120}" "$mark"
}

# qmp_balloon NAME BYTES: what virsh would not ask for.
qmp_balloon()
{
	monitor "$1" '{"execute": "balloon",
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
