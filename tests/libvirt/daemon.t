#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ballastd and ballastctl with a real libvirtd and real guests: who is followed, who
# gives what, who is left alone; and what becomes of it all when something dies.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"
guests "$@"

MEM=512

# settings MODE RESERVE: what the guests may have in sum is a budget of 1 GiB, so
# that nothing depends on what else is on the machine.
settings()
{
	ballastd_conf <<-END
		mode = $1
		interval = 1s
		statistics_period = 1s
		deadline = 2s
		[host]
		budget = 1G
		reserve = $2
		[guests]
		minimum = 128M
		hold = 2s
		rate = 50%
	END
}

actual() { balloon_actual "$1"; }
is_at() { test "$(actual "$1")" "-$2" "$3"; }
state_is() { guest_is "$1" ".state == \"$2\""; }
state() { ctl_get ".guests[] | select(.name == \"$1\") | .state" list; }

metadata()
{
	vsh metadata "$1" --uri urn:ballast:guest --key ballast --live --set "$2" \
		>/dev/null
}

# Which of them is young is no matter here.
grown_up() { until_true 90 guest_is "$1" '.state != "starting"'; }

# refusal COMMAND...: how many lines it says, and its status.
refusal()
{
	local out rc=0

	out=$("$@" 2>&1) || rc=$?
	echo "$(wc -l <<< "$out") $rc"
}

# --- a dry run

settings dry-run 90%
guest_start a --balloon ballast --mem $MEM --fpr on --autodeflate on
ballastd_start
ok "a guest that runs already is found" until_true 10 guest_is a true
guest_start b --balloon ballast --mem $MEM --fpr on --autodeflate on
ok "one that starts is found" until_true 10 guest_is b true
is "statistics arrive" "$(vsh dommemstat a | grep -c usable)" 1
grown_up a
grown_up b
ok "it would take something" until_true 60 guest_is a '."would-be" < .current'
is "nothing is taken" "$(actual a) $(actual b)" "$MEM $MEM"
is "its socket is the owner's alone" "$(stat -c %a /run/ballast/ballastd.sock)" 600
ok "explain says that it is a dry run" sh -c "'$HOST_TOOLS/ballastctl' explain a |
	grep -q 'dry run'"
ok "set is refused" eval '! ctl set a 300M 2>/dev/null'

# --- active

settings active 30%
kill -HUP "$BALLASTD_PID"
ok "on SIGHUP it is active" until_true 10 eval \
	'[ "$(ctl_get .mode status)" = active ]'
ok "memory is taken until the host has its reserve" until_true 60 eval \
	'[ $(($(actual a) + $(actual b))) -le 717 ]'
ballastd_passes 5
comment "a has $(actual a), b has $(actual b)"
between "and not much more" $(($(actual a) + $(actual b))) 640 717
ctl list | while read -r line; do comment "$line"; done
ctl explain a | while read -r line; do comment "$line"; done

ok "a load begins in a" guest_exec a 'setsid memsteady 280 /run/steady 40 \
	> /run/steady.log 2>&1 < /dev/null &
	until [ -e /run/steady ]; do usleep 50000; done'
ok "a gets memory for it" until_true 60 is_at a ge 420
ok "and b gives it" until_true 60 eval '[ $(($(actual a) + $(actual b))) -le 1000 ]'
is "nobody is killed" "$(guest_vmstat a oom_kill) $(guest_vmstat b oom_kill)" "0 0"
guest_exec a 'killall memsteady'

# --- who is left alone

ok "pause" ctl pause b
# It may still follow an order of before.
ballastd_passes 2
was=$(actual b)
ballastd_passes 4
is "b stays as it is" "$(actual b) $(state b)" "$was paused"
ok "resume" ctl resume b
ok "b is managed again" until_true 20 eval '! state_is b paused'

ballastd_passes 3
setmem b 140
ok "an order of somebody else" until_true 30 state_is b override
ballastd_passes 4
is "is left as it is" "$(actual b) $(state b)" "140 override"
ok "resume forgets that" eval 'ctl resume b && until_true 20 eval \
	"! state_is b override"'

ok "set" ctl set a 256M
ok "a is set" until_true 30 is_at a eq 256
ballastd_passes 3
is "and left alone" "$(actual a) $(state a)" "256 paused"
is "set beyond its maximum: one line, and a status" "$(refusal ctl set a 1G)" "1 1"

metadata b '<guest manage="no"/>'
ok "metadata: not managed" until_true 20 state_is b unmanaged
metadata b '<guest minimum="lots"/>'
ok "bad metadata: left alone" until_true 20 state_is b bad-settings
ok "and it says what is wrong" sh -c "'$HOST_TOOLS/ballastctl' explain b |
	grep -q lots"
metadata b '<guest minimum="300M"/>'
ok "good metadata" until_true 20 guest_is b '.minimum == 307200'

# --- things die

ctl resume --all >/dev/null
ctl pause a >/dev/null
# It may still follow an order of before.
ballastd_passes 2
was=$(actual a)
ballastd_stop KILL
is "ballastd is killed: guests keep what they have" "$(actual a)" "$was"
ballastd_start
ok "it comes back, and knows who is paused" until_true 20 state_is a paused
ctl resume a >/dev/null

ballastd_conf_keep=$(cat "$BALLASTD_CONF")
mark=$(ballastd_mark)
echo 'reserve = much' >> "$BALLASTD_CONF"
kill -HUP "$BALLASTD_PID"
ok "bad settings are refused, with their line" ballastd_says "$mark" 20 \
	"ballastd.conf:$(wc -l < "$BALLASTD_CONF"): .*"
ok "and the old ones stay" ballastd_passes 2
is "--check says so, too: one line, and a status" \
	"$(refusal "$HOST_TOOLS/ballastd" -c "$BALLASTD_CONF" --check)" "1 1"
echo "$ballastd_conf_keep" > "$BALLASTD_CONF"
is "a socket in use: one line, and a status" \
	"$(refusal "$HOST_TOOLS/ballastd" -c "$BALLASTD_CONF")" "1 1"
ok "the one that has it still answers" ctl status

kill -STOP "$(guest_pid a)"
ok "a QEMU that hangs is silent" until_true 40 state_is a silent
ballastd_passes 3
isnt "the other guest is looked at" "$(state b)" silent
kill -CONT "$(guest_pid a)"
ok "and not when it goes on" until_true 60 eval '! state_is a silent'

for signal in TERM KILL; do
	mark=$(ballastd_mark)
	libvirtd_again $signal
	ok "libvirtd ends by SIG$signal, and comes: ballastd is back" \
		ballastd_says "$mark" 60 "2 guests run"
	ok "and looks at the guests" until_true 60 guest_is a \
		'.state != "no-statistics" and .state != "stale"'
done

# --- a disk is full

mkdir "$RUN/full"
mount -t tmpfs -o size=64k full "$RUN/full"
mark=$(ballastd_mark)
sed -i "s|^mode = .*|&\nrecord = $RUN/full/record|" "$BALLASTD_CONF"
kill -HUP "$BALLASTD_PID"
ok "a full disk is said" ballastd_says "$mark" 60 "record: .*"
ballastd_passes 3
is "once" "$(tail -n "+$mark" "$RUN/ballastd.log" | grep -c "record: ")" 1
ok "what was recorded can be replayed" eval \
	'ctl replay <(head -n 1 "$RUN/full/record") >/dev/null'
umount -l "$RUN/full"

# --- things die while memory moves

ok "contents are in a" hold a start --mib 60 --pattern regular --keep 1/2
# What b was set to may be heard of after the resume, and is somebody else's order
# then; once.
comes_back()
{
	if [ -z "$resumed" ] && state_is b override; then
		ctl resume b >/dev/null
		resumed=yes
	fi
	guest_is b '.state == "managed" or .state == "pressure"'
}
for victim in ballastd libvirtd both b libvirtd ballastd; do
	guest_exec a 'killall -q memsteady; rm -f /run/steady
		setsid memsteady 200 /run/steady 100 > /run/steady.log 2>&1 \
			< /dev/null &'
	setmem b 250
	case $victim in
	ballastd|both)
		ballastd_stop KILL
		[ $victim = ballastd ] || libvirtd_again KILL
		ballastd_start ;;
	libvirtd) libvirtd_again KILL ;;
	b)	kill -KILL "$(guest_pid b)"
		until_true 20 eval '[ -z "$(state b)" ]'
		guest_start b --balloon ballast --mem $MEM --fpr on --autodeflate on ;;
	esac
	ctl resume --all >/dev/null 2>&1 || true
	resumed=
	ok "$victim is killed: the loop comes back" until_true 60 comes_back
	ok "$victim is killed: the load lives" until_guest a 60 '[ -e /run/steady ]'
done
is "contents of a are whole" "$(hold a check | grep -c ^OK)" "$(hold a check | wc -l)"
is "nobody is killed" "$(guest_vmstat a oom_kill) $(guest_vmstat b oom_kill)" "0 0"
guest_exec a 'killall -q memsteady; hold stop'

kill -KILL "$(guest_pid b)"
ok "a guest that dies is forgotten" until_true 20 eval '[ -z "$(state b)" ]'
ok "ballastd goes on" ballastd_passes 2

# --- all back

# A late move that a ballastd ordered before it was killed is somebody else's to the
# next one.
ctl resume a >/dev/null
settings active 90%
kill -HUP "$BALLASTD_PID"
ok "a host that is short takes from a" until_true 60 is_at a lt 300
ok "release" ctl release --all
ok "all is given back" until_true 60 is_at a eq $MEM
ballastd_passes 4
ok "and stays there" is_at a eq $MEM
ballastd_stop
ok "ballastd ends, and leaves no socket" [ ! -e /run/ballast/ballastd.sock ]
is "ballastctl without ballastd: one line, and a status" "$(refusal ctl list)" "1 1"
finish a
done_testing
