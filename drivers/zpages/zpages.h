/* SPDX-License-Identifier: GPL-2.0 */
/*
 * zpages: what its files share
 */
#ifndef _ZPAGES_ZPAGES_H
#define _ZPAGES_ZPAGES_H

#include <linux/list.h>
#include <linux/llist.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <ballast/zpages.h>
#include "class.h"

/*
 * @class is fixed, so that whoever has a handle knows which lock to take; all
 * else is under that lock.
 */
struct zpages_object {
	struct zspage *zspage;
	u32 size;
	s16 maps;		/* readers, or -1: a writer */
	u8 idx;			/* in the zspage */
	u8 class;
};

/* A page of a zspage. */
struct zpages_page {
	struct page *page;
	u32 pins;		/* mapped objects on it */
};

/*
 * Some pages that are divided into objects of one size. Kept small: there may
 * be one for each page.
 */
struct zspage {
	struct zpages_class *class;
	union {
		struct list_head node;		/* in zpages_class.group */
		struct llist_node release;	/* in zpages_pool.release */
	};
	u32 used;
	struct zpages_object **object;	/* NULL: free; behind the pages */
	struct zpages_page page[];
};

struct zpages_class {
	spinlock_t lock;
	const struct zpages_shape *shape;
	struct zpages_pool *pool;
	struct list_head group[ZPAGES_GROUPS];	/* by zpages_fullness() */
	unsigned long zspages;
	unsigned long objects;
	unsigned long bytes;
	/* Since the pool was made. */
	unsigned long migrated;
	unsigned long busy;		/* not migrated: an object was mapped */
	unsigned long moved;
	unsigned long freed;
};

struct zpages_pool {
	char *name;
	struct address_space *mapping;
	struct shrinker *shrinker;
	struct dentry *debugfs;
	wait_queue_head_t unpinned;
	atomic_long_t pages;

	/* Empty zspages of which a page was locked when they were to be freed. */
	struct llist_head release;
	struct work_struct release_work;

	struct zpages_class class[];
};

extern struct zpages_classes zpages_classes;

void zpages_debugfs_init(void);
void zpages_debugfs_exit(void);
void zpages_debugfs_add(struct zpages_pool *pool);

void zpages_zpool_init(void);
void zpages_zpool_exit(void);

#endif /* _ZPAGES_ZPAGES_H */
