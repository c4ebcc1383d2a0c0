// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: whole pageblocks
 *
 * The host backs the guest with huge pages where it can. A balloon that takes
 * single pages breaks one with each of them; so this one takes whole blocks:
 * first those that are free, then those that regiond can empty.
 *
 * A block goes to the host in one of two ways, on standard queues:
 *
 *  - as a part of a range on the reporting queue, where the device has free
 *    page reporting and does not have to keep a poison value. A range may be
 *    any number of neighbouring blocks, and the device discards it in one
 *    call. Nothing is said when such a block is used again: that is what
 *    reported pages are about.
 *  - as PFNs on the inflate queue, all of a block in one buffer and in order,
 *    so that a device on hugetlbfs sees a whole host page. The deflate queue
 *    hears of it when the block is released.
 *
 * A block is held only when the host has acknowledged it. Until then nobody
 * else - the OOM notifier, migration - can find it. While the host discards
 * one lot of ranges the next one is taken from the allocator.
 *
 * A block can't be moved, since there is no other one to move it to. But it can
 * be given back: when somebody wants the memory that it is in, for a contiguous
 * allocation or to take it offline, that pageblock is isolated, and the kernel
 * asks what can be done about the pages in it. The first page of a block, which
 * is the one with a reference, is a driver page for that. The balloon takes
 * another block in its place a while later.
 */
#include <linux/list_sort.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/page-isolation.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include <ballast/driver_pages.h>
#include <linux/balloon_block.h>
#include <linux/pageblock_type.h>
#include "balloon.h"

/* How long free blocks are collected before the host hears of them. */
#define BALLOON_COLLECT_JIFFIES	max(HZ / 10, 1)
/* How many blocks at once the host gets, where there are so many. */
#define BALLOON_SEND_BATCH	256U
/* How many blocks at once the allocator is asked for. */
#define BALLOON_ALLOC_BATCH	32U
/*
 * And regiond: as many as are wanted, since nothing is moved into blocks that it
 * knows it has to empty. It stops when the target changes.
 */
#define BALLOON_WIN_BATCH	1024U

static int block_cmp(void *priv, const struct list_head *a,
		     const struct list_head *b)
{
	unsigned long pfn_a = page_to_pfn(list_entry(a, struct page, lru));
	unsigned long pfn_b = page_to_pfn(list_entry(b, struct page, lru));

	return pfn_a < pfn_b ? -1 : pfn_a > pfn_b;
}

/* Wait until the host has acknowledged what it was sent, if anything. */
static int finish_ranges(struct virtio_balloon *vb)
{
	if (!vb->reporting)
		return 0;
	vb->reporting = false;
	return balloon_report_finish(vb);
}

/* One buffer is with the host at a time. */
static int send_ranges(struct virtio_balloon *vb)
{
	struct balloon_ranges *ranges = &vb->ranges;
	struct scatterlist *sg = vb->sg;
	unsigned int i, nr = ranges->nr;
	int err;

	BUILD_BUG_ON(BALLOON_RANGES_MAX > PAGE_REPORTING_CAPACITY);

	sg_init_table(sg, nr);
	for (i = 0; i < nr; i++)
		sg_set_page(&sg[i], pfn_to_page(ranges->range[i].pfn),
			    ranges->range[i].nr_pages << PAGE_SHIFT, 0);
	ranges->nr = 0;

	err = finish_ranges(vb) ?: balloon_report_start(vb, sg, nr);
	if (err)
		return err;
	vb->reporting = true;
	vb->count.ranges_sent += nr;
	return 0;
}

/* One more block to send; when the buffer is full it goes. */
static int collect_block(struct virtio_balloon *vb, unsigned long pfn)
{
	int err;

	if (balloon_ranges_add(&vb->ranges, pfn, pageblock_nr_pages))
		return 0;
	err = send_ranges(vb);
	if (!err)
		balloon_ranges_add(&vb->ranges, pfn, pageblock_nr_pages);
	return err;
}

static int report_blocks(struct virtio_balloon *vb, struct list_head *blocks)
{
	struct page *block;
	int err;

	vb->ranges.nr = 0;
	list_for_each_entry(block, blocks, lru) {
		err = collect_block(vb, page_to_pfn(block));
		if (err)
			return err;
	}
	return send_ranges(vb);
}

static void set_block_pfns(struct virtio_balloon *vb, struct page *block)
{
	unsigned long i;

	for (i = 0; i < pageblock_nr_pages; i++)
		balloon_add_page_pfns(vb, block + i);
}

/* One more block to tell of; when the buffer is full it goes. */
static void tell_block(struct virtio_balloon *vb, struct virtqueue *vq,
		       struct page *block)
{
	set_block_pfns(vb, block);
	if (vb->num_pfns + VIRTIO_BALLOON_PAGES_PER_BLOCK >
	    VIRTIO_BALLOON_BLOCK_PFNS)
		balloon_tell_host(vb, vq);
}

/* Called with the balloon lock held; the list is in the order of addresses. */
static void tell_block_pfns(struct virtio_balloon *vb, struct virtqueue *vq,
			    struct list_head *blocks)
{
	struct page *block;

	vb->num_pfns = 0;
	list_for_each_entry(block, blocks, lru)
		tell_block(vb, vq, block);
	balloon_tell_host(vb, vq);
}

/* Under the balloon lock. */
static void hold_blocks(struct virtio_balloon *vb, struct list_head *blocks,
			unsigned int nr)
{
	struct page *block, *next;

	list_for_each_entry_safe(block, next, blocks, lru) {
		struct balloon_node *node = &vb->nodes[page_to_nid(block)];

		list_move_tail(&block->lru, &node->fresh);
		node->held++;
	}
	WRITE_ONCE(vb->num_blocks, vb->num_blocks + nr);
	count_vm_events(BALLOON_INFLATE, nr << pageblock_order);
}

static void free_blocks(struct virtio_balloon *vb, struct list_head *blocks)
{
	bool account = balloon_pages_unmanaged(vb);
	struct page *block, *next;

	list_for_each_entry_safe(block, next, blocks, lru) {
		list_del(&block->lru);
		balloon_block_free(block, account);
	}
}

/*
 * Wait until the host has acknowledged the blocks that were sent, and hold
 * them. False if the device is broken: then they have gone back.
 */
static bool settle_blocks(struct virtio_balloon *vb)
{
	unsigned int nr = vb->num_sent;

	if (!nr)
		return true;
	vb->num_sent = 0;
	if (finish_ranges(vb)) {
		free_blocks(vb, &vb->sent);
		return false;
	}
	mutex_lock(&vb->balloon_lock);
	vb->count.blocks_sent_range += nr;
	hold_blocks(vb, &vb->sent, nr);
	mutex_unlock(&vb->balloon_lock);
	return true;
}

/*
 * Hand blocks over to the host. They are held when it has acknowledged them:
 * at once for PFNs, at the next settle_blocks() for ranges. False if the device
 * is broken: then they have gone back.
 */
static bool inflate_blocks(struct virtio_balloon *vb, struct list_head *blocks,
			   unsigned int nr)
{
	list_sort(NULL, blocks, block_cmp);

	if (vb->use_ranges) {
		if (!settle_blocks(vb) || report_blocks(vb, blocks)) {
			free_blocks(vb, blocks);
			return false;
		}
		list_splice_init(blocks, &vb->sent);
		vb->num_sent = nr;
		return true;
	}

	mutex_lock(&vb->balloon_lock);
	tell_block_pfns(vb, vb->inflate_vq, blocks);
	vb->count.blocks_sent_pfn += nr;
	hold_blocks(vb, blocks, nr);
	mutex_unlock(&vb->balloon_lock);
	return true;
}

/* Whole blocks that a zone can spare as it is. */
static unsigned int zone_blocks(struct virtio_balloon *vb, struct zone *zone,
				const nodemask_t *seen)
{
	int nid = zone_to_nid(zone);

	if (!managed_zone(zone) || !balloon_node_allowed(nid) ||
	    node_isset(nid, seen[zone_idx(zone)]))
		return 0;
	return balloon_zone_room(vb, zone) >> pageblock_order;
}

/*
 * The zone that can spare most, among those that the caller has not seen yet,
 * and what all of them can.
 */
static struct zone *roomiest_zone(struct virtio_balloon *vb,
				  const nodemask_t *seen, unsigned long *total)
{
	unsigned int blocks, most = 0;
	struct zone *best = NULL;
	int nid, i;

	*total = 0;
	for_each_online_node(nid) {
		for (i = 0; i <= ZONE_NORMAL; i++) {
			struct zone *zone = &NODE_DATA(nid)->node_zones[i];

			blocks = zone_blocks(vb, zone, seen);
			*total += blocks;
			if (blocks > most) {
				most = blocks;
				best = zone;
			}
		}
	}
	return best;
}

/* Take up to @nr blocks from a zone; returns how many. */
typedef unsigned int (*take_fn)(struct virtio_balloon *vb, struct zone *zone,
				unsigned int nr, struct list_head *blocks);

static unsigned int take_from_zone(struct virtio_balloon *vb, struct zone *zone,
				   unsigned int nr, struct list_head *blocks,
				   nodemask_t *seen, take_fn take)
{
	unsigned int taken = nr ? take(vb, zone, nr, blocks) : 0;

	if (taken < nr)
		node_set(zone_to_nid(zone), seen[zone_idx(zone)]);
	return taken;
}

/*
 * Take up to @nr blocks, from each zone in proportion to what it can spare, so
 * that the proportion stays. A zone that gave less is marked as seen. Returns
 * how many; with 0, *@more says whether there are zones left to try.
 */
static unsigned int take_from_zones(struct virtio_balloon *vb, unsigned int nr,
				    struct list_head *blocks, nodemask_t *seen,
				    take_fn take, bool *more)
{
	unsigned int share, rest, taken = 0;
	struct zone *best;
	unsigned long total;
	int nid, i;

	best = roomiest_zone(vb, seen, &total);
	nr = min3((unsigned long)nr, total,
		  balloon_room(vb) >> pageblock_order);
	*more = best && nr;
	if (!*more)
		return 0;

	rest = nr;
	for_each_online_node(nid) {
		for (i = 0; i <= ZONE_NORMAL; i++) {
			struct zone *zone = &NODE_DATA(nid)->node_zones[i];

			if (zone == best || balloon_interrupted(vb))
				continue;
			/* It may be able to spare more by now. */
			share = min(balloon_share(nr, zone_blocks(vb, zone,
								  seen), total),
				    rest);
			taken += take_from_zone(vb, zone, share, blocks, seen,
						take);
			rest -= share;
		}
	}
	/* What the shares leave over when they are rounded, too. */
	if (!balloon_interrupted(vb))
		taken += take_from_zone(vb, best,
					min(rest, zone_blocks(vb, best, seen)),
					blocks, seen, take);
	return taken;
}

static bool balloon_regiond_stop(struct regiond_user *user)
{
	struct virtio_balloon *vb = container_of(user, struct virtio_balloon,
						 regiond);

	/* Under pressure, what is isolated is wanted as much as what we hold. */
	return balloon_interrupted(vb) ||
	       evacuation_futile(vb->evacuation.won, vb->evacuation.failed);
}

static const struct regiond_user_ops balloon_regiond_ops = {
	.stop = balloon_regiond_stop,
};

static unsigned int take_free(struct virtio_balloon *vb, struct zone *zone,
			      unsigned int nr, struct list_head *blocks)
{
	return balloon_blocks_alloc(zone, nr, blocks,
				    balloon_pages_unmanaged(vb));
}

/*
 * Free blocks. Collecting goes on for a while, because the more is sorted at once
 * the longer the ranges get.
 */
static unsigned int take_free_blocks(struct virtio_balloon *vb, unsigned int nr,
				     struct list_head *blocks, unsigned long end)
{
	nodemask_t seen[ZONE_NORMAL + 1] = {};
	unsigned int taken = 0;
	bool more = true;

	while (more && taken < nr && time_before(jiffies, end) &&
	       !balloon_interrupted(vb))
		taken += take_from_zones(vb, min(nr - taken, BALLOON_ALLOC_BATCH),
					 blocks, seen, take_free, &more);
	vb->count.blocks_free += taken;
	return taken;
}

static unsigned int take_evacuated(struct virtio_balloon *vb, struct zone *zone,
				   unsigned int nr, struct list_head *blocks)
{
	struct regiond_result *result = &vb->evacuation;
	bool futile;

	WRITE_ONCE(vb->winning, true);
	if (regiond_evacuate(&vb->regiond, zone, nr, blocks, result) == -EBUSY)
		vb->evacuation_busy = true;
	WRITE_ONCE(vb->winning, false);

	futile = evacuation_futile(result->won, result->failed);
	if (result->stopped && !futile)
		vb->evacuation_busy = true;
	vb->count.evacuations++;
	if (!result->won)
		vb->count.evacuations_futile++;
	vb->count.blocks_asked += result->asked;
	vb->count.blocks_won += result->won;
	vb->count.pages_moved += result->moved;
	return result->won;
}

/*
 * Blocks that regiond can empty. When it could not empty any, the next requests
 * are left out, more of them each time, until there is more free memory than
 * there was: what is in the way will not have gone.
 */
static unsigned int win_blocks(struct virtio_balloon *vb, unsigned int nr,
			       struct list_head *blocks)
{
	nodemask_t seen[ZONE_NORMAL + 1] = {};
	unsigned long tried = vb->count.evacuations;
	unsigned long room = balloon_free_room(vb);
	unsigned int taken = 0;
	bool more = true;

	if (evacuation_deferred(&vb->deferral, room)) {
		vb->count.evacuations_deferred++;
		return 0;
	}

	vb->evacuation_busy = false;
	while (more && !taken && !balloon_interrupted(vb))
		taken = take_from_zones(vb, min(nr, BALLOON_WIN_BATCH), blocks,
					seen, take_evacuated, &more);
	if (vb->count.evacuations != tried && !vb->evacuation_busy &&
	    !vb->evacuation.nomem && !balloon_interrupted(vb))
		evacuation_done(&vb->deferral, taken, room);
	return taken;
}

/* Why is there no free block? */
static enum balloon_shortage balloon_why_short(struct virtio_balloon *vb)
{
	struct balloon_free free;

	balloon_count_free(&free);
	return balloon_shortage(balloon_free_room(vb), pageblock_nr_pages,
				balloon_frag_index(&free, pageblock_order));
}

/**
 * balloon_take_blocks() - inflate by whole pageblocks
 * @vb: the balloon
 * @nr: how many at the most
 *
 * One step: it returns when the host has acknowledged what was found in a
 * while, the caller comes back for more.
 *
 * Context: the size work, no locks held.
 * Return: the number of blocks taken; with 0, @vb->blocks_exhausted says
 * whether there are none to be had, or just not now.
 */
unsigned int balloon_take_blocks(struct virtio_balloon *vb, unsigned int nr)
{
	unsigned long end = jiffies + BALLOON_COLLECT_JIFFIES;
	unsigned int got, taken = 0;
	enum balloon_shortage why;
	LIST_HEAD(blocks);

	do {
		got = take_free_blocks(vb, min(nr - taken, BALLOON_SEND_BATCH),
				       &blocks, end);
		taken += got;
		if (got && !inflate_blocks(vb, &blocks, got))
			return 0;
	} while (got && taken < nr);

	/* Reclaim for want of memory, evacuation for want of whole blocks. */
	vb->evacuation_busy = false;
	if (!taken && !balloon_interrupted(vb)) {
		why = balloon_why_short(vb);
		vb->evacuation.nomem = false;
		if (why == BALLOON_SHORTAGE_CONTIGUITY)
			taken = win_blocks(vb, nr, &blocks);
		/* There may be no room to move pages to, either. */
		if (!taken && (why == BALLOON_SHORTAGE_MEMORY ||
			       vb->evacuation.nomem) &&
		    balloon_make_room(vb, (unsigned long)nr << pageblock_order))
			taken = win_blocks(vb, nr, &blocks);
	}
	if (!list_empty(&blocks) && !inflate_blocks(vb, &blocks, taken))
		return 0;
	if (!settle_blocks(vb))
		return 0;
	if (!taken && !vb->evacuation_busy && !balloon_interrupted(vb))
		vb->blocks_exhausted = true;
	return taken;
}

/**
 * balloon_take_spare_block() - a pageblock that the host is not told of
 * @vb: the balloon
 *
 * For single pages that are to be together. The block is PageOffline and
 * accounted as one in the balloon.
 *
 * Context: the size work, no locks held.
 * Return: the block, or NULL.
 */
struct page *balloon_take_spare_block(struct virtio_balloon *vb)
{
	LIST_HEAD(blocks);
	struct page *block;

	if (!take_free_blocks(vb, 1, &blocks, jiffies + BALLOON_COLLECT_JIFFIES))
		win_blocks(vb, 1, &blocks);
	block = list_first_entry_or_null(&blocks, struct page, lru);
	if (block)
		list_del(&block->lru);
	return block;
}

/**
 * balloon_offer_blocks() - let the blocks be given back that were taken lately
 * @vb: the balloon
 *
 * Not done as they are taken, since nobody waits for it. A block that somebody
 * has locked at the moment is for the next time.
 *
 * Context: Process context, sleeps.
 */
void balloon_offer_blocks(struct virtio_balloon *vb)
{
	struct page *block, *next;
	struct balloon_node *node;
	int nid;

	mutex_lock(&vb->balloon_lock);
	for_each_online_node(nid) {
		node = &vb->nodes[nid];
		list_for_each_entry_safe(block, next, &node->fresh, lru) {
			spin_lock(&vb->held_lock);
			if (!driver_pages_mark(vb->block_mapping, block))
				list_move_tail(&block->lru, &node->blocks);
			spin_unlock(&vb->held_lock);
		}
	}
	mutex_unlock(&vb->balloon_lock);
}

/**
 * balloon_ask_blocks_again() - give all blocks to the host once more
 * @vb: the balloon; balloon_give_blocks_again() does so
 *
 * Not those that are locked by somebody while this goes on.
 *
 * Context: the size work, sleeps.
 */
void balloon_ask_blocks_again(struct virtio_balloon *vb)
{
	int nid;

	mutex_lock(&vb->balloon_lock);
	spin_lock(&vb->held_lock);
	for_each_online_node(nid)
		vb->nodes[nid].again = vb->nodes[nid].held;
	spin_unlock(&vb->held_lock);
	mutex_unlock(&vb->balloon_lock);
}

/*
 * Under the balloon lock: the next blocks to give again. They stay where they
 * are, but at the other end of the list: from now on they may be isolated, but
 * not leave the balloon before that lock is released.
 *
 * What is to be given again is at the beginning of a list: blocks come back there
 * from isolation, and are counted once more; new ones are put at the end, and who
 * leaves is not taken off the count. So none is left out, and one or the other is
 * given twice, which does no harm.
 */
static unsigned int pick_blocks_again(struct virtio_balloon *vb)
{
	struct balloon_node *node;
	unsigned int nr = 0;
	struct page *block;
	int nid;

	spin_lock(&vb->held_lock);
	for_each_online_node(nid) {
		node = &vb->nodes[nid];
		node->again = min(node->again, node->held);
		for (; node->again && nr < BALLOON_AGAIN_BATCH; node->again--) {
			block = list_first_entry_or_null(&node->blocks,
							 struct page, lru);
			if (!block) {
				node->again = 0;
				break;
			}
			vb->again_pfns[nr++] = page_to_pfn(block);
			list_move_tail(&block->lru, &node->blocks);
		}
	}
	spin_unlock(&vb->held_lock);
	return nr;
}

static int pfn_cmp(const void *a, const void *b)
{
	unsigned long pfn_a = *(const unsigned long *)a;
	unsigned long pfn_b = *(const unsigned long *)b;

	return pfn_a < pfn_b ? -1 : pfn_a > pfn_b;
}

/* Under the balloon lock; the PFNs are in order. */
static int send_blocks_again(struct virtio_balloon *vb, unsigned int nr)
{
	unsigned int i;
	int err;

	if (!vb->use_ranges) {
		for (i = 0; i < nr; i++)
			tell_block(vb, vb->inflate_vq,
				   pfn_to_page(vb->again_pfns[i]));
		balloon_tell_host(vb, vb->inflate_vq);
		return virtqueue_is_broken(vb->inflate_vq) ? -EIO : 0;
	}

	vb->ranges.nr = 0;
	for (i = 0; i < nr; i++) {
		err = collect_block(vb, vb->again_pfns[i]);
		if (err)
			return err;
	}
	return send_ranges(vb) ?: finish_ranges(vb);
}

/**
 * balloon_give_blocks_again() - send the next blocks to the host once more
 * @vb: the balloon, balloon_ask_blocks_again() was called
 *
 * The balloon lock is held until the host has acknowledged them, as where blocks
 * are inflated by PFN, and for no more of them: a block that left the balloon
 * before that would lose what the guest has in it by then.
 *
 * Context: the size work, no locks held. Allocates no memory.
 * Return: whether there may be more; not if the device is broken.
 */
bool balloon_give_blocks_again(struct virtio_balloon *vb)
{
	unsigned int nr;
	int err = 0;

	mutex_lock(&vb->balloon_lock);
	nr = pick_blocks_again(vb);
	if (nr) {
		sort(vb->again_pfns, nr, sizeof(vb->again_pfns[0]), pfn_cmp,
		     NULL);
		err = send_blocks_again(vb, nr);
		if (!err)
			vb->count.given_again +=
				nr * VIRTIO_BALLOON_PAGES_PER_BLOCK;
	}
	mutex_unlock(&vb->balloon_lock);
	return nr && !err;
}

/*
 * Under the balloon lock: up to @nr blocks of a list, the last ones first. Not
 * those that are being given back just now.
 */
static unsigned int pick_blocks(struct virtio_balloon *vb,
				struct list_head *from, unsigned int nr,
				struct list_head *to)
{
	unsigned int batch, picked = 0;
	struct page *block, *next;

	do {
		batch = 0;
		spin_lock(&vb->held_lock);
		list_for_each_entry_safe_reverse(block, next, from, lru) {
			if (picked == nr || batch == BALLOON_ALLOC_BATCH)
				break;
			if (driver_pages_unmark(vb->block_mapping,
						block) == -EAGAIN)
				continue;
			list_move(&block->lru, to);
			picked++;
			batch++;
		}
		spin_unlock(&vb->held_lock);
	} while (batch && picked < nr);
	return picked;
}

/* Under the balloon lock: where there are blocks, and least memory is free. */
static int neediest_node(struct virtio_balloon *vb, const nodemask_t *seen)
{
	unsigned long free, least = ULONG_MAX;
	int nid, best = NUMA_NO_NODE;

	for_each_online_node(nid) {
		struct balloon_node *node = &vb->nodes[nid];

		if (node_isset(nid, *seen) ||
		    (list_empty(&node->fresh) && list_empty(&node->blocks)))
			continue;
		free = balloon_node_free(nid);
		if (free < least) {
			least = free;
			best = nid;
		}
	}
	return best;
}

/* Up to @nr blocks of one node; @seen is where there are no more. */
static unsigned int release_from_node(struct virtio_balloon *vb,
				      unsigned int nr, nodemask_t *seen)
{
	struct balloon_node *node;
	unsigned int released = 0;
	LIST_HEAD(blocks);
	int nid;

	mutex_lock(&vb->balloon_lock);
	nid = neediest_node(vb, seen);
	if (nid == NUMA_NO_NODE) {
		nodes_setall(*seen);
		goto out;
	}
	node = &vb->nodes[nid];
	released = pick_blocks(vb, &node->fresh, nr, &blocks);
	released += pick_blocks(vb, &node->blocks, nr - released, &blocks);
	node->held -= released;
	if (released < nr)
		node_set(nid, *seen);
	WRITE_ONCE(vb->num_blocks, vb->num_blocks - released);
	count_vm_events(BALLOON_DEFLATE, released << pageblock_order);

	/* VIRTIO_BALLOON_F_MUST_TELL_HOST: before they are used. */
	if (!vb->use_ranges)
		tell_block_pfns(vb, vb->deflate_vq, &blocks);
	vb->count.blocks_released += released;
out:
	mutex_unlock(&vb->balloon_lock);

	free_blocks(vb, &blocks);
	return released;
}

/**
 * balloon_release_blocks() - deflate by whole pageblocks
 * @vb: the balloon
 * @nr: how many at the most
 *
 * The node with the least free memory gets its blocks back first.
 *
 * Context: Process context, and the OOM notifier: no memory is allocated.
 * Return: the number of blocks released: fewer, if some are being given back
 * just now.
 */
unsigned int balloon_release_blocks(struct virtio_balloon *vb, unsigned int nr)
{
	unsigned int batch = nr_online_nodes > 1 ? BALLOON_ALLOC_BATCH : nr;
	nodemask_t seen = NODE_MASK_NONE;
	unsigned int got, released = 0;

	do {
		got = release_from_node(vb, min(batch, nr - released), &seen);
		released += got;
	} while (released < nr && (got || !nodes_full(seen)));
	return released;
}

/* Compaction has no business here: where should it move a block to? */
static bool balloon_block_isolate(struct address_space *mapping,
				  struct page *block, enum migrate_mode mode)
{
	struct virtio_balloon *vb = driver_pages_private(mapping);

	if (pageblock_type(page_to_pfn(block)) != MIGRATE_ISOLATE)
		return false;

	spin_lock(&vb->held_lock);
	list_del(&block->lru);
	spin_unlock(&vb->held_lock);
	return true;
}

static void balloon_block_putback(struct address_space *mapping,
				  struct page *block, enum migrate_mode mode)
{
	struct virtio_balloon *vb = driver_pages_private(mapping);
	struct balloon_node *node = &vb->nodes[page_to_nid(block)];

	spin_lock(&vb->held_lock);
	list_add(&block->lru, &node->blocks);
	if (node->again)
		node->again++;
	spin_unlock(&vb->held_lock);
}

/*
 * Nothing is moved: the block is given back to the guest, and @dst not used. To
 * the kernel that is a page that was freed while it was isolated.
 */
static int balloon_block_migrate(struct address_space *mapping,
				 struct page *dst, struct page *block,
				 enum migrate_mode mode)
{
	struct virtio_balloon *vb = driver_pages_private(mapping);

	if (mode == MIGRATE_ASYNC)
		return -EAGAIN;

	mutex_lock(&vb->balloon_lock);
	if (!vb->use_ranges) {
		set_block_pfns(vb, block);
		balloon_tell_host(vb, vb->deflate_vq);
	}
	vb->nodes[page_to_nid(block)].held--;
	/* Last, for the device goes away when there is nothing left. */
	WRITE_ONCE(vb->num_blocks, vb->num_blocks - 1);
	count_vm_events(BALLOON_DEFLATE, pageblock_nr_pages);
	vb->count.blocks_given_back++;
	mutex_unlock(&vb->balloon_lock);

	driver_pages_unmark_locked(mapping, block);
	balloon_block_free(block, balloon_pages_unmanaged(vb));
	balloon_note_range(vb);
	return -EAGAIN;
}

static const struct driver_page_ops balloon_block_ops = {
	.isolate = balloon_block_isolate,
	.migrate = balloon_block_migrate,
	.putback = balloon_block_putback,
};

/**
 * balloon_blocks_init() - prepare for taking blocks
 * @vb: a balloon with its device, whose features are negotiated
 *
 * Return: 0 or an errno; balloon_blocks_exit() is due in the end.
 */
int balloon_blocks_init(struct virtio_balloon *vb)
{
	char name[32];
	int nid;

	vb->nodes = kcalloc(nr_node_ids, sizeof(*vb->nodes), GFP_KERNEL);
	if (!vb->nodes)
		return -ENOMEM;
	for (nid = 0; nid < nr_node_ids; nid++) {
		INIT_LIST_HEAD(&vb->nodes[nid].blocks);
		INIT_LIST_HEAD(&vb->nodes[nid].fresh);
	}
	INIT_LIST_HEAD(&vb->sent);
	mutex_init(&vb->reporting_lock);
	vb->regiond.ops = &balloon_regiond_ops;
	vb->regiond.account = balloon_pages_unmanaged(vb);

	snprintf(name, sizeof(name), "%s-blocks", dev_name(&vb->vdev->dev));
	vb->block_mapping = driver_pages_register(name, &balloon_block_ops, vb);
	return PTR_ERR_OR_ZERO(vb->block_mapping);
}

/**
 * balloon_blocks_exit() - undo balloon_blocks_init()
 * @vb: a balloon without blocks; it may have failed, or not been tried
 */
void balloon_blocks_exit(struct virtio_balloon *vb)
{
	driver_pages_unregister(vb->block_mapping);
	kfree(vb->nodes);
}
