// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of decide.c: when does the guest need memory back, and how much?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "decide.c"

#define FLOOR	8192	/* 32 MiB */

/* A tenth of a second in a guest that has enough, with stall times or not. */
static struct pressure_reading reading(bool stall_known)
{
	return (struct pressure_reading) {
		.floor = FLOOR,
		.available = 10 * FLOOR,
		.elapsed_us = 100000,
		.stall_known = stall_known,
	};
}

static void enough_is_no_pressure(void **state)
{
	struct pressure_reading r = reading(true);

	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r = reading(false);
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
}

static void at_the_floor_is_no_pressure(void **state)
{
	struct pressure_reading r = reading(true);

	/* That is where the balloon stops. */
	r.available = FLOOR - 100;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r.stall_known = false;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
}

static void far_below_the_floor_is_acute(void **state)
{
	struct pressure_reading r = reading(true);

	r.available = FLOOR / 2 - 1;
	assert_int_equal(pressure_level(&r), PRESSURE_ACUTE);
	r.stall_known = false;
	assert_int_equal(pressure_level(&r), PRESSURE_ACUTE);
	r.available = 0;
	assert_int_equal(pressure_level(&r), PRESSURE_ACUTE);
}

static void waiting_below_the_floor_is_high(void **state)
{
	struct pressure_reading r = reading(true);

	r.available = FLOOR - 100;
	r.some_us = 9000;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r.some_us = 10000;
	assert_int_equal(pressure_level(&r), PRESSURE_HIGH);
	r.available = FLOOR;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
}

static void futile_reclaim_below_the_floor_is_high(void **state)
{
	struct pressure_reading r = reading(false);

	r.available = FLOOR - 100;
	r.stalls = 10;
	r.scanned = 1000;
	r.reclaimed = 900;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r.reclaimed = 100;
	assert_int_equal(pressure_level(&r), PRESSURE_HIGH);
	r.available = FLOOR;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
}

static void streaming_is_no_pressure(void **state)
{
	struct pressure_reading r = reading(true);

	/* A reader that reclaims what was read before, and never wants it back. */
	r.some_us = 100000;
	r.full_us = 50000;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r = reading(false);
	r.stalls = 100;
	r.scanned = 10000;
	r.reclaimed = 1000;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
}

static void thrashing_is_high(void **state)
{
	struct pressure_reading r = reading(true);

	/* Most of memory is available, but it is what is being run. */
	r.refaults = 1000;
	r.some_us = 100000;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r.full_us = 10000;
	assert_int_equal(pressure_level(&r), PRESSURE_HIGH);
	r.refaults = 10;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r = reading(false);
	r.refaults = 1000;
	assert_int_equal(pressure_level(&r), PRESSURE_NONE);
	r.stalls = 1;
	assert_int_equal(pressure_level(&r), PRESSURE_HIGH);
}

static void high_pressure_has_to_last(void **state)
{
	struct pressure_relief relief = { 0 };
	int i;

	for (i = 1; i < RELIEF_READINGS; i++)
		assert_false(relief_due(&relief, PRESSURE_HIGH));
	assert_false(relief_due(&relief, PRESSURE_NONE));
	for (i = 1; i < RELIEF_READINGS; i++)
		assert_false(relief_due(&relief, PRESSURE_HIGH));
	assert_true(relief_due(&relief, PRESSURE_HIGH));
	assert_true(relief_due(&relief, PRESSURE_HIGH));
}

static void acute_pressure_has_not(void **state)
{
	struct pressure_relief relief = { 0 };

	assert_true(relief_due(&relief, PRESSURE_ACUTE));
	assert_false(relief_due(&relief, PRESSURE_NONE));
}

static unsigned int next_portion(struct pressure_relief *relief,
				 unsigned int held, u64 now)
{
	return relief_blocks(relief, 8, held, now, RELIEF_LASTS_MS);
}

static void portions_double_while_it_lasts(void **state)
{
	struct pressure_relief relief = { 0 };
	u64 now = 5000;

	assert_int_equal(next_portion(&relief, 1000, now), 8);
	now += RELIEF_LASTS_MS - 1;
	assert_int_equal(next_portion(&relief, 1000, now), 16);
	now++;
	assert_int_equal(next_portion(&relief, 1000, now), 32);
	now += RELIEF_LASTS_MS;
	assert_int_equal(next_portion(&relief, 1000, now), 8);
}

static void first_portion_soon_after_boot(void **state)
{
	struct pressure_relief relief = { 0 };

	assert_int_equal(next_portion(&relief, 1000, 1), 8);
}

static void a_portion_is_a_share_of_what_is_held(void **state)
{
	struct pressure_relief relief = { 0 };
	unsigned int held = 450, rounds = 0, got;

	/* 900 MiB, of which 800 are needed. */
	while (held > 50) {
		got = next_portion(&relief, held, 1);
		assert_true(got <= 8 || got <= held / RELIEF_SHARE);
		assert_true(got >= 8);
		held -= got < held ? got : held;
		rounds++;
	}
	assert_true(rounds <= 12);
}

static void as_little_as_there_is(void **state)
{
	struct pressure_relief relief = { 0 };

	assert_int_equal(next_portion(&relief, 3, 1), 8);
	assert_int_equal(next_portion(&relief, 0, 2), 8);
}

static void little_room_is_want_of_memory(void **state)
{
	assert_int_equal(balloon_shortage(511, 512, 990),
			 BALLOON_SHORTAGE_MEMORY);
	assert_int_equal(balloon_shortage(0, 512, -1), BALLOON_SHORTAGE_MEMORY);
}

static void room_in_pieces_is_want_of_blocks(void **state)
{
	assert_int_equal(balloon_shortage(512, 512, 990),
			 BALLOON_SHORTAGE_CONTIGUITY);
	/* Few pieces, nearly large enough. */
	assert_int_equal(balloon_shortage(600, 512, 300),
			 BALLOON_SHORTAGE_MEMORY);
	/* A free block, but one that can't be taken. */
	assert_int_equal(balloon_shortage(600, 512, -1),
			 BALLOON_SHORTAGE_CONTIGUITY);
}

static void shares_are_in_proportion(void **state)
{
	assert_int_equal(balloon_share(32, 300, 400), 24);
	assert_int_equal(balloon_share(32, 100, 400), 8);
	assert_int_equal(balloon_share(400, 100, 400), 100);
	assert_int_equal(balloon_share(1, 300, 400), 0);
	assert_int_equal(balloon_share(32, 0, 400), 0);
	/* Terabytes. */
	assert_int_equal(balloon_share(4000000000U, 3000000000U, 6000000000UL),
			 2000000000U);
}

static void giving_up_takes_many_failures(void **state)
{
	assert_false(evacuation_futile(0, 0));
	assert_false(evacuation_futile(0, EVACUATION_FUTILE - 1));
	assert_true(evacuation_futile(0, EVACUATION_FUTILE));
	assert_true(evacuation_futile(7, EVACUATION_FUTILE));
	assert_false(evacuation_futile(8, EVACUATION_FUTILE));
	assert_false(evacuation_futile(1000, 1000));
}

/* How many of so many requests are not left out, if none is of use? */
static unsigned int futile_requests(unsigned int requests, unsigned long room)
{
	struct evacuation_deferral d = { 0 };
	unsigned int done = 0;

	while (requests--) {
		if (evacuation_deferred(&d, room))
			continue;
		evacuation_done(&d, 0, room);
		done++;
	}
	return done;
}

static void futile_requests_get_rare(void **state)
{
	assert_int_equal(futile_requests(1, 4096), 1);
	assert_int_equal(futile_requests(2, 4096), 1);
	assert_int_equal(futile_requests(3, 4096), 2);
	assert_int_equal(futile_requests(127, 4096), 7);
	assert_int_equal(futile_requests(127 + 640, 0), 17);
}

static void more_room_is_news(void **state)
{
	struct evacuation_deferral d = { 0 };

	evacuation_done(&d, 0, 4000);
	assert_true(evacuation_deferred(&d, 5000));
	evacuation_done(&d, 0, 4000);
	assert_false(evacuation_deferred(&d, 5001));
}

static void success_ends_deferral(void **state)
{
	struct evacuation_deferral d = { 0 };

	evacuation_done(&d, 0, 4000);
	evacuation_done(&d, 0, 4000);
	evacuation_done(&d, 1, 4000);
	assert_false(evacuation_deferred(&d, 4000));
	evacuation_done(&d, 0, 4000);
	assert_true(evacuation_deferred(&d, 4000));
	assert_false(evacuation_deferred(&d, 4000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enough_is_no_pressure),
		cmocka_unit_test(at_the_floor_is_no_pressure),
		cmocka_unit_test(far_below_the_floor_is_acute),
		cmocka_unit_test(waiting_below_the_floor_is_high),
		cmocka_unit_test(futile_reclaim_below_the_floor_is_high),
		cmocka_unit_test(streaming_is_no_pressure),
		cmocka_unit_test(thrashing_is_high),
		cmocka_unit_test(high_pressure_has_to_last),
		cmocka_unit_test(acute_pressure_has_not),
		cmocka_unit_test(portions_double_while_it_lasts),
		cmocka_unit_test(first_portion_soon_after_boot),
		cmocka_unit_test(a_portion_is_a_share_of_what_is_held),
		cmocka_unit_test(as_little_as_there_is),
		cmocka_unit_test(little_room_is_want_of_memory),
		cmocka_unit_test(room_in_pieces_is_want_of_blocks),
		cmocka_unit_test(shares_are_in_proportion),
		cmocka_unit_test(giving_up_takes_many_failures),
		cmocka_unit_test(futile_requests_get_rare),
		cmocka_unit_test(more_room_is_news),
		cmocka_unit_test(success_ends_deferral),
	};

	return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
