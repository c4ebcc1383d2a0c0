#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz-seed.sh SEED FILE: translate a seed in fuzz-corpus/, which is written
# with the functions here, to what QEMU's generic fuzzer takes. With HINTS=1
# for a device with a queue for hints.
#
# The fuzzer reads operations, with "FUZZ" between them: accesses to the BARs
# of the device, patterns for what the device will read from memory, steps of
# the clock. A guest's memory cannot be written: each time the device reads a
# piece of it for the first time in an operation, the fuzzer puts the next
# pattern there. So a seed says with each notification of a queue what the
# device is going to read, in that order: the index of the available ring, the
# head, the descriptor, what its buffer holds, and so on.
#
# shellcheck disable=SC2034 # the seeds use what is defined here

set -euo pipefail

# The queues.
IVQ=0 DVQ=1 SVQ=2 RVQ=3 NUM_VQS=4
[ -z "${HINTS:-}" ] || HVQ=3 RVQ=4 NUM_VQS=5
# The BARs' parts, in the order of their addresses. IO is the legacy device.
COMMON=2 DEVICE=4 NOTIFY=5 IO=0
# Where the rings and the buffers are. RAM is 32 MiB at least.
RINGS=$((16 << 20)) BUF=$((20 << 20)) AREA_PFN=$((24 << 8))
# Features: all of the balloon's own, and of the rings'.
BALLOON=0x3f EVENT_IDX=0x20000000 INDIRECT=0x10000000
# Flags of a descriptor.
NEXT=1 WRITE=2 TABLE=4

seed='' features=$BALLOON
idx=(0 0 0 0 0)
chain=()

# add BYTES NUMBER: to the seed, as \x escapes, the least significant byte
# first. le prints the same.
add()
{
	local i hex

	for ((i = 0; i < $1; i++)); do
		printf -v hex '\\x%02x' $((($2 >> (8 * i)) & 255))
		seed+=$hex
	done
}
le() { local seed=; add "$1" "$2"; printf '%s' "$seed"; }

# op NUMBER [BYTES NUMBER]...: one operation.
op()
{
	add 1 "$1"
	shift
	while [ $# -gt 0 ]; do
		add "$1" "$2"
		shift 2
	done
	seed+=FUZZ
}

declare -A sizes=([1]=0 [2]=1 [4]=2 [8]=3)

# mmio PART OFFSET BYTES VALUE, pio, pci OFFSET BYTES VALUE: writes. Numbers are
# padded as in C.
mmio() { op 3 1 "${sizes[$3]}" 3 "$1" 4 "$2" 8 "$4"; }
mmio_read() { op 2 1 "${sizes[$3]}" 3 "$1" 4 "$2"; }
pio() { op 1 1 "${sizes[$3]}" 1 "$1" 2 "$2" 4 "$4"; }
pio_read() { op 0 1 "${sizes[$3]}" 1 "$1" 2 "$2"; }
pci() { op 5 1 "${sizes[$2]}" 1 0 2 "$1" 4 "$3"; }
pci_read() { op 4 1 "${sizes[$2]}" 1 0 1 "$1"; }
# The clock goes on to the next timer; a second, in which other devices have some 80.
clock() { op 9; }
second() { local i; for ((i = 0; i < 120; i++)); do clock; done; }

# pattern ESCAPES [INDEX STRIDE]: what comes next in memory, again and again;
# the byte at INDEX grows by STRIDE each time.
pattern()
{
	add 1 7
	add 1 "${2:-0}"
	add 1 "${3:-0}"
	seed+=$1FUZZ
}
no_patterns() { op 8; }

# status BITS: of the device.
status() { mmio $COMMON 0x14 1 "$1"; }

# rings QUEUE: where they are, and how large.
rings()
{
	local at=$((RINGS + $1 * 0x10000))

	mmio $COMMON 0x16 2 "$1"
	mmio $COMMON 0x18 2 128
	mmio $COMMON 0x20 4 $at
	mmio $COMMON 0x24 4 0
	mmio $COMMON 0x28 4 $((at + 0x4000))
	mmio $COMMON 0x2c 4 0
	mmio $COMMON 0x30 4 $((at + 0x8000))
	mmio $COMMON 0x34 4 0
	mmio $COMMON 0x1c 2 1
}

# start [FEATURES]: negotiate, set up all queues, go.
start()
{
	local q

	features=${1:-$BALLOON}
	status 0
	idx=(0 0 0 0 0)
	status 1
	status 3
	mmio $COMMON 0x08 4 0
	mmio $COMMON 0x0c 4 "$features"
	mmio $COMMON 0x08 4 1
	mmio $COMMON 0x0c 4 1
	status 11
	for ((q = 0; q < NUM_VQS; q++)); do
		rings $q
	done
	# The device looks at all the rings at once: nothing there yet.
	reads '\x00'
	status 15
	no_patterns
}

# desc ADDRESS BYTES FLAGS [NEXT]
desc() { le 8 "$1"; le 4 "$2"; le 2 "$3"; le 2 "${4:-0}"; }

# outbuf ADDRESS BYTES PATTERN, inbuf ADDRESS BYTES: one more piece of the
# buffer that is sent next. The device reads what is in the latter, too, as far
# as the fuzzer can tell; but not what is no RAM, as in iobuf ADDRESS BYTES.
outbuf() { chain+=("$1 $2 0 ${*:3}"); }
inbuf() { chain+=("$1 $2 $WRITE \\x00"); }
iobuf() { chain+=("$1 $2 $WRITE"); }

# queued QUEUE: the pieces so far are a buffer in it, to be seen by the device
# when notify is called for it. After the first one the device looks whether
# an interrupt is wanted.
patterns=() head=0
queued()
{
	local i n=${#chain[@]} addr len flags what first=${#patterns[@]}

	patterns+=("$(le 2 $head)")
	for ((i = 1; i <= n; i++)); do
		read -r addr len flags what <<< "${chain[i - 1]}"
		[ $i = "$n" ] || flags=$((flags | NEXT))
		head=$((head + 1))
		patterns+=("$(desc "$addr" "$len" "$flags" $head)")
		[ -z "$what" ] || patterns+=("$what")
	done
	[ "$first" != 0 ] || patterns+=("$(le 2 0)")
	chain=()
	idx[$1]=$((idx[$1] + 1))
}

# kick QUEUE: notify it, no more.
kick() { mmio $NOTIFY $(($1 * 4)) 2 "$1"; }

# reads PATTERN...: what the device is going to read.
reads()
{
	local p

	no_patterns
	for p; do
		# shellcheck disable=SC2086
		pattern $p
	done
}

notify()
{
	reads "$(le 2 "${idx[$1]}")" "${patterns[@]}"
	patterns=() head=0
	kick "$1"
	no_patterns
}

# send QUEUE: queue what there is, and notify.
send() { queued "$1"; notify "$1"; }

# pfns FIRST: the pattern of PFNs from there on, 256 of them before it repeats.
pfns() { echo "$(le 4 "$1") 0 ${2:-1}"; }
# list NUMBER...: the PFNs themselves.
list() { local n; for n; do le 4 "$n"; done; }
# stat TAG VALUE
stat() { le 2 "$1"; le 8 "$2"; }

# shellcheck source=/dev/null
. "$1"
# shellcheck disable=SC2059
printf "$seed" >"$2"
