// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of rank.c: what is the cheapest order of pageblocks?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rank.c"

#define BLOCKS	3000
#define N(a)	(sizeof(a) / sizeof((a)[0]))

static void cost_counts_pages_to_move(void **state)
{
	struct block_use use = { 0 };

	assert_int_equal(rank_cost(&use), 0);
	use = (struct block_use) { .free = 500 };
	assert_int_equal(rank_cost(&use), 0);
	use = (struct block_use) { .free = 500, .lru = 12 };
	assert_int_equal(rank_cost(&use), 12);
	use = (struct block_use) { .lru = 12, .driver = 100 };
	assert_int_equal(rank_cost(&use), 112);
	use = (struct block_use) { .lru = 512 };
	assert_int_equal(rank_cost(&use), 512);
}

static void nothing_is_won_by_moving_a_block(void **state)
{
	struct block_use use = { .huge = 512 };

	assert_int_equal(rank_cost(&use), RANK_NEVER);
	use = (struct block_use) { .balloon = 512 };
	assert_int_equal(rank_cost(&use), RANK_NEVER);
}

static void one_unmovable_page_rules_out(void **state)
{
	struct block_use use = { .unmovable = 1 };

	assert_int_equal(rank_cost(&use), RANK_NEVER);
	use = (struct block_use) { .lru = 400, .unmovable = 112 };
	assert_int_equal(rank_cost(&use), RANK_NEVER);
}

static void full_block_of_64k_pages_is_no_never(void **state)
{
	/* The largest pageblock there is: 8192 pages. */
	struct block_use use = { .lru = 8000, .driver = 192 };

	assert_int_equal(rank_cost(&use), 8192);
	assert_int_not_equal(rank_cost(&use), RANK_NEVER);
}

static void sort_nothing(void **state)
{
	u32 order[1] = { 77 };
	u16 cost[1] = { 0 };

	assert_int_equal(rank_sort(cost, 0, order), 0);
	assert_int_equal(order[0], 77);
}

static void sort_leaves_out_what_cant_be_emptied(void **state)
{
	u16 cost[] = { RANK_NEVER, 100, RANK_NEVER, 0, RANK_NEVER };
	u32 order[N(cost)];

	assert_int_equal(rank_sort(cost, N(cost), order), 2);
	assert_int_equal(order[0], 3);
	assert_int_equal(order[1], 1);

	for (size_t i = 0; i < N(cost); i++)
		cost[i] = RANK_NEVER;
	assert_int_equal(rank_sort(cost, N(cost), order), 0);
}

static void sort_puts_the_cheapest_first(void **state)
{
	u16 cost[] = { 512, 400, 300, 200, 100, 16, 0 };
	u32 order[N(cost)];

	assert_int_equal(rank_sort(cost, N(cost), order), N(cost));
	for (u32 i = 0; i < N(cost); i++)
		assert_int_equal(order[i], N(cost) - 1 - i);
}

static void sort_keeps_neighbours_together(void **state)
{
	/*
	 * Free ones first; then all of one step, which begins at the least
	 * cost: the order of the addresses, not of the costs.
	 */
	u16 cost[] = { 100 + RANK_STEP, 110, 0, 100, 100 + RANK_STEP - 1, 0 };
	u32 want[] = { 2, 5, 1, 3, 4, 0 };
	u32 order[N(cost)];

	assert_int_equal(rank_sort(cost, N(cost), order), N(cost));
	assert_memory_equal(order, want, sizeof(want));
}

static void sort_dear_is_dear(void **state)
{
	/* Beyond the last step everything is equal, up to the largest cost. */
	u16 cost[] = { RANK_NEVER - 1, 5000, 62 * RANK_STEP + 5, 8192,
		       62 * RANK_STEP + 4, 5 };
	u32 want[] = { 5, 4, 0, 1, 2, 3 };
	u32 order[N(cost)];

	assert_int_equal(rank_sort(cost, N(cost), order), N(cost));
	assert_memory_equal(order, want, sizeof(want));
}

static u32 step(u16 cost, u16 least)
{
	u32 s = (cost - least) / RANK_STEP;

	return !cost ? 0 : s < 62 ? s + 1 : 63;
}

/* Against what the comment at rank_sort() promises, for random costs. */
static void sort_random(void **state)
{
	static unsigned char seen[BLOCKS];
	static u16 cost[BLOCKS];
	static u32 order[BLOCKS + 1];

	srandom(1);
	for (int round = 0; round < 200; round++) {
		u32 nr = random() % BLOCKS, usable = 0, n;
		u16 least = RANK_NEVER;

		for (u32 i = 0; i < nr; i++) {
			cost[i] = random() % 4 ? random() % 513 :
				  random() % 2 ? RANK_NEVER : random() % 65536;
			usable += cost[i] != RANK_NEVER;
			if (cost[i] && cost[i] < least)
				least = cost[i];
		}
		memset(seen, 0, sizeof(seen));
		order[usable] = 0xdeadbeef;
		n = rank_sort(cost, nr, order);
		assert_int_equal(n, usable);
		assert_int_equal(order[usable], 0xdeadbeef);
		for (u32 i = 0; i < n; i++) {
			assert_true(order[i] < nr);
			assert_false(seen[order[i]]++);
			assert_int_not_equal(cost[order[i]], RANK_NEVER);
			if (!i)
				continue;
			assert_true(step(cost[order[i - 1]], least) <=
				    step(cost[order[i]], least));
			if (step(cost[order[i - 1]], least) ==
			    step(cost[order[i]], least))
				assert_true(order[i - 1] < order[i]);
		}
	}
}

static void filled_block_waits(void **state)
{
	assert_true(rank_still_good(0, 0));
	assert_true(rank_still_good(0, 512));
	assert_true(rank_still_good(100 + RANK_STEP, 100));
	assert_false(rank_still_good(101 + RANK_STEP, 100));
	assert_false(rank_still_good(RANK_NEVER, 0));
	assert_false(rank_still_good(RANK_NEVER, RANK_NEVER));
	assert_false(rank_still_good(RANK_NEVER, RANK_NEVER - 1));
	assert_true(rank_still_good(RANK_NEVER - 1, RANK_NEVER - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cost_counts_pages_to_move),
		cmocka_unit_test(one_unmovable_page_rules_out),
		cmocka_unit_test(nothing_is_won_by_moving_a_block),
		cmocka_unit_test(full_block_of_64k_pages_is_no_never),
		cmocka_unit_test(sort_nothing),
		cmocka_unit_test(sort_leaves_out_what_cant_be_emptied),
		cmocka_unit_test(sort_puts_the_cheapest_first),
		cmocka_unit_test(sort_keeps_neighbours_together),
		cmocka_unit_test(sort_dear_is_dear),
		cmocka_unit_test(sort_random),
		cmocka_unit_test(filled_block_waits),
	};

	return cmocka_run_group_tests_name("rank", tests, NULL, NULL);
}
