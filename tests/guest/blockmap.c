// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blockmap - what the guest's 2 MiB blocks hold, from /proc/kpageflags.
 *
 *   blockmap [--drain] [--map] [BLOCKS]
 *
 * A page is free (in the buddy allocator), movable (on the LRU, or mapped and
 * about to be), offline (a balloon's) or other. Prints counts over all blocks
 * and, if BLOCKS is given, the number of pages in use in the cheapest blocks
 * that together make BLOCKS whole blocks: free ones first, then those with
 * the fewest movable pages. A block with anything else in it does not count.
 * --map adds a line for each block. --drain empties the per-CPU lists of free
 * pages first: on 6.12 they may hold a sixteenth of memory each, and look like
 * pages in use here.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK		512		/* pages of 4 KiB in a block */
#define BIT(n)		(1ULL << (n))

/* include/uapi/linux/kernel-page-flags.h */
#define KPF_LRU		BIT(5)
#define KPF_SLAB	BIT(7)
#define KPF_BUDDY	BIT(10)
#define KPF_MMAP	BIT(11)
#define KPF_ANON	BIT(12)
#define KPF_HUGE	BIT(17)
#define KPF_UNEVICTABLE	BIT(18)
#define KPF_HWPOISON	BIT(19)
#define KPF_NOPAGE	BIT(20)
#define KPF_OFFLINE	BIT(23)
#define KPF_PGTABLE	BIT(26)
#define KPF_RESERVED	BIT(32)

enum kind { FREE, MOVABLE, OFFLINE, OTHER, HOLE, KINDS };

static enum kind kind_of(uint64_t f)
{
	if (f & (KPF_NOPAGE))
		return HOLE;
	if (f & KPF_BUDDY)
		return FREE;
	if (f & KPF_OFFLINE)
		return OFFLINE;
	if (f & (KPF_SLAB | KPF_HUGE | KPF_PGTABLE | KPF_RESERVED |
		 KPF_HWPOISON | KPF_UNEVICTABLE))
		return OTHER;
	if (f & (KPF_LRU | KPF_MMAP | KPF_ANON))
		return MOVABLE;
	return OTHER;
}

static void set_fraction(const char *value)
{
	int fd = open("/proc/sys/vm/percpu_pagelist_high_fraction", O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		perror("blockmap: percpu_pagelist_high_fraction");
	close(fd);
}

/*
 * Lower the limit of the lists; each refresh then lets them decay by an eighth
 * or some 2000 pages. Nothing is allocated or moved.
 */
static void drain(void)
{
	char c;

	set_fraction("100000000");
	for (int i = 0; i < 60; i++) {
		int fd = open("/proc/sys/vm/stat_refresh", O_RDONLY);

		if (fd < 0 || read(fd, &c, 1) < 0)
			perror("blockmap: /proc/sys/vm/stat_refresh");
		close(fd);
	}
	set_fraction("0");
}

int main(int argc, char **argv)
{
	unsigned long hist[BLOCK + 1] = { 0 }, pages[KINDS] = { 0 };
	unsigned long free_blocks = 0, lru_blocks = 0, offline_blocks = 0;
	unsigned long mixed = 0, fixed = 0, blocks = 0, want = 0, pfn = 0;
	static uint64_t flags[BLOCK];
	int map = 0, fd;
	ssize_t n;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--map"))
			map = 1;
		else if (!strcmp(argv[i], "--drain"))
			drain();
		else
			want = strtoul(argv[i], NULL, 0);
	}
	fd = open("/proc/kpageflags", O_RDONLY);
	if (fd < 0) {
		perror("blockmap: /proc/kpageflags");
		return 1;
	}
	for (; (n = read(fd, flags, sizeof(flags))) > 0; pfn += BLOCK) {
		unsigned long k[KINDS] = { 0 };

		for (size_t i = 0; i < n / sizeof(flags[0]); i++)
			k[kind_of(flags[i])]++;
		if (k[HOLE] == (unsigned long)n / sizeof(flags[0]))
			continue;
		blocks++;
		for (int i = 0; i < KINDS; i++)
			pages[i] += k[i];
		if (map)
			printf("block %#lx free %lu movable %lu offline %lu other %lu\n",
			       pfn, k[FREE], k[MOVABLE],
			       k[OFFLINE], k[OTHER] + k[HOLE]);
		if (k[FREE] == BLOCK)
			free_blocks++;
		else if (k[MOVABLE] == BLOCK)
			lru_blocks++;
		else if (k[OFFLINE] == BLOCK)
			offline_blocks++;
		else if (k[OTHER] || k[HOLE] || k[OFFLINE])
			fixed++;
		else
			mixed++;
		if (k[FREE] + k[MOVABLE] == BLOCK)
			hist[k[MOVABLE]]++;
	}
	if (n < 0) {
		perror("blockmap: read");
		return 1;
	}
	printf("blocks %lu\nblocks_free %lu\nblocks_movable_full %lu\n"
	       "blocks_movable_part %lu\nblocks_offline %lu\n"
	       "blocks_other %lu\n", blocks, free_blocks, lru_blocks, mixed,
	       offline_blocks, fixed);
	printf("pages_free %lu\npages_movable %lu\npages_offline %lu\n"
	       "pages_other %lu\n", pages[FREE], pages[MOVABLE],
	       pages[OFFLINE], pages[OTHER]);
	if (want) {
		unsigned long moves = 0, left = want;

		for (unsigned long i = 0; i <= BLOCK && left; i++) {
			unsigned long take = hist[i] < left ? hist[i] : left;

			moves += take * i;
			left -= take;
		}
		printf("needed_moves %lu\nblocks_short %lu\n", moves, left);
	}
	return 0;
}
