# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Guests on the private libvirtd: start, drive through the agent, measure.
# Sizes are MiB. Needs lib.sh, accel.sh and libvirt.sh; RUN is set.
#
# What drives and measures a guest is for those of qemu.sh as well, which have no
# libvirtd: is_vm tells them apart.

HERE_GUEST=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

vsh() { virsh -q "$@"; }

# is_vm NAME: it is one of qemu.sh.
is_vm() { [ -d "$RUN/vm/$1" ]; }

# monitor NAME JSON: QMP; prints the reply.
monitor()
{
	if is_vm "$1"; then
		vm_qmp "$@"
	else
		vsh qemu-monitor-command "$1" "$2"
	fi
}

# qemu_path stock|patched|FILE
qemu_path()
{
	local path

	case $1 in
	stock)	path=$OUT/stock/qemu-system-x86_64 ;;
	patched) path=$OUT/qemu-system-x86_64 ;;
	*)	path=$(realpath -m "$1") ;;
	esac
	[ -x "$path" ] ||
		die "unusable QEMU: $path is not there; run 'make qemu'"
	echo "$path"
}

# kernel_path stock|ballast|debug|FILE
kernel_path()
{
	local path

	case $1 in
	stock)	path=$OUT/stock/vmlinuz ;;
	ballast) path=$OUT/bzImage ;;
	debug)	path=$OUT/bzImage-debug ;;
	*)	path=$(realpath -m "$1") ;;
	esac
	[ -r "$path" ] ||
		die "unusable kernel: $path is not there; run 'make kernel'" \
			"(debug: 'make kernel-debug')"
	echo "$path"
}

# one_of OPTION VALUE WORD...: the value is one of the words.
one_of()
{
	local option=$1 value=$2 words

	shift 2
	[[ " $* " != *" $value "* ]] || return 0
	words=$(printf '%s, ' "${@:1:$#-1}")
	die "bad option: $option $value; use ${words%, } or ${!#}"
}

# a_number OPTION VALUE OF-WHAT
a_number()
{
	[[ $2 =~ ^[1-9][0-9]{0,8}$ ]] ||
		die "bad option: $1 $2; use a number$3, 1 or more"
}

# guest_options OPTION...: those of guest_start, into variables of the caller.
# Ends with one line if a value is none: before a guest is started for it.
guest_options()
{
	local option

	kernel=stock qemu=stock balloon=stock mem=4096 vcpus=2 nodes=1
	fpr=off autodeflate=off backing=thp prealloc=off virtio_mem=0 disk=0
	cmdline='' params='' system='' firmware=bios

	while [ $# -gt 0 ]; do
		case $1 in
		--kernel|--qemu|--balloon|--params|--mem|--vcpus|--nodes|\
		--fpr|--autodeflate|--backing|--prealloc|--virtio-mem|--disk|\
		--cmdline|--system|--firmware) ;;
		*)	die "bad option: $1; see tests/README.md" ;;
		esac
		[ $# -ge 2 ] ||
			die "bad option: $1 needs a value; see tests/README.md"
		option=${1#--}
		printf -v "${option//-/_}" %s "$2"
		shift 2
	done
	one_of --balloon "$balloon" ballast stock none
	one_of --fpr "$fpr" on off
	one_of --autodeflate "$autodeflate" on off
	one_of --prealloc "$prealloc" on off
	one_of --backing "$backing" thp hugetlb
	one_of --firmware "$firmware" bios secure
	a_number --mem "$mem" " of MiB"
	a_number --vcpus "$vcpus" ""
	a_number --nodes "$nodes" ""
	[ "$virtio_mem" = 0 ] || a_number --virtio-mem "$virtio_mem" " of MiB"
	case $disk in
	0) ;;
	*/*)	[ -r "$disk" ] || die "unusable disk: $disk is not there" ;;
	*)	a_number --disk "$disk" " of MiB" ;;
	esac
	local param='[A-Za-z0-9_]+=[A-Za-z0-9_.:-]*'
	[[ -z $params || $params =~ ^$param(,$param)*$ ]] ||
		die "bad option: --params $params; use name=value,name=value"
	if [ -n "$system" ]; then
		[ -r "$system" ] || die "unusable disk: $system is not there"
		[ "$disk" = 0 ] || die "bad option: --disk with --system"
		system=$(realpath "$system")
	else
		[ "$firmware" = bios ] || die "bad option: --firmware without --system"
		kernel=$(kernel_path "$kernel")
	fi
	qemu=$(qemu_path "$qemu")
}

# make_disk FILE MIB|FROM: an empty ext4, or a copy.
make_disk()
{
	rm -f "$1"
	case $2 in
	*/*)	cp --sparse=always "$2" "$1" ;;
	*)	truncate -s "${2}M" "$1" && mkfs.ext4 -qF "$1" ;;
	esac
}

# guest_xml NAME OPTION...: the domain's XML, options as for guest_start. Makes
# its disk, if it has one.
guest_xml()
{
	local name=$1 type cpu backing_xml='' balloon_xml n numa='' maxmem='' more=''
	local kernel qemu balloon mem vcpus nodes fpr autodeflate backing prealloc \
		virtio_mem disk cmdline params system firmware boot \
		reboot=destroy load='' machine=pc features='' ovmf=/usr/share/OVMF

	shift
	guest_options "$@"
	if [ "$nodes" -gt 1 ] || [ "$virtio_mem" != 0 ]; then
		for ((n = 0; n < nodes; n++)); do
			numa+="<cell id='$n' unit='MiB' memory='$((mem / nodes))'"
			numa+=" cpus='$((vcpus * n / nodes))-$((vcpus * (n + 1) / nodes - 1))'/>"
		done
		numa="<numa>$numa</numa>"
	fi
	# The one place that chooses the CPU: what Debian's guests get by
	# default under emulation, the host's own under KVM.
	if [ "$ACCEL" = kvm ]; then
		type=kvm cpu="<cpu mode='host-passthrough'>$numa</cpu>"
	else
		type=qemu
		cpu="<cpu mode='custom'><model>${BALLAST_CPU:-qemu64}</model>$numa</cpu>"
		[ "${BALLAST_CPU:-}" != max ] || cpu="<cpu mode='maximum'>$numa</cpu>"
	fi
	[ "$backing" = thp ] ||
		backing_xml="<hugepages/><access mode='shared'/>"
	[ "$prealloc" = off ] ||
		backing_xml+="<allocation mode='immediate' threads='2'/>"
	[ -z "$backing_xml" ] ||
		backing_xml="<memoryBacking>$backing_xml</memoryBacking>"
	balloon_xml="<memballoon model='virtio' autodeflate='$autodeflate'"
	balloon_xml+=" freePageReporting='$fpr'/>"
	cmdline="console=ttyS0 loglevel=5 panic=-1 $cmdline"
	cmdline+=" ballast.balloon=$balloon"
	if [ "$virtio_mem" != 0 ]; then
		mem=$((mem + virtio_mem))
		maxmem="<maxMemory slots='1' unit='MiB'>$mem</maxMemory>"
		more+="<memory model='virtio-mem'><target>"
		more+="<size unit='MiB'>$virtio_mem</size><node>0</node>"
		more+="<block unit='MiB'>2</block>"
		more+="<requested unit='MiB'>$virtio_mem</requested>"
		more+="</target></memory>"
		# As its authors advise, for memory that is to be unplugged.
		cmdline+=" memhp_default_state=online_movable"
		load+=,virtio_mem
	fi
	if [ "$disk" != 0 ]; then
		more+="<disk type='file'><driver name='qemu' cache='unsafe'/>"
		more+="<source file='$RUN/$name.disk'/>"
		more+="<target dev='vda' bus='virtio'/></disk>"
		cmdline+=" ballast.disk=vda"
		load+=,virtio_blk
		make_disk "$RUN/$name.disk" "$disk" ||
			die "no disk for guest $name: $disk"
	fi
	if [ -n "$system" ]; then
		more+="<disk type='file'><driver name='qemu' type='raw' cache='unsafe'/>"
		more+="<source file='$system'/><target dev='vda' bus='virtio'/></disk>"
	fi
	[ -z "$load" ] || cmdline+=" ballast.load=${load#,}"
	[ -z "$params" ] || cmdline+=" ballast.params=$params"
	cmdline=${cmdline//&/&amp;}
	cmdline=${cmdline//</&lt;}
	boot="<kernel>$kernel</kernel><initrd>$OUT/initramfs.cpio.gz</initrd>"
	boot+="<cmdline>$cmdline</cmdline>"
	[ -z "$system" ] || boot="<boot dev='hd'/>" reboot=restart
	if [ "$firmware" = secure ]; then
		machine=q35 features="<smm state='on'/>"
		boot+="<loader readonly='yes' secure='yes' type='pflash'>"
		boot+="$ovmf/OVMF_CODE_4M.secboot.fd</loader>"
		boot+="<nvram template='$ovmf/OVMF_VARS_4M.ms.fd'>"
		boot+="$RUN/$name.nvram</nvram>"
	fi
	sed -e "s|@TYPE@|$type|; s|@NAME@|$name|; s|@MEM@|$mem|" \
		-e "s|@MACHINE@|$machine|; s|@FEATURES@|$features|" \
		-e "s|@MAXMEM@|$maxmem|; s|@MORE@|$more|" \
		-e "s|@VCPUS@|$vcpus|; s|@CPU@|$cpu|; s|@REBOOT@|$reboot|" \
		-e "s|@BOOT@|${boot//&/\\&}|; s|@EMULATOR@|$qemu|" \
		-e "s|@BACKING@|$backing_xml|; s|@BALLOON@|$balloon_xml|" \
		-e "s|@CONSOLE@|$RUN/$name.console|" \
		"$HERE_GUEST/domain.xml"
}

# guest_start NAME [OPTION...]: boot a guest and wait for its agent.
#   --kernel stock|ballast|debug|FILE    --qemu stock|patched|FILE
#   --balloon ballast|stock|none         --params k=v,k=v (module's)
#   --mem MIB --vcpus N                  --nodes N (memory and CPUs split evenly)
#   --backing thp|hugetlb (shared)
#   --fpr on|off (free page reporting)   --autodeflate on|off
#   --prealloc on|off (all of the guest's memory touched by the host first)
#   --virtio-mem MIB (more memory, that can be unplugged)
#   --disk MIB (an empty ext4, on /mnt) or --disk FILE (a copy of this one)
#   --cmdline "MORE KERNEL ARGUMENTS"
#   --system FILE (a disk with a system of its own, which it boots; not with --kernel,
#     --balloon, --params, --cmdline and --disk, which are for the tests' image)
#   --firmware bios|secure (UEFI with Secure Boot; what the guest writes to its
#     variables it has at its next start, too; with --system)
guest_start()
{
	local name=$1 from

	guest_xml "$@" > "$RUN/$name.xml"
	: > "$RUN/$name.console"
	from=$(($(wc -l < "$RUN/events") + 1))
	vsh create "$RUN/$name.xml" > "$RUN/$name.create" 2>&1 ||
		die "guest $name does not start:" \
			"$(tail -n 1 "$RUN/$name.create");" \
			"see ${RUN#"$TOP"/}/log/qemu/$name.log"
	wait_up "$name" "$from"
	trace_on "$name" virtio_balloon_to_target virtio_balloon_set_config
}

# wait_up NAME FROM: until the guest that boots since that line of libvirt's events
# has its agent.
wait_up()
{
	local name=$1 why

	wait_line "${BOOT_TIMEOUT:-120}" "$RUN/events" "$2" \
		"'agent-lifecycle'.*'$name'.*'connected'|'lifecycle'.*'$name'.*(Stopped|Crashed)" \
		> "$RUN/$name.event" || true
	# Without the event, the agent itself is asked once.
	if ! grep -q "'connected'" "$RUN/$name.event" &&
	   ! agent "$name" '{"execute": "guest-ping"}' 10 >/dev/null 2>&1; then
		why=$(grep -aE 'panic|BUG|ballast-guest' "$RUN/$name.console" |
			tail -n 1)
		die "guest $name did not come up: ${why:-no agent};" \
			"see ${RUN#"$TOP"/}/$name.console"
	fi
	# shellcheck disable=SC2016
	guest_exec "$name" '[ ! -e /run/init-failed ] ||
		{ cat /run/init-failed; exit 1; }' > "$RUN/$name.init" || {
		why=$(tail -n 1 "$RUN/$name.init")
		die "guest $name: ${why:-no answer}; run 'make drivers guest'"
	}
}

# wait_stopped SECONDS NAME FROM: until libvirt has said so, since that line of its events.
wait_stopped()
{
	wait_line "$1" "$RUN/events" "$3" "'lifecycle'.*'$2'.*Stopped" > /dev/null
}

# guest_reboot NAME [COMMAND...]: as its user would, who does that before it is up
# again. Its QEMU stays.
guest_reboot()
{
	local from

	from=$(($(wc -l < "$RUN/events") + 1))
	vsh reboot "$1" --mode agent > /dev/null
	"${@:2}"
	wait_up "$1" "$from"
}

# guest_poweroff NAME [SECONDS]: the same; what is on its disk is whole.
guest_poweroff()
{
	local from

	from=$(($(wc -l < "$RUN/events") + 1))
	vsh shutdown "$1" --mode agent > /dev/null
	wait_stopped "${2:-120}" "$1" "$from" ||
		die "guest $1 does not stop; see ${RUN#"$TOP"/}/$1.console"
}

guest_running()
{
	if is_vm "$1"; then
		vm_running "$1"
	else
		[ "$(vsh domstate "$1" 2>/dev/null)" = running ]
	fi
}

guest_stop()
{
	local name from

	for name; do
		! is_vm "$name" || { vm_stop "$name"; continue; }
		from=$(($(wc -l < "$RUN/events") + 1))
		# Or the next one of that name takes this for its own end.
		! vsh destroy "$name" >/dev/null 2>&1 ||
			wait_stopped 10 "$name" "$from" || true
		rm -f "$RUN/$name.disk"
	done
}

# wait_line SECONDS FILE FIRST-LINE REGEX: print the first line that matches,
# from line FIRST-LINE on; wait for it to be written.
wait_line()
{
	timeout "$1" grep -aEm1 -- "$4" \
		< <(exec tail -n "+$3" -f "$2" 2>/dev/null)
}

# agent NAME JSON [SECONDS]: ask the guest's agent; prints the reply.
agent()
{
	! is_vm "$1" || { vm_agent "$@"; return; }
	vsh qemu-agent-command "$1" --timeout "${3:-60}" "$2"
}

# guest_exec NAME 'SHELL COMMAND' [SECONDS]: run it in the guest; its stdout,
# stderr and exit status are ours. 124 if it takes longer (default 300 s).
guest_exec()
{
	local name=$1 pid reply begin=$SECONDS end=$((SECONDS + ${3:-300})) nap=0.02

	reply=$(agent "$name" "$(jq -cn --arg c "$2" '{execute: "guest-exec",
		arguments: {path: "/bin/sh", arg: ["-c", $c],
		"capture-output": true}}')") || return 125
	pid=$(jq .return.pid <<< "$reply")
	while :; do
		reply=$(agent "$name" '{"execute": "guest-exec-status",
			"arguments": {"pid": '"$pid"'}}') || return 125
		[ "$(jq .return.exited <<< "$reply")" = false ] || break
		[ $SECONDS -lt $end ] || return 124
		# The agent has no event for this. Asking costs the guest time, too.
		sleep $nap
		[ $nap != 0.02 ] || nap=0.1
		[ $((SECONDS - begin)) -lt 60 ] || nap=1
	done
	jq -r '.return["out-data"] // empty' <<< "$reply" | base64 -d
	jq -r '.return["err-data"] // empty' <<< "$reply" | base64 -d >&2
	return "$(jq '.return.exitcode // (128 + .return.signal)' <<< "$reply")"
}

# guest_put NAME FILE PATH, guest_get NAME PATH (to stdout)
guest_put()
{
	local h chunk

	h=$(agent "$1" '{"execute": "guest-file-open", "arguments":
		{"path": "'"$3"'", "mode": "w"}}' | jq .return)
	base64 -w 65536 "$2" | while read -r chunk; do
		agent "$1" '{"execute": "guest-file-write", "arguments":
			{"handle": '"$h"', "buf-b64": "'"$chunk"'"}}' >/dev/null
	done
	agent "$1" '{"execute": "guest-file-close", "arguments":
		{"handle": '"$h"'}}' >/dev/null
	guest_exec "$1" "chmod 755 '$3'"
}

guest_get()
{
	guest_exec "$1" "cat '$2'"
}

# A guest that migrates has one console.
guest_log() { cat "$RUN/${1%%+*}.console"; }

# guest_check_log NAME: fails and shows it if the guest's kernel complained.
# A running guest is asked for the messages that the console leaves out.
guest_check_log()
{
	local bad='BUG:|WARNING:|KASAN|UBSAN|KCSAN|possible (circular|recursive)'
	bad+='|inconsistent lock|INFO: task .*blocked|Call Trace|Oops|Kernel panic'
	bad+='|general protection|stack-trace|suspected memory leak|unreferenced object'
	bad+='|page_pool|bad page|Bad page|list_(add|del) corruption'
	bad+='|rcu.*stall|soft lockup|init-failed|refcount_t'

	{
		guest_log "$1"
		! guest_running "$1" || guest_exec "$1" dmesg
	} > "$RUN/$1.messages"
	if grep -aE "$bad" "$RUN/$1.messages" |
	   grep -avE "${GUEST_LOG_ALLOW:-^$}" > "$RUN/$1.bad"; then
		head -n 20 "$RUN/$1.bad"
		return 1
	fi
}

# vmstat NAME KEY: a counter of the guest's /proc/vmstat.
guest_vmstat()
{
	guest_exec "$1" "sed -n 's/^$2 //p' /proc/vmstat"
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

# huge_pages NAME MOST: how many can be had; they are given back. Direct
# compaction puts itself off after each failure, and remembers blocks to skip, so
# its first answer says more of what was done before. It is asked, with compaction
# by hand in between, until there are no more.
huge_pages()
{
	guest_exec "$1" 'cd /proc/sys/vm
		n=0 same=0
		until [ $same = 3 ] || [ $n = '"$2"' ]; do
			echo '"$2"' > nr_hugepages
			now=$(cat nr_hugepages)
			[ "$now" -gt $n ] && same=0 || same=$((same + 1))
			n=$now
			echo 1 > compact_memory
		done
		echo 0 > nr_hugepages
		echo $n'
}

# huge_pages_most NAME: how many to ask for: what is free above the lowest
# watermarks, but for 16 MiB of air for the agent. Some more could be had, since
# what is on the CPUs' lists comes on top. But how many is luck there: two tries
# with memory of processes alone differ by up to 6 per cent; and the agent does not
# always survive that.
huge_pages_most()
{
	guest_exec "$1" "awk '/^MemFree/ { pages += \$2 / 4 }
		\$1 == \"min\" { pages -= \$2 }
		END { print int((pages / 256 - 16) / 2) }' \
		/proc/meminfo /proc/zoneinfo"
}

# --- the balloon

setmem() { setmem_kib "$1" $(($2 * 1024)); }

setmem_kib()
{
	if is_vm "$1"; then
		vm_do "$1" balloon '{"value": '$(($2 * 1024))'}' >/dev/null
	else
		vsh setmem "$1" --size "${2}KiB" --live
	fi
}

domain_log()
{
	if is_vm "$1"; then
		echo "$RUN/vm/$1/log"
	else
		echo "$RUN/log/qemu/$1.log"
	fi
}

# A place in the domain's log, to measure from.
log_mark()
{
	echo $(($(wc -l < "$(domain_log "$1")") + 1))
}

trace_set()
{
	local name=$1 state=$2 event

	shift 2
	for event; do
		monitor "$name" '{"execute": "trace-event-set-state",
			"arguments": {"name": "'"$event"'", "enable":
			'"$([ "$state" = on ] && echo true || echo false)"'}}' \
			>/dev/null
	done
}
trace_on() { local n=$1; shift; trace_set "$n" on "$@"; }
trace_off() { local n=$1; shift; trace_set "$n" off "$@"; }

# trace_events NAME MARK [EVENT]: trace lines since the mark.
trace_events()
{
	tail -n "+$2" "$(domain_log "$1")" | grep -aE "^[0-9]+@.*:${3:-}" || true
}

guest_mib()
{
	if is_vm "$1"; then
		cat "$RUN/vm/$1/mib"
	else
		vsh dominfo "$1" | awk '/^Max memory/{print $3 / 1024}'
	fi
}

# What the guest says it has: MiB.
balloon_actual()
{
	monitor "$1" '{"execute": "query-balloon"}' |
		jq '.return.actual / 1048576'
}

# wait_balloon NAME MIB [SECONDS [MARK]]: until the guest has said that it is
# there, by the device's trace event. The mark is a log_mark taken before the
# setmem; without it, now.
wait_balloon()
{
	local pages mark=${4:-$(log_mark "$1")}

	[ $# -ge 4 ] || [ "$(balloon_actual "$1")" != "$2" ] || return 0
	pages=$((($(guest_mib "$1") - $2) * 256))
	wait_line "${3:-120}" "$(domain_log "$1")" "$mark" \
		"virtio_balloon_set_config actual: $pages " >/dev/null
}

# balloon_to NAME MIB [SECONDS]: setmem, wait, and print the seconds it took
# from the device's target to the guest's last word, by QEMU's clock.
balloon_to()
{
	local mark

	mark=$(log_mark "$1")
	setmem "$1" "$2"
	wait_balloon "$1" "$2" "${3:-120}" "$mark" || return 1
	balloon_seconds "$1" "$mark"
}

balloon_seconds()
{
	balloon_window "$@" | awk '{ printf "%.6f\n", $2 - $1 }'
}

# balloon_window NAME MARK: when it began and ended, by the host's clock.
balloon_window()
{
	trace_events "$1" "$2" virtio_balloon | awk '
		{ split($1, a, "[@:]"); t = a[2] }
		/virtio_balloon_to_target/ && !start { start = t }
		/virtio_balloon_set_config/ { end = t }
		END { print start, end }'
}

# --- virtio-mem

# virtio_mem_size NAME: the MiB that are plugged.
virtio_mem_size()
{
	vsh qemu-monitor-command "$1" '{"execute": "query-memory-devices"}' |
		jq '.return[0].data.size / 1048576'
}

# virtio_mem_wait NAME MIB [SECONDS]
virtio_mem_wait()
{
	local end=$((SECONDS + ${3:-120}))

	until [ "$(virtio_mem_size "$1")" = "$2" ]; do
		[ $SECONDS -lt $end ] ||
			die "virtio-mem is at $(virtio_mem_size "$1") MiB" \
				"after ${3:-120} s, and should be at $2"
		sleep 0.1
	done
}

# virtio_mem_to NAME MIB [SECONDS]: plug or unplug, wait, and print the seconds it
# took from the request to the guest's last block, by the host's clock.
virtio_mem_to()
{
	local mark t

	trace_on "$1" virtio_mem_plug_request virtio_mem_unplug_request
	mark=$(log_mark "$1")
	t=$(date +%s.%N)
	vsh update-memory-device "$1" --live --requested-size "${2}MiB" \
		>/dev/null
	virtio_mem_wait "$1" "$2" "${3:-}"
	trace_events "$1" "$mark" "virtio_mem_(un)?plug_request" | awk -v t="$t" '
		{ split($1, a, "[@:]"); end = a[2] }
		END { printf "%.6f\n", end - t }'
	trace_off "$1" virtio_mem_plug_request virtio_mem_unplug_request
}

# --- the host's side

guest_pid()
{
	if is_vm "$1"; then
		cat "$RUN/vm/$1/pid"
	else
		cat "/run/libvirt/qemu/$1.pid"
	fi
}

# smaps_kib NAME KEY: of the whole QEMU process.
smaps_kib()
{
	awk -v k="$2:" '$1 == k {print $2}' "/proc/$(guest_pid "$1")/smaps_rollup"
}

# smaps_ram NAME: "KEY: KIB" of the mapping that is the guest's memory, summed up; all
# of one moment, for a guest that reports its free pages has less in the next. With
# virtio-mem there are two: RAM_MIB is the size of the smaller one then.
smaps_ram()
{
	awk -v size=$((${RAM_MIB:-$(guest_mib "$1")} * 1024)) '
		/^[0-9a-f]+-[0-9a-f]+ / { ours = $2 ~ /^rw-/ }
		$1 == "Size:" { in_ram = ours && $2 >= size }
		in_ram && $3 == "kB" { n[$1] += $2 }
		END { for (key in n) print key, n[key] }' \
		"/proc/$(guest_pid "$1")/smaps"
}

# smaps_ram_kib NAME KEY...: the sum of these.
smaps_ram_kib()
{
	smaps_ram "$1" | awk -v keys=" ${*:2} " '
		index(keys, " " substr($1, 1, length($1) - 1) " ") { n += $2 }
		END { print n + 0 }'
}

host_rss() { smaps_kib "$1" Rss; }

# thp_share NAME [ram]: per cent of what the host holds that is on huge pages.
thp_share()
{
	local of=(cat "/proc/$(guest_pid "$1")/smaps_rollup")

	[ -z "${2:-}" ] || of=(smaps_ram "$1")
	"${of[@]}" | awk '{ n[$1] = $2 }
		END { rss = n["Rss:"]
			printf "%.1f\n", rss ? 100 * n["AnonHugePages:"] / rss : 0 }'
}
