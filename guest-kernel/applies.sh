#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# applies.sh [FILE|VERSION...]: does the series apply, without fuzz, to these
# packages or versions of linux-source-6.12? Without arguments: to each that apt
# knows of. Packages are downloaded to a place of their own, one at a time, and
# of each only the files are unpacked that the patches touch.

. "$(dirname "$0")/../scripts/lib.sh"

shopt -s nullglob
patches=("$TOP"/guest-kernel/patches/*.patch)
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/ballast-applies.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
need_space "$tmp" 1
bad=0

# What has to be there: files that a patch changes, and none before it adds.
# The archive may lack one: then the patch fails, and says so.
awk '/^--- a\// { f = substr($2, 3); if (!(f in added)) print "*/" f }
	/^--- \/dev\/null/ { getline; added[substr($2, 3)] = 1 }' \
	"${patches[@]}" | sort -u >"$tmp/files"

try()
{
	local p

	mkdir "$tmp/tree"
	dpkg-deb --fsys-tarfile "$1" |
		tar -xO --wildcards '*/linux-source-6.12.tar.xz' |
		xz -dc -T "$JOBS" |
		tar -x --strip-components=1 -C "$tmp/tree" --wildcards \
			-T "$tmp/files" 2>"$tmp/tar.log" || true
	for p in "${patches[@]}"; do
		patch -d "$tmp/tree" -p1 -s -f -F0 <"$p" >"$tmp/log" 2>&1 &&
			continue
		say "$2: does not apply: ${p##*/}"
		sed 's/^/  | /' "$tmp/log"
		return 1
	done
	say "$2: the series applies (${#patches[@]} patches)"
}

versions=("$@")
[ $# -gt 0 ] || mapfile -t versions < <(apt-cache madison linux-source-6.12 |
	awk '/Packages$/ { print $3 }' | sort -Vu)
[ ${#versions[@]} -gt 0 ] ||
	die "nothing to try: apt does not offer linux-source-6.12; run make setup"

for v in "${versions[@]}"; do
	deb=$v
	if [ ! -f "$v" ]; then
		mkdir "$tmp/deb"
		(cd "$tmp/deb" && apt-get -q -o APT::Sandbox::User=root \
			download "linux-source-6.12=$v") >"$tmp/log" 2>&1 ||
			die "no download of linux-source-6.12=$v: $(tail -n 1 "$tmp/log"); see apt-cache madison linux-source-6.12"
		deb=$(echo "$tmp"/deb/*.deb)
	fi
	try "$deb" "$(basename "$v")" || bad=1
	rm -rf "$tmp/tree" "$tmp/deb"
done
exit "$bad"
