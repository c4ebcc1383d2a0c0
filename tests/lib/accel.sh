# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Which accelerator runs guests here? A /dev/kvm that opens proves nothing, so
# a tiny guest is run to its end: first a firmware image that leaves real mode,
# goes on in protected mode and ends QEMU through isa-debug-exit; then, because
# there are hosts that manage that and no more, a kernel that boots to our
# /init and powers off.

# probe_image FILE: 64 KiB of firmware; ends QEMU with status 33.
probe_image()
{
	# At f000:0000, 16 bits:
	#   cli; lgdt cs:[0x40]; mov eax,cr0; or al,1; mov cr0,eax
	#   jmp dword 8:0xf0020
	# At f000:0020, 32 bits:
	#   mov dx,0xf4; mov al,0x10; out dx,al; hlt
	# At f000:0040: the limit and base of a GDT, which follows at 0x48.
	# At the reset vector, f000:fff0: jmp 0xf000:0
	head -c 65536 /dev/zero > "$1"
	local at bytes
	while read -r at bytes; do
		# shellcheck disable=SC2059
		printf "$bytes" |
			dd of="$1" bs=1 seek="$((at))" conv=notrunc status=none
	done <<-'END'
	0x0000 \xfa\x2e\x0f\x01\x16\x40\x00\x0f\x20\xc0\x0c\x01\x0f\x22\xc0
	0x000f \x66\xea\x20\x00\x0f\x00\x08\x00
	0x0020 \x66\xba\xf4\x00\xb0\x10\xee\xf4
	0x0040 \x0f\x00\x48\x00\x0f\x00
	0x0048 \x00\x00\x00\x00\x00\x00\x00\x00
	0x0050 \xff\xff\x00\x00\x00\x9b\xcf\x00
	0xfff0 \xea\x00\x00\x00\xf0
	END
}

# accel_try QEMU ACCEL: does the tiny guest reach its end? Why not: $accel_why.
accel_try()
{
	local dir rc=0 cpu=host

	[ "$2" = kvm ] || cpu=max

	dir=$(mktemp -d)
	probe_image "$dir/bios"
	# A subshell's stderr takes the shell's word about an abort, too.
	(
		ulimit -c 0
		timeout -k 1 10 "$1" -M pc -accel "$2" -cpu $cpu -nodefaults \
			-display none -m 16 -bios "$dir/bios" -no-reboot \
			-device isa-debug-exit,iobase=0xf4,iosize=4
		exit $?
	) > "$dir/log" 2>&1 </dev/null || rc=$?
	case $rc in
	33)	accel_why="a tiny guest ran to its end" ;;
	124|137) accel_why="a tiny guest hung" ;;
	*)	accel_why=$(grep -am 1 '^qemu' "$dir/log" | sed 's/^[^:]*: //')
		accel_why="a tiny guest failed: ${accel_why:-status $rc}" ;;
	esac
	rm -rf "$dir"
	[ "$rc" = 33 ]
}

# accel_try_kernel QEMU ACCEL KERNEL INITRD: the same with a real kernel.
accel_try_kernel()
{
	local log rc=0

	log=$(timeout -k 1 30 "$1" -M pc -accel "$2" -cpu host -smp 2 -m 512 \
		-nodefaults -display none -no-reboot -serial stdio \
		-kernel "$3" -initrd "$4" \
		-append "console=ttyS0 quiet panic=-1 ballast.probe=1" \
		2>&1 </dev/null) || rc=$?
	case $log in
	*ballast-probe-end*) accel_why="a small Linux guest ran to its end" ;;
	*)	accel_why="a small Linux guest did not reach its end"
		accel_why+=" (status $rc)"
		return 1
		;;
	esac
}

# accel_probe QEMU [KERNEL INITRD]: sets ACCEL (kvm or tcg) and ACCEL_WHY. BALLAST_ACCEL=kvm
# or tcg overrides; the environment hands the answer to child scripts.
accel_probe()
{
	local accel_why=

	[ -z "${ACCEL:-}" ] || return 0
	case ${BALLAST_ACCEL:-} in
	kvm|tcg)
		ACCEL=$BALLAST_ACCEL
		ACCEL_WHY="BALLAST_ACCEL asks for it"
		;;
	'')
		if [ ! -e /dev/kvm ]; then
			ACCEL=tcg ACCEL_WHY="no /dev/kvm here"
		elif accel_try "$1" kvm && { [ $# = 1 ] ||
		     accel_try_kernel "$1" kvm "$2" "$3"; }; then
			ACCEL=kvm ACCEL_WHY="KVM: $accel_why"
		else
			ACCEL=tcg ACCEL_WHY="KVM: $accel_why"
		fi
		if [ "$ACCEL" = tcg ] && ! accel_try "$1" tcg; then
			die "QEMU does not work: $1: $accel_why;" \
				"build it again with 'make qemu'"
		fi
		;;
	*)	die "bad BALLAST_ACCEL: $BALLAST_ACCEL; use kvm or tcg" ;;
	esac
	export ACCEL ACCEL_WHY
}
