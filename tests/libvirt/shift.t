#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two guests of 4 GiB on 5 GiB, of which now one, now the other needs 3: ballastd,
# beside a static split and beside a rule of fixed percentages, as MOM's and
# Proxmox's. What is compared is the work that the loads got done, what guests had
# beyond the 5 GiB, and who was killed.
#
# Guests have deflate-on-OOM where ballastd looks after them, as its manual advises.
# With a split they can't have it: they would take what the other one is to have.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "$0")/../lib/ballastd.sh"
guests "$@"

BUDGET=5120
LOAD=3000	# MiB
RAMP=150	# MiB a second
PHASE=40	# seconds
phases=(a b a)
[ -z "${BALLAST_SHORT:-}" ] || phases=(a b)

actuals() { echo $(($(balloon_actual a) + $(balloon_actual b))); }

# stat NAME KEY: of virsh dommemstat, MiB.
stat()
{
	vsh dommemstat "$1" | awk -v k="$2" '$1 == k { print int($2 / 1024) }'
}

# rule: every ten seconds a guest with more than 20 % free gives 5 % of its maximum
# while the host is short, and one with less gets as much, if the host has it.
rule()
{
	local guest free has sum

	while :; do
		sleep 10
		for guest in a b; do
			has=$(balloon_actual $guest)
			free=$(stat $guest usable)
			sum=$(actuals)
			if [ $((free * 100)) -lt $((has * 20)) ]; then
				[ $((sum + 205)) -gt $BUDGET ] ||
					setmem $guest $((has + 205 < 4096 ? has + 205 : 4096))
			elif [ $((BUDGET - sum)) -lt $((BUDGET / 5)) ]; then
				setmem $guest $((has - 205))
			fi
		done
	done
}

# sample FILE: once a second, what both have.
sample()
{
	while :; do
		actuals >> "$1" 2>/dev/null
		sleep 1
	done
}

# work_of NAME: MiB that its loads have touched.
load_begin()
{
	guest_exec "$1" "rm -f /run/steady
		setsid memsteady $LOAD /run/steady $RAMP > /run/steady.log 2>&1 \
			< /dev/null &
		echo \$! > /run/steady.pid"
}
load_end()
{
	guest_exec "$1" 'cat /run/steady 2>/dev/null || echo 0
		kill $(cat /run/steady.pid) 2>/dev/null || true'
}
load_lives() { guest_exec "$1" 'kill -0 $(cat /run/steady.pid) 2>/dev/null'; }

declare -A work over killed held

# way NAME: all phases.
way()
{
	local way=$1 name pids=() alive samples=$RUN/$1.samples autodeflate=off

	comment "$SECONDS s: $way"
	[ $way != ballastd ] || autodeflate=on
	for name in a b; do
		guest_start $name --balloon ballast --mem 4096 --fpr on \
			--autodeflate $autodeflate
		vsh dommemstat $name --period 1 --live
	done
	setmem a 2560
	setmem b 2560
	wait_balloon a 2560
	wait_balloon b 2560
	case $way in
	ballastd)
		ballastd_start
		until_true 90 guest_is a '.state == "managed"'
		until_true 90 guest_is b '.state == "managed"' ;;
	rule)	rule >/dev/null 2>&1 & pids+=($!) ;;
	esac
	: > "$samples"
	sample "$samples" & pids+=($!)
	work[$way]=0
	for name in "${phases[@]}"; do
		load_begin $name
		# The time that a load has, for all ways the same.
		sleep $PHASE
		alive=yes
		load_lives $name || alive=no
		comment "$way: load in $name: a has $(balloon_actual a), b $(balloon_actual b) MiB; the load lives: $alive"
		[ $way != ballastd ] || is "ballastd: the load in $name lives" $alive yes
		[ $way != ballastd ] || between "ballastd: within the budget" \
			"$(actuals)" 1000 $BUDGET
		work[$way]=$((work[$way] + $(load_end $name)))
	done
	kill "${pids[@]}"
	[ $way != ballastd ] || ballastd_stop
	killed[$way]=$(($(guest_vmstat a oom_kill) + $(guest_vmstat b oom_kill)))
	over[$way]=$(awk -v b=$BUDGET '$1 > b { n += $1 - b } END { print int(n) }' \
		"$samples")
	held[$way]=$(awk '{ n += $1 } END { print int(n / NR) }' "$samples")
	comment "$way: $((work[$way] / 1024)) GiB touched, ${killed[$way]} killed, ${held[$way]} MiB held on average, ${over[$way]} MiB x s beyond the budget"
	if [ $way = ballastd ]; then
		finish a
		finish b
	else
		# Their kernels may have had to kill, and say so.
		guest_stop a b
	fi
}

ballastd_conf <<-END
	mode = active
	interval = 1s
	statistics_period = 1s
	[host]
	budget = 5G
	reserve = 5%
	[guests]
	minimum = 10%
	hold = 5s
END

for w in ballastd split rule; do
	way $w
done
is "ballastd: nobody is killed" "${killed[ballastd]}" 0
between "at least as much work as with a static split, per cent" \
	$((work[ballastd] * 100 / (work[split] > 0 ? work[split] : 1))) 100 100000
between "at least as much work as with fixed percentages, per cent" \
	$((work[ballastd] * 100 / (work[rule] > 0 ? work[rule] : 1))) 100 100000
done_testing
