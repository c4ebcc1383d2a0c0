# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What free page reporting gives back of memory that is free in holes, and what
# packing it costs, also where nothing can be won.

# kcompactd_ms NAME: the CPU time that it has used.
kcompactd_ms()
{
	guest_exec "$1" 'cat /proc/[0-9]*/stat 2>/dev/null |
		awk "\$2 ~ /^\\(kcompactd/ { n += \$14 + \$15 }
			END { print n * 10 }"'
}

# cpu_share MS SECONDS: per cent of the guest's CPU time; it has two.
cpu_share() { awk "BEGIN { printf \"%.2f\", $1 / 10 / 2 / $2 }"; }

mem_free_mib()
{
	guest_exec "$1" "awk '/^MemFree/ { print int(\$2 / 1024) }' \
		/proc/meminfo"
}

# PATTERN:KEEP:SEED, see guest/memhold.c: one of KEEP pages or files stays. Seeds
# are runs of the same setting.
FPR_HOLES=$(quick random:4:1 "regular:4:1 random:8:1 random:4:1 random:4:2
	random:2:1 files:2:1")
FPR_SECONDS=30
FPR_ROWS="fpr_returned_share fpr_moves_ratio packing_cpu_share"

# fpr COLUMN PATTERN KEEP SEED: what free page reporting gives back of holes.
fpr()
{
	local column=$1 setting=$2_$3 moves cpu share returned free

	boot f "$column" on "$2" --mem 4096
	[ "$column" != by_hand ] || guest_exec f \
		'echo 100 > /proc/sys/vm/compaction_proactiveness'
	# Some moves before all holes are there.
	moves=$(guest_vmstat f pgmigrate_success)
	fragment f "$2" "$3" "$4"
	cpu=$(kcompactd_ms f)
	sleep $FPR_SECONDS
	# All memory was the host's at first, and what is in use still is.
	returned=$((4096 - $(smaps_ram_kib f Rss) / 1024))
	free=$(mem_free_mib f)
	cpu=$(($(kcompactd_ms f) - cpu))
	moves=$(($(guest_vmstat f pgmigrate_success) - moves))
	share=$(awk "BEGIN { printf \"%.1f\", 100 * $returned / $free }")
	put fpr_returned_share "$column" "$setting" "$share"
	put fpr_moves "$column" "$setting" "$moves"
	put packing_cpu_share "$column" "$setting" \
		"$(cpu_share $cpu $FPR_SECONDS)"
	progress "$share % of $free MiB free are the host's, $moves moves," \
		"kcompactd $cpu ms"
	finish f "$column" "$FPR_ROWS"
}

# idle COLUMN: memory in use without holes: nothing can be won.
idle()
{
	local column=$1 seconds=15 cpu

	start d "$column" on --mem 2048
	[ "$column" != by_hand ] || guest_exec d \
		'echo 100 > /proc/sys/vm/compaction_proactiveness'
	guest_exec d "hold start --mib 1400 --pattern none" > /dev/null
	# What filling memory has set going may come to its end.
	sleep 5
	cpu=$(kcompactd_ms d)
	sleep $seconds
	cpu=$(($(kcompactd_ms d) - cpu))
	put packing_idle "$column" none \
		"$(cpu_share $cpu $seconds)"
	progress "kcompactd $cpu ms in $seconds s"
	finish d "$column" packing_cpu_share
}

case_fpr()
{
	local hole

	# Default settings of these two leave holes as they are: one is enough.
	each stock modules -- fpr "$FPR_ROWS" random 4 1
	for hole in $FPR_HOLES; do
		each by_hand all -- fpr "$FPR_ROWS" ${hole//:/ }
	done
	each by_hand modules all -- idle packing_cpu_share
}

about_fpr()
{
	cat <<-'END'
		What free page reporting gives back of holes
		A guest of 4 GiB fills 3.5 GiB, gives most of it back in pieces, and is left alone
		for half a minute. All columns have free page reporting; `by hand` is
		`vm.compaction_proactiveness=100`.

		fpr_returned_share|%|plot|Of what is free in the guest, so much is the host's afterwards
		fpr_moves|pages||Pages migrated meanwhile
		fpr_moves_ratio|ratio||Pages migrated, by those of `by hand`
		packing_cpu_share|%||CPU time of kcompactd, of the guest's
		packing_idle|%||The same where nothing can be won
	END
}

table_fpr()
{
	local idle

	worst_row fpr_returned_share % ">= 95 all" "(.all // 0) >= 95" min \
		"of what is free, after $FPR_SECONDS s" reference=
	ratio_rows fpr_moves_ratio fpr_moves by_hand 1 stock by_hand modules all
	worst_row fpr_moves_ratio ratio "<= 0.6 all" "(.all // 9) <= 0.6" max \
		"pages moved, by those with the knob at 100" reference=
	idle=$(worst packing_idle max all)
	# Its waking alone may show as one tick of a hundredth of a second.
	worst_row packing_cpu_share % "<= 2 all; none if nothing can be won" \
		"(.all // 99) <= 2 and ${idle:-99} <= 0.04" max \
		"kcompactd, of the guest's CPU time in these seconds; when \
nothing can be won: $(spread packing_idle by_hand modules all)" reference=
}
