// SPDX-License-Identifier: GPL-2.0
/*
 * zpages in debugfs: for each pool a directory with a table of its classes, and
 * a file that compacts it when it is written to.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "zpages.h"

static struct dentry *zpages_debugfs;

/* What a line shows of a class; the last line is their sum. */
struct line {
	unsigned long zspages;
	unsigned long pages;
	unsigned long room;
	unsigned long objects;
	unsigned long bytes;
	unsigned long migrated;
	unsigned long busy;
	unsigned long moved;
	unsigned long freed;
};

static void classes_line(struct seq_file *m, const struct line *l)
{
	seq_printf(m, " %lu %lu %lu %lu %lu %lu %lu %lu %lu\n", l->zspages,
		   l->pages, l->room, l->objects, l->bytes, l->migrated,
		   l->busy, l->moved, l->freed);
}

static int classes_show(struct seq_file *m, void *v)
{
	struct zpages_pool *pool = m->private;
	struct line sum = { 0 };
	u32 i;

	seq_puts(m, "size pages_each objects_each zspages pages room objects");
	seq_puts(m, " bytes migrated busy moved freed\n");
	for (i = zpages_classes.nr; i--;) {
		struct zpages_class *class = &pool->class[i];
		const struct zpages_shape *shape = class->shape;
		struct line l;

		spin_lock(&class->lock);
		l = (struct line) {
			.zspages = class->zspages,
			.pages = class->zspages * shape->pages,
			.room = class->zspages * shape->objects,
			.objects = class->objects,
			.bytes = class->bytes,
			.migrated = class->migrated,
			.busy = class->busy,
			.moved = class->moved,
			.freed = class->freed,
		};
		spin_unlock(&class->lock);

		seq_printf(m, "%u %u %u", shape->size, shape->pages,
			   shape->objects);
		classes_line(m, &l);
		sum.zspages += l.zspages;
		sum.pages += l.pages;
		sum.room += l.room;
		sum.objects += l.objects;
		sum.bytes += l.bytes;
		sum.migrated += l.migrated;
		sum.busy += l.busy;
		sum.moved += l.moved;
		sum.freed += l.freed;
	}
	seq_puts(m, "total - -");
	classes_line(m, &sum);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(classes);

static ssize_t compact_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *ppos)
{
	zpages_compact(file->private_data);
	return count;
}

static const struct file_operations compact_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = compact_write,
};

void zpages_debugfs_add(struct zpages_pool *pool)
{
	pool->debugfs = debugfs_create_dir(pool->name, zpages_debugfs);
	debugfs_create_file("classes", 0444, pool->debugfs, pool,
			    &classes_fops);
	debugfs_create_file("compact", 0200, pool->debugfs, pool,
			    &compact_fops);
}

void zpages_debugfs_init(void)
{
	zpages_debugfs = debugfs_create_dir("zpages", NULL);
}

void zpages_debugfs_exit(void)
{
	debugfs_remove(zpages_debugfs);
}
