#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ballastctl doctor with real guests: what it finds, and that a QEMU that hangs does
# not hold it up.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"
guests "$@"

ballastd_conf < /dev/null

# doctor ARGUMENT...: into $RUN/doctor
doctor()
{
	rc=0
	timeout 60 "$HOST_TOOLS/ballastctl" -c "$BALLASTD_CONF" doctor --json "$@" \
		> "$RUN/doctor" 2> "$RUN/doctor.err" || rc=$?
}

# finds ABOUT LEVEL REGEX
finds()
{
	jq -e --arg about "$1" --arg level "$2" --arg text "$3" '.findings |
		any(.about == $about and .level == $level and
		(.text | test($text)))' "$RUN/doctor" >/dev/null ||
		{ jq -r '.findings[] | "\(.about): \(.level): \(.text)"' \
			"$RUN/doctor"; return 1; }
}

guest_start a --balloon ballast --qemu patched --mem 256 --fpr on --autodeflate on
guest_start b --balloon stock --qemu stock --mem 256

doctor
is "nothing on stderr" "$(cat "$RUN/doctor.err")" ""
ok "libvirt's version" finds host ok '^libvirt [0-9]'
ok "QEMU's version" finds host ok 'QEMU'
ok "no hook" finds host warning '^no hook'
ok "no ballastd" finds host problem 'ballastd does not answer'
is "so it fails" "$rc" 1
for guest in a b; do
	ok "$guest: balloon" finds $guest ok 'a virtio balloon is there'
	ok "$guest: which driver" finds $guest note 'which driver it has is not known'
done
ok "a: patched" finds a ok 'its QEMU is the patched one'
ok "b: stock" finds b ok 'its QEMU is not the patched one'
ok "a: free page reporting" finds a ok 'free page reporting is on'
ok "b: free page reporting" finds b note 'free page reporting is off'
ok "a: autodeflate" finds a ok 'the balloon deflates before'
ok "b: autodeflate" finds b note 'autodeflate is off'

vsh dommemstat a --period 1 --live
until_true 30 eval 'vsh dommemstat a | grep -q usable'
doctor a --qmp
ok "a: statistics" finds a ok 'statistics arrive'
ok "a: its driver" finds a ok "its driver is Ballast's"
is "a: the host gets the memory" "$(jq -r '.findings[] | select(.about == "a" and
	(.text | test("gets nothing"))).text' "$RUN/doctor")" ""
is "nothing of b" "$(jq '[.findings[] | select(.about == "b")] | length' \
	"$RUN/doctor")" 0
doctor b --qmp
ok "b: its driver" finds b note 'only the patched QEMU tells'

hook_install
ballastd_start
doctor a
ok "the hook is there" finds host ok 'the hook is there'
ok "ballastd, a dry run" finds host note 'only says what it would do'
ok "its socket" finds host ok 'root alone may command'
is "no problem" "$rc" 0
chmod 666 /run/ballast/ballastd.sock
doctor a
ok "a socket for everybody" finds host problem 'anybody may command.*666'
is "a problem" "$rc" 1
ballastd_stop

vsh metadata a --uri urn:ballast:guest --key ballast --live \
	--set '<guest shares="many"/>' >/dev/null
doctor a
ok "a: bad metadata" finds a problem "shares"
doctor "$(vsh domuuid b)"
ok "b by its UUID" finds b ok 'a virtio balloon is there'
doctor nobody
ok "no such guest" finds nobody problem 'knows no such guest'

kill -STOP "$(guest_pid a)"
doctor
ok "a hangs" finds a problem 'does not answer'
ok "b is looked at all the same" finds b ok 'a virtio balloon is there'
kill -CONT "$(guest_pid a)"
kill -STOP "$LIBVIRTD_PID"
doctor
ok "libvirtd hangs" finds host problem 'libvirt does not answer.*no answer'
kill -CONT "$LIBVIRTD_PID"

finish a
finish b
done_testing
