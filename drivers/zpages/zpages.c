// SPDX-License-Identifier: GPL-2.0
/*
 * zpages - compressed objects, packed on pages that can be migrated
 *
 * Objects of about the same size are a class and share zspages: a few single
 * pages that need not be neighbours, on which the objects lie one after the
 * other, also across the border of two pages (see class.c).
 *
 * A handle is a small structure of its own that says in which zspage the
 * object is and where; the zspage says which page is which. So there are two
 * kinds of movement, and neither knows of the other:
 *
 *  - A page is migrated: its bytes are copied and the zspage has another page.
 *    No handle is touched, whatever is on the page.
 *  - Compaction of the pool moves objects from sparse zspages to fuller ones
 *    of their class, and frees the pages that are then empty. Only handles
 *    change.
 *
 * An object has an address only while it is mapped; that pins it, and the one
 * or two pages it is on, and nothing else.
 *
 * Locking: one spinlock for each class of a pool covers all of it, copying
 * included. Migration comes with the page locked: page lock, then class lock.
 * Freeing a page needs the page lock within the class lock and only tries; if
 * the page is just being migrated, a work item waits for it. Nothing is
 * allocated under the class lock, so that any allocation may enter migration or
 * the shrinker.
 *
 * Migration of a page of an empty zspage that is still waiting to be freed is
 * nothing special. No driver_page_ops.isolate is needed: an isolated page is
 * used as ever until its bytes are copied.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <ballast/driver_pages.h>
#include "zpages.h"

/*
 * How long migration waits for a mapped object. The page is locked meanwhile,
 * and who has it mapped may be waiting for memory.
 */
#define UNPIN_LIGHT	(HZ / 50)
#define UNPIN_SYNC	(HZ / 10)

/*
 * Pages always have an address: where there is highmem, it is not for them.
 * The movable zone is part of it by its flags.
 */
#define ZPAGES_MOVABLE	(__GFP_MOVABLE | \
			 (IS_ENABLED(CONFIG_HIGHMEM) ? 0 : __GFP_HIGHMEM))

struct zpages_classes zpages_classes;
EXPORT_SYMBOL_NS_GPL(zpages_classes, ZPAGES_TEST);

static struct kmem_cache *zpages_objects;

static struct zspage *zspage_of(struct page *page)
{
	return (struct zspage *)page_private(page);
}

static gfp_t gfp_plain(gfp_t gfp)
{
	return gfp & ~(__GFP_MOVABLE | __GFP_HIGHMEM);
}

/*
 * Frees an empty zspage that is in no group. Class lock held, so that no page
 * is replaced meanwhile. Returns NULL, or a page that is locked by somebody,
 * and the rest is still to be done.
 */
static struct page *zspage_release(struct zspage *zs)
{
	struct page *page;
	u32 i;

	for (i = 0; i < zs->class->shape->pages; i++) {
		page = zs->page[i].page;
		if (!page)
			continue;
		/* -ENOENT: it never was marked. */
		if (driver_pages_unmark(zs->class->pool->mapping, page) ==
		    -EAGAIN)
			return page;
		zs->page[i].page = NULL;
		set_page_private(page, 0);
		__free_page(page);
		atomic_long_dec(&zs->class->pool->pages);
	}
	kfree(zs);
	return NULL;
}

/* The same, without the lock: waits for the pages. */
static void zspage_release_wait(struct zspage *zs)
{
	struct zpages_class *class = zs->class;
	struct page *page;

	for (;;) {
		spin_lock(&class->lock);
		page = zspage_release(zs);
		if (page)
			get_page(page);
		spin_unlock(&class->lock);
		if (!page)
			return;
		wait_on_page_locked(page);
		put_page(page);
	}
}

static void zpages_release_work(struct work_struct *work)
{
	struct zpages_pool *pool = container_of(work, struct zpages_pool,
						release_work);
	struct zspage *zs, *next;

	llist_for_each_entry_safe(zs, next, llist_del_all(&pool->release),
				  release) {
		zspage_release_wait(zs);
		cond_resched();
	}
}

/* The same, with the lock held, now or later. */
static void zspage_release_soon(struct zspage *zs)
{
	struct zpages_pool *pool = zs->class->pool;

	if (zspage_release(zs) && llist_add(&zs->release, &pool->release))
		queue_work(system_unbound_wq, &pool->release_work);
}

static size_t zspage_size(const struct zpages_shape *shape)
{
	return sizeof(struct zspage) +
	       shape->pages * sizeof(struct zpages_page) +
	       shape->objects * sizeof(struct zpages_object *);
}

static struct zspage *zspage_create(struct zpages_class *class, gfp_t gfp)
{
	const struct zpages_shape *shape = class->shape;
	struct zspage *zs;
	u32 i;

	zs = kzalloc(zspage_size(shape), gfp_plain(gfp));
	if (!zs)
		return NULL;
	zs->class = class;
	zs->object = (struct zpages_object **)&zs->page[shape->pages];
	INIT_LIST_HEAD(&zs->node);
	for (i = 0; i < shape->pages; i++) {
		struct page *page = alloc_page(gfp | ZPAGES_MOVABLE);

		if (!page)
			goto fail;
		set_page_private(page, (unsigned long)zs);
		zs->page[i].page = page;
		atomic_long_inc(&class->pool->pages);
	}
	/*
	 * From its mark on a page may be replaced by another one in zs->page.
	 * A page that can't be marked would pin its pageblock: better none.
	 */
	for (i = 0; i < shape->pages; i++)
		if (driver_pages_mark(class->pool->mapping, zs->page[i].page))
			goto fail;
	return zs;

fail:
	spin_lock(&class->lock);
	zspage_release_soon(zs);
	spin_unlock(&class->lock);
	return NULL;
}

/* What follows has the class lock held. */

/* The fullest zspage with room, and the emptiest one. */
static struct zspage *class_fullest(struct zpages_class *class)
{
	int group;

	for (group = ZPAGES_FULL - 1; group >= 0; group--)
		if (!list_empty(&class->group[group]))
			return list_first_entry(&class->group[group],
						struct zspage, node);
	return NULL;
}

static struct zspage *class_emptiest(struct zpages_class *class)
{
	int group;

	for (group = 0; group < ZPAGES_FULL; group++)
		if (!list_empty(&class->group[group]))
			return list_first_entry(&class->group[group],
						struct zspage, node);
	return NULL;
}

/* Pages that compaction of the class could free, if nothing is mapped. */
static unsigned long class_compactible(struct zpages_class *class)
{
	unsigned long room = class->zspages * class->shape->objects;

	return (room - class->objects) / class->shape->objects *
	       class->shape->pages;
}

static void zspage_regroup(struct zspage *zs)
{
	u32 group = zpages_fullness(zs->used, zs->class->shape->objects);

	list_move_tail(&zs->node, &zs->class->group[group]);
}

static void zspage_add(struct zspage *zs, struct zpages_object *object)
{
	u32 idx = 0;

	while (zs->object[idx])
		idx++;
	zs->object[idx] = object;
	zs->used++;
	object->zspage = zs;
	object->idx = idx;
}

static void zspage_remove(struct zspage *zs, u32 idx)
{
	zs->object[idx] = NULL;
	zs->used--;
}

/* Where an object of this size at this place is, and on which page. */
static u32 zspage_map(struct zspage *zs, u32 idx, size_t size,
		      struct zpages_map *map)
{
	u32 first = zpages_first_page(zs->class->shape, idx);
	u32 offset = zpages_offset(zs->class->shape, idx);

	map->part[0] = page_address(zs->page[first].page) + offset;
	map->len[0] = min(size, PAGE_SIZE - offset);
	map->len[1] = size - map->len[0];
	map->part[1] = map->len[1] ? page_address(zs->page[first + 1].page) :
				     NULL;
	return first;
}

static void zspage_move(struct zspage *to, struct zspage *from, u32 idx)
{
	struct zpages_object *object = from->object[idx];
	struct zpages_map src, dst;
	size_t n, i = 0, j = 0;

	zspage_map(from, idx, object->size, &src);
	zspage_remove(from, idx);
	zspage_add(to, object);
	zspage_map(to, object->idx, object->size, &dst);

	/* Each of the two may be in two parts. */
	while (i < 2 && src.len[i]) {
		n = min(src.len[i], dst.len[j]);
		memcpy(dst.part[j], src.part[i], n);
		src.part[i] += n;
		src.len[i] -= n;
		dst.part[j] += n;
		dst.len[j] -= n;
		i += !src.len[i];
		j += !dst.len[j];
	}
}

/* Empties the zspage, which is in no group, as far as nothing is mapped. */
static void zspage_drain(struct zspage *from)
{
	struct zpages_class *class = from->class;
	struct zspage *to;
	u32 idx;

	for (idx = 0; idx < class->shape->objects; idx++) {
		if (!from->object[idx] || from->object[idx]->maps)
			continue;
		to = class_fullest(class);
		if (!to)
			return;
		zspage_move(to, from, idx);
		zspage_regroup(to);
		class->moved++;
	}
}

/* The lock may be dropped now and then. Returns the pages freed. */
static unsigned long class_compact(struct zpages_class *class)
{
	unsigned long tries = class->zspages, freed = 0;
	struct zspage *zs;

	while (tries-- && class_compactible(class)) {
		zs = class_emptiest(class);
		if (!zs)
			break;
		list_del_init(&zs->node);
		zspage_drain(zs);
		if (zs->used) {
			zspage_regroup(zs);
		} else {
			class->zspages--;
			freed += class->shape->pages;
			zspage_release_soon(zs);
		}
		cond_resched_lock(&class->lock);
	}
	class->freed += freed;
	return freed;
}

/* Up to here. */

static unsigned long zpages_compact_some(struct zpages_pool *pool,
					 unsigned long most)
{
	unsigned long freed = 0;
	u32 i;

	for (i = 0; i < zpages_classes.nr && freed < most; i++) {
		struct zpages_class *class = &pool->class[i];

		spin_lock(&class->lock);
		freed += class_compact(class);
		spin_unlock(&class->lock);
		cond_resched();
	}
	return freed;
}

/**
 * zpages_compact() - free the pages that sparse objects keep
 * @pool: the pool
 *
 * Moves objects that are not mapped. The pool does so itself when memory is
 * short.
 *
 * Context: Process context, may sleep.
 * Return: how many pages were freed.
 */
unsigned long zpages_compact(struct zpages_pool *pool)
{
	return zpages_compact_some(pool, ULONG_MAX);
}
EXPORT_SYMBOL_GPL(zpages_compact);

static unsigned long zpages_shrink_count(struct shrinker *shrinker,
					 struct shrink_control *sc)
{
	struct zpages_pool *pool = shrinker->private_data;
	unsigned long pages = 0;
	u32 i;

	for (i = 0; i < zpages_classes.nr; i++) {
		struct zpages_class *class = &pool->class[i];

		spin_lock(&class->lock);
		pages += class_compactible(class);
		spin_unlock(&class->lock);
	}
	return pages ?: SHRINK_EMPTY;
}

static unsigned long zpages_shrink_scan(struct shrinker *shrinker,
					struct shrink_control *sc)
{
	return zpages_compact_some(shrinker->private_data, sc->nr_to_scan) ?:
	       SHRINK_STOP;
}

/**
 * zpages_alloc() - allocate an object
 * @pool: the pool
 * @size: bytes, 1 to PAGE_SIZE
 * @gfp: how memory may be had for it; zone modifiers are of no effect
 *
 * What is in a new object is undefined.
 *
 * Context: Not from interrupts. Sleeps if @gfp says so.
 * Return: the object's handle, or an ERR_PTR(): -EINVAL for size 0, -ENOSPC
 * for one beyond PAGE_SIZE, -ENOMEM.
 */
struct zpages_object *zpages_alloc(struct zpages_pool *pool, size_t size,
				   gfp_t gfp)
{
	struct zpages_object *object;
	struct zpages_class *class;
	struct zspage *zs;

	if (!size)
		return ERR_PTR(-EINVAL);
	if (size > PAGE_SIZE)
		return ERR_PTR(-ENOSPC);

	object = kmem_cache_alloc(zpages_objects, gfp_plain(gfp));
	if (!object)
		return ERR_PTR(-ENOMEM);
	object->size = size;
	object->maps = 0;
	object->class = zpages_classes.of[zpages_size_step(size)];
	class = &pool->class[object->class];

	spin_lock(&class->lock);
	zs = class_fullest(class);
	if (!zs) {
		spin_unlock(&class->lock);
		zs = zspage_create(class, gfp);
		if (!zs) {
			kmem_cache_free(zpages_objects, object);
			return ERR_PTR(-ENOMEM);
		}
		spin_lock(&class->lock);
		class->zspages++;
	}
	zspage_add(zs, object);
	zspage_regroup(zs);
	class->objects++;
	class->bytes += size;
	spin_unlock(&class->lock);
	return object;
}
EXPORT_SYMBOL_GPL(zpages_alloc);

/**
 * zpages_free() - free an object
 * @pool: the pool it was allocated from
 * @object: its handle; NULL is fine, and nothing happens
 *
 * Context: Any but interrupts; does not sleep.
 * Return: 0, or -EBUSY if the object is mapped: it then stays as it is.
 */
int zpages_free(struct zpages_pool *pool, struct zpages_object *object)
{
	struct zpages_class *class;
	struct zspage *zs;

	if (!object)
		return 0;
	class = &pool->class[object->class];

	spin_lock(&class->lock);
	if (object->maps) {
		spin_unlock(&class->lock);
		return -EBUSY;
	}
	zs = object->zspage;
	zspage_remove(zs, object->idx);
	class->objects--;
	class->bytes -= object->size;
	if (zs->used) {
		zspage_regroup(zs);
	} else {
		list_del_init(&zs->node);
		class->zspages--;
		zspage_release_soon(zs);
	}
	spin_unlock(&class->lock);
	kmem_cache_free(zpages_objects, object);
	return 0;
}
EXPORT_SYMBOL_GPL(zpages_free);

/**
 * zpages_map() - map an object, to read or to write it
 * @pool: the pool it was allocated from
 * @object: its handle
 * @mode: what for
 * @map: where the object is, until zpages_unmap()
 *
 * The object and the pages it is on stay where they are meanwhile, so it should
 * not be for long, and without waiting for memory: who makes room may wait for
 * this object. Other objects of the same pages don't matter.
 *
 * Context: Any but interrupts; does not sleep. The caller may sleep until it
 * unmaps the object.
 * Return: 0, -EINVAL if @object is NULL, or -EBUSY if it is mapped and one of
 * the two is for writing.
 */
int zpages_map(struct zpages_pool *pool, struct zpages_object *object,
	       enum zpages_mode mode, struct zpages_map *map)
{
	struct zpages_class *class;
	u32 first;

	if (!object)
		return -EINVAL;
	class = &pool->class[object->class];

	guard(spinlock)(&class->lock);
	if (mode == ZPAGES_WRITE ? object->maps :
	    object->maps < 0 || object->maps == S16_MAX)
		return -EBUSY;
	object->maps = mode == ZPAGES_WRITE ? -1 : object->maps + 1;
	first = zspage_map(object->zspage, object->idx, object->size, map);
	object->zspage->page[first].pins++;
	if (map->len[1])
		object->zspage->page[first + 1].pins++;
	return 0;
}
EXPORT_SYMBOL_GPL(zpages_map);

/**
 * zpages_unmap() - undo zpages_map()
 * @pool: the pool it was allocated from
 * @object: its handle
 *
 * Context: Any but interrupts; does not sleep.
 * Return: 0, or -EINVAL if @object is NULL or not mapped.
 */
int zpages_unmap(struct zpages_pool *pool, struct zpages_object *object)
{
	struct zpages_class *class;
	struct zpages_map map;
	struct zspage *zs;
	bool last;
	u32 first;

	if (!object)
		return -EINVAL;
	class = &pool->class[object->class];

	spin_lock(&class->lock);
	if (!object->maps) {
		spin_unlock(&class->lock);
		return -EINVAL;
	}
	zs = object->zspage;
	object->maps = object->maps < 0 ? 0 : object->maps - 1;
	first = zspage_map(zs, object->idx, object->size, &map);
	last = !--zs->page[first].pins;
	if (map.len[1])
		last |= !--zs->page[first + 1].pins;
	spin_unlock(&class->lock);
	if (last && wq_has_sleeper(&pool->unpinned))
		wake_up_all(&pool->unpinned);
	return 0;
}
EXPORT_SYMBOL_GPL(zpages_unmap);

/**
 * zpages_pages() - how many pages a pool has
 * @pool: the pool
 *
 * Context: Any.
 * Return: the number, those included that are about to be freed.
 */
unsigned long zpages_pages(struct zpages_pool *pool)
{
	return atomic_long_read(&pool->pages);
}
EXPORT_SYMBOL_GPL(zpages_pages);

/**
 * zpages_stats() - what a pool holds
 * @pool: the pool
 * @stats: the sums of all classes
 *
 * Context: Any but interrupts; does not sleep.
 */
void zpages_stats(struct zpages_pool *pool, struct zpages_stats *stats)
{
	u32 i;

	memset(stats, 0, sizeof(*stats));
	stats->pages = zpages_pages(pool);
	for (i = 0; i < zpages_classes.nr; i++) {
		struct zpages_class *class = &pool->class[i];
		size_t size = zspage_size(class->shape);

		spin_lock(&class->lock);
		stats->objects += class->objects;
		stats->bytes += class->bytes;
		stats->overhead += class->zspages * kmalloc_size_roundup(size) +
				   class->objects * sizeof(struct zpages_object);
		stats->migrated += class->migrated;
		stats->moved += class->moved;
		stats->freed += class->freed;
		spin_unlock(&class->lock);
	}
}
EXPORT_SYMBOL_GPL(zpages_stats);

/* Both pages are locked, so that the zspage can't be freed. */
static int zpages_migrate(struct address_space *mapping, struct page *dst,
			  struct page *src, enum migrate_mode mode)
{
	struct zpages_pool *pool = driver_pages_private(mapping);
	struct zspage *zs = zspage_of(src);
	struct zpages_class *class = zs->class;
	long wait = mode == MIGRATE_ASYNC ? 0 :
		    mode == MIGRATE_SYNC_LIGHT ? UNPIN_LIGHT : UNPIN_SYNC;
	struct zpages_page *page = zs->page;

	spin_lock(&class->lock);
	while (page->page != src)
		page++;
	if (page->pins && wait) {
		spin_unlock(&class->lock);
		wait_event_timeout(pool->unpinned, !READ_ONCE(page->pins),
				   wait);
		spin_lock(&class->lock);
	}
	if (page->pins) {
		class->busy++;
		spin_unlock(&class->lock);
		return -EAGAIN;
	}
	copy_highpage(dst, src);
	set_page_private(dst, (unsigned long)zs);
	set_page_private(src, 0);
	page->page = dst;
	class->migrated++;
	spin_unlock(&class->lock);
	return 0;
}

static const struct driver_page_ops zpages_ops = {
	.migrate = zpages_migrate,
};

/**
 * zpages_create() - make a pool
 * @name: for debugfs; "zpages-" and this is the name of its mapping, see
 *	driver_pages_register()
 *
 * Context: Process context, may sleep.
 * Return: the pool, or an ERR_PTR(): -ENOMEM, or what driver_pages_register()
 * says, -EEXIST for a name that is taken, for example.
 */
struct zpages_pool *zpages_create(const char *name)
{
	struct zpages_pool *pool;
	char *mapping;
	int err = -ENOMEM;
	u32 i, group;

	pool = kvzalloc(struct_size(pool, class, zpages_classes.nr),
			GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	init_waitqueue_head(&pool->unpinned);
	init_llist_head(&pool->release);
	INIT_WORK(&pool->release_work, zpages_release_work);
	for (i = 0; i < zpages_classes.nr; i++) {
		struct zpages_class *class = &pool->class[i];

		class->pool = pool;
		class->shape = &zpages_classes.shape[i];
		spin_lock_init(&class->lock);
		for (group = 0; group < ZPAGES_GROUPS; group++)
			INIT_LIST_HEAD(&class->group[group]);
	}

	pool->name = kstrdup(name, GFP_KERNEL);
	mapping = kasprintf(GFP_KERNEL, "zpages-%s", name);
	pool->shrinker = shrinker_alloc(0, "zpages-%s", name);
	if (!pool->name || !mapping || !pool->shrinker)
		goto fail;
	pool->mapping = driver_pages_register(mapping, &zpages_ops, pool);
	if (IS_ERR(pool->mapping)) {
		err = PTR_ERR(pool->mapping);
		goto fail;
	}
	kfree(mapping);

	pool->shrinker->count_objects = zpages_shrink_count;
	pool->shrinker->scan_objects = zpages_shrink_scan;
	pool->shrinker->private_data = pool;
	shrinker_register(pool->shrinker);
	zpages_debugfs_add(pool);
	return pool;

fail:
	shrinker_free(pool->shrinker);
	kfree(mapping);
	kfree(pool->name);
	kvfree(pool);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(zpages_create);

/* All that is left in a class, objects included. Nothing is migrated now. */
static unsigned long class_empty(struct zpages_class *class)
{
	unsigned long lost = 0;
	struct zspage *zs, *next;
	u32 group, idx;

	for (group = 0; group < ZPAGES_GROUPS; group++) {
		list_for_each_entry_safe(zs, next, &class->group[group], node) {
			for (idx = 0; idx < class->shape->objects; idx++) {
				if (!zs->object[idx])
					continue;
				kmem_cache_free(zpages_objects,
						zs->object[idx]);
				lost++;
			}
			zspage_release_wait(zs);
		}
	}
	return lost;
}

/**
 * zpages_destroy() - destroy a pool
 * @pool: the pool; nobody uses it any more
 *
 * Objects that were not freed are freed, with a line in the log that says how
 * many there were: their owner has forgotten them.
 *
 * Context: Process context, may sleep.
 */
void zpages_destroy(struct zpages_pool *pool)
{
	unsigned long lost = 0;
	u32 i;

	debugfs_remove(pool->debugfs);
	shrinker_free(pool->shrinker);
	driver_pages_stop(pool->mapping);
	flush_work(&pool->release_work);
	for (i = 0; i < zpages_classes.nr; i++)
		lost += class_empty(&pool->class[i]);
	if (lost)
		pr_err("pool %s destroyed with %lu objects in it\n",
		       pool->name, lost);
	driver_pages_unregister(pool->mapping);
	kfree(pool->name);
	kvfree(pool);
}
EXPORT_SYMBOL_GPL(zpages_destroy);

static int __init zpages_init(void)
{
	zpages_classes_init(&zpages_classes);
	zpages_objects = KMEM_CACHE(zpages_object, 0);
	if (!zpages_objects)
		return -ENOMEM;
	zpages_debugfs_init();
	zpages_zpool_init();
	return 0;
}

static void __exit zpages_exit(void)
{
	zpages_zpool_exit();
	zpages_debugfs_exit();
	kmem_cache_destroy(zpages_objects);
}

module_init(zpages_init);
module_exit(zpages_exit);
MODULE_DESCRIPTION("Compressed objects on pages that can be migrated");
MODULE_LICENSE("GPL");
