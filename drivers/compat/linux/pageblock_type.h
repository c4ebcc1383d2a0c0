/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The type of a pageblock, read by a module.
 *
 * get_pfnblock_flags_mask() is not exported by any kernel, the bitmap that it
 * reads is within reach. Reading it needs no lock: the three bits of a
 * pageblock never straddle a word, and a type that is just being changed is
 * stale a moment later under zone->lock, too.
 */
#ifndef _COMPAT_LINUX_PAGEBLOCK_TYPE_H
#define _COMPAT_LINUX_PAGEBLOCK_TYPE_H

#include <linux/mmzone.h>
#include <linux/pageblock-flags.h>

/**
 * pageblock_type() - the migratetype of the pageblock that holds a page
 * @pfn: a page frame that pfn_to_online_page() knows
 *
 * Return: an enum migratetype.
 */
static inline int pageblock_type(unsigned long pfn)
{
	unsigned long *map, bit, word;

#ifdef CONFIG_SPARSEMEM
	map = section_to_usemap(__pfn_to_section(pfn));
	pfn &= PAGES_PER_SECTION - 1;
#else
	struct zone *zone = page_zone(pfn_to_page(pfn));

	map = zone->pageblock_flags;
	pfn -= pageblock_start_pfn(zone->zone_start_pfn);
#endif
	bit = (pfn >> pageblock_order) * NR_PAGEBLOCK_BITS;
	word = READ_ONCE(map[bit / BITS_PER_LONG]);
	return (word >> (bit & (BITS_PER_LONG - 1))) &
	       (BIT(PB_migratetype_bits) - 1);
}

#endif /* _COMPAT_LINUX_PAGEBLOCK_TYPE_H */
