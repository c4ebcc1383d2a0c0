// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of class.c: does every size find room, and how much is wasted?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "class.c"

static struct zpages_classes classes;

static int init(void **state)
{
	memset(&classes, 0xff, sizeof(classes));
	zpages_classes_init(&classes);
	return 0;
}

static const struct zpages_shape *of(u32 size)
{
	return &classes.shape[classes.of[zpages_size_step(size)]];
}

static u32 waste(const struct zpages_shape *s, u32 size)
{
	return s->pages * PAGE_SIZE - s->objects * size;
}

static void every_size_has_a_class(void **state)
{
	for (u32 size = 1; size <= PAGE_SIZE; size++) {
		assert_in_range(zpages_size_step(size), 0, 255);
		assert_in_range(classes.of[zpages_size_step(size)], 0,
				classes.nr - 1);
		assert_true(of(size)->size >= size);
		/* The next class would be too small for it. */
		if (of(size) + 1 < classes.shape + classes.nr)
			assert_true(of(size)[1].size < size);
	}
	assert_int_equal(of(1)->size, of(ZPAGES_MIN_SIZE)->size);
	assert_int_equal(of(PAGE_SIZE)->size, PAGE_SIZE);
	assert_int_equal(of(PAGE_SIZE)->pages, 1);
	assert_int_equal(of(PAGE_SIZE)->objects, 1);
}

static void classes_are_all_different(void **state)
{
	assert_in_range(classes.nr, 2, ZPAGES_MAX_CLASSES);
	for (u32 i = 1; i < classes.nr; i++) {
		assert_true(classes.shape[i].size < classes.shape[i - 1].size);
		assert_false(classes.shape[i].pages ==
			     classes.shape[i - 1].pages &&
			     classes.shape[i].objects ==
			     classes.shape[i - 1].objects);
	}
}

static void shapes_are_within_bounds(void **state)
{
	for (u32 i = 0; i < classes.nr; i++) {
		const struct zpages_shape *s = &classes.shape[i];

		assert_in_range(s->pages, 1, ZPAGES_MAX_PAGES);
		assert_in_range(s->objects, 1, ZPAGES_MAX_OBJECTS);
		assert_int_equal(s->size % ZPAGES_STEP, 0);
		assert_true(s->size * s->objects <= s->pages * PAGE_SIZE);
		/* And no further object would fit. */
		assert_true(waste(s, s->size) < s->size);
	}
}

/* No other number of pages is clearly better, nor as good and smaller. */
static void waste_is_the_least(void **state)
{
	for (u32 size = ZPAGES_MIN_SIZE; size <= PAGE_SIZE;
	     size += ZPAGES_STEP) {
		struct zpages_shape s = zpages_shape(size);
		u32 w = waste(&s, size);

		for (u32 p = 1; p <= ZPAGES_MAX_PAGES; p++) {
			u32 v = p * PAGE_SIZE % size;

			if (p < s.pages) {
				assert_true(v * s.pages > w * p);
				assert_true(v * WASTE_LITTLE > p * PAGE_SIZE);
			} else if (w * WASTE_LITTLE > s.pages * PAGE_SIZE) {
				assert_true(v * s.pages >= w * p);
			}
		}
	}
}

/* What a size pays for sharing a class, and for what is left of a zspage. */
static void little_is_lost(void **state)
{
	u32 lost = 0, total = 0;

	for (u32 size = ZPAGES_MIN_SIZE; size <= PAGE_SIZE; size++) {
		const struct zpages_shape *s = of(size);
		u32 room = s->pages * PAGE_SIZE / s->objects;

		lost += room - size;
		total += room;
		assert_true(room * 4 <= size * 5 + 4 * ZPAGES_STEP);
	}
	assert_true(lost * 20 < total);
}

static void objects_lie_one_after_the_other(void **state)
{
	for (u32 i = 0; i < classes.nr; i++) {
		const struct zpages_shape *s = &classes.shape[i];
		u32 at = 0;

		for (u32 idx = 0; idx < s->objects; idx++, at += s->size) {
			u32 page = zpages_first_page(s, idx);
			u32 off = zpages_offset(s, idx);

			assert_int_equal(page * PAGE_SIZE + off, at);
			assert_true(off < PAGE_SIZE);
			/* On one page or two, and those are there. */
			assert_true(off + s->size <= 2 * PAGE_SIZE);
			assert_true(page + (off + s->size > PAGE_SIZE) <
				    s->pages);
		}
	}
}

static void fullness_is_in_quarters(void **state)
{
	for (u32 n = 1; n <= ZPAGES_MAX_OBJECTS; n++) {
		assert_int_equal(zpages_fullness(n, n), ZPAGES_FULL);
		for (u32 used = 0; used < n; used++) {
			u32 group = zpages_fullness(used, n);

			assert_true(group < ZPAGES_FULL);
			assert_true(used * 4 >= group * n);
			assert_true(used * 4 < (group + 1) * n);
		}
	}
}

static void some_shapes_by_hand(void **state)
{
	struct zpages_shape s = zpages_shape(2048);

	assert_int_equal(s.pages, 1);
	assert_int_equal(s.objects, 2);
	/* 4 on 3 pages, without any waste. */
	s = zpages_shape(3072);
	assert_int_equal(s.pages, 3);
	assert_int_equal(s.objects, 4);
	/* 16 bytes of 4096 are little. */
	s = zpages_shape(48);
	assert_int_equal(s.pages, 1);
	assert_int_equal(s.objects, 85);
	/* 8 on 7 pages: 4 % less than a page for each. */
	s = zpages_shape(3584);
	assert_int_equal(s.pages, 7);
	assert_int_equal(s.objects, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_has_a_class),
		cmocka_unit_test(classes_are_all_different),
		cmocka_unit_test(shapes_are_within_bounds),
		cmocka_unit_test(waste_is_the_least),
		cmocka_unit_test(little_is_lost),
		cmocka_unit_test(objects_lie_one_after_the_other),
		cmocka_unit_test(fullness_is_in_quarters),
		cmocka_unit_test(some_shapes_by_hand),
	};

	return cmocka_run_group_tests_name("class", tests, init, NULL);
}
