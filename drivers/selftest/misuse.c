// SPDX-License-Identifier: GPL-2.0
/*
 * The conformance kit: what the framework answers to bad use.
 *
 * Each call must give the errno that its documentation says, and change
 * nothing: neither the page nor the counter of marked pages. The mappings, and
 * a driver that has nothing but them, are the kit's own.
 */
#include <linux/delay.h>
#include <linux/driver_pages.h>
#include <linux/driver_pages_test.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_ref.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "selftest.h"

#define NAME		"selftest"
#define OTHER_NAME	"selftest-other"
#define NAME_31		"abcdefghijklmnopqrstuvwxyz-2345"
#define ROUNDS		20
#define ROUND_PAGES	128

static struct seq_file *out;
static int number;
static bool callbacks_allowed, callback_was_called_late;

static void result(bool good, const char *what, long got, long want)
{
	seq_printf(out, "%sok %d - %s\n", good ? "" : "not ", ++number, what);
	if (!good)
		seq_printf(out, "# got %ld, want %ld\n", got, want);
}

static void is(const char *what, long got, long want)
{
	result(got == want, what, got, want);
}

/* --- a driver that keeps its pages in a table */

static struct page *table[ROUND_PAGES];
static DEFINE_SPINLOCK(table_lock);
static atomic_t moved;
static DECLARE_WAIT_QUEUE_HEAD(moved_wait);

static int nop_migrate(struct address_space *mapping, struct page *dst,
		       struct page *src, enum migrate_mode mode)
{
	if (!READ_ONCE(callbacks_allowed))
		WRITE_ONCE(callback_was_called_late, true);
	guard(spinlock)(&table_lock);
	if (table[page_private(src)] == src) {
		table[page_private(src)] = dst;
		set_page_private(dst, page_private(src));
		if (atomic_inc_return(&moved) == ROUND_PAGES)
			wake_up(&moved_wait);
		return 0;
	}
	return -ENOENT;
}

/* All that may be left out is. */
static const struct driver_page_ops nop_ops = {
	.migrate = nop_migrate,
};

static const struct driver_page_ops no_ops = { };

static struct address_space *attempt(const char *name,
				     const struct driver_page_ops *ops)
{
	struct address_space *m = driver_pages_register(name, ops, NULL);

	if (!IS_ERR(m))
		driver_pages_unregister(m);
	return m;
}

static void misuse_register(void)
{
	struct address_space *m;

	is("register: no name", PTR_ERR(attempt(NULL, &nop_ops)), -EINVAL);
	is("register: an empty name", PTR_ERR(attempt("", &nop_ops)), -EINVAL);
	is("register: white space in the name",
	   PTR_ERR(attempt("a b", &nop_ops)), -EINVAL);
	is("register: a name of 32 characters",
	   PTR_ERR(attempt(NAME_31 "6", &nop_ops)), -EINVAL);
	result(!IS_ERR(attempt(NAME_31, &nop_ops)),
	       "register: a name of 31 characters is fine", 0, 0);
	is("register: no ops", PTR_ERR(attempt("x", NULL)), -EINVAL);
	is("register: no migrate callback",
	   PTR_ERR(attempt("x", &no_ops)), -EINVAL);
	is("register: a name that is taken",
	   PTR_ERR(attempt(NAME, &nop_ops)), -EEXIST);

	preempt_disable();
	m = driver_pages_register("x", &nop_ops, NULL);
	preempt_enable();
	if (IS_ENABLED(CONFIG_PREEMPT_COUNT))
		is("register: in atomic context", PTR_ERR(m), -EWOULDBLOCK);
	local_irq_disable();
	m = driver_pages_register("x", &nop_ops, NULL);
	local_irq_enable();
	is("register: with interrupts off", PTR_ERR(m), -EWOULDBLOCK);
}

/* --- pages that can't be marked */

static u64 marked(struct address_space *mapping)
{
	struct driver_pages_stats *stats = kzalloc(sizeof(*stats), GFP_KERNEL);
	u64 n = 0;

	if (stats) {
		driver_pages_test_stats(mapping, stats);
		n = stats->marked;
	}
	kfree(stats);
	return n;
}

/* A call for a page has the wanted answer, and none but that. */
static void refuses(const char *what, struct address_space *mapping,
		    struct page *page,
		    int (*call)(struct address_space *, struct page *),
		    int want)
{
	struct page copy = {}, now = {};
	u64 n = marked(mapping);
	int got;

	if (page)
		copy = *page;
	got = call(mapping, page);
	is(what, got, want);
	if (page)
		now = *page;
	if (marked(mapping) != n || copy.mapping != now.mapping ||
	    copy.flags != now.flags || copy.private != now.private ||
	    page_ref_count(&copy) != page_ref_count(&now)) {
		seq_printf(out, "# flags %lx, were %lx; count %d, was %d; mapping is %s\n",
			   now.flags, copy.flags, page_ref_count(&now),
			   page_ref_count(&copy),
			   now.mapping == copy.mapping ? "the same" : "another");
		result(false, "    and nothing else happens", 0, 0);
	}
}

/* Of a file in memory; it is on the LRU once a batch of others has come, too. */
static struct page *get_lru_page(struct file *file)
{
	struct page *page;

	for (int i = 0; i < SZ_1M / PAGE_SIZE; i++) {
		page = shmem_read_mapping_page(file->f_mapping, i);
		if (IS_ERR(page))
			return NULL;
		put_page(page);
	}
	page = shmem_read_mapping_page(file->f_mapping, 0);
	return IS_ERR(page) ? NULL : page;
}

/*
 * Compaction may be at it: then the page is off the LRU, or locked, for a moment.
 * It isn't moved, since we have a reference.
 */
static int until_on_lru(struct address_space *mapping, struct page *page,
			int (*call)(struct address_space *, struct page *),
			int want)
{
	int got = -EIO;

	for (int i = 0; i < 1000 && got != want; i++) {
		if (i)
			usleep_range(500, 1000);
		if (PageLRU(page))
			got = call(mapping, page);
	}
	return got;
}

static void misuse_lru(struct address_space *mapping)
{
	struct file *file = shmem_file_setup(NAME, SZ_1M, 0);
	struct page *page;

	if (IS_ERR(file)) {
		result(false, "a file in memory", PTR_ERR(file), 0);
		return;
	}
	page = get_lru_page(file);
	if (page) {
		is("mark: a page on the LRU", until_on_lru(mapping, page,
			driver_pages_mark, -EINVAL), -EINVAL);
		is("unmark: a page on the LRU", until_on_lru(mapping, page,
			driver_pages_unmark, -ENOENT), -ENOENT);
		result(page->mapping == file->f_mapping && !marked(mapping),
		       "a page on the LRU: nothing else happens",
		       marked(mapping), 0);
		put_page(page);
	}
	fput(file);
}

static void misuse_pages(struct address_space *mapping,
			 struct address_space *other)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct page *large = alloc_pages(GFP_KERNEL | __GFP_COMP, 1);
	struct kmem_cache *cache = kmem_cache_create(NAME, 256, 0,
						     SLAB_NO_MERGE, NULL);
	void *object = cache ? kmem_cache_alloc(cache, GFP_KERNEL) : NULL;
	struct address_space *foreign = kzalloc(sizeof(*foreign), GFP_KERNEL);

	if (!page || !large || !object || !foreign)
		goto out;

	refuses("mark: no page", mapping, NULL, driver_pages_mark, -EINVAL);
	refuses("mark: a page of order 1", mapping, large, driver_pages_mark,
		-EINVAL);
	refuses("mark: the second half of a page of order 1", mapping,
		large + 1, driver_pages_mark, -EINVAL);
	is("a page that nobody holds", page_ref_freeze(page, 1), true);
	refuses("mark: a page that nobody holds", mapping, page,
		driver_pages_mark, -EINVAL);
	page_ref_unfreeze(page, 1);
	__SetPageTable(page);
	refuses("mark: a page table", mapping, page, driver_pages_mark,
		-EINVAL);
	__ClearPageTable(page);
	refuses("mark: a slab page", mapping, virt_to_head_page(object),
		driver_pages_mark, -EINVAL);
	refuses("mark: a reserved page", mapping, ZERO_PAGE(0),
		driver_pages_mark, -EINVAL);
	misuse_lru(mapping);
	is("mark: no mapping", driver_pages_mark(NULL, page), -EINVAL);
	is("mark: an address_space of somebody else's",
	   driver_pages_mark(foreign, page), -EINVAL);

	page->mapping = foreign;
	refuses("mark: a page whose mapping is used", mapping, page,
		driver_pages_mark, -EBUSY);
	page->mapping = NULL;

	lock_page(page);
	refuses("mark: a page that is locked", mapping, page,
		driver_pages_mark, -EAGAIN);
	unlock_page(page);

	refuses("unmark: a page that is not marked", mapping, page,
		driver_pages_unmark, -ENOENT);
	refuses("unmark: a slab page", mapping, virt_to_head_page(object),
		driver_pages_unmark, -ENOENT);
	refuses("unmark: no page", mapping, NULL, driver_pages_unmark, -EINVAL);

	preempt_disable();
	is("mark: may be called in atomic context",
	   driver_pages_mark(mapping, page), 0);
	preempt_enable();
	is("mark: is counted", marked(mapping), 1);
	refuses("mark: a page that is marked", mapping, page,
		driver_pages_mark, -EEXIST);
	refuses("mark: a page that is marked with another mapping", other,
		page, driver_pages_mark, -EEXIST);
	refuses("unmark: a page of another mapping", other, page,
		driver_pages_unmark, -ENOENT);

	lock_page(page);
	refuses("unmark: a page that is locked", mapping, page,
		driver_pages_unmark, -EAGAIN);
	is("unmark_locked: a page that is locked",
	   driver_pages_unmark_locked(mapping, page), 0);
	unlock_page(page);
	is("unmark: is counted", marked(mapping), 0);
	result(!page->mapping && page_ref_count(page) == 1,
	       "unmark: the page is as before", page_ref_count(page), 1);
out:
	kfree(foreign);
	if (object)
		kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
	if (large)
		__free_pages(large, 1);
	if (page)
		__free_page(page);
}

/* A page that the driver frees while it is isolated. */
static void misuse_release(struct address_space *mapping)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct page *dst = alloc_page(GFP_KERNEL);

	if (!page || !dst)
		goto out;
	for (int i = 0; i < 2; i++) {
		set_page_private(page, 0);
		is("release: mark", driver_pages_mark(mapping, page), 0);
		is("release: isolate",
		   driver_pages_test_isolate(page, MIGRATE_ASYNC), true);
		is("release: it can't be isolated twice",
		   driver_pages_test_isolate(page, MIGRATE_ASYNC), false);
		is("release: unmark it while it is isolated",
		   driver_pages_unmark(mapping, page), 0);
		is("release: it is no longer marked",
		   driver_pages_unmark(mapping, page), -ENOENT);
		is("release: it can't be marked before it is back",
		   driver_pages_mark(mapping, page), -EBUSY);
		if (i)
			is("release: it isn't migrated",
			   driver_pages_test_migrate(dst, page, MIGRATE_SYNC),
			   1);
		else
			driver_pages_test_putback(page, MIGRATE_SYNC);
		is("release: the references are the driver's",
		   page_ref_count(page) + page_ref_count(dst), 2);
	}
out:
	if (dst)
		__free_page(dst);
	if (page)
		__free_page(page);
}

/* --- the end of a mapping */

static void misuse_unregister(void)
{
	struct address_space *mapping, *test;
	struct page *page = alloc_page(GFP_KERNEL);
	int err;

	is("unregister: what is no mapping", driver_pages_unregister(NULL),
	   -EINVAL);
	mapping = driver_pages_register("selftest-end", &nop_ops, NULL);
	if (IS_ERR(mapping) || !page) {
		result(false, "a mapping and a page are to be had", 0, 0);
		goto out;
	}
	is("unregister: mark a page", driver_pages_mark(mapping, page), 0);

	preempt_disable();
	err = driver_pages_unregister(mapping);
	preempt_enable();
	if (IS_ENABLED(CONFIG_PREEMPT_COUNT))
		is("unregister: in atomic context", err, -EWOULDBLOCK);
	preempt_disable();
	err = driver_pages_stop(mapping);
	preempt_enable();
	if (IS_ENABLED(CONFIG_PREEMPT_COUNT))
		is("stop: in atomic context", err, -EWOULDBLOCK);
	is("stop: and then the page can be isolated as before",
	   driver_pages_test_isolate(page, MIGRATE_SYNC), true);
	driver_pages_test_putback(page, MIGRATE_SYNC);
	is("stop: what is no mapping", driver_pages_stop(NULL), -EINVAL);
	is("stop", driver_pages_stop(mapping), 0);
	is("stop: twice", driver_pages_stop(mapping), 0);
	is("stop: the page is still marked", marked(mapping), 1);
	is("stop: it can't be isolated",
	   driver_pages_test_isolate(page, MIGRATE_SYNC), false);
	is("unregister: pages are marked", driver_pages_unregister(mapping),
	   -EBUSY);
	is("unregister: they still are", marked(mapping), 1);
	is("unregister: they can't be isolated",
	   driver_pages_test_isolate(page, MIGRATE_SYNC), false);
	test = driver_pages_test_get("selftest-end");
	is("unregister: the name is free", PTR_ERR_OR_ZERO(test), -ENOENT);
	if (!IS_ERR(test))
		driver_pages_test_put(test);
	is("unregister: they can be unmarked", driver_pages_unmark(mapping, page),
	   0);
	is("mark: after stop", driver_pages_mark(mapping, page), -ESHUTDOWN);
	is("unregister: once no page is", driver_pages_unregister(mapping), 0);
out:
	if (page)
		__free_page(page);
}

/* --- unregister while pages are isolated and moved on other CPUs */

static int mover(void *mapping)
{
	unsigned long pfn = 0;

	while (!kthread_should_stop()) {
		struct page *page = driver_pages_test_next(mapping, &pfn);
		struct page *dst;
		int ret = -ENOMEM;

		cond_resched();
		if (!page) {
			pfn = 0;
			continue;
		}
		put_page(page);
		if (!driver_pages_test_isolate(page, MIGRATE_SYNC))
			continue;
		dst = alloc_page(GFP_KERNEL);
		if (dst)
			ret = driver_pages_test_migrate(dst, page, MIGRATE_SYNC);
		if (ret < 0)
			driver_pages_test_putback(page, MIGRATE_SYNC);
		if (ret && dst)
			put_page(dst);
	}
	return 0;
}

/* As a driver does that frees a page while it may be moved. */
static void table_free(struct address_space *mapping, int i)
{
	struct page *page;
	int err;

	do {
		spin_lock(&table_lock);
		page = table[i];
		err = page ? driver_pages_unmark(mapping, page) : 0;
		if (!err)
			table[i] = NULL;
		spin_unlock(&table_lock);
		cond_resched();
	} while (err == -EAGAIN);
	if (page)
		put_page(page);
}

static void end_in_the_middle(void)
{
	int errors = 0, pages = 0, rounds;
	struct task_struct *task[2];

	for (rounds = 0; rounds < ROUNDS; rounds++) {
		struct address_space *test, *mapping;

		callbacks_allowed = true;
		atomic_set(&moved, 0);
		mapping = driver_pages_register("selftest-race", &nop_ops, NULL);
		if (IS_ERR(mapping))
			break;
		for (int i = 0; i < ROUND_PAGES; i++) {
			struct page *page = alloc_page(GFP_KERNEL);

			if (!page)
				continue;
			set_page_private(page, i);
			spin_lock(&table_lock);
			table[i] = page;
			pages += !driver_pages_mark(mapping, page);
			spin_unlock(&table_lock);
		}
		test = driver_pages_test_get("selftest-race");
		if (IS_ERR(test))
			break;
		for (int t = 0; t < 2; t++)
			task[t] = kthread_run(mover, mapping,
					      "driver_pages_kit/%d", t);

		/* Once they are at it, in one round; at once in another. */
		if (rounds % 2)
			wait_event(moved_wait, atomic_read(&moved) >= ROUND_PAGES);
		for (int i = rounds % 3 ? 0 : 1; i < ROUND_PAGES; i++)
			table_free(mapping, i);
		/* One is left: -EBUSY, and no callback after that, either. */
		errors += driver_pages_unregister(mapping) !=
			(rounds % 3 ? 0 : -EBUSY);
		WRITE_ONCE(callbacks_allowed, false);
		if (rounds % 3 == 0) {
			table_free(mapping, 0);
			errors += !!driver_pages_unregister(mapping);
		}
		for (int t = 0; t < 2; t++)
			if (!IS_ERR(task[t]))
				kthread_stop(task[t]);
		errors += marked(mapping) != 0;
		driver_pages_test_put(test);
	}
	is("end in the middle: rounds", rounds, ROUNDS);
	is("end in the middle: pages", pages, ROUNDS * ROUND_PAGES);
	is("end in the middle: unregister answers as it should", errors, 0);
	is("end in the middle: no callback after it", callback_was_called_late,
	   false);
}

void misuse_show(struct seq_file *m)
{
	struct address_space *mapping, *other;

	out = m;
	number = 0;
	callbacks_allowed = true;
	callback_was_called_late = false;
	mapping = driver_pages_register(NAME, &nop_ops, NULL);
	other = driver_pages_register(OTHER_NAME, &nop_ops, NULL);
	result(!IS_ERR(mapping) && !IS_ERR(other), "two mappings", 0, 0);
	if (!IS_ERR(mapping) && !IS_ERR(other)) {
		misuse_register();
		misuse_pages(mapping, other);
		misuse_release(mapping);
		is("unregister", driver_pages_unregister(mapping), 0);
		is("unregister: the other one", driver_pages_unregister(other),
		   0);
		misuse_unregister();
		end_in_the_middle();
	}
	seq_printf(m, "1..%d\n", number);
}
