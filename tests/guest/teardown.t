#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whatever way a script with guests ends, it leaves no process, no mount and no
# huge page behind, and the machine's own libvirt is not touched.

. "$(dirname "$0")/../lib/test.sh"

[ "$(id -u)" = 0 ] || skip_all "needs root"
accel_probe "$(qemu_path stock)" "$(kernel_path stock)" \
	"$OUT/initramfs.cpio.gz"
export BALLAST_ACCEL=$ACCEL
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# What is there now, of what could be left behind.
machine()
{
	cat /proc/sys/vm/nr_hugepages
	grep -E 'hugetlbfs|ballast|libvirt' /proc/self/mounts || true
	find /run /var/lib/libvirt /etc/libvirt /var/log/libvirt -maxdepth 2 \
		-newer "$dir/start" -path '*libvirt*' 2>/dev/null || true
	find /sys/fs/cgroup -maxdepth 2 -name '*machine*' 2>/dev/null || true
}

# in_namespace ID: processes of that PID namespace.
in_namespace()
{
	local proc

	for proc in /proc/[0-9]*; do
		[ "$(readlink "$proc/ns/pid" 2>/dev/null)" != "$1" ] ||
			tr '\0' ' ' < "$proc/cmdline"
	done
}

# run HOW SCRIPT...: a guest on huge pages; the script says when it is in the
# middle of things, and is ended by HOW: a signal, or none. RUNNER is what runs it.
RUNNER=("$TOP/tests/run-guest" --mem 256 --backing hugetlb --)
run()
{
	local how=$1 before ns rc=0 pid

	rm -f "$dir"/{ns,middle,start}
	: > "$dir/start"
	before=$(machine)
	set -m
	# Whoever started us may ignore signals; bash can't undo that itself.
	env --default-signal "${RUNNER[@]}" "
		readlink /proc/self/ns/pid > $dir/ns
		$2" > "$dir/out" 2>&1 </dev/null &
	pid=$!
	set +m
	if [ "$how" != none ]; then
		until_true 60 test -e "$dir/middle" ||
			comment "$(cat "$dir/out")"
		# As a terminal does it: to all of the process group.
		kill -"$how" -- -$pid || true
	fi
	wait $pid || rc=$?
	ns=$(cat "$dir/ns")
	case $how in
	none)	is "$3: status" $rc 0 ;;
	*)	isnt "$3: status" $rc 0 ;;
	esac
	is "$3: no process is left" "$(in_namespace "$ns")" ""
	is "$3: the machine is as it was" "$(machine)" "$before"
	sed -n 's/^logs: //p' "$dir/out" | (cd "$TOP" && xargs -r rm -rf)
}

run none "true" "a good end"
run INT "touch $dir/middle; guest_exec g 'cat /dev/zero > /dev/null'" \
	"Ctrl-C while a guest works"
run INT "setmem g 100; touch $dir/middle; wait_balloon g 1 600" \
	"Ctrl-C while the balloon inflates"
run INT "touch $dir/middle; while :; do guest_stop g; guest_start g --mem 256 --backing hugetlb; done" \
	"Ctrl-C while a guest starts"
run TERM "touch $dir/middle; guest_exec g 'cat /dev/zero > /dev/null'" "SIGTERM"
run none "kill -9 \$(guest_pid g); until ! guest_running g; do sleep 0.1; done" \
	"QEMU is killed"

# The same without libvirtd.
cat > "$dir/direct" <<-END
	. "$TOP/tests/lib/test.sh"
	vms "\$@"
	hugepages_reserve 256
	vm_start g --mem 256 --backing hugetlb
	eval "\$1"
	vm_stop_all
	done_testing
END
RUNNER=(bash "$dir/direct")
run none "true" "without libvirtd, a good end"
run INT "vm_next g; vm_migrate g; touch $dir/middle; vm_wait_event g never 600" \
	"Ctrl-C while a guest migrates"
run TERM "touch $dir/middle; guest_exec g 'cat /dev/zero > /dev/null'" \
	"SIGTERM without libvirtd"
run none "kill -9 \$(guest_pid g); until ! vm_running g; do sleep 0.1; done" \
	"QEMU is killed, without libvirtd"

# Two at a time: what one uses is not busy for the other.
"$TOP/tests/run-guest" --mem 256 -- "touch $dir/one
	until [ -e $dir/two ]; do sleep 0.1; done; vsh list --name" \
	> "$dir/out1" 2>&1 </dev/null &
pid=$!
until_true 60 test -e "$dir/one" || true
ok "a second one beside the first" "$TOP/tests/run-guest" --mem 256 -- \
	"touch $dir/two; vsh list --name"
touch "$dir/two"
rc=0
wait $pid || rc=$?
is "and the first is well" $rc 0
done_testing
