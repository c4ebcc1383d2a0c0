# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What has to be so of a ballooned guest that has been moved, saved, reset ..., and
# long chains of migrations. Needs qemu.sh. Pages are of 4 KiB.

# vm_balloon_to NAME PAGES: the order; nobody waits.
vm_balloon_to() { setmem_kib "$1" $(($(guest_mib "$1") * 1024 - $2 * 4)); }

# vm_balloon_pages NAME: what the host is told.
vm_balloon_pages()
{
	local reply

	reply=$(vm_do "$1" query-balloon) || return
	echo $(($(guest_mib "$1") * 256 - $(jq .actual <<< "$reply") / 4096))
}

# vm_reached NAME PAGES [SECONDS]: until the balloon is so large.
vm_reached()
{
	local mark

	mark=$(log_mark "$1")
	[ "$(vm_balloon_pages "$1")" != "$2" ] || return 0
	vm_line "$1" log "$mark" "${3:-120}" \
		"virtio_balloon_set_config actual: $2 " >/dev/null ||
		[ "$(vm_balloon_pages "$1")" = "$2" ]
}

# vm_begins_to NAME PAGES: the order, and until the guest has said that it has
# begun, while it goes on.
vm_begins_to()
{
	local mark

	mark=$(log_mark "$1")
	vm_balloon_to "$1" "$2"
	vm_line "$1" log "$mark" 60 virtio_balloon_set_config >/dev/null
}

# vm_total NAME: the guest's MemTotal, KiB.
vm_total() { guest_exec "$1" "sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo"; }

# vm_begin NAME OPTION...: a guest whose memory was all in use once, so that the
# host has it, and the pages in it are not zero; pages to look after are
# scattered over it. Its MemTotal is in $RUN/NAME.total.
vm_begin()
{
	local name=$1

	vm_start "$@"
	vm_total "$name" > "$RUN/$name.total"
	vm_fill "$name"
}

vm_fill()
{
	local mib

	mib=$(guest_exec "$1" "awk '/^MemAvailable/ { print int(\$2 / 1024) }' \
		/proc/meminfo")
	guest_exec "$1" "rm -rf /run/hold
		hold start --mib $((mib - 60)) --pattern none && hold stop &&
		hold start --mib 160 --pattern regular --keep 1/4" >/dev/null
}

# vm_is NAME PAGES: is the balloon so large, for host and guest, and are the
# contents whole? Says what is not so.
vm_is()
{
	local guest hold

	[ "$(vm_balloon_pages "$1")" = "$2" ] || {
		echo "query-balloon says $(vm_balloon_pages "$1") pages, not $2"
		return 1
	}
	# Ours has its own account, too.
	guest=$(guest_exec "$1" 'sed -n "s/^actual //p" \
			/sys/kernel/debug/virtio_balloon/* 2>/dev/null || true') ||
		return
	[ "${guest:-$2}" = "$2" ] || {
		echo "the guest's driver says $guest pages, not $2"
		return 1
	}
	guest=$(($(cat "$RUN/$1.total") - $(vm_total "$1")))
	[ $guest = $(($2 * 4)) ] || {
		echo "MemTotal is $guest KiB less than it was, not $(($2 * 4))"
		return 1
	}
	hold=$(guest_exec "$1" "hold check") || { echo "contents: $hold"; return 1; }
}

# vm_memory_fits NAME: the host has no more of its memory than it should need.
vm_memory_fits()
{
	local most

	most=$((($(guest_mib "$1") * 256 - $(vm_balloon_pages "$1")) * 4))
	[ "$(vm_memory_kib "$1")" -le $((most + most / 20)) ]
}

# agree NAME WHAT PAGES: two tests of that.
agree()
{
	ok "$2: the target is reached" vm_reached "$1" "$3"
	ok "$2: host and guest agree, contents are whole" vm_is "$1" "$3"
}

# fits NAME WHAT: and of this; what is given again may take a moment.
fits()
{
	local rc=0 mib

	until_true 60 vm_memory_fits "$1" || rc=1
	result $rc "$2: the host has no more of its memory than it needs"
	mib=$(($(vm_memory_kib "$1") / 1024))
	comment "$2: the host has $mib of $(guest_mib "$1") MiB,$(printf " %d" $(($(vm_balloon_pages "$1") / 256))) are in the balloon"
}

# --- chains

# The ways to go with an order that was just given. hop_N NAME PAGES, up to where
# vm_moved waits. HOPS_MIDDLE counts those where the guest is known to have been
# on its way when it went.

# It gets the order, and goes.
hop_0()
{
	vm_balloon_to "$1" "$2"
	vm_migrate "$1"
}

# It goes, and gets the order.
hop_1()
{
	vm_migrate "$1"
	vm_migration "$1" active
	vm_balloon_to "$1" "$2"
}

# It gets the order when it has stopped here, and doesn't run there yet.
hop_2()
{
	vm_migrate "$1" pause-before-switchover
	vm_migration "$1" pre-switchover
	vm_balloon_to "$1" "$2"
	hop_in_the_middle "$1" "$2"
	vm_do "$1" migrate-continue '{"state": "pre-switchover"}' >/dev/null
}

# It is stopped while it is at it.
hop_3()
{
	vm_begins_to "$1" "$2"
	vm_do "$1" stop >/dev/null
	hop_in_the_middle "$1" "$2"
	vm_migrate "$1"
}

hop_in_the_middle()
{
	[ "$(vm_balloon_pages "$1")" = "$2" ] ||
		HOPS_MIDDLE=$((HOPS_MIDDLE + 1))
}

# hops NAME N QEMU...: from QEMU to QEMU, of these kinds by turns, each time while
# the guest is at a new target, much and little in the balloon by turns. Sets
# HOPS_OK, HOPS_MIDDLE; at the first one that is not well it ends, and says why in
# HOPS_WHY.
hops()
{
	local name=$1 n=$2 i want how kinds

	shift 2
	kinds=("$@")
	HOPS_OK=0 HOPS_MIDDLE=0 HOPS_WHY=
	for ((i = 0; i < n; i++)); do
		want=$((RANDOM % 10000 + (i % 2 ? 0 : 50000)))
		how=$(((i + i / 4) % 4))
		HOPS_WHY="hop $((i + 1)), way $how, to $want pages:"
		vm_next "$name" --qemu "${kinds[i % ${#kinds[@]}]}"
		hop_$how "$name" "$want" 2> "$RUN/hop" &&
			vm_moved "$name" 2> "$RUN/hop" ||
			{ HOPS_WHY+=" $(tail -n 4 "$RUN/hop")"; return; }
		[ $how != 3 ] || vm_do "$name" cont >/dev/null
		vm_reached "$name" "$want" 60 || {
			HOPS_WHY+=" not reached: $(vm_balloon_pages "$name")"
			return
		}
		vm_is "$name" "$want" > "$RUN/hop" 2>&1 ||
			{ HOPS_WHY+=" $(cat "$RUN/hop")"; return; }
		HOPS_OK=$((HOPS_OK + 1))
	done
	HOPS_WHY=
}
