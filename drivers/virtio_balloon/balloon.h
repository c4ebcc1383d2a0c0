/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio balloon: what the parts of the driver share
 *
 * Memory counters are in balloon pages of 4 KiB where their name says
 * "pages" and nothing else, in pageblocks where it says "blocks".
 */
#ifndef _VIRTIO_BALLOON_BALLOON_H
#define _VIRTIO_BALLOON_BALLOON_H

#include <linux/balloon_compaction.h>
#include <linux/mutex.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/virtio.h>
#include <linux/virtio_balloon.h>
#include <linux/vm_event_item.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <ballast/regiond.h>
#include "decide.h"
#include "frag.h"
#include "range.h"
#include "stats.h"

/*
 * Balloon device works in 4K page units.  So each page is pointed to by
 * multiple balloon pages.
 */
#define VIRTIO_BALLOON_PAGES_PER_PAGE ((unsigned int)(PAGE_SIZE >> VIRTIO_BALLOON_PFN_SHIFT))
#define VIRTIO_BALLOON_PAGES_PER_BLOCK \
	((unsigned int)(VIRTIO_BALLOON_PAGES_PER_PAGE << pageblock_order))

/* PFNs in one buffer for single pages, as the in-tree driver has it. */
#define VIRTIO_BALLOON_SINGLE_PFNS	256
/* PFNs in one buffer for whole blocks, where they can't go as ranges. */
#define VIRTIO_BALLOON_BLOCK_PFNS \
	max(8U * 512U, VIRTIO_BALLOON_PAGES_PER_BLOCK)

/* Why the balloon is smaller than the host asked for; the host is told. */
enum balloon_shortfall {
	BALLOON_SHORTFALL_NONE,
	BALLOON_SHORTFALL_FLOOR,	/* the guest would fall below its floor */
	BALLOON_SHORTFALL_PRESSURE,	/* it gave memory back, and waits */
	BALLOON_SHORTFALL_ALLOC,	/* no page could be allocated */
	BALLOON_SHORTFALL_RANGE,	/* it gave blocks back, and waits */
	BALLOON_SHORTFALL_CONTIGUITY,	/* singles stand in for blocks */
	BALLOON_SHORTFALL_HUGE,		/* huge pages were wanted */
};

/* How many blocks are given again under one hold of the balloon lock. */
#define BALLOON_AGAIN_BATCH	256U

/*
 * What is given back on pressure begins with 16 MiB. The in-tree driver's 1 MiB
 * makes whoever needs some hundred go through as many rounds of futile reclaim.
 */
#define BALLOON_RELIEF_FIRST \
	max((unsigned int)(SZ_16M >> PAGE_SHIFT >> pageblock_order), 1U)

/* Huge pages that the guest could not get: only its own work changes this. */
struct balloon_huge {
	struct delayed_work work;
	struct pressure_relief relief;
	unsigned int given;		/* blocks below the target */
	unsigned long seen;		/* of the failures counted */
	unsigned long last;		/* jiffies of the last ones */
};

/* The pageblocks of a node that are held, linked by page->lru. */
struct balloon_node {
	struct list_head blocks;	/* that can be given back */
	struct list_head fresh;		/* that will be so soon */
	unsigned int held;		/* on both, and off them for a moment */
	unsigned int again;		/* so many, the first ones, again */
};

/* Why scattered free memory is not packed. */
enum balloon_pack_reason {
	BALLOON_PACK_NONE,		/* it is */
	BALLOON_PACK_OFF,		/* not wanted, or no reporting */
	BALLOON_PACK_UNSUPPORTED,	/* by the kernel */
	BALLOON_PACK_LITTLE,		/* there is not enough of it */
	BALLOON_PACK_FUTILE,		/* nothing has changed since last time */
	BALLOON_PACK_BUDGET,		/* it has cost enough CPU time */
	BALLOON_PACK_PRESSURE,		/* the guest reclaims or swaps */
	BALLOON_PACK_BALLOON,		/* the balloon is not at its target */
	BALLOON_PACK_BUSY,		/* kcompactd can't do it now */
};

/* Only the work changes these, see pack.c. Memory is in pages of PAGE_SIZE. */
struct balloon_pack {
	struct delayed_work work;
	enum balloon_pack_reason reason;
	int nid;			/* at work on it; NUMA_NO_NODE: no pass */
	unsigned int deferred;		/* requests, one after the other */
	unsigned long scattered;	/* free memory, at the last look */
	unsigned long end_scattered;	/* at the end of the last pass */
	unsigned long end_free;		/* and all free memory */
	unsigned long events;		/* signs of pressure, so far */
	unsigned long quiet_at;		/* jiffies when they are forgotten */
	u64 saved_at;			/* when the budget was counted */
	s64 saved_ns;			/* CPU time that may be used */
	unsigned long vm_events[NR_VM_EVENT_ITEMS];

	/* Since probe, for debugfs */
	unsigned long looks;
	unsigned long passes;
	unsigned long asked;		/* blocks */
	unsigned long made;		/* blocks */
	unsigned long moved;
	u64 cpu_ns;
};

struct virtio_balloon {
	struct virtio_device *vdev;
	struct virtqueue *inflate_vq, *deflate_vq, *stats_vq, *free_page_vq;

	/* Balloon's own wq for cpu-intensive work items */
	struct workqueue_struct *balloon_wq;
	/* The free page reporting work item submitted to the balloon wq */
	struct work_struct report_free_page_work;

	/* The balloon servicing is delegated to freezable workqueues. */
	struct workqueue_struct *size_wq;
	struct work_struct update_balloon_stats_work;
	struct delayed_work update_balloon_size_work;

	/* Prevent updating balloon when it is being canceled. */
	spinlock_t stop_update_lock;
	bool stop_update;
	/* The target may have changed: whatever takes long looks at it. */
	bool retarget;
	/* Bitmap to indicate if reading the related config fields are needed */
	unsigned long config_read_bitmap;

	/* The list of allocated free pages, waiting to be given back to mm */
	struct list_head free_page_list;
	spinlock_t free_page_list_lock;
	/* The number of free page blocks on the above list */
	unsigned long num_free_page_blocks;
	/*
	 * The cmd id received from host.
	 * Read it via virtio_balloon_cmd_id_received to get the latest value
	 * sent from host.
	 */
	u32 cmd_id_received_cache;
	/* For both works that read it: the one must not see what was before. */
	struct mutex cmd_id_lock;
	/* The cmd id that is actively in use */
	__virtio32 cmd_id_active;
	/* Buffer to store the stop sign */
	__virtio32 cmd_id_stop;

	/* Waiting for host to ack the pages we released. */
	wait_queue_head_t acked;

	/*
	 * Synchronize access to the inflate and deflate queue, to the pages
	 * and blocks held, their numbers and @pfns. Taken by the OOM notifier
	 * and by page migration: no memory is allocated and regiond is not
	 * called under it.
	 */
	struct mutex balloon_lock;

	/*
	 * For the lists of what is held, inside the balloon lock and the page
	 * lock: all that the migration callbacks need that must not sleep.
	 */
	spinlock_t held_lock;

	/*
	 * Single pages, as balloon pages, linked by page->lru. Isolated ones
	 * are counted, but not on the list.
	 */
	unsigned int num_singles;
	unsigned int singles_again;	/* so many pages, the first ones, again */
	struct list_head singles;
	struct address_space *mapping;

	/*
	 * Pageblocks, by node. One that is being given back is counted,
	 * but on neither list.
	 */
	unsigned int num_blocks;
	struct balloon_node *nodes;
	struct address_space *block_mapping;

	/* The PFNs we tell the Host about. */
	unsigned int num_pfns;
	__virtio32 *pfns;

	/* Memory statistics */
	struct virtio_balloon_stat stats[VIRTIO_BALLOON_S_NR + BALLOON_S_NR];
	unsigned int num_stats;
	/* For what comes from events: the size work looks at them, too. */
	struct mutex stats_lock;
	unsigned long vm_events[NR_VM_EVENT_ITEMS];	/* to fill them in */
	unsigned long last_failures;	/* of huge pages, at the last look */
	bool held_blocks;		/* the balloon had some then */

	/* Shrinker to return free pages - VIRTIO_BALLOON_F_FREE_PAGE_HINT */
	struct shrinker *shrinker;

	/* Memory that the guest needs back - VIRTIO_BALLOON_F_DEFLATE_ON_OOM */
	struct balloon_pressure *pressure;
	struct balloon_huge huge;

	/*
	 * Free page reporting device. Its queue carries our own ranges, too;
	 * the lock is an inner one.
	 */
	struct virtqueue *reporting_vq;
	struct mutex reporting_lock;
	bool reporting;			/* ranges of ours are with the host */
	struct page_reporting_dev_info pr_dev_info;
	/* Blocks go to the host as ranges; else as PFNs. */
	bool use_ranges;

	/* What the host asks for: only the size work changes these. */
	u32 asked;			/* at the last change */
	u32 asked_cmd_id;		/* of free page hinting */
	bool again;			/* for all that is held, once more */
	bool giving;			/* and that is under way */
	bool quiet;			/* for no size that it has to hear of */
	unsigned long again_pfns[BALLOON_AGAIN_BATCH];

	/* Whole blocks: only the size work changes these. */
	struct regiond_user regiond;
	struct regiond_result evacuation;	/* the one at work */
	bool evacuation_busy;		/* somebody kept it from its work */
	struct evacuation_deferral deferral;
	struct balloon_ranges ranges;	/* collected for the host */
	struct scatterlist sg[BALLOON_RANGES_MAX];	/* and as it gets them */
	struct list_head sent;		/* blocks that the host has not acked */
	unsigned int num_sent;
	bool blocks_exhausted;		/* until the target changes */
	bool winning;			/* regiond empties blocks for us */

	/* The floor: only the size work changes these, but for relief. */
	enum balloon_shortfall shortfall;
	bool floor_logged;
	unsigned long retry;		/* jiffies until the next look */
	unsigned long last_relief;	/* jiffies when memory was needed back */
	bool relieved;
	unsigned long last_range;	/* jiffies when a block was given back */
	bool range_given;
	u32 told;			/* the host's idea of our size */

	struct balloon_pack pack;

	/* Since probe, for debugfs */
	struct {
		unsigned long ranges_sent;
		unsigned long blocks_sent_range;
		unsigned long blocks_sent_pfn;
		unsigned long blocks_free;	/* taken as they were */
		unsigned long evacuations;	/* requests to regiond */
		unsigned long evacuations_futile;
		unsigned long evacuations_deferred;
		unsigned long blocks_asked;	/* of regiond */
		unsigned long blocks_won;	/* by regiond */
		unsigned long pages_moved;	/* by regiond, of PAGE_SIZE */
		unsigned long blocks_released;
		unsigned long blocks_given_back; /* for a range they were in */
		unsigned long singles_taken;
		unsigned long singles_released;
		unsigned long singles_migrated;
		unsigned long singles_absorbed;	/* by blocks being won */
		unsigned long given_again;	/* pages */
		unsigned long room_made;	/* pages held for reclaim */
		unsigned long floor_episodes;
		unsigned long oom_deflations;
		unsigned long pressure_readings;
		unsigned long pressure_deflations;
		unsigned long huge_deflations;
		unsigned long huge_failures;	/* while blocks were held */
	} count;
	struct dentry *debugfs;

	/* State for keeping the wakeup_source active while adjusting the balloon */
	spinlock_t wakeup_lock;
	bool processing_wakeup_event;
	u32 wakeup_signal_mask;
};

/* What the host counts: blocks and single pages, in 4 KiB pages. */
static inline unsigned int balloon_num_pages(struct virtio_balloon *vb)
{
	return READ_ONCE(vb->num_blocks) * VIRTIO_BALLOON_PAGES_PER_BLOCK +
	       READ_ONCE(vb->num_singles);
}

/* Are the pages in the balloon still the guest's, to be had back on OOM? */
static inline bool balloon_pages_unmanaged(struct virtio_balloon *vb)
{
	return !virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/* Has the target changed, is memory needed back, or does the device go away? */
static inline bool balloon_interrupted(struct virtio_balloon *vb)
{
	return READ_ONCE(vb->retarget) || READ_ONCE(vb->relieved) ||
	       READ_ONCE(vb->stop_update);
}

/* How often an allocation had to reclaim memory itself; @events: all_vm_events(). */
static inline unsigned long balloon_alloc_stalls(const unsigned long *events)
{
	unsigned long stalls = 0;
	int zid;

	for (zid = 0; zid < MAX_NR_ZONES; zid++)
		stalls += events[ALLOCSTALL_NORMAL - ZONE_NORMAL + zid];
	return stalls;
}

/* main.c */
void balloon_tell_host(struct virtio_balloon *vb, struct virtqueue *vq);
int balloon_report_start(struct virtio_balloon *vb, struct scatterlist *sg,
			 unsigned int nents);
int balloon_report_finish(struct virtio_balloon *vb);
void balloon_add_page_pfns(struct virtio_balloon *vb, struct page *page);
u32 balloon_target(struct virtio_balloon *vb);
void update_balloon_size(struct virtio_balloon *vb);
void balloon_look_again(struct virtio_balloon *vb, bool now);

/* blocks.c */
unsigned int balloon_take_blocks(struct virtio_balloon *vb, unsigned int nr);
unsigned int balloon_release_blocks(struct virtio_balloon *vb, unsigned int nr);
void balloon_offer_blocks(struct virtio_balloon *vb);
void balloon_ask_blocks_again(struct virtio_balloon *vb);
bool balloon_give_blocks_again(struct virtio_balloon *vb);
struct page *balloon_take_spare_block(struct virtio_balloon *vb);
int balloon_blocks_init(struct virtio_balloon *vb);
void balloon_blocks_exit(struct virtio_balloon *vb);

/* singles.c */
unsigned int balloon_take_singles(struct virtio_balloon *vb, unsigned int num,
				  bool gather);
unsigned int balloon_release_singles(struct virtio_balloon *vb,
				     unsigned int num);
void balloon_ask_singles_again(struct virtio_balloon *vb);
bool balloon_give_singles_again(struct virtio_balloon *vb);
int balloon_singles_init(struct virtio_balloon *vb);
void balloon_singles_exit(struct virtio_balloon *vb);

/* floor.c */
unsigned long balloon_floor(struct virtio_balloon *vb);
unsigned long balloon_room(struct virtio_balloon *vb);
unsigned long balloon_zone_room(struct virtio_balloon *vb, struct zone *zone);
unsigned long balloon_free_room(struct virtio_balloon *vb);
unsigned long balloon_node_free(int nid);
bool balloon_node_allowed(int nid);
bool balloon_make_room(struct virtio_balloon *vb, unsigned long nr);
unsigned int balloon_bound_singles(struct virtio_balloon *vb, unsigned int num,
				   int *nid);
bool balloon_may_inflate(struct virtio_balloon *vb);
void balloon_note_shortfall(struct virtio_balloon *vb,
			    enum balloon_shortfall why, u32 target);
unsigned long balloon_retry_delay(struct virtio_balloon *vb, bool futile);
void balloon_note_relief(struct virtio_balloon *vb);
unsigned long balloon_holdoff(void);
void balloon_note_range(struct virtio_balloon *vb);

/* pressure.c */
int balloon_pressure_init(struct virtio_balloon *vb);
void balloon_pressure_exit(struct virtio_balloon *vb);

/* stats.c */
unsigned int balloon_collect_stats(struct virtio_balloon *vb);
void balloon_note_events(struct virtio_balloon *vb);
void balloon_count_free(struct balloon_free *free);

/* huge.c */
u32 balloon_huge_given(struct virtio_balloon *vb);
void balloon_huge_init(struct virtio_balloon *vb);
void balloon_huge_exit(struct virtio_balloon *vb);

/* pack.c */
void balloon_pack_init(struct virtio_balloon *vb);
void balloon_pack_start(struct virtio_balloon *vb);
void balloon_pack_stop(struct virtio_balloon *vb);

/* proactiveness.c */
void balloon_proactiveness_start(struct device *dev);
void balloon_proactiveness_exit(void);

/* debugfs.c */
void balloon_debugfs_add(struct virtio_balloon *vb);
void balloon_debugfs_remove(struct virtio_balloon *vb);
void balloon_debugfs_init(void);
void balloon_debugfs_exit(void);

#endif /* _VIRTIO_BALLOON_BALLOON_H */
