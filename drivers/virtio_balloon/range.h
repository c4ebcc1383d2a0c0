/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs of pageblocks, built from blocks in the order of their addresses. No
 * kernel calls in here, so that the same code runs in the unit tests.
 */
#ifndef _BALLOON_RANGE_H
#define _BALLOON_RANGE_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <asm/page.h>
#else
#include <stdbool.h>
#define PAGE_SHIFT	12
#endif

/* As many as fit into one buffer of the reporting queue (32 descriptors). */
#define BALLOON_RANGES_MAX	32

/* A descriptor's length is 32 bits wide: stay below, with 1 GiB. */
#define BALLOON_RANGE_PAGES_MAX	(1UL << (30 - PAGE_SHIFT))

/**
 * struct balloon_range - neighbouring page frames
 * @pfn: the first page frame
 * @nr_pages: how many pages
 */
struct balloon_range {
	unsigned long pfn;
	unsigned long nr_pages;
};

/**
 * struct balloon_ranges - what one buffer carries
 * @nr: how many of @range are used
 * @range: disjoint, in the order of their addresses if they were added so
 */
struct balloon_ranges {
	unsigned int nr;
	struct balloon_range range[BALLOON_RANGES_MAX];
};

bool balloon_ranges_add(struct balloon_ranges *ranges, unsigned long pfn,
			unsigned long nr_pages);

#endif /* _BALLOON_RANGE_H */
