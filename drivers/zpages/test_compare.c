// SPDX-License-Identifier: GPL-2.0
/*
 * zpages_test: the same objects in zpages, in zsmalloc, and in zbud
 *
 *	echo NAME > compare	stores objects in it and frees three of four
 *	cat compare		what has become of them: one line of figures
 *
 * In between memory is compacted from outside. A page counts as migrated if an
 * object that was on it is on another page afterwards.
 */
#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/zsmalloc.h>

#include <zpool_driver.h>
#include "test.h"

static unsigned int compare_objects = 20000;
module_param(compare_objects, uint, 0644);
MODULE_PARM_DESC(compare_objects, "objects that are compared");

/* Handles are as those of zpool, 0 is none. */
struct store {
	const char *name;
	int (*get)(void);		/* is it there? It is kept, then */
	void (*put)(void);
	void *(*create)(void);
	void (*destroy)(void *pool);
	unsigned long (*alloc)(void *pool, size_t size);
	void (*free)(void *pool, unsigned long handle);
	/* With the object in one piece, or in two. */
	int (*map)(void *pool, unsigned long handle, bool write, size_t size,
		   struct zpages_map *map);
	void (*unmap)(void *pool, unsigned long handle);
	unsigned long (*pages)(void *pool);
	void (*compact)(void *pool);	/* optional */
};

static struct zpages_object *object_of(unsigned long handle)
{
	return (struct zpages_object *)handle;
}

static void *zp_create(void)
{
	return zpages_create("compare");
}

static void zp_destroy(void *pool)
{
	zpages_destroy(pool);
}

static unsigned long zp_alloc(void *pool, size_t size)
{
	struct zpages_object *object = zpages_alloc(pool, size, GFP_KERNEL);

	return IS_ERR(object) ? 0 : (unsigned long)object;
}

static void zp_free(void *pool, unsigned long handle)
{
	zpages_free(pool, object_of(handle));
}

static int zp_map(void *pool, unsigned long handle, bool write, size_t size,
		  struct zpages_map *map)
{
	return zpages_map(pool, object_of(handle),
			  write ? ZPAGES_WRITE : ZPAGES_READ, map);
}

static void zp_unmap(void *pool, unsigned long handle)
{
	zpages_unmap(pool, object_of(handle));
}

static unsigned long zp_pages(void *pool)
{
	return zpages_pages(pool);
}

static void zp_compact(void *pool)
{
	zpages_compact(pool);
}

/* zsmalloc may be a module, and may not be there at all. */
static struct {
	typeof(&zs_create_pool) create;
	typeof(&zs_destroy_pool) destroy;
	typeof(&zs_malloc) alloc;
	typeof(&zs_free) free;
	typeof(&zs_map_object) map;
	typeof(&zs_unmap_object) unmap;
	typeof(&zs_get_total_pages) pages;
	typeof(&zs_compact) compact;
} zs;

static void zsmalloc_put(void)
{
	if (zs.create)
		symbol_put(zs_create_pool);
	if (zs.destroy)
		symbol_put(zs_destroy_pool);
	if (zs.alloc)
		symbol_put(zs_malloc);
	if (zs.free)
		symbol_put(zs_free);
	if (zs.map)
		symbol_put(zs_map_object);
	if (zs.unmap)
		symbol_put(zs_unmap_object);
	if (zs.pages)
		symbol_put(zs_get_total_pages);
	if (zs.compact)
		symbol_put(zs_compact);
}

static int zsmalloc_get(void)
{
	zs.create = symbol_get(zs_create_pool);
	zs.destroy = symbol_get(zs_destroy_pool);
	zs.alloc = symbol_get(zs_malloc);
	zs.free = symbol_get(zs_free);
	zs.map = symbol_get(zs_map_object);
	zs.unmap = symbol_get(zs_unmap_object);
	zs.pages = symbol_get(zs_get_total_pages);
	zs.compact = symbol_get(zs_compact);
	if (zs.create && zs.destroy && zs.alloc && zs.free && zs.map &&
	    zs.unmap && zs.pages && zs.compact)
		return 0;
	zsmalloc_put();
	return -ENODEV;
}

static void *zsmalloc_create(void)
{
	return zs.create("compare");
}

static void zsmalloc_destroy(void *pool)
{
	zs.destroy(pool);
}

static unsigned long zsmalloc_alloc(void *pool, size_t size)
{
	unsigned long handle = zs.alloc(pool, size, GFP_KERNEL |
					__GFP_HIGHMEM | __GFP_MOVABLE);

	return IS_ERR_VALUE(handle) ? 0 : handle;
}

static void zsmalloc_free(void *pool, unsigned long handle)
{
	zs.free(pool, handle);
}

static int zsmalloc_map(void *pool, unsigned long handle, bool write,
			size_t size, struct zpages_map *map)
{
	map->part[0] = zs.map(pool, handle, write ? ZS_MM_WO : ZS_MM_RO);
	map->len[0] = size;
	map->part[1] = NULL;
	map->len[1] = 0;
	return 0;
}

static void zsmalloc_unmap(void *pool, unsigned long handle)
{
	zs.unmap(pool, handle);
}

static unsigned long zsmalloc_pages(void *pool)
{
	return zs.pages(pool);
}

static void zsmalloc_compact(void *pool)
{
	zs.compact(pool);
}

/*
 * zbud has no interface but zpool's, whose users have to be built in. But who
 * registers a driver is on a list with all others, right after its head.
 */
static struct zpool_driver *zbud;

static int zbud_get(void)
{
	static struct zpool_driver probe = { .type = "zpages_test" };
	struct zpool_driver *driver;

	if (!zpool_driver_add(&probe))
		return -ENODEV;
	zbud = NULL;
	list_for_each_entry(driver, probe.list.prev, list)
		if (!strcmp(driver->type, "zbud") &&
		    try_module_get(driver->owner))
			zbud = driver;
	zpool_driver_del(&probe);
	return zbud ? 0 : -ENODEV;
}

static void zbud_put(void)
{
	module_put(zbud->owner);
}

static void *zbud_create(void)
{
	return zbud->create("compare", GFP_KERNEL);
}

static void zbud_destroy(void *pool)
{
	zbud->destroy(pool);
}

static unsigned long zbud_alloc(void *pool, size_t size)
{
	unsigned long handle;

	return zbud->malloc(pool, size, GFP_KERNEL, &handle) ? 0 : handle;
}

static void zbud_free(void *pool, unsigned long handle)
{
	zbud->free(pool, handle);
}

static int zbud_map(void *pool, unsigned long handle, bool write, size_t size,
		    struct zpages_map *map)
{
	map->part[0] = zbud->map(pool, handle, ZPOOL_MM_RW);
	map->len[0] = size;
	map->part[1] = NULL;
	map->len[1] = 0;
	return 0;
}

static void zbud_unmap(void *pool, unsigned long handle)
{
	zbud->unmap(pool, handle);
}

static unsigned long zbud_pages(void *pool)
{
	return zbud->total_pages(pool);
}

static int always(void)
{
	return 0;
}

static void nothing(void)
{
}

static const struct store stores[] = {
	{
		.name = "zpages", .get = always, .put = nothing,
		.create = zp_create, .destroy = zp_destroy,
		.alloc = zp_alloc, .free = zp_free,
		.map = zp_map, .unmap = zp_unmap,
		.pages = zp_pages, .compact = zp_compact,
	}, {
		.name = "zsmalloc", .get = zsmalloc_get, .put = zsmalloc_put,
		.create = zsmalloc_create, .destroy = zsmalloc_destroy,
		.alloc = zsmalloc_alloc, .free = zsmalloc_free,
		.map = zsmalloc_map, .unmap = zsmalloc_unmap,
		.pages = zsmalloc_pages, .compact = zsmalloc_compact,
	}, {
		.name = "zbud", .get = zbud_get, .put = zbud_put,
		.create = zbud_create, .destroy = zbud_destroy,
		.alloc = zbud_alloc, .free = zbud_free,
		.map = zbud_map, .unmap = zbud_unmap,
		.pages = zbud_pages,
	},
};

struct stored {
	unsigned long handle;
	unsigned long pfn;		/* 0: on more than one page */
	u32 size;
};

static DEFINE_MUTEX(compare_lock);
static const struct store *store;	/* what is compared now */
static void *store_pool;
static struct stored *stored;
static unsigned int nr_stored;
static unsigned long full_bytes, full_pages, sparse_pages;

/*
 * zsmalloc copies an object that crosses to another page, to a buffer of the
 * CPU that does not go to a page's end with it. Pages that a driver has are
 * neither slab nor part of a larger page, as buffers are.
 */
static unsigned long map_pfn(const struct zpages_map *map)
{
	struct page *page;

	if (map->len[1] || !virt_addr_valid(map->part[0]))
		return 0;
	page = virt_to_page(map->part[0]);
	if (PageSlab(page) || PageCompound(page))
		return 0;
	return page_to_pfn(page);
}

/* Fills an object, or checks it, and says which page it is on. */
static int stored_look(struct stored *s, u32 seed, bool write,
		       unsigned long *pfn)
{
	struct zpages_map map;
	bool same = true;

	if (store->map(store_pool, s->handle, write, s->size, &map))
		return -EBUSY;
	if (write) {
		pattern_fill(map.part[0], 0, map.len[0], seed);
		pattern_fill(map.part[1], map.len[0], map.len[1], seed);
	} else {
		same = pattern_is(map.part[0], 0, map.len[0], seed) &&
		       pattern_is(map.part[1], map.len[0], map.len[1], seed);
	}
	*pfn = map_pfn(&map);
	store->unmap(store_pool, s->handle);
	return same ? 0 : -EILSEQ;
}

static void compare_end(void)
{
	unsigned int i;

	if (!store)
		return;
	for (i = 0; i < nr_stored; i++)
		if (stored[i].handle)
			store->free(store_pool, stored[i].handle);
	store->destroy(store_pool);
	store->put();
	vfree(stored);
	store = NULL;
}

static int compare_begin(const struct store *with)
{
	struct rnd_state rnd;
	unsigned long pfn;
	unsigned int i;

	if (with->get())
		return -ENODEV;
	nr_stored = compare_objects;
	stored = vcalloc(nr_stored, sizeof(*stored));
	if (!stored) {
		with->put();
		return -ENOMEM;
	}
	store_pool = with->create();
	if (IS_ERR_OR_NULL(store_pool)) {
		vfree(stored);
		with->put();
		return -ENOMEM;
	}
	store = with;

	/* About 1300 bytes for a page, few of them very small or large. */
	prandom_seed_state(&rnd, 1);
	full_bytes = 0;
	for (i = 0; i < nr_stored; i++) {
		struct stored *s = &stored[i];

		s->size = 64 + prandom_u32_state(&rnd) % 1250 +
			  prandom_u32_state(&rnd) % 1250;
		s->handle = store->alloc(store_pool, s->size);
		if (!s->handle || stored_look(s, i, true, &pfn)) {
			compare_end();
			return -ENOMEM;
		}
		full_bytes += s->size;
		cond_resched();
	}
	full_pages = store->pages(store_pool);

	for (i = 0; i < nr_stored; i++) {
		struct stored *s = &stored[i];

		if (prandom_u32_state(&rnd) & 3) {
			store->free(store_pool, s->handle);
			s->handle = 0;
		} else {
			stored_look(s, i, false, &s->pfn);
		}
	}
	sparse_pages = store->pages(store_pool);
	return 0;
}

static int compare_show(struct seq_file *m, void *v)
{
	unsigned long pfn, moved = 0, *seen;
	unsigned int i, bad = 0;

	guard(mutex)(&compare_lock);
	if (!store)
		return -ENODATA;
	seen = vcalloc(BITS_TO_LONGS(totalram_pages() * 2), sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	for (i = 0; i < nr_stored; i++) {
		struct stored *s = &stored[i];

		if (!s->handle)
			continue;
		bad += !!stored_look(s, i, false, &pfn);
		if (!s->pfn || !pfn || pfn == s->pfn ||
		    s->pfn >= totalram_pages() * 2)
			continue;
		moved += !__test_and_set_bit(s->pfn, seen);
	}
	vfree(seen);
	seq_printf(m, "%s bytes %lu pages %lu bytes_per_page %lu ",
		   store->name, full_bytes, full_pages,
		   full_bytes / full_pages);
	if (store->compact)
		store->compact(store_pool);
	for (i = 0; i < nr_stored; i++)
		if (stored[i].handle)
			bad += !!stored_look(&stored[i], i, false, &pfn);
	seq_printf(m, "sparse_pages %lu migrated %lu compacted_pages %lu bad %u\n",
		   sparse_pages, moved, store->pages(store_pool), bad);
	return 0;
}

static int compare_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, compare_show, NULL, PAGE_SIZE);
}

static ssize_t compare_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *ppos)
{
	char name[16] = "";
	unsigned int i;
	int err;

	if (count >= sizeof(name) || copy_from_user(name, buf, count))
		return -EINVAL;
	guard(mutex)(&compare_lock);
	compare_end();
	for (i = 0; i < ARRAY_SIZE(stores); i++) {
		if (strcmp(strim(name), stores[i].name))
			continue;
		err = compare_begin(&stores[i]);
		return err ?: count;
	}
	return strcmp(name, "end") ? -EINVAL : count;
}

static const struct file_operations compare_fops = {
	.owner = THIS_MODULE,
	.open = compare_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
	.write = compare_write,
};

/*
 * A pool of zsmalloc may be called anything, and just as another one is, also
 * where its pages are driver pages.
 */
static void test_zsmalloc(struct seq_file *m)
{
	static const char * const names[] = {
		"twin", "twin", "two words", "",
		"more-characters-than-a-mapping-s-name-may-have",
	};
	unsigned long handle[ARRAY_SIZE(names)] = {};
	void *pool[ARRAY_SIZE(names)] = {};
	u32 i;

	if (zsmalloc_get()) {
		test(m, true, "zsmalloc: names # SKIP this kernel has none");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		/* kmem_cache_create() warns of these then. */
		if (IS_ENABLED(CONFIG_DEBUG_VM) &&
		    (i == 1 || strchr(names[i], ' ')))
			continue;
		pool[i] = zs.create(names[i]);
		if (pool[i])
			handle[i] = zsmalloc_alloc(pool[i], 1000);
		test(m, handle[i], "zsmalloc: %s pool called \"%s\"",
		     i == 1 ? "another" : "a", names[i]);
	}
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (handle[i])
			zs.free(pool[i], handle[i]);
		if (pool[i])
			zs.destroy(pool[i]);
	}
	zsmalloc_put();
}
TEST_FILE(zsmalloc, test_zsmalloc);

void compare_init(struct dentry *dir)
{
	debugfs_create_file("compare", 0600, dir, NULL, &compare_fops);
	debugfs_create_file("zsmalloc", 0400, dir, NULL, &zsmalloc_fops);
}

void compare_exit(void)
{
	compare_end();
}
