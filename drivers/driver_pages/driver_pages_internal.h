/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Driver pages: what driver_pages.c, its test interface and the core of the
 * kernel at hand share.
 */
#ifndef _DRIVER_PAGES_INTERNAL_H
#define _DRIVER_PAGES_INTERNAL_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/driver_pages.h>
#include <linux/driver_pages_test.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/page-flags.h>
#include <linux/percpu-refcount.h>
#include <linux/refcount.h>

#include "driver_pages_glue.h"

#define DRIVER_PAGES_NAME_LEN	32
/* So many pages of a mapping can be timed at once. */
#define DRIVER_PAGES_TIMERS	512

enum driver_pages_counter {
	DP_MARKED,
	DP_ISOLATED,
	DP_REFUSED,
	DP_MIGRATED,
	DP_PUT_BACK,
	DP_RELEASED,
	DP_RETRIED,
	DP_FAILED,
	DP_COUNTERS,
};

struct driver_pages_counters {
	unsigned long nr[DP_COUNTERS];
};

struct driver_pages_timer {
	struct page *page;
	u64 start;
};

/* What driver_pages_register() makes, and a mapping is a part of. */
struct driver_mapping {
	struct address_space mapping;
	struct driver_pages_glue glue;
	const struct driver_page_ops *ops;
	struct driver_pages_counters __percpu *counters;

	/* One for each isolated page and for each mark under way. */
	struct percpu_ref users;
	struct completion idle;		/* no users, nor will there be any */
	unsigned long stopped;

	char name[DRIVER_PAGES_NAME_LEN];
	char owner_name[MODULE_NAME_LEN];
	struct module *owner;		/* NULL once it is abandoned */
	struct module *test_owner;	/* that tests hold on to */
	bool abandoned;			/* unregistered with pages marked */
	struct list_head node;		/* these four: driver_pages_lock */
	refcount_t refs;		/* the registration's, and tests' */

	atomic64_t longest;		/* in ns */
	atomic_long_t errors[EHWPOISON + 1];
	struct driver_pages_timer timers[DRIVER_PAGES_TIMERS];
};

extern struct list_head driver_mappings;
extern struct mutex driver_pages_lock;

static inline struct driver_mapping *
to_driver_mapping(struct address_space *mapping)
{
	return container_of(mapping, struct driver_mapping, mapping);
}

/* page->mapping of a page that is marked with @dm. */
static inline struct address_space *driver_page_tag(struct driver_mapping *dm)
{
	return (void *)((unsigned long)driver_pages_pointer(dm) |
			PAGE_MAPPING_MOVABLE);
}

/*
 * page->mapping of a page that was unmarked while it was isolated, or has
 * moved: the core still has to see that it is not one of the LRU.
 */
#define DRIVER_PAGE_WAS_MARKED	((struct address_space *)PAGE_MAPPING_MOVABLE)

void driver_mapping_put(struct driver_mapping *dm);

#endif /* _DRIVER_PAGES_INTERNAL_H */
