# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Driver pages, the sample driver and the conformance kit: what framework.t and
# framework-debug.t choose from. Each function is given a guest that is up.

KIT=/sys/kernel/debug/driver_pages_selftest
SAMPLE=/sys/kernel/debug/driver_pages_sample
MAPPINGS=/sys/kernel/debug/driver_pages/mappings

section() { comment "$SECONDS s: $*"; }

# mod NAME COMMAND: run it where the modules are.
mod() { guest_exec "$1" "cd /lib/modules/\$(uname -r)/ballast && $2" "${3:-300}"; }

# A kernel that has driver pages itself has no driver_pages.ko.
fw_load()
{
	section "load"
	ok "load: the framework" mod "$1" \
		'{ [ ! -e driver_pages.ko ] || insmod ./driver_pages.ko; } &&
		[ -e '$MAPPINGS' ]'
	ok "load: the kit" mod "$1" 'insmod ./driver_pages_selftest.ko'
	ok "load: the sample" mod "$1" \
		'insmod ./driver_pages_sample.ko pages=2000'
	is "load: the sample's pages are marked" "$(fw_column "$1" sample marked)" \
		2000
}

fw_unload()
{
	section "unload"
	ok "unload: all of it goes" mod "$1" 'set -e
		[ ! -e '$SAMPLE' ] || rmmod driver_pages_sample
		! grep -E "^(sample|broken|selftest)" '$MAPPINGS'
		rmmod driver_pages_selftest
		[ ! -e driver_pages.ko ] || rmmod driver_pages'
}

# fw_column NAME MAPPING COLUMN: of the framework's statistics.
fw_column()
{
	guest_exec "$1" "awk -v k=$3 'NR == 1 { while (\$++i != k) ; }
		\$1 == \"$2\" { print \$i }' $MAPPINGS"
}

# kit NAME 'MAPPING OPTIONS': run it, and show what it says.
kit() { guest_exec "$1" "echo $2 > $KIT/run && cat $KIT/run" 900; }

# Before the first run, and after a write that is refused, there is nothing to
# read that could be taken for a result. Right after the kit was loaded.
test_no_run()
{
	local text

	section "the kit without a run"
	is "no run: that is what it says" "$(guest_exec "$1" "cut -c -20 $KIT/run")" \
		"1..0 # SKIP no run y"
	# From an earlier run there is a result, then.
	guest_exec "$1" "echo sample pages=1 moves=0 > $KIT/run"
	for text in 'nobody' 'sample nonsense' '' "$(printf 'x%.0s' {1..40})" \
		    "sample $(printf 'x%.0s' {1..300})"; do
		is "no run: '${text:0:16}' is refused, and leaves no result" \
			"$(guest_exec "$1" "! echo '$text' 2>/dev/null > $KIT/run &&
				sed 's/!.*/!/' $KIT/run")" "Bail out!"
	done
	is "no run: a mapping that is not there is named" \
		"$(guest_exec "$1" "echo nobody 2>/dev/null > $KIT/run
			cat $KIT/run")" \
		"Bail out! no mapping has this name: nobody"
}

test_misuse()
{
	section "bad use"
	include guest_exec "$1" "cat $KIT/misuse"
}

test_sample()
{
	section "the sample, held to the rules"
	include kit "$1" "sample moves=${2:-30000}"
	is "sample: each page is there and whole" \
		"$(guest_exec "$1" "cat $SAMPLE")" "idle 2000 bad 0"
	is "sample: what the kit does is in the statistics" \
		"$(fw_column "$1" sample failed) $(fw_column "$1" sample isolated_now)" \
		"0 0"
	ok "kit: it says when there is no such mapping" guest_exec "$1" \
		"echo nobody 2>&1 > $KIT/run | grep -q 'No such'"
}

# Each outcome has its event.
test_trace()
{
	local event

	section "tracepoints"
	if ! guest_exec "$1" '[ -e /sys/kernel/tracing/events/driver_pages ]'; then
		skip "trace" "this kernel has no tracepoints"
		return
	fi
	guest_exec "$1" 'cd /sys/kernel/tracing
		echo 4096 > buffer_size_kb
		echo 1 > events/driver_pages/enable
		echo "sample pages=32 moves=0" > '$KIT'/run
		cat '$KIT'/misuse > /dev/null
		echo 0 > events/driver_pages/enable
		cat trace > /run/trace; echo > trace'
	for event in isolate migrate putback release; do
		ok "trace: driver_page_$event" guest_exec "$1" \
			"grep -q ' driver_page_$event: ' /run/trace"
	done
	ok "trace: it says whose page it was" guest_exec "$1" \
		"grep -q 'driver_page_migrate:.*sample' /run/trace"
}

# The fault, and what the kit must say about it.
FAULTS='
	putback		putback: the page can be isolated again
	list		off the driver.s lists
	lru		page->lru of an isolated page is left alone
	sleep		migrate: does not sleep in MIGRATE_ASYNC
	drop		the driver knows the new page
	errno		answers 0 or a negative errno
	leak		the references to the old page are gone
	copy		the new page holds what the old one held
	ref		the new page has the driver.s one reference
	old		the old page is not written to afterwards
	error		an error leaves the pages as they were
'

# test_broken NAME MOVES FAULT...: the kit says nothing of the driver without a
# fault, and names each fault.
test_broken()
{
	local fault moves=$2 said

	section "drivers with a fault"
	for fault in none "${@:3}"; do
		mod "$1" "insmod ./driver_pages_broken.ko pages=500 fault=$fault"
		said=$(kit "$1" "broken pages=64 moves=$moves" | grep -A1 ^not) ||
			true
		if [ "$fault" = none ]; then
			is "fault none: the kit is content" "$said" ""
		else
			ok "fault $fault: the kit names it" grep -q -- \
				"$(awk -v f="$fault" '$1 == f {
					sub(/^[ \t]*[a-z]+[ \t]+/, ""); print
				}' <<< "$FAULTS")" <(grep ^not <<< "$said")
			comment "${said:-it found nothing}"
		fi
		ok "fault $fault: it can be unloaded" guest_exec "$1" \
			'rmmod driver_pages_broken'
	done
}

# A driver that goes with pages marked: they stay, and nobody follows them to it.
# The framework stays, too; so this is a guest's last test.
test_left_behind()
{
	section "a driver that leaves its pages behind"
	ok "left: it comes and goes" mod "$1" '
		insmod ./driver_pages_broken.ko pages=500 fault=unregister
		rmmod driver_pages_broken'
	is "left: one line says so" "$(guest_exec "$1" \
		"dmesg | grep -c 'mapping broken .* left with 500 marked'")" 1
	ok "left: compaction leaves them alone" guest_exec "$1" \
		'for i in 1 2 3; do echo 1 > /proc/sys/vm/compact_memory; done'
	is "left: they are still accounted for" "$(fw_column "$1" broken marked)" 500
	ok "left: the name is free" mod "$1" '
		insmod ./driver_pages_broken.ko pages=10 fault=none
		rmmod driver_pages_broken'
}

# Pages at random in half of MIB: of processes, of the sample, and of the sample
# when its pages can't be migrated any more. The sample fills the holes of a
# process that ends then.
test_fragmented_half()
{
	local mib=$2 most lru pages free movable stuck

	section "half of $mib MiB full, and huge pages"
	ok "half: the sample goes" guest_exec "$1" 'rmmod driver_pages_sample'
	hold "$1" start --mib "$mib" --pattern random --keep 1/2 >/dev/null
	most=$(huge_pages_most "$1")
	lru=$(huge_pages "$1" "$most")
	# That has packed what was scattered.
	hold "$1" stop
	hold "$1" start --mib "$mib" --pattern random --keep 1/2 >/dev/null
	pages=$((mib * 128))
	ok "half: the sample fills the other half" mod "$1" \
		"insmod ./driver_pages_sample.ko pages=$pages"
	hold "$1" stop
	is "half: all of it is marked" "$(fw_column "$1" sample marked)" $pages
	movable=$(huge_pages "$1" "$most")
	is "half: contents are whole" "$(guest_exec "$1" "cat $SAMPLE")" \
		"idle $pages bad 0"
	between "half: pages migrated for it" \
		"$(fw_column "$1" sample migrated)" $((pages / 8)) 100000000

	# The kit stops the mapping, and all is scattered anew.
	guest_exec "$1" 'rmmod driver_pages_sample'
	hold "$1" start --mib "$mib" --pattern random --keep 1/2 >/dev/null
	mod "$1" "insmod ./driver_pages_sample.ko pages=$pages"
	hold "$1" stop
	guest_exec "$1" "echo sample pages=1 moves=0 stop > $KIT/run"
	free=$(guest_exec "$1" '
		awk "/Node/ { n += \$14 * 1; m += \$15 * 2 } END { print n + m }" \
			/proc/buddyinfo')
	stuck=$(huge_pages "$1" "$most")
	comment "huge pages, of $most: $lru with LRU memory," \
		"$movable with the sample's, $stuck when those can't migrate," \
		"$free blocks were free then"
	between "half: >= 98 % of what LRU memory gives" "$movable" \
		$((lru * 98 / 100)) 100000
	between "half: LRU memory gives most of them" "$lru" \
		$((most * 9 / 10)) "$most"
	between "half: without callbacks, little but what was free" "$stuck" \
		0 $((lru * 3 / 4))
	ok "half: the sample goes" guest_exec "$1" 'rmmod driver_pages_sample'
	ok "half: and comes" mod "$1" 'insmod ./driver_pages_sample.ko pages=2000'
}

# What a guest is busy with while the kit, or nobody, isolates pages: compaction
# in a loop, and the sample's own use of its pages.
fw_busy()
{
	guest_exec "$1" 'rm -f /run/stop /run/ended.*
		(while [ ! -e /run/stop ]; do
			echo 1 > /proc/sys/vm/compact_memory
		done; : > /run/ended.1) > /dev/null 2>&1 &
		(while [ ! -e /run/stop ]; do
			cat '$SAMPLE'
		done; : > /run/ended.2) > /run/checks 2> /dev/null &'
}

fw_quiet()
{
	guest_exec "$1" ': > /run/stop
		until [ -e /run/ended.1 ] && [ -e /run/ended.2 ]; do
			usleep 20000
		done'
}

test_churn()
{
	local rounds=${2:-3}

	section "compaction in a loop, pages in use and replaced meanwhile"
	fw_busy "$1"
	for _ in $(seq "$rounds"); do
		include kit "$1" "sample busy moves=${3:-20000}"
	done
	fw_quiet "$1"
	is "churn: no page was ever damaged" "$(guest_exec "$1" \
		"grep -vc 'bad 0$' /run/checks || true")" 0
	between "churn: it was looked at often" "$(guest_exec "$1" \
		"grep -c 'bad 0$' /run/checks")" 2 1000000
	is "churn: each page is there and whole" \
		"$(guest_exec "$1" "cat $SAMPLE")" "idle 2000 bad 0"
	is "churn: none is isolated" "$(fw_column "$1" sample isolated_now)" 0
}

# The mapping is stopped while pages are isolated and moved on all CPUs; and the
# module is unloaded under load, again and again.
test_ends()
{
	section "ends in the middle"
	include kit "$1" "sample stop moves=${2:-20000}"
	ok "ends: the sample goes" guest_exec "$1" 'rmmod driver_pages_sample'
	fw_busy "$1"
	ok "ends: the sample comes and goes under load" mod "$1" '
		for i in $(seq '"${3:-20}"'); do
			insmod ./driver_pages_sample.ko pages=2000 || exit
			[ $((i % 2)) = 0 ] || usleep 100000
			until rmmod driver_pages_sample 2> /dev/null; do
				[ -e /sys/module/driver_pages_sample ] || exit
			done
		done'
	fw_quiet "$1"
	ok "ends: the sample comes" mod "$1" \
		'insmod ./driver_pages_sample.ko pages=2000'
	is "ends: each page is there and whole" \
		"$(guest_exec "$1" "cat $SAMPLE")" "idle 2000 bad 0"
}

# torture NAME SECONDS: all of that at random for so long.
test_torture()
{
	local end=$((SECONDS + $2)) rounds=0 bad=0 pages said seed=$RANDOM

	section "torture for $2 s, seed $seed"
	RANDOM=$seed
	guest_exec "$1" '! [ -e '$SAMPLE' ] || rmmod driver_pages_sample'
	until [ $SECONDS -ge $end ]; do
		rounds=$((rounds + 1))
		pages=$((RANDOM % 20000 + 100))
		mod "$1" "insmod ./driver_pages_sample.ko pages=$pages"
		fw_busy "$1"
		case $((RANDOM % 4)) in
		0)	said=$(huge_pages "$1" 200) ;;
		1)	said=$(kit "$1" "sample busy stop moves=$((RANDOM % 20000))") ;;
		2)	said=$(guest_exec "$1" "cat $KIT/misuse") ;;
		*)	said=$(kit "$1" "sample busy moves=$((RANDOM))") ;;
		esac
		if grep -q '^not' <<< "$said"; then
			bad=$((bad + 1))
			comment "round $rounds: $(grep -A2 '^not' <<< "$said")"
		fi
		fw_quiet "$1"
		if [ "$(guest_exec "$1" "cat $SAMPLE")" != "idle $pages bad 0" ] ||
		   guest_exec "$1" "grep -v 'bad 0$' /run/checks" ||
		   [ "$(fw_column "$1" sample isolated_now)" != 0 ]; then
			bad=$((bad + 1))
			comment "round $rounds: $(guest_exec "$1" \
				"cat $SAMPLE $MAPPINGS")"
		fi
		guest_exec "$1" 'rmmod driver_pages_sample'
		guest_check_log "$1" || break
	done
	comment "$rounds rounds"
	is "torture: each round is well" $bad 0
	between "torture: there were some" $rounds 1 1000000
}
