# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # dir is the test's
#
# A ballastd that does what the test says (fake-ballastd.c), at $dir/sock. What it is
# asked is in $dir/log.

fake_pid=

fake_build()
{
	gcc -Wall -Wextra -Werror -o "$dir/fake" \
		"$TOP/tests/libvirt/fake-ballastd.c"
}

fake_end()
{
	[ -z "$fake_pid" ] || { kill "$fake_pid" && wait "$fake_pid"; } \
		2>/dev/null || true
	fake_pid=
}

# fake REPLY...: until it listens.
fake()
{
	local ready

	fake_end
	rm -f "$dir/ready"
	: > "$dir/log"
	mkfifo "$dir/ready"
	"$dir/fake" "$dir/sock" "$dir/log" "$@" > "$dir/ready" &
	fake_pid=$!
	read -r ready < "$dir/ready"
	[ "$ready" = ready ] || die "fake-ballastd does not start"
}

# got 'JQ FILTER': of all requests.
got() { jq -rs "$1" "$dir/log" 2>&1; }
