#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ballastctl: what it asks, what it prints, and how it ends.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"
# shellcheck source=tests/libvirt/fake.sh
. "$TOP/tests/libvirt/fake.sh"

CTL=${CTL:-$OUT/libvirt/ballastctl}
DAEMON=${DAEMON:-$OUT/libvirt/ballastd}
[ -x "$CTL" ] || skip_all "no $CTL: run 'make libvirt'"
dir=$(mktemp -d)
trap 'fake_end; rm -rf "$dir"' EXIT
fake_build

# ctl ARGUMENT...: rc, and out and err.
ctl()
{
	rc=0
	timeout 30 "$CTL" -s "$dir/sock" "$@" > "$dir/out" 2> "$dir/err" \
		</dev/null || rc=$?
}

# prints WHAT TEXT: that, and nothing else.
prints()
{
	is "$1: status" "$rc" 0
	is "$1: nothing on stderr" "$(cat "$dir/err")" ""
	is "$1: output" "$(cat "$dir/out")" "$2"
}

# refuses WHAT STATUS REGEX: one line on stderr alone.
refuses()
{
	is "$1: status" "$rc" "$2"
	is "$1: nothing on stdout" "$(cat "$dir/out")" ""
	is "$1: one line" "$(grep -c . "$dir/err")" 1
	ok "$1: it says why" grep -qE "$3" "$dir/err"
	comment "$(cat "$dir/err")"
}

# --- list and others, as a table and in JSON

web='"name": "web", "state": "managed", "current": 2097152, "target": 2097152,
	"low": 900000, "huge-share": 9876, "pressure": ""'
db='"name": "dätenbänk", "state": "pressure", "current": 1048576, "target": 0,
	"low": 0, "huge-share": -1, "pressure": "swaps in"'
reply()
{
	fake "$(jq -c . <<< "{\"ok\": true, $1}")"
}

reply "\"guests\": [{$web}, {$db}]"
ctl list
prints "list" "$(cat <<-'END'
	GUEST      CURRENT  TARGET  LOW        HUGE  PRESSURE  STATE
	web        2 GiB    2 GiB   878.9 MiB  99 %  -         managed
	dätenbänk  1 GiB    -       -          -     swaps in  pressure
	END
)"
is "list: the request" "$(got '.[0] | tojson')" '{"command":"list"}'
ctl list --json
is "list --json: status" "$rc" 0
is "list --json" "$(jq -c '.guests | map(.name)' "$dir/out")" '["web","dätenbänk"]'
reply "\"guests\": []"
ctl list
prints "list of nobody" "GUEST  CURRENT  TARGET  LOW  HUGE  PRESSURE  STATE"
reply "\"guests\": [{$web, \"would-be\": 1048576}]"
ctl list
prints "list in a dry run" "$(cat <<-'END'
	GUEST  CURRENT  TARGET  WOULD BE  LOW        HUGE  PRESSURE  STATE
	web    2 GiB    2 GiB   1 GiB     878.9 MiB  99 %  -         managed
	END
)"
# What a newer ballastd may leave out, or has otherwise.
reply '"guests": [{"name": "a"}, null, 3, {"name": 7, "current": "x", "low": -4}]'
ctl list
is "list of oddities: status" "$rc" 0
is "list of oddities: lines" "$(grep -c . "$dir/out")" 5

reply "\"guest\": {$web, \"why\": \"enough\", \"statistics\": {\"usable\": 5,
	\"age-ms\": 1500, \"shortfall\": 0, \"huge-share\": 5000},
	\"settings\": {\"shares\": 1000, \"minimum\": 1048576}}"
ctl show web
is "show: status" "$rc" 0
ok "show: its state" grep -qE '^state +managed$' "$dir/out"
ok "show: why" grep -qE '^why +enough$' "$dir/out"
ok "show: statistics" grep -qE '^  usable +5 KiB$' "$dir/out"
ok "show: one that is no size" grep -qE '^  age-ms +1500$' "$dir/out"
ok "show: a size of 0" grep -qE '^  shortfall +0 KiB$' "$dir/out"
ok "show: a share" grep -qE '^  huge-share +50 %$' "$dir/out"
ok "show: a size among the settings" grep -qE '^  minimum +1 GiB$' "$dir/out"
ok "show: settings" grep -qE '^  shares +1000$' "$dir/out"
is "show: the request" "$(got '.[0] | tojson')" '{"command":"show","guest":"web"}'

reply '"lines": ["It is well.", "It has 2 GiB."]'
ctl explain web
prints "explain" $'It is well.\nIt has 2 GiB.'

reply '"lines": ["a", null, 3]'
ctl explain web
prints "explain with oddities" $'a\n\n3'

reply '"mode": "active", "version": "1", "uri": "qemu:///system",
	"connected": false, "connection-error": "gone", "passes": 7,
	"pass-cpu-us": 1500, "hung-calls": 0,
	"host": {"total": 16777216, "available": 4194304, "budget": 0},
	"pools": [{"page": 4, "total": 16777216, "available": 4194304,
		"reserve": 1677722, "taking": true}]'
ctl status
is "status: status" "$rc" 0
ok "status: mode" grep -qE '^mode +active$' "$dir/out"
ok "status: why there is no connection" grep -qE '^why not +gone$' "$dir/out"
ok "status: the pool" grep -qE '^4 KiB +16 GiB +4 GiB +1.6 GiB +taking$' "$dir/out"

reply '"text": "# HELP a b\na 1\n"'
ctl metrics
prints "metrics" $'# HELP a b\na 1'

# --- orders

fake '{"ok": true}'
# order WANT ARGUMENT...
order()
{
	local want=$1

	shift
	: > "$dir/log"
	ctl "$@"
	is "$*: status" "$rc" 0
	is "$*: the request" "$(got '.[0] | tojson')" "$want"
	is "$*: one line" "$(grep -c . "$dir/out")" 1
}
order '{"command":"set","guest":"web","size":3145728}' set web 3G
order '{"command":"pause","guest":"web"}' pause web
order '{"command":"pause"}' pause --all
order '{"command":"resume","guest":"web"}' resume web
order '{"command":"resume"}' --all resume
order '{"command":"release","guest":"-x"}' release -- -x
order '{"command":"release"}' release --all
is "release --all: grammar" "$(cat "$dir/out")" "all guests: get all their memory \
back; left alone until 'ballastctl resume --all'"
ctl pause web --json
is "pause --json" "$(jq -c . "$dir/out")" '{"ok":true}'

# --- what goes wrong

ctl list
refuses "a reply without what was asked for" 1 'no "guests" in ballastd.s reply'
for list in list=guests 'show web=guest' 'explain web=lines' status=pools \
	metrics=text; do
	fake "{\"ok\": true, \"${list#*=}\": 3}"
	# shellcheck disable=SC2086
	ctl ${list%=*}
	refuses "${list%=*}: a reply of another kind" 1 "no \"${list#*=}\""
done
fake '{"ok": false, "error": "no guest none; see \"ballastctl list\""}'
ctl show none
refuses "ballastd's error" 1 "^ballastctl: no guest none; see"
ctl show none --json
refuses "ballastd's error, in JSON" 1 "^ballastctl: no guest none; see"
fake nonsense
ctl list
refuses "nonsense" 1 "$dir/sock: what answers there is not ballastd"
fake %close
ctl list
refuses "it hangs up" 1 "ballastd does not answer at $dir/sock: is it running"
fake %silent
ctl list
refuses "no reply" 1 "ballastd does not answer at $dir/sock: is it running"
fake_end
ctl list
refuses "nobody listens" 1 "ballastd does not answer at $dir/sock: is it running"
rm "$dir/sock"
ctl list
refuses "no socket" 1 "ballastd does not answer at $dir/sock: is it running"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups \
	test -x "$CTL"; then
	fake '{"ok": true}'
	chmod 711 "$dir"
	chmod 600 "$dir/sock"
	rc=0
	setpriv --reuid=65534 --regid=65534 --clear-groups "$CTL" \
		-s "$dir/sock" list > "$dir/out" 2> "$dir/err" </dev/null || rc=$?
	refuses "no permission" 1 "$dir/sock: Permission denied; be root"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$CTL" \
		-s "$dir/sock" doctor > "$dir/out" 2> "$dir/err" </dev/null || true
	ok "doctor without rights" grep -qE "^  note +$dir/sock: you may not ask" \
		"$dir/out"
	fake_end
else
	skip "no permission" "nobody can't run $CTL"
fi

printf '%s\n' '[ballastd]' "socket = $dir/other" > "$dir/conf"
rc=0
"$CTL" -c "$dir/conf" list > "$dir/out" 2> "$dir/err" </dev/null || rc=$?
refuses "the configuration says where" 1 "does not answer at $dir/other"
echo nonsense >> "$dir/conf"
ctl -c "$dir/conf" list
refuses "a bad configuration" 1 "^ballastctl: $dir/conf:3: "
ctl -c "$dir/nothing" list
refuses "no configuration" 1 "^ballastctl: $dir/nothing: No such file"
printf '%s\n' '[host]' 'reserve = 4G # comment' > "$dir/conf"
ctl -c "$dir/conf" list
refuses "a comment that is none" 1 "reserve: .*only ' ;' begins a comment"
ctl -s "$dir/conf" list
refuses "another file" 1 "$dir/conf: is not a socket"

for arguments in "" "list web" "show" "show a b" "set web" "set web 1G x" \
	"pause" "pause a b" "pause --all web" "list --all" "list --qmp" \
	"nonsense" "--nonsense" "replay" "metrics x" "status x"; do
	# shellcheck disable=SC2086
	ctl $arguments
	is "'$arguments': status" "$rc" 2
	ok "'$arguments': says so" grep -qE '^(usage: )?(.*/)?ballastctl' "$dir/err"
done
for size in 1 x 3Q 1GB -1G ""; do
	ctl set web -- "$size"
	refuses "set web -- '$size'" 2 "is no amount of memory"
done
for size in -1 -1G; do
	ctl set web $size
	refuses "set web $size" 2 "'$size' is no amount of memory"
done
ctl set web 0
refuses "set web 0" 2 "0 is no size"
ctl pause --all web
refuses "pause --all web" 2 "GUEST or --all, not both"
ctl replay "$dir/nothing"
refuses "replay of nothing" 1 "^ballastctl: $dir/nothing: can't be read"
ctl --help
ok "--help" grep -q '^usage: ' "$dir/out"
is "--help: status" "$rc" 0
ctl --version
ok "--version" grep -qE '^ballastctl [^ ]+$' "$dir/out"
reply "\"guests\": [{$web}]"
if [ -w /dev/full ]; then
	rc=0
	"$CTL" -s "$dir/sock" list > /dev/full 2> "$dir/err" </dev/null || rc=$?
	: > "$dir/out"
	refuses "a full disk" 1 "can't be written"
else
	skip "a full disk" "no /dev/full"
fi
fake_end

# --- the doctor, with libvirt's test driver, which needs no libvirtd

printf '%s\n' '[ballastd]' 'uri = test:///default' "socket = $dir/sock" \
	> "$dir/conf"
ctl -c "$dir/conf" doctor
is "doctor: a problem is there: status" "$rc" 1
ok "doctor: the host" grep -qE '^  ok +libvirt [0-9.]+$' "$dir/out"
ok "doctor: ballastd is away" grep -qE '^  problem +ballastd does not answer' \
	"$dir/out"
ok "doctor: with a remedy" grep -qE '^ +remedy: systemctl enable --now' "$dir/out"
ok "doctor: the guest" grep -qx 'test:' "$dir/out"
is "doctor: nothing on stderr" "$(cat "$dir/err")" ""
ctl -c "$dir/conf" doctor none
ok "doctor none" grep -qE '^  problem +libvirt knows no such guest' "$dir/out"
ok "doctor none: remedy" grep -qE '^ +remedy: virsh list --all$' "$dir/out"
reply '"mode": "active", "connected": true'
ctl -c "$dir/conf" doctor --json test
is "doctor --json: what was looked at" \
	"$(jq -r '[.findings[].about] | unique | join(" ")' "$dir/out")" "host test"
is "doctor --json: ok says whether there is a problem" "$(jq .ok "$dir/out")" \
	"$(jq '[.findings[] | select(.level == "problem")] == []' "$dir/out")"
is "doctor --json: so does the status" "$rc" \
	"$(jq 'if .ok then 0 else 1 end' "$dir/out")"
fake_end
printf '%s\n' '[ballastd]' 'uri = qemu+unix:///system?socket=/nonexistent' \
	> "$dir/conf"
ctl -c "$dir/conf" doctor
is "doctor without libvirt: status" "$rc" 1
ok "doctor without libvirt" grep -qE '^  problem +libvirt does not answer' "$dir/out"

# --- ballastd without libvirt: it does not know that there are no guests

echo "socket = $dir/sock" >> "$dir/conf"
"$DAEMON" -c "$dir/conf" 2> "$dir/log" </dev/null &
daemon=$!
for _ in {1..300}; do
	ctl status
	! grep -q '^why not .*/nonexistent' "$dir/out" || break
	sleep 0.1
done
ok "no libvirt: status" grep -qE '^connected +no$' "$dir/out"
ok "no libvirt: status says why" grep -q '^why not .*/nonexistent' "$dir/out"
for command in list "show web" "pause web"; do
	# shellcheck disable=SC2086
	ctl $command
	refuses "no libvirt: $command" 1 'no connection to libvirt: .*/nonexistent'
done
kill $daemon
wait $daemon || true

echo nonsense >> "$dir/conf"
ctl -c "$dir/conf" doctor
ok "doctor: a bad configuration" grep -qE "^  problem +$dir/conf:4: " "$dir/out"
done_testing
