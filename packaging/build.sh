#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh: the Debian packages, into build/out/packages (or PACKAGES_OUT), where
# they take the place of those of another build. See README.md.

. "$(dirname "$0")/../scripts/lib.sh"
. "$TOP/packaging/version.sh"

to=${PACKAGES_OUT:-$OUT/packages}
work=$BUILD/packages${PACKAGES_OUT:+-again}
tree=$work/ballast

# The sources as they are, without what is not: git's files, or all of a tarball.
files()
{
	cd "$TOP"
	if [ -e .git ]; then
		git ls-files -z
	else
		find . -name build -prune -o -type f -print0
	fi
}

changes()
{
	local item

	# An item a line, then folded to what a changelog may have.
	awk '/^## / { n++; next }
		n != 1 || !NF { next }
		/^- / && i++ { print "" }
		{ sub(/^(- |  )/, ""); printf "%s ", $0 }
		END { print "" }' "$TOP/CHANGELOG.md" | while IFS= read -r item; do
		fold -s -w 72 <<<"$item" | sed 's/ *$//; s/^/    /; 1s/^    /  * /'
	done
}

changelog()
{
	local line

	while IFS= read -r line; do
		if [ "$line" = @CHANGES@ ]; then
			changes
			continue
		fi
		line=${line//@VERSION@/$VERSION}
		line=${line//@DATE@/$(date -u -R -d "@$SOURCE_DATE_EPOCH")}
		printf '%s\n' "$line"
	done <"$TOP/packaging/debian/changelog.in"
}

unpack()
{
	rm -rf "$work"
	mkdir -p "$tree"
	files | tar -C "$TOP" --null -T - -c | tar -C "$tree" -x
	cp -r "$tree/packaging/debian" "$tree/debian"
	mkdir "$tree/debian/source"
	echo "3.0 (native)" >"$tree/debian/source/format"
	rm "$tree/debian/changelog.in"
	changelog >"$tree/debian/changelog"
}

build()
{
	local dsc=${1##*/}

	cd "$tree"
	export BALLAST_QEMU=$OUT/package/qemu-system-x86_64
	export BALLAST_QEMU_SOURCE=$BUILD/qemu-package
	export BALLAST_QEMU_VERSION
	BALLAST_QEMU_VERSION=$(sed -n 's/^Version: //p' "$1" | head -n 1)
	[ -n "$BALLAST_QEMU_VERSION" ] || die "no version in $dsc"
	# There is no debug information in QEMU.
	export DEB_BUILD_OPTIONS="noautodbgsym parallel=$JOBS"
	export PATH=/usr/lib/ccache:$PATH
	dpkg-buildpackage -b -us -uc
}

publish()
{
	mkdir -p "$to"
	rm -f "$to"/ballast-*.deb "$to"/ballast_*
	mv "$work"/ballast-*.deb "$work"/ballast_*.{changes,buildinfo} "$to/"
	"$TOP/packaging/index.sh" "$to"
}

"$TOP/qemu-patches/build.sh" package
step "lay out the packages' sources" unpack
step "build Debian packages of $VERSION" build "$(qemu_dsc)"
step "index the packages" publish
say "in ${to#"$TOP"/}:"
(cd "$to" && ls ./*.deb)
