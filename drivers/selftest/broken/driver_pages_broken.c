// SPDX-License-Identifier: GPL-2.0
/*
 * The sample driver with a fault put in, so that one can see that the kit finds
 * it. Not for use on a machine that is needed.
 *
 * The faults are such as the kernel survives where it can: a page that the
 * driver would have lost is remembered here, and given back at the end.
 */
#include <linux/delay.h>
#include <linux/xarray.h>
#include <ballast/driver_pages.h>

static struct address_space *
broken_register(const char *name, const struct driver_page_ops *ops,
		void *private);
static void broken_stop(struct address_space *mapping);

#undef driver_pages_register
#define driver_pages_register	broken_register
#define driver_pages_stop	broken_stop
#include "../../sample/driver_pages_sample.c"
#undef driver_pages_stop

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "putback, list, lru, sleep, drop, errno, leak, copy, ref, old, error or unregister");

static DEFINE_XARRAY(lost);
static atomic_t migrations;
static struct page *stale;

static bool is_fault(const char *name)
{
	return !strcmp(fault, name);
}

static void lose(struct page *page)
{
	INIT_LIST_HEAD(&page->lru);
	xa_store(&lost, page_to_pfn(page), page, GFP_ATOMIC);
}

static bool broken_isolate(struct address_space *mapping, struct page *page,
			   enum migrate_mode mode)
{
	/* Says yes, and leaves the page on the list. */
	if (is_fault("list"))
		return !list_empty(&page->lru);
	return sample_ops.isolate(mapping, page, mode);
}

static int broken_migrate(struct address_space *mapping, struct page *dst,
			  struct page *src, enum migrate_mode mode)
{
	int n = atomic_inc_return(&migrations), err = EBUSY;

	if (is_fault("sleep") && n % 8 == 0)
		usleep_range(500, 1000);
	if (is_fault("errno") && n % 4 == 0)
		return err;
	if (is_fault("lru"))
		list_del_init(&src->lru);
	if (is_fault("drop")) {
		copy_highpage(dst, src);
		set_page_private(dst, page_private(src));
		lose(dst);
		return 0;
	}
	if (is_fault("error") && n % 4 == 0) {
		memset_page(src, 0, 0, PAGE_SIZE);
		return -EBUSY;
	}

	err = sample_ops.migrate(mapping, dst, src, mode);
	if (is_fault("old")) {
		if (stale)
			memset_page(stale, 0, 0, 8);
		stale = src;
	}
	if (is_fault("leak") && n % 10000 == 0)
		get_page(src);
	if (is_fault("ref"))
		get_page(dst);
	if (is_fault("copy"))
		clear_highpage(dst);
	return err;
}

static void broken_putback(struct address_space *mapping, struct page *page,
			   enum migrate_mode mode)
{
	if (is_fault("putback"))
		lose(page);
	else if (!is_fault("list"))
		sample_ops.putback(mapping, page, mode);
}

static const struct driver_page_ops broken_ops = {
	.isolate = broken_isolate,
	.migrate = broken_migrate,
	.putback = broken_putback,
};

static struct address_space *
broken_register(const char *name, const struct driver_page_ops *ops,
		void *private)
{
	return __driver_pages_register("broken", &broken_ops, private,
				       THIS_MODULE);
}

static void broken_stop(struct address_space *mapping)
{
	unsigned long pfn;
	struct page *page;

	driver_pages_stop(mapping);
	xa_for_each(&lost, pfn, page)
		sample_give(&the_pool, page);
	xa_destroy(&lost);
	/* Forgets all that it holds, and goes. */
	if (is_fault("unregister"))
		INIT_LIST_HEAD(&the_pool.idle);
}
