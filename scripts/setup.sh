#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# setup.sh [packages | report]: install what is missing of scripts/packages, including
# what only that target of make needs. Says what it is going to do, does nothing (and
# needs neither root nor a network) if nothing is missing.

. "$(dirname "$0")/lib.sh"

list=/etc/apt/sources.list.d/ballast.sources
pins=/etc/apt/preferences.d/ballast

[ "$(uname -m)" = x86_64 ] ||
	die "not an x86-64 machine: $(uname -m); Ballast's guests are x86-64"
case $(debian) in
12) code=bookworm ;;
13) code=trixie ;;
*) die "unknown system: $(. /etc/os-release && echo "$PRETTY_NAME"); use Debian 12 or 13" ;;
esac

declare -A have
while read -r name status version; do
	[ "$status" != installed ] || have[$name]=$version
done < <(dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n')

# installed NAME [MINIMAL]
installed()
{
	[ -n "${have[$1]:-}" ] && { [ -z "$2" ] ||
		dpkg --compare-versions "${have[$1]}" ge "$2"; }
}

has_suite() { apt_configured "$1" | grep -q " $2\$"; }

# The key that the machine trusts at its mirror: apt refuses two keys for one address.
signed_by()
{
	local file key

	# shellcheck disable=SC2016
	file=$(apt-get indextargets --format '$(REPO_URI) $(SOURCESENTRY)' \
		"Identifier: Packages" | sed -n "s,^$uri/* \(.*\):.*,\1,p" |
		head -n 1)
	key=$(sed -n 's/^Signed-By: *//p; s/.*signed-by=\([^] ]*\).*/\1/p' \
		"$file" | head -n 1)
	echo "${key:-/usr/share/keyrings/debian-archive-keyring.gpg}"
}

missing=() named=() suites=() wanted=()
while read -r name suite min; do
	case $name in
	'' | '#'*) continue ;;
	[0-9]*:*)
		[ "${name%%:*}" = "$(debian)" ] || continue
		name=${name#*:} ;;
	qemu[0-9]*:*)
		[ "${name%%:*}" = "qemu$QEMU_BASE" ] || continue
		name=${name#*:} ;;
	packages:* | report:*)
		[ "${1:-}" = "${name%%:*}" ] || continue
		name=${name#*:} ;;
	esac
	installed "$name" "$min" && continue
	missing+=("$name")
	named+=("$name${suite:+/$suite}")
	[ -z "$suite" ] || suites+=("deb $suite $name")
done <"$TOP/scripts/packages"

# Debian 12 has Linux 6.12 in its security suite.
[ "$code" != bookworm ] || [ -n "$(stock_release)" ] ||
	suites+=("deb bookworm-security linux-*6.12*")
# QEMU 10.0's source is Debian 13's.
[ -n "$(qemu_dsc)" ] || suites+=("deb-src trixie -")
[ "$QEMU_BASE" != 7.2 ] || [ -n "$(qemu_dsc 7.2)" ] ||
	suites+=("deb-src bookworm -")

[ ${#missing[@]} -gt 0 ] || [ ${#suites[@]} -gt 0 ] || exit 0

need_root set-up
need_space / 2

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

# Without indices apt does not tell what it is configured for.
[ -n "$(debian_mirror)" ] || step "apt update" apt update
for w in "${suites[@]}"; do
	read -r type suite only <<<"$w"
	[ "$type" = deb ] && kind=Packages || kind=Sources
	has_suite "$kind" "$suite" || wanted+=("$w")
done

if [ ${#missing[@]} -gt 0 ]; then
	say "Ballast needs these packages, and installs them with apt:" \
		"${missing[*]}" | fmt -w 78
fi
for w in "${wanted[@]}"; do
	read -r type suite only <<<"$w"
	[ "$type" = deb-src ] && only='source alone' || only="pinned, for $only alone"
	say "Ballast adds the suite $suite ($only) in $list"
done

if [ ${#wanted[@]} -gt 0 ]; then
	uri=$(debian_mirror)
	[ -n "$uri" ] ||
		die "no mirror: apt knows no $code suite; add one to /etc/apt/sources.list"
	key=$(signed_by)
	touch "$list"
fi
for w in "${wanted[@]}"; do
	read -r type suite only <<<"$w"
	u=$uri
	[ "$suite" != bookworm-security ] || u=${uri%/debian}/debian-security
	grep -q "^Suites: $suite\$" "$list" || cat >>"$list" <<-END
		Types: $type
		URIs: $u
		Suites: $suite
		Components: main
		Signed-By: $key

	END
	[ "$type" = deb ] || continue
	grep -qs "release n=$suite\$" "$pins" || cat >>"$pins" <<-END
		Package: $only
		Pin: release n=$suite
		Pin-Priority: 500

		Package: *
		Pin: release n=$suite
		Pin-Priority: -1

	END
done

[ $((${#missing[@]} + ${#wanted[@]})) = 0 ] ||
	step "apt update" apt update
[ ${#missing[@]} = 0 ] ||
	step "apt install ${#missing[@]} packages" \
		apt install --no-install-recommends "${named[@]}"
