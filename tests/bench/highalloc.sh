# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The two tests of huge pages that memory compaction was introduced with in 2010,
# in a guest that has a balloon, and in one that has as much memory without.

STEPS_PERCENTS=$(quick 50 "25 50 75")
STRESS_PERCENTS=$(quick "" "25 50 75")
SEED=1

# huge_guest NAME COLUMN MIB PERCENT: a guest that has so much of MIB in its
# balloon; or, for column KERNEL_alone, as much less memory. Page by page, each
# 64th page of memory is for the kernel's own table of it.
huge_guest()
{
	local name=$1 column=$2 mib=$3 balloon=$(($3 * $4 / 100))

	case $column in
	*_alone)
		guest_start "$name" --kernel "${column%_alone}" --balloon none \
			--mem $((mib - balloon * 64 / 63)) --disk 4096 ;;
	*)	start "$name" "$column" on --mem "$mib" --disk 4096
		reach "$name" $((mib - balloon)) > /dev/null
		;;
	esac
	# What hugeadm --set-recommended-min_free_kbytes sets, for a guest of
	# two zones; the same for all, as it depends on the size at boot.
	guest_exec "$name" 'echo 45056 > /proc/sys/vm/min_free_kbytes'
}

# mem_blocks NAME KEY: MemTotal and so on, in huge pages.
mem_blocks()
{
	guest_exec "$1" "awk '/^$2:/ { print int(\$2 / 2048) }' /proc/meminfo"
}

# steps COLUMN PERCENT: huge pages in steps of 5 % of memory that is full of
# page cache, of which every second file was deleted.
steps()
{
	local column=$1 percent=$2 blocks rest out

	huge_guest h "$column" 2048 "$percent"
	blocks=$(mem_blocks h MemTotal)
	guest_exec h "hold start --mib $((blocks * 2)) --seed $SEED \
		--pattern files --keep 1/2" > /dev/null
	out=$(guest_exec h "hugealloc $blocks $((blocks / 20))")
	rest=${out//$'\n'/, }
	put "steps_$percent" "$column" files_2 "$(awk -v n="$blocks" \
		'/^got/ { printf "%.2f", 100 * $2 / n }' <<< "$out")"
	put "steps_reclaimed_$percent" "$column" files_2 \
		"$(sed -n 's/^reclaimed //p' <<< "$out")"
	progress "memory is $blocks huge pages; $rest"
	[ "$(killed h)" = 0 ] || bad "highalloc_steps_$percent" \
		"$LABEL: $(killed h) killed"
	finish h "$column" "highalloc_steps_$percent"
}

# stress_row PERCENT: its name.
stress_row() { echo "highalloc_stress$([ "$1" = 25 ] || echo "_$1")"; }

# stress COLUMN PERCENT: 90 % of what is available as huge pages, one at a time,
# while a load like a compilation runs.
stress()
{
	local column=$1 percent=$2 have want out rest

	huge_guest w "$column" 2048 "$percent"
	have=$(mem_blocks w MemAvailable)
	want=$((have * 9 / 10))
	guest_exec w "hold start --mib $((have * 2)) --seed $SEED \
		--pattern files --keep 1/2" > /dev/null
	# shellcheck disable=SC2016
	out=$(guest_exec w 'mkdir /mnt/churn
		setsid churn 4 8 /mnt/churn > /run/churn.log 2>&1 </dev/null &
		until [ -e /tmp/churn.state ]; do usleep 20000; done
		hugealloc '"$want"' 1 20
		cat /tmp/churn.state
		kill $!')
	rest=${out//$'\n'/, }
	[ "$(killed w)" = 0 ] || bad "$(stress_row "$percent")" \
		"$LABEL: $(killed w) killed"
	put "$(stress_row "$percent")" "$column" files_2 "$(awk -v n=$want \
		'/^got/ { printf "%.2f", 100 * $2 / n }' <<< "$out")"
	put "stress_reclaimed_$percent" "$column" files_2 \
		"$(sed -n 's/^reclaimed //p' <<< "$out")"
	progress "$rest"
	put "stress_jobs_failed_$percent" "$column" files_2 \
		"$(sed -n 's/^failed //p' <<< "$out")"
	finish w "$column" "$(stress_row "$percent")"
}

case_highalloc()
{
	local percent

	for percent in $STEPS_PERCENTS; do
		each stock_alone $MODULES_TOO ballast_alone -- \
			steps "highalloc_steps_$percent" "$percent"
	done
	for percent in $STRESS_PERCENTS; do
		each stock_alone $MODULES_TOO -- \
			stress "$(stress_row "$percent")" "$percent"
	done
}

# fewer ROW: a condition: ours have less than stock.
fewer()
{
	local stock column v

	stock=$(worst "$1" max stock)
	for column in ${MODULES_TOO#stock }; do
		v=$(worst "$1" max $column)
		[ -n "$v" ] && [ -n "$stock" ] ||
			{ echo false; return; }
		awk "BEGIN { exit !($v < $stock) }" || { echo false; return; }
	done
	echo true
}

about_highalloc()
{
	local percent

	cat <<-'END'
		Huge pages in a guest with a balloon
		The two tests that memory compaction was introduced with in 2010, in a guest
		of 2 GiB that has a quarter, a half or three quarters of it in the balloon,
		and in one that has as much memory and no balloon (`alone`). Memory is full of
		page cache, and every second file was deleted. In the first test huge pages
		are allocated in steps of 5 % of memory; in the second one at a time, up to
		90 % of what is available, while a load like a compilation runs.

	END
	for percent in $STEPS_PERCENTS; do
		cat <<-END
			highalloc_steps_$percent|%|plot|Huge pages, $percent % in the balloon, in steps, by those of the guest without one
			steps_$percent|%||So much of memory became huge pages
			steps_reclaimed_$percent|pages||Reclaimed for it
		END
	done
	for percent in $STRESS_PERCENTS; do
		cat <<-END
			$(stress_row "$percent")|%|plot|Huge pages under load, $percent % in the balloon, of those that were wanted
			stress_reclaimed_$percent|pages||Reclaimed for it
			stress_jobs_failed_$percent|||Jobs of the load that failed for want of memory
		END
	done
}

# Success by that of a guest that has as much memory and no balloon.
table_highalloc()
{
	local percent name raw reclaimed goal

	for percent in $STEPS_PERCENTS; do
		name=highalloc_steps_$percent
		raw=steps_$percent reclaimed=steps_reclaimed_$percent
		ratio_rows "$name" "$raw" stock_alone 100 stock modules
		ratio_rows "$name" "$raw" ballast_alone 100 all
		worst_row "$name" % \
			">= 99, fewer pages reclaimed than stock" \
			"$(ours ">=" 0 99 99 "$MODULES_TOO") and $(fewer "$reclaimed")" min \
			"% of memory: $(spread "$raw" stock_alone stock \
				modules ballast_alone all); pages reclaimed: \
$(spread "$reclaimed" stock_alone stock modules ballast_alone all)" \
			reference=100
	done
	for percent in $STRESS_PERCENTS; do
		name=$(stress_row "$percent")
		# What was promised is of a quarter in the balloon.
		goal=-
		[ "$percent" != 25 ] || goal=">= 98"
		worst_row "$name" % "$goal" \
			"$(ours ">=" 0 98 98 "$MODULES_TOO")" min \
			"pages reclaimed: $(spread "stress_reclaimed_$percent" \
				stock_alone stock modules all); jobs that \
failed: $(spread "stress_jobs_failed_$percent" stock_alone stock modules all)" \
			reference="$(worst "$name" min stock_alone)"
	done
}
