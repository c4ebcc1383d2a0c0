# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by every bash script of Ballast: where things are, how a script
# speaks, how a long step shows that it lives.
#
#	. "$(dirname "$0")/../scripts/lib.sh"

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
OUT=$BUILD/out
LOG=$BUILD/log
CACHE=${BALLAST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ballast}
JOBS=${BALLAST_JOBS:-$(nproc)}

# One cache for all clones: paths are hashed relative to the tree.
export CCACHE_DIR=$CACHE/ccache CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
export CCACHE_MAXSIZE=5G CCACHE_COMPILERCHECK=content CCACHE_DEPEND=1
export LC_ALL=C.UTF-8 TOP BUILD OUT LOG CACHE JOBS

mkdir -p "$OUT" "$LOG"

say() { printf '%s\n' "$*"; }

# die "what: where; what to do"
die() { printf 'ballast: %s\n' "$*" >&2; exit 1; }

need_root()
{
	[ "$(id -u)" = 0 ] ||
		die "no root: ${1:-this} needs it; run it as root or with sudo"
}

# need_space DIR GIB
need_space()
{
	local free

	mkdir -p "$1"
	free=$(df --output=avail -BM "$1" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge $(($2 * 1024)) ] ||
		die "no disk space: $1 has $free MiB free; make $2 GiB free"
}

# hash FILE...: one word that changes when any of the files does
hash()
{
	cat "$@" </dev/null | sha256sum | cut -c1-16
}

# The script ends on a signal through exit, so that EXIT traps run.
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# forward PID: hand signals on to a command's process group and wait for it to
# tidy up; until the traps are set again.
forward()
{
	# shellcheck disable=SC2064
	trap "kill -TERM -- -$1 2>/dev/null; wait $1 2>/dev/null; exit 130" \
		INT TERM HUP
}

# group COMMAND...: run a command in its own process group, which a signal to
# the script ends as a whole.
group()
{
	local pid rc=0 old

	old=$(trap -p INT TERM HUP)
	set -m
	"$@" </dev/null &
	pid=$!
	set +m
	forward "$pid"
	wait "$pid" || rc=$?
	trap - INT TERM HUP
	eval "$old"
	return "$rc"
}

# step LABEL COMMAND...: run a command with its output in build/log/, show the
# seconds while it runs, and the end of the log if it fails. The command has
# its own process group, which a signal to the script ends as a whole.
step()
{
	local label=$1 log pid fd rc='' t0=$SECONDS old last

	shift
	log=$LOG/$(printf '%s' "$label" | tr -cs 'A-Za-z0-9.-' '-').log
	exec {fd}<> <(:)
	if [ -t 1 ]; then
		printf '%s ...' "$label"
	else
		printf '%s ...\n' "$label"
	fi

	old=$(trap -p INT TERM HUP)
	set -m
	{
		trap - INT TERM HUP EXIT
		set +e
		( set -e; "$@" )
		echo $? >&"$fd"
	} >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	forward "$pid"

	until read -r -t 1 -u "$fd" rc; do
		kill -0 "$pid" 2>/dev/null || { rc=${rc:-137}; break; }
		if [ -t 1 ]; then
			last=$(tail -n 1 "$log" 2>/dev/null | tr -d '\r' | cut -c1-50) || true
			printf '\r\033[K%s ... %d s  %s' "$label" \
				$((SECONDS - t0)) "$last"
		elif [ $(((SECONDS - t0) % 30)) = 29 ]; then
			printf '  %s: %d s, %d lines\n' "$label" \
				$((SECONDS - t0)) "$(wc -l <"$log")"
		fi
	done
	wait "$pid" 2>/dev/null || true
	exec {fd}>&-
	trap - INT TERM HUP
	eval "$old"

	[ ! -t 1 ] || printf '\r\033[K'
	if [ "$rc" = 0 ]; then
		say "$label: $((SECONDS - t0)) s"
		return 0
	fi
	tail -n 15 "$log" | sed 's/^/  | /' >&2
	die "$label failed: see ${log#"$TOP"/}"
}

# What fetch.sh has put into the cache. The file "stock" names the release and
# the package version of the stock kernel.
src_dir=$CACHE/sources

debian() { . /etc/os-release && echo "${VERSION_ID:-0}"; }

# apt_configured TYPE: "address suite" of what apt is configured to use.
# shellcheck disable=SC2016 # they are apt's
apt_configured()
{
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
		"Identifier: $1" | sort -u
}

# The mirror that the machine itself uses for Debian; empty if apt knows none.
debian_mirror()
{
	apt_configured Packages | awk '
		$2 ~ /^(bookworm|trixie|stable|oldstable)$/ {
			sub(/\/$/, "", $1); print $1; exit }'
}

stock_release() { cut -d ' ' -f 1 "$src_dir/stock" 2>/dev/null || true; }
stock_version() { cut -d ' ' -f 2 "$src_dir/stock" 2>/dev/null || true; }

# The packages of a stock kernel: "RELEASE VERSION".
stock_image() { echo "linux-image-$1=$2"; }
stock_source() { echo "linux-source-6.12=$2"; }
stock_headers()
{
	local base=${1%-cloud-amd64}

	echo "linux-headers-$1=$2 linux-headers-$base-common=$2" \
		"linux-kbuild-$base=$2"
}

# stock_debs KIND: the cached files of stock_KIND's packages.
stock_debs()
{
	local p

	for p in $("stock_$1" "$(stock_release)" "$(stock_version)"); do
		echo "$src_dir/${p%%=*}_"*.deb
	done
}

# The stock kernel's headers, for building modules: unpacked, not installed,
# because Debian's package of them installs the kernel, too.
stock_kdir()
{
	echo "$BUILD/stock-headers/usr/src/linux-headers-$(stock_release)"
}

# QEMU_BASE=7.2: Debian 12's QEMU besides Debian 13's, which is always there.
case ${QEMU_BASE:=10.0} in
10.0 | 7.2) ;;
*) die "unknown QEMU_BASE: $QEMU_BASE; say 7.2, or 10.0 (the default)" ;;
esac
export QEMU_BASE

# qemu_dsc [7.2]: Debian's QEMU source package (.dsc); empty if it is not there.
qemu_dsc()
{
	find "$src_dir" -maxdepth 1 -name "qemu_${1:-10.0}[.+]*.dsc" \
		2>/dev/null | sort -V | tail -n 1
}

# The cached package of Prometheus; empty if it is not there.
prometheus_deb()
{
	find "$src_dir" -maxdepth 1 -name 'prometheus_*.deb' 2>/dev/null |
		sort -V | tail -n 1
}
