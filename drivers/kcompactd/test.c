// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For tests/cooperation/kcompactd.t: requests to kcompactd, and what makes it, or
 * keeps it from, working. In /sys/kernel/debug/kcompactd_test:
 *
 *   ask0 ask1 ask2	write "NODE ORDER BLOCKS MS" to ask, "cancel" to cancel;
 *			reading waits, and says "ERRNO MADE"
 *   wake		write "ORDER ZONE": an allocation that may not wait, from
 *			DMA32, Normal or Movable downwards, which wakes kswapd or
 *			kcompactd if it fails
 *   pages blocks	write "N KEEP": take N unmovable pages, or so many free
 *			pageblocks, or as many as are to be had without reclaim;
 *			free all but every KEEPth (default: none); 0 frees all
 *   kswapd		write 1, and kswapd stays where it is when it next
 *			shrinks caches, awake and busy, until 0 is written;
 *			reading says whether it is there
 *
 * And kswapd has always enough to reclaim. It wakes kcompactd only then, and a
 * guest without disks has nothing.
 */
#include <linux/debugfs.h>
#include <linux/errname.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <linux/kcompactd.h>

static struct dentry *dir;

/* One asker each; nobody asks anew before the answer was read. */
static struct ask {
	struct kcompactd_request req;
	int err;		/* of asking */
	bool asked;
} asks[3];

static struct taken {
	gfp_t gfp;
	unsigned int order;
	struct page **pages;
	unsigned long nr;
} taken[] = {
	{ .gfp = GFP_NOWAIT },
	{ .gfp = __GFP_MOVABLE | __GFP_HIGHMEM, .order = pageblock_order },
};

static DEFINE_MUTEX(taken_lock);

static bool hold_kswapd;
static bool kswapd_held;
static struct shrinker *shrinker;

static ssize_t get_line(char *line, size_t size, const char __user *buf,
			size_t count)
{
	if (count >= size)
		return -EINVAL;
	if (copy_from_user(line, buf, count))
		return -EFAULT;
	line[count] = '\0';
	return 0;
}

static ssize_t ask_write(struct file *file, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	struct ask *ask = file->private_data;
	unsigned int ms;
	char line[64];
	ssize_t err;

	err = get_line(line, sizeof(line), buf, count);
	if (err)
		return err;

	if (sysfs_streq(line, "cancel")) {
		if (!ask->asked || ask->err)
			return -ENOENT;
		kcompactd_cancel(&ask->req);
		return count;
	}

	if (ask->asked)
		return -EBUSY;
	if (sscanf(line, "%d %u %lu %u", &ask->req.nid, &ask->req.order,
		   &ask->req.nr_blocks, &ms) != 4)
		return -EINVAL;
	ask->req.deadline = jiffies + msecs_to_jiffies(ms);
	ask->req.made = 0;
	ask->err = kcompactd_request(&ask->req);
	ask->asked = true;
	return count;
}

static ssize_t ask_read(struct file *file, char __user *buf, size_t count,
			loff_t *ppos)
{
	struct ask *ask = file->private_data;
	char line[64];
	int err, len;

	if (*ppos)
		return 0;
	if (!ask->asked)
		return -ENOENT;
	err = ask->err ?: kcompactd_wait(&ask->req);
	ask->asked = false;
	len = scnprintf(line, sizeof(line), "%s %lu\n",
			err ? errname(-err) : "0", ask->req.made);
	return simple_read_from_buffer(buf, count, ppos, line, len);
}

static const struct file_operations ask_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = ask_read,
	.write = ask_write,
};

static ssize_t wake_write(struct file *file, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	gfp_t gfp = __GFP_KSWAPD_RECLAIM | __GFP_NOWARN | __GFP_NOMEMALLOC;
	unsigned int order;
	struct page *page;
	char line[64], zone[16];
	ssize_t err;

	err = get_line(line, sizeof(line), buf, count);
	if (err)
		return err;
	if (sscanf(line, "%u %15s", &order, zone) != 2)
		return -EINVAL;
	if (!strcmp(zone, "Movable"))
		gfp |= __GFP_MOVABLE | __GFP_HIGHMEM;
	else if (!strcmp(zone, "DMA32"))
		gfp |= __GFP_DMA32;

	page = alloc_pages(gfp, order);
	if (page)
		__free_pages(page, order);
	return count;
}

static const struct file_operations wake_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = wake_write,
};

static void free_some(struct taken *t, unsigned long keep)
{
	unsigned long i;

	for (i = 0; i < t->nr; i++) {
		if (!t->pages[i] || (keep && i % keep == 0))
			continue;
		__free_pages(t->pages[i], t->order);
		t->pages[i] = NULL;
	}
	if (!keep) {
		vfree(t->pages);
		t->pages = NULL;
		t->nr = 0;
	}
}

static ssize_t take_write(struct file *file, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	struct taken *t = file->private_data;
	unsigned long n, keep = 1;
	char line[64];
	ssize_t err;

	err = get_line(line, sizeof(line), buf, count);
	if (err)
		return err;
	if (sscanf(line, "%lu %lu", &n, &keep) < 1 || !keep)
		return -EINVAL;

	mutex_lock(&taken_lock);
	free_some(t, 0);
	t->pages = n ? vcalloc(n, sizeof(*t->pages)) : NULL;
	while (t->pages && t->nr < n) {
		struct page *page;

		page = alloc_pages(t->gfp | __GFP_NOWARN, t->order);
		/* Those that are kept for who can use no others. */
		if (!page && t->order)
			page = alloc_pages(GFP_DMA | __GFP_NOWARN, t->order);
		if (!page)
			break;
		t->pages[t->nr] = page;
		t->nr++;
		cond_resched();
	}
	if (t->pages)
		free_some(t, keep);
	mutex_unlock(&taken_lock);
	return count;
}

static const struct file_operations take_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = take_write,
};

static unsigned long hold_count(struct shrinker *s, struct shrink_control *sc)
{
	if (!current_is_kswapd())
		return 0;
	/* Awake means TASK_RUNNING: it may not sleep here. */
	while (READ_ONCE(hold_kswapd)) {
		WRITE_ONCE(kswapd_held, true);
		cond_resched();
	}
	WRITE_ONCE(kswapd_held, false);
	mm_account_reclaimed_pages(2UL << pageblock_order);
	return 0;
}

static unsigned long hold_scan(struct shrinker *s, struct shrink_control *sc)
{
	return SHRINK_STOP;
}

static ssize_t kswapd_write(struct file *file, const char __user *buf,
			    size_t count, loff_t *ppos)
{
	bool hold;
	int err = kstrtobool_from_user(buf, count, &hold);

	if (err)
		return err;
	WRITE_ONCE(hold_kswapd, hold);
	return count;
}

static ssize_t kswapd_read(struct file *file, char __user *buf, size_t count,
			   loff_t *ppos)
{
	return simple_read_from_buffer(buf, count, ppos,
				       READ_ONCE(kswapd_held) ? "1\n" : "0\n", 2);
}

static const struct file_operations kswapd_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = kswapd_read,
	.write = kswapd_write,
};

static int __init kcompactd_test_init(void)
{
	char name[8];
	int i;

	shrinker = shrinker_alloc(0, "kcompactd_test");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = hold_count;
	shrinker->scan_objects = hold_scan;
	shrinker_register(shrinker);

	dir = debugfs_create_dir("kcompactd_test", NULL);
	for (i = 0; i < ARRAY_SIZE(asks); i++) {
		snprintf(name, sizeof(name), "ask%d", i);
		debugfs_create_file(name, 0600, dir, &asks[i], &ask_fops);
	}
	debugfs_create_file("wake", 0200, dir, NULL, &wake_fops);
	debugfs_create_file("pages", 0200, dir, &taken[0], &take_fops);
	debugfs_create_file("blocks", 0200, dir, &taken[1], &take_fops);
	debugfs_create_file("kswapd", 0600, dir, NULL, &kswapd_fops);
	return 0;
}

static void __exit kcompactd_test_exit(void)
{
	int i;

	debugfs_remove_recursive(dir);
	for (i = 0; i < ARRAY_SIZE(asks); i++)
		if (asks[i].asked && !asks[i].err)
			kcompactd_cancel(&asks[i].req);
	WRITE_ONCE(hold_kswapd, false);
	shrinker_free(shrinker);
	for (i = 0; i < ARRAY_SIZE(taken); i++)
		free_some(&taken[i], 0);
}

module_init(kcompactd_test_init);
module_exit(kcompactd_test_exit);
MODULE_DESCRIPTION("Requests to kcompactd, for tests");
MODULE_LICENSE("GPL");
