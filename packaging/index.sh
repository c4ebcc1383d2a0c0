#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# index.sh DIR: an index of all the packages there, so that apt can install from it:
#
#	deb [trusted=yes] file:DIR ./

. "$(dirname "$0")/../scripts/lib.sh"
. "$TOP/packaging/version.sh"

cd "${1:?a folder}"
# Whoever reads it meanwhile has the old one.
dpkg-scanpackages -m . >Packages.new
cat >Release.new <<-END
	Origin: Ballast
	Suite: local
	Date: $(date -u -R -d "@$SOURCE_DATE_EPOCH")
	SHA256:
	 $(sha256sum Packages.new | cut -d ' ' -f 1) $(stat -c %s Packages.new) Packages
END
mv Packages.new Packages
mv Release.new Release
