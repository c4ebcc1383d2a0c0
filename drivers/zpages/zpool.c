// SPDX-License-Identifier: GPL-2.0
/*
 * zpages as a zpool driver, so that zswap runs on it:
 *
 *	echo zpages > /sys/module/zswap/parameters/zpool
 *
 * zpool wants an object in one piece. One that crosses to another page is
 * copied to a buffer of the CPU, and back if it was written; the CPU can have
 * one such object at a time and may not sleep, as with zsmalloc.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/local_lock.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/string.h>

#include <zpool_driver.h>
#include "zpages.h"

/* An object that is in two parts, while it is mapped. */
struct zpages_whole {
	local_lock_t lock;
	struct zpages_object *object;
	enum zpool_mapmode mode;
	struct zpages_map map;
	char data[PAGE_SIZE];
};

static struct zpages_whole __percpu *zpages_whole;

static void *zpages_zpool_create(const char *name, gfp_t gfp)
{
	struct zpages_pool *pool = zpages_create(name);

	return IS_ERR(pool) ? NULL : pool;
}

static void zpages_zpool_destroy(void *pool)
{
	zpages_destroy(pool);
}

static int zpages_zpool_malloc(void *pool, size_t size, gfp_t gfp,
			       unsigned long *handle)
{
	struct zpages_object *object = zpages_alloc(pool, size, gfp);

	if (IS_ERR(object))
		return PTR_ERR(object);
	*handle = (unsigned long)object;
	return 0;
}

static void zpages_zpool_free(void *pool, unsigned long handle)
{
	zpages_free(pool, (struct zpages_object *)handle);
}

/* NULL for what no user of zpool does: map what somebody is writing. */
static void *zpages_zpool_map(void *pool, unsigned long handle,
			      enum zpool_mapmode mode)
{
	struct zpages_object *object = (struct zpages_object *)handle;
	struct zpages_whole *whole;
	struct zpages_map map;

	if (zpages_map(pool, object, mode == ZPOOL_MM_RO ? ZPAGES_READ :
		       ZPAGES_WRITE, &map))
		return NULL;
	if (!map.len[1])
		return map.part[0];

	local_lock(&zpages_whole->lock);
	whole = this_cpu_ptr(zpages_whole);
	whole->object = object;
	whole->mode = mode;
	whole->map = map;
	if (mode != ZPOOL_MM_WO) {
		memcpy(whole->data, map.part[0], map.len[0]);
		memcpy(whole->data + map.len[0], map.part[1], map.len[1]);
	}
	return whole->data;
}

static void zpages_zpool_unmap(void *pool, unsigned long handle)
{
	struct zpages_object *object = (struct zpages_object *)handle;
	/* Not in two parts: then no CPU's buffer has it, and any will do. */
	struct zpages_whole *whole = raw_cpu_ptr(zpages_whole);

	if (whole->object == object) {
		if (whole->mode != ZPOOL_MM_RO) {
			memcpy(whole->map.part[0], whole->data,
			       whole->map.len[0]);
			memcpy(whole->map.part[1],
			       whole->data + whole->map.len[0],
			       whole->map.len[1]);
		}
		whole->object = NULL;
		local_unlock(&zpages_whole->lock);
	}
	zpages_unmap(pool, object);
}

static u64 zpages_zpool_total_pages(void *pool)
{
	return zpages_pages(pool);
}

static struct zpool_driver zpages_zpool = {
	.type = "zpages",
	.owner = THIS_MODULE,
	.create = zpages_zpool_create,
	.destroy = zpages_zpool_destroy,
	.malloc_support_movable = true,
	.malloc = zpages_zpool_malloc,
	.free = zpages_zpool_free,
	.map = zpages_zpool_map,
	.unmap = zpages_zpool_unmap,
	.total_pages = zpages_zpool_total_pages,
};
static bool zpages_zpool_added;

/* Without zpool the module is still there for users inside the kernel. */
void zpages_zpool_init(void)
{
	int cpu;

	if (!IS_ENABLED(CONFIG_ZPOOL)) {
		pr_info("no zpool in this kernel, so zswap can't use it\n");
		return;
	}
	zpages_whole = alloc_percpu(struct zpages_whole);
	if (!zpages_whole) {
		pr_warn("no memory for zpool, so zswap can't use it\n");
		return;
	}
	for_each_possible_cpu(cpu)
		local_lock_init(&per_cpu_ptr(zpages_whole, cpu)->lock);
	zpages_zpool_added = zpool_driver_add(&zpages_zpool);
}

void zpages_zpool_exit(void)
{
	if (zpages_zpool_added)
		zpool_driver_del(&zpages_zpool);
	free_percpu(zpages_whole);
}
