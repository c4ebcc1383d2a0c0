/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Size classes: how objects of a size lie on pages. No kernel calls in here, so
 * that the same code runs in the unit tests.
 */
#ifndef _ZPAGES_CLASS_H
#define _ZPAGES_CLASS_H

#ifdef __KERNEL__
#include <linux/mm.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
#ifndef PAGE_SHIFT
#define PAGE_SHIFT	12
#endif
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#endif

/* Sizes are rounded up to a multiple of this, 16 bytes with pages of 4 KiB. */
#define ZPAGES_STEP		(PAGE_SIZE >> 8)
/* Nothing is smaller than this, so that a zspage has few enough objects. */
#define ZPAGES_MIN_SIZE		(2 * ZPAGES_STEP)
/* No zspage has more pages or objects. */
#define ZPAGES_MAX_PAGES	8
#define ZPAGES_MAX_OBJECTS	128
#define ZPAGES_MAX_CLASSES	255

/**
 * struct zpages_shape - how a zspage is divided into objects
 * @size: bytes that an object may have, a multiple of ZPAGES_STEP
 * @pages: pages of a zspage
 * @objects: objects of a zspage; they lie one after the other from its first
 *	byte on, and may cross from one page to the next
 */
struct zpages_shape {
	u32 size;
	u16 pages;
	u16 objects;
};

/**
 * struct zpages_classes - all the size classes there are
 * @nr: how many
 * @shape: their shapes, the largest objects first
 * @of: the class of objects of a size, by zpages_size_step()
 */
struct zpages_classes {
	u32 nr;
	struct zpages_shape shape[ZPAGES_MAX_CLASSES];
	u8 of[256];
};

/*
 * How full a zspage is, in quarters; the last group is of the full ones.
 */
#define ZPAGES_GROUPS	5
#define ZPAGES_FULL	(ZPAGES_GROUPS - 1)

struct zpages_shape zpages_shape(u32 size);
void zpages_classes_init(struct zpages_classes *classes);
u32 zpages_fullness(u32 used, u32 objects);

/**
 * zpages_size_step() - index of a size in &zpages_classes.of
 * @size: bytes, 1 to PAGE_SIZE
 *
 * Return: 0 to 255.
 */
static inline u32 zpages_size_step(u32 size)
{
	return (size - 1) / ZPAGES_STEP;
}

/**
 * zpages_first_page() - the page on which an object begins
 * @shape: of the zspage
 * @idx: the object's number in the zspage
 *
 * Return: the page's number in the zspage.
 */
static inline u32 zpages_first_page(const struct zpages_shape *shape, u32 idx)
{
	return (shape->size * idx) / PAGE_SIZE;
}

/**
 * zpages_offset() - where on its first page an object begins
 * @shape: of the zspage
 * @idx: the object's number in the zspage
 *
 * Return: the offset in bytes.
 */
static inline u32 zpages_offset(const struct zpages_shape *shape, u32 idx)
{
	return (shape->size * idx) % PAGE_SIZE;
}

#endif /* _ZPAGES_CLASS_H */
