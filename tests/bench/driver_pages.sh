# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A quarter of a guest's memory is a driver's, in single pages scattered over half of
# it: how many huge pages can be had then, how many pages are migrated for it, and how
# many can't be. The settings:
#
#	processes	no driver's: what is compared with
#	zram		zram, which is zsmalloc's
#	zswap_zsmalloc	zswap, on the patched kernel; Debian's has none
#	zswap_zpages	the same with zpages
#	zpages		a pool of zpages filled by its test, where there is no zswap
#	sample		the sample driver
#
# What is stored are files of the guest's image, over and over, and is read again.

PAGES_MIB=128		# of the driver's
PAGES_ROWS="pages_huge pages_success pages_moves pages_bad"

# in_pool 'SHELL SCRIPT' [SECONDS]: in the guest, with what it needs at hand:
#	modules [NAME...]	loads those of the kernel's that are there, and ours
#	stream MIB		that much to store
#	store FILE PAGES [AFTER]	until PAGES says that there are enough; AFTER each part
#	check FILE		how many parts are not what was stored
in_pool()
{
	guest_exec p '
		cd /lib/modules/$(uname -r)
		cgroup=/sys/fs/cgroup
		modules() {
			for m; do
				[ ! -e $m.ko ] || insmod ./$m.ko || exit
			done
		}
		stream() {
			while cat /bin/qemu-ga /bin/busybox /lib/modules/*/*/*.ko; do
				:
			done 2>/dev/null | dd bs=1M count=$1 iflag=fullblock \
				2>/dev/null
		}
		store() {
			n=0
			until [ "$($2)" -ge $((256 * '$PAGES_MIB')) ]; do
				stream 16 | dd of=$1 bs=1M seek=$n \
					conv=notrunc,fsync 2>/dev/null || exit
				${3:-true} 2>/dev/null
				[ $n -lt 1024 ] || exit
				n=$((n + 16))
			done
			echo $n > /run/stored
			stream 16 | md5sum > /run/sum
		}
		check() {
			n=$(cat /run/stored) bad=0
			while [ $n -gt 0 ]; do
				n=$((n - 16))
				dd if=$1 bs=1M skip=$n count=16 2>/dev/null |
					md5sum | cmp -s - /run/sum ||
					bad=$((bad + 1))
			done
			echo $bad
		}
		zram_pages() { awk "{ print int(\$3 / 4096) }" \
			/sys/block/zram0/mm_stat; }
		zswap_pages() { echo $(($(cat \
			/sys/kernel/debug/zswap/pool_total_size) / 4096)); }
		# What does not compress stays in memory: the disk is memory, too.
		swap_out() { echo 16M > $cgroup/few/memory.reclaim || :; }
		'"$1" "${2:-300}"
}

# fill SETTING: the driver takes what processes have left free.
fill()
{
	case $1 in
	processes) ;;
	zram)	in_pool 'modules stock/zsmalloc stock/lz4_compress \
				stock/lz4hc_compress stock/zram
			echo 2G > /sys/block/zram0/disksize
			store /dev/zram0 zram_pages' ;;
	zswap_*) in_pool 'set -e
			modules ballast/zpages
			cd /sys/module/zswap/parameters
			echo '"${1#zswap_}"' > zpool
			grep -qx '"${1#zswap_}"' zpool
			echo 90 > max_pool_percent
			echo lz4 > compressor
			echo 1 > enabled
			mkswap /dev/ram0 > /dev/null && swapon /dev/ram0
			mkdir /run/few && mount -t tmpfs -o size=2G few /run/few
			mount -t cgroup2 none $cgroup
			echo +memory > $cgroup/cgroup.subtree_control
			mkdir $cgroup/few
			echo 0 > $cgroup/few/memory.zswap.writeback
			echo $$ > $cgroup/few/cgroup.procs
			store /run/few/file zswap_pages swap_out' ;;
	zpages)	in_pool 'modules ballast/driver_pages ballast/zpages \
				ballast/zpages_test
			echo '$PAGES_MIB' > /sys/kernel/debug/zpages_test/fill' ;;
	sample)	in_pool 'modules ballast/driver_pages
			insmod ballast/driver_pages_sample.ko pages='$((PAGES_MIB * 256)) ;;
	esac
}

# look_up SETTING: prints how many are not what was stored.
look_up()
{
	case $1 in
	processes) in_pool 'hold check | grep -c BAD || true' ;;
	zram)	in_pool 'check /dev/zram0' ;;
	zswap_*) in_pool 'check /run/few/file' ;;
	zpages)	in_pool "sed 's/.*bad //' /sys/kernel/debug/zpages_test/fill" ;;
	sample)	in_pool "sed 's/.*bad //' \
			/sys/kernel/debug/driver_pages_sample" ;;
	esac
}

# per_page SETTING: the KiB of files that a page holds; of lz4 in all.
per_page()
{
	case $1 in
	zram)	in_pool 'awk "{ printf \"%.1f\", 4 * \$1 / \$3 }" \
			/sys/block/zram0/mm_stat' ;;
	zswap_*) in_pool 'cd /sys/kernel/debug/zswap
		echo $(cat stored_pages pool_total_size) |
			awk "{ printf \"%.1f\", 4 * \$1 * 4096 / \$2 }"' ;;
	esac
}

# counters: pgmigrate_success and pgmigrate_fail.
counters()
{
	guest_exec p "sed -n 's/^pgmigrate_[sf][a-z]* //p' /proc/vmstat" | xargs
}

# driver_pages COLUMN SETTING
driver_pages()
{
	local column=$1 setting=$2 most got wrong moved failed moved0 failed0 kib

	start p "$column" off --balloon none --mem 512
	guest_exec p "hold start --mib $((2 * PAGES_MIB)) --seed 1 \
		--pattern random --keep 1/2" > /dev/null
	fill "$setting" || die "no pages of $setting"
	[ "$setting" = processes ] || guest_exec p 'hold stop'
	guest_exec p 'sync; echo 3 > /proc/sys/vm/drop_caches'
	kib=$(per_page "$setting")
	[ -z "$kib" ] || put pages_kib "$column" "$setting" "$kib"
	most=$(huge_pages_most p)
	read -r moved0 failed0 <<< "$(counters)"
	got=$(huge_pages p "$most")
	read -r moved failed <<< "$(counters)"
	moved=$((moved - moved0)) failed=$((failed - failed0))
	wrong=$(look_up "$setting")
	put pages_huge "$column" "$setting" \
		"$(awk "BEGIN { printf \"%.1f\", 100 * $got / $most }")"
	[ $((moved + failed)) = 0 ] ||
		put pages_success "$column" "$setting" "$(awk "BEGIN {
			printf \"%.1f\", 100 * $moved / ($moved + $failed) }")"
	put pages_moves "$column" "$setting" \
		"$(awk "BEGIN { printf \"%.0f\", $moved / ($got + !$got) }")"
	put pages_bad "$column" "$setting" "$wrong"
	progress "$got of $most huge pages, $moved pages migrated, $failed" \
		"failed${kib:+, $kib KiB a page}, $wrong wrong"
	finish p "$column" "$PAGES_ROWS"
}

case_driver_pages()
{
	each stock all -- driver_pages "$PAGES_ROWS" zram
	[ -z "$QUICK" ] || return 0
	each all -- driver_pages "$PAGES_ROWS" zswap_zpages
	each all -- driver_pages "$PAGES_ROWS" zswap_zsmalloc
	each modules -- driver_pages "$PAGES_ROWS" zpages
	each modules all -- driver_pages "$PAGES_ROWS" sample
	each stock all -- driver_pages "$PAGES_ROWS" processes
}

about_driver_pages()
{
	cat <<-'END'
		Huge pages among a driver's pages
		A quarter of a guest's memory, in single pages scattered over half of it, is a
		driver's, stores files of the guest's image, and is read again afterwards.
		Meanwhile the guest allocates as many huge pages as it can. In `processes` it is
		memory of a process.

		pages_huge|%|plot|Huge pages that were won, of those that there is memory for
		pages_success|%||Pages that were migrated, of all that were tried
		pages_moves|pages||Pages that were migrated for each huge page
		pages_kib|KiB||Stored on a page, with lz4
		pages_bad|||Parts of what was stored that were not the same afterwards
	END
}

table_driver_pages()
{
	worst_row pages_bad parts 0 "(.stock // 9) == 0 and (.all // 9) == 0 and
		(.modules // 0) == 0" max \
		"of what drivers had stored, not the same afterwards" reference=
	worst_row pages_huge % - "" min \
		"of the huge pages that there is memory for, among a driver's \
single pages" reference=
	worst_row pages_success % - "" min "pages migrated, of all tried" reference=
	worst_row pages_moves "pages/huge page" - "" max "migrated" reference=
	worst_row pages_kib "KiB/page" - "" min "of files, with lz4" reference=
}
