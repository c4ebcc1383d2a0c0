#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A hostile guest by chance: QEMU's generic fuzzer, with ASan and UBSan, from
# what is in fuzz-corpus/ on. First that alone, then changes to it for
# BALLAST_FUZZ seconds, which the two configurations share: a minute, half of
# it in make check, ten in make torture.

# shellcheck source=tests/qemu/qtest.sh
. "$(dirname "$0")/qtest.sh"

fuzzer=$OUT/fuzz/qemu-fuzz-x86_64
[ -x "$fuzzer" ] || skip_all "no fuzzer: build/out/fuzz; run make qemu-fuzz"
seconds=${BALLAST_FUZZ:-$([ -n "${BALLAST_SHORT:-}" ] && echo 30 || echo 60)}
# What the fuzzer does depends on it and on the time that it has.
seed=${BALLAST_FUZZ_SEED:-1}
# Not virtio-balloon-hint: the device's iothread, as in stock QEMU, interrupts
# the guest without the BQL, and a reset at the same time fails an assertion.
configs=${BALLAST_FUZZ_CONFIGS:-virtio-balloon virtio-balloon-hugetlb}

# translate CONFIGURATION: the corpus, to what the fuzzer takes.
translate()
{
	local seed hints=''

	[ "$1" != virtio-balloon-hint ] || hints=1
	mkdir "$seeds"
	for seed in "$HERE_QTEST"/fuzz-corpus/*; do
		[ "${seed##*/}" != hint ] || [ -n "$hints" ] || continue
		HINTS=$hints "$HERE_QTEST/fuzz-seed.sh" "$seed" \
			"$seeds/${seed##*/}" || return
	done
}

# fuzz CONFIGURATION STAGE OPTION...: the log goes to build/log/, as does what
# the fuzzer was at when something went wrong.
fuzz()
{
	local name=$LOG/fuzz-$1-$2

	rm -f "$name".*
	"$fuzzer" --fuzz-target="generic-fuzz-$1" -timeout=120 \
		-report_slow_units=120 -rss_limit_mb=3072 \
		-artifact_prefix="$name." "${@:3}" >"$name.log" 2>&1 </dev/null
}

# well CONFIGURATION STAGE OPTION...: and this is a test.
well()
{
	local name=$LOG/fuzz-$1-$2 rc=0 found seed

	fuzz "$@" || rc=$?
	result $((rc != 0)) "$1: $2"
	[ $rc != 0 ] || return 0
	comment "status $rc, see ${name#"$TOP"/}.log"
	# What leaked is looked for at the end, when there is no input any more.
	find "$LOG" -path "$name.*-*" -empty -delete
	# A seed is kept under its name.
	seed=$(sed -n 's/^Running: //p' "$name.log" | tail -n 1)
	[ -z "$seed" ] || cp "$seed" "$name.seed-${seed##*/}"
	found=$(find "$LOG" -path "$name.*-*" | sort | head -n 1)
	[ -z "$found" ] || comment "to see it again, in the tree:" \
		"  ${fuzzer#"$TOP"/} --fuzz-target=generic-fuzz-$1 \\" \
		"    ${found#"$TOP"/}"
	comment "$(grep -aE -m 1 -A 12 'ERROR: |runtime error: ' "$name.log" ||
		tail -n 12 "$name.log")"
}

# covers CONFIGURATION FUNCTION...: the corpus alone gets that deep.
covers()
{
	local config=$1 log=$LOG/fuzz-$1-coverage.log f

	shift
	command -v llvm-symbolizer >/dev/null ||
		{ skip "$config: coverage" "no llvm-symbolizer"; return; }
	fuzz "$config" coverage -runs=0 -shuffle=0 -print_coverage=1 "$seeds" ||
		true
	for f; do
		ok "$config: the corpus comes to $f()" \
			grep -q "^COVERED_FUNC: .* $f " "$log"
	done
}

# stat_of WHAT: of the changes to the corpus.
stat_of()
{
	sed -n "s/^stat::$1: *//p" "$LOG/fuzz-$name-changes.log" | tail -n 1
}

# config NAME FUNCTION...
config()
{
	local name=$1 corpus=$TMP_QTEST/$1 seeds=$TMP_QTEST/$1-seeds

	case " $configs " in
	*" $name "*) ;;
	*) return ;;
	esac
	ok "$name: the corpus is fit for use" translate "$name"
	well "$name" corpus "$seeds"/*
	covers "$@"
	cp -r "$seeds" "$corpus"
	# Leaks are looked for at the end: after each input is too slow.
	well "$name" changes -max_total_time=$((seconds / 2)) -seed="$seed" \
		-detect_leaks=0 -max_len=16384 -len_control=0 \
		-print_final_stats=1 "$corpus"
	comment "seed $seed, $(stat_of number_of_executed_units) inputs, $(stat_of \
		new_units_added) of them new"
}

config virtio-balloon balloon_inflate balloon_deflate balloon_forget \
	balloon_do virtio_balloon_receive_stats \
	balloon_stats_poll_cb virtio_balloon_set_config
config virtio-balloon-hint virtio_ballloon_get_free_page_hints

qtest_hugepages
if [ "$(hugepages_available)" -ge 16 ]; then
	config virtio-balloon-hugetlb balloon_block_whole balloon_reserve
else
	skip "virtio-balloon-hugetlb" "needs 16 free huge pages of 2 MiB"
fi
done_testing
