#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make install: what is where, and whether those who read it can: systemd, man, bash.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

installed()
{
	make -s -C "$TOP/libvirt-hooks" OUT="$OUT/libvirt" \
		OBJ="$BUILD/libvirt-hooks" DESTDIR="$root" "$@" install
}
ok "make install" installed
is "what is installed" "$(cd "$root" && find . ! -type d -printf '%m %P\n' |
	sort -k 2)" "$(cat <<-'END'
	644 etc/ballast/ballastd.conf
	755 etc/libvirt/hooks/qemu.d/ballast
	755 usr/bin/ballastctl
	644 usr/lib/systemd/system/ballastd.service
	755 usr/sbin/ballastd
	644 usr/share/ballast/ballast-dashboard.json
	644 usr/share/bash-completion/completions/ballastctl
	644 usr/share/man/man1/ballastctl.1
	644 usr/share/man/man5/ballastd.conf.5
	644 usr/share/man/man8/ballastd.8
	END
)"
ok "the settings are good" "$root/usr/sbin/ballastd" --check \
	-c "$root/etc/ballast/ballastd.conf"
echo '# mine' >> "$root/etc/ballast/ballastd.conf"
ok "make install once more" installed
is "settings stay as they are" "$(tail -n 1 "$root/etc/ballast/ballastd.conf")" \
	'# mine'
ok "under another prefix" installed PREFIX=/opt/ballast
is "the unit knows where" "$(grep -c '=/opt/ballast/sbin/ballastd' \
	"$root/opt/ballast/lib/systemd/system/ballastd.service")" 2

unit=$root/usr/lib/systemd/system/ballastd.service
if command -v systemd-analyze >/dev/null; then
	sed "s|=/usr/sbin/|=$root/usr/sbin/|" "$unit" > "$root/ballastd.service"
	is "systemd takes the unit" \
		"$(systemd-analyze verify --man=no "$root/ballastd.service" 2>&1)" ""
	# 0 is best, 10 is worst; what is left is that it is root, and has sockets.
	ok "systemd finds it hardened" systemd-analyze security --offline=yes \
		--threshold=30 --no-pager "$unit"
else
	skip "systemd takes the unit" "no systemd-analyze"
fi
for page in "$root"/usr/share/man/*/*; do
	is "${page##*/}: man has nothing to say against it" \
		"$(MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)" ""
done

# completes WORD... : what bash offers for the last one.
completes()
{
	# shellcheck source=/dev/null
	. "$root/usr/share/bash-completion/completions/ballastctl"
	ballastctl()
	{
		[ "$*" = "${asks:-list --json}" ] || return
		# shellcheck disable=SC2016
		printf '      "name": "%s",\n' web web2 db 'a $(b)'
	}
	COMP_WORDS=(ballastctl "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_ballastctl
	echo "${COMPREPLY[*]-}"
}
is "completion: a command" "$(completes re)" "resume release replay"
is "completion: a guest" "$(completes --json show w)" "web web2"
is "completion: nothing more" "$(completes list w)" ""
is "completion: an option" "$(completes --j)" "--json"
is "completion: a guest, nothing more" "$(completes show web w)" ""
is "completion: no size" "$(completes set web '')" ""
is "completion: all is no guest" "$(completes pause --all w)" ""
is "completion: not of every command" "$(completes list --a)" ""
is "completion: a name with what bash reads" "$(completes show a)" 'a\ \$\(b\)'
is "completion: the same ballastd" \
	"$(asks='-s x list --json' completes -s x show d)" "db"
is "completion: the same, with =" \
	"$(asks='--socket x list --json' completes --socket = x show d)" "db"
is "completion: not the option's argument" "$(completes -s x st)" "status"
is "the header of ballastd.conf(5)" "$(MANWIDTH=80 man -l \
	"$root/usr/share/man/man5/ballastd.conf.5" | grep -c BSD)" 0
done_testing
