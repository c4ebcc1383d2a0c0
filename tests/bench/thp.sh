# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Compaction in a guest that has a balloon leaves the host its huge pages.

# thp COLUMN: 100 compactions of a guest with a quarter of it in the balloon and
# a little load. Reporting is off: it gives huge pages back whole.
thp()
{
	local column=$1 before after moves

	start c "$column" off --mem 2048 --prealloc on --disk 2048
	guest_exec c "hold start --mib 900 --seed 1 --pattern random \
		--keep 1/2" > /dev/null
	reach c 1536 > /dev/null
	before=$(smaps_ram_kib c AnonHugePages)
	moves=$(guest_vmstat c pgmigrate_success)
	# shellcheck disable=SC2016
	guest_exec c 'mkdir /mnt/churn
		setsid churn 2 16 /mnt/churn > /run/churn.log 2>&1 </dev/null &
		for i in $(seq 100); do
			echo 1 > /proc/sys/vm/compact_memory
			usleep 100000
		done
		kill $!'
	after=$(smaps_ram_kib c AnonHugePages)
	moves=$(($(guest_vmstat c pgmigrate_success) - moves))
	put compaction_keeps_thp "$column" random_2 \
		"$(awk "BEGIN { printf \"%.1f\", 100 * $after / $before }")"
	put compaction_moves "$column" random_2 "$moves"
	progress "$((before / 2048)) huge pages before, $((after / 2048))" \
		"after, $moves moves"
	finish c "$column" compaction_keeps_thp
}

case_thp() { each stock modules all -- thp compaction_keeps_thp; }

about_thp()
{
	cat <<-'END'
		Compaction beside a balloon
		A guest has a quarter of its memory in the balloon, and memory is compacted 100 times
		under a little load.

		compaction_keeps_thp|%||Of the host's huge pages, so many are huge pages still
		compaction_moves|pages||Pages migrated
	END
}

table_thp()
{
	worst_row compaction_keeps_thp % ">= 98" "$(ours ">=" 0 98 98)" min \
		"moves: $(spread compaction_moves stock modules all)" reference=
}
