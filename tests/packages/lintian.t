#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The packages as files: lintian, and whether a second build gives the same.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

packages=$OUT/packages
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

is "lintian has nothing to say" "$(lintian -I --pedantic --tag-display-limit 0 \
	--allow-root "$packages"/ballast_*.changes 2>&1)" ""
for p in dkms dev libvirt qemu; do
	is "ballast-$p: one version" \
		"$(find "$packages" -name "ballast-${p}_*.deb" | wc -l)" 1
done

# Of the same time, in another folder.
ok "once more" env PACKAGES_OUT="$tmp" "$TOP/packaging/build.sh"
for f in "$packages"/ballast-*.deb; do
	is "${f##*/}: the same" "$(sha256sum <"$tmp/${f##*/}")" "$(sha256sum <"$f")"
done
done_testing
