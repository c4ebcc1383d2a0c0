// SPDX-License-Identifier: GPL-2.0
#include "class.h"

/* Waste up to a 64th of a zspage is taken for the sake of fewer pages. */
#define WASTE_LITTLE	64

/**
 * zpages_shape() - the best shape for objects of a size
 * @size: bytes, a multiple of ZPAGES_STEP, ZPAGES_MIN_SIZE to PAGE_SIZE
 *
 * A zspage is freed when its last object is, so that few pages are better than
 * many: the fewest pages that waste little, else those that waste the least
 * for each page.
 *
 * Return: the shape.
 */
struct zpages_shape zpages_shape(u32 size)
{
	struct zpages_shape best = { .size = size };
	u32 pages, least = 0;

	for (pages = 1; pages <= ZPAGES_MAX_PAGES; pages++) {
		u32 waste = (pages * PAGE_SIZE) % size;

		if (best.pages && waste * best.pages >= least * pages)
			continue;
		least = waste;
		best.pages = pages;
		best.objects = pages * PAGE_SIZE / size;
		if (waste * WASTE_LITTLE <= pages * PAGE_SIZE)
			break;
	}
	return best;
}

/**
 * zpages_classes_init() - work out the size classes
 * @classes: the table to fill in
 *
 * Sizes of which the same number fits on the same number of pages are one
 * class, that of the largest of them: smaller ones would gain nothing.
 */
void zpages_classes_init(struct zpages_classes *classes)
{
	struct zpages_shape *last = NULL;
	u32 size;

	classes->nr = 0;
	for (size = PAGE_SIZE; size >= ZPAGES_MIN_SIZE; size -= ZPAGES_STEP) {
		struct zpages_shape shape = zpages_shape(size);

		if (!last || shape.pages != last->pages ||
		    shape.objects != last->objects) {
			last = &classes->shape[classes->nr++];
			*last = shape;
		}
		classes->of[zpages_size_step(size)] = classes->nr - 1;
	}
	for (; size; size -= ZPAGES_STEP)
		classes->of[zpages_size_step(size)] = classes->nr - 1;
}

/**
 * zpages_fullness() - the group of a zspage
 * @used: its objects in use
 * @objects: those there is room for
 *
 * Return: the quarter, 0 to 3, or ZPAGES_FULL.
 */
u32 zpages_fullness(u32 used, u32 objects)
{
	return used * ZPAGES_FULL / objects;
}
