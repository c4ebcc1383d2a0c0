#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The kernel's own tests of compaction and migration: what passes on Debian's
# kernel passes on the patched one, too, with a driver's pages all over its
# memory.
#
#	selftests.t [ballast|debug]...

. "$(dirname "$0")/../lib/test.sh"
[ -n "${BALLAST_RUN:-}" ] || "$TOP/tests/guest/selftests.sh"
guests "$@"
export BOOT_TIMEOUT=300

SAMPLE=/sys/kernel/debug/driver_pages_sample
MAPPINGS=/sys/kernel/debug/driver_pages/mappings

# What is run, and the huge pages that it needs, as in the kernel's run_vmtests.sh.
# mem-on-off-test.sh is to offline that many per cent of the memory blocks.
PROGRAMS='
	0	compaction_test
	64	migration
	0	transhuge-stress -d 3 512
	64	hugepage-mremap
	0	mem-on-off-test.sh -r 20
'

# selftest NAME HUGEPAGES PROGRAM [ARGUMENT...]: into the array R, by program and
# test: pass, skip or fail. A program is a test itself, by its status.
declare -A R
selftest()
{
	local name=$1 huge=$2 prog=$3 out rc=0 line what how

	# The script is for bash, and all that it lacks in busybox is UID.
	out=$(guest_exec "$name" "cd /run/selftests
		echo $huge > /proc/sys/vm/nr_hugepages
		case $prog in
		*.sh)	UID=0 sh ./${*:3} ;;
		*)	./${*:3} ;;
		esac 2>&1
		rc=\$?
		echo 0 > /proc/sys/vm/nr_hugepages
		exit \$rc" 600) || rc=$?
	comment "$SECONDS s: ${*:3}: status $rc"
	case $rc in
	0) R[$prog]=pass ;;
	4) R[$prog]=skip ;;
	*) R[$prog]=fail ;;
	esac
	while read -r line; do
		[[ $line =~ ^(not )?ok\ [0-9]+\ *-?\ *([^#]*)(.*) ]] || continue
		what=${BASH_REMATCH[2]% }
		how=pass
		[[ ${BASH_REMATCH[3]} != *SKIP* ]] || how=skip
		[ -z "${BASH_REMATCH[1]}" ] || how=fail
		R["$prog: $what"]=$how
	done <<< "$out"
	[ $rc = 0 ] || comment "$(tail -n 12 <<< "$out")"
}

# run_all NAME KERNEL
run_all()
{
	local huge args

	guest_start "$1" --kernel "$2" --balloon none --mem 1024 --vcpus 4 \
		--nodes 2 --cmdline movablecore=512M
	tar -C "$BUILD/guest/selftests" -czf "$RUN/selftests.tar.gz" .
	guest_put "$1" "$RUN/selftests.tar.gz" /run/selftests.tar.gz
	guest_exec "$1" 'mkdir /run/selftests
		tar -C /run/selftests -xzf /run/selftests.tar.gz
		rm /run/selftests.tar.gz'
	[ "$2" = stock ] || scatter "$1" "$2"
	R=()
	while read -r huge args; do
		# shellcheck disable=SC2086
		[ -z "$huge" ] || selftest "$1" "$huge" $args
	done <<< "$PROGRAMS"
	[ "$2" = stock ] || scattered "$1" "$2"
	finish "$1"
}

# Pages of the sample driver, in the holes that a process leaves.
scatter()
{
	hold "$1" start --mib 500 --pattern random --keep 1/2 >/dev/null
	ok "$2: a driver's pages are all over the memory" guest_exec "$1" '
		cd /lib/modules/$(uname -r)/ballast
		insmod ./driver_pages_sample.ko pages=32000'
	hold "$1" stop
}

scattered()
{
	is "$2: the driver's pages are there and whole" \
		"$(guest_exec "$1" "cat $SAMPLE")" "idle 32000 bad 0"
	between "$2: they were migrated meanwhile" "$(guest_exec "$1" "awk '
		NR == 1 { while (\$++i != \"migrated\") ; }
		\$1 == \"sample\" { print \$i }' $MAPPINGS")" 1 100000000
}

comment "kernel: stock"
run_all a stock
declare -A stock
passed=0
for key in "${!R[@]}"; do
	stock[$key]=${R[$key]}
	[ "${R[$key]}" != pass ] || passed=$((passed + 1))
done
mapfile -t keys < <(printf '%s\n' "${!stock[@]}" | sort)
# So that a patched kernel is not compared with nothing.
between "stock: tests that pass" "$passed" 12 1000

kernels=("$@")
[ $# -gt 0 ] || kernels=(ballast)
for kernel in "${kernels[@]}"; do
	comment "kernel: $kernel"
	run_all a "$kernel"
	for key in "${keys[@]}"; do
		case ${stock[$key]}:${R[$key]:-none} in
		*:pass) ok "$kernel: $key" true ;;
		skip:skip | fail:fail | fail:skip)
			skip "$kernel: $key" "${stock[$key]} on Debian's kernel" ;;
		*)	is "$kernel: $key, as on Debian's kernel" \
				"${R[$key]:-none}" "${stock[$key]}" ;;
		esac
	done
done

done_testing
