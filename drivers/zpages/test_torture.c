// SPDX-License-Identifier: GPL-2.0
/*
 * zpages_test: everything at once
 *
 * Threads allocate, write, read, and free objects of any size in slots that
 * they share; one thread compacts the pool, one isolates pages and migrates or
 * puts them back. Memory compaction may run beside it, from outside.
 */
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <linux/driver_pages_test.h>
#include "test.h"
#include "zpages.h"

static unsigned int torture_ops = 20000;
module_param(torture_ops, uint, 0644);
MODULE_PARM_DESC(torture_ops, "what each thread of torture does");

#define SLOTS		4096
#define MOST_WORKERS	16

/* Who has the busy bit has the slot; objects are mapped with it. */
struct slot {
	unsigned long busy;
	struct zpages_object *object;
	u32 seed;
	u32 size;
};

struct torture {
	struct zpages_pool *pool;
	struct slot *slot;
	atomic_t bad;
	atomic_t nomem;
	atomic_long_t allocated;
	atomic_long_t freed;
	/* By the mover. */
	unsigned long migrated;
	unsigned long put_back;
};

struct worker {
	struct torture *t;
	u32 nr;
	struct completion done;
	struct task_struct *task;
};

/* Half of them are small, as compressed pages are; a few are whole pages. */
static u32 random_size(struct rnd_state *rnd)
{
	u32 r = prandom_u32_state(rnd);

	if (!(r & 31))
		return PAGE_SIZE;
	return 1 + (r >> 8) % (r & 32 ? PAGE_SIZE : PAGE_SIZE / 4);
}

static void slot_fill(struct torture *t, struct slot *slot, u32 seed)
{
	slot->seed = seed;
	if (object_fill(t->pool, slot->object, seed))
		atomic_inc(&t->bad);
}

static void slot_check(struct torture *t, struct slot *slot)
{
	if (object_check(t->pool, slot->object, slot->seed))
		atomic_inc(&t->bad);
}

/* Keeps it mapped while others run, and looks whether it stays in place. */
static void slot_keep(struct torture *t, struct slot *slot)
{
	struct zpages_map map;

	if (zpages_map(t->pool, slot->object, ZPAGES_READ, &map)) {
		atomic_inc(&t->bad);
		return;
	}
	schedule_timeout_uninterruptible(1);
	if (!pattern_is(map.part[0], 0, map.len[0], slot->seed) ||
	    !pattern_is(map.part[1], map.len[0], map.len[1], slot->seed))
		atomic_inc(&t->bad);
	if (zpages_unmap(t->pool, slot->object))
		atomic_inc(&t->bad);
}

static void slot_op(struct torture *t, struct slot *slot,
		    struct rnd_state *rnd)
{
	u32 op = prandom_u32_state(rnd) % 64;

	if (!slot->object) {
		slot->size = random_size(rnd);
		slot->object = zpages_alloc(t->pool, slot->size,
					    GFP_KERNEL | __GFP_NOWARN);
		if (IS_ERR(slot->object)) {
			slot->object = NULL;
			atomic_inc(&t->nomem);
			return;
		}
		atomic_long_inc(&t->allocated);
		slot_fill(t, slot, prandom_u32_state(rnd));
	} else if (op < 24) {
		slot_check(t, slot);
		if (zpages_free(t->pool, slot->object))
			atomic_inc(&t->bad);
		slot->object = NULL;
		atomic_long_inc(&t->freed);
	} else if (op < 32) {
		slot_fill(t, slot, prandom_u32_state(rnd));
	} else if (op < 34) {
		slot_keep(t, slot);
	} else {
		slot_check(t, slot);
	}
}

static int worker(void *data)
{
	struct worker *w = data;
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, w->nr + 1);
	for (i = 0; i < torture_ops; i++) {
		u32 nr = prandom_u32_state(&rnd) % SLOTS;
		struct slot *slot = &w->t->slot[nr];

		if (test_and_set_bit_lock(0, &slot->busy))
			continue;
		slot_op(w->t, slot, &rnd);
		clear_bit_unlock(0, &slot->busy);
		cond_resched();
	}
	complete(&w->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

static int compactor(void *data)
{
	struct torture *t = data;

	while (!kthread_should_stop()) {
		zpages_compact(t->pool);
		schedule_timeout_interruptible(1);
	}
	return 0;
}

static void mover_page(struct torture *t, struct page *page,
		       struct rnd_state *rnd)
{
	static const enum migrate_mode modes[] = {
		MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC,
	};
	u32 r = prandom_u32_state(rnd);
	enum migrate_mode mode = modes[r % ARRAY_SIZE(modes)];
	struct page *dst = NULL;
	int err = -EAGAIN;

	if (!driver_pages_test_isolate(page, mode)) {
		put_page(page);
		return;
	}
	put_page(page);
	if (!(r & 0xf00))
		schedule_timeout_uninterruptible(1);
	if (r & 0xf000)
		dst = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN);
	if (dst)
		err = driver_pages_test_migrate(dst, page, mode);
	t->migrated += !err;
	if (err < 0) {
		driver_pages_test_putback(page, mode);
		t->put_back++;
	}
	if (err && dst)
		__free_page(dst);
}

static int mover(void *data)
{
	struct torture *t = data;
	struct rnd_state rnd;
	unsigned long pfn = 0;
	struct page *page;

	prandom_seed_state(&rnd, 77);
	while (!kthread_should_stop()) {
		page = driver_pages_test_next(t->pool->mapping, &pfn);
		if (page)
			mover_page(t, page, &rnd);
		else
			pfn = 0;
		cond_resched();
	}
	return 0;
}

/* The sums that the slots make must be those that the pool says. */
static void torture_sums(struct seq_file *m, struct torture *t)
{
	unsigned long objects = 0, bytes = 0, page_bytes;
	struct zpages_stats stats;
	u32 i;

	for (i = 0; i < SLOTS; i++) {
		if (!t->slot[i].object)
			continue;
		objects++;
		bytes += t->slot[i].size;
	}
	zpages_settle(t->pool);
	zpages_stats(t->pool, &stats);
	page_bytes = stats.pages * PAGE_SIZE;
	test(m, objects && stats.objects == objects && stats.bytes == bytes,
	     "torture: %lu objects of %lu bytes, as counted", stats.objects,
	     stats.bytes);
	test(m, objects == atomic_long_read(&t->allocated) -
	     atomic_long_read(&t->freed), "torture: %ld were allocated",
	     atomic_long_read(&t->allocated));
	test(m, page_bytes >= bytes, "torture: on %lu pages", stats.pages);
}

static void torture_run(struct seq_file *m, struct torture *t,
			struct worker *workers, u32 nr)
{
	struct task_struct *compact, *move;
	struct driver_pages_stats *dp;
	struct zpages_stats stats;
	u32 i;

	compact = kthread_run(compactor, t, "zpages_compactor");
	move = kthread_run(mover, t, "zpages_mover");
	for (i = 0; i < nr; i++) {
		workers[i].t = t;
		workers[i].nr = i;
		init_completion(&workers[i].done);
		workers[i].task = kthread_run(worker, &workers[i],
					      "zpages_worker%u", i);
		if (IS_ERR(workers[i].task))
			workers[i].task = NULL;
	}
	for (i = 0; i < nr; i++) {
		if (!workers[i].task)
			continue;
		wait_for_completion(&workers[i].done);
		kthread_stop(workers[i].task);
	}
	if (!IS_ERR(move))
		kthread_stop(move);
	if (!IS_ERR(compact))
		kthread_stop(compact);

	for (i = 0; i < SLOTS; i++)
		if (t->slot[i].object)
			slot_check(t, &t->slot[i]);
	test(m, !atomic_read(&t->bad), "torture: contents are whole (%d not)",
	     atomic_read(&t->bad));
	test(m, !atomic_read(&t->nomem), "torture: memory was there (%d not)",
	     atomic_read(&t->nomem));
	torture_sums(m, t);
	zpages_stats(t->pool, &stats);
	test(m, stats.moved && stats.freed,
	     "torture: %lu objects were moved and %lu pages freed by that",
	     stats.moved, stats.freed);
	test(m, t->migrated && stats.migrated >= t->migrated && t->put_back,
	     "torture: %lu pages migrated, %lu of them, and %lu put back, here",
	     stats.migrated, t->migrated, t->put_back);

	dp = kmalloc(sizeof(*dp), GFP_KERNEL);
	if (dp) {
		driver_pages_test_stats(t->pool->mapping, dp);
		test(m, dp->marked == zpages_pages(t->pool),
		     "torture: all pages are marked (%llu)", dp->marked);
		kfree(dp);
	}

	for (i = 0; i < SLOTS; i++)
		if (zpages_free(t->pool, t->slot[i].object))
			atomic_inc(&t->bad);
	zpages_settle(t->pool);
	zpages_stats(t->pool, &stats);
	test(m, !atomic_read(&t->bad) && !stats.objects && !stats.bytes &&
	     !stats.pages && !stats.overhead,
	     "torture: nothing is left (%lu pages)", stats.pages);
}

static void test_torture(struct seq_file *m)
{
	u32 nr = min(2 * num_online_cpus(), MOST_WORKERS);
	struct torture t = { 0 };
	struct worker *workers;

	t.pool = zpages_create("torture");
	test(m, !IS_ERR(t.pool), "torture: a pool, for %u threads", nr);
	if (IS_ERR(t.pool))
		return;
	t.slot = vcalloc(SLOTS, sizeof(*t.slot));
	workers = vcalloc(nr, sizeof(*workers));
	if (t.slot && workers)
		torture_run(m, &t, workers, nr);
	else
		test(m, false, "torture: memory for it");
	zpages_destroy(t.pool);
	vfree(workers);
	vfree(t.slot);
}
TEST_FILE(torture, test_torture);

void torture_init(struct dentry *dir)
{
	debugfs_create_file("torture", 0400, dir, NULL, &torture_fops);
}
