# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Stock and Ballast side by side, for demo.sh and bench.sh: the columns, cases
# that may fail, figures of several runs, and one table with a verdict.
#
# The columns:
#
#   stock    Debian's kernel, its driver, QEMU without our patches
#   by_hand  the same, with what an administrator can do about it
#   modules  our modules on that kernel and that QEMU
#   all      our modules on the patched kernel and the patched QEMU
#
# A figure belongs to a row, a column and a setting (how the guest was set up).

HERE_RESULTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$HERE_RESULTS/../../scripts/lib.sh"
# shellcheck source=tests/lib/accel.sh
. "$HERE_RESULTS/accel.sh"
# shellcheck source=tests/lib/libvirt.sh
. "$HERE_RESULTS/libvirt.sh"
# shellcheck source=tests/lib/guest.sh
. "$HERE_RESULTS/guest.sh"

# side_by_side "TITLE" ARGUMENT...: the script's own arguments. From there on it
# runs on the private libvirtd.
side_by_side()
{
	if [ -z "${BALLAST_RUN:-}" ]; then
		need_root "a private libvirtd"
		[ -r "$OUT/initramfs.cpio.gz" ] || die "no guest image:" \
			"build/out/initramfs.cpio.gz is not there;" \
			"run 'make guest'"
		accel_probe "$(qemu_path stock)" "$(kernel_path stock)" \
			"$OUT/initramfs.cpio.gz"
		say "Ballast: $1, stock and Ballast"
		say "accelerator: $ACCEL ($ACCEL_WHY)"
	fi
	libvirt_enter "${@:2}"
	results_begin
}

# results_begin: where results are kept, in $RUN.
results_begin()
{
	R=$RUN/results
	ROWS=$RUN/rows
	mkdir -p "$R"
	: > "$ROWS"
}

# --- results: one file per row, column and setting, one value a line

# put ROW COLUMN SETTING VALUE
put()
{
	[[ $4 =~ ^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$ ]] ||
		die "not a figure of $1: '$4'"
	echo "$4" >> "$R/$1.$2.$3"
}

# bad ROW TEXT: the row fails, whatever the figures are.
bad() { echo "$2" >> "$R/$1.bad"; }

# cannot ROW TEXT: a column could not run.
cannot() { echo "$2" >> "$R/$1.cannot"; }

median()
{
	sort -g | awk 'BEGIN { OFMT = "%.10g" } { v[NR] = $1 }
		END { i = int((NR + 1) / 2)
		if (NR) print NR % 2 ? v[i] : (v[i] + v[i + 1]) / 2 }'
}

# value ROW COLUMN SETTING: the median, or nothing.
value()
{
	[ ! -e "$R/$1.$2.$3" ] || median < "$R/$1.$2.$3"
}

# settings ROW COLUMN: those that there is a figure of.
settings()
{
	local f

	for f in "$R/$1.$2."*; do
		[ ! -e "$f" ] || echo "${f##*.}"
	done
}

# extreme ROW COLUMN max|min: "VALUE SETTING" of the setting with the largest or
# smallest median, or nothing.
extreme()
{
	local s

	for s in $(settings "$1" "$2"); do
		echo "$(value "$1" "$2" "$s") $s"
	done | if [ "$3" = max ]; then sort -grk1,1; else sort -gk1,1; fi |
		head -n 1
}

# --- cases

# attempt "LABEL" "ROW ROW..." FUNCTION ARGUMENT...: a case that fails says
# why in its rows, and the rest goes on. With PLANNED, how many there will be, it
# says what is ahead. After RESULTS_SECONDS, if that is set, it leaves out the rest.
ATTEMPTS=0
attempt()
{
	local rows=$2 row rc why left

	LABEL=$1
	shift 2
	set +e
	if [ $SECONDS -lt "${RESULTS_SECONDS:-999999}" ]; then
		( set -e; "$@" ) 2> "$RUN/case.err"
	else
		( die "left out: time is up" ) 2> "$RUN/case.err"
	fi
	rc=$?
	set -e
	if [ $rc != 0 ]; then
		why=$(tail -n 1 "$RUN/case.err" | sed 's/^ballast: //')
		progress "can't run: ${why:-status $rc}"
		for row in $rows; do
			cannot "$row" "$LABEL: ${why:-status $rc}"
		done
		virsh -q list --name | while read -r g; do
			[ -z "$g" ] || guest_stop "$g" </dev/null
		done
		[ ! -e "$RUN/vm" ] || vm_stop_all
	fi
	[ -n "${PLANNED:-}" ] || return 0
	ATTEMPTS=$((ATTEMPTS + 1))
	left=$((SECONDS * (PLANNED - ATTEMPTS) / ATTEMPTS))
	say "  $ATTEMPTS of $PLANNED, about $(((left + 59) / 60)) min left"
}

progress() { say "  [$SECONDS s] $LABEL: $*"; }

# no_packing COLUMN: options, where it is the order to the balloon that counts,
# and not what our driver has moved and reported before it came.
no_packing() { [ "$1" != all ] || echo "--params pack_cpu=0"; }

# column_qemu COLUMN: which QEMU it has.
column_qemu() { [ "$1" = all ] && echo patched || echo stock; }

# parts COLUMN: what it is made of, as options.
parts()
{
	echo --qemu "$(column_qemu "$1")"
	case $1 in
	stock|by_hand) echo --kernel stock --balloon stock ;;
	modules) echo --kernel stock --balloon ballast ;;
	all)	echo --kernel ballast --balloon ballast ;;
	esac
}

# start NAME COLUMN FPR OPTION...
start()
{
	# shellcheck disable=SC2046
	guest_start "$1" --fpr "$3" $(parts "$2") "${@:4}"
}

# boot NAME COLUMN FPR PATTERN OPTION...: start, and all of its memory is the
# host's; page cache is on a disk of its own.
boot()
{
	local name=$1 column=$2 fpr=$3 pattern=$4

	shift 4
	[ "$pattern" != files ] || set -- --disk 6144 "$@"
	start "$name" "$column" "$fpr" --prealloc on "$@"
}

# fragment NAME PATTERN KEEP SEED [MIB]: of 4 GiB, if not said how much.
fragment()
{
	local mib=${5:-3500} out

	# Page cache that fills memory would be reclaimed.
	[ "$2" != files ] || mib=$((mib * 94 / 100))
	out=$(guest_exec "$1" "hold start --mib $mib --seed $4 --pattern $2 \
		--keep 1/$3") ||
		die "$mib MiB can't be filled: $(tail -n 1 <<< "$out")"
}

# ours_on COLUMN: on for our driver, as for --fpr: stock and virtio-mem are better off
# without.
ours_on() { case $1 in modules | all) echo on ;; *) echo off ;; esac; }

# resizable COLUMN MIB start|boot|hugetlb_boot NAME ARGUMENT...: a guest that resize can
# shrink to a quarter, by its balloon or virtio-mem.
resizable()
{
	case $1 in
	virtio_mem)
		"${@:3}" --balloon none --mem $(($2 / 4)) \
			--virtio-mem $(($2 * 3 / 4))
		virtio_mem_wait "$4" $(($2 * 3 / 4))
		;;
	*)	"${@:3}" --mem "$2" ;;
	esac
}

# resize NAME COLUMN MIB OF: of so many; prints the seconds.
resize()
{
	case $2 in
	virtio_mem) virtio_mem_to "$1" $(($3 - $4 / 4)) ;;
	*)	reach "$1" "$3" ;;
	esac
}

# reach NAME MIB [SECONDS]: setmem and wait; prints the seconds, or dies with the
# reason.
reach()
{
	local why

	balloon_to "$1" "$2" "${3:-60}" && return
	why=$(guest_exec "$1" 'cat /sys/kernel/debug/virtio_balloon/* |
		grep -E "^(target|actual|shortfall)"' 2>/dev/null |
		tr '\n' ' ') || true
	die "setmem to $2 MiB is not reached in ${3:-60} s:" \
		"$(balloon_actual "$1") MiB; $why"
}

# compact NAME: what an administrator would do first; prints the seconds.
compact()
{
	# shellcheck disable=SC2016
	guest_exec "$1" 'read a x < /proc/uptime
		echo 1 > /proc/sys/vm/compact_memory
		read b x < /proc/uptime
		echo "$a $b" | awk "{ print \$2 - \$1 }"'
}

# shrunk NAME BLOCKS COMMAND...: the command takes so many blocks from a guest, and
# prints the seconds. They are in TOOK then, the pages that were moved for it in
# MOVED, and how many had to be at least in NEEDED.
# shellcheck disable=SC2034
shrunk()
{
	NEEDED=$(guest_exec "$1" "blockmap --drain $2" |
		sed -n 's/^needed_moves //p')
	MOVED=$(guest_vmstat "$1" pgmigrate_success)
	TOOK=$("${@:3}")
	MOVED=$(($(guest_vmstat "$1" pgmigrate_success) - MOVED))
}

# huge_pages_once NAME N: how many of so many the guest gets when it asks once.
huge_pages_once()
{
	guest_exec "$1" "echo $2 > /proc/sys/vm/nr_hugepages
		cat /proc/sys/vm/nr_hugepages"
}

# hugetlb_boot NAME COLUMN FPR PATTERN OPTION...: boot, 2 GiB on shared huge pages,
# which the case has until it ends.
hugetlb_boot()
{
	OTHERS=$(hugepages_available)
	hugepages_reserve 1024 ||
		die "no 1024 free huge pages on this host; free memory"
	trap "hugepages_release 1024" EXIT
	boot "$@" --backing hugetlb
}

# hugetlb_won: how many of those the host has again.
hugetlb_won() { echo $(($(hugepages_available) - OTHERS)); }

# available MIB: dies if the host has not so much, and some to spare.
available()
{
	local mib

	mib=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
	[ "$mib" -ge $(($1 + 1024)) ] ||
		die "left out: $1 MiB and 1 GiB more are needed, and $mib are" \
			"available"
}

# finish NAME COLUMN ROWS: contents and the guest's log must be clean.
finish()
{
	local row hold log

	hold=$(guest_exec "$1" 'if [ -e /run/hold ]; then hold check
		else echo OK; fi') || hold=${hold:-nobody answers}
	case $hold in
	OK*) ;;
	*)	progress "MEMORY CONTENTS CHANGED: $hold"
		for row in $3; do
			bad "$row" "$LABEL: memory contents changed: $hold"
		done
		;;
	esac
	log=$(guest_check_log "$1") || {
		progress "the guest's kernel complained: ${log%%$'\n'*}"
		for row in $3; do
			bad "$row" "$LABEL: kernel log: ${log%%$'\n'*}"
		done
	}
	guest_stop "$1"
}

# steady NAME MIB: memsteady runs in the guest, and has touched all once.
steady()
{
	# shellcheck disable=SC2016
	guest_exec "$1" 'setsid memsteady '"$2"' > /run/steady.log 2>&1 \
			</dev/null &
		until [ -e /tmp/memsteady.state ]; do usleep 20000; done'
}

# gets_on NAME: memsteady ends a round within ten seconds.
gets_on()
{
	# shellcheck disable=SC2016
	guest_exec "$1" 'read a < /tmp/memsteady.state
		for i in $(seq 200); do
			read b < /tmp/memsteady.state
			[ "$a" = "$b" ] || exit 0
			usleep 50000
		done
		exit 1'
}

# killed NAME: processes; a guest that panicked for lack of memory counts too.
killed()
{
	grep -acE 'Killed process|Kernel panic' "$RUN/$1.console" || true
}

# stands_still NAME: until somebody is killed or the balloon has stood still for
# 4 s: that nothing happens has no event. Prints the number of killed.
stands_still()
{
	local end=$((SECONDS + 40)) old=-1 new still=0 kills

	while kills=$(killed "$1"); [ "$kills" = 0 ] && [ $SECONDS -lt $end ]
	do
		new=$(balloon_actual "$1")
		[ "$new" != "$old" ] || [ $SECONDS -lt $((still + 4)) ] || break
		[ "$new" = "$old" ] || { old=$new; still=$SECONDS; }
		sleep 0.5
	done
	echo "$kills"
}

# below_use NAME COLUMN FPR ROW: setmem to below what the guest steadily uses;
# leaves the number of killed in KILLS, and the guest running if that is 0.
below_use()
{
	start "$1" "$2" "$3" --mem 1024
	steady "$1" 500
	[ "$2" != by_hand ] || compact "$1" > /dev/null
	setmem "$1" 300
	KILLS=$(stands_still "$1")
	if [ "$KILLS" = 0 ]; then
		gets_on "$1" ||
			bad "$4" "$LABEL: the workload no longer gets on"
		KILLS=$(killed "$1")
	fi
	progress "$KILLS killed, the balloon stands at" \
		"$(printf %.0f "$(balloon_actual "$1")") MiB"
}

# --- the table

# row NAME UNIT GOAL "CONDITION" NOTE COLUMN=VALUE...: a value that is missing is
# null. The condition is jq's, over .COLUMN; a value that it needs and that is
# missing makes it false; so does a column of ours that could not run. What the others
# are compared with is .reference; .better is 1 if more is better, -1 if less is. A row
# whose goal is "-" has no condition, and no verdict unless something went wrong.
# .left_out is how many runs there was no time for.
row()
{
	local missing='' trouble='' name=$1 unit=$2 goal=$3 condition=$4 note=$5
	local ran=true left_out

	shift 5
	[ ! -e "$R/$name.bad" ] ||
		trouble=$(sort -u "$R/$name.bad" | head -n 1)
	[ ! -e "$R/$name.cannot" ] ||
		missing=$(sort -u "$R/$name.cannot" | paste -sd ';')
	! grep -E '^[^:]*, (modules|all)(,.*)?: ' "$R/$name.cannot" 2>/dev/null |
		grep -qv ': left out: ' || ran=false
	left_out=$(sort -u "$R/$name.cannot" 2>/dev/null | grep -c ': left out: ' ||
		true)
	jq -cn --arg name "$name" --arg unit "$unit" --arg goal "$goal" \
		--arg note "$note" --arg bad "$trouble" --argjson left_out "$left_out" \
		--arg missing "$missing" --args '
		([$ARGS.positional[] | capture("(?<key>[^=]*)=(?<value>.*)") |
			.value |= if . == "" then null else tonumber end] |
			from_entries) as $columns |
		{name: $name, unit: $unit} + $columns + {goal: $goal, $left_out} |
		.ok = if $bad != "" then false
			elif $columns | del(.reference, .better) |
				all(. == null) then null
			elif $goal == "-" then null
			else '"$ran and (${condition:-null})"' end |
		.note = ([$note, $bad, $missing] | map(select(. != "")) |
			join("; "))' "$@" >> "$ROWS"
}

# --- rows of several settings

# worst ROW max|min COLUMN: the median of the setting that is worst.
worst()
{
	local v

	v=$(extreme "$1" "$3" "$2")
	echo "${v% *}"
}

# ratio_rows ROW FROM REFERENCE FACTOR COLUMN...: FROM's figures of each setting
# by those of the reference column, times the factor.
ratio_rows()
{
	local to=$1 from=$2 reference=$3 factor=$4 column setting a b

	shift 4
	for column; do
		for setting in $(settings "$from" "$column"); do
			a=$(value "$from" "$column" "$setting")
			b=$(value "$from" "$reference" "$setting")
			# There is nothing to compare with nothing.
			[ "$(awk "BEGIN { print ${b:-0} != 0 }")" = 0 ] ||
				put "$to" "$column" "$setting" \
					"$(awk "BEGIN { printf \"%.2f\",
						$factor * $a / $b }")"
		done
	done
}

# spread ROW COLUMN...: "all random_4 1.2 (1.1 to 1.3, 3 runs), ..."
spread()
{
	local name=$1 column setting

	shift
	for column; do
		for setting in $(settings "$name" "$column"); do
			sort -g "$R/$name.$column.$setting" | awk -v c="$column" \
				-v s="$setting" \
				-v m="$(value "$name" "$column" "$setting")" '
				{ v[NR] = $1 }
				END {
					printf "%s %s %s", c, s, m
					if (NR > 1)
						printf " (%s to %s, %d runs)",
							v[1], v[NR], NR
					print ""
				}'
		done
	done | paste -sd '|' | sed 's/|/, /g'
}

# worst_row NAME UNIT GOAL CONDITION max|min NOTE [COLUMN=VALUE...]: the worst
# setting of each column; what is worst is the largest or smallest.
worst_row()
{
	local name=$1 unit=$2 goal=$3 condition=$4 side=$5 note=$6 all better=1

	shift 6
	[ "$side" = min ] || better=-1
	all=$(spread "$name" stock by_hand modules all)
	row "$name" "$unit" "$goal" "$condition" \
		"$note${note:+${all:+; }}$all" \
		stock="$(worst "$name" "$side" stock)" \
		by_hand="$(worst "$name" "$side" by_hand)" \
		modules="$(worst "$name" "$side" modules)" \
		all="$(worst "$name" "$side" all)" better=$better "$@"
}

# ours OP MISSING MODULES ALL [COLUMNS]: a condition: what ours are to be, and MISSING
# stands for a column that has no figure; of COLUMNS alone, if that was all that was
# to run.
ours()
{
	local modules="(.modules // $2) $1 $3 and "

	[[ " ${5:-modules all} " = *" modules "* ]] || modules=
	echo "$modules(.all // $2) $1 $4"
}

# --- the whole

# kernel_release FILE: that of a bzImage, whose header says where it is.
kernel_release()
{
	local at

	at=$(od -An -tu2 -j 526 -N 2 "$1")
	tail -c "+$((at + 513))" "$1" | tr '\0' '\n' | head -n 1 |
		cut -d ' ' -f 1
}

# environment [QUICK]: what the figures were measured on.
environment()
{
	local libvirt='' qemu

	qemu() { "$(qemu_path "$1")" --version | sed -n '1s/.*version //p'; }
	libvirt=$(libvirtd --version | sed 's/.* //')
	jq -n --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
			head -n 1)" \
		--argjson cores "$(nproc)" \
		--argjson mib "$(awk '/^MemTotal/ { print int($2 / 1024) }' \
			/proc/meminfo)" \
		--arg accel "$ACCEL" --arg host "$(uname -r)" \
		--arg stock "$(kernel_release "$(kernel_path stock)")" \
		--arg version "$(stock_version)" \
		--arg patched "$(kernel_release "$(kernel_path ballast)")" \
		--arg qemu_stock "$(qemu stock)" \
		--arg qemu_patched "$(qemu patched)" --arg libvirt "$libvirt" \
		--arg ballast "$(git -C "$TOP" describe --always --dirty \
			2>/dev/null)" --argjson quick "${1:-false}" \
		'{cpu: $cpu, cores: $cores, memory_mib: $mib,
		  accelerator: $accel, host_kernel: $host,
		  guest_kernel: {stock: ($stock + " (" + $version + ")"),
			patched: $patched},
		  qemu: {stock: $qemu_stock, patched: $qemu_patched},
		  libvirt: $libvirt, ballast: $ballast, quick: $quick}'
}

# about CASE: what it says of itself, for the report, as JSON; see bench.sh.
about()
{
	"about_$1" | jq -Rs --arg name "$1" 'rtrimstr("\n") | split("\n\n") |
		(.[0] | split("\n")) as $head | {$name, title: $head[0],
		text: $head[1:] | join("\n"), figures: .[1] | split("\n") |
		map(split("|") | {name: .[0], unit: .[1], plot: (.[2] == "plot"),
			text: .[3]})}'
}

# write_json JSON KEY FILE [MORE]: the rows, and the objects in the file as KEY; a
# file with one object, whose keys are added.
write_json()
{
	jq -n --slurpfile rows "$ROWS" --arg key "$2" --slurpfile list "$3" \
		--slurpfile more "${4:-/dev/null}" \
		--arg accel "$ACCEL" --argjson seconds $SECONDS \
		'{rows: $rows, accelerator: $accel, seconds: $seconds,
		  ($key): $list} + ($more[0] // {})' > "$1.new"
	mv "$1.new" "$1"
}

# summary JSON COLUMN...: the table, the notes and the verdict. Fails if a row
# does, or if nothing ran.
summary()
{
	local json=$1 failed idle verdict def

	shift
	# shellcheck disable=SC2016
	def='def verdict: if .ok then "PASS" elif .ok == false then "FAIL"
		elif .goal == "-" and any(.stock, .by_hand, .modules, .all;
			. != null) then "-" else "NOT RUN" end;'
	say
	jq -r "$def"'(["name"] + $ARGS.positional + ["goal", "verdict"]) as $keys |
		($keys | map(if . == "name" then "" else sub("_"; " ") end)),
		(.rows[] | .verdict = verdict |
		[.[$keys[]] | if . == null then "-" else tostring end]) |
		@tsv' --args "$@" < "$json" | column -t -s "$(printf '\t')"
	say
	jq -r '.rows[] | select(.note != "") | "\(.name): \(.note)"' "$json"
	say
	names() { jq -r "$def"'[.rows[] | select(verdict == "'"$1"'") | .name] |
		join(", ")' "$json"; }
	failed=$(names FAIL) idle=$(names "NOT RUN") verdict=PASS
	if [ -z "$(names PASS)" ]; then
		verdict="NOTHING RAN"
		[ -n "$idle" ] || verdict="NO GOALS"
	fi
	[ -z "$failed" ] || verdict="FAIL: $failed"
	say "verdict: $verdict${idle:+; not run: $idle} (${json#"$TOP"/}, $SECONDS s)"
	[ "$verdict" = PASS ] || [ "$verdict" = "NO GOALS" ]
}
