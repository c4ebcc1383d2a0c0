#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a machine can say about the sources: licence lines, shellcheck, the
# kernel's checkpatch on drivers and patches, and texts that have to be equal.

. "$(dirname "$0")/lib.sh"
cd "$TOP"
bad=0
# So that fail can set it from the end of a pipe.
shopt -s lastpipe

# fail WHAT < LINES: complain if there are any.
fail()
{
	local lines

	lines=$(grep -v '^total:' || true)
	[ -n "$lines" ] || { say "$1: well"; return; }
	say "$1:" && say "$lines"
	bad=1
}

mapfile -t files < <(git ls-files)
mapfile -t scripts < <(printf '%s\n' "${files[@]}" |
	xargs -d '\n' grep -lE '^#!.*\b(ba|da)?sh\b|^# shellcheck shell=')
mapfile -t kernel < <(git ls-files 'drivers/*.[ch]')
mapfile -t patches < <(git ls-files 'guest-kernel/patches/*.patch')
checkpatch=$BUILD/linux/scripts/checkpatch.pl

printf '%s\n' "${files[@]}" |
	grep -vE '\.(md|json|patch|txt)$|^\.(gitignore|shellcheckrc)$|(changelog\.in|README\.Debian)$' |
	xargs -r -d '\n' grep -L 'SPDX-License-Identifier' | fail "SPDX lines"

if command -v shellcheck >/dev/null; then
	{ shellcheck -x -S warning -e SC2187 -f gcc "${scripts[@]}" || true; } | fail shellcheck
else
	say "shellcheck: not installed; run make setup"
fi

if [ -x "$checkpatch" ]; then
	# Types that are about the kernel's own tree, not ours.
	ignore=FILE_PATH_CHANGES,COMMIT_LOG_LONG_LINE,LINUX_VERSION_CODE
	ignore+=,EMAIL_SUBJECT,MISSING_SIGN_OFF,NO_AUTHOR_SIGN_OFF
	[ ${#kernel[@]} = 0 ] ||
		{ "$checkpatch" --no-tree --terse -q --ignore "$ignore" \
			-f "${kernel[@]}" || true; } | fail "checkpatch, drivers"
	# From stdin: a file that git knows would be checked as a source.
	for p in "${patches[@]}"; do
		{ "$checkpatch" --no-tree --terse -q --ignore "$ignore" \
			- <"$p" || true; } | fail "checkpatch, ${p##*/}"
	done
else
	say "checkpatch: no kernel source in build/linux; run make kernel"
fi

# added FILE: the lines that the kernel patches add to it.
added()
{
	awk -v file="+++ b/$1" '
		$0 == file { on = 1; next }
		/^diff --git / || /^-- $/ { on = 0 }
		on && /^\+/ { print substr($0, 2) }
	' "${patches[@]}"
}

# One text in two places: as a module for stock kernels, and in the patch that
# adds it to the kernel. shared IN-DRIVERS IN-THE-KERNEL
shared()
{
	added "$2" | diff -u --label "patches: $2" --label "$1" - "$1" || true
}

# The same for one exported function and the comment above it.
shared_function()
{
	local part="/^\/\*\*\$/ { n = 0 }
		{ text[n++] = \$0 }
		/^EXPORT_SYMBOL.*\($3\);/ {
			for (i = 0; i < n; i++) print text[i]
			found = 1
		}
		END { if (!found) print FILENAME \" has no $3()\" }"

	diff -u --label "patches: $2" --label "$1" \
		<(added "$2" | awk "$part") <(awk "$part" "$1") || true
}
{
	shared drivers/include/ballast/driver_pages.h include/linux/driver_pages.h
	shared drivers/driver_pages/test.h include/linux/driver_pages_test.h
	shared drivers/compat/trace/events/driver_pages.h \
		include/trace/events/driver_pages.h
	for f in driver_pages.c driver_pages_by_hand.c driver_pages_internal.h; do
		shared "drivers/driver_pages/$f" "mm/$f"
	done
	shared_function drivers/compat/balloon_block.c mm/page_alloc.c \
		balloon_block_free
} | fail "texts that the kernel patches share with drivers/"
exit "$bad"
