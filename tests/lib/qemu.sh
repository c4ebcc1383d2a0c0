# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Guests without libvirtd, which can't migrate to the host that it is on: QEMU is
# run directly. Sizes are MiB. Needs lib.sh, accel.sh, libvirt.sh (the namespaces)
# and guest.sh, whose functions for a guest that runs (guest_exec, setmem,
# wait_balloon, smaps_ram_kib, guest_check_log ...) are for these as well.
#
# A QEMU has a folder, $RUN/vm/NAME:
#
#   qmp, qmp.in      what QEMU said (replies and events), the FIFO that asks it
#   agent, agent.in  the same for the guest's agent
#   log              stderr, with trace events
#   pid, mib, options
#
# What has been said stays in these files, so no event is missed, and nothing has
# to be connected. Where the guest goes, its name goes: NAME+ is the QEMU that
# waits for NAME, and becomes NAME when it has it. They share $RUN/NAME.console.

# qemu_enter ARGUMENT...: the script's own arguments; see libvirt.sh. From there on
# the script is in its namespaces, and so is what it starts.
qemu_enter()
{
	namespaces_enter "" "$@"
	export RUN
	# Short names for sockets, and the lock of hugepages_reserve.
	mount -t tmpfs -o mode=755 ballast /run
	mkdir -p "$RUN/vm" "$BUILD/libvirt-cache"
}

vm_names()
{
	local dir

	for dir in "${RUN:-none}"/vm/*/pid; do
		[ ! -e "$dir" ] || basename "${dir%/pid}"
	done
}

vm_running()
{
	# Of a zombie it can't be read.
	readlink "/proc/$(cat "$RUN/vm/$1/pid")/exe" >/dev/null 2>&1
}

# --- asking

# vm_mark NAME [FILE]: a place in what QEMU (or: agent, log) has said.
vm_mark()
{
	echo $(($(wc -l < "$RUN/vm/$1/${2:-qmp}") + 1))
}

# vm_line NAME FILE MARK SECONDS REGEX: the first line since the mark that matches.
# Waits for it, but not longer than QEMU lives.
vm_line()
{
	local dir=$RUN/vm/$1

	timeout "$4" grep -aEm1 -- "$5" < <(exec tail -n "+$3" \
		--pid="$(cat "$dir/pid")" -s 0.1 -f "$dir/$2" 2>/dev/null)
}

# vm_tell NAME qmp|agent JSON ID: nobody waits for the reply.
vm_tell()
{
	local json=${3#*\{}

	vm_running "$1" || { echo "QEMU of $1 does not run" >&2; return 1; }
	echo "{\"id\": \"$4\", ${json//$'\n'/ }" 1<> "$RUN/vm/$1/$2.in"
}

# vm_ask NAME qmp|agent JSON SECONDS: prints the reply, as one line.
vm_ask()
{
	# Not $RANDOM, which tests draw their lots from.
	local id=$BASHPID-$EPOCHREALTIME mark

	mark=$(vm_mark "$1" "$2")
	vm_tell "$1" "$2" "$3" "$id" || return
	vm_line "$1" "$2" "$mark" "$4" "\"id\": \"${id/./[.]}\"" || {
		echo "no answer from $1: $3" >&2
		return 1
	}
}

# vm_qmp NAME JSON [SECONDS]
vm_qmp() { vm_ask "$1" qmp "$2" "${3:-60}"; }

# vm_agent NAME JSON [SECONDS]
vm_agent()
{
	local reply

	reply=$(vm_ask "$1" agent "$2" "${3:-60}") || return
	[ "${reply:0:9}" != '{"error":' ] || { echo "$reply" >&2; return 1; }
	echo "$reply"
}

# vm_begin_exec NAME 'SHELL COMMAND': it begins in the guest, and nobody asks what
# became of it: for what the agent doesn't outlive.
vm_begin_exec()
{
	vm_tell "$1" agent "$(jq -cn --arg c "$2" '{execute: "guest-exec",
		arguments: {path: "/bin/sh", arg: ["-c", $c]}}')" begun
}

# vm_do NAME COMMAND [ARGUMENTS-JSON [SECONDS]]: prints what it returns; fails if
# that is an error.
vm_do()
{
	local reply error none='{}'

	reply=$(vm_qmp "$1" '{"execute": "'"$2"'", "arguments": '"${3:-$none}"'}' \
		"${4:-60}") || return
	error=$(jq -r '.error.desc // empty' <<< "$reply")
	[ -z "$error" ] || { echo "$1: $2: $error" >&2; return 1; }
	jq -c .return <<< "$reply"
}

# vm_hmp NAME 'LINE': what the human monitor says.
vm_hmp()
{
	vm_do "$1" human-monitor-command "$(jq -cn --arg l "$2" \
		'{"command-line": $l}')" 300 | jq -r .
}

# vm_wait_event NAME REGEX [SECONDS [MARK]]: until QEMU has said so; prints it.
# The mark is a vm_mark taken before; without it, now.
vm_wait_event()
{
	vm_line "$1" qmp "${4:-$(vm_mark "$1")}" "${3:-60}" "\"event\".*$2"
}

# --- starting and stopping

# vm_run NAME QEMU ARGUMENT...: QEMU with a monitor; until it answers there.
vm_run()
{
	local name=$1 dir=$RUN/vm/$1

	rm -rf "$dir"
	mkdir -p "$dir"
	mkfifo "$dir/qmp.in" "$dir/agent.in"
	: > "$dir/qmp"
	# The FIFOs are never at their end, since QEMU has both ends.
	"$2" -name "$name" -nodefaults -no-user-config -display none \
		-msg timestamp=on \
		-chardev "file,id=qmp,path=$dir/qmp,input-path=$dir/qmp.in" \
		-mon chardev=qmp,mode=control "${@:3}" \
		3<> "$dir/qmp.in" 4<> "$dir/agent.in" \
		> "$dir/log" 2>&1 </dev/null &
	echo $! > "$dir/pid"
	disown
	if ! vm_line "$name" qmp 1 60 '"QMP"' >/dev/null ||
	   ! vm_do "$name" qmp_capabilities >/dev/null; then
		die "QEMU $name does not start: $(tail -n 1 "$dir/log");" \
			"see ${dir#"$TOP"/}/log"
	fi
}

# vm_start NAME [OPTION...]: boot a guest and wait for its agent; or with
# --incoming, for QEMU. Of guest_start's options:
#   --kernel --qemu --balloon --params --mem --vcpus --fpr --autodeflate --cmdline
#   --backing thp|memfd|hugetlb (the latter two are shared) --prealloc (thp only)
# and its own:
#   --monitor SOCKET (one more, for QMP)
#   --image FILE (a disk: a qcow2 of vm_image)
#   --incoming URI, or defer
vm_start()
{
	local name=$1 dir=$RUN/vm/$1 rest=() args=() device image='' incoming='' memfd='' monitor=''
	# shellcheck disable=SC2034 # what guest_options sets
	local kernel qemu balloon mem vcpus nodes fpr autodeflate backing prealloc \
		virtio_mem disk cmdline params system
	local options=("${@:2}")

	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--image|--incoming|--monitor)
			printf -v "${1#--}" %s "${2:-}" ;;
		--backing)
			case ${2:-} in
			memfd)	memfd=size=@M,share=on ;;
			hugetlb) memfd=size=@M,share=on,hugetlb=on,hugetlbsize=2M ;;
			*)	rest+=(--backing "${2:-}") memfd='' ;;
			esac ;;
		*)	rest+=("${@:1:2}") ;;
		esac
		shift $(($# > 1 ? 2 : 1))
	done
	guest_options "${rest[@]}"
	# Not those that take more than a QEMU with nothing in it.
	[ "$nodes $virtio_mem $disk$system" = "1 0 0" ] ||
		die "bad option: ${options[*]}; use guest_start for it"

	if [ "$ACCEL" = kvm ]; then
		args+=(-accel kvm -cpu host)
	else
		# A mapping of its own, that is not taken for the guest's memory.
		args+=(-accel "tcg,tb-size=200" -cpu "${BALLAST_CPU:-qemu64}")
	fi
	args+=(-m "$mem" -smp "$vcpus" -machine)
	if [ -n "$memfd" ]; then
		args+=("pc,memory-backend=ram"
			-object "memory-backend-memfd,id=ram,${memfd/@/$mem}")
	elif [ "$prealloc" = on ]; then
		args+=("pc,memory-backend=ram" -object
			"memory-backend-ram,id=ram,size=${mem}M,prealloc=on")
	else
		args+=(pc)
	fi
	[ -z "$monitor" ] ||
		args+=(-chardev "socket,id=more,path=$monitor,server=on,wait=off"
			-mon "chardev=more,mode=control")
	cmdline="console=ttyS0 loglevel=5 panic=-1 $cmdline"
	cmdline+=" ballast.balloon=$balloon"
	[ -z "$params" ] || cmdline+=" ballast.params=$params"
	if [ -n "$image" ]; then
		args+=(-drive "file=$image,format=qcow2,if=none,id=disk,cache=unsafe"
			-device "virtio-blk-pci,drive=disk,addr=5")
		cmdline+=" ballast.load=virtio_blk"
	fi
	[ -z "$incoming" ] || args+=(-incoming "$incoming")
	device=virtio-balloon-pci,id=balloon0,addr=4,free-page-reporting=$fpr
	device+=,deflate-on-oom=$autodeflate
	args+=(-kernel "$kernel" -initrd "$OUT/initramfs.cpio.gz"
		-append "$cmdline"
		-chardev "file,id=console,path=$RUN/${name%%+*}.console,append=on"
		-serial chardev:console
		-chardev "file,id=agent,path=$dir/agent,input-path=$dir/agent.in"
		-device "virtio-serial-pci,addr=3"
		-device "virtserialport,chardev=agent,id=agent,name=org.qemu.guest_agent.0"
		-trace virtio_balloon_to_target -trace virtio_balloon_set_config
		-device "$device")

	vm_run "$name" "$qemu" "${args[@]}"
	printf '%s\n' "${options[@]}" > "$dir/options"
	echo "$mem" > "$dir/mib"
	vm_capabilities "$name"
	[ -n "$incoming" ] || vm_wait_up "$name" 1
}

# vm_wait_up NAME MARK: until the guest that boots since then has its agent.
vm_wait_up()
{
	local why

	vm_wait_event "$1" '"VSERPORT_CHANGE".*"open": true' \
		"${BOOT_TIMEOUT:-120}" "$2" >/dev/null || {
		why=$(guest_log "$1" | grep -aE 'panic|BUG|ballast-guest' |
			tail -n 1)
		die "guest $1 did not come up: ${why:-no agent};" \
			"see ${RUN#"$TOP"/}/${1%%+*}.console"
	}
	# shellcheck disable=SC2016
	why=$(guest_exec "$1" '[ ! -e /run/init-failed ] ||
		{ cat /run/init-failed; exit 1; }') ||
		die "guest $1: ${why:-no answer}; run 'make drivers guest'"
}

vm_stop()
{
	local pid

	pid=$(cat "$RUN/vm/$1/pid")
	kill -KILL "$pid" 2>/dev/null || true
	# Its memory is the host's again, and its name is free.
	tail --pid="$pid" -s 0.05 -f /dev/null
	rm -rf "$RUN/vm/$1.last"
	mv "$RUN/vm/$1" "$RUN/vm/$1.last"
	mv "$RUN/vm/$1.last/pid" "$RUN/vm/$1.last/pid.was"
}

vm_stop_all()
{
	local name

	for name in $(vm_names); do
		vm_stop "$name"
	done
}

# vm_image FILE MIB: an empty qcow2, made by QEMU itself.
vm_image()
{
	local step job

	vm_run image "$(qemu_path stock)" -machine none
	step='{"driver": "file", "filename": "'"$1"'", "size": 0}'
	for job in 1 2; do
		vm_do image blockdev-create '{"job-id": "job'$job'",
			"options": '"$step"'}' >/dev/null
		vm_wait_event image '"concluded".*"job'$job'"' 60 1 >/dev/null
		vm_do image job-dismiss '{"id": "job'$job'"}' >/dev/null
		[ $job = 2 ] || vm_do image blockdev-add '{"driver": "file",
			"node-name": "file", "filename": "'"$1"'"}' >/dev/null
		step='{"driver": "qcow2", "file": "file",
			"size": '$(($2 * 1048576))'}'
	done
	vm_stop image
}

# --- migration

# vm_capabilities NAME [CAPABILITY...]: those for migration, and none of the others
# that are used here. It always says what it does.
vm_capabilities()
{
	local capability list='' on=" events ${*:2} "

	for capability in events pause-before-switchover postcopy-ram \
			  background-snapshot; do
		list+=', {"capability": "'$capability'", "state": '
		[[ $on = *" $capability "* ]] && list+='true}' || list+='false}'
	done
	vm_do "$1" migrate-set-capabilities \
		'{"capabilities": ['"${list#,}"']}' >/dev/null
}

# vm_next NAME [OPTION...]: start NAME+, with NAME's options and these. Its socket
# is $(vm_socket NAME).
vm_next()
{
	local options

	mapfile -t options < "$RUN/vm/$1/options"
	vm_start "$1+" "${options[@]}" "${@:2}" --incoming defer
}

vm_socket() { echo "unix:/run/${1%%+*}.migrate"; }

# vm_migrate NAME [CAPABILITY...]: begin, to NAME+.
vm_migrate()
{
	local name=$1

	shift
	vm_capabilities "$name" "$@"
	vm_capabilities "$name+" "$@"
	vm_do "$name+" migrate-incoming '{"uri": "'"$(vm_socket "$name")"'"}' \
		>/dev/null
	vm_do "$name" migrate '{"uri": "'"$(vm_socket "$name")"'"}' >/dev/null
}

# vm_parameters NAME JSON: of migration.
vm_parameters() { vm_do "$1" migrate-set-parameters "$2" >/dev/null; }

# vm_migration NAME STATE [SECONDS [MARK]]: until QEMU has said that its migration
# (the first, or the first since MARK) is there. Says why not.
vm_migration()
{
	local event

	event=$(vm_wait_event "$1" '"MIGRATION".*"('"$2"'|failed|cancelled)"' \
		"${3:-120}" "${4:-1}") || true
	[[ $event != *\"$2\"* ]] || return 0
	echo "$1: migration is not $2: $(vm_do "$1" query-migrate | jq -c \
		'{status, "error-desc"}'; tail -n 2 "$RUN/vm/$1/log")" >&2
	return 1
}

# vm_moved NAME [SECONDS]: until all of the guest is in NAME+; that is NAME then.
vm_moved()
{
	vm_migration "$1" completed "${2:-120}" || return
	vm_migration "$1+" completed "${2:-120}" || return
	vm_stop "$1"
	vm_take_over "$1"
}

# vm_take_over NAME: NAME+ is NAME.
vm_take_over() { mv "$RUN/vm/$1+" "$RUN/vm/$1"; }

# vm_hop NAME [OPTION...]: the guest goes to another QEMU, with these options.
vm_hop()
{
	vm_next "$@"
	vm_migrate "$1"
	vm_moved "$1"
}

# vm_memory_kib NAME: what the host holds of the guest's memory.
vm_memory_kib() { smaps_ram_kib "$1" Rss Shared_Hugetlb Private_Hugetlb; }
