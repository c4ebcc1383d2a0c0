/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kcompactd on demand, on a kernel whose kcompactd can't be asked.
 *
 * The patched kernel of guest-kernel/ brings a header of this name; it is then
 * found first. A stock kernel exports nothing that would do: who asks is told
 * so.
 */
#ifndef _COMPAT_LINUX_KCOMPACTD_H
#define _COMPAT_LINUX_KCOMPACTD_H

#include <linux/errno.h>
#include <linux/types.h>

struct kcompactd_request {
	int nid;
	unsigned int order;
	unsigned long nr_blocks;
	unsigned long deadline;
	unsigned long made;
	unsigned long moved;
	u64 cpu_ns;
	int err;
};

static inline int kcompactd_request(struct kcompactd_request *req)
{
	return -EOPNOTSUPP;
}

static inline int kcompactd_wait(struct kcompactd_request *req)
{
	return -EOPNOTSUPP;
}

static inline void kcompactd_cancel(struct kcompactd_request *req)
{
}

#endif /* _COMPAT_LINUX_KCOMPACTD_H */
