// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: memory that the guest needs back
 *
 * Where the device has deflate-on-OOM, the balloon may give memory back on its
 * own. It does so on the OOM notifier, as the in-tree driver; and earlier, when
 * the guest is far below the floor, or waits for memory for a while. How long it
 * waits the patched kernel says (pressure stall information); on a stock kernel
 * the counters of reclaim and of refaults have to do. The decision is in
 * decide.c. Portions grow while pressure lasts, whole blocks go first, and
 * balloon_may_inflate() sees to it that they are not taken again at once.
 *
 * Nothing runs while the guest has enough memory: reclaim itself calls, through a
 * shrinker that has nothing to shrink, and a reading is made, of what happened
 * since the one before.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include <linux/psi_totals.h>
#include "balloon.h"

/* While the guest reclaims there is a reading that often. */
#define BALLOON_READING_JIFFIES		max(HZ / 10, 1)

/* Readings that are further apart say nothing of what is going on now. */
#define BALLOON_READING_OLD_US		(USEC_PER_SEC)

#define BALLOON_OOM_NOTIFY_PRIORITY 80

/* Counters since boot; a reading is the difference between two of these. */
struct pressure_totals {
	u64 us;
	u64 some_us;
	u64 full_us;
	unsigned long stalls;
	unsigned long scanned;
	unsigned long reclaimed;
	unsigned long refaults;
};

struct balloon_pressure {
	struct virtio_balloon *vb;
	struct workqueue_struct *wq;
	struct work_struct work;
	struct shrinker *shrinker;
	struct notifier_block oom_nb;
	unsigned long next;		/* jiffies of the next reading */
	struct pressure_totals last;
	struct pressure_relief relief;
	spinlock_t lock;		/* for relief: OOM comes at any time */
#ifdef CONFIG_VM_EVENT_COUNTERS
	unsigned long vm_events[NR_VM_EVENT_ITEMS];
#endif
};

static bool pressure_read(struct balloon_pressure *bp,
			  struct pressure_totals *now)
{
	memset(now, 0, sizeof(*now));
	now->us = ktime_to_us(ktime_get());
	now->refaults = global_node_page_state(WORKINGSET_ACTIVATE_ANON) +
			global_node_page_state(WORKINGSET_ACTIVATE_FILE);
#ifdef CONFIG_VM_EVENT_COUNTERS
	{
		unsigned long *events = bp->vm_events;

		all_vm_events(events);
		now->stalls = balloon_alloc_stalls(events);
		now->scanned = events[PGSCAN_DIRECT];
		now->reclaimed = events[PGSTEAL_DIRECT];
	}
#endif
	return psi_memory_totals(&now->some_us, &now->full_us);
}

/* Give one portion back. Returns how many balloon pages that was. */
static unsigned int pressure_relieve(struct balloon_pressure *bp, u64 lasts_ms)
{
	struct virtio_balloon *vb = bp->vb;
	unsigned int blocks, want, released, more;

	spin_lock(&bp->lock);
	blocks = relief_blocks(&bp->relief, BALLOON_RELIEF_FIRST,
			       balloon_num_pages(vb) /
			       VIRTIO_BALLOON_PAGES_PER_BLOCK,
			       ktime_to_ms(ktime_get()), lasts_ms);
	spin_unlock(&bp->lock);

	/* Who inflates just now is not to take it again. */
	balloon_note_relief(vb);
	/* Blocks first: they free more at once, and free it as huge pages. */
	want = blocks * VIRTIO_BALLOON_PAGES_PER_BLOCK;
	released = balloon_release_blocks(vb, blocks) *
		   VIRTIO_BALLOON_PAGES_PER_BLOCK;
	while (released < want) {
		more = balloon_release_singles(vb, want - released);
		if (!more)
			break;
		released += more;
	}
	if (released)
		update_balloon_size(vb);
	/* Even if there was nothing left: this is no time to grow. */
	balloon_note_relief(vb);
	/*
	 * The target still stands: look again when the guest has recovered.
	 * Without a floor, as in the in-tree driver, until it changes.
	 */
	if (released && balloon_floor(vb))
		balloon_look_again(vb, false);
	return released;
}

static void pressure_work(struct work_struct *work)
{
	struct balloon_pressure *bp =
		container_of(work, struct balloon_pressure, work);
	struct virtio_balloon *vb = bp->vb;
	struct pressure_reading r = { .floor = balloon_floor(vb) };
	struct pressure_totals now, *last = &bp->last;
	enum pressure_level level;
	bool due;

	if (!r.floor || !balloon_num_pages(vb))
		return;

	r.stall_known = pressure_read(bp, &now);
	r.available = max(si_mem_available(), 0L);
	r.elapsed_us = now.us - last->us;
	if (r.elapsed_us < BALLOON_READING_OLD_US) {
		r.some_us = now.some_us - last->some_us;
		r.full_us = now.full_us - last->full_us;
		r.stalls = now.stalls - last->stalls;
		r.scanned = now.scanned - last->scanned;
		r.reclaimed = now.reclaimed - last->reclaimed;
		r.refaults = now.refaults - last->refaults;
	}
	*last = now;

	level = pressure_level(&r);
	spin_lock(&bp->lock);
	due = relief_due(&bp->relief, level);
	spin_unlock(&bp->lock);
	vb->count.pressure_readings++;
	if (due && pressure_relieve(bp, RELIEF_LASTS_MS))
		vb->count.pressure_deflations++;
}

/* Reclaim is at work: is a reading due? */
static unsigned long pressure_count(struct shrinker *shrinker,
				    struct shrink_control *sc)
{
	struct balloon_pressure *bp = shrinker->private_data;
	unsigned long next = READ_ONCE(bp->next);

	if (balloon_num_pages(bp->vb) && time_after_eq(jiffies, next) &&
	    cmpxchg(&bp->next, next, jiffies + BALLOON_READING_JIFFIES) == next)
		queue_work(bp->wq, &bp->work);
	return 0;
}

static unsigned long pressure_scan(struct shrinker *shrinker,
				   struct shrink_control *sc)
{
	return SHRINK_STOP;
}

static int pressure_oom_notify(struct notifier_block *nb, unsigned long dummy,
			       void *parm)
{
	struct balloon_pressure *bp = container_of(nb, struct balloon_pressure,
						   oom_nb);
	unsigned long *freed = parm;
	unsigned int released;

	released = pressure_relieve(bp, RELIEF_OOM_LASTS_MS);
	if (released) {
		bp->vb->count.oom_deflations++;
		*freed += released / VIRTIO_BALLOON_PAGES_PER_PAGE;
	}
	return NOTIFY_OK;
}

/**
 * balloon_pressure_init() - have memory given back when the guest needs it
 * @vb: a balloon with its queues; nothing is done without deflate-on-OOM
 *
 * Return: 0 or an errno; balloon_pressure_exit() is due in the end.
 */
int balloon_pressure_init(struct virtio_balloon *vb)
{
	struct balloon_pressure *bp;
	int err = -ENOMEM;

	if (!virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		return 0;

	bp = kzalloc(sizeof(*bp), GFP_KERNEL);
	if (!bp)
		return -ENOMEM;
	bp->vb = vb;
	bp->next = jiffies;
	spin_lock_init(&bp->lock);
	INIT_WORK(&bp->work, pressure_work);
	vb->pressure = bp;

	/* There is no memory for another worker just when it is needed. */
	bp->wq = alloc_workqueue("virtio-balloon-pressure", WQ_FREEZABLE |
				 WQ_UNBOUND | WQ_MEM_RECLAIM, 1);
	bp->shrinker = shrinker_alloc(0, "virtio-balloon-pressure");
	if (!bp->wq || !bp->shrinker)
		goto err_free;

	bp->oom_nb.notifier_call = pressure_oom_notify;
	bp->oom_nb.priority = BALLOON_OOM_NOTIFY_PRIORITY;
	err = register_oom_notifier(&bp->oom_nb);
	if (err)
		goto err_free;

	bp->shrinker->count_objects = pressure_count;
	bp->shrinker->scan_objects = pressure_scan;
	bp->shrinker->private_data = bp;
	shrinker_register(bp->shrinker);
	return 0;

err_free:
	if (bp->shrinker)
		shrinker_free(bp->shrinker);
	if (bp->wq)
		destroy_workqueue(bp->wq);
	vb->pressure = NULL;
	kfree(bp);
	return err;
}

/**
 * balloon_pressure_exit() - undo balloon_pressure_init()
 * @vb: the balloon
 */
void balloon_pressure_exit(struct virtio_balloon *vb)
{
	struct balloon_pressure *bp = vb->pressure;

	if (!bp)
		return;
	unregister_oom_notifier(&bp->oom_nb);
	shrinker_free(bp->shrinker);
	destroy_workqueue(bp->wq);
	vb->pressure = NULL;
	kfree(bp);
}
