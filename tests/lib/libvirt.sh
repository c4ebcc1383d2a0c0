# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A libvirtd of our own. The script that calls libvirt_enter is run again
# inside its own mount, pid, network and IPC namespaces, where the paths that
# libvirtd uses are private. What it starts can't outlive it: when the inner
# script ends, or is killed, the kernel ends every process and mount there.
#
#	. lib.sh; . libvirt.sh
#	libvirt_enter "$@"	# returns only on the inside, libvirtd running
#
# RUN is then the run's directory (logs, consoles, events); it is kept if the
# script failed.

# libvirt_enter ARGUMENT...: the script's own arguments.
libvirt_enter()
{
	namespaces_enter "libvirtd virsh" "$@"
	libvirt_up
}

# namespaces_enter "TOOL..." ARGUMENT...: the namespaces alone.
namespaces_enter()
{
	local tool

	if [ -n "${BALLAST_RUN:-}" ]; then
		RUN=$BALLAST_RUN
		return
	fi
	need_root "running guests"
	for tool in $1 unshare jq; do
		PATH=$PATH:/usr/sbin command -v $tool >/dev/null ||
			die "$tool not found: needed to run guests;" \
				"run 'make setup'"
	done
	unshare -m -p -n -i --fork --kill-child --mount-proc true 2>/dev/null ||
		die "no namespaces: unshare failed;" \
			"run outside the container, or as a privileged one"
	shift
	libvirt_outer "$@"
}

# The outer half: start the inner one, wait, put the machine back.
libvirt_outer()
{
	local rc=0

	RUN=$LOG/run-$(basename "$0" .sh)-$$
	mkdir -p "$RUN"
	trap libvirt_outer_end EXIT
	BALLAST_RUN=$RUN PATH=$PATH:/usr/sbin:/sbin \
		unshare -m -p -n -i --fork --kill-child --mount-proc \
		bash "$0" "$@" <&0 &
	LIBVIRT_UNSHARE=$!
	wait $LIBVIRT_UNSHARE || rc=$?
	LIBVIRT_UNSHARE=
	exit $rc
}

libvirt_outer_end()
{
	local rc=$? child=

	trap '' INT TERM HUP
	if [ -n "$LIBVIRT_UNSHARE" ]; then
		read -r child < \
			"/proc/$LIBVIRT_UNSHARE/task/$LIBVIRT_UNSHARE/children" \
			2>/dev/null || true
		kill -KILL "$LIBVIRT_UNSHARE" 2>/dev/null || true
		wait "$LIBVIRT_UNSHARE" 2>/dev/null || true
		# The first process of the namespace is the last to go. Guests
		# may be large, so give their memory time to be freed.
		for _ in {1..200}; do
			readlink "/proc/${child:-none}/exe" >/dev/null 2>&1 ||
				break
			sleep 0.1
		done
	fi
	hugepages_release "$(cat "$RUN/hugepages" 2>/dev/null || echo 0)"
	# Large, and of no use to anybody who looks for a fault.
	rm -f "$RUN"/*.disk
	if [ $rc = 0 ] && [ -z "${BALLAST_KEEP:-}" ]; then
		rm -rf "$RUN"
	else
		echo "logs: ${RUN#"$TOP"/}" >&2
	fi
}

# libvirt_account passwd|group LINE: libvirtd looks these up even if its
# configuration names others; only the daemon's system package creates them.
libvirt_account()
{
	! getent "$1" "${2%%:*}" >/dev/null || return 0
	{ cat "/etc/$1"; echo "$2"; } > "$RUN/$1"
	mount --bind "$RUN/$1" "/etc/$1"
}

# Private copies of all that libvirtd reads and writes.
libvirt_mounts()
{
	local dir

	ip link set lo up 2>/dev/null || true
	mkdir -p "$RUN/log" "$BUILD/libvirt-cache"
	for dir in /run /etc/libvirt /var/lib/libvirt; do
		mkdir -p $dir
		mount -t tmpfs -o mode=755 ballast $dir
	done
	mkdir -p /var/log/libvirt /var/cache/libvirt /run/huge
	mount --bind "$RUN/log" /var/log/libvirt
	mount --bind "$BUILD/libvirt-cache" /var/cache/libvirt
	mount -t hugetlbfs -o pagesize=2M ballast /run/huge
	libvirt_account passwd libvirt-qemu:x:64055:64055::/nonexistent:/bin/false
	libvirt_account group libvirt-qemu:x:64055:
	# libvirt needs no cgroups then, and leaves none behind.
	[ ! -d /sys/fs/cgroup ] || mount -t tmpfs ballast /sys/fs/cgroup
	cat > /etc/libvirt/libvirtd.conf <<-'END'
		auth_unix_ro = "none"
		auth_unix_rw = "none"
		unix_sock_group = "root"
		keepalive_interval = -1
		log_level = 3
		log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
	END
	cat > /etc/libvirt/qemu.conf <<-'END'
		security_driver = "none"
		user = "root"
		group = "root"
		dynamic_ownership = 0
		remember_owner = 0
		namespaces = []
		cgroup_controllers = []
		seccomp_sandbox = 0
		hugetlbfs_mount = "/run/huge"
		stdio_handler = "file"
	END
}

libvirt_up()
{
	libvirt_mounts
	export LIBVIRT_DEFAULT_URI=qemu:///system RUN
	libvirtd_start
	# All of libvirt's events, one a line, for those who wait. A busy
	# machine may stall for longer than keepalive has patience: none here.
	: > "$RUN/events"
	while :; do
		stdbuf -oL virsh -q -k 0 event --all --loop --timestamp || true
		sleep 0.2
	done >> "$RUN/events" 2>&1 </dev/null &
}

# libvirtd_start: until it answers.
libvirtd_start()
{
	local end

	libvirtd > "$RUN/log/libvirtd.out" 2>&1 </dev/null &
	LIBVIRTD_PID=$!
	end=$((SECONDS + 30))
	until virsh -q list >/dev/null 2>&1; do
		if ! kill -0 $LIBVIRTD_PID 2>/dev/null ||
		   [ $SECONDS -ge $end ]; then
			die "libvirtd does not start:" \
				"$(cat "$RUN"/log/libvirtd.{out,log} \
					2>/dev/null | tail -n 1);" \
				"see ${RUN#"$TOP"/}/log"
		fi
		sleep 0.05
	done
}

# hugepages_change N: under a lock, since the number is the whole machine's;
# what this run has is kept in $RUN/hugepages, for the end.
hugepages_change()
{
	local f=/proc/sys/vm/nr_hugepages have mine

	exec {lock}< "$BUILD/libvirt-cache"
	flock "$lock"
	have=$(cat $f)
	mine=$(cat "$RUN/hugepages" 2>/dev/null || echo 0)
	echo $((have + $1)) > $f
	mine=$((mine + $(cat $f) - have))
	echo $mine > "$RUN/hugepages"
	exec {lock}<&-
}

# hugepages_reserve N: the host has N more free 2 MiB pages than before.
hugepages_reserve()
{
	local before now

	before=$(cat "$RUN/hugepages" 2>/dev/null || echo 0)
	echo 1 > /proc/sys/vm/compact_memory
	hugepages_change "$1"
	now=$(cat "$RUN/hugepages")
	[ "$now" -lt $((before + $1)) ] || return 0
	hugepages_change $((before - now))
	return 1
}

# hugepages_release N: undo.
hugepages_release()
{
	[ "$1" = 0 ] || hugepages_change "-$1"
}

# The huge pages that another guest could have now.
hugepages_available()
{
	awk '/^HugePages_Free/{f = $2} /^HugePages_Rsvd/{r = $2}
		END {print f - r}' /proc/meminfo
}
