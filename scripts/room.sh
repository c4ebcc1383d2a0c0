#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# room.sh SCRIPT [ARGUMENT...]: run a script of another room, or say in one
# line that it is not there.

. "$(dirname "$0")/lib.sh"

[ -x "$TOP/$1" ] || die "nothing to run: $1 is not in this tree; take a complete one"
exec "$TOP/$1" "${@:2}"
