// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: counters in debugfs, one file a device
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "balloon.h"

static struct dentry *balloon_debugfs_dir;

static const char * const shortfall_reason[] = {
	[BALLOON_SHORTFALL_NONE] = "none",
	[BALLOON_SHORTFALL_FLOOR] = "floor",
	[BALLOON_SHORTFALL_PRESSURE] = "pressure",
	[BALLOON_SHORTFALL_ALLOC] = "allocation",
	[BALLOON_SHORTFALL_RANGE] = "range",
	[BALLOON_SHORTFALL_CONTIGUITY] = "contiguity",
	[BALLOON_SHORTFALL_HUGE] = "huge",
};

static const char * const pack_reason[] = {
	[BALLOON_PACK_NONE] = "none",
	[BALLOON_PACK_OFF] = "off",
	[BALLOON_PACK_UNSUPPORTED] = "unsupported",
	[BALLOON_PACK_LITTLE] = "little",
	[BALLOON_PACK_FUTILE] = "futile",
	[BALLOON_PACK_BUDGET] = "budget",
	[BALLOON_PACK_PRESSURE] = "pressure",
	[BALLOON_PACK_BALLOON] = "balloon",
	[BALLOON_PACK_BUSY] = "busy",
};

static int balloon_stats_show(struct seq_file *m, void *v)
{
	struct virtio_balloon *vb = m->private;
	u32 target = balloon_target(vb);
	u32 actual = balloon_num_pages(vb);

	seq_printf(m, "target %u\n", target);
	seq_printf(m, "actual %u\n", actual);
	seq_printf(m, "blocks %u\n", READ_ONCE(vb->num_blocks));
	seq_printf(m, "singles %u\n", READ_ONCE(vb->num_singles));
	seq_printf(m, "pages_per_block %u\n", VIRTIO_BALLOON_PAGES_PER_BLOCK);
	seq_printf(m, "queue %s\n", vb->use_ranges ? "reporting" : "inflate");
	seq_printf(m, "floor %lu\n", balloon_floor(vb) *
		   VIRTIO_BALLOON_PAGES_PER_PAGE);
	seq_printf(m, "shortfall %u\n", target > actual ? target - actual : 0);
	seq_printf(m, "shortfall_reason %s\n",
		   shortfall_reason[READ_ONCE(vb->shortfall)]);
#define COUNT(name) seq_printf(m, #name " %lu\n", vb->count.name)
	COUNT(ranges_sent);
	COUNT(blocks_sent_range);
	COUNT(blocks_sent_pfn);
	COUNT(blocks_free);
	COUNT(evacuations);
	COUNT(evacuations_futile);
	COUNT(evacuations_deferred);
	COUNT(blocks_asked);
	COUNT(blocks_won);
	COUNT(pages_moved);
	COUNT(blocks_released);
	COUNT(blocks_given_back);
	COUNT(singles_taken);
	COUNT(singles_released);
	COUNT(singles_migrated);
	COUNT(singles_absorbed);
	COUNT(given_again);
	COUNT(room_made);
	COUNT(floor_episodes);
	COUNT(oom_deflations);
	COUNT(pressure_readings);
	COUNT(pressure_deflations);
	COUNT(huge_deflations);
	COUNT(huge_failures);
#undef COUNT
	seq_printf(m, "pack_reason %s\n", pack_reason[READ_ONCE(vb->pack.reason)]);
	seq_printf(m, "pack_scattered %lu\n", vb->pack.scattered *
		   VIRTIO_BALLOON_PAGES_PER_PAGE);
	seq_printf(m, "pack_looks %lu\n", vb->pack.looks);
	seq_printf(m, "pack_passes %lu\n", vb->pack.passes);
	seq_printf(m, "pack_blocks_asked %lu\n", vb->pack.asked);
	seq_printf(m, "pack_blocks_made %lu\n", vb->pack.made);
	seq_printf(m, "pack_pages_moved %lu\n", vb->pack.moved);
	seq_printf(m, "pack_cpu_ms %llu\n",
		   div_u64(vb->pack.cpu_ns, NSEC_PER_MSEC));
	seq_printf(m, "pack_cpu_saved_ms %lld\n",
		   div_s64(vb->pack.saved_ns, NSEC_PER_MSEC));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(balloon_stats);

void balloon_debugfs_add(struct virtio_balloon *vb)
{
	vb->debugfs = debugfs_create_file(dev_name(&vb->vdev->dev), 0444,
					  balloon_debugfs_dir, vb,
					  &balloon_stats_fops);
}

/* Waits for readers: the device may go away afterwards. */
void balloon_debugfs_remove(struct virtio_balloon *vb)
{
	debugfs_remove(vb->debugfs);
	vb->debugfs = NULL;
}

void balloon_debugfs_init(void)
{
	balloon_debugfs_dir = debugfs_create_dir("virtio_balloon", NULL);
}

void balloon_debugfs_exit(void)
{
	debugfs_remove(balloon_debugfs_dir);
}
