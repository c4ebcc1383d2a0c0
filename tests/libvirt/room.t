#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest that needs 2 GiB of huge pages starts while two others hold them all: with
# the hook it starts, without it it doesn't. Then the same with huge pages that are
# made for it of ordinary memory, and the hook when things are not as they should be.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"
guests "$@"

settings()
{
	ballastd_conf <<-END
		mode = active
		interval = 1s
		statistics_period = 1s
		[host]
		reserve = 0
		$1
		[guests]
		hold = 2s
		[hook]
		timeout = 20s
		$2
	END
}

# begin NAME OPTION...: a guest that is managed.
begin()
{
	guest_start "$@"
	until_true 90 guest_is "$1" '.state == "managed"' ||
		comment "$1: $(ctl list)"
}

# define NAME OPTION...: the XML of a guest that is not started yet.
define() { guest_xml "$@" > "$RUN/$1.xml"; : > "$RUN/$1.console"; }

# starts NAME: it does, and its agent answers.
starts()
{
	vsh create "$RUN/$1.xml" 2>&1 || return
	until_true 120 eval "agent $1 '{\"execute\": \"guest-ping\"}' 10 >/dev/null 2>&1"
}

# starts_not NAME: libvirt says why.
starts_not()
{
	local out

	! out=$(vsh create "$RUN/$1.xml" 2>&1) || return
	comment "$(head -n 1 <<< "$out")"
}

starts_small() { guest_start small --balloon none --mem 128 && guest_stop small; }

# --- huge pages that others hold

if ! hugepages_reserve 2048; then
	skip "huge pages that others hold" "no 4 GiB of huge pages to be had here"
else
	pool=$(hugepages_available)
	comment "$pool huge pages are free"
	settings "" ""
	ballastd_start
	# What is free beyond their 4 GiB stays out of it.
	[ "$pool" -le 2048 ] || comment "more than the two guests need: $pool"
	begin a --balloon ballast --mem 2048 --backing hugetlb --qemu patched
	begin b --balloon ballast --mem 2048 --backing hugetlb --qemu patched
	ok "contents are in a" hold a start --mib 200 --pattern regular --keep 1/2
	define c --balloon ballast --mem 2048 --backing hugetlb
	is "no huge pages are left" "$(hugepages_available)" $((pool - 2048))
	ok "without the hook c does not start" starts_not c
	# It restarts libvirtd, and ballastd must know again who runs.
	mark=$(ballastd_mark)
	hook_install
	ok "ballastd is back" ballastd_says "$mark" 60 "2 guests run"
	ok "with the hook c starts" starts c
	comment "a has $(balloon_actual a), b has $(balloon_actual b) MiB"
	ok "c uses its memory" guest_exec c \
		'hold start --mib 1700 --pattern none && hold check && hold stop'
	ok "contents of a are whole" hold a check
	is "nobody is killed" "$(for g in a b c; do
		guest_vmstat $g oom_kill; done | paste -sd' ')" "0 0 0"
	ok "c is as large as it was" eval '[ "$(balloon_actual c)" = 2048 ]'
	finish c
	ok "when c is gone, the others grow again" until_true 60 eval \
		'[ $(($(balloon_actual a) + $(balloon_actual b))) -gt 3500 ]'
	# More than a and b could give.
	ok "a load in a, and one in b" eval 'for g in a b; do guest_exec $g "hold stop;
		hold start --mib 1300 --pattern none"; done'
	mark=$(ballastd_mark)
	ok "when they need it, c does not start" starts_not c
	ok "and ballastd says why" ballastd_says "$mark" 10 "no room: .*"
	is "nobody is killed" "$(for g in a b; do
		guest_vmstat $g oom_kill; done | paste -sd' ')" "0 0"
	finish a
	finish b
	ballastd_stop
	hugepages_change -2048
fi

# --- huge pages that are made

huge_total() { cat /proc/sys/vm/nr_hugepages; }
before=$(huge_total) free=$(hugepages_available)
settings "$(printf 'budget = 2G\ngrow_hugepages = room')" ""
ballastd_start
hook_install
begin a --balloon ballast --mem 1024 --fpr on
begin b --balloon ballast --mem 1024 --fpr on
define c --balloon ballast --mem 512 --backing hugetlb
ok "c starts on huge pages that were made for it" starts c
is "so many more" $(($(huge_total) - before)) $((256 - free))
between "the others gave memory for it" \
	$(($(balloon_actual a) + $(balloon_actual b))) 500 $((2048 - (256 - free) * 2))
finish c
ok "they are given back when it is gone" until_true 60 eval \
	'[ "$(huge_total)" = "$before" ]'
guest_stop b

# --- what the hook can do without

ballastd_stop
ok "without ballastd a guest starts" starts_small
ballastd_start
kill -STOP "$BALLASTD_PID"
ok "with a ballastd that hangs a guest starts" starts_small
kill -KILL "$BALLASTD_PID"

settings "budget = 1G" "refuse = yes"
ballastd_start
define c --balloon ballast --mem 2048
ok "refuse = yes: one for which there is no room does not start" starts_not c
is "libvirt says why" "$(vsh create "$RUN/c.xml" 2>&1 | grep -o 'no room')" "no room"
guest_stop a
ballastd_stop
done_testing
