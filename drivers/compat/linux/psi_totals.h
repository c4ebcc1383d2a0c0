/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory stall totals, on a kernel that does not let modules have them.
 *
 * The patched kernel of guest-kernel/ brings a header of this name; it is then
 * found first.
 */
#ifndef _COMPAT_LINUX_PSI_TOTALS_H
#define _COMPAT_LINUX_PSI_TOTALS_H

#include <linux/types.h>

static inline bool psi_memory_totals(u64 *some_us, u64 *full_us)
{
	return false;
}

#endif /* _COMPAT_LINUX_PSI_TOTALS_H */
