# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# Memory that stays with a guest which no longer uses it: something real is
# compiled, then the guest is idle, cleans up, and drops its caches. HyperAlloc's
# benchmark, smaller. Columns besides those of all tables:
#
#	none      Debian's parts, balloon and reporting not used
#	ballastd  all, and ballastd on a host that has half of the guest's memory
#
# Stock is free page reporting.
#
# Used is what a guest has that is neither free nor page cache; stranded what the
# host holds of its memory beyond that. The disk is of guest/disk.sh.

# shellcheck source=tests/lib/ballastd.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/ballastd.sh"

STRANDED_MIB=2048
STRANDED_IDLE=$(quick 5 15)	# seconds
STRANDED_SETTLE=60
STRANDED_ROWS="stranded_idle stranded_dropped stranded_gib_minutes stranded_job_ratio
	stranded_ratchet"

# strand_boot COLUMN
strand_boot()
{
	local disk=$OUT/compile.img

	set -- "$1" --mem $STRANDED_MIB --disk "$disk"
	[ -r "$disk" ] || die "no disk: build/out/compile.img; run 'make disk'"
	case $1 in
	none)	start j stock off "${@:2}" ;;
	ballastd)
		start j all on --autodeflate on "${@:2}"
		vsh dommemstat j --period 1 --live
		ballastd_conf <<-END
			mode = active
			interval = 1s
			statistics_period = 1s
			[host]
			budget = $((STRANDED_MIB / 2))M
			reserve = 5%
			[guests]
			minimum = 10%
			hold = 5s
		END
		# It is not to look after the guests of other columns.
		trap 'kill "${BALLASTD_PID:-}" 2>/dev/null || :' EXIT
		ballastd_start
		;;
	*)	start j "$1" on "${@:2}" ;;
	esac
	guest_exec j 'mount --bind /dev /mnt/dev && mount -t proc proc /mnt/proc'
}

# in_root 'SHELL SCRIPT' [SECONDS]: in the guest's Debian.
in_root()
{
	guest_exec j "cd / && exec chroot /mnt /usr/bin/env -i LC_ALL=C \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c '$1'" "${2:-600}"
}

# settle: until what the host holds has hardly changed for 6 s, which is three looks of
# packing; that nothing comes has no event.
settle()
{
	local end=$((SECONDS + STRANDED_SETTLE)) still=$SECONDS old=0 kib by

	while [ $SECONDS -lt $end ] && [ $SECONDS -lt $((still + 6)) ]; do
		kib=$(smaps_ram_kib j Rss)
		by=$((kib - old))
		[ ${by#-} -lt 4096 ] || { old=$kib still=$SECONDS; }
		sleep 0.5
	done
}

# watch_rss: "SECONDS KIB" each second, from now on, until the guest is gone.
watch_rss()
{
	local kib

	while kib=$(smaps_ram_kib j Rss); do
		echo "$EPOCHREALTIME $kib"
		sleep 1
	done 2>/dev/null
}

# gib_minutes FILE
gib_minutes()
{
	awk 'NR > 1 { n += ($1 - t) * ($2 + kib) / 2 }
		{ t = $1; kib = $2 }
		END { printf "%.2f", n / 1048576 / 60 }' "$1"
}

# used_mib: what the guest uses of what the balloon leaves it.
used_mib()
{
	guest_exec j 'cat /proc/meminfo' | awk -v n="$(balloon_actual j)" '
		/^(MemFree|Buffers|Cached):/ { n -= $2 / 1024 }
		/^Shmem:/ { n += $2 / 1024 }
		END { print int(n) }'
}

# look STAGE: what is stranded now.
look()
{
	local rss used

	rss=$(($(smaps_ram_kib j Rss) / 1024))
	used=$(used_mib)
	put "${row}_held" "$column" "$1_$round" "$rss"
	put "${row}_used" "$column" "$1_$round" "$used"
	case $1 in
	idle | dropped)
		put "${row}_$1" "$column" "round_$round" $((rss - used)) ;;
	esac
	progress "round $round, $1: the host holds $rss MiB, $used are used"
}

# stranded COLUMN ROUNDS: guests are idle in the first round alone.
stranded()
{
	local column=$1 row=stranded rounds=$2 round t pid first rows=$STRANDED_ROWS

	strand_boot "$column"
	[ "$column" != ballastd ] ||
		row=ballastd column=all rows=ballastd_dropped
	for round in $(seq "$rounds"); do
		watch_rss > "$RUN/rss" &
		pid=$!
		t=$EPOCHREALTIME
		in_root 'set -e
			cd /src
			tar xf linux.tar
			make -s -C linux -j2 $(cat targets)' ||
			die "the job failed"
		put "${row}_seconds" "$column" "round_$round" \
			"$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $t }")"
		look job
		in_root 'cd /src && sha256sum --quiet -c sums' ||
			bad "${row}_dropped" "$LABEL: what was compiled is not right"
		if [ "$round" = 1 ]; then
			sleep $STRANDED_IDLE
			look idle
		fi
		in_root 'rm -rf /src/linux'
		look clean
		guest_exec j 'sync; echo 3 > /proc/sys/vm/drop_caches'
		settle
		look dropped
		kill "$pid"
		wait "$pid" || true
		[ "$round" != 1 ] || put "${row}_gib_minutes" "$column" round_1 \
			"$(gib_minutes "$RUN/rss")"
	done
	first=$(value "${row}_held" "$column" dropped_1)
	[ "$rounds" = 1 ] || put "${row}_ratchet" "$column" rounds \
		$(($(value "${row}_held" "$column" "dropped_$rounds") - first))
	[ "$row" != ballastd ] || ballastd_stop
	finish j "$1" "$rows"
}

case_stranded()
{
	if [ -z "$QUICK" ]; then
		each none -- stranded "$STRANDED_ROWS" 1
		each ballastd -- stranded ballastd_dropped 1
	fi
	each stock all -- stranded "$STRANDED_ROWS" "$(quick 1 3)"
}

# strand_row NAME UNIT GOAL CONDITION NOTE
strand_row()
{
	local none

	none=$(worst "$1" max none)
	worst_row "$1" "$2" "$3" "$4" max "$5${none:+; none $none}" \
		reference="$none"
}

table_stranded()
{
	strand_row stranded_dropped MiB "all less than stock" \
		"(.all // 9999) < (.stock // 0)" \
		"what the host holds beyond what a guest of $STRANDED_MIB MiB \
uses, after it compiled, deleted all and dropped its caches; \
held: $(spread stranded_held none stock all)"
	strand_row stranded_idle MiB - "" \
		"the same when it has been idle for $STRANDED_IDLE s, with page \
cache that may be dropped"
	strand_row stranded_gib_minutes "GiB x min" - "" \
		"what the host held in the first round"
	[ -z "$QUICK" ] || return 0
	ratio_rows stranded_job_ratio stranded_seconds none 1 stock all
	strand_row stranded_job_ratio ratio - "" \
		"seconds: $(spread stranded_seconds none stock all)"
	strand_row stranded_ratchet MiB - "" \
		"held after three rounds, less what was held after one"
	strand_row ballastd_dropped MiB - "" \
		"as stranded_dropped, all under ballastd, on a host of \
$((STRANDED_MIB / 2)) MiB; idle: $(spread ballastd_idle all); GiB x min: \
$(spread ballastd_gib_minutes all); seconds: $(spread ballastd_seconds all); held: \
$(spread ballastd_held all)"
}

about_stranded()
{
	cat <<-END
		What stays with a guest that no longer uses it
		A guest of $STRANDED_MIB MiB unpacks a part of Linux and compiles a folder
		of it (\`job\`), is idle for $STRANDED_IDLE s (\`idle\`, in the first round
		alone), deletes all of it (\`clean\`), and drops its caches; the last look is
		when nothing more comes back, or $STRANDED_SETTLE s later (\`dropped\`).
		Behind the stage is the round. Stock is free page reporting; \`none\` has no
		reporting. Used is what the guest has that is neither free nor page cache. What
		begins with \`ballastd\` is of a guest under ballastd, on a host that has half
		of its memory.

		stranded_dropped|MiB|plot|What the host holds beyond what the guest uses, after caches were dropped
		stranded_idle|MiB||The same while the guest is idle
		stranded_held|MiB|plot|What the host holds of the guest's memory
		stranded_used|MiB||What the guest uses
		stranded_gib_minutes|GiB x min|plot|What the host held in the first round, over time
		stranded_seconds|s||Until the job was done
		stranded_job_ratio|ratio||Seconds of the job, by those without reporting
		stranded_ratchet|MiB||Held after the last round, less what was held after the first
		ballastd_dropped|MiB|plot|With ballastd: held beyond what the guest uses, after caches were dropped
		ballastd_idle|MiB||With ballastd: the same while the guest is idle
		ballastd_held|MiB|plot|With ballastd: what the host holds of the guest's memory
		ballastd_used|MiB||With ballastd: what the guest uses
		ballastd_gib_minutes|GiB x min||With ballastd: held in the round, over time
		ballastd_seconds|s||With ballastd: until the job was done
	END
}
