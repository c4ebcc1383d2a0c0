#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kernel.sh: the patched guest kernel as packages, by the kernel's own bindeb-pkg,
# into build/out/packages: image and headers. Debian's configuration for clouds,
# without debug information. build/linux has to be there (make kernel).

. "$(dirname "$0")/../scripts/lib.sh"
. "$TOP/packaging/version.sh"

linux=$BUILD/linux
obj=$linux/out-package
to=$OUT/packages

[ -e "$linux/.ballast/applied" ] && [ -e "$OUT/stock/config" ] ||
	die "no patched kernel source: build/linux is not there; run make kernel"

KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$SOURCE_DATE_EPOCH")
export KBUILD_BUILD_TIMESTAMP KBUILD_BUILD_USER=ballast KBUILD_BUILD_HOST=ballast
export KBUILD_BUILD_VERSION=1 KDEB_CHANGELOG_DIST=unstable
export DEBFULLNAME='Ballast developers' DEBEMAIL=ballast@ballast.invalid

kmake()
{
	make -C "$linux" O=out-package -j"$((JOBS + 1))" \
		CC="ccache gcc" HOSTCC="ccache gcc" "$@"
}

# Debian signs its modules later on, with a key that we don't have: lockdown wants
# them signed, so the build makes a key for itself, as the kernel does by default.
configure()
{
	mkdir -p "$obj"
	cp "$OUT/stock/config" "$obj/.config"
	"$linux/scripts/config" --file "$obj/.config" \
		--set-str LOCALVERSION -ballast-amd64 \
		--disable LOCALVERSION_AUTO --set-str BUILD_SALT '' \
		--set-str SYSTEM_TRUSTED_KEYS '' --enable MODULE_SIG_ALL \
		--set-str MODULE_SIG_KEY certs/signing_key.pem \
		--enable DEBUG_INFO_NONE \
		--disable DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT
	kmake -s olddefconfig
}

# The compiler and what goes in decide whether to configure or build again.
want=$(hash "$0" "$OUT/stock/config" "$linux/.ballast/applied" \
	"$linux/.ballast/source" <(gcc --version; echo "$VERSION"))
if [ "$(cat "$obj/.ballast-built" 2>/dev/null)" = "$want" ] &&
   ls "$to"/linux-image-*-ballast-amd64_*.deb >/dev/null 2>&1; then
	exit 0
fi

package()
{
	# The version that apt compares; that of the kernel is in the name.
	KDEB_PKGVERSION=$(kmake -s kernelversion)+ballast$VERSION
	export KDEB_PKGVERSION
	rm -f "$linux"/*.deb "$linux"/linux-upstream_*
	kmake bindeb-pkg
	mkdir -p "$to"
	rm -f "$to"/linux-image-*-ballast-amd64_*.deb \
		"$to"/linux-headers-*-ballast-amd64_*.deb
	# That of libc's headers would replace Debian's for no gain.
	mv "$linux"/linux-{image,headers}-*-ballast-amd64_*.deb "$to/"
	rm -f "$linux"/*.deb "$linux"/linux-upstream_*
	"$TOP/packaging/index.sh" "$to"
	echo "$want" >"$obj/.ballast-built"
}

need_space "$BUILD" 6
step "configure the kernel for packages" configure
step "build the kernel's packages" package
say "in build/out/packages:"
(cd "$to" && ls linux-*.deb)
