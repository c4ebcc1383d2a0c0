// SPDX-License-Identifier: GPL-2.0
#include "frag.h"

static u64 pages_in(const struct balloon_free *free)
{
	unsigned int order;
	u64 pages = 0;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		pages += (u64)free->nr[order] << order;
	return pages;
}

/**
 * balloon_free_blocks() - how many allocations of an order would succeed
 * @free: the free areas
 * @order: the order, less than NR_PAGE_ORDERS
 *
 * Return: free blocks of the order, larger areas split.
 */
unsigned long balloon_free_blocks(const struct balloon_free *free,
				  unsigned int order)
{
	unsigned long blocks = 0;
	unsigned int o;

	for (o = order; o < NR_PAGE_ORDERS; o++)
		blocks += free->nr[o] << (o - order);
	return blocks;
}

/**
 * balloon_unusable_index() - how much of what is free is in pieces too small
 * @free: the free areas
 * @order: the order of what is to be allocated, less than NR_PAGE_ORDERS
 *
 * Return: 0 if all free memory can be had in this order, up to 1000 for none of
 * it, or if none is free.
 */
int balloon_unusable_index(const struct balloon_free *free, unsigned int order)
{
	u64 pages = pages_in(free);
	u64 usable = (u64)balloon_free_blocks(free, order) << order;

	if (!pages)
		return 1000;
	return div64_u64((pages - usable) * 1000, pages);
}

/**
 * balloon_frag_index() - why an allocation of an order would fail
 * @free: the free areas
 * @order: the order of what is to be allocated, less than NR_PAGE_ORDERS
 *
 * The kernel's index drops below 0 when the few free areas are nearly large
 * enough; that is 0 here.
 *
 * Return: near 0 for want of free memory, up to 1000 for it being in too many
 * pieces; BALLOON_FRAG_FITS if the allocation would not fail.
 */
int balloon_frag_index(const struct balloon_free *free, unsigned int order)
{
	u64 areas = 0, wanted;
	unsigned int o;

	if (balloon_free_blocks(free, order))
		return BALLOON_FRAG_FITS;
	for (o = 0; o < NR_PAGE_ORDERS; o++)
		areas += free->nr[o];
	if (!areas)
		return 0;

	/* Requests that free memory would do for, and one, per free area. */
	wanted = div64_u64(1000 + ((pages_in(free) * 1000) >> order), areas);
	return wanted < 1000 ? 1000 - wanted : 0;
}
