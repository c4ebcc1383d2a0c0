# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# ballastd beside the private libvirtd; see libvirt.sh. Its log is $RUN/ballastd.log,
# which goes on when it is started again.

HOST_TOOLS=${HOST_TOOLS:-$OUT/libvirt}
BALLASTD_CONF=${RUN:-/nonexistent}/ballastd.conf

ctl() { "$HOST_TOOLS/ballastctl" "$@"; }

# ctl_get 'JQ FILTER' COMMAND...: of what ballastctl says in JSON.
ctl_get()
{
	local filter=$1

	shift
	ctl "$@" --json | jq -r "$filter"
}

# ballastd_conf < LINES: its settings; [ballastd] begins them.
ballastd_conf()
{
	BALLASTD_CONF=$RUN/ballastd.conf
	{ echo '[ballastd]'; cat; } > "$BALLASTD_CONF"
}

ballastd_is_up() { [ "$(ctl_get .connected status 2>/dev/null)" = true ]; }

# ballastd_start [OPTION...]: with those settings; until it has a connection.
ballastd_start()
{
	"$HOST_TOOLS/ballastd" -c "$BALLASTD_CONF" -v "$@" \
		>> "$RUN/ballastd.log" 2>&1 </dev/null &
	BALLASTD_PID=$!
	until_true 30 ballastd_is_up ||
		die "ballastd does not start: $(tail -n 1 "$RUN/ballastd.log")"
}

# ballastd_stop [SIGNAL]: and until it is gone.
ballastd_stop()
{
	kill "-${1:-TERM}" "$BALLASTD_PID"
	wait "$BALLASTD_PID" || true
}

# ballastd_mark, ballastd_says MARK SECONDS REGEX: a line of its log since then.
ballastd_mark() { echo $(($(wc -l < "$RUN/ballastd.log") + 1)); }
ballastd_says() { wait_line "$2" "$RUN/ballastd.log" "$1" "$3"; }

# ballastd_passes N: until it has decided so often from now on.
ballastd_passes()
{
	local to

	to=$(($(ctl_get .passes status) + $1))
	until_true $(($1 * 10 + 20)) passes_at_least $to
}
passes_at_least() { [ "$(ctl_get .passes status)" -ge "$1" ]; }

# guest_is NAME 'JQ CONDITION': of a guest, as ballastctl lists it.
guest_is()
{
	[ "$(ctl_get ".guests[] | select(.name == \"$1\") | $2" list)" = true ]
}

# hook_install: libvirtd calls our hook, with $BALLASTD_CONF.
hook_install()
{
	mkdir -p /etc/libvirt/hooks/qemu.d
	printf '#!/bin/sh\nexec %s -c %s "$@"\n' "$HOST_TOOLS/ballast-hook" \
		"$BALLASTD_CONF" > /etc/libvirt/hooks/qemu.d/ballast
	chmod 755 /etc/libvirt/hooks/qemu.d/ballast
	libvirtd_again TERM
}

# libvirtd_again SIGNAL: it is ended, and started again; guests live on.
libvirtd_again()
{
	kill "-$1" "$LIBVIRTD_PID"
	wait "$LIBVIRTD_PID" || true
	libvirtd_start
}
