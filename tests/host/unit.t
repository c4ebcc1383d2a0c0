#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The unit tests that stand beside their code: drivers/*/*_test.c include the
# file they test, and speak TAP.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tests/lib/tap.sh"

printf '%s\n' '#include <stdarg.h>' '#include <stddef.h>' '#include <setjmp.h>' \
	'#include <cmocka.h>' | gcc -E -x c - >/dev/null 2>&1 ||
	skip_all "cmocka is not installed; run 'make setup'"

mkdir -p "$BUILD/unit"
for src in "$TOP"/drivers/*/*_test.c; do
	name=$(basename "$src" .c)
	prog=$BUILD/unit/$name
	rm -f "$prog"
	ok "$name compiles without a warning" gcc -std=gnu11 -O1 -g -Wall \
		-Wextra -Wno-unused-parameter -Werror \
		-fsanitize=address,undefined -fno-sanitize-recover=all \
		-o "$prog" "$src" -lcmocka
	[ ! -x "$prog" ] ||
		CMOCKA_MESSAGE_OUTPUT=TAP include "$prog"
done
done_testing
