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

# indexed DIR: the files that apt finds there.
indexed() { sed -n 's,^Filename: \./,,p' "$1/Packages" | sort; }

is "apt finds all that is there" "$(indexed "$packages")" \
	"$(cd "$packages" && printf '%s\n' *.deb | sort)"

# Of the same time, in another folder, where kernel.sh has been.
kernel=linux-image-6.12.0-ballast-amd64_1_amd64.deb
mkdir -p "$tmp/kernel/DEBIAN"
cat >"$tmp/kernel/DEBIAN/control" <<-'END'
	Package: linux-image-6.12.0-ballast-amd64
	Version: 1
	Architecture: amd64
	Maintainer: nobody <nobody@ballast.invalid>
	Description: none
END
dpkg-deb -b "$tmp/kernel" "$tmp/$kernel" >/dev/null
ok "once more" env PACKAGES_OUT="$tmp" "$TOP/packaging/build.sh"
for f in "$packages"/ballast-*.deb; do
	is "${f##*/}: the same" "$(sha256sum <"$tmp/${f##*/}")" "$(sha256sum <"$f")"
done
is "apt finds these and the kernel" "$(indexed "$tmp")" \
	"$(cd "$packages" && printf '%s\n' "$kernel" ballast-*.deb | sort)"
done_testing
