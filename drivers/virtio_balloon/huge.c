// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: huge pages that the guest could not get
 *
 * A guest that asks for huge pages, for its hugetlb pool or for itself, may fail
 * for want of whole blocks while the balloon holds hundreds of them. By default
 * that is only counted, see stats.c, for the host to decide. With huge_demand_mb
 * the balloon answers by itself: it stays below its target for a while, in
 * growing portions up to that limit. That takes deflate-on-OOM, since otherwise
 * the target is the host's word.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>

#include "balloon.h"

static unsigned int huge_demand_mb;
module_param(huge_demand_mb, uint, 0644);
MODULE_PARM_DESC(huge_demand_mb,
		 "MiB that the balloon may stay below its target when the guest could not get huge pages (default 0)");

static unsigned int huge_limit(void)
{
	u64 bytes = (u64)READ_ONCE(huge_demand_mb) << 20;

	return min_t(u64, bytes >> PAGE_SHIFT >> pageblock_order, INT_MAX);
}

/*
 * Rather often, so that who tries again finds some; but not for its own sake on
 * a CPU that is idle.
 */
static void huge_work(struct work_struct *work)
{
	struct balloon_huge *huge = container_of(to_delayed_work(work),
						 struct balloon_huge, work);
	struct virtio_balloon *vb = container_of(huge, struct virtio_balloon,
						 huge);
	unsigned int given = huge->given, limit = huge_limit();
	unsigned long failures;

	if (READ_ONCE(vb->num_blocks))
		balloon_note_events(vb);
	failures = vb->count.huge_failures - huge->seen;
	huge->seen += failures;

	if (limit && failures) {
		huge->last = jiffies;
		if (given < limit)
			given += relief_blocks(&huge->relief,
					       BALLOON_RELIEF_FIRST,
					       READ_ONCE(vb->num_blocks),
					       ktime_to_ms(ktime_get()),
					       RELIEF_LASTS_MS);
	} else if (time_after(jiffies, huge->last + balloon_holdoff())) {
		given = 0;
	}

	given = min(given, limit);
	if (given != huge->given) {
		bool more = given > huge->given;

		if (more)
			vb->count.huge_deflations++;
		WRITE_ONCE(huge->given, given);
		balloon_look_again(vb, more);
	}
	queue_delayed_work(system_freezable_wq, &huge->work, HZ / 2);
}

/**
 * balloon_huge_given() - what the balloon leaves to who needs huge pages
 * @vb: the balloon
 *
 * Return: balloon pages that the target is lower by.
 */
u32 balloon_huge_given(struct virtio_balloon *vb)
{
	return min_t(u64, U32_MAX, (u64)READ_ONCE(vb->huge.given) *
		     VIRTIO_BALLOON_PAGES_PER_BLOCK);
}

/**
 * balloon_huge_init() - look for requests for huge pages that fail
 * @vb: a balloon with its queues; nothing is done without deflate-on-OOM
 */
void balloon_huge_init(struct virtio_balloon *vb)
{
	INIT_DEFERRABLE_WORK(&vb->huge.work, huge_work);
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		queue_delayed_work(system_freezable_wq, &vb->huge.work, HZ / 2);
}

/**
 * balloon_huge_exit() - undo balloon_huge_init()
 * @vb: the balloon
 */
void balloon_huge_exit(struct virtio_balloon *vb)
{
	cancel_delayed_work_sync(&vb->huge.work);
}
