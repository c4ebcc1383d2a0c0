// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of range.c: do the ranges sent cover the blocks held, exactly?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "range.c"

#define BLOCK	512UL

static struct balloon_ranges r;

static int setup(void **state)
{
	memset(&r, 0x5a, sizeof(r));
	r.nr = 0;
	return 0;
}

static void is_range(unsigned int i, unsigned long pfn, unsigned long nr_pages)
{
	assert_true(i < r.nr);
	assert_int_equal(r.range[i].pfn, pfn);
	assert_int_equal(r.range[i].nr_pages, nr_pages);
}

static void first_block(void **state)
{
	assert_true(balloon_ranges_add(&r, 7 * BLOCK, BLOCK));
	assert_int_equal(r.nr, 1);
	is_range(0, 7 * BLOCK, BLOCK);
}

static void block_zero(void **state)
{
	assert_true(balloon_ranges_add(&r, 0, BLOCK));
	assert_true(balloon_ranges_add(&r, BLOCK, BLOCK));
	assert_int_equal(r.nr, 1);
	is_range(0, 0, 2 * BLOCK);
}

static void neighbours_are_one_range(void **state)
{
	for (unsigned long i = 10; i < 20; i++)
		assert_true(balloon_ranges_add(&r, i * BLOCK, BLOCK));
	assert_int_equal(r.nr, 1);
	is_range(0, 10 * BLOCK, 10 * BLOCK);
}

static void a_gap_begins_a_new_range(void **state)
{
	assert_true(balloon_ranges_add(&r, 1 * BLOCK, BLOCK));
	assert_true(balloon_ranges_add(&r, 3 * BLOCK, BLOCK));
	assert_true(balloon_ranges_add(&r, 4 * BLOCK, BLOCK));
	assert_int_equal(r.nr, 2);
	is_range(0, 1 * BLOCK, BLOCK);
	is_range(1, 3 * BLOCK, 2 * BLOCK);
}

static void unsorted_blocks_are_not_merged(void **state)
{
	/* The block below the last range, and the same one again. */
	assert_true(balloon_ranges_add(&r, 5 * BLOCK, BLOCK));
	assert_true(balloon_ranges_add(&r, 4 * BLOCK, BLOCK));
	assert_true(balloon_ranges_add(&r, 4 * BLOCK, BLOCK));
	assert_int_equal(r.nr, 3);
	is_range(0, 5 * BLOCK, BLOCK);
	is_range(1, 4 * BLOCK, BLOCK);
	is_range(2, 4 * BLOCK, BLOCK);
}

static void only_the_last_range_grows(void **state)
{
	assert_true(balloon_ranges_add(&r, 1 * BLOCK, BLOCK));
	assert_true(balloon_ranges_add(&r, 9 * BLOCK, BLOCK));
	assert_true(balloon_ranges_add(&r, 2 * BLOCK, BLOCK));
	assert_int_equal(r.nr, 3);
	is_range(0, 1 * BLOCK, BLOCK);
}

static void a_length_fits_its_descriptor(void **state)
{
	unsigned long first = 3 * BLOCK;
	unsigned long nr = BALLOON_RANGE_PAGES_MAX / BLOCK;

	/* In bytes, 32 bits wide. */
	assert_in_range(BALLOON_RANGE_PAGES_MAX, 1, UINT32_MAX >> 12);

	for (unsigned long i = 0; i < nr; i++)
		assert_true(balloon_ranges_add(&r, first + i * BLOCK, BLOCK));
	assert_int_equal(r.nr, 1);
	is_range(0, first, BALLOON_RANGE_PAGES_MAX);
	assert_true(balloon_ranges_add(&r, first + nr * BLOCK, BLOCK));
	assert_int_equal(r.nr, 2);
	is_range(0, first, BALLOON_RANGE_PAGES_MAX);
	is_range(1, first + nr * BLOCK, BLOCK);
}

static void a_full_buffer_is_left_alone(void **state)
{
	struct balloon_ranges before;

	for (unsigned long i = 0; i < BALLOON_RANGES_MAX; i++)
		assert_true(balloon_ranges_add(&r, 2 * i * BLOCK, BLOCK));
	assert_int_equal(r.nr, BALLOON_RANGES_MAX);
	before = r;
	assert_false(balloon_ranges_add(&r, 1000 * BLOCK, BLOCK));
	assert_memory_equal(&r, &before, sizeof(r));

	/* The last one may still grow. */
	assert_true(balloon_ranges_add(&r, (2 * BALLOON_RANGES_MAX - 1) * BLOCK,
				       BLOCK));
	assert_int_equal(r.nr, BALLOON_RANGES_MAX);
	is_range(BALLOON_RANGES_MAX - 1, (2 * BALLOON_RANGES_MAX - 2) * BLOCK,
		 2 * BLOCK);
}

/* Random blocks in order, sent as blocks.c does it: nothing lost or added. */
static void random_blocks(void **state)
{
	enum { MAX = 4096 };
	static unsigned char held[MAX], sent[MAX];

	srandom(1);
	for (int round = 0; round < 500; round++) {
		int density = 1 + random() % 15;
		unsigned int runs = 0, ranges = 0;

		memset(held, 0, sizeof(held));
		memset(sent, 0, sizeof(sent));
		for (unsigned long b = 0; b < MAX; b++) {
			held[b] = random() % 16 < density;
			runs += held[b] && (!b || !held[b - 1]);
		}

		r.nr = 0;
		for (unsigned long b = 0; b <= MAX; b++) {
			if (b < MAX && !held[b])
				continue;
			if (b < MAX && balloon_ranges_add(&r, b * BLOCK, BLOCK))
				continue;
			for (unsigned int i = 0; i < r.nr; i++) {
				struct balloon_range *range = &r.range[i];

				assert_true(range->nr_pages);
				assert_true(range->nr_pages <=
					    BALLOON_RANGE_PAGES_MAX);
				assert_int_equal(range->pfn % BLOCK, 0);
				assert_int_equal(range->nr_pages % BLOCK, 0);
				for (unsigned long p = 0; p < range->nr_pages;
				     p += BLOCK)
					sent[(range->pfn + p) / BLOCK]++;
			}
			ranges += r.nr;
			r.nr = 0;
			if (b < MAX)
				assert_true(balloon_ranges_add(&r, b * BLOCK,
							       BLOCK));
		}
		assert_memory_equal(sent, held, sizeof(held));
		/* As few as there are runs; a long run takes several. */
		assert_true(ranges >= runs);
		assert_true(ranges <= runs + MAX * BLOCK /
			    BALLOON_RANGE_PAGES_MAX);
	}
}

#define test(f)	cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(first_block),
		test(block_zero),
		test(neighbours_are_one_range),
		test(a_gap_begins_a_new_range),
		test(unsorted_blocks_are_not_merged),
		test(only_the_last_range_grows),
		test(a_length_fits_its_descriptor),
		test(a_full_buffer_is_left_alone),
		test(random_blocks),
	};

	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
