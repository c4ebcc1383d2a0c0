# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# TAP for shell tests: each check is one line; a failed one says why.
#
#	ok WHAT COMMAND...		the command succeeds
#	is WHAT GOT WANT		the same string
#	between WHAT GOT LEAST MOST	numbers, whole or not
#	comment, skip, skip_all, done_testing

tap_n=0 tap_failed=0 tap_done=

comment() { printf '# %s\n' "${@//$'\n'/$'\n'# }"; }

# result 0|1 WHAT
result()
{
	tap_n=$((tap_n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_n - $2"
	else
		echo "not ok $tap_n - $2"
		tap_failed=$((tap_failed + 1))
	fi
}

ok()
{
	local what=$1 out rc=0

	shift
	out=$("$@" 2>&1 </dev/null) || rc=$?
	result $((rc != 0)) "$what"
	[ $rc = 0 ] || comment "$* failed ($rc): $(tail -n 20 <<< "$out")"
	return 0
}

is()
{
	local rc=0

	[ "$2" = "$3" ] || rc=1
	result $rc "$1"
	[ $rc = 0 ] || comment "got: $2" "want: $3"
}

isnt()
{
	local rc=0

	[ "$2" != "$3" ] || rc=1
	result $rc "$1"
	[ $rc = 0 ] || comment "got: $2, and anything else would do"
}

between()
{
	local rc=0

	awk -v x="$2" -v a="$3" -v b="$4" 'BEGIN {
		exit !(x ~ /^-?[0-9.]+$/ && x + 0 >= a + 0 && x + 0 <= b + 0) }' ||
		rc=1
	result $rc "$1"
	[ $rc = 0 ] || comment "got: $2" "want: $3 .. $4"
}

skip()
{
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1 # SKIP $2"
}

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

# include COMMAND...: a program that speaks TAP itself: its lines are ours.
include()
{
	local line rc=0 n=0 out last=

	out=$("$@" 2>&1 </dev/null) || rc=$?
	while IFS= read -r line; do
		case $line in
		"ok "*)	n=$((n + 1)); result 0 "${line#ok * - }" ;;
		"not ok "*) n=$((n + 1)); result 1 "${line#not ok * - }" ;;
		"1.."*)	;;
		*)	last=${line#\# }; comment "$last" ;;
		esac
	done <<< "$out"
	[ "$rc $((n > 0))" = "0 1" ] || {
		result 1 "$1 ends well"
		comment "status $rc, $n tests; said last: $last"
	}
}

done_testing()
{
	# shellcheck disable=SC2034 # for guests_end in test.sh
	tap_done=1
	echo "1..$tap_n"
	[ $tap_failed = 0 ] || exit 1
	exit 0
}
