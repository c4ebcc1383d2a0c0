#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where ballastd's parts meet: what comes while something else is under way. The real
# ballastd and hook, and guests that do what a case says (stub-libvirt.c), on a host
# that is not there, either: what ballastd reads of it below /proc and /sys is
# replaced in a mount namespace of its own.
#
#	seams.t [CASE...]	without one: all, several at once

[ -n "${SEAMS_MOUNTS:-}" ] || [ "$(id -u)" != 0 ] ||
	SEAMS_MOUNTS=1 exec unshare -m "$0" "$@"

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"

# The longest ones first.
cases=(stale away record huge young release timeout queue unlisted restart released
	pages_stop pages_gone pages_late pages_hopeless pages_unused
	pages_killed flood grant starts all overtake vanish ask stop killed)
AT_ONCE=6

[ -n "${SEAMS_MOUNTS:-}" ] || skip_all "needs root"
[ -x "$HOST_TOOLS/ballastd" ] ||
	die "no ballastd: $HOST_TOOLS/ballastd; run 'make libvirt'"

RUN=$(mktemp -d)
BALLASTD_PID='' OTHERS=()
# shellcheck disable=SC2086
trap '{ kill -KILL $BALLASTD_PID "${OTHERS[@]}"; wait $BALLASTD_PID; } 2>/dev/null ||
	true; rm -rf "$RUN"' EXIT
export STUB_ORDERS=$RUN/orders STUB_WORLD=$RUN/world STUB_CONTROL=$RUN/control
export STUB_GUESTS=3
GIB=$((1024 * 1024)) MAXIMUM=$((4 * 1024 * 1024))

ctl() { timeout 10 "$HOST_TOOLS/ballastctl" --socket "$RUN/socket" "$@"; }

# --- the host

# The kernel's part: all pages that there are are free, but for those in resv_hugepages.
host_begin()
{
	: > "$STUB_ORDERS"
	: > "$STUB_CONTROL"
	: > "$RUN/ballastd.log"
	printf '%s kB\n' "MemTotal: $((64 * GIB))" "MemFree: $((48 * GIB))" \
		"MemAvailable: $((48 * GIB))" "Hugetlb: 0" "Hugepagesize: 2048" \
		> "$RUN/meminfo"
	mount --bind "$RUN/meminfo" /proc/meminfo
	PAGES=$RUN/hugepages/hugepages-2048kB
	mkdir -p "$PAGES"
	echo 0 | tee "$PAGES/resv_hugepages" > "$PAGES/nr_hugepages"
	ln "$PAGES/nr_hugepages" "$PAGES/free_hugepages"
	mount --bind "$RUN/hugepages" /sys/kernel/mm/hugepages
	# Also for guests' QEMUs: /run/libvirt/qemu/NAME.pid.
	mount -t tmpfs run /run
}

# What stands behind a shorter number is of a longer one before it.
pages() { head -n 1 "$PAGES/nr_hugepages"; }
pages_are() { [ "$(pages)" = "$1" ]; }

# --- ballastd

# conf LINE...: settings, first of [ballastd].
conf()
{
	ballastd_conf <<-END
		mode = active
		interval = 500ms
		statistics_period = 1s
		socket = $RUN/socket
		$(printf '%s\n' "$@")
	END
}

# reload: until its settings hold.
reload()
{
	local mark

	mark=$(ballastd_mark)
	kill -HUP "$BALLASTD_PID"
	ballastd_says "$mark" 20 "settings read" >/dev/null
}

launch()
{
	LD_PRELOAD=$RUN/stub.so "$HOST_TOOLS/ballastd" -c "$BALLASTD_CONF" -v \
		>> "$RUN/ballastd.log" 2>&1 </dev/null &
	BALLASTD_PID=$!
}

begin()
{
	launch
	until_true 30 ballastd_is_up ||
		die "ballastd does not start: $(tail -n 1 "$RUN/ballastd.log")"
}

# begin_settled: until all guests are managed.
begin_settled()
{
	begin
	until_true 30 eval 'states_are managed &&
		[ "$(states | wc -w)" = "$STUB_GUESTS" ]' ||
		comment "they are $(states)"
}

killed() { ballastd_stop KILL 2>/dev/null; }

# stub WHO WHAT NUMBER: see stub-libvirt.c.
stub() { echo "$*" >> "$STUB_CONTROL"; }

states() { ctl_get '[.guests[].state] | join(" ")' list; }
states_are() { [ "$(ctl_get '[.guests[].state] | unique | join(" ")' list)" = "$1" ]; }

# orders MARK: since there were so many; mark=$(orders_mark).
orders_mark() { wc -l < "$STUB_ORDERS"; }
orders() { tail -n "+$(($1 + 1))" "$STUB_ORDERS"; }
ordered() { [ -n "$(orders "$1")" ]; }

# promised: what the guests have or may get, in sum.
promised() { ctl_get '[.guests[] | [.current, .target] | max] | add' list; }

said() { grep -q -- "$1" "$RUN/ballastd.log"; }

# --- guests that are about to start

# hook GUEST OPERATION
hook()
{
	timeout 60 "$HOST_TOOLS/ballast-hook" -c "$BALLASTD_CONF" "$1" "$2" \
		begin - 2>> "$RUN/hook.log"
}

# prepare NAME KIB [huge]: until the hook ends. Whether there was room: has_room.
prepare()
{
	hook "$1" prepare <<-END
		<domain type='kvm'>
		  <name>$1</name>
		  <memory unit='KiB'>$2</memory>
		  ${3:+<memoryBacking><hugepages/></memoryBacking>}
		</domain>
	END
}

# begin_prepare NAME KIB [huge]: in the background.
begin_prepare()
{
	prepare "$@" &
	PREPARE_PID=$!
	OTHERS+=("$PREPARE_PID")
}

has_room() { said "for $1: there is room"; }
has_none() { said "for $1: no room"; }

# --- the cases

case_release()
{
	local mark

	conf 'release_at_stop = yes' '[host]' 'budget = 12G' 'reserve = 30%' \
		'[guests]' 'hold = 1s' 'rate = 50%'
	stub 2 autodeflate 1
	begin
	ok "guests give memory" until_true 30 eval \
		'[ "$(promised)" -lt $((9 * GIB)) ]'
	# Nor are there orders for the rest of it on the way.
	ballastd_passes 3
	# The first one is not done within the 5 s that it waits.
	stub '*' rate 409600
	stub 0 rate 204800
	mark=$(orders_mark)
	ballastd_stop
	is "at the end they are told to grow to their maximum, and nothing else" \
		"$(orders "$mark" | sort -u)" \
		"$(printf '%s\n' "0 $MAXIMUM" "1 $MAXIMUM" "2 $MAXIMUM")"
	begin
	ballastd_passes 6
	is "then nobody is taken for moved by somebody else" \
		"$(states | grep -o override || true)" ""
}

case_released()
{
	local mark

	conf '[host]' 'reserve = 2G' '[guests]' 'hold = 0' '[hook]' \
		'timeout = 20s' 'refuse = yes'
	begin_settled
	ctl release --all >/dev/null
	mark=$(orders_mark)
	ok "all is released: a guest starts" prepare small $((8 * GIB))
	ok "there is room" has_room small
	ok "one starts for which the host has not enough" eval \
		'! prepare big $((60 * GIB))'
	ok "that is known at once" said "for big: no room: .* nothing is taken"
	is "no guest is told to give anything" "$(orders "$mark" |
		awk -v max=$MAXIMUM '$2 != max')" ""
}

case_stale()
{
	local mark

	conf '[host]' 'budget = 12G' 'reserve = 0' '[guests]' 'hold = 0' 'rate = 50%'
	begin_settled
	stub '*' mute 1
	# 3 periods and 5 s.
	ok "statistics that fail are stale after a while" \
		until_true 20 states_are stale
	mark=$(orders_mark)
	sed -i 's/^reserve = .*/reserve = 30%/' "$BALLASTD_CONF"
	reload
	ballastd_passes 4
	is "then nothing is ordered, although memory is missing" \
		"$(orders "$mark")" ""
	stub '*' mute 0
	ok "when they come again, something is" until_true 30 ordered "$mark"
}

case_away()
{
	local mark passes

	conf '[host]' 'budget = 12G' 'reserve = 0' '[guests]' 'hold = 0' 'rate = 50%'
	begin_settled
	stub host away 1
	ok "libvirt is away" until_true 20 eval '! ballastd_is_up'
	mark=$(ballastd_mark)
	passes=$(ctl_get .passes status)
	sed -i 's/^reserve = .*/reserve = 30%/' "$BALLASTD_CONF"
	reload
	# Whether there are any then is ballastd's affair.
	until_true 5 passes_at_least $((passes + 4)) || true
	is "then nothing is ordered" \
		"$(tail -n "+$mark" "$RUN/ballastd.log" | grep ': to ' || true)" ""
	stub host away 0
	ok "when it is there again, something is" until_true 30 ordered 0
}

case_huge()
{
	local name

	export STUB_GUESTS=2
	conf '[guests]' 'hold = 1s' '[hook]' 'timeout = 20s'
	echo 3072 > "$PAGES/nr_hugepages"
	mkdir -p /run/libvirt/qemu
	# It has touched no huge page at all, and what marks the patched QEMU.
	cp /bin/sleep "$RUN/qemu"
	echo x-query-balloon >> "$RUN/qemu"
	"$RUN/qemu" 600 &
	OTHERS+=($!)
	for name in guest0 guest1; do
		echo ${OTHERS[-1]} > "/run/libvirt/qemu/$name.pid"
	done
	stub '*' huge 1
	stub '*' actual $((2 * GIB))
	begin
	ok "guests grow into what is left of the pool" until_true 40 eval \
		'[ "$(promised)" -gt $((4 * GIB + GIB / 2)) ]'
	ballastd_passes 14
	between "but not beyond" "$(promised)" $((4 * GIB)) $((6 * GIB))
	ok "room for another one is asked for" prepare big $((2 * GIB)) huge
	ok "and made" has_room big
	between "of what they have" "$(promised)" $((2 * GIB)) $((4 * GIB))
}

case_grant()
{
	export STUB_GUESTS=2
	# All of that is in use, or spoken for, but for the reserve of 2 GiB.
	conf '[host]' 'budget = 8G' 'reserve = 2G' 'critical = 0' '[guests]' \
		'hold = 0' '[hook]' 'timeout = 20s'
	stub 0 actual $((2 * GIB))
	begin_settled
	stub 0 rate 10240
	stub 0 used $((2 * GIB - 20480))
	ok "a guest under pressure gets memory" until_true 30 ordered 0
	ok "meanwhile room is asked for" prepare big $((19 * GIB / 10))
	ok "and made" has_room big
	between "not of what was given to that guest" "$(promised)" $((4 * GIB)) \
		$((8 * GIB - 19 * GIB / 10))
}

pages_conf()
{
	conf '[host]' 'budget = 14G' 'reserve = 0' 'grow_hugepages = room' \
		'[guests]' 'hold = 1s' '[hook]' "timeout = $1"
}

case_pages_stop()
{
	pages_conf 20s
	begin_settled
	ok "a guest needs huge pages" prepare big $((2 * GIB)) huge
	ok "there is room" has_room big
	is "they were made for it" "$(pages)" 1024
	hook other stopped < /dev/null
	hook other release < /dev/null
	stub 1 run 0
	ok "another guest is gone" until_true 20 said "guest1: gone"
	ballastd_passes 4
	is "they are there still" "$(pages)" 1024
	hook big release < /dev/null
	ok "it does not start: they are given back" until_true 20 pages_are 0
}

# pages_short: as pages_conf, but of pages that are made somebody else gets 256.
pages_short()
{
	pages_conf "$1"
	begin_settled
	echo 256 > "$PAGES/resv_hugepages"
}

case_pages_hopeless()
{
	pages_short 20s
	ctl pause --all >/dev/null
	prepare big $((2 * GIB)) huge
	ok "pages are made, but not enough, and nobody gives more" has_none big
	ok "what is left of them is given back" until_true 20 pages_are 256
}

case_pages_gone()
{
	pages_short 20s
	stub '*' rate 1024
	begin_prepare big $((2 * GIB)) huge
	ok "pages are made, but not enough yet" until_true 20 pages_are 1024
	# The hook, then the function that waits for it.
	# shellcheck disable=SC2046
	kill $(pgrep -P "$PREPARE_PID") "$PREPARE_PID" || true
	ok "libvirt gives up: they are given back" until_true 20 pages_are 256
}

case_pages_late()
{
	pages_short 2s
	stub '*' rate 1024
	prepare big $((2 * GIB)) huge
	ok "pages are made, but the time is over before there are enough" has_none big
	ok "they are given back" until_true 20 pages_are 256
}

case_pages_unused()
{
	pages_conf 20s
	begin_settled
	prepare big $((2 * GIB)) huge
	is "pages are made for a guest" "$(pages)" 1024
	stub host skip 125
	ok "it never starts: they are given back" until_true 20 pages_are 0
}

case_pages_killed()
{
	pages_conf 20s
	begin_settled
	prepare big $((2 * GIB)) huge
	is "pages are made" "$(pages)" 1024
	killed
	begin
	ok "ballastd is killed: the next one gives them back" until_true 20 pages_are 0
}

case_queue()
{
	local name

	conf "record = $RUN/record" '[host]' 'budget = 12G' 'reserve = 0' \
		'[guests]' 'hold = 0' '[hook]' 'timeout = 40s'
	begin_settled
	stub '*' rate 204800
	begin_prepare first $((2 * GIB))
	until_true 20 grep -q '"first"' "$RUN/record"
	for name in second third fourth; do
		begin_prepare $name $GIB
		until_true 20 grep -q "\"$name\"" "$RUN/record"
	done
	ok "four guests wait, and all get room" until_true 50 eval 'has_room first &&
		has_room second && has_room third && has_room fourth'
	is "in the order in which they asked" "$(sed -n \
		's/.* for \(.*\): there is room/\1/p' "$RUN/ballastd.log" | paste -sd' ')" \
		"first second third fourth"
}

case_starts()
{
	conf '[host]' 'budget = 20G' '[guests]' 'hold = 0' 'rate = 50%'
	begin_settled
	ok "another guest starts" prepare guest3 $MAXIMUM
	ok "there is room" has_room guest3
	stub 3 run 1
	ok "it runs" until_true 20 said "guest3: found"
	hook guest3 started < /dev/null
	ballastd_passes 6
	stub host skip 20
	ballastd_passes 4
	is "nobody had to give anything for it" "$(orders 0)" ""
}

case_timeout()
{
	local rc=0

	conf '[host]' 'budget = 12G' 'reserve = 0' '[guests]' 'hold = 0' '[hook]' \
		'timeout = 200s' 'refuse = yes'
	begin_settled
	stub '*' rate 20480
	begin_prepare late $((2 * GIB))
	ok "guests give memory for another one, slowly" until_true 20 eval \
		'[ "$(orders_mark)" -ge 3 ]'
	stub host skip 125
	ok "125 s later there is room" until_true 20 has_room late
	until_true 10 eval '! kill -0 $PREPARE_PID 2>/dev/null' || kill "$PREPARE_PID"
	wait "$PREPARE_PID" || rc=$?
	is "and the hook knows" "$rc $(cat "$RUN/hook.log")" "0 "
}

restart()
{
	conf '[host]' 'budget = 12G' 'reserve = 0' '[guests]' 'hold = 3s' \
		'[hook]' 'timeout = 30s' 'refuse = yes'
	begin_settled
	ballastd_stop
	: > "$RUN/ballastd.log"
	stub host list "$1"
	launch
}

case_restart()
{
	restart 0
	ok "ballastd is back, and finds the guests" until_true 20 eval \
		'[ "$(grep -c found "$RUN/ballastd.log")" = 3 ]'
	ok "another one starts, and is not refused" prepare big $((2 * GIB))
	ok "there is room for it" has_room big
	between "since the others gave it" "$(promised)" $((3 * GIB)) $((10 * GIB))
}

case_unlisted()
{
	restart 3000
	ok "ballastd is back, and libvirt is slow" until_true 20 ballastd_is_up
	ok "a guest starts, and is not refused" prepare big $((2 * GIB))
	ok "there is room for it" has_room big
	between "not of a budget that others have already" "$(promised)" \
		$((3 * GIB)) $((10 * GIB))
}

case_flood()
{
	conf '[host]' 'budget = 12G' 'reserve = 0' '[guests]' 'hold = 0' '[hook]' \
		'timeout = 10s'
	begin_settled
	# The next one would come too late.
	sed -i 's/^interval = .*/interval = 300s/' "$BALLASTD_CONF"
	reload
	stub '*' flood 1
	prepare big $((2 * GIB))
	ok "each balloon tells 50 times a second that it moves: there is room" \
		has_room big
}

case_ask()
{
	local passes

	conf
	sed -i 's/^interval = .*/interval = 300s/' "$BALLASTD_CONF"
	begin
	ok "guests are found" until_true 20 eval '[ "$(states | wc -w)" = 3 ]'
	passes=$(ctl_get .passes status)
	for _ in {1..20}; do
		ctl list >/dev/null
	done
	# One may be due to how it began.
	between "who asks does not cause a pass" "$(ctl_get .passes status)" "$passes" \
		$((passes + 1))
}

# giving [GUEST]: which was told last to give more than its balloon gives in a while.
giving()
{
	awk -v guest="${1:-}" '{ to[$1] = $2 }
		END { for (g in to) if ((guest == "" || g == guest) &&
			to[g] < 3500000) print g, to[g] }' "$STUB_ORDERS"
}

case_stop()
{
	conf '[host]' 'budget = 12G' 'reserve = 30%' '[guests]' 'hold = 1s' \
		'rate = 50%'
	stub '*' rate 20480
	begin
	ok "guests are told to give memory" until_true 30 ordered 0
	ballastd_passes 3
	isnt "more than they give at once" "$(giving 0)" ""
	ok "one is paused" ctl pause guest0
	ok "it is told to keep what it has" until_true 10 eval '[ -z "$(giving 0)" ]'
	isnt "and the others are not" "$(giving)" ""
	ballastd_stop
	is "at the end all are" "$(giving)" ""
}

# A balloon that obeys an order of the ballastd before late is nobody else's.
case_killed()
{
	local to

	conf '[host]' 'budget = 12G' 'reserve = 30%' '[guests]' 'hold = 1s' \
		'rate = 50%'
	stub '*' rate 1
	begin
	ok "guests are told to give memory" until_true 30 ordered 0
	ballastd_passes 1
	killed
	stub '*' actual $MAXIMUM
	sed -i '/^budget/d; s/^reserve.*/reserve = 0/' "$BALLASTD_CONF"
	begin_settled
	ballastd_passes 3
	to=$(awk '$1 == 0 { to = $2 } END { print to }' "$STUB_ORDERS")
	stub 0 actual "$to"
	ballastd_passes 4
	is "after a kill an order of before is obeyed: it was ours" \
		"$(ctl_get '.guests[] | select(.name == "guest0") | .state' list)" \
		managed
}

case_vanish()
{
	conf '[guests]' 'hold = 0'
	stub 2 vanish 1
	stub host list 1000
	begin
	ok "guests are found" until_true 20 said "guest1: found"
	ballastd_passes 6
	is "one that stopped while the list was on its way is not followed" \
		"$(ctl_get '[.guests[].name] | join(" ")' list)" "guest0 guest1"
}

case_young()
{
	conf '[guests]' 'hold = 60s'
	begin
	ok "guests are found" until_true 20 eval '[ "$(states | wc -w)" = 3 ]'
	stub host skip 61
	ok "a minute later they are managed" until_true 30 states_are managed
	stub 0 run 1
	ok "one starts, and its end was missed: it is young" until_true 20 \
		guest_is guest0 '.state == "starting"'
	stub host skip 61
	ok "they are managed again" until_true 30 states_are managed
	stub 1 run 0
	stub 1 run 1
	ok "one is started again: it is young" until_true 20 \
		guest_is guest1 '.state == "starting"'
}

case_overtake()
{
	local i

	conf '[host]' 'budget = 12G' 'reserve = 0'
	begin
	ok "guests are found" until_true 20 guest_is guest0 true
	stub 0 slow 3000
	ctl set guest0 2000M >/dev/null
	ok "an order takes long" until_true 20 eval \
		'[ "$(ctl_get ".\"hung-calls\"" status)" = 1 ]'
	stub 0 slow 0
	ctl set guest0 3000M >/dev/null
	until_true 20 eval '[ "$(orders_mark)" = 2 ]'
	is "the next one does not overtake it" "$(orders 0 | paste -sd,)" \
		"0 $((2000 * 1024)),0 $((3000 * 1024))"
	stub 1 random 300
	for i in {2001..2030}; do
		ctl set guest1 ${i}M >/dev/null
	done
	until_true 20 eval '[ "$(tail -n 1 "$STUB_ORDERS")" = "1 $((2030 * 1024))" ]'
	# What was overtaken would come later.
	ballastd_passes 2
	is "of many the last one is the last" "$(tail -n 1 "$STUB_ORDERS")" \
		"1 $((2030 * 1024))"
	ok "and those before it come in their order" eval \
		'orders 2 | sort -c -n -k 2'
}

case_all()
{
	conf '[guests]' 'hold = 0'
	begin_settled
	ctl pause guest0 >/dev/null
	stub 0 run 0
	ok "a guest is paused, and stops" until_true 20 said "guest0: gone"
	ctl resume --all >/dev/null
	stub 0 run 1
	ok "all are resumed, and it starts: it is not paused" until_true 20 \
		guest_is guest0 '.state == "managed"'
	ctl pause --all >/dev/null
	stub 3 run 1
	ok "all are paused, and another one starts: it is, too" until_true 20 \
		guest_is guest3 '.state == "paused"'
	killed
	begin
	stub 4 run 1
	ok "so is one that starts when ballastd is back" until_true 20 \
		guest_is guest4 '.state == "paused"'
	ctl resume --all >/dev/null
	ok "all are resumed" until_true 20 states_are managed
}

case_record()
{
	local passes

	mkfifo "$RUN/record"
	conf "record = $RUN/record"
	begin
	ok "nobody reads the record: passes go on" until_true 15 passes_at_least 5
	killed
	# It is opened, but not read: it is full after 64 KiB.
	exec {nobody}<>"$RUN/record"
	dd if=/dev/zero of="$RUN/record" bs=64k count=1 oflag=nonblock \
		status=none 2>/dev/null || true
	begin
	ok "the record is not written any more: passes go on" \
		until_true 15 passes_at_least 5
	killed
	exec {nobody}>&-
}

# --- which of them

# Each in its own process, and on its own host.
tap_of()
{
	sed "s/^\(not \)\?ok [0-9]* - /&$1: /" "$RUN/$1.tap"
	grep -q '^1\.\.' "$RUN/$1.tap"
}

one()
{
	# What a command did wrong that nobody expected to fail.
	set -E
	trap 'comment "stopped at line $LINENO: $BASH_COMMAND" >&$TAP_OUT' ERR
	host_begin
	gcc -shared -fPIC -O1 -Wall -Werror -D_GNU_SOURCE -o "$RUN/stub.so" \
		"$TOP/tests/libvirt/stub-libvirt.c"
	"case_$1"
	[ $tap_failed = 0 ] || comment "$(tail -n 30 "$RUN/ballastd.log")"
	done_testing
}

[ $# != 1 ] || one "$1"
[ $# = 0 ] || cases=("$@")
printf '%s\n' "${cases[@]}" | env -u SEAMS_MOUNTS xargs -P $AT_ONCE -I CASE \
	sh -c '"$1" CASE > "$2/CASE.tap" 2>&1' sh "$0" "$RUN" || true
for name in "${cases[@]}"; do
	include tap_of "$name"
done
done_testing
