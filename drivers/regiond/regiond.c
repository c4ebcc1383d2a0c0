// SPDX-License-Identifier: GPL-2.0
/*
 * regiond - empty lightly filled pageblocks for somebody who wants them whole
 *
 * A guest that ran for a while has free memory in every pageblock and hardly
 * a pageblock that is free. Who needs whole blocks - a balloon, whose host
 * loses a huge page with each 4 KiB that is punched out of it - asks here for
 * N of them in a zone:
 *
 *  1. The asker, in regiond_evacuate(), ranks the zone's pageblocks by what
 *     they hold and marks the cheapest N in the zone's bitmap. A block with
 *     anything in it that can't be moved is no candidate.
 *  2. The node's worker copies the bitmap, empties what is marked, clears what
 *     it did, and looks again, because more may have been marked meanwhile.
 *  3. It isolates a batch of blocks before the first page moves, so that
 *     nothing is moved into a block that is emptied next, and empties them in
 *     runs of neighbours. A stock kernel isolates no more than the run at hand;
 *     a block that was filled by an earlier run is found out when it is chosen,
 *     and waits for the next ranking.
 *
 * Somebody else may want a region that is given, of any size from a pageblock to a
 * memory block: regiond_empty_region() marks its blocks instead of ranked ones,
 * and has the zone for itself meanwhile.
 *
 * Watermarks are obeyed: a batch is never larger than what the zone has free
 * beyond its high watermark. No room is made here; an asker who needs more makes
 * it first. (Migration itself may drop clean page cache of a block, and treats
 * a large folio in it as it does everywhere.)
 *
 * Locking: rank_lock of a zone (outer, a mutex) covers the ranking, lock
 * (inner, a spinlock) the bitmap and the list of requests. The worker takes
 * only the inner one, so ranking and evacuating go on side by side.
 */
#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <linux/balloon_block.h>
#include <linux/pageblock_type.h>
#include <ballast/regiond.h>
#include "rank.h"

/*
 * The longest run of pageblocks emptied in one go. Each run flushes all CPUs'
 * page caches twice, so short runs are dear; a request can be stopped only
 * between two of them, so long ones are rude.
 */
#define REGIOND_RUN	32U

/* A ranking is used up block by block, but not when it is older than this. */
#define REGIOND_RANK_AGE	(2 * HZ)

struct regiond_request {
	struct list_head node;
	struct regiond_user *user;
	struct list_head *blocks;
	struct regiond_result *result;
	unsigned int nr_blocks;
	bool region;			/* these blocks, and no others */
	struct completion done;
};

struct regiond_zone {
	struct zone *zone;
	struct kthread_worker *worker;	/* the node's */
	struct kthread_work work;

	/* Ranking: under rank_lock. */
	struct mutex rank_lock;
	unsigned long start_pfn;	/* of block 0 */
	u32 nr_blocks;
	u16 *cost;
	u32 *order;			/* candidates, the cheapest first */
	u32 nr_order;
	u32 next;			/* the first of them not used up */
	unsigned long ranked_at;	/* jiffies */
	unsigned long *chosen;		/* blocks of the request being made */

	spinlock_t lock;
	unsigned long *pending;		/* blocks to empty */
	unsigned long *todo;		/* the worker's copy */
	unsigned long *batch;		/* of it: being emptied, isolated */
	struct list_head requests;

	/* Since load, for debugfs: written by one side each. */
	unsigned long rankings;
	unsigned long asked;
	unsigned long won;
	unsigned long moved;
	unsigned long failed;
	unsigned long runs;
};

struct regiond_node {
	struct kthread_worker *worker;
	struct regiond_zone zones[MAX_NR_ZONES];
};

static struct regiond_node *regiond_nodes[MAX_NUMNODES];
static DEFINE_MUTEX(regiond_nodes_lock);
static bool regiond_paused;	/* memory is going offline */
static bool regiond_isolates = true;	/* until the kernel says it can't */
static struct dentry *regiond_debugfs;

/*
 * The pages of a folio from @page on, at most @left. A racy look: it may be split
 * or freed just now.
 */
static unsigned long regiond_folio_rest(struct folio *folio, struct page *page,
					unsigned long left)
{
	unsigned long nr = folio_nr_pages(folio) - folio_page_idx(folio, page);

	return nr && nr <= left ? nr : left;
}

/* What is the page frame's share of its pageblock's use? Returns pages seen. */
static unsigned long regiond_page_use(struct page *page, unsigned long left,
				      struct block_use *use)
{
	struct folio *folio;
	unsigned long nr;

	if (PageBuddy(page)) {
		/* Racy: without zone->lock the order may be anything. */
		unsigned long order = READ_ONCE(page->private);

		nr = order <= MAX_PAGE_ORDER ? min(1UL << order, left) : 1;
		use->free += nr;
		return nr;
	}

	/* On the way to or from the buddy allocator; or within a balloon block. */
	if (!page_count(page) && !PageTail(page)) {
		if (PageOffline(page))
			use->unmovable++;
		else
			use->free++;
		return 1;
	}

	folio = page_folio(page);
	nr = regiond_folio_rest(folio, page, left);
	if (PageReserved(page) || PageHWPoison(page) ||
	    folio_test_hugetlb(folio)) {
		use->unmovable += nr;
		return nr;
	}

	if (__PageMovable(page)) {
		use->driver++;
		return 1;
	}

	/*
	 * What is still in a CPU's batch on its way to the LRU can't be
	 * isolated; the first run drains the batches, and the next ranking
	 * finds it. What is pinned for long stays where it is.
	 */
	if (!folio_test_lru(folio) || folio_maybe_dma_pinned(folio))
		use->unmovable += nr;
	else if (folio_order(folio) >= pageblock_order)
		use->huge += nr;
	else
		use->lru += nr;
	return nr;
}

/* Every page of a balloon block is offline, only the first has a reference. */
static bool regiond_is_balloon_block(struct page *page)
{
	return PageOffline(page) && PageOffline(page + 1) &&
	       page_count(page) && !page_count(page + 1);
}

/*
 * A look without locks, and therefore only a look: evacuation finds out for
 * itself whether each page can be moved. Not @all: until it is known that the
 * block can't be emptied.
 */
static void regiond_block_use(unsigned long pfn, struct block_use *use,
			      bool all)
{
	unsigned long end_pfn = pfn + pageblock_nr_pages;

	memset(use, 0, sizeof(*use));
	if (regiond_is_balloon_block(pfn_to_page(pfn))) {
		use->balloon = pageblock_nr_pages;
		return;
	}
	while (pfn < end_pfn && (all || !use->unmovable))
		pfn += regiond_page_use(pfn_to_page(pfn), end_pfn - pfn, use);
}

/* Not a hole, not offline, not shared with another zone. */
static bool regiond_block_in_zone(struct zone *zone, unsigned long pfn)
{
	unsigned long last_pfn = pfn + pageblock_nr_pages - 1;

	return pfn_to_online_page(pfn) && pfn_to_online_page(last_pfn) &&
	       page_zone(pfn_to_page(pfn)) == zone &&
	       page_zone(pfn_to_page(last_pfn)) == zone;
}

/* May it be emptied, whatever it holds? CMA's may not, nor isolated ones. */
static bool regiond_block_allowed(struct zone *zone, unsigned long pfn)
{
	return regiond_block_in_zone(zone, pfn) &&
	       pageblock_type(pfn) == MIGRATE_MOVABLE;
}

static unsigned long regiond_pfn(struct regiond_zone *rz, u32 block)
{
	return rz->start_pfn + block * pageblock_nr_pages;
}

static u16 regiond_block_cost(struct regiond_zone *rz, u32 block)
{
	unsigned long pfn = regiond_pfn(rz, block);
	struct block_use use;

	if (!regiond_block_allowed(rz->zone, pfn))
		return RANK_NEVER;
	regiond_block_use(pfn, &use, false);
	return rank_cost(&use);
}

static void regiond_zone_free(struct regiond_zone *rz)
{
	vfree(rz->cost);
	vfree(rz->order);
	bitmap_free(rz->chosen);
	bitmap_free(rz->pending);
	bitmap_free(rz->todo);
	bitmap_free(rz->batch);
	rz->cost = NULL;
	rz->order = NULL;
	rz->chosen = NULL;
	rz->pending = NULL;
	rz->todo = NULL;
	rz->batch = NULL;
	rz->nr_blocks = 0;
}

/*
 * The tables follow the zone's span, which grows and shrinks with hotplug. The
 * worker must be idle: the caller holds rank_lock and there is no request.
 */
static int regiond_zone_resize(struct regiond_zone *rz)
{
	unsigned long start = pageblock_start_pfn(rz->zone->zone_start_pfn);
	unsigned long end = pageblock_align(zone_end_pfn(rz->zone));
	u32 nr = (end - start) >> pageblock_order;

	if (rz->cost && start == rz->start_pfn && nr == rz->nr_blocks)
		return 0;

	regiond_zone_free(rz);
	rz->nr_order = 0;
	rz->cost = vcalloc(nr, sizeof(*rz->cost));
	rz->order = vcalloc(nr, sizeof(*rz->order));
	rz->chosen = bitmap_zalloc(nr, GFP_KERNEL);
	rz->pending = bitmap_zalloc(nr, GFP_KERNEL);
	rz->todo = bitmap_zalloc(nr, GFP_KERNEL);
	rz->batch = bitmap_zalloc(nr, GFP_KERNEL);
	if (!rz->cost || !rz->order || !rz->chosen || !rz->pending ||
	    !rz->todo || !rz->batch) {
		regiond_zone_free(rz);
		return -ENOMEM;
	}
	rz->start_pfn = start;
	rz->nr_blocks = nr;
	return 0;
}

static void regiond_rank(struct regiond_zone *rz)
{
	u32 block;

	for (block = 0; block < rz->nr_blocks; block++) {
		rz->cost[block] = regiond_block_cost(rz, block);
		cond_resched();
	}
	rz->nr_order = rank_sort(rz->cost, rz->nr_blocks, rz->order);
	rz->next = 0;
	WRITE_ONCE(rz->ranked_at, jiffies);
	rz->rankings++;
}

/*
 * Choose up to nr blocks, the cheapest first. What changed since it was ranked
 * is left out, see rank_still_good(), and so is what somebody else has chosen.
 */
static unsigned int regiond_pick(struct regiond_zone *rz, unsigned int nr)
{
	unsigned int chosen = 0;

	while (chosen < nr && rz->next < rz->nr_order) {
		u32 block = rz->order[rz->next++];
		u16 cost = regiond_block_cost(rz, block);

		if (!rank_still_good(cost, rz->cost[block]))
			continue;

		if (test_bit(block, rz->pending))
			continue;

		rz->cost[block] = cost;
		__set_bit(block, rz->chosen);
		chosen++;
	}
	return chosen;
}

static unsigned int regiond_choose(struct regiond_zone *rz, unsigned int nr)
{
	unsigned int chosen = 0;

	bitmap_zero(rz->chosen, rz->nr_blocks);
	if (!READ_ONCE(regiond_isolates))
		nr = min(nr, REGIOND_RUN);
	if (rz->nr_order &&
	    time_before(jiffies,
			READ_ONCE(rz->ranked_at) + REGIOND_RANK_AGE))
		chosen = regiond_pick(rz, nr);
	/*
	 * The rest of an old ranking may have been filled up by what was moved
	 * out of its beginning: rank anew before giving up.
	 */
	if (!chosen) {
		regiond_rank(rz);
		chosen = regiond_pick(rz, nr);
	}
	return chosen;
}

/*
 * The blocks of a region that can be emptied. A folio as large as a block is moved
 * to another one: no block is won by that, but the region is empty.
 */
static unsigned int regiond_choose_region(struct regiond_zone *rz, u32 block,
					  unsigned int nr)
{
	unsigned int chosen = 0;
	struct block_use use;

	bitmap_zero(rz->chosen, rz->nr_blocks);
	for (; nr; nr--, block++) {
		unsigned long pfn = regiond_pfn(rz, block);

		if (!regiond_block_allowed(rz->zone, pfn))
			continue;
		regiond_block_use(pfn, &use, false);
		if (use.unmovable || use.balloon)
			continue;
		rz->cost[block] = use.lru + use.driver + use.huge;
		__set_bit(block, rz->chosen);
		chosen++;
	}
	return chosen;
}

/* How many blocks can the zone empty now and keep its high watermark? */
static unsigned int regiond_room(struct zone *zone)
{
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);
	unsigned long high = high_wmark_pages(zone);

	return free > high ? (free - high) >> pageblock_order : 0;
}

/* Somebody else takes what was counted on, and can't have what is isolated. */
static bool regiond_short(struct zone *zone)
{
	return zone_page_state(zone, NR_FREE_PAGES) < low_wmark_pages(zone);
}

static void regiond_give_up(struct regiond_zone *rz,
			    struct regiond_request *req)
{
	req->result->failed++;
	rz->failed++;
}

/*
 * A kernel that can't isolate in advance: what is moved out of a run may be in the
 * next one, and kcompactd makes blocks free elsewhere at the same time. So a
 * request is for a run there; the asker looks what is free by now, and asks again.
 */
static void regiond_bound(struct regiond_zone *rz, struct regiond_request *req)
{
	if (!req->region)
		req->nr_blocks = min(req->nr_blocks, REGIOND_RUN);
	if (regiond_isolates) {
		WRITE_ONCE(regiond_isolates, false);
		/* More was chosen than is tried now: rank anew. */
		WRITE_ONCE(rz->ranked_at, jiffies - REGIOND_RANK_AGE);
	}
}

/*
 * The next batch: up to @nr blocks of what is to do, isolated all of them if the
 * kernel can do that.
 */
static void regiond_isolate(struct regiond_zone *rz,
			    struct regiond_request *req, unsigned int nr)
{
	unsigned int got = 0;
	u32 block;
	int err;

	for_each_set_bit(block, rz->todo, rz->nr_blocks) {
		if (got >= nr)
			break;
		__clear_bit(block, rz->todo);
		spin_lock(&rz->lock);
		__clear_bit(block, rz->pending);
		spin_unlock(&rz->lock);

		req->result->asked++;
		rz->asked++;
		err = balloon_blocks_isolate(regiond_pfn(rz, block), 1);
		if (err == -EOPNOTSUPP) {
			nr = min(nr, REGIOND_RUN);
			regiond_bound(rz, req);
		} else if (err) {
			regiond_give_up(rz, req);
			continue;
		}
		__set_bit(block, rz->batch);
		got++;
		cond_resched();
	}
}

/* Blocks of the batch that are not wanted, or not to be had. */
static void regiond_unisolate(struct regiond_zone *rz)
{
	u32 block;

	for_each_set_bit(block, rz->batch, rz->nr_blocks)
		balloon_blocks_unisolate(regiond_pfn(rz, block), 1);
	bitmap_zero(rz->batch, rz->nr_blocks);
}

/* One attempt at a run; what is won goes to the request. */
static int regiond_try(struct regiond_zone *rz, struct regiond_request *req,
		       u32 block, unsigned int nr)
{
	struct page *page = list_entry(req->blocks->prev, struct page, lru);
	u16 cost[REGIOND_RUN];
	unsigned int won = 0;
	int err;

	/* Somebody may rank anew in the meantime. */
	memcpy(cost, &rz->cost[block], nr * sizeof(*cost));
	rz->runs++;
	err = balloon_blocks_evacuate(regiond_pfn(rz, block), nr, req->blocks,
				      req->user->account);
	if (err)
		return err;
	bitmap_clear(rz->batch, block, nr);

	/* What is behind the old tail was won by this call. */
	list_for_each_entry_continue(page, req->blocks, lru) {
		unsigned long pfn = page_to_pfn(page) - rz->start_pfn;
		u16 moved = cost[(pfn >> pageblock_order) - block];

		if (moved != RANK_NEVER) {
			req->result->moved += moved;
			rz->moved += moved;
		}
		won++;
	}
	req->result->won += won;
	req->result->failed += nr - won;
	rz->won += won;
	rz->failed += nr - won;
	return 0;
}

/*
 * Empty a run of blocks. Where a page is in the way, the block that holds it
 * is given up and its neighbours are won all the same. Pages are moved in the
 * order of their addresses, so it is the first block that is not empty by now.
 */
static int regiond_run(struct regiond_zone *rz, struct regiond_request *req,
		       u32 block, unsigned int nr)
{
	unsigned int empty;
	int err;

	for (;;) {
		err = regiond_try(rz, req, block, nr);
		if (err != -EBUSY)
			return err;
		if (nr == 1) {
			regiond_give_up(rz, req);
			__clear_bit(block, rz->batch);
			balloon_blocks_unisolate(regiond_pfn(rz, block), 1);
			return 0;
		}

		for (empty = 0; empty < nr - 1; empty++)
			if (regiond_block_cost(rz, block + empty))
				break;
		if (empty) {
			err = regiond_run(rz, req, block, empty);
			if (err)
				return err;
		}
		err = regiond_run(rz, req, block + empty, 1);
		if (err)
			return err;
		block += empty + 1;
		nr -= empty + 1;
		if (!nr)
			return 0;
	}
}

static unsigned int regiond_missing(struct regiond_request *req)
{
	return req->nr_blocks - req->result->won;
}

/*
 * The request that the next run works for; those that are done are released.
 * When nobody waits any more, what is still marked was for somebody gone.
 */
static struct regiond_request *regiond_serve(struct regiond_zone *rz)
{
	struct regiond_request *req;

	for (;;) {
		spin_lock(&rz->lock);
		req = list_first_entry_or_null(&rz->requests,
					       struct regiond_request, node);
		spin_unlock(&rz->lock);
		if (!req)
			return NULL;
		if (req->user->ops && req->user->ops->stop &&
		    req->user->ops->stop(req->user))
			req->result->stopped = true;
		else if (regiond_missing(req) && !req->result->nomem)
			return req;

		spin_lock(&rz->lock);
		list_del(&req->node);
		if (list_empty(&rz->requests))
			bitmap_zero(rz->pending, rz->nr_blocks);
		spin_unlock(&rz->lock);
		complete(&req->done);
	}
}

static void regiond_work(struct kthread_work *work)
{
	struct regiond_zone *rz = container_of(work, struct regiond_zone, work);
	struct regiond_request *req;
	unsigned int nr, room;
	u32 block;

	while ((req = regiond_serve(rz))) {
		spin_lock(&rz->lock);
		bitmap_copy(rz->todo, rz->pending, rz->nr_blocks);
		spin_unlock(&rz->lock);

		if (bitmap_empty(rz->todo, rz->nr_blocks) ||
		    READ_ONCE(regiond_paused)) {
			/* Nothing is left to win for those who still wait. */
			req->nr_blocks = req->result->won;
			continue;
		}

		room = regiond_room(rz->zone);
		if (!room) {
			req->result->nomem = true;
			continue;
		}
		regiond_isolate(rz, req, min(room, regiond_missing(req)));

		block = 0;
		while (req && !READ_ONCE(regiond_paused) &&
		       !regiond_short(rz->zone)) {
			block = find_next_bit(rz->batch, rz->nr_blocks, block);
			if (block >= rz->nr_blocks)
				break;
			nr = find_next_zero_bit(rz->batch, rz->nr_blocks,
						block) - block;
			nr = min3(nr, REGIOND_RUN, regiond_missing(req));
			if (regiond_run(rz, req, block, nr))
				req->result->nomem = true;
			block += nr;
			req = regiond_serve(rz);
		}
		regiond_unisolate(rz);
	}
}

static void regiond_zone_init(struct regiond_zone *rz, struct zone *zone,
			      struct kthread_worker *worker)
{
	rz->zone = zone;
	rz->worker = worker;
	kthread_init_work(&rz->work, regiond_work);
	mutex_init(&rz->rank_lock);
	spin_lock_init(&rz->lock);
	INIT_LIST_HEAD(&rz->requests);
}

/* The node's worker is started when the node is first asked for a block. */
static struct regiond_node *regiond_node_get(int nid)
{
	struct regiond_node *node;
	int i;

	mutex_lock(&regiond_nodes_lock);
	node = regiond_nodes[nid];
	if (node)
		goto out;

	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!node)
		goto out;
	node->worker = kthread_create_worker(0, "regiond%d", nid);
	if (IS_ERR(node->worker)) {
		kfree(node);
		node = NULL;
		goto out;
	}
	if (!cpumask_empty(cpumask_of_node(nid)))
		set_cpus_allowed_ptr(node->worker->task, cpumask_of_node(nid));
	for (i = 0; i < MAX_NR_ZONES; i++)
		regiond_zone_init(&node->zones[i],
				  &NODE_DATA(nid)->node_zones[i], node->worker);
	regiond_nodes[nid] = node;
out:
	mutex_unlock(&regiond_nodes_lock);
	return node;
}

/*
 * Ready for a request? Its tables follow the zone, if nobody uses them. Called
 * with rank_lock held.
 */
static int regiond_prepare(struct regiond_zone *rz)
{
	bool idle;

	if (READ_ONCE(regiond_paused))
		return -EBUSY;
	spin_lock(&rz->lock);
	idle = list_empty(&rz->requests);
	spin_unlock(&rz->lock);
	if (!idle)
		return 0;
	kthread_flush_work(&rz->work);
	return regiond_zone_resize(rz);
}

/* The worker is to empty what has been chosen. Called with rank_lock held. */
static void regiond_queue(struct regiond_zone *rz, struct regiond_request *req)
{
	spin_lock(&rz->lock);
	bitmap_or(rz->pending, rz->pending, rz->chosen, rz->nr_blocks);
	list_add_tail(&req->node, &rz->requests);
	spin_unlock(&rz->lock);
	kthread_queue_work(rz->worker, &rz->work);
}

/**
 * regiond_evacuate() - empty the cheapest pageblocks of a zone and take them
 * @user: who asks
 * @zone: where; ZONE_NORMAL or below, since what a user takes may stay long
 * @nr_blocks: how many pageblocks
 * @blocks: the blocks won are added to its tail, linked by page->lru, every
 *	page PageOffline; balloon_block_free() gives one back
 * @result: what became of it; may not be NULL
 *
 * Waits until the zone's worker has tried @nr_blocks pageblocks, or as many as
 * there are candidates; on a stock kernel, until it has won some. No room is
 * made: the worker stops where the zone would fall below its high watermark, and
 * says so in @result->nomem.
 *
 * Context: Process context, sleeps. The caller holds no lock that a page's
 * migration or the OOM notifier may take.
 * Return: 0, also if no block was won; -ENOMEM if the zone's tables could not be
 * allocated, -EINVAL if the zone can't be asked, -EBUSY while memory of the
 * machine goes offline.
 */
int regiond_evacuate(struct regiond_user *user, struct zone *zone,
		     unsigned int nr_blocks, struct list_head *blocks,
		     struct regiond_result *result)
{
	struct regiond_request req = {
		.user = user,
		.blocks = blocks,
		.result = result,
		.nr_blocks = nr_blocks,
	};
	struct regiond_node *node;
	struct regiond_zone *rz;
	bool queued;
	int err;

	memset(result, 0, sizeof(*result));
	if (zone_idx(zone) > ZONE_NORMAL || !managed_zone(zone))
		return -EINVAL;
	node = regiond_node_get(zone_to_nid(zone));
	if (!node)
		return -ENOMEM;
	rz = &node->zones[zone_idx(zone)];
	init_completion(&req.done);

	mutex_lock(&rz->rank_lock);
	err = regiond_prepare(rz);
	queued = !err && regiond_choose(rz, nr_blocks);
	if (queued)
		regiond_queue(rz, &req);
	mutex_unlock(&rz->rank_lock);

	if (queued)
		wait_for_completion(&req.done);
	return err;
}
EXPORT_SYMBOL_GPL(regiond_evacuate);

static long regiond_drain_cpu(void *unused)
{
	struct folio_batch none;

	/* Empties this CPU's batches first, and has nothing to do then. */
	folio_batch_init(&none);
	__folio_batch_release(&none);
	return 0;
}

/*
 * What is in a CPU's batch on its way to or from the LRU can't be isolated:
 * lru_add_drain_all(), which no module can call.
 */
static void regiond_drain(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		work_on_cpu_safe(cpu, regiond_drain_cpu, NULL);
}

/*
 * Try what of a region can be emptied. Under rank_lock, which keeps others out:
 * what is won is of this region, and of no use to them.
 */
static int regiond_try_region(struct regiond_zone *rz,
			      struct regiond_request *req,
			      unsigned long start_pfn, unsigned int nr_blocks)
{
	unsigned int chosen;
	int err;

	kthread_flush_work(&rz->work);
	err = regiond_prepare(rz);
	if (err)
		return err;
	if (start_pfn < rz->start_pfn ||
	    start_pfn + nr_blocks * pageblock_nr_pages >
	    regiond_pfn(rz, rz->nr_blocks))
		return -EINVAL;
	regiond_drain();
	chosen = regiond_choose_region(rz,
			(start_pfn - rz->start_pfn) >> pageblock_order,
			nr_blocks);
	if (!chosen)
		return 0;

	req->nr_blocks = req->result->won + chosen;
	init_completion(&req->done);
	regiond_queue(rz, req);
	wait_for_completion(&req->done);
	return 0;
}

/* The zone of all pageblocks of a region; NULL if it is not in one zone. */
static struct zone *regiond_region_zone(unsigned long start_pfn,
					unsigned long end_pfn)
{
	struct zone *zone = NULL;
	unsigned long pfn;

	for (pfn = start_pfn; pfn < end_pfn; pfn += pageblock_nr_pages) {
		if (!pfn_to_online_page(pfn))
			return NULL;
		if (!zone)
			zone = page_zone(pfn_to_page(pfn));
		if (!regiond_block_in_zone(zone, pfn))
			return NULL;
	}
	return zone;
}

/**
 * regiond_empty_region() - empty a region
 * @user: who asks
 * @start_pfn: its first page frame, aligned to its size
 * @nr_pages: its size: a power of two, from a pageblock to a memory block
 * @blocks: as for regiond_evacuate(); or NULL, then what was emptied is left
 *	free once all of it has been
 * @result: what became of it, in pageblocks; may not be NULL
 *
 * Waits until the zone's worker has tried all pageblocks of the region that can
 * be emptied, and a second time those that were not. A pageblock that a balloon
 * holds, or with anything unmovable in it, counts as one that failed. No room is
 * made, as for regiond_evacuate(). Nothing keeps what is left free from being used
 * again. Other requests for the zone wait meanwhile.
 *
 * Context: Process context, sleeps. The caller holds no lock that a page's
 * migration or the OOM notifier may take.
 * Return: 0 if all of the region was emptied. Else, what was emptied of it is on
 * the list or free all the same: -EBUSY if there is something that can't be moved,
 * or memory of the machine goes offline; -ENOMEM if there was no room; -EINTR if
 * @user wanted to stop. -EINVAL, and nothing was tried, if there is no such region,
 * it is not all online and in one zone, or the zone is ZONE_MOVABLE and blocks are
 * to be handed over.
 */
int regiond_empty_region(struct regiond_user *user, unsigned long start_pfn,
			 unsigned long nr_pages, struct list_head *blocks,
			 struct regiond_result *result)
{
	unsigned int nr_blocks = nr_pages >> pageblock_order;
	LIST_HEAD(left_free);
	struct regiond_request req = {
		.user = user,
		.blocks = blocks ?: &left_free,
		.result = result,
		.region = true,
	};
	struct page *block, *next;
	struct regiond_node *node;
	struct regiond_zone *rz;
	struct zone *zone;
	int err;

	memset(result, 0, sizeof(*result));
	if (!is_power_of_2(nr_pages) || !nr_blocks ||
	    nr_pages > memory_block_size_bytes() >> PAGE_SHIFT ||
	    !IS_ALIGNED(start_pfn, nr_pages))
		return -EINVAL;
	zone = regiond_region_zone(start_pfn, start_pfn + nr_pages);
	if (!zone || (blocks && zone_idx(zone) > ZONE_NORMAL))
		return -EINVAL;
	node = regiond_node_get(zone_to_nid(zone));
	if (!node)
		return -ENOMEM;
	rz = &node->zones[zone_idx(zone)];

	mutex_lock(&rz->rank_lock);
	err = regiond_try_region(rz, &req, start_pfn, nr_blocks);
	/* Somebody may just have had a page in hands: once more, if that can be. */
	if (!err && result->won < nr_blocks && !result->nomem &&
	    !result->stopped)
		regiond_try_region(rz, &req, start_pfn, nr_blocks);
	mutex_unlock(&rz->rank_lock);
	if (err)
		return err;

	list_for_each_entry_safe(block, next, &left_free, lru) {
		list_del(&block->lru);
		balloon_block_free(block, user->account);
		cond_resched();
	}
	if (result->won == nr_blocks)
		return 0;
	if (result->stopped)
		return -EINTR;
	if (result->nomem)
		return -ENOMEM;
	result->failed = nr_blocks - result->won;
	return -EBUSY;
}
EXPORT_SYMBOL_GPL(regiond_empty_region);

/*
 * While memory goes offline nothing is ranked or emptied: struct pages may
 * vanish, and pageblocks are isolated by somebody else.
 */
static int regiond_memory_notify(struct notifier_block *nb,
				 unsigned long action, void *arg)
{
	bool pause = action == MEM_GOING_OFFLINE;
	int nid, i;

	if (!pause && action != MEM_OFFLINE && action != MEM_CANCEL_OFFLINE)
		return NOTIFY_OK;

	mutex_lock(&regiond_nodes_lock);
	WRITE_ONCE(regiond_paused, pause);
	for_each_online_node(nid) {
		struct regiond_node *node = regiond_nodes[nid];

		for (i = 0; node && i < MAX_NR_ZONES; i++) {
			struct regiond_zone *rz = &node->zones[i];

			/* Waits for a ranking, then for the worker. */
			mutex_lock(&rz->rank_lock);
			rz->nr_order = 0;
			mutex_unlock(&rz->rank_lock);
			if (pause)
				kthread_flush_work(&rz->work);
		}
	}
	mutex_unlock(&regiond_nodes_lock);
	return NOTIFY_OK;
}

static struct notifier_block regiond_memory_nb = {
	.notifier_call = regiond_memory_notify,
};

/*
 * The administrator's regions: all of one size, numbered by their addresses.
 */
static unsigned long region_mib;	/* 0: as large as a memory block */

static unsigned long regiond_region_pages(void)
{
	unsigned long bytes = READ_ONCE(region_mib) * SZ_1M;

	return (bytes ?: memory_block_size_bytes()) >> PAGE_SHIFT;
}

static int region_mib_set(const char *val, const struct kernel_param *kp)
{
	unsigned long mib;
	int err = kstrtoul(val, 0, &mib);

	if (err)
		return err;
	if (mib && (!is_power_of_2(mib) ||
		    mib < (pageblock_nr_pages << PAGE_SHIFT) / SZ_1M ||
		    mib > memory_block_size_bytes() / SZ_1M))
		return -EINVAL;
	WRITE_ONCE(region_mib, mib);
	return 0;
}

static int region_mib_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n",
			  regiond_region_pages() / (SZ_1M >> PAGE_SHIFT));
}

static const struct kernel_param_ops region_mib_ops = {
	.set = region_mib_set,
	.get = region_mib_get,
};
module_param_cb(region_mib, &region_mib_ops, NULL, 0644);
MODULE_PARM_DESC(region_mib, "Size of the regions in debugfs, in MiB: a power of two, from a pageblock to a memory block (default 0: a memory block)");

static int regiond_zones_show(struct seq_file *m, void *v)
{
	int nid, i;

	seq_puts(m, "node zone rankings runs asked won moved failed\n");
	mutex_lock(&regiond_nodes_lock);
	for_each_online_node(nid) {
		struct regiond_node *node = regiond_nodes[nid];

		for (i = 0; node && i < MAX_NR_ZONES; i++) {
			struct regiond_zone *rz = &node->zones[i];

			if (!rz->rankings && !rz->asked)
				continue;
			seq_printf(m, "%d %s %lu %lu %lu %lu %lu %lu\n", nid,
				   rz->zone->name, rz->rankings, rz->runs,
				   rz->asked, rz->won, rz->moved, rz->failed);
		}
	}
	mutex_unlock(&regiond_nodes_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(regiond_zones);

/* A node's regions, one each step: the position is the region's number. */
static void *regiond_node_start(struct seq_file *m, loff_t *pos)
{
	int nid = (unsigned long)m->private;
	unsigned long first;

	if (!node_online(nid))
		return NULL;
	first = node_start_pfn(nid) / regiond_region_pages();
	if (!*pos)
		seq_puts(m, "address free movable driver unmovable balloon\n");
	if (*pos < first)
		*pos = first;
	return *pos * regiond_region_pages() < node_end_pfn(nid) ? pos : NULL;
}

static void *regiond_node_next(struct seq_file *m, void *v, loff_t *pos)
{
	int nid = (unsigned long)m->private;

	++*pos;
	return *pos * regiond_region_pages() < node_end_pfn(nid) ? pos : NULL;
}

static void regiond_node_stop(struct seq_file *m, void *v)
{
}

static int regiond_node_show(struct seq_file *m, void *v)
{
	unsigned long free = 0, movable = 0, driver = 0, fixed = 0, balloon = 0;
	unsigned long nr_pages = regiond_region_pages();
	unsigned long start_pfn = *(loff_t *)v * nr_pages;
	int nid = (unsigned long)m->private;
	struct block_use use;
	unsigned long pfn;

	/* Held, no memory goes offline. */
	mutex_lock(&regiond_nodes_lock);
	if (regiond_paused)
		goto out;
	for (pfn = start_pfn; pfn < start_pfn + nr_pages;
	     pfn += pageblock_nr_pages) {
		if (!pfn_to_online_page(pfn) ||
		    !pfn_to_online_page(pfn + pageblock_nr_pages - 1) ||
		    page_to_nid(pfn_to_page(pfn)) != nid)
			continue;
		regiond_block_use(pfn, &use, true);
		free += use.free;
		movable += use.lru + use.huge;
		driver += use.driver;
		fixed += use.unmovable;
		balloon += use.balloon;
	}
out:
	mutex_unlock(&regiond_nodes_lock);
	if (free + movable + driver + fixed + balloon)
		seq_printf(m, "%#llx %lu %lu %lu %lu %lu\n",
			   (u64)PFN_PHYS(start_pfn), free, movable, driver,
			   fixed, balloon);
	return 0;
}

static const struct seq_operations regiond_node_sops = {
	.start = regiond_node_start,
	.next = regiond_node_next,
	.stop = regiond_node_stop,
	.show = regiond_node_show,
};

static int regiond_node_open(struct inode *inode, struct file *file)
{
	int err = seq_open(file, &regiond_node_sops);

	if (!err)
		((struct seq_file *)file->private_data)->private =
			inode->i_private;
	return err;
}

static const struct file_operations regiond_node_fops = {
	.owner = THIS_MODULE,
	.open = regiond_node_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release,
};

/* The administrator as a user, and what became of the last request. */
static DEFINE_MUTEX(regiond_admin_lock);
static struct {
	struct regiond_user user;
	struct task_struct *task;
	unsigned long start_pfn;
	unsigned long nr_pages;
	struct regiond_result result;
} regiond_admin;

static bool regiond_admin_stop(struct regiond_user *user)
{
	return signal_pending(regiond_admin.task);
}

static const struct regiond_user_ops regiond_admin_ops = {
	.stop = regiond_admin_stop,
};

static int regiond_empty_show(struct seq_file *m, void *v)
{
	mutex_lock(&regiond_admin_lock);
	if (regiond_admin.nr_pages)
		seq_printf(m, "address %#llx\npages %lu\nblocks %lu\nwon %u\nfailed %u\nmoved %lu\nnomem %d\nstopped %d\n",
			   (u64)PFN_PHYS(regiond_admin.start_pfn),
			   regiond_admin.nr_pages,
			   regiond_admin.nr_pages >> pageblock_order,
			   regiond_admin.result.won,
			   regiond_admin.result.failed,
			   regiond_admin.result.moved,
			   regiond_admin.result.nomem,
			   regiond_admin.result.stopped);
	mutex_unlock(&regiond_admin_lock);
	return 0;
}

static int regiond_empty_open(struct inode *inode, struct file *file)
{
	return single_open(file, regiond_empty_show, NULL);
}

static ssize_t regiond_empty_write(struct file *file, const char __user *ubuf,
				   size_t count, loff_t *ppos)
{
	u64 address;
	int err = kstrtou64_from_user(ubuf, count, 0, &address);

	if (err)
		return err;
	mutex_lock(&regiond_admin_lock);
	regiond_admin.task = current;
	regiond_admin.nr_pages = regiond_region_pages();
	regiond_admin.start_pfn = round_down(PHYS_PFN(address),
					     regiond_admin.nr_pages);
	err = regiond_empty_region(&regiond_admin.user, regiond_admin.start_pfn,
				   regiond_admin.nr_pages, NULL,
				   &regiond_admin.result);
	mutex_unlock(&regiond_admin_lock);
	return err ?: count;
}

static const struct file_operations regiond_empty_fops = {
	.owner = THIS_MODULE,
	.open = regiond_empty_open,
	.read = seq_read,
	.write = regiond_empty_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static void regiond_debugfs_add(void)
{
	char name[16];
	long nid;

	regiond_debugfs = debugfs_create_dir("regiond", NULL);
	debugfs_create_file("zones", 0444, regiond_debugfs, NULL,
			    &regiond_zones_fops);
	debugfs_create_file("empty", 0600, regiond_debugfs, NULL,
			    &regiond_empty_fops);
	for_each_node(nid) {
		snprintf(name, sizeof(name), "node%ld", nid);
		debugfs_create_file(name, 0444, regiond_debugfs, (void *)nid,
				    &regiond_node_fops);
	}
}

static int __init regiond_init(void)
{
	int err = register_memory_notifier(&regiond_memory_nb);

	if (err)
		return err;
	regiond_admin.user.ops = &regiond_admin_ops;
	regiond_debugfs_add();
	return 0;
}

static void __exit regiond_exit(void)
{
	int nid, i;

	debugfs_remove_recursive(regiond_debugfs);
	unregister_memory_notifier(&regiond_memory_nb);
	for (nid = 0; nid < MAX_NUMNODES; nid++) {
		struct regiond_node *node = regiond_nodes[nid];

		if (!node)
			continue;
		kthread_destroy_worker(node->worker);
		for (i = 0; i < MAX_NR_ZONES; i++)
			regiond_zone_free(&node->zones[i]);
		kfree(node);
	}
}

module_init(regiond_init);
module_exit(regiond_exit);
MODULE_DESCRIPTION("Evacuation of lightly filled pageblocks");
MODULE_LICENSE("GPL");
