// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: scattered free memory becomes whole blocks
 *
 * Free page reporting gives the host what is free as whole pageblocks. In a
 * guest that ran for a while a lot is free and next to nothing as that. So, where
 * reporting is negotiated, a look now and then finds out how much that is, and
 * when it is worth it the nodes' kcompactd are asked for blocks, a few at a time.
 * What they make is reported like any other free memory.
 *
 * That is background work, and bounded like it:
 *
 *  - pack_pages_per_second: pages moved
 *  - pack_cpu: per cent of the guest's CPU time. What is not used is saved up
 *    for PACK_SAVED seconds, so that a guest that has been quiet gets its memory
 *    together at once; in the long run it is never more than that.
 *  - only free memory counts that the guest can spare, see floor.c, and nothing
 *    is done while it reclaims, swaps, or is less than the host asked for
 *  - when nothing more was to be made, it is not tried again before free memory,
 *    or the part of it that is scattered, has changed noticeably
 *
 * kcompactd empties blocks from the zone's start, not the cheapest: where they are
 * about evenly filled, which is where this matters, it is much the same.
 */
#include <linux/jiffies.h>
#include <linux/kcompactd.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmstat.h>

#include "balloon.h"

static unsigned int pack_cpu = 2;
module_param(pack_cpu, uint, 0644);
MODULE_PARM_DESC(pack_cpu,
		 "Per cent of the guest's CPU time that making whole blocks for free page reporting may take (default 2, 0: none are made)");

static unsigned int pack_pages_per_second = 65536;
module_param(pack_pages_per_second, uint, 0644);
MODULE_PARM_DESC(pack_pages_per_second,
		 "Pages moved for that in a second at most (default 65536)");

static int pack_threshold_mb = -1;
module_param(pack_threshold_mb, int, 0644);
MODULE_PARM_DESC(pack_threshold_mb,
		 "MiB of scattered free memory that are worth it; -1: 1/16 of the guest's, 64 at least (default)");

/* How long CPU time that was not used is saved up, in seconds. */
#define PACK_SAVED	900
/* Between two looks while nothing is done; and after signs of pressure. */
#define PACK_LOOK	(2 * HZ)
#define PACK_PRESSURE	(6 * HZ)
/* So much is asked for at a time, in parts of a second's pages. */
#define PACK_PORTIONS	4
/* How long a portion may take; the work can't be frozen meanwhile. */
#define PACK_DEADLINE	HZ
/* A tiny rate may be raised meanwhile. */
#define PACK_PAUSE	(60UL * HZ)
/* A pass ends when this part of the threshold is left. */
#define PACK_REST	8
/* Deferred compaction is tried again after so many requests, as others do. */
#define PACK_DEFERRED	64

static unsigned long pack_threshold(void)
{
	int mb = READ_ONCE(pack_threshold_mb);

	if (mb >= 0)
		return max((unsigned long)mb << (20 - PAGE_SHIFT),
			   pageblock_nr_pages);
	return max(totalram_pages() / 16, SZ_64M >> PAGE_SHIFT);
}

static unsigned long zone_free_blocks(struct zone *zone)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = pageblock_order; i < NR_PAGE_ORDERS; i++)
		nr += READ_ONCE(zone->free_area[i].nr_free) <<
			(i - pageblock_order);
	return nr;
}

static unsigned long node_free_blocks(int nid)
{
	unsigned long nr = 0;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++)
		nr += zone_free_blocks(&NODE_DATA(nid)->node_zones[i]);
	return nr;
}

/* Free memory in no free block, as far as the guest can spare it. */
static unsigned long node_scattered(struct virtio_balloon *vb, int nid)
{
	unsigned long scattered = 0;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		struct zone *zone = &NODE_DATA(nid)->node_zones[i];
		unsigned long free, whole;

		if (!populated_zone(zone))
			continue;
		free = zone_page_state(zone, NR_FREE_PAGES);
		whole = zone_free_blocks(zone) << pageblock_order;
		if (free > whole)
			scattered += min(free - whole,
					 balloon_zone_room(vb, zone));
	}
	return scattered;
}

static unsigned long all_scattered(struct virtio_balloon *vb)
{
	unsigned long scattered = 0;
	int nid;

	for_each_online_node(nid)
		scattered += node_scattered(vb, nid);
	return scattered;
}

static bool differs(unsigned long a, unsigned long b, unsigned long by)
{
	return (a > b ? a - b : b - a) >= by;
}

/* A change is noticeable by half of what is worth a pass, as long as that is much. */
static unsigned long pack_noticeable(void)
{
	return max(pack_threshold() / 2, SZ_32M >> PAGE_SHIFT);
}

/* Has enough changed since the last pass for another one? */
static bool pack_changed(struct balloon_pack *pack)
{
	unsigned long by = pack_noticeable();

	return !pack->passes ||
	       differs(pack->scattered, pack->end_scattered, by) ||
	       differs(global_zone_page_state(NR_FREE_PAGES), pack->end_free,
		       by);
}

static void pack_end_pass(struct virtio_balloon *vb)
{
	struct balloon_pack *pack = &vb->pack;

	pack->nid = NUMA_NO_NODE;
	pack->deferred = 0;
	pack->scattered = all_scattered(vb);
	pack->end_scattered = pack->scattered;
	pack->end_free = global_zone_page_state(NR_FREE_PAGES);
}

/* The share of so much time that packing may have. */
static s64 pack_share(u64 ns)
{
	unsigned int percent = min(READ_ONCE(pack_cpu), 100U);

	return div_u64(ns * percent * num_online_cpus(), 100);
}

static void pack_save_cpu(struct balloon_pack *pack)
{
	u64 now = ktime_get_ns();

	pack->saved_ns = min(pack->saved_ns + pack_share(now - pack->saved_at),
			     pack_share((u64)PACK_SAVED * NSEC_PER_SEC));
	pack->saved_at = now;
}

/*
 * What only happens when memory is short. kswapd's scanning is not of that kind:
 * it also follows a fragmentation event, where this work is most wanted.
 */
static unsigned long pressure_events(struct balloon_pack *pack)
{
	unsigned long *events = pack->vm_events;

	all_vm_events(events);
	return events[PSWPIN] + events[PSWPOUT] + balloon_alloc_stalls(events);
}

/* A guest that is short of memory has other things to do. */
static enum balloon_pack_reason pack_pressure(struct virtio_balloon *vb)
{
	struct balloon_pack *pack = &vb->pack;
	unsigned long events = pressure_events(pack);

	if (events != pack->events) {
		pack->events = events;
		pack->quiet_at = jiffies + PACK_PRESSURE;
	}
	if (balloon_target(vb) != balloon_num_pages(vb))
		return BALLOON_PACK_BALLOON;
	if (time_before(jiffies, pack->quiet_at))
		return BALLOON_PACK_PRESSURE;
	return BALLOON_PACK_NONE;
}

/* Ask for a portion on the node at hand; false if it has no more. */
static bool pack_portion(struct virtio_balloon *vb, unsigned long *delay)
{
	struct balloon_pack *pack = &vb->pack;
	unsigned int rate = max(READ_ONCE(pack_pages_per_second), 1U);
	unsigned int nr = max(rate / PACK_PORTIONS >> pageblock_order, 1U);
	unsigned long start = jiffies, took;
	struct kcompactd_request req = {
		.nid = pack->nid,
		.order = pageblock_order,
		.nr_blocks = node_free_blocks(pack->nid) + nr,
		.deadline = start + PACK_DEADLINE,
	};
	int err;

	err = kcompactd_request(&req) ?: kcompactd_wait(&req);
	if (err == -ENODEV)
		return false;

	pack->asked += nr;
	pack->made += req.made;
	pack->moved += req.moved;
	pack->cpu_ns += req.cpu_ns;
	pack->saved_ns -= req.cpu_ns;

	took = jiffies - start;
	*delay = (u64)req.moved * HZ / rate;
	*delay = *delay > took ? min(*delay - took, PACK_PAUSE) : 1;

	pack->reason = BALLOON_PACK_NONE;
	if (!err || req.made) {
		pack->deferred = 0;
		return true;
	}

	switch (err) {
	case -ETIMEDOUT:
		/* kswapd was awake all the time, or others made it busy. */
		pack->reason = BALLOON_PACK_BUSY;
		*delay = PACK_LOOK;
		return true;
	case -EAGAIN:
		pack->reason = BALLOON_PACK_BUSY;
		*delay = max(*delay, HZ / 10UL);
		return !req.moved && ++pack->deferred <= PACK_DEFERRED;
	default:
		return false;
	}
}

/* Returns the jiffies after which to look again. */
static unsigned long pack_step(struct virtio_balloon *vb)
{
	unsigned long threshold = pack_threshold(), delay = 1, last;
	struct balloon_pack *pack = &vb->pack;
	enum balloon_pack_reason reason;

	pack->looks++;
	last = pack->scattered;
	pack->scattered = all_scattered(vb);

	reason = READ_ONCE(pack_cpu) ? pack_pressure(vb) : BALLOON_PACK_OFF;
	if (reason != BALLOON_PACK_NONE) {
		/* A pass that did not come to its end says nothing. */
		if (pack->nid != NUMA_NO_NODE)
			pack->end_free = ULONG_MAX;
		pack->nid = NUMA_NO_NODE;
		pack->reason = reason;
		return PACK_LOOK;
	}

	if (pack->nid == NUMA_NO_NODE) {
		if (pack->scattered < threshold)
			pack->reason = BALLOON_PACK_LITTLE;
		else if (!pack_changed(pack))
			pack->reason = BALLOON_PACK_FUTILE;
		else if (pack->saved_ns < 0)
			pack->reason = BALLOON_PACK_BUDGET;
		/* What is moved now may be freed in a moment. */
		else if (differs(pack->scattered, last, pack_noticeable()))
			pack->reason = BALLOON_PACK_BUSY;
		else
			pack->nid = first_online_node;
		if (pack->nid == NUMA_NO_NODE)
			return PACK_LOOK;
		pack->passes++;
	}

	if (pack->saved_ns < 0) {
		pack->reason = BALLOON_PACK_BUDGET;
		return PACK_LOOK;
	}

	if (node_scattered(vb, pack->nid) > threshold / PACK_REST &&
	    pack_portion(vb, &delay))
		return delay;

	pack->nid = next_online_node(pack->nid);
	if (pack->nid >= MAX_NUMNODES)
		pack_end_pass(vb);
	return delay;
}

static void pack_func(struct work_struct *work)
{
	struct virtio_balloon *vb = container_of(to_delayed_work(work),
						 struct virtio_balloon,
						 pack.work);
	unsigned long delay;

	pack_save_cpu(&vb->pack);
	delay = pack_step(vb);
	queue_delayed_work(vb->size_wq, &vb->pack.work, delay);
}

void balloon_pack_init(struct virtio_balloon *vb)
{
	/* It is not worth waking an idle guest for. */
	INIT_DEFERRABLE_WORK(&vb->pack.work, pack_func);
	vb->pack.reason = BALLOON_PACK_OFF;
}

/**
 * balloon_pack_start() - begin to look for scattered free memory
 * @vb: the balloon; the device is ready
 *
 * Context: Process context. Until balloon_pack_stop(). The work is on the
 * freezable workqueue.
 */
void balloon_pack_start(struct virtio_balloon *vb)
{
	struct balloon_pack *pack = &vb->pack;
	struct kcompactd_request none = { .order = 0 };

	if (!virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_REPORTING))
		return;

	if (kcompactd_request(&none) == -EOPNOTSUPP) {
		pack->reason = BALLOON_PACK_UNSUPPORTED;
		balloon_proactiveness_start(&vb->vdev->dev);
		return;
	}

	pack->nid = NUMA_NO_NODE;
	pack->events = pressure_events(pack);
	pack->quiet_at = jiffies;
	pack->saved_at = ktime_get_ns();
	pack->saved_ns = pack_share((u64)PACK_SAVED * NSEC_PER_SEC);
	queue_delayed_work(vb->size_wq, &pack->work, PACK_LOOK);
}

/**
 * balloon_pack_stop() - wait until it does nothing more
 * @vb: the balloon
 *
 * Context: Process context, sleeps for a second at the most.
 */
void balloon_pack_stop(struct virtio_balloon *vb)
{
	cancel_delayed_work_sync(&vb->pack.work);
}
