// SPDX-License-Identifier: GPL-2.0
#include "rank.h"

/**
 * rank_cost() - what it costs to empty a pageblock
 * @use: what it holds
 *
 * A page is a page: moving one of the LRU takes a page table walk, moving a
 * driver's page takes a callback, and neither is dearer by an order.
 *
 * Return: the number of pages to move, RANK_NEVER if it can't be emptied.
 */
u16 rank_cost(const struct block_use *use)
{
	if (use->unmovable || use->huge || use->balloon)
		return RANK_NEVER;
	return use->lru + use->driver;
}

/*
 * Free blocks are a class of their own; the others are in steps from the least
 * cost there is. Beyond the last step everything is equal: dear is dear.
 */
#define RANK_CLASSES	64

static u32 rank_class(u16 cost, u16 least)
{
	u32 class;

	if (!cost)
		return 0;
	class = 1 + (cost - least) / RANK_STEP;
	return class < RANK_CLASSES ? class : RANK_CLASSES - 1;
}

/**
 * rank_sort() - order pageblocks by cost, the cheapest first
 * @cost: the cost of each block
 * @nr_blocks: how many there are
 * @order: room for @nr_blocks indices
 *
 * A stable bucket sort: blocks of about the same cost stay in the order of
 * their addresses, so that neighbours can be emptied in one go. Steps begin at
 * the least cost, so that blocks that are all about alike are of one class.
 *
 * Return: how many indices @order holds; blocks that can't be emptied are left
 * out.
 */
u32 rank_sort(const u16 *cost, u32 nr_blocks, u32 *order)
{
	u32 first[RANK_CLASSES + 1] = { 0 };
	u16 least = RANK_NEVER;
	u32 i, n = 0;

	for (i = 0; i < nr_blocks; i++)
		if (cost[i] && cost[i] < least)
			least = cost[i];

	for (i = 0; i < nr_blocks; i++) {
		if (cost[i] == RANK_NEVER)
			continue;
		first[rank_class(cost[i], least) + 1]++;
		n++;
	}
	for (i = 1; i <= RANK_CLASSES; i++)
		first[i] += first[i - 1];
	for (i = 0; i < nr_blocks; i++)
		if (cost[i] != RANK_NEVER)
			order[first[rank_class(cost[i], least)]++] = i;
	return n;
}

/**
 * rank_still_good() - is a ranked block still as cheap as it was?
 * @now: its cost now
 * @then: its cost when it was ranked
 *
 * Pages moved out of one block land in others. A block that was filled in the
 * meantime waits for the next ranking; else pages would be moved twice.
 *
 * Return: true if it may be emptied on its old rank.
 */
bool rank_still_good(u16 now, u16 then)
{
	return now != RANK_NEVER && now <= then + RANK_STEP;
}
