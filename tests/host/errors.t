#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Bad input ends with one line that says what and how to mend it, and with a
# status that is not zero.

. "$(dirname "$0")/../lib/test.sh"

[ "$(id -u)" = 0 ] || skip_all "needs root"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
unset ACCEL
export BALLAST_ACCEL=tcg

# one_line REGEX: what was said to stderr, without the place of the logs.
one_line()
{
	[ "$(grep -vcE '^(logs|accelerator): ' "$dir/err")" = 1 ] &&
		grep -qE "^ballast: .*($1).*[:;] .+" "$dir/err"
}

# refuses WHAT REGEX COMMAND...
refuses()
{
	local what=$1 regex=$2 rc=0

	shift 2
	"$@" > "$dir/out" 2> "$dir/err" </dev/null || rc=$?
	between "$what: fails" "$rc" 1 2
	ok "$what: one line says why" one_line "$regex"
	comment "$(cat "$dir/err")"
	# Logs of what fails on purpose are of no use to anybody.
	sed -n 's/^logs: //p' "$dir/err" | (cd "$TOP" && xargs -r rm -rf)
}

nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# Somebody else's checkout may not be readable for nobody; that is no bug.
if nobody test -r "$TOP/scripts/lib.sh" -a -w /dev/null; then
	refuses "run-guest without root" "no root" nobody "$TOP/tests/run-guest"
	for script in demo bench; do
		refuses "$script without root" "no root" \
			nobody "$TOP/tests/$script.sh"
	done
else
	skip "run-guest without root" "the tree is not readable for others"
fi

mkdir "$dir/small"
refuses "a full disk" "no disk space" unshare -m bash -c '
	mount -t tmpfs -o size=10m ballast "$1" && BALLAST_CACHE=$1 "$2"' \
	- "$dir/small" "$TOP/scripts/fetch.sh"

# An apt that fails. What it says is shown, too, so not just one line.
mkdir "$dir/bin" "$dir/empty"
printf '%s\n' '#!/bin/sh' 'echo "E: no archive today" >&2' 'exit 100' \
	> "$dir/bin/apt-get"
chmod 755 "$dir/bin/apt-get"
rc=0
PATH=$dir/bin:$PATH BALLAST_CACHE=$dir/empty "$TOP/scripts/fetch.sh" \
	> "$dir/out" 2> "$dir/err" </dev/null || rc=$?
is "apt fails: status" "$rc" 1
is "apt fails: the last line says what failed" \
	"$(tail -n 1 "$dir/err" | sed 's/; .*//; s/: see .*//')" \
	"ballast: apt update failed"
ok "apt fails: apt's own words are shown" grep -q "no archive today" "$dir/err"
is "apt fails: nothing half done in the cache" \
	"$(find "$dir/empty" -type f)" ""

refuses "an unknown subset of QEMU" "unknown build" \
	"$TOP/qemu-patches/build.sh" nonsense
QEMU_BASE=7.1 refuses "an unknown base of QEMU" "unknown QEMU_BASE: 7.1" \
	"$TOP/scripts/setup.sh"
refuses "an unknown kind of kernel" "bad argument" \
	"$TOP/guest-kernel/build.sh" nonsense

run=("$TOP/tests/run-guest")
# refuses_option OPTION VALUE REGEX: before there is anything to wait for.
refuses_option()
{
	refuses "run-guest $1 $2" "bad option: $1 $2" \
		"${run[@]}" "$1" "$2" -- true
	ok "run-guest $1 $2: and what would do" grep -q "; use $3" "$dir/err"
	is "run-guest $1 $2: nothing was started" \
		"$(grep -cE '^(logs|accelerator): ' "$dir/err")" 0
}
refuses_option --balloon foo "ballast, stock or none"
refuses_option --fpr yes "on or off"
refuses_option --autodeflate 1 "on or off"
refuses_option --prealloc maybe "on or off"
refuses_option --backing huge "thp or hugetlb"
refuses_option --mem 1G "a number of MiB"
refuses_option --vcpus 0 "a number"
refuses_option --disk 1T "a number of MiB"
refuses_option --virtio-mem none "a number of MiB"
refuses_option --params floor_mb "name=value"
refuses "an unknown option" "bad option: --nonsense" \
	"${run[@]}" --nonsense 1 -- true
refuses "an option without its value" "bad option: --mem needs" \
	"${run[@]}" --fpr on --mem

refuses "an unknown case of the benchmark" "bad case: nonsense" \
	"$TOP/tests/bench.sh" nonsense

if [ -x "$OUT/stock/qemu-system-x86_64" ] && [ -r "$OUT/stock/vmlinuz" ]; then
	: > "$dir/no-kernel"
	refuses "no kernel" "unusable kernel: .*/none" \
		"${run[@]}" --kernel "$dir/none" -- true
	refuses "a kernel that is none" "guest g does not (start|come up)" \
		"${run[@]}" --kernel "$dir/no-kernel" -- true
	refuses "no QEMU" "unusable QEMU: .*/none" \
		"${run[@]}" --qemu "$dir/none" -- true
	refuses "a QEMU that is none" "guest g does not start|unusable QEMU" \
		"${run[@]}" --qemu /bin/true -- true
	BALLAST_ACCEL=nonsense refuses "a bad accelerator" "bad BALLAST_ACCEL" \
		"${run[@]}" -- true
else
	skip "unusable kernel and QEMU" "none is built; run 'make kernel qemu'"
fi
done_testing
