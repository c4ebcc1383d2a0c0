// SPDX-License-Identifier: GPL-2.0
/*
 * Driver pages on a kernel whose core knows only struct movable_operations:
 * see driver_pages_glue.h.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#include "driver_pages_internal.h"

static struct address_space *driver_page_mapping(struct page *page)
{
	return &container_of(page_movable_ops(page), struct driver_mapping,
			     glue.mops)->mapping;
}

static bool driver_pages_isolate_page(struct page *page, isolate_mode_t mode)
{
	return driver_page_isolate(driver_page_mapping(page), page,
				   mode & ISOLATE_ASYNC_MIGRATE ?
				   MIGRATE_ASYNC : MIGRATE_SYNC_LIGHT);
}

static int driver_pages_migrate_page(struct page *dst, struct page *src,
				     enum migrate_mode mode)
{
	return driver_page_migrate(driver_page_mapping(src), dst, src, mode);
}

static void driver_pages_putback_page(struct page *page)
{
	driver_page_putback(driver_page_mapping(page), page, MIGRATE_ASYNC);
}

const struct movable_operations driver_pages_mops = {
	.isolate_page = driver_pages_isolate_page,
	.migrate_page = driver_pages_migrate_page,
	.putback_page = driver_pages_putback_page,
};

/* Is it marked, by one of ours? Under the page lock. */
static bool driver_page_is_ours(struct page *page)
{
	return __PageMovable(page) &&
	       page->mapping != DRIVER_PAGE_WAS_MARKED &&
	       page_movable_ops(page)->isolate_page == driver_pages_isolate_page;
}

/*
 * For tests only, what mm/migrate.c does with a page in isolate_movable_page(),
 * migrate_folio_move() and putback_movable_pages().
 */
bool driver_pages_core_isolate(struct page *page, enum migrate_mode mode)
{
	isolate_mode_t isolate_mode = 0;
	bool isolated;

	if (mode == MIGRATE_ASYNC)
		isolate_mode = ISOLATE_ASYNC_MIGRATE;
	if (!get_page_unless_zero(page))
		return false;
	if (!__PageMovable(page) || !trylock_page(page))
		goto put;
	isolated = driver_page_is_ours(page) && !PageIsolated(page) &&
		   driver_pages_isolate_page(page, isolate_mode);
	if (isolated)
		SetPageIsolated(page);
	unlock_page(page);
	if (isolated)
		return true;
put:
	put_page(page);
	return false;
}

int driver_pages_core_migrate(struct page *dst, struct page *src,
			      enum migrate_mode mode)
{
	int ret = 0;

	if (driver_page_is_ours(src))
		ret = driver_pages_migrate_page(dst, src, mode);
	if (!ret)
		ClearPageIsolated(src);
	return ret;
}

void driver_pages_core_putback(struct page *page, enum migrate_mode mode)
{
	lock_page(page);
	if (driver_page_is_ours(page))
		driver_pages_putback_page(page);
	ClearPageIsolated(page);
	unlock_page(page);
	put_page(page);
}
