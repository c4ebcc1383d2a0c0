/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which pageblocks are the cheapest to empty? No kernel calls in here, so that
 * the same code runs in the unit tests.
 */
#ifndef _REGIOND_RANK_H
#define _REGIOND_RANK_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef uint16_t u16;
typedef uint32_t u32;
#endif

/**
 * struct block_use - what a pageblock holds, in pages
 * @free: free, or about to be
 * @lru: on the LRU lists
 * @driver: driver pages with migration callbacks
 * @huge: on the LRU lists, part of a folio as large as the block: it needs a
 *	free block to go to, or is split, so nothing is won by moving it
 * @balloon: part of a balloon block
 * @unmovable: anything else
 */
struct block_use {
	u16 free;
	u16 lru;
	u16 driver;
	u16 huge;
	u16 balloon;
	u16 unmovable;
};

/* The cost of a block that can't be emptied. */
#define RANK_NEVER	0xffff

/*
 * Costs that differ by less count as equal, so that neighbours can be emptied
 * together. It bounds what is moved beyond the least: of blocks with 64 pages each
 * at random, 4 % with 16, 16 % with 64. The runs that are saved by more are worth
 * less than that.
 */
#define RANK_STEP	16

u16 rank_cost(const struct block_use *use);
u32 rank_sort(const u16 *cost, u32 nr_blocks, u32 *order);
bool rank_still_good(u16 now, u16 then);

#endif /* _REGIOND_RANK_H */
