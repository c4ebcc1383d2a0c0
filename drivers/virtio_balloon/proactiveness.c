// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio balloon: vm.compaction_proactiveness, for a kernel whose kcompactd
 * can't be asked for blocks
 *
 * It is the system's, and by default the driver leaves it alone and says in the
 * log what it would be good for. With pack_proactiveness it is set for as long as
 * the driver is there. A module has no other way to it than the file: it is
 * reached as the sysctl.* boot parameters do it, in a mount of its own, since
 * /proc may not be mounted yet, or not where the driver looks.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/mutex.h>

#include "balloon.h"

static int pack_proactiveness = -1;
module_param(pack_proactiveness, int, 0444);
MODULE_PARM_DESC(pack_proactiveness,
		 "vm.compaction_proactiveness while the driver is loaded, if free page reporting is used and kcompactd can't be asked for blocks: 0 to 100; -1: as it is (default)");

static DEFINE_MUTEX(proactiveness_lock);
/* What it was, while it is ours. */
static int proactiveness_was = -1;
static bool proactiveness_said;

/* Read it, and write @to unless that is negative, or it is not @from. */
static int access_proactiveness(int from, int to)
{
	struct file_system_type *type = get_fs_type("proc");
	char buf[8] = "";
	struct vfsmount *mnt;
	struct path root;
	struct file *file;
	loff_t pos = 0;
	ssize_t len;
	int was;

	if (!type)
		return -ENOENT;
	mnt = kern_mount(type);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);

	root.mnt = mnt;
	root.dentry = mnt->mnt_root;
	file = file_open_root(&root, "sys/vm/compaction_proactiveness", O_RDWR,
			      0);
	if (IS_ERR(file)) {
		was = PTR_ERR(file);
		goto out;
	}

	len = kernel_read(file, buf, sizeof(buf) - 1, &pos);
	was = len < 0 ? len : -EIO;
	if (len > 0 && !kstrtoint(strim(buf), 10, &was) && to >= 0 &&
	    (from < 0 || from == was)) {
		len = scnprintf(buf, sizeof(buf), "%d", to);
		pos = 0;
		len = kernel_write(file, buf, len, &pos);
		if (len < 0)
			was = len;
	}
	filp_close(file, NULL);
out:
	kern_unmount(mnt);
	return was;
}

/**
 * balloon_proactiveness_start() - use what the kernel has, if told to
 * @dev: the device that free pages are reported to, for the log
 *
 * Context: Process context, sleeps.
 */
void balloon_proactiveness_start(struct device *dev)
{
	int was;

	guard(mutex)(&proactiveness_lock);
	if (proactiveness_said)
		return;
	proactiveness_said = true;

	if (pack_proactiveness < 0) {
		dev_info(dev, "free page reporting: this kernel makes few whole blocks by itself; consider vm.compaction_proactiveness=100, or load with pack_proactiveness=100\n");
		return;
	}

	was = access_proactiveness(-1, min(pack_proactiveness, 100));
	if (was < 0) {
		dev_warn(dev, "free page reporting: can't set vm.compaction_proactiveness: %pe\n",
			 ERR_PTR(was));
		return;
	}
	proactiveness_was = was;
	dev_info(dev, "free page reporting: vm.compaction_proactiveness is %d as long as the driver is loaded, it was %d\n",
		 min(pack_proactiveness, 100), was);
}

/**
 * balloon_proactiveness_exit() - as it was, unless somebody has changed it since
 *
 * Context: Process context, sleeps; no device is left.
 */
void balloon_proactiveness_exit(void)
{
	if (proactiveness_was >= 0)
		access_proactiveness(min(pack_proactiveness, 100),
				     proactiveness_was);
}
