// SPDX-License-Identifier: GPL-2.0
/*
 * A complete driver whose pages can be migrated; see docs/DRIVER-GUIDE.md. Each
 * page is filled with its number; reading the file in debugfs looks whether all
 * still are, and replaces some. A page is on the list while nobody uses it.
 */
#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <ballast/driver_pages.h>

static unsigned int pages = 1024;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "How many pages to hold, if there are so many");

static struct pool {
	spinlock_t lock;	/* inside the page lock: callbacks have that */
	struct list_head idle;	/* page->lru is empty while a page is in use */
	struct address_space *mapping;
} the_pool = { .lock = __SPIN_LOCK_UNLOCKED(the_pool.lock),
	       .idle = LIST_HEAD_INIT(the_pool.idle) };

static void sample_give(struct pool *pool, struct page *page)
{
	guard(spinlock)(&pool->lock);
	list_add_tail(&page->lru, &pool->idle);
}

static struct page *sample_take(struct pool *pool)
{
	struct page *page;

	guard(spinlock)(&pool->lock);
	page = list_first_entry_or_null(&pool->idle, struct page, lru);
	if (page)
		list_del_init(&page->lru);
	return page;
}

static bool sample_isolate(struct address_space *mapping, struct page *page,
			   enum migrate_mode mode)
{
	struct pool *pool = driver_pages_private(mapping);

	guard(spinlock)(&pool->lock);
	if (list_empty(&page->lru))
		return false;
	list_del_init(&page->lru);	/* it is the kernel's from here on */
	return true;
}

static int sample_migrate(struct address_space *mapping, struct page *dst,
			  struct page *src, enum migrate_mode mode)
{
	copy_highpage(dst, src);
	set_page_private(dst, page_private(src));
	sample_give(driver_pages_private(mapping), dst);
	return 0;			/* src is forgotten, and not ours to free */
}

static void sample_putback(struct address_space *mapping, struct page *page,
			   enum migrate_mode mode)
{
	sample_give(driver_pages_private(mapping), page);
}

static const struct driver_page_ops sample_ops = {
	.isolate = sample_isolate,
	.migrate = sample_migrate,
	.putback = sample_putback,
};

static int sample_add(struct pool *pool)
{
	struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY);
	int err;

	if (!page)
		return -ENOMEM;
	set_page_private(page, page_to_pfn(page));	/* a number like any */
	memset_page(page, 0, page_private(page), PAGE_SIZE);
	INIT_LIST_HEAD(&page->lru);	/* in use as yet: isolate says no */
	err = driver_pages_mark(pool->mapping, page);
	if (err)
		__free_page(page);
	else
		sample_give(pool, page);
	return err;
}

/* The page is in use: isolated it is not, nor will be. Locked it may be. */
static void sample_free(struct pool *pool, struct page *page)
{
	lock_page(page);
	driver_pages_unmark_locked(pool->mapping, page);
	unlock_page(page);
	__free_page(page);
}

static int check_show(struct seq_file *m, void *unused)
{
	struct pool *pool = m->private;
	unsigned int bad = 0, n = pages;
	struct page *page;
	void *data;

	while (n-- && (page = sample_take(pool))) {
		data = kmap_local_page(page);
		bad += !!memchr_inv(data, page_private(page), PAGE_SIZE);
		kunmap_local(data);
		if (n % 8 || sample_add(pool))
			sample_give(pool, page);
		else
			sample_free(pool, page);
	}
	guard(spinlock)(&pool->lock);
	seq_printf(m, "idle %zu bad %u\n", list_count_nodes(&pool->idle), bad);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(check);

static void sample_exit(void)
{
	struct page *page;

	debugfs_lookup_and_remove(KBUILD_MODNAME, NULL);
	driver_pages_stop(the_pool.mapping);	/* all pages are back */
	while ((page = sample_take(&the_pool)))
		sample_free(&the_pool, page);
	driver_pages_unregister(the_pool.mapping);
}
module_exit(sample_exit);

static int __init sample_init(void)
{
	the_pool.mapping = driver_pages_register("sample", &sample_ops, &the_pool);
	if (IS_ERR(the_pool.mapping))
		return PTR_ERR(the_pool.mapping);
	for (unsigned int n = 0; n < pages && !sample_add(&the_pool); n++)
		;
	debugfs_create_file(KBUILD_MODNAME, 0400, NULL, &the_pool, &check_fops);
	return 0;
}
module_init(sample_init);

MODULE_DESCRIPTION("Sample driver with pages that can be migrated");
MODULE_LICENSE("GPL");
