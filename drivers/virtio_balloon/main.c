// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon implementation, inspired by Dor Laor and Marcelo
 * Tosatti's implementations.
 *
 *  Copyright 2008 Rusty Russell IBM Corporation
 *
 * A drop-in replacement for the in-tree driver, from which most of this file
 * comes. What is new is what the balloon holds: whole pageblocks as far as
 * possible, single pages for the rest. For a target of T pages that is T / 512
 * blocks and T % 512 singles (with pageblocks of 2 MiB); where no more blocks
 * are to be had, singles take their place. One work item goes there in steps,
 * and looks after each step whether the target is still the same:
 *
 *  1. too many blocks:  release them            balloon_release_blocks()
 *  2. too many singles: release them            balloon_release_singles()
 *  3. below the target, and the guest can spare memory (see floor.c):
 *     a. blocks, free ones or emptied ones      balloon_take_blocks()
 *     b. singles                                balloon_take_singles()
 *  4. below the target, and it can't: look again in a while
 *
 * Where singles stand in for blocks, 3a. may go beyond the target for a moment:
 * 2. follows, and releases singles for the blocks.
 *
 * When there is nothing to do, and the host asks for what it asked for before,
 * all that is held is sent to it once more: see balloon_asked_again().
 *
 * The queues, free page hinting and reporting are as in the in-tree driver.
 */

#include <linux/virtio.h>
#include <uapi/linux/virtio_ring.h>
#include <linux/slab.h>
#include <linux/module.h>
#include <linux/mm.h>

#include "balloon.h"

#define VIRTIO_BALLOON_FREE_PAGE_ALLOC_FLAG (__GFP_NORETRY | __GFP_NOWARN | \
					     __GFP_NOMEMALLOC)
/* The order of free page blocks to report to host */
#define VIRTIO_BALLOON_HINT_BLOCK_ORDER MAX_PAGE_ORDER
/* The size of a free page block in bytes */
#define VIRTIO_BALLOON_HINT_BLOCK_BYTES \
	(1 << (VIRTIO_BALLOON_HINT_BLOCK_ORDER + PAGE_SHIFT))
#define VIRTIO_BALLOON_HINT_BLOCK_PAGES (1 << VIRTIO_BALLOON_HINT_BLOCK_ORDER)

enum virtio_balloon_vq {
	VIRTIO_BALLOON_VQ_INFLATE,
	VIRTIO_BALLOON_VQ_DEFLATE,
	VIRTIO_BALLOON_VQ_STATS,
	VIRTIO_BALLOON_VQ_FREE_PAGE,
	VIRTIO_BALLOON_VQ_REPORTING,
	VIRTIO_BALLOON_VQ_MAX
};

enum virtio_balloon_config_read {
	VIRTIO_BALLOON_CONFIG_READ_CMD_ID = 0,
};

#define VIRTIO_BALLOON_WAKEUP_SIGNAL_ADJUST (1 << 0)
#define VIRTIO_BALLOON_WAKEUP_SIGNAL_STATS (1 << 1)

static bool use_blocks = true;
module_param_named(blocks, use_blocks, bool, 0644);
MODULE_PARM_DESC(blocks, "Hold whole pageblocks; off: single pages only, as the in-tree driver");

static const struct virtio_device_id id_table[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static u32 page_to_balloon_pfn(struct page *page)
{
	unsigned long pfn = page_to_pfn(page);

	BUILD_BUG_ON(PAGE_SHIFT < VIRTIO_BALLOON_PFN_SHIFT);
	/* Convert pfn from Linux page size to balloon page size. */
	return pfn * VIRTIO_BALLOON_PAGES_PER_PAGE;
}

static void start_wakeup_event(struct virtio_balloon *vb, u32 mask)
{
	unsigned long flags;

	spin_lock_irqsave(&vb->wakeup_lock, flags);
	vb->wakeup_signal_mask |= mask;
	if (!vb->processing_wakeup_event) {
		vb->processing_wakeup_event = true;
		pm_stay_awake(&vb->vdev->dev);
	}
	spin_unlock_irqrestore(&vb->wakeup_lock, flags);
}

static void process_wakeup_event(struct virtio_balloon *vb, u32 mask)
{
	spin_lock_irq(&vb->wakeup_lock);
	vb->wakeup_signal_mask &= ~mask;
	spin_unlock_irq(&vb->wakeup_lock);
}

static void finish_wakeup_event(struct virtio_balloon *vb)
{
	spin_lock_irq(&vb->wakeup_lock);
	if (!vb->wakeup_signal_mask && vb->processing_wakeup_event) {
		vb->processing_wakeup_event = false;
		pm_relax(&vb->vdev->dev);
	}
	spin_unlock_irq(&vb->wakeup_lock);
}

static void balloon_ack(struct virtqueue *vq)
{
	struct virtio_balloon *vb = vq->vdev->priv;

	wake_up(&vb->acked);
}

/*
 * Wait until the host has used the one buffer queued, or the device is found
 * broken.
 */
static void balloon_wait_acked(struct virtio_balloon *vb, struct virtqueue *vq)
{
	unsigned int len;

	/* Nobody is woken when a device is found broken: look now and then. */
	while (!wait_event_timeout(vb->acked, virtqueue_get_buf(vq, &len) ||
				   virtqueue_is_broken(vq), HZ))
		;
}

/**
 * balloon_tell_host() - send the collected PFNs, and wait until they are used
 * @vb: the balloon, @vb->num_pfns of @vb->pfns are sent
 * @vq: the inflate or the deflate queue
 *
 * Context: Process context, sleeps. The caller holds the balloon lock.
 */
void balloon_tell_host(struct virtio_balloon *vb, struct virtqueue *vq)
{
	struct scatterlist sg;

	if (!vb->num_pfns)
		return;

	sg_init_one(&sg, vb->pfns, sizeof(vb->pfns[0]) * vb->num_pfns);
	vb->num_pfns = 0;

	/* There is always room in an empty queue, unless the device is broken. */
	if (virtqueue_add_outbuf(vq, &sg, 1, vb, GFP_KERNEL))
		return;
	virtqueue_kick(vq);
	balloon_wait_acked(vb, vq);
}

/**
 * balloon_report_start() - send ranges to the reporting queue
 * @vb: the balloon
 * @sg: the ranges, each a whole number of pages
 * @nents: how many, at most PAGE_REPORTING_CAPACITY
 *
 * Context: Process context. Takes the reporting lock, and holds it until
 * balloon_report_finish(). Allocates no memory, since indirect descriptors are
 * off.
 * Return: 0, or the errno of a broken device; the lock is not held then.
 */
int balloon_report_start(struct virtio_balloon *vb, struct scatterlist *sg,
			 unsigned int nents)
{
	int err;

	mutex_lock(&vb->reporting_lock);
	err = virtqueue_add_inbuf(vb->reporting_vq, sg, nents, vb,
				  GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		mutex_unlock(&vb->reporting_lock);
	else
		virtqueue_kick(vb->reporting_vq);
	return err;
}

/**
 * balloon_report_finish() - wait until the host has discarded what was sent
 * @vb: the balloon, balloon_report_start() was the last call
 *
 * Context: Process context, sleeps. Releases the reporting lock.
 * Return: 0, or -EIO if the device is broken.
 */
int balloon_report_finish(struct virtio_balloon *vb)
{
	int err;

	balloon_wait_acked(vb, vb->reporting_vq);
	err = virtqueue_is_broken(vb->reporting_vq) ? -EIO : 0;
	mutex_unlock(&vb->reporting_lock);
	return err;
}

static int virtballoon_free_page_report(struct page_reporting_dev_info *pr_dev_info,
				   struct scatterlist *sg, unsigned int nents)
{
	struct virtio_balloon *vb =
		container_of(pr_dev_info, struct virtio_balloon, pr_dev_info);

	return balloon_report_start(vb, sg, nents) ?: balloon_report_finish(vb);
}

/**
 * balloon_add_page_pfns() - collect the PFNs of a page for the host
 * @vb: the balloon; the caller holds its lock
 * @page: a page of PAGE_SIZE
 */
void balloon_add_page_pfns(struct virtio_balloon *vb, struct page *page)
{
	unsigned int i;

	/*
	 * Set balloon pfns pointing at this page.
	 * Note that the first pfn points at start of the page.
	 */
	for (i = 0; i < VIRTIO_BALLOON_PAGES_PER_PAGE; i++)
		vb->pfns[vb->num_pfns++] =
			cpu_to_virtio32(vb->vdev, page_to_balloon_pfn(page) + i);
}

/*
 * While most virtqueues communicate guest-initiated requests to the hypervisor,
 * the stats queue operates in reverse.  The driver initializes the virtqueue
 * with a single buffer.  From that point forward, all conversations consist of
 * a hypervisor request (a call to this function) which directs us to refill
 * the virtqueue with a fresh stats buffer.  Since stats collection can sleep,
 * we delegate the job to a freezable workqueue that will do the actual work via
 * stats_handle_request().
 */
static void stats_request(struct virtqueue *vq)
{
	struct virtio_balloon *vb = vq->vdev->priv;

	spin_lock(&vb->stop_update_lock);
	if (!vb->stop_update) {
		start_wakeup_event(vb, VIRTIO_BALLOON_WAKEUP_SIGNAL_STATS);
		queue_work(system_freezable_wq, &vb->update_balloon_stats_work);
	}
	spin_unlock(&vb->stop_update_lock);
}

static void stats_handle_request(struct virtio_balloon *vb)
{
	struct virtqueue *vq;
	struct scatterlist sg;
	unsigned int len, size;

	size = balloon_collect_stats(vb);

	vq = vb->stats_vq;
	if (!virtqueue_get_buf(vq, &len))
		return;
	sg_init_one(&sg, vb->stats, size);
	virtqueue_add_outbuf(vq, &sg, 1, vb, GFP_KERNEL);
	virtqueue_kick(vq);
}

/**
 * balloon_target() - what the host asks for
 * @vb: the balloon
 *
 * Context: Process context.
 * Return: balloon pages, of which the driver can hold that many exactly.
 */
u32 balloon_target(struct virtio_balloon *vb)
{
	u32 num_pages;

	/* Legacy balloon config space is LE, unlike all other devices. */
	virtio_cread_le(vb->vdev, struct virtio_balloon_config, num_pages,
			&num_pages);

	/*
	 * Aligned up to guest page size to avoid inflating and deflating
	 * balloon endlessly.
	 */
	return ALIGN(num_pages, VIRTIO_BALLOON_PAGES_PER_PAGE);
}

/* Gives back @num_to_return blocks of free pages to mm. */
static unsigned long return_free_pages_to_mm(struct virtio_balloon *vb,
					     unsigned long num_to_return)
{
	struct page *page;
	unsigned long num_returned;

	spin_lock_irq(&vb->free_page_list_lock);
	for (num_returned = 0; num_returned < num_to_return; num_returned++) {
		page = balloon_page_pop(&vb->free_page_list);
		if (!page)
			break;
		free_pages((unsigned long)page_address(page),
			   VIRTIO_BALLOON_HINT_BLOCK_ORDER);
	}
	vb->num_free_page_blocks -= num_returned;
	spin_unlock_irq(&vb->free_page_list_lock);

	return num_returned;
}

static void virtio_balloon_queue_free_page_work(struct virtio_balloon *vb)
{
	if (!virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		return;

	/* No need to queue the work if the bit was already set. */
	if (test_and_set_bit(VIRTIO_BALLOON_CONFIG_READ_CMD_ID,
			     &vb->config_read_bitmap))
		return;

	queue_work(vb->balloon_wq, &vb->report_free_page_work);
}

static u32 virtio_balloon_cmd_id_received(struct virtio_balloon *vb)
{
	u32 cmd_id;

	mutex_lock(&vb->cmd_id_lock);
	if (test_and_clear_bit(VIRTIO_BALLOON_CONFIG_READ_CMD_ID,
			       &vb->config_read_bitmap)) {
		/* Legacy balloon config space is LE, unlike all other devices. */
		virtio_cread_le(vb->vdev, struct virtio_balloon_config,
				free_page_hint_cmd_id,
				&vb->cmd_id_received_cache);
	}
	cmd_id = vb->cmd_id_received_cache;
	mutex_unlock(&vb->cmd_id_lock);

	return cmd_id;
}

static void start_update_balloon_size(struct virtio_balloon *vb)
{
	WRITE_ONCE(vb->retarget, true);
	start_wakeup_event(vb, VIRTIO_BALLOON_WAKEUP_SIGNAL_ADJUST);
	mod_delayed_work(vb->size_wq, &vb->update_balloon_size_work, 0);
}

static void virtballoon_changed(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vb->stop_update_lock, flags);
	if (!vb->stop_update) {
		/* In this order: see balloon_asked_again(). */
		virtio_balloon_queue_free_page_work(vb);
		start_update_balloon_size(vb);
	}
	spin_unlock_irqrestore(&vb->stop_update_lock, flags);
}

void update_balloon_size(struct virtio_balloon *vb)
{
	u32 actual;

	/* Again if it changed meanwhile: an older number must not come last. */
	do {
		actual = balloon_num_pages(vb);
		WRITE_ONCE(vb->told, actual);
		/* Legacy balloon config space is LE, unlike all other devices. */
		virtio_cwrite_le(vb->vdev, struct virtio_balloon_config, actual,
				 &actual);
	} while (actual != balloon_num_pages(vb));
}

static void update_balloon_stats_func(struct work_struct *work)
{
	struct virtio_balloon *vb;

	vb = container_of(work, struct virtio_balloon,
			  update_balloon_stats_work);

	process_wakeup_event(vb, VIRTIO_BALLOON_WAKEUP_SIGNAL_STATS);
	stats_handle_request(vb);
	finish_wakeup_event(vb);
}

/* How long pages are given again before looking at the target again. */
#define BALLOON_AGAIN_JIFFIES	max(HZ / 10, 1)
/* How many blocks to release before looking at the target again. */
#define BALLOON_RELEASE_BATCH	1024U

/* What update_balloon_size_func() does next. */
#define BALLOON_STEP_AGAIN	0UL
#define BALLOON_STEP_SOON	1UL	/* isolated pages are about to come back */
#define BALLOON_STEP_DONE	ULONG_MAX

/*
 * One step towards the target. Returns BALLOON_STEP_*, or the jiffies after
 * which to look again.
 */
static unsigned long balloon_step(struct virtio_balloon *vb)
{
	u32 asked = balloon_target(vb);
	u32 target = asked - min(asked, balloon_huge_given(vb));
	bool whole = READ_ONCE(use_blocks);
	u32 blocks = whole ? target / VIRTIO_BALLOON_PAGES_PER_BLOCK : 0;
	/* The OOM notifier may release some meanwhile: that is next step's. */
	u32 held = READ_ONCE(vb->num_blocks);
	u32 held_singles = READ_ONCE(vb->num_singles);
	u32 singles, want;

	if (virtqueue_is_broken(vb->inflate_vq))
		return BALLOON_STEP_DONE;

	if (held > blocks)
		return balloon_release_blocks(vb, min(held - blocks,
						      BALLOON_RELEASE_BATCH)) ?
			BALLOON_STEP_AGAIN : BALLOON_STEP_SOON;

	singles = target - held * VIRTIO_BALLOON_PAGES_PER_BLOCK;
	if (held_singles > singles)
		return balloon_release_singles(vb, held_singles - singles) ?
			BALLOON_STEP_AGAIN : BALLOON_STEP_SOON;

	want = singles - held_singles;
	if (!want) {
		if (target < asked) {
			balloon_note_shortfall(vb, BALLOON_SHORTFALL_HUGE,
					       asked);
			return balloon_retry_delay(vb, false);
		}
		balloon_note_shortfall(vb, held < blocks ?
				       BALLOON_SHORTFALL_CONTIGUITY :
				       BALLOON_SHORTFALL_NONE, target);
		return BALLOON_STEP_DONE;
	}

	if (!balloon_may_inflate(vb)) {
		balloon_note_shortfall(vb, vb->shortfall, target);
		return balloon_retry_delay(vb, false);
	}

	blocks -= held;
	if (blocks && !vb->blocks_exhausted &&
	    balloon_room(vb) >= pageblock_nr_pages) {
		if (balloon_take_blocks(vb, blocks) || balloon_interrupted(vb)) {
			vb->retry = 0;
			return BALLOON_STEP_AGAIN;
		}
	}

	/* Singles take the place of blocks only where there are no blocks. */
	if (!blocks || vb->blocks_exhausted) {
		if (balloon_take_singles(vb, want, whole && !blocks)) {
			vb->retry = 0;
			return BALLOON_STEP_AGAIN;
		}
	}

	vb->blocks_exhausted = false;
	balloon_note_shortfall(vb, balloon_room(vb) < pageblock_nr_pages ?
			       BALLOON_SHORTFALL_FLOOR :
			       BALLOON_SHORTFALL_ALLOC, target);
	return balloon_retry_delay(vb, true);
}

/*
 * The host has changed the configuration. If it asks for nothing else than last
 * time, it has got memory for pages of the balloon, be it that the guest was
 * migrated, or loaded, or that discards were forbidden for a while. It wants to
 * hear of all of them once more.
 *
 * The device shows the command id of free page hinting only until it is answered,
 * so both works go by what the first of them has read. Two changes may be read as
 * one: then the second one looks like a request, and costs some work.
 */
static bool balloon_asked_again(struct virtio_balloon *vb)
{
	u32 target = balloon_target(vb);
	u32 cmd_id = 0;
	bool same;

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		cmd_id = virtio_balloon_cmd_id_received(vb);
	same = target == vb->asked && cmd_id == vb->asked_cmd_id;
	vb->asked = target;
	vb->asked_cmd_id = cmd_id;
	return same && balloon_num_pages(vb);
}

/*
 * Send some of what is held once more. True if that is not all: it goes on when
 * the balloon has nothing else to do.
 */
static bool balloon_give_again(struct virtio_balloon *vb)
{
	unsigned long end = jiffies + BALLOON_AGAIN_JIFFIES;
	bool more;

	do {
		more = balloon_give_blocks_again(vb) ||
		       balloon_give_singles_again(vb);
		cond_resched();
	} while (more && time_before(jiffies, end) &&
		 !READ_ONCE(vb->retarget) && !READ_ONCE(vb->stop_update));
	return more;
}

static void update_balloon_size_func(struct work_struct *work)
{
	struct virtio_balloon *vb = container_of(to_delayed_work(work),
						 struct virtio_balloon,
						 update_balloon_size_work);
	unsigned long delay;

	process_wakeup_event(vb, VIRTIO_BALLOON_WAKEUP_SIGNAL_ADJUST);

	if (xchg(&vb->retarget, false)) {
		vb->blocks_exhausted = false;
		vb->retry = 0;
		vb->giving = false;
		vb->quiet = balloon_asked_again(vb);
		if (vb->quiet) {
			balloon_ask_blocks_again(vb);
			balloon_ask_singles_again(vb);
			vb->again = true;
		}
	}

	balloon_note_events(vb);
	if (vb->giving) {
		vb->giving = balloon_give_again(vb);
		vb->again = vb->giving;
		delay = BALLOON_STEP_AGAIN;
	} else {
		delay = balloon_step(vb);
	}
	if (balloon_num_pages(vb) != READ_ONCE(vb->told) ||
	    (delay == BALLOON_STEP_DONE && !vb->quiet))
		update_balloon_size(vb);

	if (delay != BALLOON_STEP_AGAIN) {
		balloon_offer_blocks(vb);
		/* Waiting for memory to come free keeps nobody awake. */
		vb->giving = vb->again && delay != BALLOON_STEP_SOON;
		if (vb->giving)
			delay = BALLOON_STEP_AGAIN;
		else
			finish_wakeup_event(vb);
	}
	/* At once, even if the OOM notifier would have us look in a while. */
	if (delay == BALLOON_STEP_AGAIN)
		mod_delayed_work(vb->size_wq, &vb->update_balloon_size_work, 0);
	else if (delay != BALLOON_STEP_DONE)
		queue_delayed_work(vb->size_wq, &vb->update_balloon_size_work,
				   delay);
}

static int init_vqs(struct virtio_balloon *vb)
{
	struct virtqueue_info vqs_info[VIRTIO_BALLOON_VQ_MAX] = {};
	struct virtqueue *vqs[VIRTIO_BALLOON_VQ_MAX];
	int err;

	/*
	 * Inflateq and deflateq are used unconditionally. The names[]
	 * will be NULL if the related feature is not enabled, which will
	 * cause no allocation for the corresponding virtqueue in find_vqs.
	 */
	vqs_info[VIRTIO_BALLOON_VQ_INFLATE].callback = balloon_ack;
	vqs_info[VIRTIO_BALLOON_VQ_INFLATE].name = "inflate";
	vqs_info[VIRTIO_BALLOON_VQ_DEFLATE].callback = balloon_ack;
	vqs_info[VIRTIO_BALLOON_VQ_DEFLATE].name = "deflate";

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_STATS_VQ)) {
		vqs_info[VIRTIO_BALLOON_VQ_STATS].name = "stats";
		vqs_info[VIRTIO_BALLOON_VQ_STATS].callback = stats_request;
	}

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		vqs_info[VIRTIO_BALLOON_VQ_FREE_PAGE].name = "free_page_vq";

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_REPORTING)) {
		vqs_info[VIRTIO_BALLOON_VQ_REPORTING].name = "reporting_vq";
		vqs_info[VIRTIO_BALLOON_VQ_REPORTING].callback = balloon_ack;
	}

	err = virtio_find_vqs(vb->vdev, VIRTIO_BALLOON_VQ_MAX, vqs,
			      vqs_info, NULL);
	if (err)
		return err;

	vb->inflate_vq = vqs[VIRTIO_BALLOON_VQ_INFLATE];
	vb->deflate_vq = vqs[VIRTIO_BALLOON_VQ_DEFLATE];
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_STATS_VQ)) {
		struct scatterlist sg;
		unsigned int size;

		vb->stats_vq = vqs[VIRTIO_BALLOON_VQ_STATS];

		/*
		 * Prime this virtqueue with one buffer so the hypervisor can
		 * use it to signal us later (it can't be broken yet!).
		 */
		size = balloon_collect_stats(vb);

		sg_init_one(&sg, vb->stats, size);
		err = virtqueue_add_outbuf(vb->stats_vq, &sg, 1, vb,
					   GFP_KERNEL);
		if (err) {
			dev_warn(&vb->vdev->dev, "%s: add stat_vq failed\n",
				 __func__);
			return err;
		}
		virtqueue_kick(vb->stats_vq);
	}

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		vb->free_page_vq = vqs[VIRTIO_BALLOON_VQ_FREE_PAGE];

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_REPORTING))
		vb->reporting_vq = vqs[VIRTIO_BALLOON_VQ_REPORTING];

	return 0;
}

static int send_cmd_id_start(struct virtio_balloon *vb)
{
	struct scatterlist sg;
	struct virtqueue *vq = vb->free_page_vq;
	int err, unused;

	/* Detach all the used buffers from the vq */
	while (virtqueue_get_buf(vq, &unused))
		;

	vb->cmd_id_active = cpu_to_virtio32(vb->vdev,
					virtio_balloon_cmd_id_received(vb));
	sg_init_one(&sg, &vb->cmd_id_active, sizeof(vb->cmd_id_active));
	err = virtqueue_add_outbuf(vq, &sg, 1, &vb->cmd_id_active, GFP_KERNEL);
	if (!err)
		virtqueue_kick(vq);
	return err;
}

static int send_cmd_id_stop(struct virtio_balloon *vb)
{
	struct scatterlist sg;
	struct virtqueue *vq = vb->free_page_vq;
	int err, unused;

	/* Detach all the used buffers from the vq */
	while (virtqueue_get_buf(vq, &unused))
		;

	sg_init_one(&sg, &vb->cmd_id_stop, sizeof(vb->cmd_id_stop));
	err = virtqueue_add_outbuf(vq, &sg, 1, &vb->cmd_id_stop, GFP_KERNEL);
	if (!err)
		virtqueue_kick(vq);
	return err;
}

static int get_free_page_and_send(struct virtio_balloon *vb)
{
	struct virtqueue *vq = vb->free_page_vq;
	struct page *page;
	struct scatterlist sg;
	int err, unused;
	void *p;

	/* Detach all the used buffers from the vq */
	while (virtqueue_get_buf(vq, &unused))
		;

	page = alloc_pages(VIRTIO_BALLOON_FREE_PAGE_ALLOC_FLAG,
			   VIRTIO_BALLOON_HINT_BLOCK_ORDER);
	/*
	 * When the allocation returns NULL, it indicates that we have got all
	 * the possible free pages, so return -EINTR to stop.
	 */
	if (!page)
		return -EINTR;

	p = page_address(page);
	sg_init_one(&sg, p, VIRTIO_BALLOON_HINT_BLOCK_BYTES);
	/* There is always 1 entry reserved for the cmd id to use. */
	if (vq->num_free > 1) {
		err = virtqueue_add_inbuf(vq, &sg, 1, p, GFP_KERNEL);
		if (unlikely(err)) {
			free_pages((unsigned long)p,
				   VIRTIO_BALLOON_HINT_BLOCK_ORDER);
			return err;
		}
		virtqueue_kick(vq);
		spin_lock_irq(&vb->free_page_list_lock);
		balloon_page_push(&vb->free_page_list, page);
		vb->num_free_page_blocks++;
		spin_unlock_irq(&vb->free_page_list_lock);
	} else {
		/*
		 * The vq has no available entry to add this page block, so
		 * just free it.
		 */
		free_pages((unsigned long)p, VIRTIO_BALLOON_HINT_BLOCK_ORDER);
	}

	return 0;
}

static int send_free_pages(struct virtio_balloon *vb)
{
	int err;
	u32 cmd_id_active;

	while (1) {
		/*
		 * If a stop id or a new cmd id was just received from host,
		 * stop the reporting.
		 */
		cmd_id_active = virtio32_to_cpu(vb->vdev, vb->cmd_id_active);
		if (unlikely(cmd_id_active !=
			     virtio_balloon_cmd_id_received(vb)))
			break;

		/*
		 * The free page blocks are allocated and sent to host one by
		 * one.
		 */
		err = get_free_page_and_send(vb);
		if (err == -EINTR)
			break;
		else if (unlikely(err))
			return err;
	}

	return 0;
}

static void virtio_balloon_report_free_page(struct virtio_balloon *vb)
{
	int err;
	struct device *dev = &vb->vdev->dev;

	/* Start by sending the received cmd id to host with an outbuf. */
	err = send_cmd_id_start(vb);
	if (unlikely(err))
		dev_err(dev, "Failed to send a start id, err = %d\n", err);

	err = send_free_pages(vb);
	if (unlikely(err))
		dev_err(dev, "Failed to send a free page, err = %d\n", err);

	/* End by sending a stop id to host with an outbuf. */
	err = send_cmd_id_stop(vb);
	if (unlikely(err))
		dev_err(dev, "Failed to send a stop id, err = %d\n", err);
}

static void report_free_page_func(struct work_struct *work)
{
	struct virtio_balloon *vb = container_of(work, struct virtio_balloon,
						 report_free_page_work);
	u32 cmd_id_received;

	cmd_id_received = virtio_balloon_cmd_id_received(vb);
	if (cmd_id_received == VIRTIO_BALLOON_CMD_ID_DONE) {
		/* Pass ULONG_MAX to give back all the free pages */
		return_free_pages_to_mm(vb, ULONG_MAX);
	} else if (cmd_id_received != VIRTIO_BALLOON_CMD_ID_STOP &&
		   cmd_id_received !=
		   virtio32_to_cpu(vb->vdev, vb->cmd_id_active)) {
		virtio_balloon_report_free_page(vb);
	}
}

static unsigned long shrink_free_pages(struct virtio_balloon *vb,
				       unsigned long pages_to_free)
{
	unsigned long blocks_to_free, blocks_freed;

	pages_to_free = round_up(pages_to_free,
				 VIRTIO_BALLOON_HINT_BLOCK_PAGES);
	blocks_to_free = pages_to_free / VIRTIO_BALLOON_HINT_BLOCK_PAGES;
	blocks_freed = return_free_pages_to_mm(vb, blocks_to_free);

	return blocks_freed * VIRTIO_BALLOON_HINT_BLOCK_PAGES;
}

static unsigned long virtio_balloon_shrinker_scan(struct shrinker *shrinker,
						  struct shrink_control *sc)
{
	struct virtio_balloon *vb = shrinker->private_data;

	return shrink_free_pages(vb, sc->nr_to_scan);
}

static unsigned long virtio_balloon_shrinker_count(struct shrinker *shrinker,
						   struct shrink_control *sc)
{
	struct virtio_balloon *vb = shrinker->private_data;

	return vb->num_free_page_blocks * VIRTIO_BALLOON_HINT_BLOCK_PAGES;
}

/* @now: even if the next look is due later. Else in a second, if none is. */
void balloon_look_again(struct virtio_balloon *vb, bool now)
{
	unsigned long flags;

	spin_lock_irqsave(&vb->stop_update_lock, flags);
	if (!vb->stop_update && now)
		mod_delayed_work(vb->size_wq, &vb->update_balloon_size_work, 0);
	else if (!vb->stop_update)
		queue_delayed_work(vb->size_wq, &vb->update_balloon_size_work,
				   HZ);
	spin_unlock_irqrestore(&vb->stop_update_lock, flags);
}

static void virtio_balloon_unregister_shrinker(struct virtio_balloon *vb)
{
	shrinker_free(vb->shrinker);
}

static int virtio_balloon_register_shrinker(struct virtio_balloon *vb)
{
	vb->shrinker = shrinker_alloc(0, "virtio-balloon");
	if (!vb->shrinker)
		return -ENOMEM;

	vb->shrinker->scan_objects = virtio_balloon_shrinker_scan;
	vb->shrinker->count_objects = virtio_balloon_shrinker_count;
	vb->shrinker->private_data = vb;

	shrinker_register(vb->shrinker);

	return 0;
}

/*
 * Tell the device what freed pages hold, and decide how blocks are sent. The
 * device does not discard what is reported to it while it has to keep a poison
 * value; and a device that must be told before a page is used again has to
 * hear of it on the inflate queue first.
 */
static void balloon_set_poison(struct virtio_balloon *vb)
{
	/* Start with poison val of 0 representing general init */
	__u32 poison_val = 0;

	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_PAGE_POISON)) {
		/*
		 * Let the hypervisor know that we are expecting a
		 * specific value to be written back in balloon pages.
		 *
		 * If the PAGE_POISON value was larger than a byte we would
		 * need to byte swap poison_val here to guarantee it is
		 * little-endian. However for now it is a single byte so we
		 * can pass it as-is.
		 */
		if (!want_init_on_free())
			memset(&poison_val, PAGE_POISON, sizeof(poison_val));

		virtio_cwrite_le(vb->vdev, struct virtio_balloon_config,
				 poison_val, &poison_val);
	}

	vb->use_ranges = !poison_val &&
		virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_REPORTING) &&
		!virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

static void balloon_free(struct virtio_balloon *vb)
{
	if (vb->size_wq)
		destroy_workqueue(vb->size_wq);
	balloon_singles_exit(vb);
	balloon_blocks_exit(vb);
	kfree(vb->pfns);
	kfree(vb);
}

static int virtballoon_probe(struct virtio_device *vdev)
{
	struct virtio_balloon *vb;
	int err;

	if (!vdev->config->get) {
		dev_err(&vdev->dev, "%s failure: config access disabled\n",
			__func__);
		return -EINVAL;
	}

	vdev->priv = vb = kzalloc(sizeof(*vb), GFP_KERNEL);
	if (!vb) {
		err = -ENOMEM;
		goto out;
	}

	INIT_WORK(&vb->update_balloon_stats_work, update_balloon_stats_func);
	INIT_DELAYED_WORK(&vb->update_balloon_size_work,
			  update_balloon_size_func);
	balloon_pack_init(vb);
	spin_lock_init(&vb->stop_update_lock);
	spin_lock_init(&vb->wakeup_lock);
	mutex_init(&vb->balloon_lock);
	mutex_init(&vb->stats_lock);
	mutex_init(&vb->cmd_id_lock);
	spin_lock_init(&vb->held_lock);
	init_waitqueue_head(&vb->acked);
	vb->vdev = vdev;

	err = balloon_blocks_init(vb) ?: balloon_singles_init(vb);
	if (err)
		goto out_free_vb;

	vb->pfns = kmalloc_array(VIRTIO_BALLOON_BLOCK_PFNS, sizeof(*vb->pfns),
				  GFP_KERNEL);
	/* Unbound: a step may keep a CPU busy for a while. */
	vb->size_wq = alloc_workqueue("virtio-balloon",
				      WQ_FREEZABLE | WQ_UNBOUND, 0);
	if (!vb->pfns || !vb->size_wq) {
		err = -ENOMEM;
		goto out_free_vb;
	}

	err = init_vqs(vb);
	if (err)
		goto out_free_vb;

	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT)) {
		/*
		 * There is always one entry reserved for cmd id, so the ring
		 * size needs to be at least two to report free page hints.
		 */
		if (virtqueue_get_vring_size(vb->free_page_vq) < 2) {
			err = -ENOSPC;
			goto out_del_vqs;
		}
		vb->balloon_wq = alloc_workqueue("balloon-wq",
					WQ_FREEZABLE | WQ_CPU_INTENSIVE, 0);
		if (!vb->balloon_wq) {
			err = -ENOMEM;
			goto out_del_vqs;
		}
		INIT_WORK(&vb->report_free_page_work, report_free_page_func);
		vb->cmd_id_received_cache = VIRTIO_BALLOON_CMD_ID_STOP;
		vb->cmd_id_active = cpu_to_virtio32(vb->vdev,
						  VIRTIO_BALLOON_CMD_ID_STOP);
		vb->cmd_id_stop = cpu_to_virtio32(vb->vdev,
						  VIRTIO_BALLOON_CMD_ID_STOP);
		spin_lock_init(&vb->free_page_list_lock);
		INIT_LIST_HEAD(&vb->free_page_list);
		/*
		 * We're allowed to reuse any free pages, even if they are
		 * still to be processed by the host.
		 */
		err = virtio_balloon_register_shrinker(vb);
		if (err)
			goto out_del_balloon_wq;
	}

	err = balloon_pressure_init(vb);
	if (err)
		goto out_unregister_shrinker;

	balloon_set_poison(vb);

	vb->pr_dev_info.report = virtballoon_free_page_report;
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_REPORTING)) {
		unsigned int capacity;

		capacity = virtqueue_get_vring_size(vb->reporting_vq);
		if (capacity < PAGE_REPORTING_CAPACITY) {
			err = -ENOSPC;
			goto out_pressure_exit;
		}

		/*
		 * The default page reporting order is @pageblock_order, which
		 * corresponds to 512MB in size on ARM64 when 64KB base page
		 * size is used. The page reporting won't be triggered if the
		 * freeing page can't come up with a free area like that huge.
		 * So we specify the page reporting order to 5, corresponding
		 * to 2MB. It helps to avoid THP splitting if 4KB base page
		 * size is used by host.
		 *
		 * Ideally, the page reporting order is selected based on the
		 * host's base page size. However, it needs more work to report
		 * that value. The hard-coded order would be fine currently.
		 */
#if defined(CONFIG_ARM64) && defined(CONFIG_ARM64_64K_PAGES)
		vb->pr_dev_info.order = 5;
#endif

		err = page_reporting_register(&vb->pr_dev_info);
		if (err)
			goto out_pressure_exit;
	}

	/*
	 * The virtio balloon itself can't wake up the device, but it is
	 * responsible for processing wakeup events passed up from the transport
	 * layer. Wakeup sources don't support nesting/chaining calls, so we use
	 * our own wakeup source to ensure wakeup events are properly handled
	 * without trampling on the transport layer's wakeup source.
	 */
	device_set_wakeup_capable(&vb->vdev->dev, true);

	virtio_device_ready(vdev);
	balloon_huge_init(vb);
	balloon_debugfs_add(vb);

	if (balloon_target(vb))
		virtballoon_changed(vdev);
	balloon_pack_start(vb);
	return 0;

out_pressure_exit:
	balloon_pressure_exit(vb);
out_unregister_shrinker:
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		virtio_balloon_unregister_shrinker(vb);
out_del_balloon_wq:
	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		destroy_workqueue(vb->balloon_wq);
out_del_vqs:
	vdev->config->del_vqs(vdev);
out_free_vb:
	/* The OOM notifier may have been there. */
	cancel_delayed_work_sync(&vb->update_balloon_size_work);
	balloon_free(vb);
out:
	return err;
}

static void remove_common(struct virtio_balloon *vb)
{
	/* There might be pages left in the balloon: free them. */
	while (balloon_num_pages(vb)) {
		/* Those that are isolated for migration come back soon. */
		if (!balloon_release_blocks(vb, UINT_MAX) &&
		    !balloon_release_singles(vb, UINT_MAX))
			schedule_timeout_uninterruptible(1);
	}
	/* Who gave the last one back may still have the lock. */
	mutex_lock(&vb->balloon_lock);
	mutex_unlock(&vb->balloon_lock);
	update_balloon_size(vb);

	/* There might be free pages that are being reported: release them. */
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		return_free_pages_to_mm(vb, ULONG_MAX);

	/* Now we reset the device so we can clean up the queues. */
	virtio_reset_device(vb->vdev);

	vb->vdev->config->del_vqs(vb->vdev);
}

static void virtballoon_remove(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;

	balloon_debugfs_remove(vb);
	balloon_pack_stop(vb);
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_REPORTING))
		page_reporting_unregister(&vb->pr_dev_info);
	balloon_pressure_exit(vb);
	if (virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		virtio_balloon_unregister_shrinker(vb);
	spin_lock_irq(&vb->stop_update_lock);
	vb->stop_update = true;
	spin_unlock_irq(&vb->stop_update_lock);
	balloon_huge_exit(vb);
	cancel_delayed_work_sync(&vb->update_balloon_size_work);
	cancel_work_sync(&vb->update_balloon_stats_work);

	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT)) {
		cancel_work_sync(&vb->report_free_page_work);
		destroy_workqueue(vb->balloon_wq);
	}

	remove_common(vb);
	balloon_free(vb);
}

#ifdef CONFIG_PM_SLEEP
static int virtballoon_freeze(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;

	/*
	 * The workqueues are already frozen by the PM core before this
	 * function is called. Page reporting is told that its queue goes.
	 */
	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_REPORTING))
		page_reporting_unregister(&vb->pr_dev_info);
	remove_common(vb);
	return 0;
}

static int virtballoon_restore(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;
	int ret;

	ret = init_vqs(vb);
	if (ret)
		return ret;

	/* The device was reset, and has forgotten. */
	balloon_set_poison(vb);
	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_REPORTING)) {
		ret = page_reporting_register(&vb->pr_dev_info);
		if (ret)
			return ret;
	}

	virtio_device_ready(vdev);

	if (balloon_target(vb))
		virtballoon_changed(vdev);
	update_balloon_size(vb);
	return 0;
}
#endif

static int virtballoon_validate(struct virtio_device *vdev)
{
	/*
	 * Inform the hypervisor that our pages are poisoned or
	 * initialized. If we cannot do that then we should disable
	 * page reporting as it could potentially change the contents
	 * of our free pages.
	 */
	if (!want_init_on_free() && !page_poisoning_enabled_static())
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
	else if (!virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_REPORTING);

	/*
	 * Disable indirect descriptors to avoid memory allocation in
	 * virtqueue_add during page reporting.
	 */
	__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);
	return 0;
}

static unsigned int features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_REPORTING,
};

static struct virtio_driver virtio_balloon_driver = {
	.feature_table = features,
	.feature_table_size = ARRAY_SIZE(features),
	.driver.name =	KBUILD_MODNAME,
	.id_table =	id_table,
	.validate =	virtballoon_validate,
	.probe =	virtballoon_probe,
	.remove =	virtballoon_remove,
	.config_changed = virtballoon_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze	=	virtballoon_freeze,
	.restore =	virtballoon_restore,
#endif
};

static int __init virtballoon_init(void)
{
	int err;

	balloon_debugfs_init();
	err = register_virtio_driver(&virtio_balloon_driver);
	if (err)
		balloon_debugfs_exit();
	return err;
}
module_init(virtballoon_init);

static void __exit virtballoon_exit(void)
{
	unregister_virtio_driver(&virtio_balloon_driver);
	balloon_proactiveness_exit();
	balloon_debugfs_exit();
}
module_exit(virtballoon_exit);

MODULE_DEVICE_TABLE(virtio, id_table);
MODULE_DESCRIPTION("Virtio balloon driver");
MODULE_LICENSE("GPL");
#ifdef BALLAST_VERSION
MODULE_VERSION(BALLAST_VERSION);
#endif
