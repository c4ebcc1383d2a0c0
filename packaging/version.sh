# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced after lib.sh: VERSION of the packages, and SOURCE_DATE_EPOCH, the time
# that everything in them is said to be of.
#
# The version is that of the first heading of CHANGELOG.md, as in "## 0.1". While
# that says "not yet released", the time of the last commit comes behind it, so
# that a later build is an upgrade, and the release is one, too: 0.1~20261125.155430.
# The Debian that the packages are built on and for ends it.

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	SOURCE_DATE_EPOCH=$(git -C "$TOP" log -1 --format=%ct 2>/dev/null) ||
		SOURCE_DATE_EPOCH=$(stat -c %Y "$TOP/CHANGELOG.md")
fi
export SOURCE_DATE_EPOCH

ballast_version()
{
	local heading number

	heading=$(grep -m 1 '^## ' "$TOP/CHANGELOG.md")
	read -r _ number _ <<<"$heading"
	[[ $number =~ ^[0-9][0-9.]*$ ]] ||
		die "no version: CHANGELOG.md begins with '$heading'; write '## 0.1'"
	case $heading in
	*'not yet released'*)
		number+=$(date -u -d "@$SOURCE_DATE_EPOCH" +~%Y%m%d.%H%M%S) ;;
	esac
	echo "$number~deb$(debian)"
}
VERSION=$(ballast_version)
# shellcheck disable=SC2034 # for those who source this
[ -n "$VERSION" ] || exit 1
