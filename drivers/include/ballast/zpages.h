/* SPDX-License-Identifier: GPL-2.0 */
/*
 * zpages - compressed objects, packed on pages that can be migrated
 *
 * For many objects of odd sizes up to a page, compressed pages for example,
 * that are looked at now and then. An object has a handle, and an address only
 * while it is mapped: in between it may be moved to another page, by
 * compaction of memory or of the pool.
 *
 *	zpages_create()
 *	    zpages_alloc()
 *		zpages_map() - zpages_unmap()
 *	    zpages_free()
 *	zpages_destroy()
 */
#ifndef _BALLAST_ZPAGES_H
#define _BALLAST_ZPAGES_H

#include <linux/gfp_types.h>
#include <linux/types.h>

struct zpages_pool;

/* An object's handle. It stays the same wherever the object is moved. */
struct zpages_object;

/**
 * enum zpages_mode - what an object is mapped for
 * @ZPAGES_READ: others may read it, too
 * @ZPAGES_WRITE: nobody else has it mapped
 */
enum zpages_mode {
	ZPAGES_READ,
	ZPAGES_WRITE,
};

/**
 * struct zpages_map - where a mapped object is
 * @part: its first part, and its second one if it crosses to another page
 * @len: bytes of each part; they add up to the size it was allocated with
 */
struct zpages_map {
	void *part[2];
	size_t len[2];
};

/**
 * struct zpages_stats - what a pool holds, and what became of it
 * @objects: objects allocated
 * @bytes: their sizes, as asked for
 * @pages: pages they are on, as zpages_pages()
 * @overhead: bytes of other memory that the pool needs for them
 * @migrated: pages that were migrated
 * @moved: objects that compaction of the pool moved
 * @freed: pages that compaction of the pool freed
 */
struct zpages_stats {
	unsigned long objects;
	unsigned long bytes;
	unsigned long pages;
	unsigned long overhead;
	unsigned long migrated;
	unsigned long moved;
	unsigned long freed;
};

struct zpages_pool *zpages_create(const char *name);
void zpages_destroy(struct zpages_pool *pool);

struct zpages_object *zpages_alloc(struct zpages_pool *pool, size_t size,
				   gfp_t gfp);
int zpages_free(struct zpages_pool *pool, struct zpages_object *object);

int zpages_map(struct zpages_pool *pool, struct zpages_object *object,
	       enum zpages_mode mode, struct zpages_map *map);
int zpages_unmap(struct zpages_pool *pool, struct zpages_object *object);

unsigned long zpages_compact(struct zpages_pool *pool);
unsigned long zpages_pages(struct zpages_pool *pool);
void zpages_stats(struct zpages_pool *pool, struct zpages_stats *stats);

#endif /* _BALLAST_ZPAGES_H */
