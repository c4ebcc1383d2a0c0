#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The hook as libvirtd calls it, with a ballastd that is well, away, slow or mad:
# whatever happens it prints nothing, and ends with 0 within a second, or three on a
# busy machine.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"
# shellcheck source=tests/libvirt/fake.sh
. "$TOP/tests/libvirt/fake.sh"

HOOK=${HOOK:-$OUT/libvirt/ballast-hook}
[ -x "$HOOK" ] || skip_all "no $HOOK: run 'make libvirt'"
dir=$(mktemp -d)
trap 'fake_end; rm -rf "$dir"' EXIT

fake_build

# The second reply may take a second, and as long as the hook adds.
conf()
{
	printf '%s\n' '[ballastd]' "socket = $dir/sock" '[hook]' 'timeout = 1s' \
		"$@" > "$dir/conf"
}

# hook BOUND ARGUMENT... < XML: rc, and out and err.
hook()
{
	local bound=$1

	shift
	rc=0
	timeout "$bound" "$HOOK" -c "$dir/conf" "$@" \
		> "$dir/out" 2> "$dir/err" || rc=$?
}

# said WHAT STATUS [REGEX]: how it ended, and with which line.
said()
{
	is "$1: status" "$rc" "$2"
	is "$1: prints no XML" "$(cat "$dir/out")" ""
	if [ -n "${3:-}" ]; then
		is "$1: one line says why" "$(grep -c . "$dir/err")" 1
		ok "$1: it says $3" grep -qE "^ballast-hook: .*$3" "$dir/err"
		comment "$(cat "$dir/err")"
	else
		is "$1: says nothing" "$(cat "$dir/err")" ""
	fi
}

cat > "$dir/xml" <<'END'
<domain type='kvm'>
  <name>web "1"</name>
  <memory unit='KiB'>4194304</memory>
</domain>
END
conf

# --- all is well

room='{"ok": true, "room": true, "message": "there is room", "refuse": false}'
fake '{"ok": true, "wait": 1000}' "$room"
hook 3 'web "1"' prepare begin - < "$dir/xml"
said "prepare" 0
is "prepare: what was asked" "$(got '.[0].command')" prepare
is "prepare: the XML went with it" "$(got '.[0].xml')" "$(cat "$dir/xml")"

fake '{"ok": true}'
for pair in started=started attach=started stopped=stopped release=released
do
	: > "$dir/log"
	hook 3 'web "1"' ${pair%=*} begin - < "$dir/xml"
	said "${pair%=*}" 0
	is "${pair%=*}: ballastd hears" "$(got '.[] | .command + " " + .guest')" \
		"${pair#*=} web \"1\""
done

: > "$dir/log"
for operation in start migrate restore reconnect define-from-tomorrow; do
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation" 0
done
is "none of those is ballastd's affair" "$(cat "$dir/log")" ""
hook 3 web release end shutdown < "$dir/xml"
said "release with a reason" 0
is "release with a reason: ballastd hears" "$(got '.[0].command')" released
: > "$dir/log"
hook 3 -c started begin - < "$dir/xml"
said "a guest that is called -c" 0
is "a guest that is called -c: ballastd hears" "$(got '.[0].guest')" -c

# by_hand ARGUMENT... < XML: on a terminal.
by_hand()
{
	script -qec "'$HOOK' -c '$dir/conf' $* begin - < '$dir/xml'" /dev/null |
		tr -d '\r'
}
if command -v script >/dev/null; then
	fake '{"ok": true, "wait": 1000}' "$room"
	is "by hand: prepare" "$(by_hand web prepare)" \
		"ballast-hook: guest web: there is room"
	fake '{"ok": true}'
	is "by hand: started" "$(by_hand web started)" \
		"ballast-hook: guest web: ballastd knows: started"
	is "by hand: start" "$(by_hand web start)" \
		"ballast-hook: guest web: start: nothing to do"
	is "by hand: nonsense" "$(by_hand web nonsense | sed 's/;.*//')" \
		"ballast-hook: guest web: unknown operation 'nonsense'"
else
	skip "by hand" "no script"
fi

# --- no room

no='{"ok": true, "room": false, "message": "12 MiB are missing", "refuse": true}'
fake '{"ok": true, "wait": 1000}' "$no"
hook 3 web prepare begin - < "$dir/xml"
said "no room, refuse = no" 0 "guest web: .*12 MiB are missing"
conf 'refuse = yes'
hook 3 web prepare begin - < "$dir/xml"
said "no room, refuse = yes" 1 "guest web: refused: 12 MiB are missing"
fake '{"ok": true, "wait": 1000}' "${no/\"refuse\": true/\"refuse\": false}"
hook 3 web prepare begin - < "$dir/xml"
said "ballastd does not refuse" 0 "12 MiB are missing"
fake '{"ok": true, "wait": 1000}' "${no/\"refuse\": true/\"refuse\": \"yes\"}"
hook 3 web prepare begin - < "$dir/xml"
said "a refusal that is none" 0 "12 MiB are missing"

# --- a ballastd that is none, also with refuse = yes

for operation in prepare started; do
	fake_end
	rm -f "$dir/sock"
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, no socket" 0 "ballastd does not answer at $dir/sock"
	fake '{"ok": true}'
	fake_end
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, nobody listens" 0 "ballastd does not answer"
	fake %full
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, nobody accepts" 0 "ballastd does not answer"
	fake %silent
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, no reply" 0 "ballastd does not answer"
	fake %drip
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, a reply that drips" 0 "ballastd does not answer"
	fake %flood
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, a reply without an end" 0 \
		"(does not answer|is not ballastd: a line without an end)"
	fake %close
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, it hangs up" 0 "ballastd does not answer"
	for reply in 'HTTP/1.1 400 Bad Request' '' '[]' '{"ok": "yes"}' '{}' \
		'{"ok": false}' '{"ok": true'; do
		fake "$reply" %silent
		hook 3 web $operation begin - < "$dir/xml"
		said "$operation, reply '$reply'" 0 "is not ballastd"
	done
	fake '{"ok": false, "error": "no such guest"}'
	hook 3 web $operation begin - < "$dir/xml"
	said "$operation, an error" 0 "guest web: no such guest"
done
for reply in %silent %drip %close; do
	fake '{"ok": true, "wait": 1000}' $reply
	hook 6 web prepare begin - < "$dir/xml"
	said "prepare, then $reply" 0 "ballastd does not answer"
done
fake '{"ok": true, "wait": 1000}' '{"ok": true}'
hook 3 web prepare begin - < "$dir/xml"
said "prepare, then nothing to the point" 0 "ballastd does not say why"

# --- what libvirtd may hand over

fake '{"ok": true, "wait": 1000}' "$room"
mkfifo "$dir/endless"
exec {endless}<>"$dir/endless"
cat "$dir/xml" >&"$endless"
hook 3 web prepare begin - < "$dir/endless"
said "an XML without an end" 0 "its XML does not come to an end"
hook 3 web started begin - < "$dir/endless"
said "an XML that nobody wants to read" 0
exec {endless}>&-
head -c 1M /dev/zero | tr '\0' x > "$dir/large"
hook 3 web prepare begin - < "$dir/large"
said "an XML of a MiB" 0 "its XML has more than"
head -c 900K /dev/zero | tr '\0' '"' > "$dir/large"
hook 3 web prepare begin - < "$dir/large"
said "an XML that is too long as JSON" 0 "ballastd takes less than"
hook 3 web prepare begin - < /dev/null
said "an empty XML" 0 "no XML on stdin"
hook 3 web prepare begin - <&-
said "no stdin" 0 "its XML can't be read"
is "ballastd was not bothered with any of these" "$(got 'map(select(.xml)) | length')" 0
hook 3 web prepare begin - < <(cat "$dir/xml") >&-
is "no stdout: status" "$rc" 0
rc=0
timeout 3 "$HOOK" -c "$dir/none" web started begin - > "$dir/out" \
	2> "$dir/err" < "$dir/xml" || rc=$?
is "no configuration: status" "$rc" 0
ok "no configuration: it says so" grep -q "guest web: $dir/none" "$dir/err"
echo 'nonsense = 1' >> "$dir/conf"
hook 3 web prepare begin - < "$dir/xml"
is "a bad configuration: status" "$rc" 0
ok "a bad configuration: its line" grep -qE "guest web: $dir/conf:[0-9]+:" "$dir/err"
conf
exec {nobody}> >(:)
wait $!
rc=0
timeout 3 "$HOOK" -c "$dir/none" web prepare begin - 2>&"$nobody" <&- || rc=$?
exec {nobody}>&-
is "nobody reads what it says: status" "$rc" 0
if [ -e /run/ballast/ballastd.sock ]; then
	skip "a guest that is called -c, as libvirtd says it" "ballastd runs here"
else
	timeout 3 "$HOOK" -c started begin - 2> "$dir/err" <&- || true
	ok "a guest that is called -c, as libvirtd says it" \
		grep -q "guest -c: ballastd does not answer" "$dir/err"
fi

# --- a person

for arguments in "" "web" "--help"; do
	rc=0
	# shellcheck disable=SC2086
	timeout 3 "$HOOK" $arguments > "$dir/out" 2> "$dir/err" </dev/null || rc=$?
	is "arguments '$arguments': status" "$rc" 2
	ok "arguments '$arguments': usage" grep -q "^usage: " "$dir/err"
done
done_testing
