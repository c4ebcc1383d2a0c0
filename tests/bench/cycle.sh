# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A guest that is not fragmented shrinks to a quarter, grows, and touches its
# memory, over and over, as in the paper on HyperAlloc (EuroSys 2025).
#
# touched: all of it was written since it has grown, so the host has pages to get
# back. untouched: the guest never writes it, so there are none, unless the balloon
# itself writes. The first round of a guest is apart: memory that was never used
# since boot is not fragmented, and an emulator translates code.
#
# A rate is of bytes that really moved: of touched memory and of touching, by which
# the process on the host became smaller or larger; of untouched memory and of
# growing, where nothing does, what has come to the balloon or left it.
#
# Reporting is off; column fpr is nothing but that, with a process that ends.

CYCLE_ROUNDS=$(quick 2 3)
CYCLE_ROWS="cycle_shrink_touched cycle_shrink_untouched cycle_grow_touched"
CYCLE_ROWS+=" cycle_grow_untouched cycle_touch"

# cycle_mib: the guest's memory: as much as this host has to spare, up to 2 GiB.
cycle_mib()
{
	local mib

	mib=2048
	until ( available $mib ) 2>/dev/null || [ $mib = 1024 ]; do
		mib=$((mib / 2))
	done
	echo $mib
}

# touch_all NAME MIB: processes, one for each CPU, write so much, and end; prints the
# guest's seconds.
touch_all()
{
	# shellcheck disable=SC2016
	guest_exec "$1" 'rm -f /tmp/touch.*
		cpus=$(nproc) pids=
		read a x < /proc/uptime
		for i in $(seq $cpus); do
			setsid memsteady $(('"$2"' / cpus)) /tmp/touch.$i \
				> /dev/null 2>&1 </dev/null &
			pids="$pids $!"
		done
		for i in $(seq $cpus); do
			until [ -e /tmp/touch.$i ]; do usleep 10000; done
		done
		read b x < /proc/uptime
		kill $pids
		for p in $pids; do
			while kill -0 $p 2>/dev/null; do usleep 10000; done
		done
		echo "$a $b" | awk "{ print \$2 - \$1 }"'
}

# rate KIB SECONDS: MiB/s
rate() { awk "BEGIN { printf \"%.1f\", $1 / 1024 / $2 }"; }

# cycle COLUMN touched|untouched
cycle()
{
	local column=$1 kind=$2 mib moved round=first t=1 s g r0 r1 r2 r3

	mib=$CYCLE_MIB
	available "$mib"
	moved=$((mib * 3 / 4))
	resizable "$column" "$mib" start c "$column" off
	for _ in $(seq "$CYCLE_ROUNDS"); do
		r0=$(host_rss c)
		[ "$kind" = untouched ] || t=$(touch_all c $((mib * 7 / 8)))
		r1=$(host_rss c)
		s=$(resize c "$column" $((mib / 4)) "$mib")
		r2=$(host_rss c)
		g=$(resize c "$column" "$mib" "$mib")
		r3=$(host_rss c)
		put "cycle_grow_$kind" "$column" $round \
			"$(rate $((moved * 1024)) "$g")"
		if [ "$kind" = touched ]; then
			put cycle_touch "$column" $round \
				"$(rate $((r1 - r0)) "$t")"
			put cycle_shrink_touched "$column" $round \
				"$(rate $((r1 - r2)) "$s")"
		else
			put cycle_shrink_untouched "$column" $round \
				"$(rate $((moved * 1024)) "$s")"
			put cycle_untouched_host_mib "$column" $round \
				$(((r2 - r1) / 1024))
		fi
		progress "$round: shrunk in $s s, grown in $g s; the host's MiB:" \
			"$((r0 / 1024)), $((r1 / 1024)), $((r2 / 1024))," \
			"$((r3 / 1024))"
		round=later
	done
	finish c "$column" "$CYCLE_ROWS"
}

# reported COLUMN: free page reporting alone: until nine tenths are back.
reported()
{
	local column=$1 mib round=first base r0 r1 t0 t1 end

	mib=$CYCLE_MIB
	available "$mib"
	start c stock on --mem "$mib"
	base=$(host_rss c)
	for _ in $(seq "$CYCLE_ROUNDS"); do
		steady c $((mib * 3 / 4))
		r0=$(host_rss c)
		t0=$(date +%s.%N)
		guest_exec c 'killall memsteady
			while pidof memsteady >/dev/null; do usleep 10000; done
			rm -f /tmp/memsteady.state'
		end=$((SECONDS + 60))
		while r1=$(host_rss c); [ $((r1 - base)) -gt $(((r0 - base) / 10)) ]
		do
			[ $SECONDS -lt $end ] || die "$((r1 / 1024)) MiB of" \
				"$((r0 / 1024)) are the guest's after 60 s"
			sleep 0.02
		done
		t1=$(date +%s.%N)
		put cycle_shrink_touched "$column" $round \
			"$(rate $((r0 - r1)) "($t1 - $t0)")"
		progress "$round: the host's MiB: $((r0 / 1024)), then" \
			"$((r1 / 1024)) after $(awk "BEGIN { print $t1 - $t0 }") s"
		round=later
	done
	finish c "$column" cycle_shrink_touched
}

case_cycle()
{
	local kind

	# The same for all, whatever the host has to spare later.
	CYCLE_MIB=${CYCLE_MIB:-$(cycle_mib)}
	for kind in $(quick touched "touched untouched"); do
		each stock modules all virtio_mem -- cycle "$CYCLE_ROWS" "$kind"
		[ "$kind$QUICK" != touched ] ||
			each fpr -- reported cycle_shrink_touched
	done
}

# later_row NAME NOTE: of all rounds but the first.
later_row()
{
	row "$1" MiB/s - "" "$2, of $CYCLE_MIB; $(spread "$1" virtio_mem fpr stock modules all)" \
		stock="$(value "$1" stock later)" by_hand= \
		modules="$(value "$1" modules later)" \
		all="$(value "$1" all later)" \
		reference="$(value "$1" virtio_mem later)" better=1
}

about_cycle()
{
	cat <<-'END'
		Shrink, grow and touch, over and over
		A guest that is not fragmented shrinks to a quarter, grows, and touches its memory,
		as in the paper on HyperAlloc (EuroSys 2025). The first round of a guest is apart
		(`first`): memory was never used by then, and an emulator translates code. `fpr` is
		free page reporting alone: a process ends, and the host gets back what it had. Where
		the host has the memory, rates are of the bytes by which QEMU's process changed;
		otherwise of what came to the balloon or left it.

		cycle_shrink_touched|MiB/s|plot|Shrinking, when the guest has written all of its memory
		cycle_shrink_untouched|MiB/s|plot|Shrinking, when the guest has not touched it since it grew
		cycle_untouched_host_mib|MiB||So much more the host had to hold for that
		cycle_grow_touched|MiB/s||Growing, after the first
		cycle_grow_untouched|MiB/s||Growing, after the second
		cycle_touch|MiB/s|plot|By what the host's process grew while the guest wrote seven eighths of its memory
	END
}

table_cycle()
{
	later_row cycle_shrink_touched "that the host got back"
	later_row cycle_shrink_untouched "that came to the balloon; by so many \
MiB the process on the host became larger: $(spread cycle_untouched_host_mib \
virtio_mem stock modules all)"
	later_row cycle_grow_touched "that left the balloon"
	later_row cycle_grow_untouched "that left the balloon"
	later_row cycle_touch "by which the process grew, while the guest wrote 7/8 of its \
memory"
}
