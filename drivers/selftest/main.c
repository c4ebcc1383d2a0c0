// SPDX-License-Identifier: GPL-2.0
/*
 * The conformance kit for drivers with driver pages: see docs/DRIVER-GUIDE.md.
 *
 * In /sys/kernel/debug/driver_pages_selftest:
 *
 *	run	write "NAME [OPTION...]" to test the mapping of that name; the
 *		write returns when the run has ended. Read the result, as TAP;
 *		it is none before the first run, and after a write that failed.
 *	misuse	read: does the framework answer bad use as it says?
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "selftest.h"

static DEFINE_MUTEX(kit_lock);
static struct dentry *kit_dir;

static ssize_t run_write(struct file *file, const char __user *from,
			 size_t len, loff_t *pos)
{
	char *options __free(kfree) = NULL;
	int err;

	guard(mutex)(&kit_lock);
	if (len > 256)
		return kit_fail(-EINVAL, "more than 256 characters");
	options = memdup_user_nul(from, len);
	if (IS_ERR(options))
		return kit_fail(PTR_ERR(options), "can't read what was written");
	err = kit_run(strim(options));
	return err ?: len;
}

static int run_show(struct seq_file *m, void *unused)
{
	guard(mutex)(&kit_lock);
	kit_show(m);
	return 0;
}

static int misuse_file_show(struct seq_file *m, void *unused)
{
	guard(mutex)(&kit_lock);
	misuse_show(m);
	return 0;
}

/* A buffer that is large enough at once: no show function is called twice. */
static int kit_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, inode->i_private, NULL, SZ_64K);
}

static const struct file_operations kit_fops = {
	.owner = THIS_MODULE,
	.open = kit_open,
	.read = seq_read,
	.write = run_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init kit_init(void)
{
	kit_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("run", 0600, kit_dir, run_show, &kit_fops);
	debugfs_create_file("misuse", 0400, kit_dir, misuse_file_show,
			    &kit_fops);
	return 0;
}
module_init(kit_init);

static void __exit kit_exit(void)
{
	debugfs_remove(kit_dir);
}
module_exit(kit_exit);

MODULE_DESCRIPTION("Conformance kit for drivers with driver pages");
MODULE_IMPORT_NS(DRIVER_PAGES_TEST);
MODULE_LICENSE("GPL");
