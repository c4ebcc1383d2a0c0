// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: what the host is told about the guest's memory
 *
 * The statistics of the virtio specification, as the in-tree driver has them,
 * and our own behind them, see stats.h.
 */
#include <linux/mm.h>
#include <linux/psi_totals.h>
#include <linux/swap.h>

#include "balloon.h"

static void add_stat(struct virtio_balloon *vb, u16 tag, u64 val)
{
	struct virtio_balloon_stat *stat = &vb->stats[vb->num_stats];

	if (WARN_ON_ONCE(vb->num_stats == ARRAY_SIZE(vb->stats)))
		return;
	stat->tag = cpu_to_virtio16(vb->vdev, tag);
	stat->val = cpu_to_virtio64(vb->vdev, val);
	vb->num_stats++;
}

#define pages_to_bytes(x) ((u64)(x) << PAGE_SHIFT)
#define balloon_pages_to_bytes(x) ((u64)(x) << VIRTIO_BALLOON_PFN_SHIFT)

#ifdef CONFIG_VM_EVENT_COUNTERS
/*
 * Read the events, and count requests for huge pages that failed, of whatever
 * kind, since the last time, if blocks were held then.
 */
static void balloon_read_events(struct virtio_balloon *vb)
{
	unsigned long *events = vb->vm_events;
	unsigned long failures = 0;

	lockdep_assert_held(&vb->stats_lock);
	all_vm_events(events);
#ifdef CONFIG_HUGETLB_PAGE
	failures += events[HTLB_BUDDY_PGALLOC_FAIL];
#endif
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	failures += events[THP_FAULT_FALLBACK];
	failures += events[THP_COLLAPSE_ALLOC_FAILED];
#endif
	if (vb->held_blocks)
		vb->count.huge_failures += failures - vb->last_failures;
	vb->last_failures = failures;
	vb->held_blocks = READ_ONCE(vb->num_blocks);
}

/**
 * balloon_note_events() - tell events apart by whether blocks are held
 * @vb: the balloon
 *
 * To be called now and then while there are blocks in the balloon, and before
 * the first is taken and the last one released.
 *
 * Context: Process context, sleeps. Takes the statistics' lock and that of CPU
 * hotplug.
 */
void balloon_note_events(struct virtio_balloon *vb)
{
	mutex_lock(&vb->stats_lock);
	balloon_read_events(vb);
	mutex_unlock(&vb->stats_lock);
}

static void add_vm_stats(struct virtio_balloon *vb)
{
	/* Too large for the stack. */
	unsigned long *events = vb->vm_events;

	mutex_lock(&vb->stats_lock);
	balloon_read_events(vb);

	add_stat(vb, VIRTIO_BALLOON_S_SWAP_IN, pages_to_bytes(events[PSWPIN]));
	add_stat(vb, VIRTIO_BALLOON_S_SWAP_OUT,
		 pages_to_bytes(events[PSWPOUT]));
	add_stat(vb, VIRTIO_BALLOON_S_MAJFLT, events[PGMAJFAULT]);
	add_stat(vb, VIRTIO_BALLOON_S_MINFLT, events[PGFAULT]);
	add_stat(vb, VIRTIO_BALLOON_S_OOM_KILL, events[OOM_KILL]);

	add_stat(vb, VIRTIO_BALLOON_S_ALLOC_STALL, balloon_alloc_stalls(events));

	add_stat(vb, VIRTIO_BALLOON_S_ASYNC_SCAN,
		 pages_to_bytes(events[PGSCAN_KSWAPD]));
	add_stat(vb, VIRTIO_BALLOON_S_DIRECT_SCAN,
		 pages_to_bytes(events[PGSCAN_DIRECT]));
	add_stat(vb, VIRTIO_BALLOON_S_ASYNC_RECLAIM,
		 pages_to_bytes(events[PGSTEAL_KSWAPD]));
	add_stat(vb, VIRTIO_BALLOON_S_DIRECT_RECLAIM,
		 pages_to_bytes(events[PGSTEAL_DIRECT]));

#ifdef CONFIG_HUGETLB_PAGE
	add_stat(vb, VIRTIO_BALLOON_S_HTLB_PGALLOC, events[HTLB_BUDDY_PGALLOC]);
	add_stat(vb, VIRTIO_BALLOON_S_HTLB_PGFAIL,
		 events[HTLB_BUDDY_PGALLOC_FAIL]);
#endif /* CONFIG_HUGETLB_PAGE */
#ifdef CONFIG_MIGRATION
	add_stat(vb, BALLOON_S_PAGES_MIGRATED, events[PGMIGRATE_SUCCESS]);
#endif
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	add_stat(vb, BALLOON_S_THP_FAULT_FALLBACKS, events[THP_FAULT_FALLBACK]);
	add_stat(vb, BALLOON_S_THP_COLLAPSE_FAILURES,
		 events[THP_COLLAPSE_ALLOC_FAILED]);
#endif
	add_stat(vb, BALLOON_S_HUGE_FAILURES, vb->count.huge_failures);
	mutex_unlock(&vb->stats_lock);
}
#else /* CONFIG_VM_EVENT_COUNTERS */
void balloon_note_events(struct virtio_balloon *vb)
{
}

static void add_vm_stats(struct virtio_balloon *vb)
{
}
#endif /* CONFIG_VM_EVENT_COUNTERS */

static void add_memory_stats(struct virtio_balloon *vb)
{
	struct sysinfo i;

	si_meminfo(&i);
	add_stat(vb, VIRTIO_BALLOON_S_MEMFREE, pages_to_bytes(i.freeram));
	add_stat(vb, VIRTIO_BALLOON_S_MEMTOT, pages_to_bytes(i.totalram));
	add_stat(vb, VIRTIO_BALLOON_S_AVAIL,
		 pages_to_bytes(si_mem_available()));
	add_stat(vb, VIRTIO_BALLOON_S_CACHES,
		 pages_to_bytes(global_node_page_state(NR_FILE_PAGES)));
}

/*
 * Does a zone have a pageblock's worth to give? What is below belongs to those
 * who can't go to a higher zone: the few megabytes of ZONE_DMA would make the
 * largest guest look as if there were huge pages.
 */
static bool zone_has_room(struct zone *zone)
{
	return zone_page_state(zone, NR_FREE_PAGES) >= pageblock_nr_pages +
		low_wmark_pages(zone) +
		zone->lowmem_reserve[gfp_zone(GFP_HIGHUSER_MOVABLE)];
}

/**
 * balloon_count_free() - the free areas that huge pages could come from
 * @free: to be filled in
 *
 * Those of the zones that have memory to give.
 *
 * Context: Any.
 */
void balloon_count_free(struct balloon_free *free)
{
	unsigned int order;
	int nid, i;

	memset(free, 0, sizeof(*free));
	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			struct zone *zone = &NODE_DATA(nid)->node_zones[i];

			if (!populated_zone(zone) || !zone_has_room(zone))
				continue;
			/* Without zone->lock: it is old news a moment later. */
			for (order = 0; order < NR_PAGE_ORDERS; order++)
				free->nr[order] +=
					READ_ONCE(zone->free_area[order].nr_free);
		}
	}
}

static void add_free_stats(struct virtio_balloon *vb)
{
	struct balloon_free free;
	int index;

	balloon_count_free(&free);
	add_stat(vb, BALLOON_S_FREE_BLOCKS,
		 balloon_free_blocks(&free, pageblock_order));
	add_stat(vb, BALLOON_S_UNUSABLE_INDEX,
		 balloon_unusable_index(&free, pageblock_order));
	index = balloon_frag_index(&free, pageblock_order);
	if (index != BALLOON_FRAG_FITS)
		add_stat(vb, BALLOON_S_FRAGMENTATION_INDEX, index);
}

static void add_balloon_stats(struct virtio_balloon *vb)
{
	u32 target = balloon_target(vb), actual = balloon_num_pages(vb);

	add_stat(vb, BALLOON_S_BLOCK_SIZE, pages_to_bytes(pageblock_nr_pages));
	add_stat(vb, BALLOON_S_BLOCKS, READ_ONCE(vb->num_blocks));
	add_stat(vb, BALLOON_S_SINGLES, READ_ONCE(vb->num_singles));
	add_stat(vb, BALLOON_S_FLOOR, pages_to_bytes(balloon_floor(vb)));
	add_stat(vb, BALLOON_S_SHORTFALL, target > actual ?
		 balloon_pages_to_bytes(target - actual) : 0);
	add_stat(vb, BALLOON_S_SHORTFALL_REASON, READ_ONCE(vb->shortfall));
}

static void add_psi_stats(struct virtio_balloon *vb)
{
	u64 some, full;

	if (!psi_memory_totals(&some, &full))
		return;
	add_stat(vb, BALLOON_S_PSI_MEMORY_SOME, some);
	add_stat(vb, BALLOON_S_PSI_MEMORY_FULL, full);
}

/**
 * balloon_collect_stats() - fill in the statistics
 * @vb: the balloon; the device must not have the buffer
 *
 * Context: Process context, sleeps.
 * Return: how many bytes of @vb->stats are to be sent.
 */
unsigned int balloon_collect_stats(struct virtio_balloon *vb)
{
	vb->num_stats = 0;
	add_vm_stats(vb);
	add_memory_stats(vb);
	add_free_stats(vb);
	add_balloon_stats(vb);
	add_psi_stats(vb);
	return vb->num_stats * sizeof(vb->stats[0]);
}
