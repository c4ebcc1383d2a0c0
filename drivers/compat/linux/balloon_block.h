/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Balloon blocks on a kernel whose core does not have them.
 *
 * The patched kernel of guest-kernel/ brings a header of this name with the
 * same functions; it is then found first. Here they are built on what a stock
 * kernel exports to modules. The difference is cost, not meaning: a stock
 * kernel booted with init_on_alloc=1 zeroes each block although it is about to
 * leave the guest, and no module can stop it; nor can a module isolate one
 * block while it empties another, so that some pages are moved twice.
 */
#ifndef _COMPAT_LINUX_BALLOON_BLOCK_H
#define _COMPAT_LINUX_BALLOON_BLOCK_H

#include <linux/errno.h>
#include <linux/list.h>
#include <linux/mmzone.h>

unsigned int balloon_blocks_alloc(struct zone *zone, unsigned int nr,
				  struct list_head *blocks, bool account);
static inline int balloon_blocks_isolate(unsigned long start_pfn,
					 unsigned int nr)
{
	return -EOPNOTSUPP;
}

static inline void balloon_blocks_unisolate(unsigned long start_pfn,
					    unsigned int nr)
{
}

int balloon_blocks_evacuate(unsigned long start_pfn, unsigned int nr,
			    struct list_head *blocks, bool account);
void balloon_block_free(struct page *block, bool account);

#endif /* _COMPAT_LINUX_BALLOON_BLOCK_H */
