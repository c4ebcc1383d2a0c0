/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The conformance kit: what its parts share.
 */
#ifndef _DRIVER_PAGES_SELFTEST_H
#define _DRIVER_PAGES_SELFTEST_H

#include <linux/types.h>

struct seq_file;

/* kit.c: a run over a driver's mapping. Not more than one at a time. */
int kit_run(const char *options);
__printf(2, 3) int kit_fail(int err, const char *why, ...);
void kit_show(struct seq_file *m);

/* misuse.c: the framework's own answers, on mappings of the kit. */
void misuse_show(struct seq_file *m);

#endif /* _DRIVER_PAGES_SELFTEST_H */
