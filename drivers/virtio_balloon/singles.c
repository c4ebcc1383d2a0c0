// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: single pages
 *
 * What a target leaves over when it is divided into pageblocks is held as
 * single pages; they also stand in for blocks where none are to be had. They
 * are driver pages: the kernel can migrate them.
 *
 * Each single breaks one of the host's huge pages, unless one next to it has
 * done so before. So those that are left over come from one pageblock, which is
 * taken as a whole and what is not needed of it given back; and they stay there
 * until somebody wants just this block, for a contiguous allocation or to take
 * the memory offline. Compaction would empty the block for the price of another
 * of the host's huge pages, or of many.
 *
 * A single that is in a block that regiond empties for the balloon itself is not
 * moved: it is given back where it is, and so becomes a part of the block that
 * the balloon gets in a moment.
 *
 * Locks: page lock > held_lock in the callbacks, balloon lock > held_lock
 * where pages are taken and released. The migrate callbacks take the balloon lock
 * inside the page lock; who has the balloon lock only tries to get a page lock.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>
#include <linux/vmstat.h>

#include <ballast/driver_pages.h>
#include <linux/balloon_block.h>
#include <linux/pageblock_type.h>
#include "balloon.h"

/* Under the balloon lock. False: somebody has the page locked just now. */
static bool hold_single(struct virtio_balloon *vb, struct page *page)
{
	int err;

	spin_lock(&vb->held_lock);
	err = driver_pages_mark(vb->mapping, page);
	if (!err)
		list_add_tail(&page->lru, &vb->singles);
	spin_unlock(&vb->held_lock);
	if (err)
		return false;

	balloon_add_page_pfns(vb, page);
	return true;
}

static void account_single(struct virtio_balloon *vb, struct page *page,
			   long nr)
{
	if (balloon_pages_unmanaged(vb))
		adjust_managed_page_count(page, nr);
}

/* Not held any more: a page of the guest's again. */
static void free_single(struct virtio_balloon *vb, struct page *page)
{
	__ClearPageOffline(page);
	account_single(vb, page, 1);
	put_page(page);
}

/* Under the balloon lock: hold what was collected when the host has it. */
static unsigned int inflate_singles(struct virtio_balloon *vb)
{
	unsigned int num = vb->num_pfns;

	WRITE_ONCE(vb->num_singles, vb->num_singles + num);
	vb->count.singles_taken += num;
	count_vm_events(BALLOON_INFLATE, num / VIRTIO_BALLOON_PAGES_PER_PAGE);
	balloon_tell_host(vb, vb->inflate_vq);
	return num;
}

/*
 * All singles from one pageblock, also in place of those that are held already:
 * they are released when that is done. Returns how many were taken.
 */
static unsigned int take_from_block(struct virtio_balloon *vb, unsigned int num)
{
	struct page *block = balloon_take_spare_block(vb);
	unsigned long i;

	if (!block)
		return 0;

	num = min(num + vb->num_singles, VIRTIO_BALLOON_PAGES_PER_BLOCK);
	split_page(block, pageblock_order);
	mutex_lock(&vb->balloon_lock);
	for (i = 0; i < pageblock_nr_pages; i++) {
		if (vb->num_pfns >= num || !hold_single(vb, block + i))
			free_single(vb, block + i);
	}
	num = inflate_singles(vb);
	mutex_unlock(&vb->balloon_lock);
	return num;
}

/* From wherever there is a free page. */
static unsigned int take_from_anywhere(struct virtio_balloon *vb,
				       unsigned int num)
{
	struct page *page, *next;
	unsigned int taken = 0;
	LIST_HEAD(pages);
	gfp_t gfp;
	int nid;

	num = min(num, VIRTIO_BALLOON_SINGLE_PFNS);
	num = balloon_bound_singles(vb, num, &nid);
	gfp = GFP_HIGHUSER_MOVABLE | __GFP_NOMEMALLOC | __GFP_NORETRY |
	      __GFP_NOWARN;
	if (nid != NUMA_NO_NODE)
		gfp |= __GFP_THISNODE;

	while (taken < num) {
		page = alloc_pages_node(nid, gfp, 0);
		if (!page)
			break;
		list_add_tail(&page->lru, &pages);
		taken += VIRTIO_BALLOON_PAGES_PER_PAGE;
	}
	if (!taken)
		return 0;

	mutex_lock(&vb->balloon_lock);
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		__SetPageOffline(page);
		account_single(vb, page, -1);
		if (!hold_single(vb, page))
			free_single(vb, page);
	}
	taken = inflate_singles(vb);
	mutex_unlock(&vb->balloon_lock);
	return taken;
}

/**
 * balloon_take_singles() - inflate by single pages
 * @vb: the balloon
 * @num: how many at the most, in balloon pages
 * @gather: try to have all singles in one pageblock; the balloon may go beyond
 *	its target then, by as many singles as it had
 *
 * Context: the size work, no locks held.
 * Return: how many were taken, in balloon pages.
 */
unsigned int balloon_take_singles(struct virtio_balloon *vb, unsigned int num,
				  bool gather)
{
	unsigned int taken = gather ? take_from_block(vb, num) : 0;

	return taken ?: take_from_anywhere(vb, num);
}

/**
 * balloon_release_singles() - deflate by single pages
 * @vb: the balloon
 * @num: how many at the most, in balloon pages
 *
 * Those that were taken first go first.
 *
 * Context: Process context, and the OOM notifier: no memory is allocated.
 * Return: how many were released, in balloon pages: fewer, if pages are isolated
 * for migration just now.
 */
unsigned int balloon_release_singles(struct virtio_balloon *vb,
				     unsigned int num)
{
	struct page *page, *next;
	LIST_HEAD(pages);

	num = min(num, VIRTIO_BALLOON_SINGLE_PFNS);

	mutex_lock(&vb->balloon_lock);
	spin_lock(&vb->held_lock);
	list_for_each_entry_safe(page, next, &vb->singles, lru) {
		if (vb->num_pfns >= num)
			break;
		if (driver_pages_unmark(vb->mapping, page))
			continue;
		list_move_tail(&page->lru, &pages);
		balloon_add_page_pfns(vb, page);
	}
	spin_unlock(&vb->held_lock);
	num = vb->num_pfns;
	WRITE_ONCE(vb->num_singles, vb->num_singles - num);
	vb->count.singles_released += num;
	count_vm_events(BALLOON_DEFLATE, num / VIRTIO_BALLOON_PAGES_PER_PAGE);
	/*
	 * Note that if
	 * virtio_has_feature(vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
	 * is true, we *have* to do it in this order
	 */
	balloon_tell_host(vb, vb->deflate_vq);
	mutex_unlock(&vb->balloon_lock);

	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		free_single(vb, page);
	}
	return num;
}

/**
 * balloon_ask_singles_again() - give all single pages to the host once more
 * @vb: the balloon; balloon_give_singles_again() does so
 *
 * Not those that are isolated while this goes on.
 *
 * Context: the size work, sleeps.
 */
void balloon_ask_singles_again(struct virtio_balloon *vb)
{
	mutex_lock(&vb->balloon_lock);
	spin_lock(&vb->held_lock);
	vb->singles_again = vb->num_singles / VIRTIO_BALLOON_PAGES_PER_PAGE;
	spin_unlock(&vb->held_lock);
	mutex_unlock(&vb->balloon_lock);
}

/**
 * balloon_give_singles_again() - send the next ones to the host once more
 * @vb: the balloon, balloon_ask_singles_again() was called
 *
 * See pick_blocks_again() for which those are, and balloon_give_blocks_again()
 * for what the balloon lock is held for.
 *
 * Context: the size work, no locks held. Allocates no memory.
 * Return: whether there may be more; not if the device is broken.
 */
bool balloon_give_singles_again(struct virtio_balloon *vb)
{
	struct page *page;
	unsigned int num;
	bool more;

	mutex_lock(&vb->balloon_lock);
	spin_lock(&vb->held_lock);
	vb->singles_again = min(vb->singles_again, vb->num_singles /
				VIRTIO_BALLOON_PAGES_PER_PAGE);
	while (vb->singles_again && vb->num_pfns < VIRTIO_BALLOON_SINGLE_PFNS) {
		page = list_first_entry_or_null(&vb->singles, struct page, lru);
		if (!page) {
			vb->singles_again = 0;
			break;
		}
		vb->singles_again--;
		list_move_tail(&page->lru, &vb->singles);
		balloon_add_page_pfns(vb, page);
	}
	spin_unlock(&vb->held_lock);
	num = vb->num_pfns;
	balloon_tell_host(vb, vb->inflate_vq);
	more = num && !virtqueue_is_broken(vb->inflate_vq);
	if (more)
		vb->count.given_again += num;
	mutex_unlock(&vb->balloon_lock);
	return more;
}

/*
 * Are all singles in the pageblock of this one? Then it is as good as it gets,
 * unless somebody empties this very block. Who else is in the block may change
 * meanwhile: a wrong answer costs a move, or leaves one for later.
 */
static bool single_is_gathered(struct virtio_balloon *vb, struct page *page)
{
	unsigned long pfn = pageblock_start_pfn(page_to_pfn(page));
	struct address_space *tag = READ_ONCE(page->mapping);
	unsigned int num = 0;
	unsigned long i;

	if (pageblock_type(pfn) == MIGRATE_ISOLATE)
		return false;
	for (i = 0; i < pageblock_nr_pages; i++) {
		if (READ_ONCE(pfn_to_page(pfn + i)->mapping) == tag)
			num += VIRTIO_BALLOON_PAGES_PER_PAGE;
	}
	return num >= READ_ONCE(vb->num_singles);
}

static bool virtballoon_isolate(struct address_space *mapping,
				struct page *page, enum migrate_mode mode)
{
	struct virtio_balloon *vb = driver_pages_private(mapping);

	/* The host has to be told, and waited for. */
	if (mode == MIGRATE_ASYNC || single_is_gathered(vb, page))
		return false;

	spin_lock(&vb->held_lock);
	list_del(&page->lru);
	spin_unlock(&vb->held_lock);
	return true;
}

static void virtballoon_putback(struct address_space *mapping,
				struct page *page, enum migrate_mode mode)
{
	struct virtio_balloon *vb = driver_pages_private(mapping);

	spin_lock(&vb->held_lock);
	list_add(&page->lru, &vb->singles);
	if (vb->singles_again)
		vb->singles_again++;
	spin_unlock(&vb->held_lock);
}

/*
 * Is the block of this page about to become the balloon's? Somebody else may
 * have isolated it: then the balloon takes another page in a moment.
 */
static bool single_is_absorbed(struct virtio_balloon *vb, struct page *page)
{
	return READ_ONCE(vb->winning) &&
	       pageblock_type(page_to_pfn(page)) == MIGRATE_ISOLATE;
}

/* Under the balloon lock, which is released; see balloon_block_migrate(). */
static int absorb_single(struct virtio_balloon *vb, struct page *page)
{
	balloon_add_page_pfns(vb, page);
	balloon_tell_host(vb, vb->deflate_vq);
	WRITE_ONCE(vb->num_singles,
		   vb->num_singles - VIRTIO_BALLOON_PAGES_PER_PAGE);
	count_vm_event(BALLOON_DEFLATE);
	vb->count.singles_absorbed += VIRTIO_BALLOON_PAGES_PER_PAGE;
	mutex_unlock(&vb->balloon_lock);

	driver_pages_unmark_locked(vb->mapping, page);
	free_single(vb, page);
	return -EAGAIN;
}

/* Inflate @dst, then deflate @src: the contents of neither matter. */
static int virtballoon_migrate(struct address_space *mapping, struct page *dst,
			       struct page *src, enum migrate_mode mode)
{
	struct virtio_balloon *vb = driver_pages_private(mapping);

	if (mode == MIGRATE_ASYNC)
		return -EAGAIN;
	/*
	 * In order to avoid lock contention while migrating pages concurrently
	 * to inflation or deflation compaction just gives up this turn, as it
	 * is easier to retry the page migration later. Who wants just this range
	 * has no other one to turn to meanwhile, and waits.
	 */
	if (mode == MIGRATE_SYNC)
		mutex_lock(&vb->balloon_lock);
	else if (!mutex_trylock(&vb->balloon_lock))
		return -EAGAIN;

	if (single_is_absorbed(vb, src))
		return absorb_single(vb, src);

	/* The two may be of different zones. */
	account_single(vb, src, 1);
	account_single(vb, dst, -1);

	/* Nobody gets hold of @dst before it is unlocked, and marked. */
	__SetPageOffline(dst);
	spin_lock(&vb->held_lock);
	list_add_tail(&dst->lru, &vb->singles);
	spin_unlock(&vb->held_lock);
	count_vm_event(BALLOON_MIGRATE);
	vb->count.singles_migrated += VIRTIO_BALLOON_PAGES_PER_PAGE;

	balloon_add_page_pfns(vb, dst);
	balloon_tell_host(vb, vb->inflate_vq);
	balloon_add_page_pfns(vb, src);
	balloon_tell_host(vb, vb->deflate_vq);
	mutex_unlock(&vb->balloon_lock);

	__ClearPageOffline(src);
	return 0;
}

static const struct driver_page_ops balloon_single_ops = {
	.isolate = virtballoon_isolate,
	.migrate = virtballoon_migrate,
	.putback = virtballoon_putback,
};

/**
 * balloon_singles_init() - prepare for taking single pages
 * @vb: a balloon with its device
 *
 * Return: 0 or an errno; balloon_singles_exit() is due in the end.
 */
int balloon_singles_init(struct virtio_balloon *vb)
{
	INIT_LIST_HEAD(&vb->singles);
	vb->mapping = driver_pages_register(dev_name(&vb->vdev->dev),
					    &balloon_single_ops, vb);
	return PTR_ERR_OR_ZERO(vb->mapping);
}

/**
 * balloon_singles_exit() - undo balloon_singles_init()
 * @vb: a balloon without singles; it may have failed, or not been tried
 */
void balloon_singles_exit(struct virtio_balloon *vb)
{
	driver_pages_unregister(vb->mapping);
}
