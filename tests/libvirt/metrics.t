#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Debian's Prometheus, unpacked and not installed, reads ballastd's metrics, of a
# host that is not there (stub-libvirt.c). In a network of its own, where all ports
# are free.

[ -n "${METRICS_NET:-}" ] || [ "$(id -u)" != 0 ] ||
	METRICS_NET=1 exec unshare -n "$0" "$@"

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"

[ -n "${METRICS_NET:-}" ] || skip_all "needs root"
deb=$(prometheus_deb)
[ -n "$deb" ] || skip_all "no package of Prometheus; run 'make setup'"
[ -x "$HOST_TOOLS/ballastd" ] ||
	die "no ballastd: $HOST_TOOLS/ballastd; run 'make libvirt'"
ip link set lo up

RUN=$(mktemp -d)
BALLASTD_PID='' PROMETHEUS_PID=''
# shellcheck disable=SC2086
trap 'kill $BALLASTD_PID $PROMETHEUS_PID 2>/dev/null || true; rm -rf "$RUN"' EXIT
at=127.0.0.1:9876
web=127.0.0.1:9090

unpacked=$BUILD/$(basename "$deb" .deb)
if [ ! -d "$unpacked" ]; then
	rm -rf "$unpacked.new"
	dpkg-deb -x "$deb" "$unpacked.new"
	mv "$unpacked.new" "$unpacked"
fi
promtool=$unpacked/usr/bin/promtool

ok "the stub compiles" gcc -shared -fPIC -O1 -Wall -Werror -D_GNU_SOURCE \
	-o "$RUN/stub.so" "$TOP/tests/libvirt/stub-libvirt.c"
export STUB_GUESTS=5 STUB_HUNG=1 STUB_LYING=1
ctl() { "$HOST_TOOLS/ballastctl" --socket "$RUN/socket" "$@"; }

# begin WHERE: ballastd with its metrics there.
begin()
{
	ballastd_conf <<-END
		interval = 500ms
		statistics_period = 1s
		socket = $RUN/socket
		metrics = $1
	END
	LD_PRELOAD=$RUN/stub.so "$HOST_TOOLS/ballastd" -c "$BALLASTD_CONF" \
		>> "$RUN/ballastd.log" 2>&1 &
	BALLASTD_PID=$!
	until_true 30 ballastd_is_up ||
		die "ballastd does not start: $(tail -n 1 "$RUN/ballastd.log")"
	ballastd_passes 2
}

status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }

begin $at
curl -sS "http://$at/metrics" > "$RUN/text"
ok "promtool finds nothing to complain about" \
	eval '"$promtool" check metrics < "$RUN/text"'
is "another path is not found" "$(status http://$at/)" 404
is "another method is not allowed" "$(status -d x http://$at/metrics)" 405
is "ballastctl shows the same names" \
	"$(ctl metrics | sed -n 's/^# TYPE //p')" \
	"$(sed -n 's/^# TYPE //p' "$RUN/text")"

# --- Prometheus

cat > "$RUN/prometheus.yml" <<-END
	scrape_configs:
	  - job_name: ballast
	    scrape_interval: 1s
	    static_configs:
	      - targets: ['$at']
END
ok "its configuration is right" "$promtool" check config "$RUN/prometheus.yml"
"$unpacked/usr/bin/prometheus" --config.file="$RUN/prometheus.yml" \
	--storage.tsdb.path="$RUN/tsdb" --web.listen-address=$web \
	> "$RUN/prometheus.log" 2>&1 &
PROMETHEUS_PID=$!

# query EXPRESSION: its result, in JSON.
query()
{
	curl -sSG "http://$web/api/v1/query" --data-urlencode "query=$1" |
		jq -c 'if .status == "success" then .data.result else error(.error) end'
}

# value EXPRESSION: of its first sample; empty if there is none.
value() { query "$1" 2>/dev/null | jq -r '.[0].value[1] // ""'; }

# value_is EXPRESSION WANT
value_is() { [ "$(value "$1")" = "$2" ]; }

health()
{
	curl -sS "http://$web/api/v1/targets" 2>/dev/null |
		jq -r '.data.activeTargets[0].health'
}
target_is() { [ "$(health)" = "$1" ]; }

until_true 60 target_is up || comment "$(tail -n 3 "$RUN/prometheus.log")"
is "Prometheus reads them" "$(health)" up
ok "again and again" until_true 60 value_is \
	'changes(ballast_passes_total[1m]) >= bool 3' 1
is "its guests" "$(value 'count(ballast_guest_state)')" 5
is "what one has" \
	"$(value 'ballast_guest_memory_current_bytes{guest="guest4"}')" \
	4294967296
is "one hangs" "$(value 'count(ballast_guest_state{state="silent"})')" 1
is "one lies" "$(value 'count(ballast_guest_state{state="impossible"})')" 1
is "the host's memory is what there is" \
	"$(value 'ballast_host_memory_available_bytes > bool 1e8')" 1
is "a dry run" "$(value ballast_dry_run)" 1

# --- the dashboard

dashboard=$TOP/libvirt-hooks/ballast-dashboard.json
mapfile -t queries < <(jq -r '.panels[].targets[].expr' "$dashboard")
ok "the dashboard has queries" test ${#queries[@]} -gt 10
for q in "${queries[@]}"; do
	# shellcheck disable=SC2016 # Grafana's variables
	q=${q//'$__rate_interval'/1m} q=${q//'$instance'/.*} q=${q//'$guest'/.*}
	ok "Prometheus takes $q" query "$q"
done
is "there are metrics of all names in the dashboard" \
	"$(grep -oE 'ballast_[a-z_]+' "$dashboard" | sort -u |
		while read -r name; do
			grep -q "^# TYPE $name " "$RUN/text" || echo "$name"
		done)" ""

# --- ballastd dies

ballastd_stop KILL
ok "Prometheus sees that it is gone" until_true 60 target_is down
begin $at
ok "and that it is back" until_true 60 target_is up

# --- other places

ballastd_stop
begin "unix:$RUN/metrics"
is "a Unix socket" "$(status --unix-socket "$RUN/metrics" http://x/metrics)" 200
ballastd_stop
ok "is removed" test ! -e "$RUN/metrics"
if [ -e /proc/net/if_inet6 ]; then
	begin '[::1]:9877'
	is "IPv6" "$(status 'http://[::1]:9877/metrics')" 200
	ballastd_stop
else
	skip "IPv6" "this kernel has none"
fi

# refuses WHAT WHERE REGEX: ballastd does not start, and says why in one line.
refuses()
{
	local rc=0

	ballastd_conf <<-END
		socket = $RUN/socket
		metrics = $2
	END
	LD_PRELOAD=$RUN/stub.so timeout 30 "$HOST_TOOLS/ballastd" \
		-c "$BALLASTD_CONF" > "$RUN/err" 2>&1 </dev/null || rc=$?
	between "$1: ballastd does not start" $rc 1 99
	ok "$1: it says why" grep -E "$3" "$RUN/err"
	is "$1: in one line" "$(grep -cv '^$' "$RUN/err")" 1
}
refuses "a port in use" $web \
	"127.0.0.1:9090: can't listen there: Address already in use"
refuses "a name for an address" localhost:9876 \
	"$BALLASTD_CONF:[0-9]+: metrics: 'localhost:9876' is no address; say "
refuses "no folder for a socket" "unix:$RUN/nowhere/x" \
	"nowhere/x: can't listen there: No such file or directory"
done_testing
