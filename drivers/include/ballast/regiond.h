/* SPDX-License-Identifier: GPL-2.0 */
/*
 * regiond - empty lightly filled pageblocks for somebody who wants them whole
 */
#ifndef _BALLAST_REGIOND_H
#define _BALLAST_REGIOND_H

#include <linux/list.h>
#include <linux/mmzone.h>
#include <linux/types.h>

struct regiond_user;

/**
 * struct regiond_user_ops - what the user of regiond answers
 * @stop: called by the worker between two runs of pageblocks: true, and the
 *	rest of the request is dropped. Optional. Context: the node's worker,
 *	may sleep, must not call regiond.
 */
struct regiond_user_ops {
	bool (*stop)(struct regiond_user *user);
};

/**
 * struct regiond_user - somebody who asks for pageblocks
 * @ops: see &struct regiond_user_ops
 * @account: take won blocks out of their zone's managed pages
 *
 * The user embeds it and sets both before its first request.
 */
struct regiond_user {
	const struct regiond_user_ops *ops;
	bool account;
};

/**
 * struct regiond_result - what became of a request
 * @asked: pageblocks that were chosen and tried
 * @won: pageblocks emptied and handed over
 * @moved: pages that were in use in the pageblocks won
 * @failed: pageblocks given up because a page in them could not be moved
 * @nomem: the request ended early because there was no room to move pages to
 * @stopped: the request ended early because @stop said so
 */
struct regiond_result {
	unsigned int asked;
	unsigned int won;
	unsigned long moved;
	unsigned int failed;
	bool nomem;
	bool stopped;
};

int regiond_evacuate(struct regiond_user *user, struct zone *zone,
		     unsigned int nr_blocks, struct list_head *blocks,
		     struct regiond_result *result);
int regiond_empty_region(struct regiond_user *user, unsigned long start_pfn,
			 unsigned long nr_pages, struct list_head *blocks,
			 struct regiond_result *result);

#endif /* _BALLAST_REGIOND_H */
