// SPDX-License-Identifier: GPL-2.0
/*
 * Driver pages: what a test needs to do by hand what the core does
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/string.h>

#include "driver_pages_internal.h"

/**
 * driver_pages_test_get() - find a mapping and hold on to it
 * @name: that it was registered under
 *
 * Its owner can't be unloaded. It can still be unregistered: then no page is
 * marked with it any more, and its counters stay readable.
 *
 * Context: Process context, may sleep.
 * Return: the mapping; or an ERR_PTR(), -ENOENT if there is none, -ENODEV if its
 * owner is being unloaded.
 */
struct address_space *driver_pages_test_get(const char *name)
{
	struct address_space *ret = ERR_PTR(-ENOENT);
	struct driver_mapping *dm;

	mutex_lock(&driver_pages_lock);
	list_for_each_entry(dm, &driver_mappings, node) {
		if (dm->abandoned || strcmp(dm->name, name))
			continue;
		if (!try_module_get(dm->owner)) {
			ret = ERR_PTR(-ENODEV);
			break;
		}
		refcount_inc(&dm->refs);
		/* dm->owner is gone if it is abandoned meanwhile. */
		dm->test_owner = dm->owner;
		ret = &dm->mapping;
		break;
	}
	mutex_unlock(&driver_pages_lock);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_get, DRIVER_PAGES_TEST);

/**
 * driver_pages_test_put() - let go of a mapping
 * @mapping: from driver_pages_test_get()
 *
 * Context: Process context, may sleep.
 */
void driver_pages_test_put(struct address_space *mapping)
{
	struct driver_mapping *dm = to_driver_mapping(mapping);

	module_put(dm->test_owner);
	driver_mapping_put(dm);
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_put, DRIVER_PAGES_TEST);

static unsigned long memory_end_pfn(void)
{
	unsigned long end = 0;
	int nid;

	for_each_online_node(nid)
		end = max(end, node_end_pfn(nid));
	return end;
}

/**
 * driver_pages_test_next() - the next page that is marked with a mapping
 * @mapping: from driver_pages_test_get()
 * @pfn: where to start; on success set to the page frame after the page
 *
 * Walks over all of the memory, without locks: what is marked and unmarked
 * meanwhile may or may not be found.
 *
 * Context: Process context, may sleep.
 * Return: the page, with a reference for the caller, or NULL: no more of them.
 */
struct page *driver_pages_test_next(struct address_space *mapping,
				    unsigned long *pfn)
{
	struct address_space *tag = driver_page_tag(to_driver_mapping(mapping));
	unsigned long end = memory_end_pfn();
	unsigned long i;

	for (i = *pfn; i < end; i++) {
		struct page *page = pfn_to_online_page(i);

		if (!(i % pageblock_nr_pages))
			cond_resched();
		if (!page) {
			i |= pageblock_nr_pages - 1;
			continue;
		}
		if (READ_ONCE(page->mapping) != tag ||
		    !get_page_unless_zero(page))
			continue;
		if (READ_ONCE(page->mapping) == tag) {
			*pfn = i + 1;
			return page;
		}
		put_page(page);
	}
	return NULL;
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_next, DRIVER_PAGES_TEST);

/**
 * driver_pages_test_isolate() - isolate a page, as compaction does
 * @page: the caller holds a reference, or knows in another way that it is there
 * @mode: for the callback; see &struct driver_page_ops for what it gets
 *
 * Context: Process context; may sleep if @mode allows that.
 * Return: true, and the page is isolated, with a reference that
 * driver_pages_test_migrate() or driver_pages_test_putback() drops. The core
 * holds no other: a caller who has one should drop it now. False: not marked,
 * isolated by somebody else, locked at the moment, or refused by the driver.
 */
bool driver_pages_test_isolate(struct page *page, enum migrate_mode mode)
{
	return driver_pages_core_isolate(page, mode);
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_isolate, DRIVER_PAGES_TEST);

/**
 * driver_pages_test_migrate() - move an isolated page, as migrate_pages() does
 * @dst: a fresh page, with the caller's reference, not locked
 * @src: isolated by the caller, not locked
 * @mode: for the callback; if it is MIGRATE_ASYNC, the page lock is only tried
 *
 * Context: Process context; may sleep if @mode allows that.
 * Return: 0: moved, and the caller's references to both pages are gone. 1: the
 * driver released the page meanwhile; the reference to @src is gone, @dst is
 * still the caller's. Errors are from the callback, and -EAGAIN also is for a
 * page that is locked: @src is still isolated, @dst is still the caller's.
 */
int driver_pages_test_migrate(struct page *dst, struct page *src,
			      enum migrate_mode mode)
{
	bool released;
	int ret;

	set_page_private(dst, 0);
	if (!trylock_page(src)) {
		if (mode == MIGRATE_ASYNC)
			return -EAGAIN;
		lock_page(src);
	}
	if (!trylock_page(dst)) {
		unlock_page(src);
		return -EAGAIN;
	}

	released = src->mapping == DRIVER_PAGE_WAS_MARKED;
	ret = driver_pages_core_migrate(dst, src, mode);

	unlock_page(dst);
	if (!ret && !released)
		put_page(dst);
	unlock_page(src);
	if (!ret)
		put_page(src);
	return released ? 1 : ret;
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_migrate, DRIVER_PAGES_TEST);

/**
 * driver_pages_test_putback() - put an isolated page back, as the core does
 * @page: isolated by the caller, not locked, on no list; its reference is dropped
 * @mode: for the callback; see &struct driver_page_ops for what it gets
 *
 * Context: Process context, may sleep.
 */
void driver_pages_test_putback(struct page *page, enum migrate_mode mode)
{
	driver_pages_core_putback(page, mode);
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_putback, DRIVER_PAGES_TEST);
