# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What a guest's memory bandwidth is while it shrinks and grows: not the median,
# which hides the moments when it stands still, but the first percentile, of slots
# of 20 ms on each CPU, by the median at rest.

INTERFERENCE_REST=5
# So long it has to take, or so many times: one of 40 ms says nothing.
INTERFERENCE_SECONDS=3
INTERFERENCE_TIMES=$(quick 3 10)

# clock_ahead NAME: by so many seconds the guest's clock is ahead of the host's.
clock_ahead()
{
	local a b guest

	a=$(date +%s%N)
	guest=$(agent "$1" '{"execute": "guest-get-time"}' | jq .return)
	b=$(date +%s%N)
	awk "BEGIN { printf \"%.3f\", ($guest - ($a + $b) / 2) / 1e9 }"
}

# slots LOG SECONDS < WINDOWS: the MB/s in slots that overlap with one of the
# windows, "START END" each, once so much is added to those.
slots()
{
	awk -v ahead="$2" -v slot=0.02 '
		FNR == NR { from[++n] = $1 + ahead; to[n] = $2 + ahead; next }
		{
			for (i = 1; i <= n; i++)
				if ($1 + slot > from[i] && $1 < to[i]) {
					print $2
					next
				}
		}' - "$1"
}

# percentile N < NUMBERS: the smallest that N per cent are not above.
percentile()
{
	sort -g | awk -v p="$1" '{ v[NR] = $1 } END {
		i = int((NR * p + 99) / 100); if (NR) print v[i ? i : 1] }'
}

# percent A B
percent() { awk "BEGIN { printf \"%.1f\", 100 * $1 / $2 }"; }

# window COLUMN MIB: resize; prints when that began and ended.
window()
{
	local mark s t

	case $1 in
	virtio_mem)
		t=$(date +%s.%N)
		s=$(virtio_mem_to i $(($2 - 1024))) || return
		awk "BEGIN { printf \"%.6f %.6f\n\", $t, $t + $s }"
		;;
	*)	mark=$(log_mark i)
		reach i "$2" > /dev/null
		balloon_window i "$mark"
		;;
	esac
}

# enough WINDOWS
enough()
{
	awk -v s="$INTERFERENCE_SECONDS" -v times="$INTERFERENCE_TIMES" '
		{ n += $2 - $1 }
		END { exit !(n >= s || NR >= 2 * times) }' "$1"
}

# interference COLUMN
interference()
{
	local column=$1 t ahead log=$RUN/bandwidth rest n p1 p50

	available 4096
	resizable "$column" 4096 boot i "$column" off none
	# shellcheck disable=SC2016
	guest_exec i 'setsid bandwidth > /run/bandwidth.log 2>&1 </dev/null &
		until [ -e /tmp/bandwidth.ready ]; do usleep 20000; done'
	ahead=$(clock_ahead i)
	t=$(date +%s.%N)
	sleep $INTERFERENCE_REST
	echo "$t $(date +%s.%N)" > "$log.rest"
	: > "$log.windows"
	until enough "$log.windows"; do
		window "$column" 1024
		window "$column" 4096
	done >> "$log.windows"
	guest_exec i 'killall bandwidth
		while pidof bandwidth > /dev/null; do usleep 20000; done'
	guest_get i /run/bandwidth.log > "$log"
	slots "$log" "$ahead" < "$log.rest" > "$log.rest.slots"
	slots "$log" "$ahead" < "$log.windows" > "$log.slots"
	n=$(wc -l < "$log.slots")
	[ "$n" != 0 ] || die "no slot of the log is one of the $column's"
	rest=$(percentile 50 < "$log.rest.slots")
	p1=$(percent "$(percentile 1 < "$log.slots")" "$rest")
	p50=$(percent "$(percentile 50 < "$log.slots")" "$rest")
	put interference_p1 "$column" "4_1_gib" "$p1"
	put interference_p50 "$column" "4_1_gib" "$p50"
	put interference_rest_p1 "$column" "4_1_gib" \
		"$(percent "$(percentile 1 < "$log.rest.slots")" "$rest")"
	put interference_standing "$column" "4_1_gib" "$(awk -v rest="$rest" '
		$1 < rest / 10 { n++ }
		END { printf "%.1f", 100 * n / NR }' "$log.slots")"
	put interference_seconds "$column" "4_1_gib" \
		"$(awk '{ n += $2 - $1 } END { printf "%.2f", n / NR }' \
			"$log.windows")"
	progress "p1 $p1 %, p50 $p50 % of $rest MB/s at rest, $n slots"
	finish i "$column" interference_p1
}

case_interference()
{
	# shellcheck disable=SC2046 # several columns
	each $MODULES_TOO $(quick "" virtio_mem) -- interference interference_p1
}

about_interference()
{
	cat <<-'END'
		What a guest feels of it
		A loop on each vCPU copies memory, and notes its bandwidth every 20 ms, while the
		guest of 4 GiB shrinks to 1 GiB and grows again, several times. Figures are per cent
		of the median at rest. A short one says less: few slots are in it.

		interference_p1|%||First percentile of the bandwidth while the guest shrinks and grows
		interference_p50|%|plot|The median meanwhile
		interference_rest_p1|%||The first percentile at rest
		interference_standing|%||Slots below a tenth of the median at rest, while it shrinks and grows
		interference_seconds|s||How long it took to shrink or grow
	END
}

table_interference()
{
	local columns="virtio_mem stock modules all"

	# shellcheck disable=SC2086
	worst_row interference_p1 % - "" min "first percentile of the bandwidth \
while 3 GiB go and come, by the median at rest; virtio-mem: $(spread \
interference_p1 virtio_mem); the median meanwhile: $(spread interference_p50 \
$columns); the first percentile at rest: $(spread interference_rest_p1 \
$columns); % of slots below a tenth of the median at rest: $(spread \
interference_standing $columns); seconds: $(spread interference_seconds $columns)" \
		reference="$(worst interference_p1 min virtio_mem)"
}
