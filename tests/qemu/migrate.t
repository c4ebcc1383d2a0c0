#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A ballooned guest migrates: precopy, postcopy, between stock and patched QEMU, in
# the middle of things, many times in a row (MIGRATIONS, 50; the seed is in
# SEED); background snapshots, savevm and loadvm.
#
# Afterwards host and guest agree on the balloon to the page, contents are whole,
# and the host has no more of the guest's memory than the balloon leaves it. The
# last is asked of our driver only: the in-tree one's scattered pages come back
# with the huge pages that the destination puts what is around them into, and it
# doesn't give them again.
#
# migrate.t [GUEST...]: only these.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source=tests/lib/migrations.sh
. "$(dirname "$0")/../lib/migrations.sh"
vms "$@"

MEM=512
MUCH=$((110 * 512 + 77))	# pages
MORE=$((130 * 512 + 5))
SLOW=$((12 << 20))		# bytes a second: it takes some seconds
SHORT=${BALLAST_SHORT:-}
MIGRATIONS=${MIGRATIONS:-$([ -n "$SHORT" ] && echo 6 || echo 50)}
RANDOM=${SEED:=$RANDOM}
comment "seed $SEED"

section() { comment "$SECONDS s: $*"; }

# settled NAME WHAT PAGES
settled()
{
	agree "$@"
	[[ $1 != ours* ]] || fits "$1" "$2"
}

# begin NAME OPTION...: and some of it is in the balloon.
begin()
{
	section "$*"
	vm_begin "$1" --mem $MEM "${@:2}"
	vm_balloon_to "$1" $MUCH
	settled "$1" "$1: before" $MUCH
}

# at NAME PAGES: it is so, and not of interest.
at()
{
	vm_balloon_to "$1" "$2"
	vm_reached "$1" "$2" || die "$1: $2 pages are not reached"
}

# all_back NAME: the end of a guest.
all_back()
{
	vm_balloon_to "$1" 0
	settled "$1" "$1: the end" 0
	finish "$1"
}

# bandwidth NAME BYTES, for all ways; 0: no limit
bandwidth()
{
	vm_parameters "$1" \
		'{"max-bandwidth": '"$2"', "max-postcopy-bandwidth": '"$2"'}'
}

# still NAME WHAT STATE: else what should happen meanwhile has happened afterwards,
# which is no fault.
still()
{
	if [ "$(vm_do "$1" query-migrate | jq -r .status)" = "$3" ]; then
		result 0 "$1: $2"
	else
		skip "$1: $2" "this machine was too slow for it"
	fi
}

# hop NAME QEMU
hop()
{
	ok "$1: it goes to $2" vm_hop "$1" --qemu "$2"
	# Shared memory that was read on its way is there again, and a stock QEMU
	# asks nobody for it.
	if [ "$1 $2" = "ours-memfd stock" ]; then
		agree "$1" "$1: on $2" $MUCH
	else
		settled "$1" "$1: on $2" $MUCH
	fi
}

# chain NAME
chain()
{
	local seconds=$SECONDS

	section "$1: $MIGRATIONS migrations"
	hops "$1" "$MIGRATIONS" stock patched
	is "$1: $MIGRATIONS migrations in the middle of things" \
		"$HOPS_OK $HOPS_WHY" "$MIGRATIONS "
	between "$1: on its way when it went" "$HOPS_MIDDLE" \
		$((MIGRATIONS / 6)) "$MIGRATIONS"
	comment "$((SECONDS - seconds)) s, $HOPS_MIDDLE of them surely on the way"
	vm_balloon_to "$1" $MUCH
	settled "$1" "$1: after the chain" $MUCH
}

# sent NAME: the guest inflates when its pages have been sent: they are in the
# destination, and only the driver can say once more that they aren't needed.
sent()
{
	section "$1: inflates when its pages were sent"
	at "$1" 0
	# The one holds what the balloon can have later; as to the other,
	# migration isn't done as long as there is more to send than is let
	# through.
	guest_exec "$1" 'setsid memhold --mib 220 --pattern none \
			--ready /run/ready >/dev/null 2>&1 </dev/null &
		echo $! > /run/memhold.pid
		until [ -e /run/ready ]; do usleep 20000; done
		setsid memsteady 60 > /run/steady.log 2>&1 </dev/null &
		echo $! > /run/memsteady.pid
		until [ -e /tmp/memsteady.state ]; do usleep 20000; done'
	vm_next "$1" --qemu patched
	vm_parameters "$1" '{"max-bandwidth": '$((64 << 20))', "downtime-limit": 1}'
	vm_migrate "$1"
	ok "$1: sent: all pages went once" vm_wait_event "$1" \
		'"MIGRATION_PASS".*"pass": 2' 120 1
	guest_exec "$1" 'kill $(cat /run/memhold.pid)'
	vm_balloon_to "$1" $MUCH
	ok "$1: sent: it inflates" vm_reached "$1" $MUCH
	still "$1" "sent: it is still here" active
	vm_parameters "$1" '{"max-bandwidth": 0, "downtime-limit": 2000}'
	ok "$1: sent: it goes" vm_moved "$1"
	guest_exec "$1" 'kill $(cat /run/memsteady.pid)
		rm -f /run/ready /tmp/memsteady.state'
	settled "$1" "$1: sent" $MUCH
}

# postcopy NAME
postcopy()
{
	section "$1: postcopy"
	at "$1" 0
	postcopy_at "$1" $MORE inflates
	settled "$1" "$1: postcopy, inflates" $MORE
	postcopy_at "$1" 1000 deflates
	settled "$1" "$1: postcopy, deflates" 1000
	# Given the order here, and not done.
	vm_next "$1"
	vm_begins_to "$1" $MUCH
	vm_migrate "$1" postcopy-ram
	vm_do "$1" migrate-start-postcopy >/dev/null
	ok "$1: postcopy: it goes in the middle of it" vm_moved "$1"
	settled "$1" "$1: postcopy, in the middle" $MUCH
}

# postcopy_at NAME PAGES WHAT: the order comes when the guest is there, and most of
# its memory is not.
postcopy_at()
{
	vm_next "$1" --qemu patched
	bandwidth "$1" $SLOW
	vm_migrate "$1" postcopy-ram
	vm_do "$1" migrate-start-postcopy >/dev/null
	ok "$1: postcopy, $3" vm_migration "$1+" postcopy-active
	vm_wait_event "$1+" '"RESUME"' 60 1 >/dev/null
	vm_balloon_to "$1+" "$2"
	ok "$1: postcopy: it $3" vm_reached "$1+" "$2"
	if [ "$3" = inflates ]; then
		# What is used again must be there.
		vm_balloon_to "$1+" 0
		ok "$1: postcopy: and deflates" vm_reached "$1+" 0
		ok "$1: postcopy: its pages can be used" guest_exec "$1+" "
			dd if=/dev/zero of=/tmp/file bs=1M count=200
			rm /tmp/file" 100
		vm_balloon_to "$1+" "$2"
		ok "$1: postcopy: and inflates" vm_reached "$1+" "$2"
	fi
	still "$1" "postcopy, $3: pages are still on their way" postcopy-active
	bandwidth "$1" 0
	ok "$1: postcopy, $3: all of it went" vm_moved "$1"
}

# snapshot NAME: it is written while the guest runs and inflates, and is of the
# guest as it was when it was begun.
snapshot()
{
	local mark

	section "$1: background snapshot"
	at "$1" 5000
	vm_capabilities "$1" background-snapshot
	# QEMU knows no limit here. So it is written to somebody who is slow.
	cat > "$RUN/slow" <<-END
		while [ ! -e $RUN/go ]; do
			dd bs=128k count=1 iflag=fullblock status=none
			sleep 0.02
		done > $RUN/snapshot
		cat >> $RUN/snapshot
	END
	rm -f "$RUN/go"
	# savevm is a migration, too.
	mark=$(vm_mark "$1")
	vm_do "$1" migrate '{"uri": "exec:sh '"$RUN/slow"'"}' >/dev/null ||
		{ skip "$1" "no background snapshots here"; return; }
	ok "$1: snapshot: it begins" vm_migration "$1" active 120 "$mark"
	# What the guest in the snapshot needs is free in the one that goes on,
	# and so it is in the balloon soon.
	hold "$1" stop
	vm_balloon_to "$1" $MUCH
	ok "$1: snapshot: the guest inflates" vm_reached "$1" $MUCH
	hold "$1" start --mib 60 --pattern regular --keep 1/4 >/dev/null
	still "$1" "snapshot: it is still being written" active
	touch "$RUN/go"
	ok "$1: snapshot: it is complete" vm_migration "$1" completed 120 "$mark"
	settled "$1" "$1: snapshot: the guest goes on" $MUCH

	vm_next "$1"
	# Its disk can be used by one alone.
	vm_stop "$1"
	vm_do "$1+" migrate-incoming '{"uri": "file:'"$RUN/snapshot"'"}' \
		>/dev/null
	ok "$1: snapshot: it can be read" vm_migration "$1+" completed
	vm_take_over "$1"
	settled "$1" "$1: snapshot: the guest in it" 5000
	rm -f "$RUN/snapshot"
}

# savevm NAME
savevm()
{
	section "$1: savevm"
	at "$1" $MUCH
	is "$1: savevm" "$(vm_hmp "$1" 'savevm one')" ""
	settled "$1" "$1: saved" $MUCH
	# All of its memory is in use in between.
	at "$1" 0
	vm_fill "$1"
	is "$1: loadvm" "$(vm_hmp "$1" 'loadvm one')" ""
	settled "$1" "$1: loaded" $MUCH
	# Saved on its way, loaded when it is back.
	vm_begins_to "$1" $MORE
	is "$1: savevm in the middle" "$(vm_hmp "$1" 'savevm two')" ""
	vm_balloon_to "$1" 3
	settled "$1" "$1: it goes on" 3
	is "$1: loadvm of that" "$(vm_hmp "$1" 'loadvm two')" ""
	settled "$1" "$1: it goes on from there" $MORE
}

# moving NAME OPTION...: all that has to do with another QEMU
moving()
{
	# In postcopy a CPU may have to wait for long.
	begin "$1" --qemu stock --cmdline watchdog_thresh=60 "${@:2}"
	hop "$1" patched
	hop "$1" stock
	chain "$1"
	sent "$1"
	postcopy "$1"
	all_back "$1"
}

# saving NAME OPTION...: all that has to do with files
saving()
{
	vm_image "$RUN/$1.disk" 64
	begin "$1" --qemu patched --image "$RUN/$1.disk" "${@:2}"
	savevm "$1"
	snapshot "$1"
	all_back "$1"
	rm -f "$RUN/$1.disk"
}

guest_ours() { moving ours --balloon ballast --fpr on --kernel ballast; }
guest_ours-modules() { moving ours-modules --balloon ballast --fpr off; }
guest_ours-memfd() { moving ours-memfd --balloon ballast --fpr on --backing memfd; }
guest_stock() { moving stock --balloon stock --fpr off; }
guest_stock-fpr() { moving stock-fpr --balloon stock --fpr on; }
# The kernel that does not write to what it gives away: what is lost then, is lost.
guest_ours-saved() { saving ours-saved --balloon ballast --kernel ballast --fpr off; }
guest_stock-saved() { saving stock-saved --balloon stock --fpr on; }

# The chain alone.
guest_stock-chain()
{
	begin stock-chain --balloon stock --fpr off
	chain stock-chain
	all_back stock-chain
}

# Shared huge pages of the host, for two QEMUs.
guest_ours-huge()
{
	hugepages_reserve $MEM ||
		{ skip ours-huge "$MEM huge pages are not to be had"; return; }
	begin ours-huge --balloon ballast --qemu patched --fpr on \
		--backing hugetlb
	hop ours-huge patched
	all_back ours-huge
	hugepages_release $MEM
}

if [ $# = 0 ]; then
	set -- ours ours-modules ours-memfd ours-huge ours-saved stock \
		stock-fpr stock-saved
	[ -z "$SHORT" ] || set -- ours ours-huge ours-saved stock-chain
fi
for kind; do
	"guest_$kind"
done
done_testing
