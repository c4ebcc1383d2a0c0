// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of frag.c: do the indices say what the kernel's do, and what a
 * person would?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frag.c"

#define ORDER	9

static struct balloon_free f;

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	return 0;
}

/* The two definitions of mm/vmstat.c, in floating point. */
static double kernel_unusable(void)
{
	double pages = 0, usable = 0;

	for (int o = 0; o < NR_PAGE_ORDERS; o++) {
		pages += (double)f.nr[o] * (1 << o);
		usable += o >= ORDER ? (double)f.nr[o] * (1 << o) : 0;
	}
	return pages ? 1000 * (pages - usable) / pages : 1000;
}

static double kernel_frag(void)
{
	double pages = 0, areas = 0;

	for (int o = 0; o < NR_PAGE_ORDERS; o++) {
		pages += (double)f.nr[o] * (1 << o);
		areas += f.nr[o];
	}
	return areas ? 1000 - (1000 + pages * 1000 / (1 << ORDER)) / areas : 0;
}

static void nothing_free(void **state)
{
	assert_int_equal(balloon_free_blocks(&f, ORDER), 0);
	assert_int_equal(balloon_unusable_index(&f, ORDER), 1000);
	assert_int_equal(balloon_frag_index(&f, ORDER), 0);
}

static void whole_blocks(void **state)
{
	f.nr[ORDER] = 3;
	f.nr[ORDER + 1] = 5;
	assert_int_equal(balloon_free_blocks(&f, ORDER), 13);
	assert_int_equal(balloon_free_blocks(&f, ORDER + 1), 5);
	assert_int_equal(balloon_free_blocks(&f, 0), 13 << ORDER);
	assert_int_equal(balloon_unusable_index(&f, ORDER), 0);
	assert_int_equal(balloon_frag_index(&f, ORDER), BALLOON_FRAG_FITS);
}

static void single_pages(void **state)
{
	f.nr[0] = 100000;
	assert_int_equal(balloon_unusable_index(&f, ORDER), 1000);
	assert_in_range(balloon_frag_index(&f, ORDER), 990, 1000);
	assert_int_equal(balloon_unusable_index(&f, 0), 0);
	assert_int_equal(balloon_frag_index(&f, 0), BALLOON_FRAG_FITS);
}

static void half_and_half(void **state)
{
	f.nr[ORDER] = 10;
	f.nr[0] = 10 << ORDER;
	assert_int_equal(balloon_unusable_index(&f, ORDER), 500);
	assert_int_equal(balloon_frag_index(&f, ORDER), BALLOON_FRAG_FITS);
}

/* One area, almost large enough: what is missing is memory. */
static void want_of_memory(void **state)
{
	f.nr[ORDER - 1] = 1;
	assert_true(kernel_frag() < 0);
	assert_int_equal(balloon_frag_index(&f, ORDER), 0);
	assert_int_equal(balloon_unusable_index(&f, ORDER), 1000);
}

static void larger_pieces_are_less_fragmented(void **state)
{
	int last = 1001;

	for (int o = 0; o < ORDER; o++) {
		setup(NULL);
		f.nr[o] = 1UL << (16 - o);
		assert_true(balloon_frag_index(&f, ORDER) < last);
		last = balloon_frag_index(&f, ORDER);
	}
	assert_true(last < 500);
}

static void all_of_a_large_machine(void **state)
{
	/* 64 TiB, in each way. */
	f.nr[0] = 1UL << 34;
	assert_int_equal(balloon_unusable_index(&f, ORDER), 1000);
	assert_in_range(balloon_frag_index(&f, ORDER), 990, 1000);
	setup(NULL);
	f.nr[NR_PAGE_ORDERS - 1] = 1UL << (34 - NR_PAGE_ORDERS + 1);
	assert_int_equal(balloon_unusable_index(&f, ORDER), 0);
	assert_int_equal(balloon_free_blocks(&f, ORDER), 1UL << (34 - ORDER));
}

/* As the kernel has it, but for rounding, and never outside of 0 to 1000. */
static void random_lists(void **state)
{
	srandom(1);
	for (int round = 0; round < 100000; round++) {
		double frag;
		int got;

		for (int o = 0; o < NR_PAGE_ORDERS; o++) {
			f.nr[o] = random() % 3 ? random() % (5000 >> o) : 0;
			if (o >= ORDER && round % 2)
				f.nr[o] = 0;
		}
		got = balloon_unusable_index(&f, ORDER);
		assert_true(got >= 0 && got <= 1000);
		assert_true(kernel_unusable() - got >= 0);
		assert_true(kernel_unusable() - got < 1);

		got = balloon_frag_index(&f, ORDER);
		if (f.nr[ORDER] || f.nr[ORDER + 1]) {
			assert_int_equal(got, BALLOON_FRAG_FITS);
			continue;
		}
		frag = kernel_frag();
		assert_true(got >= 0 && got <= 1000);
		if (frag < 0)
			assert_true(got <= 1);
		else
			assert_true(got - frag > -2 && got - frag < 2);
	}
}

#define test(f)	cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(nothing_free),
		test(whole_blocks),
		test(single_pages),
		test(half_and_half),
		test(want_of_memory),
		test(larger_pieces_are_less_fragmented),
		test(all_of_a_large_machine),
		test(random_lists),
	};

	return cmocka_run_group_tests_name("frag", tests, NULL, NULL);
}
