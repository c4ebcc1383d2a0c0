/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How fragmented free memory is, from the lengths of its free lists. The two
 * indices are those of mm/vmstat.c, for any set of zones. No kernel calls in
 * here, so that the same code runs in the unit tests.
 */
#ifndef _BALLOON_FRAG_H
#define _BALLOON_FRAG_H

#ifdef __KERNEL__
#include <linux/math64.h>
#include <linux/mmzone.h>
#else
#include <stdint.h>
#define u64			uint64_t
#define div64_u64(a, b)		((u64)(a) / (b))
#define NR_PAGE_ORDERS		11
#endif

/* What balloon_frag_index() says if a request would not fail. */
#define BALLOON_FRAG_FITS	(-1)

/**
 * struct balloon_free - free memory by the size of its pieces
 * @nr: how many free areas there are of each order
 */
struct balloon_free {
	unsigned long nr[NR_PAGE_ORDERS];
};

unsigned long balloon_free_blocks(const struct balloon_free *free,
				  unsigned int order);
int balloon_unusable_index(const struct balloon_free *free, unsigned int order);
int balloon_frag_index(const struct balloon_free *free, unsigned int order);

#endif /* _BALLOON_FRAG_H */
