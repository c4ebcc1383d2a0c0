#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check.sh SUBSET...: run tests/SUBSET/*.t through prove, then sum up.

. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lib/accel.sh
. "$TOP/tests/lib/accel.sh"
shopt -s nullglob

tap=$LOG/tap
rm -rf "$tap"
mkdir -p "$tap"
t0=$SECONDS
bad=() empty=()

# Once for all tests, since it takes a while to see that a guest hangs.
case $* in
host | packages) ;;
*)
	accel_probe "$OUT/stock/qemu-system-x86_64" "$OUT/stock/vmlinuz" \
		"$OUT/initramfs.cpio.gz"
	say "accelerator: $ACCEL ($ACCEL_WHY)" ;;
esac

for subset; do
	tests=("$TOP/tests/$subset"/*.t)
	if [ ${#tests[@]} = 0 ]; then
		empty+=("$subset")
		continue
	fi
	say "== check-$subset"
	PERL_TEST_HARNESS_DUMP_TAP=$tap group prove --timer --comments \
		"${tests[@]#"$TOP"/}" || bad+=("$subset")
done

# count PATTERN: lines of all the TAP that was written.
count() { find "$tap" -type f -exec cat {} + | grep -cE "$1" || true; }

failed=$(count '^not ok' )
todo=$(count '^not ok.*# *(TODO|todo)')
skipped=$(count '^ok.*# *(SKIP|skip)|^1\.\.0 # *(SKIP|skip)')
passed=$(($(count '^ok') - $(count '^ok.*# *(SKIP|skip)')))

# Failed tests, with what they said, once more: the rest may be pages above.
trouble()
{
	find "$tap" -type f -name '*.t' | sort | while read -r f; do
		awk -v name="${f#"$tap"/}" '
			function head() {
				if (!shown++)
					print "-- " name
			}
			/^not ok/ { head(); print "  " $0; more = 40; next }
			/^ok/ { more = 0 }
			/^1\.\./ { plan = 1; more = 0 }
			/^#/ && more-- > 0 { print "  " $0 }
			{ last = $0 }
			END {
				if (plan)
					exit
				head()
				print "  ended early, after: " last
			}' "$f"
	done
}

trouble
say "== summary: $((SECONDS - t0)) s, $skipped skipped, logs in build/log"
[ ${#empty[@]} = 0 ] || say "no tests yet: ${empty[*]}"
[ ${#bad[@]} = 0 ] || say "failed: ${bad[*]}"
say "$passed passed, $((failed - todo)) failed"
[ ${#bad[@]} = 0 ] || die "check failed: ${bad[*]}; see the end of what is above"
[ "$passed" -gt 0 ] || die "nothing checked: no test has run; see above"
say "verdict: all is well"
