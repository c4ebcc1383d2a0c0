// SPDX-License-Identifier: GPL-2.0
/*
 * zpages_test.ko: tests of zpages inside the kernel
 *
 * In /sys/kernel/debug/zpages_test/; a file that is read runs its tests and
 * says in TAP how they went:
 *
 *	api	each function, bad use, every size
 *	move	migration and compaction, step by step
 *	torture	all of it at once, see test_torture.c
 *	zsmalloc	its pools have any name
 *
 * fill (write MiB; 0 ends it) keeps so much memory in a pool; reading it checks
 * what is in there. See test_compare.c for compare.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <linux/driver_pages_test.h>
#include "test.h"
#include "zpages.h"

static struct dentry *dir;

static u8 pattern(size_t at, u32 seed)
{
	return (at * 7 + (at >> 8) + seed * 13 + (seed >> 8)) & 0xff;
}

void pattern_fill(u8 *to, size_t from, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = pattern(from + i, seed);
}

bool pattern_is(const u8 *to, size_t from, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (to[i] != pattern(from + i, seed))
			return false;
	return true;
}

int object_fill(struct zpages_pool *pool, struct zpages_object *object,
		u32 seed)
{
	struct zpages_map map;
	int err = zpages_map(pool, object, ZPAGES_WRITE, &map);

	if (err)
		return err;
	pattern_fill(map.part[0], 0, map.len[0], seed);
	pattern_fill(map.part[1], map.len[0], map.len[1], seed);
	return zpages_unmap(pool, object);
}

int object_check(struct zpages_pool *pool, struct zpages_object *object,
		 u32 seed)
{
	struct zpages_map map;
	int err = zpages_map(pool, object, ZPAGES_READ, &map);
	bool same;

	if (err)
		return err;
	same = pattern_is(map.part[0], 0, map.len[0], seed) &&
	       pattern_is(map.part[1], map.len[0], map.len[1], seed);
	return zpages_unmap(pool, object) ?: same ? 0 : -EILSEQ;
}

void zpages_settle(struct zpages_pool *pool)
{
	flush_work(&pool->release_work);
}

/* Objects of one size, or of all from 1 on; their seeds are their numbers. */
struct set {
	struct zpages_pool *pool;
	u32 nr;
	struct zpages_object *object[];
};

static struct set *set_make(const char *name, u32 nr, size_t size)
{
	struct set *set = vzalloc(struct_size(set, object, nr));
	u32 i;

	if (!set)
		return ERR_PTR(-ENOMEM);
	set->pool = zpages_create(name);
	if (IS_ERR(set->pool)) {
		void *err = set->pool;

		vfree(set);
		return err;
	}
	set->nr = nr;
	for (i = 0; i < nr; i++) {
		set->object[i] = zpages_alloc(set->pool, size ?: i + 1,
					      GFP_KERNEL);
		if (IS_ERR(set->object[i])) {
			set->object[i] = NULL;
			break;
		}
		object_fill(set->pool, set->object[i], i);
	}
	return set;
}

/* How many objects are not what they were. */
static u32 set_bad(struct set *set)
{
	u32 i, bad = 0;

	for (i = 0; i < set->nr; i++)
		if (set->object[i])
			bad += !!object_check(set->pool, set->object[i], i);
	return bad;
}

static int set_free(struct set *set, u32 i)
{
	int err = zpages_free(set->pool, set->object[i]);

	if (!err)
		set->object[i] = NULL;
	return err;
}

static void set_end(struct set *set)
{
	u32 i;

	for (i = 0; i < set->nr; i++)
		set_free(set, i);
	zpages_destroy(set->pool);
	vfree(set);
}

static void test_sizes(struct seq_file *m)
{
	struct set *set = set_make("sizes", PAGE_SIZE, 0);
	unsigned long bytes = PAGE_SIZE * (PAGE_SIZE + 1) / 2;
	struct zpages_stats stats;
	u32 i, bad = 0, apart = 0;

	test(m, !IS_ERR(set), "sizes: a pool");
	if (IS_ERR(set))
		return;
	for (i = 0; i < set->nr; i++) {
		struct zpages_map map;

		if (zpages_map(set->pool, set->object[i], ZPAGES_READ, &map)) {
			bad++;
			continue;
		}
		bad += map.len[0] + map.len[1] != i + 1;
		bad += offset_in_page(map.part[0]) + map.len[0] > PAGE_SIZE;
		apart += !!map.len[1];
		if (map.len[1])
			bad += offset_in_page(map.part[1]) ||
			       offset_in_page(map.part[0] + map.len[0]);
		zpages_unmap(set->pool, set->object[i]);
	}
	test(m, !bad, "sizes: all can be had and mapped (%u not)", bad);
	test(m, apart, "sizes: some cross to another page (%u do)", apart);
	bad = set_bad(set);
	test(m, !bad, "sizes: none is where another is (%u are)", bad);
	zpages_stats(set->pool, &stats);
	test(m, stats.objects == set->nr && stats.bytes == bytes,
	     "sizes: objects and bytes are counted");
	test(m, stats.pages * PAGE_SIZE >= bytes &&
	     stats.pages * PAGE_SIZE < bytes * 5 / 4,
	     "sizes: %lu bytes on %lu pages", bytes, stats.pages);
	for (i = 0, bad = 0; i < set->nr; i++)
		bad += !!set_free(set, i);
	zpages_settle(set->pool);
	zpages_stats(set->pool, &stats);
	test(m, !bad && !stats.objects && !stats.bytes && !stats.pages &&
	     !stats.overhead, "sizes: nothing is left of them");
	set_end(set);
}

static void test_api(struct seq_file *m)
{
	struct zpages_pool *pool = zpages_create("test"), *other;
	struct zpages_object *object;
	struct zpages_stats stats;
	struct zpages_map map;

	test(m, !IS_ERR(pool), "api: a pool");
	if (IS_ERR(pool))
		return;
	other = zpages_create("test");
	test(m, other == ERR_PTR(-EEXIST), "api: a name that is taken");
	other = zpages_create("two words");
	test(m, other == ERR_PTR(-EINVAL), "api: a bad name");

	test(m, zpages_alloc(pool, 0, GFP_KERNEL) == ERR_PTR(-EINVAL),
	     "api: size 0");
	test(m, zpages_alloc(pool, PAGE_SIZE + 1, GFP_KERNEL) ==
	     ERR_PTR(-ENOSPC), "api: more than a page");
	test(m, zpages_alloc(pool, SIZE_MAX, GFP_KERNEL) == ERR_PTR(-ENOSPC),
	     "api: as much as can be said");
	test(m, !zpages_free(pool, NULL), "api: to free nothing is fine");
	test(m, zpages_map(pool, NULL, ZPAGES_READ, &map) == -EINVAL,
	     "api: to map nothing is not");
	test(m, zpages_unmap(pool, NULL) == -EINVAL, "api: nor to unmap it");
	zpages_stats(pool, &stats);
	test(m, !stats.objects && !stats.pages && !zpages_compact(pool),
	     "api: none of it changed the pool");

	object = zpages_alloc(pool, 100, GFP_KERNEL);
	test(m, !IS_ERR(object), "api: an object");
	if (!IS_ERR(object)) {
		test(m, zpages_unmap(pool, object) == -EINVAL,
		     "api: unmap, not mapped");
		test(m, !zpages_map(pool, object, ZPAGES_READ, &map) &&
		     !zpages_map(pool, object, ZPAGES_READ, &map),
		     "api: two readers");
		test(m, zpages_map(pool, object, ZPAGES_WRITE, &map) == -EBUSY,
		     "api: no writer beside them");
		test(m, zpages_free(pool, object) == -EBUSY,
		     "api: a mapped object is not freed");
		test(m, !zpages_unmap(pool, object) &&
		     zpages_free(pool, object) == -EBUSY &&
		     !zpages_unmap(pool, object) &&
		     zpages_unmap(pool, object) == -EINVAL,
		     "api: two unmaps and not one more");
		test(m, !zpages_map(pool, object, ZPAGES_WRITE, &map),
		     "api: a writer");
		test(m, zpages_map(pool, object, ZPAGES_WRITE, &map) ==
		     -EBUSY, "api: no other writer");
		test(m, zpages_map(pool, object, ZPAGES_READ, &map) == -EBUSY,
		     "api: no reader beside it");
		test(m, zpages_free(pool, object) == -EBUSY &&
		     !zpages_unmap(pool, object), "api: not freed either");
		test(m, !zpages_free(pool, object), "api: freed at last");
	}
	zpages_settle(pool);
	test(m, !zpages_pages(pool), "api: no page is left");
	object = zpages_alloc(pool, 1000, GFP_KERNEL);
	object = zpages_alloc(pool, 1000, GFP_KERNEL);
	zpages_destroy(pool);
	test(m, true, "api: a pool with objects is destroyed");

	test_sizes(m);
}
TEST_FILE(api, test_api);

/* Isolate a page and migrate it, as the core would. 1: it was released. */
static int move_page(struct page *page, enum migrate_mode mode)
{
	struct page *dst;
	int err = -ENOMEM;

	if (!driver_pages_test_isolate(page, mode))
		return -EBUSY;
	dst = alloc_page(GFP_HIGHUSER_MOVABLE);
	if (dst)
		err = driver_pages_test_migrate(dst, page, mode);
	if (err < 0)
		driver_pages_test_putback(page, mode);
	if (err && dst)
		__free_page(dst);
	return err;
}

/* Each page of the pool, once. Returns how many did move. */
static unsigned long move_all(struct zpages_pool *pool, enum migrate_mode mode)
{
	struct page **pages, *page;
	unsigned long pfn = 0, nr = 0, most = zpages_pages(pool), moved = 0, i;

	pages = vcalloc(most, sizeof(*pages));
	if (!pages)
		return 0;
	while (nr < most &&
	       (page = driver_pages_test_next(pool->mapping, &pfn)))
		pages[nr++] = page;
	for (i = 0; i < nr; i++) {
		moved += !move_page(pages[i], mode);
		put_page(pages[i]);
	}
	vfree(pages);
	return moved;
}

/* Unmaps an object as soon as somebody waits for it. */
struct unmapper {
	struct zpages_pool *pool;
	struct zpages_object *object;
};

static int unmapper(void *data)
{
	struct unmapper *u = data;

	while (!wq_has_sleeper(&u->pool->unpinned) && !kthread_should_stop())
		cond_resched();
	zpages_unmap(u->pool, u->object);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

static void test_pins(struct seq_file *m, struct set *set)
{
	struct zpages_map map, again;
	struct zpages_stats stats;
	struct unmapper u = { .pool = set->pool };
	struct task_struct *task;
	struct page *page[2];
	unsigned long pages, moved, tries = 10;
	u32 i;

	/* An object that crosses to another page. */
	for (i = 0; i < set->nr; i++) {
		zpages_map(set->pool, set->object[i], ZPAGES_READ, &map);
		if (map.len[1])
			break;
		zpages_unmap(set->pool, set->object[i]);
	}
	test(m, i < set->nr, "pins: an object is mapped on two pages");
	if (i == set->nr)
		return;
	pages = zpages_pages(set->pool);
	page[0] = virt_to_page(map.part[0]);
	page[1] = virt_to_page(map.part[1]);

	test(m, move_page(page[0], MIGRATE_ASYNC) == -EAGAIN &&
	     move_page(page[1], MIGRATE_ASYNC) == -EAGAIN,
	     "pins: neither page migrates");
	moved = move_all(set->pool, MIGRATE_ASYNC);
	test(m, moved == pages - 2, "pins: all others do (%lu of %lu)", moved,
	     pages);
	test(m, move_page(page[0], MIGRATE_SYNC_LIGHT) == -EAGAIN &&
	     move_page(page[1], MIGRATE_SYNC) == -EAGAIN,
	     "pins: waiting is of no use while it stays mapped");
	test(m, !zpages_map(set->pool, set->object[i], ZPAGES_READ, &again) &&
	     again.part[0] == map.part[0] && again.part[1] == map.part[1] &&
	     !zpages_unmap(set->pool, set->object[i]),
	     "pins: it is where it was");
	zpages_stats(set->pool, &stats);
	test(m, stats.pages == pages && stats.objects == set->nr,
	     "pins: as many pages and objects as before");

	u.object = set->object[i];
	task = kthread_run(unmapper, &u, "zpages_unmapper");
	if (IS_ERR(task)) {
		test(m, false, "pins: a thread");
		return;
	}
	/* As the core does, more than once: waiting ends before long. */
	while (move_page(page[0], MIGRATE_SYNC) == -EAGAIN && --tries)
		;
	test(m, tries, "pins: waiting is of use if it is unmapped");
	kthread_stop(task);
	test(m, !move_page(page[1], MIGRATE_ASYNC), "pins: the other, too");
	i = set_bad(set);
	test(m, !i, "pins: contents are whole (%u are not)", i);
}

static void test_isolated(struct seq_file *m, struct set *set)
{
	unsigned long pfn = 0, pages = zpages_pages(set->pool), n;
	struct page *page, *dst = alloc_page(GFP_HIGHUSER_MOVABLE);
	struct zpages_object *more[16];
	u32 i, bad;

	page = driver_pages_test_next(set->pool->mapping, &pfn);
	test(m, page && dst && driver_pages_test_isolate(page, MIGRATE_ASYNC),
	     "isolated: a page is");
	if (!page || !dst)
		return;
	put_page(page);
	for (i = 0; i < ARRAY_SIZE(more); i++) {
		more[i] = zpages_alloc(set->pool, 3000, GFP_KERNEL);
		if (!IS_ERR(more[i]))
			object_fill(set->pool, more[i], ~i);
	}
	bad = set_bad(set);
	test(m, !bad, "isolated: objects are read and allocated");
	test(m, !driver_pages_test_migrate(dst, page, MIGRATE_ASYNC),
	     "isolated: and then the page migrates");
	for (i = 0, bad = set_bad(set); i < ARRAY_SIZE(more); i++) {
		if (IS_ERR(more[i])) {
			bad++;
			continue;
		}
		bad += !!object_check(set->pool, more[i], ~i);
		zpages_free(set->pool, more[i]);
	}
	test(m, !bad, "isolated: contents are whole (%u are not)", bad);

	pfn = 0;
	page = driver_pages_test_next(set->pool->mapping, &pfn);
	dst = alloc_page(GFP_HIGHUSER_MOVABLE);
	test(m, page && dst && driver_pages_test_isolate(page, MIGRATE_ASYNC),
	     "isolated: another");
	if (!page || !dst)
		return;
	put_page(page);
	for (i = 0; i < set->nr; i++)
		set_free(set, i);
	zpages_settle(set->pool);
	n = zpages_pages(set->pool);
	test(m, !n, "isolated: all objects are freed (%lu pages of %lu stay)",
	     n, pages);
	test(m, driver_pages_test_migrate(dst, page, MIGRATE_ASYNC) == 1,
	     "isolated: then there is nothing to migrate");
	__free_page(dst);

	/* Freed while its page is locked: that has to wait. */
	set->object[0] = zpages_alloc(set->pool, PAGE_SIZE, GFP_KERNEL);
	if (IS_ERR(set->object[0])) {
		set->object[0] = NULL;
		return;
	}
	pfn = 0;
	page = driver_pages_test_next(set->pool->mapping, &pfn);
	lock_page(page);
	test(m, !set_free(set, 0) && zpages_pages(set->pool) == 1,
	     "locked: the object is freed, its page is not");
	unlock_page(page);
	put_page(page);
	zpages_settle(set->pool);
	test(m, !zpages_pages(set->pool), "locked: it is, when unlocked");
}

/* One object in eight stays. */
static void test_compact(struct seq_file *m)
{
	struct set *set = set_make("sparse", 8 * 1000, 700);
	unsigned long before, freed, least;
	struct zpages_stats stats;
	const struct zpages_shape *shape;
	struct zpages_map map, again;
	u32 i;

	test(m, !IS_ERR(set), "compact: a pool");
	if (IS_ERR(set))
		return;
	for (i = 0; i < set->nr; i++)
		if (i % 8)
			set_free(set, i);
	zpages_settle(set->pool);
	zpages_stats(set->pool, &stats);
	before = stats.pages;
	shape = &zpages_classes.shape[zpages_classes.of[zpages_size_step(700)]];
	least = DIV_ROUND_UP(stats.objects, shape->objects) * shape->pages;

	zpages_map(set->pool, set->object[0], ZPAGES_WRITE, &map);
	freed = zpages_compact(set->pool);
	zpages_settle(set->pool);
	zpages_stats(set->pool, &stats);
	test(m, freed == before - stats.pages && freed == stats.freed,
	     "compact: %lu of %lu pages freed", freed, before);
	test(m, stats.pages <= least + shape->pages,
	     "compact: %lu pages are about as few as can be, %lu", stats.pages,
	     least);
	zpages_unmap(set->pool, set->object[0]);
	zpages_map(set->pool, set->object[0], ZPAGES_READ, &again);
	test(m, again.part[0] == map.part[0],
	     "compact: a mapped object stays where it is");
	zpages_unmap(set->pool, set->object[0]);
	i = set_bad(set);
	test(m, !i, "compact: contents are whole (%u are not)", i);
	zpages_compact(set->pool);
	zpages_settle(set->pool);
	test(m, zpages_pages(set->pool) == least,
	     "compact: %lu pages when nothing is mapped",
	     zpages_pages(set->pool));
	test(m, !zpages_compact(set->pool), "compact: no more than that");
	set_end(set);
}

static void test_move(struct seq_file *m)
{
	struct set *set = set_make("move", 2000, 3000);
	unsigned long pages, moved;
	struct zpages_stats stats;
	u32 i;

	test(m, !IS_ERR(set), "move: a pool");
	if (IS_ERR(set))
		return;
	pages = zpages_pages(set->pool);
	moved = move_all(set->pool, MIGRATE_ASYNC);
	test(m, moved == pages, "move: every page, async (%lu of %lu)", moved,
	     pages);
	moved += move_all(set->pool, MIGRATE_SYNC_LIGHT);
	moved += move_all(set->pool, MIGRATE_SYNC);
	test(m, moved == 3 * pages, "move: and in the other modes");
	zpages_stats(set->pool, &stats);
	test(m, stats.migrated == moved, "move: all that is counted");
	i = set_bad(set);
	test(m, !i, "move: contents are whole (%u are not)", i);
	test_pins(m, set);
	test_isolated(m, set);
	set_end(set);
	test_compact(m);
}
TEST_FILE(move, test_move);

static DEFINE_MUTEX(fill_lock);
static struct set *filled;

static ssize_t fill_write(struct file *file, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	unsigned long mib;
	int err = kstrtoul_from_user(buf, count, 0, &mib);

	if (err)
		return err;
	guard(mutex)(&fill_lock);
	if (filled) {
		set_end(filled);
		filled = NULL;
	}
	if (!mib)
		return count;
	filled = set_make("fill", mib << (20 - PAGE_SHIFT), PAGE_SIZE);
	if (IS_ERR(filled)) {
		err = PTR_ERR(filled);
		filled = NULL;
		return err;
	}
	return count;
}

static ssize_t fill_read(struct file *file, char __user *buf, size_t count,
			 loff_t *ppos)
{
	char line[64];
	int n;

	guard(mutex)(&fill_lock);
	n = scnprintf(line, sizeof(line), "pages %lu bad %u\n",
		      filled ? zpages_pages(filled->pool) : 0,
		      filled ? set_bad(filled) : 0);
	return simple_read_from_buffer(buf, count, ppos, line, n);
}

static const struct file_operations fill_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = fill_read,
	.write = fill_write,
};

static int __init zpages_test_init(void)
{
	dir = debugfs_create_dir("zpages_test", NULL);
	debugfs_create_file("api", 0400, dir, NULL, &api_fops);
	debugfs_create_file("move", 0400, dir, NULL, &move_fops);
	debugfs_create_file("fill", 0600, dir, NULL, &fill_fops);
	torture_init(dir);
	compare_init(dir);
	return 0;
}

static void __exit zpages_test_exit(void)
{
	debugfs_remove(dir);
	if (filled)
		set_end(filled);
	compare_exit();
}

module_init(zpages_test_init);
module_exit(zpages_test_exit);
MODULE_DESCRIPTION("Tests of zpages");
MODULE_IMPORT_NS(DRIVER_PAGES_TEST);
MODULE_IMPORT_NS(ZPAGES_TEST);
MODULE_LICENSE("GPL");
