# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Who is killed when memory is short.

# steady_load COLUMN: setmem to below what it uses.
steady_load()
{
	below_use o "$1" on oom_kills
	put oom_kills "$1" steady "$KILLS"
	[ "$KILLS" != 0 ] || finish o "$1" oom_kills
	guest_stop o
}

# growth COLUMN: 900 of 1024 MiB are in the balloon, with deflate-on-OOM; then a
# process needs 800. Livelock is when it has not got them after two minutes.
growth()
{
	local column=$1 kills state s=$SECONDS

	start g "$column" on --mem 1024 --autodeflate on
	setmem g 124
	kills=$(stands_still g)
	progress "the balloon stands at $(printf %.0f "$(balloon_actual g)") MiB"
	state=$(guest_exec g 'setsid memsteady 800 > /run/steady.log 2>&1 \
			</dev/null &
		for i in $(seq 1200); do
			[ ! -e /tmp/memsteady.state ] || break
			kill -0 $! || break
			usleep 100000
		done
		cat /tmp/memsteady.state' 150) || state=
	kills=$(killed g)
	s=$((SECONDS - s))
	if [ -z "$state" ] && [ "$kills" = 0 ]; then
		put livelocks "$column" growth 1
		progress "livelock: nothing after $s s"
		[ "$column" = stock ] ||
			bad oom_kills "$LABEL: livelock"
	else
		put livelocks "$column" growth 0
		progress "$kills killed, $s s," \
			"$(printf %.0f "$(balloon_actual g)") MiB"
	fi
	put oom_kills "$column" growth "$kills"
	[ "$kills" != 0 ] || finish g "$column" oom_kills
	guest_stop g
}

case_oom()
{
	each stock modules all -- steady_load oom_kills
	each stock modules all -- growth oom_kills
}

about_oom()
{
	cat <<-'END'
		Short of memory
		Less is asked for than the guest uses (`steady`); or a process needs 800 MiB of a
		guest of 1 GiB that has 900 in a balloon with deflate-on-OOM (`growth`).

		oom_kills|||Processes that were killed
		livelocks|||Guests in which nothing went on for two minutes
	END
}

table_oom()
{
	worst_row oom_kills processes 0 "$(ours "<=" 9 0 0)" max \
		"livelocks: $(spread livelocks stock modules all)" reference=
}
