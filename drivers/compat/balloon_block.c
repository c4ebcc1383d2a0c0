// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon blocks on a stock kernel: see linux/balloon_block.h beside this file.
 */
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/page_ref.h>
#include <linux/balloon_block.h>

/*
 * Movable, because an allocation of any other mobility could turn a pageblock
 * of the movable kind into one of its own for good. Without __GFP_HIGHMEM even
 * a movable allocation stays out of ZONE_MOVABLE. No reclaim, no compaction:
 * who wants the block has made room, or does without.
 */
#define BALLOON_BLOCK_GFP	(__GFP_MOVABLE | __GFP_NOWARN | \
				 __GFP_NOMEMALLOC | __GFP_NORETRY | \
				 __GFP_THISNODE)

static void balloon_block_take(struct page *block, struct list_head *blocks,
			       bool account)
{
	unsigned long i;

	for (i = 0; i < pageblock_nr_pages; i++)
		__SetPageOffline(block + i);
	if (account)
		adjust_managed_page_count(block, -(long)pageblock_nr_pages);
	list_add_tail(&block->lru, blocks);
}

/*
 * Does the zone have free blocks on its lists of movable pages? Two of them,
 * since the allocator refills a CPU's list with two at a time. Read without
 * zone->lock: a wrong answer costs one failed allocation, or leaves a block for
 * later. What the question avoids is the allocator's fallback, which takes a
 * free block of another kind and changes the pageblock's type.
 */
static bool zone_has_movable_blocks(struct zone *zone)
{
	struct list_head *list;
	unsigned int order;

	for (order = NR_PAGE_ORDERS - 1; order > pageblock_order; order--) {
		list = &zone->free_area[order].free_list[MIGRATE_MOVABLE];
		if (!list_empty(list))
			return true;
	}
	list = &zone->free_area[pageblock_order].free_list[MIGRATE_MOVABLE];
	return !list_empty(list) && !list_is_singular(list);
}

static bool zone_has_cma(struct zone *zone)
{
#ifdef CONFIG_CMA
	return zone->cma_pages;
#else
	return false;
#endif
}

/**
 * balloon_blocks_alloc() - take free pageblocks out of the guest
 * @zone: where from; never ZONE_MOVABLE, since a balloon may keep them
 * @nr: how many pageblocks at the most
 * @blocks: the blocks are added to its tail, linked by page->lru
 * @account: take them out of the zone's managed pages, too
 *
 * Only what is free as a whole is taken, nothing is moved or reclaimed, and
 * the zone keeps its high watermark. Every page of a block is PageOffline, and
 * it is not a compound page. Who takes blocks bounds @nr, so that the call stays
 * short: a stock kernel may zero each of them.
 *
 * Context: Process context, may sleep.
 * Return: the number of pageblocks taken.
 */
unsigned int balloon_blocks_alloc(struct zone *zone, unsigned int nr,
				  struct list_head *blocks, bool account)
{
	gfp_t gfp = BALLOON_BLOCK_GFP;
	unsigned int taken;
	struct page *block;

	switch (zone_idx(zone)) {
#ifdef CONFIG_ZONE_DMA32
	case ZONE_DMA32:
		gfp |= __GFP_DMA32;
		break;
#endif
#ifdef CONFIG_ZONE_DMA
	case ZONE_DMA:
		gfp |= __GFP_DMA;
		break;
#endif
	case ZONE_NORMAL:
		break;
	default:
		return 0;
	}
	/* A movable allocation may come from CMA: leave that to evacuation. */
	if (zone_has_cma(zone))
		return 0;

	for (taken = 0; taken < nr; taken++) {
		if (zone_page_state(zone, NR_FREE_PAGES) <
		    high_wmark_pages(zone) + pageblock_nr_pages +
		    zone->lowmem_reserve[ZONE_NORMAL])
			break;
		if (!zone_has_movable_blocks(zone))
			break;
		block = alloc_pages_node(zone_to_nid(zone), gfp,
					 pageblock_order);
		if (!block)
			break;
		balloon_block_take(block, blocks, account);
		cond_resched();
	}
	return taken;
}
EXPORT_SYMBOL_GPL(balloon_blocks_alloc);

/*
 * alloc_contig_range() gives single pages. Hold them as one block, as
 * alloc_pages() would have given it: the references of the tail pages go. A
 * page that somebody just looks at keeps the block from being frozen: then not.
 */
static bool balloon_block_join(struct page *block)
{
	unsigned long i;

	for (i = 1; i < pageblock_nr_pages; i++) {
		if (page_ref_freeze(block + i, 1))
			continue;
		while (--i)
			page_ref_unfreeze(block + i, 1);
		return false;
	}
	return true;
}

/**
 * balloon_blocks_evacuate() - empty pageblocks and take them out of the guest
 * @start_pfn: the first page frame, aligned to a pageblock
 * @nr: how many pageblocks; all of one zone, online and of the movable type
 * @blocks: the blocks are added to its tail, linked by page->lru
 * @account: take them out of the zone's managed pages, too
 *
 * Pages in use are moved elsewhere, clean page cache may be dropped. The call
 * makes no room: the caller sees to it that @nr pageblocks of free memory are
 * there beyond the zone's high watermark, since what is free in an isolated
 * block does not count as free.
 *
 * Context: Process context, may sleep.
 * Return: 0, then the blocks are on the list, but for one that somebody still
 * looked at; -EBUSY if a page could not be moved, -ENOMEM if there was no place
 * to move one to, -EINTR on a fatal signal, and nothing was taken.
 */
int balloon_blocks_evacuate(unsigned long start_pfn, unsigned int nr,
			    struct list_head *blocks, bool account)
{
	unsigned long end_pfn = start_pfn + nr * pageblock_nr_pages;
	unsigned long pfn;
	int err;

	err = alloc_contig_range(start_pfn, end_pfn, MIGRATE_MOVABLE,
				 __GFP_IO | __GFP_FS | __GFP_NOWARN);
	if (err)
		return err;

	for (pfn = start_pfn; pfn < end_pfn; pfn += pageblock_nr_pages) {
		struct page *block = pfn_to_page(pfn);

		if (balloon_block_join(block))
			balloon_block_take(block, blocks, account);
		else
			free_contig_range(pfn, pageblock_nr_pages);
		cond_resched();
	}
	return 0;
}
EXPORT_SYMBOL_GPL(balloon_blocks_evacuate);

/**
 * balloon_block_free() - give a pageblock back to the guest
 * @block:	its first page, from one of the functions above, on no list
 * @account:	whether it was taken out of the zone's managed pages
 *
 * Context: Any context but hard interrupts and NMI.
 */
void balloon_block_free(struct page *block, bool account)
{
	bool poisoned = false;
	unsigned long i;

	for (i = 0; i < pageblock_nr_pages; i++) {
		__ClearPageOffline(block + i);
		poisoned |= PageHWPoison(block + i);
	}
	if (account)
		adjust_managed_page_count(block, pageblock_nr_pages);
	if (likely(!poisoned)) {
		__free_pages(block, pageblock_order);
		return;
	}

	/* Only a single page is kept back for being poisoned. */
	split_page(block, pageblock_order);
	for (i = 0; i < pageblock_nr_pages; i++)
		__free_page(block + i);
}
EXPORT_SYMBOL_GPL(balloon_block_free);
