#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The real ballastd with 200 domains that are not there (stub-libvirt.c): what a
# pass costs, and what becomes of guests that hang or lie.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"

RUN=$(mktemp -d)
trap 'kill $BALLASTD_PID 2>/dev/null || true; rm -rf "$RUN"' EXIT
stub=$RUN/stub.so
ok "the stub compiles" gcc -shared -fPIC -O1 -Wall -Werror -D_GNU_SOURCE -o "$stub" \
	"$TOP/tests/libvirt/stub-libvirt.c"
export STUB_GUESTS=200 STUB_ORDERS=$RUN/orders BALLAST_SOCKET=$RUN/socket

ctl() { "$HOST_TOOLS/ballastctl" --socket "$RUN/socket" "$@"; }

# begin NAME=VALUE...: ballastd with a budget that is short, whatever this host has, so
# that each pass takes some of everybody.
begin()
{
	rm -f "$RUN/socket.state"
	ballastd_conf <<-END
		mode = active
		interval = 1s
		statistics_period = 1s
		deadline = 1s
		socket = $RUN/socket
		[host]
		budget = 900G
		reserve = 30%
		[guests]
		hold = 0
	END
	: > "$STUB_ORDERS"
	env "$@" LD_PRELOAD="$stub" "$HOST_TOOLS/ballastd" -c "$BALLASTD_CONF" \
		>> "$RUN/ballastd.log" 2>&1 &
	BALLASTD_PID=$!
	until_true 30 ballastd_is_up ||
		die "ballastd does not start: $(tail -n 1 "$RUN/ballastd.log")"
}

number() { ctl_get "[.guests[] | select($1)] | length" list; }

# ordered: how many have got an order.
ordered() { cut -d' ' -f 1 "$STUB_ORDERS" | sort -u | wc -l; }

begin STUB_HUNG=0
ok "it knows all, and orders all" until_true 60 eval '[ "$(ordered)" = 200 ]'
is "it knows no more" "$(number true)" 200
before=$(wc -l < "$STUB_ORDERS") most=0
for _ in {1..5}; do
	ballastd_passes 1
	cpu=$(ctl_get '."pass-cpu-us"' status)
	[ "$cpu" -le $most ] || most=$cpu
done
comment "CPU time of a pass: $((most / 1000)) ms at most"
between "passes give orders" $(($(wc -l < "$STUB_ORDERS") - before)) 200 100000
# Not what the clock says: what its process was charged with.
between "none of them takes more than 100 ms of CPU time" "$most" 1 100000
ballastd_stop

begin STUB_HUNG=3 STUB_LYING=4
ballastd_passes 5
until_true 20 eval '[ "$(number ".state == \"silent\"")" = 3 ]'
is "three hang, and are silent" "$(number '.state == "silent"')" 3
is "four lie, and are frozen" "$(number '.state == "impossible"')" 4
is "the others are not" "$(number '.state == "silent" or .state == "impossible" |
	not')" 193
before=$(ctl_get .passes status)
ok "passes go on" until_true 30 passes_at_least $((before + 3))
is "their calls are known to hang" "$(ctl_get '."hung-calls"' status)" 3
ok "the others are given orders" until_true 60 eval '[ "$(ordered)" = 193 ]'
is "nothing was ordered of those" "$(awk '$1 < 7' "$STUB_ORDERS")" ""
ballastd_stop

# More than there are workers that work at once.
begin STUB_HUNG=9
ballastd_passes 3
until_true 30 eval '[ "$(number ".state == \"silent\"")" = 9 ]'
is "nine hang, and are silent" "$(number '.state == "silent"')" 9
is "the others answer" "$(number '.state == "silent" or .state == "no-statistics" |
	not')" 191
ballastd_stop
done_testing
