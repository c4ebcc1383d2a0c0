# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
#
# What a guest must stand, whatever its kernel: each function is given a guest
# that is up, and leaves it with an empty balloon. The .t files beside this one
# boot the guests and choose.

BLOCK=512		# pages of 4 KiB in a pageblock
HOLDOFF=/sys/module/virtio_balloon/parameters/oom_holdoff
: "${MIB:=1100}"	# what a large workload touches: most of the guest

section() { comment "$SECONDS s: $*"; }

# composed WHAT PAGES: the last snap is of a balloon of so many pages, as many
# of them as possible in whole blocks, all of them offline, and accounted.
composed()
{
	is "$1: the target is reached" "${B[target]} ${B[actual]}" "$2 $2"
	is "$1: whole blocks, and singles for the rest" \
		"${B[blocks]} ${B[singles]}" "$(($2 / BLOCK)) $(($2 % BLOCK))"
	is "$1: nothing is missing" "${B[shortfall]} ${B[shortfall_reason]}" \
		"0 none"
	is "$1: every page of it is offline" "${B[pages_offline]}" "$2"
	is "$1: MemTotal is that much less" "${B[MemTotal]}" \
		"$((BOOT_TOTAL - $2 * 4))"
}

# empty WHAT NAME: nothing is left of the balloon, and all memory is back.
empty()
{
	snap "$2"
	is "$1: the balloon is empty" \
		"${B[actual]} ${B[blocks]} ${B[singles]} ${B[pages_offline]}" \
		"0 0 0 0"
	is "$1: MemTotal as at boot" "${B[MemTotal]}" "$BOOT_TOTAL"
	is "$1: no process was killed" "${B[oom_kill]}" "$BOOT_OOM"
}

# Our module is in charge; remember what the guest has at boot.
test_load()
{
	section "load"
	snap "$1"
	isnt "load: our driver has the device" "${B[pages_per_block]-none}" none
	BOOT_TOTAL=${B[MemTotal]} BOOT_OOM=${B[oom_kill]}
	is "load: the balloon is empty" "${B[actual]}" 0
	is "load: the queue that the device offers" "${B[queue]}" "$2"
}

# stat_of NAME KEY
stat_of() { vsh dommemstat "$1" | awk -v k="$2" '$1 == k { print $2 }'; }

test_stats()
{
	local key missing=

	section "statistics"
	vsh dommemstat "$1" --period 1 --live
	stats_there() { [ -n "$(stat_of "$1" usable)" ]; }
	ok "stats: they arrive" until_true 30 stats_there "$1"
	for key in actual swap_in swap_out major_fault minor_fault unused \
		   available usable disk_caches hugetlb_pgalloc rss; do
		[ -n "$(stat_of "$1" $key)" ] || missing+=" $key"
	done
	is "stats: none is missing" "$missing" ""
	is "stats: actual" "$(stat_of "$1" actual)" \
		"$(($(guest_mib "$1") * 1024))"
	is "stats: available is MemTotal" "$(stat_of "$1" available)" \
		"$BOOT_TOTAL"
	between "stats: unused is about MemFree" "$(stat_of "$1" unused)" \
		$((B[MemFree] - 65536)) $((B[MemFree] + 65536))
	between "stats: usable is about MemAvailable" \
		"$(stat_of "$1" usable)" \
		$((B[MemAvailable] - 65536)) $((B[MemAvailable] + 65536))

	# They follow the guest.
	balloon_pages "$1" $((100 * 256))
	stats_less() { [ "$(stat_of "$1" available)" = "$2" ]; }
	ok "stats: they follow the balloon" until_true 30 stats_less "$1" \
		$((BOOT_TOTAL - 100 * 1024))
	vsh dommemstat "$1" --period 0 --live
	balloon_pages "$1" 0
}

# A guest whose every block holds a few pages that are in use.
test_fragmented()
{
	local n=$((MIB * 3 / 11)) want rss

	section "inflate a fragmented guest"
	want=$((n * BLOCK + 100))
	hold "$1" start --mib "$MIB" --pattern regular --keep 1/4 >/dev/null
	ok "fragmented: contents are whole before" hold "$1" check
	rss=$(host_rss "$1")
	ok "fragmented: it inflates" balloon_pages "$1" $want
	snap "$1"
	composed fragmented $want
	is "fragmented: every block went to the host once" \
		$((B[blocks_sent_range] + B[blocks_sent_pfn] - \
		   B[blocks_released] - B[blocks_given_back])) \
		"${B[blocks]}"
	isnt "fragmented: some blocks had to be emptied" "${B[blocks_won]}" 0
	ok "fragmented: contents are whole while inflated" hold "$1" check
	# Rss is up to the guest's size, and the balloon is not part of it.
	between "fragmented: the host has that memory back" \
		$((rss - $(host_rss "$1"))) $((want * 4 - 400 * 1024)) $((want * 5))

	# Another target on the way, no multiple of a block, up and down.
	for want in $(((n + 5) * BLOCK + 511)) $((50 * BLOCK + 1)) 1; do
		ok "fragmented: to $want pages" balloon_pages "$1" $want
		snap "$1"
		composed "fragmented, $want pages" $want
	done

	ok "fragmented: it deflates" balloon_pages "$1" 0
	empty fragmented "$1"
	ok "fragmented: contents are whole after" hold "$1" check
	hold "$1" stop
}

# What the host holds of the guest on small pages, in KiB.
host_small()
{
	smaps_ram "$1" | awk '{ n[$1] = $2 }
		END { print n["Rss:"] - n["AnonHugePages:"] }'
}

# singles_mapping NAME COLUMN: what the framework says of the single pages.
singles_mapping()
{
	guest_exec "$1" "awk '\$2 == \"virtio_balloon\" && \$1 !~ /blocks/ {
		print \$$2 }' /sys/kernel/debug/driver_pages/mappings"
}

# singles_rules NAME PAGES: the conformance kit at so many single pages. What is
# in them does not matter; what is in all others does.
singles_rules()
{
	local kit=/sys/kernel/debug/driver_pages_selftest/run moved

	section "single pages, held to the rules of driver pages"
	snap "$1"
	moved=${B[singles_migrated]}
	ok "rules: the kit loads" guest_exec "$1" \
		'insmod /lib/modules/$(uname -r)/ballast/driver_pages_selftest.ko'
	include guest_exec "$1" "echo $(singles_mapping "$1" 1) contents=no \
		pages=64 moves=1000 > $kit && cat $kit"
	ok "rules: contents of all other memory are whole" hold "$1" check
	snap "$1"
	is "rules: as many pages are in the balloon" \
		"${B[actual]} ${B[singles]} ${B[blocks]}" "$2 $2 0"
	is "rules: they are offline, and accounted" \
		"${B[pages_offline]} ${B[MemTotal]}" \
		"$2 $((BOOT_TOTAL - $2 * 4))"
	between "rules: the balloon has noticed" \
		$((B[singles_migrated] - moved)) 100 1000000
	guest_exec "$1" 'rmmod driver_pages_selftest'
	section "single pages again"
}

# Single pages: few, together, and left where they are; many, and movable.
test_singles()
{
	local small moved

	section "single pages"
	# No block is free, and compaction has much to move.
	hold "$1" start --mib "$MIB" --pattern random --keep 1/3 >/dev/null
	ok "singles: 300 of them" balloon_pages "$1" $((20 * BLOCK + 300))
	snap "$1"
	composed "singles, 300" $((20 * BLOCK + 300))
	moved=${B[singles_migrated]}
	small=$(host_small "$1")
	ok "singles: 100 compactions" guest_exec "$1" 'for i in $(seq 100); do
		echo 1 > /proc/sys/vm/compact_memory; done'
	snap "$1"
	is "singles: compaction leaves them alone" "${B[singles_migrated]}" \
		"$moved"
	between "singles: none of the host's huge pages is broken" \
		"$(host_small "$1")" 0 $((small + 1000))
	ok "singles: contents are whole after that" hold "$1" check
	hold "$1" stop

	# None but singles, as the in-tree driver.
	guest_exec "$1" 'echo N > /sys/module/virtio_balloon/parameters/blocks'
	hold "$1" start --mib $((MIB / 3)) --pattern regular --keep 1/4 >/dev/null
	ok "singles: without blocks" balloon_pages "$1" $((100 * BLOCK + 1))
	snap "$1"
	is "singles: no blocks then" "${B[blocks]} ${B[singles]}" \
		"0 $((100 * BLOCK + 1))"
	is "singles: the framework knows them all" \
		"$(singles_mapping "$1" 3)" $((100 * BLOCK + 1))
	singles_rules "$1" $((100 * BLOCK + 1))
	moved=${B[singles_migrated]}
	ok "singles: compaction moves them" until_guest "$1" 60 \
		'echo 1 > /proc/sys/vm/compact_memory
		! grep -q "^singles_migrated '"$moved"'\$" \
			/sys/kernel/debug/virtio_balloon/*'
	snap "$1"
	is "singles: moved ones are offline, and accounted" \
		"${B[pages_offline]} ${B[MemTotal]}" \
		"$((100 * BLOCK + 1)) $((BOOT_TOTAL - (100 * BLOCK + 1) * 4))"
	ok "singles: contents are whole" hold "$1" check
	hold "$1" stop
	guest_exec "$1" 'echo Y > /sys/module/virtio_balloon/parameters/blocks'
	balloon_pages "$1" 0
	empty singles "$1"
}

# Half of the memory in pieces: are as many huge pages to be had if it is the
# balloon's single pages as if it is processes'? The balloon fills the holes of a
# process that ends then.
test_singles_half()
{
	local pages=$((MIB * 128)) most lru singles

	section "half of $MIB MiB full of single pages, and huge pages"
	hold "$1" start --mib "$MIB" --pattern random --keep 1/2 >/dev/null
	most=$(huge_pages_most "$1")
	lru=$(huge_pages "$1" "$most")
	hold "$1" stop
	hold "$1" start --mib "$MIB" --pattern random --keep 1/2 >/dev/null
	guest_exec "$1" 'echo N > /sys/module/virtio_balloon/parameters/blocks'
	ok "half: single pages fill the other half" balloon_pages "$1" $pages
	hold "$1" stop
	snap "$1"
	is "half: no blocks" "${B[blocks]} ${B[singles]}" "0 $pages"
	singles=$(huge_pages "$1" "$most")
	comment "huge pages, of $most: $lru with LRU memory, $singles with" \
		"the balloon's single pages"
	between "half: >= 98 % of what LRU memory gives" "$singles" \
		$((lru * 98 / 100)) 100000
	snap "$1"
	between "half: single pages migrated for it" "${B[singles_migrated]}" \
		$((pages / 8)) 100000000
	is "half: as many are in the balloon as before" \
		"${B[actual]} ${B[singles]} ${B[pages_offline]}" \
		"$pages $pages $pages"
	guest_exec "$1" 'echo Y > /sys/module/virtio_balloon/parameters/blocks'
	balloon_pages "$1" 0
	empty half "$1"
}

# less_since NAME MARK PAGES: the mark behind the first line since MARK that told the
# host of fewer pages; MARK, if there is none. The last size is told twice.
less_since()
{
	tail -n "+$2" "$(domain_log "$1")" | awk -v mark="$2" -v pages="$3" '
		/virtio_balloon_set_config/ && $3 < pages && !n { n = NR }
		END { print mark + n }'
}
less_told() { [ "$(less_since "$@")" != "$2" ]; }

# Memory that whole blocks are in goes offline: they are given back, and others
# taken when there is memory again.
test_offline()
{
	local want=$((MIB * 6 / 11 / 2 * BLOCK)) memory mark

	section "memory goes offline"
	hold "$1" start --mib $((MIB / 3)) --pattern random --keep 1/4 >/dev/null
	ok "offline: it inflates" balloon_pages "$1" $want
	mark=$(log_mark "$1")
	# The kernel's own pages keep one or the other from going.
	memory=$(guest_exec "$1" '
		for m in /sys/devices/system/memory/memory*; do
			echo offline > $m/state || continue
			if ! grep -q "^blocks_given_back 0$" \
				/sys/kernel/debug/virtio_balloon/*; then
				echo $m; break
			fi
			echo online > $m/state
		done 2> /dev/null')
	isnt "offline: memory with blocks in it goes" "$memory" ""
	snap "$1"
	between "offline: blocks were given back" "${B[blocks_given_back]}" \
		1 64
	ok "offline: the host hears of it" until_true 30 less_told "$1" "$mark" $want
	# It may grow again before it is told to.
	mark=$(less_since "$1" "$mark" $want)
	ok "offline: contents are whole" hold "$1" check
	guest_exec "$1" "echo online > $memory/state"
	ok "offline: the balloon is as large again" wait_pages "$1" $want 60 "$mark"
	ok "offline: contents are whole after" hold "$1" check
	hold "$1" stop
	balloon_pages "$1" 0
	empty offline "$1"
}

# How many pageblocks are of each type, or just of one that nobody may see.
block_types()
{
	guest_exec "$1" "awk '/^Number of blocks/ {
			for (i = 5; i <= NF; i++) type[i] = \$i
			next }
		NF && type[5] {
			for (i = 5; i <= NF; i++) n[type[i]] += \$i }
		END { print n[\"Movable\"], n[\"Unmovable\"], n[\"Reclaimable\"],
			n[\"HighAtomic\"] + n[\"Isolate\"] }' /proc/pagetypeinfo"
}

# The blocks that the balloon gives back are of the kinds that they were. A
# guest that lives changes one now and then, so this is about many cycles.
test_block_types()
{
	local before after i

	section "pageblock types"
	before=$(block_types "$1")
	for i in {1..10}; do
		balloon_pages "$1" $((350 * BLOCK + 5 * i))
		balloon_pages "$1" 0
	done
	after=$(block_types "$1")
	comment "movable unmovable reclaimable other" \
		"before $before" "after $after"
	for i in 1 2 3; do
		between "block types: about the same after ten cycles ($i)" \
			$((${after%% *} - ${before%% *})) -4 4
		before=${before#* } after=${after#* }
	done
	is "block types: none is isolated" "$after" 0
}

# Free page reporting, which shares a queue with our ranges.
test_reporting()
{
	local rss

	section "free page reporting"
	hold "$1" start --mib 800 --pattern none >/dev/null
	rss=$(host_rss "$1")
	hold "$1" stop
	less() { [ "$(host_rss "$1")" -lt "$2" ]; }
	ok "reporting: free memory goes to the host" \
		until_true 60 less "$1" $((rss - 600 * 1024))
	balloon_pages "$1" $((200 * BLOCK))
	hold "$1" start --mib 300 --pattern none >/dev/null
	ok "reporting: memory that comes back is sound" hold "$1" check
	hold "$1" stop
	balloon_pages "$1" 0
	empty reporting "$1"
}

test_out_of_range()
{
	local full

	section "setmem out of range"
	full=$(guest_mib "$1")
	no() { ! "$@"; }
	ok "range: virsh refuses more than the guest has" \
		no setmem "$1" $((full + 1))
	ok "range: virsh refuses a size that is none" \
		no vsh setmem "$1" --size -1 --live
	isnt "range: QEMU refuses 0" "$(qmp_balloon "$1" 0)" '"fine"'
	isnt "range: QEMU refuses -1" "$(qmp_balloon "$1" -1)" '"fine"'
	is "range: more than there is, by QMP" \
		"$(qmp_balloon "$1" 4611686018427387904)" '"fine"'
	empty "range, huge" "$1"

	# All of it: the guest gives what it can spare.
	is "range: all but a byte, by QMP" "$(qmp_balloon "$1" 1)" '"fine"'
	ok "range: the guest stops at its floor" until_guest "$1" 90 \
		"grep -q \"^shortfall_reason floor\" \
			/sys/kernel/debug/virtio_balloon/*"
	snap "$1"
	is "range: no process was killed" "${B[oom_kill]}" "$BOOT_OOM"
	is "range: the host is told the truth" \
		"$(($(guest_mib "$1") * 256 - $(qmp_actual "$1") / 4096))" \
		"${B[actual]}"
	ok "range: back" balloon_pages "$1" 0
	empty range "$1"
}

qmp_actual()
{
	vsh qemu-monitor-command "$1" '{"execute": "query-balloon"}' |
		jq .return.actual
}

lines() { guest_exec "$1" "dmesg | grep -c '$2'" || true; }

# The host asks for more than a guest with a steady load can give.
test_floor()
{
	local rounds stops reached mark

	section "the floor"
	stops=$(lines "$1" 'balloon stops at')
	reached=$(lines "$1" 'balloon has reached')
	guest_exec "$1" 'memsteady 700 /run/steady > /run/steady.log 2>&1 &
		echo $! > /run/steady.pid'
	ok "floor: the load runs" until_guest "$1" 60 '[ -e /run/steady ]'
	mark=$(log_mark "$1")
	setmem "$1" 300
	ok "floor: the balloon stops" until_guest "$1" 120 \
		"grep -q \"^shortfall_reason floor\" \
			/sys/kernel/debug/virtio_balloon/*"
	rounds=$(guest_exec "$1" 'cat /run/steady')
	ok "floor: the load goes on" until_guest "$1" 120 \
		"[ \$(cat /run/steady) -gt $((rounds + 5)) ]"
	snap "$1"
	is "floor: no process was killed" "${B[oom_kill]}" "$BOOT_OOM"
	between "floor: the balloon took most of what could be spared" \
		"${B[actual]}" $((350 * 256)) $((800 * 256))
	between "floor: so much stays available" "${B[MemAvailable]}" \
		$((B[floor] * 2)) $((B[floor] * 4 + 300 * 1024))
	is "floor: the host is told the truth" \
		"$(($(guest_mib "$1") * 256 - $(qmp_actual "$1") / 4096))" \
		"${B[actual]}"
	is "floor: one line says so" "$(lines "$1" 'balloon stops at')" \
		$((stops + 1))
	guest_exec "$1" 'kill $(cat /run/steady.pid) || true'
	ok "floor: it goes on when the load ends" wait_pages "$1" \
		$((($(guest_mib "$1") - 300) * 256)) 120 "$mark"
	ok "floor: one line says so, too" until_guest "$1" 30 \
		"[ \$(dmesg | grep -c \"balloon has reached\") = $((reached + 1)) ]"
	is "floor: and no more than one stopped" \
		"$(lines "$1" 'balloon stops at')" $((stops + 1))
	balloon_pages "$1" 0
	empty floor "$1"
}

# random_sizes SEED HOW-MANY MOST: pages, the last one is 0.
random_sizes()
{
	awk -v seed="$1" -v n="$2" -v most="$3" 'BEGIN {
		srand(seed)
		for (i = 1; i < n; i++)
			print int(rand() * most)
		print 0 }'
}

# Random sizes; half of them are given up on the way.
test_resizes()
{
	local n=${2:-100} rss pages i=0 bad=0 seed=$((RANDOM))

	section "$n random resizes, seed $seed"
	# All memory that can be touched is, so that Rss can be compared.
	hold "$1" start --mib "$MIB" --pattern none >/dev/null
	rss=$(host_rss "$1")
	hold "$1" stop
	hold "$1" start --mib $((MIB * 4 / 11)) --pattern random --keep 1/4 >/dev/null
	for pages in $(random_sizes $seed "$n" $((MIB * 10 / 11 * 256))); do
		i=$((i + 1))
		if [ $((i % 2)) = 0 ] || [ $i = "$n" ]; then
			balloon_pages "$1" "$pages" || bad=$((bad + 1))
		else
			setmem_pages "$1" "$pages"
		fi
		[ $((i % 25)) != 0 ] || comment "$i resizes"
	done
	is "resizes: each one that was waited for got there" $bad 0
	ok "resizes: contents are whole" hold "$1" check
	hold "$1" stop
	empty resizes "$1"
	hold "$1" start --mib "$MIB" --pattern none >/dev/null
	between "resizes: the host's memory is what it was" \
		"$(host_rss "$1")" $((rss - 60 * 1024)) $((rss + 60 * 1024))
	hold "$1" stop
}

setmem_pages()
{
	vsh setmem "$1" --size "$(($(guest_mib "$1") * 1024 - $2 * 4))KiB" \
		--live
}

# The modules come and go while the target changes, memory is allocated and
# freed, and compaction moves what it can.
test_reload()
{
	local n=${2:-8} pid pages seed=$((RANDOM))

	section "load and unload under load, $n times, seed $seed"
	hold "$1" start --mib 300 --pattern random --keep 1/3 >/dev/null
	guest_exec "$1" '
		(while [ ! -e /run/stop ]; do
			echo 1 > /proc/sys/vm/compact_memory
		done) > /dev/null 2>&1 &
		(while [ ! -e /run/stop ]; do
			rm -f /run/churn.ready
			memhold --mib 250 --ready /run/churn.ready &
			until [ -e /run/churn.ready ]; do usleep 20000; done
			kill $!; wait $!
		done) > /dev/null 2>&1 &'
	# Its end is a file: nothing in here may be waited for by name.
	{
		for pages in $(random_sizes $seed 1000 $((500 * 256))); do
			[ ! -e "$RUN/reloaded" ] || break
			setmem_pages "$1" "$pages"
		done
	} > "$RUN/setmems" 2>&1 &
	pid=$!
	ok "reload: $n times" guest_exec "$1" '
		set -e
		cd /lib/modules/$(uname -r)/ballast
		for i in $(seq '"$n"'); do
			rmmod virtio_balloon
			rmmod regiond
			! [ -e /sys/kernel/debug/virtio_balloon ]
			! [ -e /sys/kernel/debug/regiond ]
			insmod ./regiond.ko
			insmod ./virtio_balloon.ko
			usleep 200000
		done' 400
	: > "$RUN/reloaded"
	wait $pid || true
	guest_exec "$1" ': > /run/stop'
	is "reload: the host noticed nothing" "$(cat "$RUN/setmems")" ""
	rm -f "$RUN/reloaded"
	# No two of the targets are the same, so that this one is news.
	balloon_pages "$1" $((100 * BLOCK + 7))
	ok "reload: it still inflates" test "$(qmp_actual "$1")" = \
		$(($(guest_mib "$1") * 1048576 - (100 * BLOCK + 7) * 4096))
	ok "reload: contents are whole" hold "$1" check
	hold "$1" stop

	# Unload an inflated balloon: all memory is the guest's again.
	guest_exec "$1" 'until ! pidof memhold > /dev/null; do usleep 50000; done
		rm -f /run/stop; rmmod virtio_balloon'
	snap "$1"
	is "reload: unloading gives all memory back" \
		"${B[MemTotal]} ${B[pages_offline]}" "$BOOT_TOTAL 0"
	guest_exec "$1" 'cd /lib/modules/$(uname -r)/ballast
		insmod ./virtio_balloon.ko'
	ok "reload: a new driver takes up the target" until_guest "$1" 60 \
		"grep -q \"^actual $((100 * BLOCK + 7))\$\" \
			/sys/kernel/debug/virtio_balloon/*"
	balloon_pages "$1" 0
	empty reload "$1"
}

# Half the way to hibernation and back: see tests/guest/snapshot.c.
test_freeze()
{
	# Half of what is in use must fit beside it: FREEZE_MIB says how much.
	local mib=${FREEZE_MIB:-300} mark from image
	local want=$((mib / 3 * BLOCK + 9))

	section "freeze and thaw"
	if ! guest_exec "$1" '[ -e /dev/snapshot ]'; then
		skip "freeze" "this kernel has no /dev/snapshot"
		return
	fi
	hold "$1" start --mib "$mib" --pattern regular --keep 1/2 >/dev/null
	balloon_pages "$1" $want
	mark=$(log_mark "$1")
	from=$(($(wc -l < "$RUN/events") + 1))
	# The agent's port is frozen, too, and comes back afterwards.
	guest_exec "$1" 'rm -f /run/image*
		setsid sh -c "usleep 300000; snapshot > /run/image.new 2>&1
			mv /run/image.new /run/image" > /dev/null 2>&1 < /dev/null &'
	ok "freeze: the balloon is empty in between" \
		wait_pages "$1" 0 120 "$mark"
	# From there on, if it was.
	mark=$(less_since "$1" "$mark" 1)
	ok "freeze: it comes back" wait_pages "$1" $want 120 "$mark"
	wait_line 120 "$RUN/events" "$from" \
		"'agent-lifecycle'.*'$1'.*'connected'" > /dev/null || true
	ok "freeze: the guest comes back" until_true 60 \
		guest_exec "$1" '[ -e /run/image ]' 2>/dev/null
	image=$(guest_exec "$1" 'cat /run/image')
	between "freeze: an image was made, and the balloon is not in it" \
		"$image" $((150 * 1048576)) $((600 * 1048576))
	snap "$1"
	composed freeze $want
	ok "freeze: contents are whole" hold "$1" check
	hold "$1" stop
	balloon_pages "$1" 0
	empty freeze "$1"
}

# A guest with autodeflate='on': a process needs what the balloon has.
# host_knows NAME MIB: how large the balloon of a guest of MIB is.
host_knows()
{
	snap "$1"
	[ $(($2 * 256 - $(qmp_actual "$1") / 4096)) = "${B[actual]}" ]
}

test_oom()
{
	local full spare want deflations

	section "deflate on OOM"
	full=$(guest_mib "$1")
	snap "$1"
	BOOT_OOM=${B[oom_kill]}
	spare=$((B[MemAvailable] / 1024))
	want=$(((spare - 250) * 256))
	ok "oom: a large balloon" balloon_pages "$1" $want
	snap "$1"
	is "oom: MemTotal stays, for the balloon can be had back" \
		"${B[MemTotal]}" "$BOOT_TOTAL"
	is "oom: every page of it is offline" "${B[pages_offline]}" $want
	deflations=$((B[oom_deflations] + B[pressure_deflations]))
	# However long all that takes.
	guest_exec "$1" "echo 600 > $HOLDOFF"
	ok "oom: a process gets more than there is" \
		hold "$1" start --mib $((spare - 220)) --pattern none
	snap "$1"
	is "oom: no process was killed" "${B[oom_kill]}" "$BOOT_OOM"
	between "oom: the balloon gave way" \
		$((B[oom_deflations] + B[pressure_deflations] - deflations)) \
		1 100000
	between "oom: and is smaller" "${B[actual]}" 0 $((want - 1))
	local taken=$((B[blocks_free] + B[blocks_won] + B[singles_taken]))
	ok "oom: the process can use it" hold "$1" check
	ok "oom: again" hold "$1" check
	snap "$1"
	is "oom: the balloon did not grow meanwhile" \
		$((B[blocks_free] + B[blocks_won] + B[singles_taken])) $taken
	is "oom: it says why" "${B[shortfall_reason]}" pressure
	is "oom: still no process was killed" "${B[oom_kill]}" "$BOOT_OOM"
	ok "oom: the host is told the truth" until_true 30 host_knows "$1" \
		"$full"
	local mark
	mark=$(log_mark "$1")
	guest_exec "$1" "echo 10 > $HOLDOFF"
	hold "$1" stop
	ok "oom: it grows again when the process has ended" \
		wait_pages "$1" $want 120 "$mark"
	ok "oom: deflate" balloon_pages "$1" 0
	empty oom "$1"
}

# The same without a floor: then the balloon is as ruthless as the in-tree one,
# which shows that test_floor() can fail.
test_no_floor()
{
	section "no floor"
	guest_exec "$1" 'memsteady 500 /run/steady > /run/steady.log 2>&1 &'
	ok "no floor: the load runs" until_guest "$1" 60 '[ -e /run/steady ]'
	setmem "$1" 250
	ok "no floor: the guest kills processes" until_guest "$1" 120 \
		"! grep -q \"^oom_kill 0\" /proc/vmstat"
}

# The debug kernel's last word.
test_leaks()
{
	section "leaks"
	if ! guest_exec "$1" '[ -e /sys/kernel/debug/kmemleak ]'; then
		skip "leaks" "this kernel has no kmemleak"
		return
	fi
	# An object must be seen twice, and be old enough, to count as one.
	is "leaks: none" "$(guest_exec "$1" '
		echo scan > /sys/kernel/debug/kmemleak
		sleep 6
		echo scan > /sys/kernel/debug/kmemleak
		cat /sys/kernel/debug/kmemleak' 300)" ""
}

# All of it that a guest with free page reporting can show; its last test.
test_all()
{
	test_load "$1" reporting
	test_stats "$1"
	test_block_types "$1"
	test_fragmented "$1"
	test_reporting "$1"
	test_singles "$1"
	test_singles_half "$1"
	test_offline "$1"
	test_out_of_range "$1"
	test_floor "$1"
	test_resizes "$1"
	test_freeze "$1"
	test_reload "$1"
	finish "$1"
}
