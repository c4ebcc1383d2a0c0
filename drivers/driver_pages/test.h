/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Driver pages: what a test needs to do by hand what the core does
 *
 * For KUnit and the conformance kit, not for drivers: the symbols are in the
 * namespace DRIVER_PAGES_TEST.
 */
#ifndef _LINUX_DRIVER_PAGES_TEST_H
#define _LINUX_DRIVER_PAGES_TEST_H

#include <linux/errno.h>
#include <linux/migrate_mode.h>
#include <linux/types.h>

struct address_space;
struct page;

/**
 * struct driver_pages_stats - the counters of a mapping, summed up
 *
 * @marked: pages that are marked now
 * @isolated: how often a page was isolated
 * @refused: how often the driver did not let a page be isolated
 * @migrated: isolations that ended with the page moved
 * @put_back: isolations that ended with the page put back
 * @released: isolations that ended with the driver unmarking the page
 * @retried: how often @migrate answered -EAGAIN
 * @failed: how often it answered another error
 * @longest_us: the longest time from an isolation to its end
 * @errors: how often it answered which error; index 0 holds the unknown ones
 *
 * Pages isolated now: @isolated - @migrated - @put_back - @released.
 */
struct driver_pages_stats {
	u64 marked;
	u64 isolated;
	u64 refused;
	u64 migrated;
	u64 put_back;
	u64 released;
	u64 retried;
	u64 failed;
	u64 longest_us;
	u64 errors[EHWPOISON + 1];
};

struct address_space *driver_pages_test_get(const char *name);
void driver_pages_test_put(struct address_space *mapping);
struct page *driver_pages_test_next(struct address_space *mapping,
				    unsigned long *pfn);
bool driver_pages_test_isolate(struct page *page, enum migrate_mode mode);
int driver_pages_test_migrate(struct page *dst, struct page *src,
			      enum migrate_mode mode);
void driver_pages_test_putback(struct page *page, enum migrate_mode mode);
void driver_pages_test_stats(struct address_space *mapping,
			     struct driver_pages_stats *stats);

#endif /* _LINUX_DRIVER_PAGES_TEST_H */
