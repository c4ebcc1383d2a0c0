/* SPDX-License-Identifier: GPL-2.0 */
/*
 * zpages_test.ko: what its files share
 */
#ifndef _ZPAGES_TEST_H
#define _ZPAGES_TEST_H

#include <linux/dcache.h>
#include <linux/seq_file.h>
#include <linux/types.h>

#include <ballast/zpages.h>

/*
 * TAP, into a debugfs file: test(m, CONDITION, what is true then). m->private
 * is where the tests are counted.
 */
#define test(m, ok, fmt, ...)						\
	seq_printf(m, "%s %u - " fmt "\n", (ok) ? "ok" : "not ok",	\
		   ++*(unsigned int *)(m)->private, ##__VA_ARGS__)

/* A file that runs tests when it is read. */
#define TEST_FILE(name, run)						\
static int name##_show(struct seq_file *m, void *v)			\
{									\
	unsigned int tests = 0;						\
									\
	m->private = &tests;						\
	run(m);								\
	return 0;							\
}									\
static int name##_open(struct inode *inode, struct file *file)		\
{									\
	/* Large enough for all: run once. */				\
	return single_open_size(file, name##_show, NULL, 1 << 16);	\
}									\
static const struct file_operations name##_fops = {			\
	.owner = THIS_MODULE,						\
	.open = name##_open,						\
	.read = seq_read,						\
	.llseek = seq_lseek,						\
	.release = single_release,					\
}

/* What an object of a size and a seed holds, from some byte on. */
void pattern_fill(u8 *to, size_t from, size_t len, u32 seed);
bool pattern_is(const u8 *to, size_t from, size_t len, u32 seed);

/* The same in an object, mapped for it: 0, -EILSEQ, or what mapping says. */
int object_fill(struct zpages_pool *pool, struct zpages_object *object,
		u32 seed);
int object_check(struct zpages_pool *pool, struct zpages_object *object,
		 u32 seed);

/* Waits for pages on their way out. */
void zpages_settle(struct zpages_pool *pool);

void torture_init(struct dentry *dir);
void compare_init(struct dentry *dir);
void compare_exit(void);

#endif /* _ZPAGES_TEST_H */
