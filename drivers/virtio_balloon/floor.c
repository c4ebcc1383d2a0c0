// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: how much memory the balloon leaves to the guest
 *
 * The host may ask for more than the guest can spare. The in-tree driver takes
 * it all the same, until the guest kills its processes. This one stops at a
 * floor: MemAvailable of the guest as a whole stays above it, and the free
 * memory of each zone above the zone's watermarks and an eighth of its share of
 * the floor. The target is not forgotten: the driver looks again after a while,
 * and goes on when memory has come free.
 *
 * Available memory that is not free is page cache. It is made free the way any
 * allocation does that: by reclaim on behalf of the one who asks, see
 * balloon_make_room().
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "balloon.h"

static int floor_mb = -1;
module_param(floor_mb, int, 0644);
MODULE_PARM_DESC(floor_mb,
		 "MiB that stay available in the guest, whatever the host asks for: -1 by its size (default), 0 no floor, as the in-tree driver");

static unsigned int oom_holdoff = 10;
module_param(oom_holdoff, uint, 0644);
MODULE_PARM_DESC(oom_holdoff,
		 "Seconds above the floor, after memory was given back for want of it, before the balloon grows again (default 10)");

/* How many pages of room to make in one go. */
#define BALLOON_ROOM_BATCH	16384UL

/* How often to make up for what stays on the CPU's lists, or in other zones. */
#define BALLOON_ROOM_TRIES	3

/* The zones keep free memory of so much of the floor; the rest may be cache. */
#define BALLOON_ZONE_SHARE	8

/* Looking again gets rarer while it is of no use. */
#define BALLOON_RETRY_MAX	(16 * HZ)

/* How long a contiguous allocation may take to move what else it has to. */
#define BALLOON_RANGE_HOLDOFF	(3 * HZ)

#define MB_TO_PAGES(mb)		((unsigned long)(mb) << (20 - PAGE_SHIFT))

/**
 * balloon_floor() - what the balloon leaves available in the guest
 * @vb: the balloon
 *
 * By default 1/32 of the memory the guest would have without a balloon, at
 * least 16 MiB and at most 512 MiB. MemAvailable, which is compared with it,
 * has the zones' high watermarks taken off already.
 *
 * Return: the floor in pages of PAGE_SIZE, 0 for none.
 */
unsigned long balloon_floor(struct virtio_balloon *vb)
{
	unsigned long total = totalram_pages();
	int mb = READ_ONCE(floor_mb);

	if (mb >= 0)
		return MB_TO_PAGES(mb);

	if (balloon_pages_unmanaged(vb))
		total += balloon_num_pages(vb) / VIRTIO_BALLOON_PAGES_PER_PAGE;
	return clamp(total / 32, MB_TO_PAGES(16), MB_TO_PAGES(512));
}

/**
 * balloon_room() - how much the balloon may grow before the floor is reached
 * @vb: the balloon
 *
 * Return: pages of PAGE_SIZE; ULONG_MAX without a floor.
 */
unsigned long balloon_room(struct virtio_balloon *vb)
{
	unsigned long floor = balloon_floor(vb);
	long available;

	if (!floor)
		return ULONG_MAX;
	available = si_mem_available();
	return available > (long)floor ? available - floor : 0;
}

static unsigned long balloon_zone_keep(struct virtio_balloon *vb,
				       struct zone *zone)
{
	u64 share = (u64)balloon_floor(vb) * zone_managed_pages(zone);

	/* The reserve is for those who can't go to a higher zone. */
	return high_wmark_pages(zone) +
	       zone->lowmem_reserve[gfp_zone(GFP_HIGHUSER)] +
	       div64_ul(share, totalram_pages() + 1) / BALLOON_ZONE_SHARE;
}

/**
 * balloon_zone_room() - how much may be taken out of a zone as it is
 * @vb: the balloon
 * @zone: the zone
 *
 * Return: pages of PAGE_SIZE.
 */
unsigned long balloon_zone_room(struct virtio_balloon *vb, struct zone *zone)
{
	unsigned long keep = balloon_zone_keep(vb, zone);
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);

	return free > keep ? free - keep : 0;
}

static nodemask_t balloon_nodes = NODE_MASK_ALL;

static int balloon_nodes_set(const char *val, const struct kernel_param *kp)
{
	nodemask_t nodes;
	int err = nodelist_parse(val, nodes);

	if (!err)
		balloon_nodes = nodes;
	return err;
}

static int balloon_nodes_get(char *buf, const struct kernel_param *kp)
{
	nodemask_t nodes;

	nodes_and(nodes, balloon_nodes, node_online_map);
	return sysfs_emit(buf, "%*pbl\n", nodemask_pr_args(&nodes));
}

static const struct kernel_param_ops balloon_nodes_ops = {
	.set = balloon_nodes_set,
	.get = balloon_nodes_get,
};
module_param_cb(nodes, &balloon_nodes_ops, NULL, 0644);
MODULE_PARM_DESC(nodes, "NUMA nodes to take memory from, as 0,2-3 (default: all)");

/**
 * balloon_node_allowed() - may memory be taken from a node?
 * @nid: the node
 *
 * Return: true if the parameter has it.
 */
bool balloon_node_allowed(int nid)
{
	return node_isset(nid, balloon_nodes);
}

/**
 * balloon_node_free() - how much memory of a node is free
 * @nid: the node
 *
 * Return: pages of PAGE_SIZE.
 */
unsigned long balloon_node_free(int nid)
{
	struct zone *zones = NODE_DATA(nid)->node_zones;
	unsigned long free = 0;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++)
		free += zone_page_state(&zones[i], NR_FREE_PAGES);
	return free;
}

/* The node that can spare most, as it is, and how much that is. */
static int roomiest_node(struct virtio_balloon *vb, unsigned long *room)
{
	int nid, i, best = NUMA_NO_NODE;

	*room = 0;
	for_each_online_node(nid) {
		struct zone *zones = NODE_DATA(nid)->node_zones;
		unsigned long node_room = 0;

		if (!balloon_node_allowed(nid))
			continue;
		for (i = 0; i < MAX_NR_ZONES; i++)
			node_room += balloon_zone_room(vb, &zones[i]);
		if (best == NUMA_NO_NODE || node_room > *room) {
			*room = node_room;
			best = nid;
		}
	}
	return best;
}

/**
 * balloon_free_room() - how much may be taken as it is, for pageblocks
 * @vb: the balloon
 *
 * Return: pages of PAGE_SIZE in the zone that can spare most, and no more than
 * the guest as a whole.
 */
unsigned long balloon_free_room(struct virtio_balloon *vb)
{
	unsigned long room = 0;
	int nid, i;

	for_each_online_node(nid) {
		struct zone *zones = NODE_DATA(nid)->node_zones;

		for (i = 0; i <= ZONE_NORMAL && balloon_node_allowed(nid); i++)
			room = max(room, balloon_zone_room(vb, &zones[i]));
	}
	return min(room, balloon_room(vb));
}

static unsigned long nodes_free(const nodemask_t *nodes)
{
	unsigned long free = 0;
	int nid;

	for_each_node_mask(nid, *nodes)
		free += balloon_node_free(nid);
	return free;
}

/* Free pages on the lists of the CPU: no zone counts them, nor does MemFree. */
static unsigned long nodes_cached(const nodemask_t *nodes)
{
	unsigned long cached = 0;
	struct zone *zone;
	int nid, i;

	for_each_node_mask(nid, *nodes) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			if (populated_zone(zone))
				cached += this_cpu_read(zone->per_cpu_pageset->count);
		}
	}
	return cached;
}

/*
 * Page cache is reclaimed as for anybody who allocates. That begins at the
 * watermarks, below what the zones keep: so what is free is held until there
 * are @want pages of both, and all is given back at once. Thousands of them may
 * stay on the lists of the CPU, which nothing that is exported drains for its
 * own sake: as many come on top. Returns false if there was no more to be had.
 */
static bool reclaim_until(struct virtio_balloon *vb, nodemask_t *nodes,
			  unsigned long want)
{
	unsigned long goal = want + nodes_cached(nodes);
	gfp_t gfp = balloon_mapping_gfp_mask() | __GFP_NOMEMALLOC |
		    __GFP_NORETRY | __GFP_NOWARN;
	struct page *page, *next;
	unsigned long held = 0;
	bool more = true;
	LIST_HEAD(pages);

	while (nodes_free(nodes) + held < goal && !balloon_interrupted(vb)) {
		page = __alloc_pages(gfp, 0, first_node(*nodes), nodes);
		if (!page) {
			more = false;
			break;
		}
		list_add(&page->lru, &pages);
		held++;
		cond_resched();
	}
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		put_page(page);
	}
	vb->count.room_made += held;
	return more;
}

/**
 * balloon_make_room() - turn available memory into free memory
 * @vb: the balloon
 * @nr: how many pages of PAGE_SIZE
 *
 * Tries again if the lists of the CPU have become longer by that, or if what
 * was reclaimed is not in one zone.
 *
 * Context: Process context, sleeps.
 * Return: true if there is room for a pageblock, or for @nr.
 */
bool balloon_make_room(struct virtio_balloon *vb, unsigned long nr)
{
	unsigned long want = 0, need, room;
	nodemask_t nodes;
	int nid, i, tries;

	nr = min3(nr, balloon_room(vb), BALLOON_ROOM_BATCH);
	need = min(nr, pageblock_nr_pages);
	nodes_and(nodes, balloon_nodes, node_states[N_MEMORY]);
	if (!nr || nodes_empty(nodes))
		return false;
	for_each_node_mask(nid, nodes)
		for (i = 0; i < MAX_NR_ZONES; i++)
			want += balloon_zone_keep(vb,
					&NODE_DATA(nid)->node_zones[i]);

	want += nr;
	for (tries = 0; tries < BALLOON_ROOM_TRIES; tries++) {
		bool more = reclaim_until(vb, &nodes, want);

		room = balloon_free_room(vb);
		if (room >= need)
			return true;
		/* What is on the lists is not available, either. */
		if (!more || balloon_interrupted(vb) || balloon_room(vb) < need)
			break;
		/* No zone has enough, even if all of them together have. */
		want = max(want, nodes_free(&nodes) + need - room);
	}
	return false;
}

/**
 * balloon_bound_singles() - how many single pages may be taken, and where
 * @vb: the balloon
 * @num: how many are wanted, in balloon pages
 * @nid: the node to take them from
 *
 * Makes room for them, if there is enough page cache.
 *
 * Context: Process context, sleeps.
 * Return: balloon pages, at most @num.
 */
unsigned int balloon_bound_singles(struct virtio_balloon *vb, unsigned int num,
				   int *nid)
{
	unsigned long nr = num / VIRTIO_BALLOON_PAGES_PER_PAGE;
	unsigned long room;

	*nid = roomiest_node(vb, &room);
	if (!balloon_floor(vb)) {
		/* From wherever the kernel likes, unless nodes are given. */
		if (!nodes_subset(node_states[N_MEMORY], balloon_nodes))
			return *nid == NUMA_NO_NODE ? 0 : num;
		*nid = NUMA_NO_NODE;
		return num;
	}

	nr = min(nr, balloon_room(vb));
	if (room < nr) {
		balloon_make_room(vb, nr);
		*nid = roomiest_node(vb, &room);
		nr = min(nr, balloon_room(vb));
	}
	return min(nr, room) * VIRTIO_BALLOON_PAGES_PER_PAGE;
}

/**
 * balloon_holdoff() - how long the balloon does not take what it gave back
 *
 * Return: jiffies.
 */
unsigned long balloon_holdoff(void)
{
	return (unsigned long)READ_ONCE(oom_holdoff) * HZ;
}

/**
 * balloon_note_relief() - the guest needed memory back
 * @vb: the balloon
 *
 * Context: the OOM notifier, or any other.
 */
void balloon_note_relief(struct virtio_balloon *vb)
{
	WRITE_ONCE(vb->last_relief, jiffies);
	WRITE_ONCE(vb->relieved, true);
}

/**
 * balloon_note_range() - a block was given back for the range it was in
 * @vb: the balloon
 *
 * Who wants the range may still have pages to move: the balloon takes no other
 * memory in its place before that has been quiet for a while.
 *
 * Context: Process context.
 */
void balloon_note_range(struct virtio_balloon *vb)
{
	WRITE_ONCE(vb->last_range, jiffies);
	WRITE_ONCE(vb->range_given, true);
	balloon_look_again(vb, false);
}

/**
 * balloon_may_inflate() - is the time right to grow at all?
 * @vb: the balloon
 *
 * What was given back for want of memory belongs to whoever needed it so badly:
 * growing at once would take it back and end in the next OOM, over and over.
 * The same holds after the floor was reached, in small: it takes a quarter of
 * the floor on top before the balloon grows again, so that it does not run
 * after each page that is freed.
 *
 * Return: true if the balloon may grow; else the shortfall has been noted.
 */
bool balloon_may_inflate(struct virtio_balloon *vb)
{
	unsigned long floor = balloon_floor(vb);

	/* Cleared first: what is noted meanwhile must not be lost. */
	if (xchg(&vb->range_given, false) &&
	    time_before(jiffies, READ_ONCE(vb->last_range) +
			BALLOON_RANGE_HOLDOFF)) {
		WRITE_ONCE(vb->range_given, true);
		WRITE_ONCE(vb->shortfall, BALLOON_SHORTFALL_RANGE);
		return false;
	}

	if (xchg(&vb->relieved, false)) {
		if (balloon_room(vb) < floor / 4)
			WRITE_ONCE(vb->last_relief, jiffies);
		if (time_before(jiffies, READ_ONCE(vb->last_relief) +
				balloon_holdoff())) {
			WRITE_ONCE(vb->relieved, true);
			WRITE_ONCE(vb->shortfall, BALLOON_SHORTFALL_PRESSURE);
			return false;
		}
	}

	if (vb->shortfall == BALLOON_SHORTFALL_FLOOR &&
	    balloon_room(vb) < max(floor / 4, pageblock_nr_pages))
		return false;
	WRITE_ONCE(vb->shortfall, BALLOON_SHORTFALL_NONE);
	return true;
}

/**
 * balloon_note_shortfall() - the target was reached, or can't be reached now
 * @vb: the balloon
 * @why: what stands in the way
 * @target: what the host asked for, in balloon pages
 *
 * One line in the log for each episode that a person would want to know of.
 */
void balloon_note_shortfall(struct virtio_balloon *vb,
			    enum balloon_shortfall why, u32 target)
{
	unsigned int actual = balloon_num_pages(vb);

	/* The target is reached, but not in the way that it should be. */
	if (why == BALLOON_SHORTFALL_CONTIGUITY &&
	    READ_ONCE(vb->shortfall) != why)
		dev_info(&vb->vdev->dev,
			 "the balloon holds %u MiB in single pages: the guest has no more whole blocks that are free or can be emptied\n",
			 READ_ONCE(vb->num_singles) >> 8);
	WRITE_ONCE(vb->shortfall, why);
	if (why == BALLOON_SHORTFALL_NONE ||
	    why == BALLOON_SHORTFALL_CONTIGUITY) {
		if (vb->floor_logged)
			dev_info(&vb->vdev->dev,
				 "the balloon has reached its target of %u MiB\n",
				 target >> 8);
		vb->floor_logged = false;
		return;
	}
	if (vb->floor_logged)
		return;

	vb->floor_logged = true;
	vb->count.floor_episodes++;
	dev_info(&vb->vdev->dev,
		 "the balloon stops at %u of %u MiB: %s; it goes on when memory comes free\n",
		 actual >> 8, target >> 8,
		 why == BALLOON_SHORTFALL_PRESSURE ?
			"the guest ran out of memory" :
		 why == BALLOON_SHORTFALL_FLOOR ?
			"the guest has no more to spare" :
		 why == BALLOON_SHORTFALL_HUGE ?
			"the guest could not get huge pages" :
		 why == BALLOON_SHORTFALL_RANGE ?
			"memory is wanted as a contiguous range" :
			"no page could be allocated");
}

/**
 * balloon_retry_delay() - when to look again whether memory has come free
 * @vb: the balloon
 * @futile: whether the last look cost something and was of no use
 *
 * Return: jiffies.
 */
unsigned long balloon_retry_delay(struct virtio_balloon *vb, bool futile)
{
	/* Without a floor as the in-tree driver, which sleeps a fifth. */
	if (!balloon_floor(vb))
		return HZ / 5;
	vb->retry = futile ? clamp(vb->retry * 2, (unsigned long)HZ,
				   (unsigned long)BALLOON_RETRY_MAX) : HZ;
	return vb->retry;
}
