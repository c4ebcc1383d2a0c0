# SPDX-License-Identifier: GPL-2.0-or-later
#
# Ballast's front door. Each line of "make help" is a target below.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Never hand our own flags to the kernel's and QEMU's makes.
unexport MAKEFLAGS MFLAGS

.PHONY: help demo bench bench-quick bench-goals report check check-host check-qemu \
	check-drivers check-cooperation check-libvirt check-packages check-guest torture setup \
	kernel kernel-debug qemu qemu-fuzz drivers libvirt guest packages \
	disk kernel-package lint clean distclean

help:		## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 20

demo: setup kernel qemu drivers guest	## the main job on real parts, stock and Ballast side by side
	@scripts/room.sh tests/demo.sh

bench: setup kernel qemu drivers libvirt guest disk	## what a balloon costs and gives, stock and Ballast side by side
	@scripts/room.sh tests/bench.sh
bench-quick: setup kernel qemu drivers libvirt guest disk	## the same with one setting of each case
	@BENCH_QUICK=1 scripts/room.sh tests/bench.sh
bench-goals: setup kernel qemu drivers guest	## the cases that make bench leaves out: reporting, huge pages kept, OOM, migration, the device
	@BENCH_CASES=goals scripts/room.sh tests/bench.sh

report:		## docs/PERFORMANCE.md and its plots, from what make bench has written
	@scripts/setup.sh report
	@scripts/report.sh

check: setup kernel kernel-debug qemu qemu-fuzz drivers libvirt guest	## all tests, one summary, one verdict
	@BALLAST_SHORT=1 scripts/check.sh host qemu drivers cooperation libvirt guest

check-host: setup	## tests that start no guest
	@scripts/check.sh host
check-qemu: setup kernel qemu qemu-fuzz drivers guest	## tests of the device
	@scripts/check.sh qemu
check-drivers: setup kernel kernel-debug qemu drivers guest	## tests of the modules
	@scripts/check.sh drivers
check-cooperation: setup kernel kernel-debug qemu drivers guest	## compaction, reporting and the balloon together
	@scripts/check.sh cooperation
check-libvirt: setup kernel qemu drivers libvirt guest	## ballastd, ballastctl and the hook, with real guests
	@scripts/check.sh libvirt
check-packages: packages guest	## the Debian packages, installed, used and purged, in a guest with Debian, too
	@scripts/check.sh packages
check-guest: setup kernel kernel-debug qemu drivers guest	## end to end, through libvirt
	@scripts/check.sh guest

torture: setup kernel kernel-debug qemu qemu-fuzz drivers guest	## driver pages for an hour and the device for ten minutes, at random
	@prove --comments tests/torture.sh

setup:		## install what is missing, fetch sources to the cache
	@scripts/setup.sh
	@scripts/fetch.sh
kernel: setup	## the guest kernel, and Debian's beside it
	@guest-kernel/build.sh normal
kernel-debug: setup	## the guest kernel with KASAN, lockdep and so on
	@guest-kernel/build.sh debug
qemu: setup	## QEMU, patched, and Debian's beside it; with QEMU_BASE=7.2 Debian 12's, too
	@scripts/room.sh qemu-patches/build.sh
qemu-fuzz: setup	## the patched QEMU with sanitizers, and a fuzzer of it
	@scripts/room.sh qemu-patches/build.sh fuzz
drivers: kernel	## the modules, for every guest kernel that is built
	@scripts/drivers.sh
libvirt: setup	## the host's programs: ballastd, ballastctl, the hook
	@scripts/libvirt.sh
guest: setup	## the guest's initramfs
	@scripts/room.sh tests/guest/build.sh
disk: setup	## a disk for the guest with a compiler and source, for make bench
	@scripts/room.sh tests/guest/disk.sh

packages: setup	## Debian packages, into build/out/packages
	@scripts/setup.sh packages
	@packaging/build.sh
kernel-package: kernel	## the patched guest kernel as Debian packages
	@scripts/setup.sh packages
	@packaging/kernel.sh

lint:		## shellcheck, checkpatch, SPDX lines
	@scripts/lint.sh
clean:		## remove what was built, keep unpacked sources
	@rm -rf build/out build/log
distclean:	## remove build/ (the cache outside the tree stays)
	@rm -rf build
