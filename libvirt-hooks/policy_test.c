// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy.c"

#define MIB		KIB_PER_MIB
#define GIB		KIB_PER_GIB
#define GUESTS_MOST	8

/* A host of 16 GiB with 4 GiB guests; the reserve is 1 GiB. */
struct world {
	struct config config;
	struct pool pools[2];
	struct guest guests[GUESTS_MOST];
	struct room rooms[2];
	bool taking[2];
	struct snapshot s;
	struct guest_decision guest[GUESTS_MOST];
	struct room_decision room[2];
	bool taking_then[2];
	struct decision d;
};

static struct world w;

static void set_stat(struct guest *g, enum statistic stat, uint64_t value)
{
	g->stat[stat] = value;
	g->have |= 1u << stat;
}

static void clear_stat(struct guest *g, enum statistic stat)
{
	g->have &= ~(1u << stat);
}

/* It has run for long, and was seen 5 s ago with the statistics of then. */
static void settle(struct guest *g)
{
	struct memory *m = &g->memory;

	memset(m, 0, sizeof(*m));
	m->when = w.s.now - 5 * SECOND;
	m->begun = 1;
	m->settled = true;
	m->stats_when = g->stats_when - 5 * SECOND;
	m->have = g->have;
	memcpy(m->stat, g->stat, sizeof(m->stat));
	m->used = g->actual - stat_usable(g);
	m->lowest = g->actual;
	m->highest = g->actual;
	m->actual = g->actual;
	m->rss = g->rss;
	m->steady_since = 1;
}

static struct guest *add_guest(uint64_t usable)
{
	struct guest *g = &w.guests[w.s.nr_guests++];

	snprintf(g->name, sizeof(g->name), "guest%u", w.s.nr_guests);
	memcpy(g->uuid, g->name, sizeof(g->uuid));
	g->settings = w.config.guests;
	g->settings.manage = true;
	g->settings.shares = 1000;
	g->settings.minimum.share = 10 * 100;
	g->settings.headroom.share = 10 * 100;
	g->has_balloon = true;
	g->maximum = 4 * GIB;
	g->actual = 4 * GIB;
	g->rss = 4 * GIB;
	g->started = 1;
	g->stats_when = 2000 * SECOND;
	set_stat(g, STAT_AVAILABLE, 4 * GIB - 64 * MIB);
	set_stat(g, STAT_USABLE, usable);
	set_stat(g, STAT_UNUSED, usable / 2);
	set_stat(g, STAT_SWAP_IN, 1000);
	set_stat(g, STAT_MAJOR_FAULTS, 10000);
	set_stat(g, STAT_HUGE_FAILURES, 10);
	settle(g);
	return g;
}

static int make_world(void **state)
{
	memset(&w, 0, sizeof(w));
	config_init(&w.config);
	w.config.dry_run = false;
	w.config.statistics_period = 5 * SECOND;
	w.config.dead_band = (struct amount){ .share = 5 * 100 };
	w.config.critical = (struct amount){ .share = 50 * 100 };
	w.config.budget = (struct amount){ 0 };
	w.config.rate = (struct amount){ .share = 100 };
	w.config.hold = 60 * SECOND;
	w.s = (struct snapshot){
		.now = 1000 * SECOND, .config = &w.config, .nr_pools = 1,
		.pools = w.pools, .guests = w.guests, .rooms = w.rooms,
		.taking = w.taking,
	};
	w.d = (struct decision){
		.guests = w.guest, .rooms = w.room, .taking = w.taking_then,
	};
	w.pools[0] = (struct pool){
		.page = 4, .total = 16 * GIB, .avail = 1100 * MIB,
		.reserve = GIB,
	};
	return 0;
}

static int free_world(void **state)
{
	config_free(&w.config);
	return 0;
}

static void run(void)
{
	policy_run(&w.s, &w.d);
}

/* To the next pass, with new statistics that say the same. */
static void carry(uint64_t ms)
{
	unsigned int i;

	for (i = 0; i < w.s.nr_guests; i++) {
		w.guests[i].memory = w.guest[i].memory;
		w.guests[i].stats_when += ms;
		w.guests[i].resumed = false;
	}
	memcpy(w.taking, w.taking_then, sizeof(w.taking));
	w.s.now += ms;
}

static void next(uint64_t ms)
{
	carry(ms);
	run();
}

static void count_up(struct guest *g, enum statistic stat, uint64_t by)
{
	g->stat[stat] += by;
}

#define assert_state(i, is) \
	assert_string_equal(state_name(w.guest[i].state), state_name(is))
#define assert_near(a, b, by) \
	assert_in_range(a, (b) - (by), (b) + (by))

/* --- states */

static void test_quiet(void **state)
{
	add_guest(2 * GIB);
	run();
	assert_state(0, GUEST_MANAGED);
	assert_int_equal(w.guest[0].target, 0);
	assert_int_equal(w.guest[0].low,
			 2 * GIB + amount_of(w.guests[0].settings.headroom,
					     2 * GIB));
	assert_int_equal(w.guest[0].idle, 4 * GIB - w.guest[0].low);
	assert_non_null(strstr(w.guest[0].why, "keeps"));
}

static void test_states(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	/* Each of these stands above those before it. */
	g->stats_age = 21 * SECOND;
	run();
	assert_state(0, GUEST_STALE);
	g->stat[STAT_USABLE] = 5 * GIB;
	run();
	assert_state(0, GUEST_IMPOSSIBLE);
	clear_stat(g, STAT_USABLE);
	clear_stat(g, STAT_UNUSED);
	run();
	assert_state(0, GUEST_NO_STATS);
	g->memory.override = true;
	run();
	assert_state(0, GUEST_OVERRIDE);
	g->silent = true;
	run();
	assert_state(0, GUEST_SILENT);
	g->paused = true;
	run();
	assert_state(0, GUEST_PAUSED);
	g->settings.manage = false;
	run();
	assert_state(0, GUEST_UNMANAGED);
	g->bad_settings = true;
	run();
	assert_state(0, GUEST_BAD_SETTINGS);
	g->has_balloon = false;
	run();
	assert_state(0, GUEST_UNMANAGED);
	assert_int_equal(w.guest[0].target, 0);
}

static void test_stale(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	g->stats_age = 20 * SECOND;
	run();
	assert_state(0, GUEST_MANAGED);
	w.config.statistics_period = 0;
	g->stats_age = 30 * SECOND;
	run();
	assert_state(0, GUEST_MANAGED);
	g->stats_age++;
	run();
	assert_state(0, GUEST_STALE);
}

static void test_impossible(void **state)
{
	static const struct {
		enum statistic stat;
		uint64_t good, bad;
	} cases[] = {
		{ STAT_AVAILABLE, 4 * GIB + 40 * MIB, 4 * GIB + 42 * MIB },
		{ STAT_USABLE, 4 * GIB - 64 * MIB, 4 * GIB - 63 * MIB },
		{ STAT_UNUSED, 4 * GIB - 64 * MIB, UINT64_MAX },
		{ STAT_FLOOR, 4 * GIB, 5 * GIB },
		{ STAT_SHORTFALL, 4 * GIB, 5 * GIB },
		{ STAT_FREE_BLOCKS, 4 * GIB, UINT64_MAX },
		{ STAT_HUGE_SHARE, 10000, 10001 },
	};
	struct guest *g = add_guest(2 * GIB), good = *g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		*g = good;
		set_stat(g, cases[i].stat, cases[i].good);
		run();
		assert_int_not_equal(w.guest[0].state, GUEST_IMPOSSIBLE);
		set_stat(g, cases[i].stat, cases[i].bad);
		run();
		assert_state(0, GUEST_IMPOSSIBLE);
	}
	*g = good;
	g->actual = 0;
	run();
	assert_state(0, GUEST_IMPOSSIBLE);
	g->actual = 4 * GIB + 5 * MIB;
	run();
	assert_state(0, GUEST_IMPOSSIBLE);
}

static void test_low(void **state)
{
	struct guest *g = add_guest(3 * GIB);

	/* At least 64 MiB of headroom. */
	g->stat[STAT_USABLE] = 4 * GIB - 128 * MIB;
	g->settings.minimum.share = 0;
	g->settings.minimum.kib = 0;
	run();
	assert_int_equal(w.guest[0].low, (128 + 64) * MIB);
	g->settings.minimum.kib = GIB;
	run();
	assert_int_equal(w.guest[0].low, GIB);
	/* More than there is can't be had. */
	g->settings.minimum.kib = 5 * GIB;
	run();
	assert_int_equal(w.guest[0].low, 4 * GIB);
	g->settings.minimum.kib = 0;
	set_stat(g, STAT_FLOOR, 512 * MIB);
	run();
	assert_int_equal(w.guest[0].low, (128 + 512) * MIB);
	/* Caches count as used where nothing else is known. */
	clear_stat(g, STAT_FLOOR);
	clear_stat(g, STAT_USABLE);
	g->memory.used = 4 * GIB - g->stat[STAT_UNUSED];
	run();
	assert_int_equal(w.guest[0].low, g->memory.used + g->memory.used / 10);
	assert_state(0, GUEST_MANAGED);
}

/* While a balloon moves, nobody knows what was used when. */
static void test_used_while_moving(void **state)
{
	struct guest *g = add_guest(3 * GIB);

	g->memory.target = 2 * GIB;
	g->memory.target_when = w.s.now - SECOND;
	g->memory.steady_since = 0;
	g->actual = 3 * GIB;
	/* Made somewhere between 4 GiB and 3 GiB: used 1 GiB, or less. */
	g->stat[STAT_USABLE] = 2500 * MIB;
	run();
	assert_int_equal(w.guest[0].memory.used, GIB);
	g->stat[STAT_USABLE] = GIB;
	run();
	assert_int_equal(w.guest[0].memory.used, 2 * GIB);
	g->stat[STAT_USABLE] = 3500 * MIB;
	g->stat[STAT_AVAILABLE] = 4 * GIB;
	run();
	assert_int_equal(w.guest[0].memory.used, 4 * GIB - 3500 * MIB);
}

static void test_starting(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	memset(&g->memory, 0, sizeof(g->memory));
	g->started = w.s.now - SECOND;
	w.pools[0].avail = 100 * MIB;
	run();
	assert_state(0, GUEST_STARTING);
	assert_int_equal(w.guest[0].target, 0);
	/* Its balloon moves; nobody minds. */
	g->actual = 3 * GIB;
	next(30 * SECOND);
	next(30 * SECOND);
	assert_state(0, GUEST_STARTING);
	next(SECOND);
	assert_state(0, GUEST_MANAGED);
	assert_true(w.guest[0].target);
}

static void test_starting_pressure(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	memset(&g->memory, 0, sizeof(g->memory));
	g->started = w.s.now - SECOND;
	g->actual = 2 * GIB;
	g->stat[STAT_USABLE] = 10 * MIB;
	g->stat[STAT_UNUSED] = 10 * MIB;
	run();
	assert_state(0, GUEST_PRESSURE);
	assert_true(w.guest[0].target > 2 * GIB);
}

static void test_reboot(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	g->memory.target = 4 * GIB;
	g->memory.pressure_when = w.s.now - SECOND;
	g->stat[STAT_MAJOR_FAULTS] = 5;
	run();
	assert_state(0, GUEST_STARTING);
	assert_int_equal(w.guest[0].memory.target, 0);
	assert_false(w.guest[0].memory.settled);
}

/* --- whose order was it? */

static struct guest *rested(uint64_t target)
{
	struct guest *g = add_guest(3 * GIB);

	g->actual = target;
	g->stat[STAT_USABLE] = target - GIB;
	g->stat[STAT_UNUSED] = target - GIB;
	settle(g);
	g->memory.target = target;
	g->memory.target_when = 1;
	return g;
}

static void test_override_down(void **state)
{
	struct guest *g = rested(3 * GIB);

	g->actual = 3 * GIB - 4 * MIB;
	run();
	assert_state(0, GUEST_MANAGED);
	g->actual = 3 * GIB - 5 * MIB;
	w.pools[0].avail = 0;
	run();
	assert_state(0, GUEST_OVERRIDE);
	assert_int_equal(w.guest[0].target, 0);
	/* For good. */
	next(1000 * SECOND);
	assert_state(0, GUEST_OVERRIDE);
	carry(SECOND);
	g->resumed = true;
	run();
	assert_state(0, GUEST_MANAGED);
	assert_false(w.guest[0].memory.override);
}

static void test_override_up(void **state)
{
	struct guest *g = rested(2 * GIB);

	g->actual = 3 * GIB;
	w.pools[0].avail = 0;
	run();
	/* The guest may have rebooted. */
	assert_state(0, GUEST_STARTING);
	assert_int_equal(w.guest[0].target, 0);
	carry(5 * SECOND);
	g->stats_age = 5 * SECOND;
	run();
	assert_state(0, GUEST_STARTING);
	g->stats_age = 0;
	next(SECOND);
	assert_state(0, GUEST_OVERRIDE);
	assert_int_equal(w.guest[0].target, 0);
}

static void test_reboot_is_no_override(void **state)
{
	struct guest *g = rested(2 * GIB);

	g->actual = 4 * GIB;
	run();
	assert_state(0, GUEST_STARTING);
	carry(5 * SECOND);
	g->stat[STAT_MAJOR_FAULTS] = 5;
	run();
	assert_state(0, GUEST_STARTING);
	g->actual = 2 * GIB;
	next(5 * SECOND);
	next(60 * SECOND);
	next(SECOND);
	assert_state(0, GUEST_MANAGED);
}

static void test_autodeflate(void **state)
{
	struct guest *g = rested(2 * GIB);

	g->autodeflate = true;
	g->memory.target = GIB;
	g->memory.target_when = w.s.now - SECOND;
	g->actual = 2 * GIB + 200 * MIB;
	run();
	next(SECOND);
	assert_state(0, GUEST_PRESSURE);
	assert_false(w.guest[0].memory.override);
	/* The order does not stand any more. */
	assert_int_equal(w.guest[0].target, 2 * GIB + 200 * MIB);
	g->memory = w.guest[0].memory;
	w.pools[0].avail = 600 * MIB;
	next(5 * SECOND);
	assert_state(0, GUEST_MANAGED);
	assert_int_equal(w.guest[0].target, 0);
	assert_non_null(strstr(w.guest[0].why, "under pressure"));
}

static void test_move_without_order(void **state)
{
	struct guest *g = rested(3 * GIB);

	g->memory.target = 0;
	g->actual = 2 * GIB;
	run();
	assert_state(0, GUEST_OVERRIDE);
	/* It had not come to rest before. */
	g->memory.steady_since = 0;
	run();
	assert_state(0, GUEST_MANAGED);
}

/* Between the pass and the order it went on with the order before. */
static void test_order_before(void **state)
{
	struct guest *g = rested(3 * GIB);

	g->memory.target = 3500 * MIB;
	g->memory.before = 2 * GIB;
	g->memory.target_when = w.s.now - SECOND;
	g->actual = 2900 * MIB;
	run();
	assert_false(w.guest[0].memory.override);
	g->memory.before = 0;
	run();
	assert_true(w.guest[0].memory.override);
}

static void test_paused_forgets(void **state)
{
	struct guest *g = rested(3 * GIB);

	g->paused = true;
	run();
	carry(5 * SECOND);
	g->actual = GIB;
	g->stat[STAT_USABLE] = GIB / 2;
	g->stat[STAT_UNUSED] = GIB / 2;
	run();
	carry(5 * SECOND);
	g->paused = false;
	g->resumed = true;
	run();
	assert_state(0, GUEST_MANAGED);
}

/* --- pressure */

static void test_signs(void **state)
{
	struct guest *g = rested(2 * GIB), calm;
	unsigned int i;

	set_stat(g, STAT_PSI_SOME, 1000000);
	set_stat(g, STAT_PSI_FULL, 1000000);
	g->memory.have = g->have;
	memcpy(g->memory.stat, g->stat, sizeof(g->stat));
	calm = *g;
	run();
	assert_state(0, GUEST_MANAGED);
	for (i = 0; i < 2; i++) {
		*g = calm;
		count_up(g, STAT_SWAP_IN, i ? 5 * 66 : 5 * 64);
		run();
		assert_state(0, i ? GUEST_PRESSURE : GUEST_MANAGED);
		*g = calm;
		/* With much usable these are reads of new files. */
		count_up(g, STAT_MAJOR_FAULTS, 5000);
		if (i)
			g->stat[STAT_USABLE] = 150 * MIB;
		g->memory.used = g->actual - g->stat[STAT_USABLE];
		run();
		assert_state(0, i ? GUEST_PRESSURE : GUEST_MANAGED);
		*g = calm;
		count_up(g, STAT_PSI_SOME, i ? 510000 : 500000);
		run();
		assert_state(0, i ? GUEST_PRESSURE : GUEST_MANAGED);
		*g = calm;
		count_up(g, STAT_PSI_FULL, i ? 110000 : 100000);
		run();
		assert_state(0, i ? GUEST_PRESSURE : GUEST_MANAGED);
		*g = calm;
		g->stat[STAT_USABLE] = i ? 60 * MIB : 100 * MIB;
		run();
		assert_state(0, i ? GUEST_PRESSURE : GUEST_MANAGED);
	}
	*g = calm;
	count_up(g, STAT_HUGE_FAILURES, 1);
	run();
	assert_state(0, GUEST_PRESSURE);
	assert_true(w.guest[0].pressure[0]);
}

static void test_huge_failures_at_maximum(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	count_up(g, STAT_HUGE_FAILURES, 5);
	run();
	assert_state(0, GUEST_MANAGED);
}

static void test_shortfall(void **state)
{
	struct guest *g = rested(2 * GIB);
	unsigned int reason;

	for (reason = 0; reason <= 6; reason++) {
		g->memory.target = 1200 * MIB;
		g->memory.target_when = w.s.now - SECOND;
		g->memory.from = g->actual;
		set_stat(g, STAT_SHORTFALL, 100 * MIB);
		set_stat(g, STAT_SHORTFALL_REASON, reason);
		run();
		if (reason == 1 || reason == 2) {
			assert_state(0, GUEST_PRESSURE);
			assert_int_equal(w.guest[0].target, 2 * GIB);
		} else {
			assert_int_not_equal(w.guest[0].state, GUEST_PRESSURE);
			assert_int_equal(w.guest[0].target, 0);
		}
	}
}

static struct guest *pressed(uint64_t actual)
{
	struct guest *g = rested(actual);

	count_up(g, STAT_SWAP_IN, 100000);
	return g;
}

static void test_grant(void **state)
{
	pressed(2 * GIB);
	run();
	assert_int_equal(w.guest[0].target, 2 * GIB + GIB / 2);
	assert_int_equal(w.guest[0].memory.granted, GIB / 2);
	/* The same statistics are no reason for more. */
	w.guests[0].memory = w.guest[0].memory;
	w.guests[0].actual = w.guest[0].target;
	w.guests[0].stats_when -= 5 * SECOND;
	next(5 * SECOND);
	assert_state(0, GUEST_PRESSURE);
	assert_int_equal(w.guest[0].target, 0);
	next(5 * SECOND);
	assert_state(0, GUEST_MANAGED);
}

static void test_grant_is_limited(void **state)
{
	w.pools[0].avail = 600 * MIB;
	pressed(2 * GIB);
	pressed(2 * GIB)->settings.shares = 2000;
	run();
	/* All but half of what is critical, by shares, in 2 MiB. */
	assert_near(w.guest[0].target - 2 * GIB, 344 * MIB / 3, 2 * MIB);
	assert_near(w.guest[1].target - 2 * GIB, 344 * MIB * 2 / 3, 2 * MIB);
	assert_in_range(w.guest[0].target + w.guest[1].target, 4 * GIB,
			4 * GIB + 344 * MIB);
	w.pools[0].avail = 250 * MIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
	assert_int_equal(w.guest[1].target, 0);
	/* Without a reserve all there is. */
	w.pools[0].reserve = 0;
	run();
	assert_near(w.guest[0].target + w.guest[1].target - 4 * GIB,
		    250 * MIB, 4 * MIB);
}

static void test_granted_is_not_granted_twice(void **state)
{
	struct guest *g = pressed(2 * GIB);

	w.pools[0].avail = 656 * MIB;
	g->memory.granted = 300 * MIB;
	g->memory.granted_when = w.s.now - 10 * SECOND;
	run();
	assert_near(w.guest[0].target - 2 * GIB, 100 * MIB, 2 * MIB);
	/* In use meanwhile. */
	g->memory.rss = g->rss - 200 * MIB;
	run();
	assert_near(w.guest[0].target - 2 * GIB, 300 * MIB, 2 * MIB);
	g->memory.rss = g->rss;
	g->memory.granted_when = w.s.now - 31 * SECOND;
	run();
	assert_near(w.guest[0].target - 2 * GIB, 400 * MIB, 2 * MIB);
	/* That does not tell of huge pages of a pool: the balloon's size does. */
	w.s.nr_pools = 2;
	w.pools[1] = w.pools[0];
	g->pool = 1;
	g->memory.granted_when = w.s.now - 10 * SECOND;
	g->memory.target = g->actual + 300 * MIB;
	g->memory.target_when = w.s.now - SECOND;
	g->memory.rss = g->rss - 200 * MIB;
	run();
	assert_near(w.guest[0].target - 2 * GIB, 400 * MIB, 2 * MIB);
	assert_near(w.guest[0].memory.granted, 400 * MIB, 2 * MIB);
	g->pool = 0;
	/* Nor of a budget. */
	w.config.budget.kib = 16 * GIB;
	run();
	assert_near(w.guest[0].target - 2 * GIB, 400 * MIB, 2 * MIB);
	g->memory.rss = g->rss;
	/* It is there. */
	g->memory.target = g->actual;
	run();
	assert_near(w.guest[0].target - 2 * GIB, 400 * MIB, 2 * MIB);
	assert_near(w.guest[0].memory.granted, 400 * MIB, 2 * MIB);
}

/* Sizes are heard of by events and statistics, of which one may be older. */
static void test_granted_is_what_is_to_come(void **state)
{
	static const uint64_t sizes[] = { 2000, 2100, 2050, 2150, 1900, 2200 };
	struct guest *g = pressed(2000 * MIB);
	struct memory *m = &g->memory;

	w.config.budget.kib = 16 * GIB;
	w.pools[0].avail = 0;
	m->target = 2300 * MIB;
	m->target_when = w.s.now;
	m->from = 2000 * MIB;
	m->actual = 2000 * MIB;
	m->granted = 300 * MIB;
	m->granted_when = w.s.now;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		g->actual = sizes[i] * MIB;
		run();
		assert_int_equal(w.guest[0].memory.granted,
				 2300 * MIB - g->actual);
		*m = w.guest[0].memory;
	}
	/* A smaller order revokes it. */
	m->target = 2200 * MIB;
	run();
	assert_int_equal(w.guest[0].memory.granted, 0);
}

/* It can't have more than its maximum, and others need not give more. */
static void test_grant_to_maximum(void **state)
{
	add_guest(3 * GIB);
	pressed(4 * GIB - 100 * MIB);
	w.pools[0].avail = 256 * MIB;
	run();
	assert_int_equal(w.guest[1].target, 0);
	assert_near(4 * GIB - w.guest[0].target,
		    (100 + 1024 + 51 - 256) * MIB, 4 * MIB);
}

static void test_pressure_takes_from_others(void **state)
{
	add_guest(3 * GIB);
	pressed(2 * GIB);
	w.pools[0].avail = 300 * MIB;
	run();
	/* 44 MiB at once, 468 MiB that are missing, and the reserve. */
	assert_near(w.guest[1].target - 2 * GIB, 44 * MIB, 2 * MIB);
	assert_near(4 * GIB - w.guest[0].target,
		    (468 + 1024 + 51 - 256) * MIB, 4 * MIB);
}

static void test_frozen_keep(void **state)
{
	struct guest *g = pressed(2 * GIB);

	g->stats_age = 100 * SECOND;
	w.pools[0].avail = 0;
	run();
	assert_int_equal(w.guest[0].target, 0);
	g->stats_age = 0;
	g->stat[STAT_USABLE] = 100 * GIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
	g->silent = true;
	run();
	assert_int_equal(w.guest[0].target, 0);
	assert_int_equal(w.guest[0].memory.actual, 2 * GIB);
}

/* --- taking */

static void test_dead_band(void **state)
{
	add_guest(2 * GIB);
	w.pools[0].avail = 1024 * MIB;
	run();
	assert_false(w.taking_then[0]);
	w.pools[0].avail = 1023 * MIB;
	next(10 * SECOND);
	assert_true(w.taking_then[0]);
	assert_true(w.guest[0].target);
	w.guests[0].actual = w.guest[0].target;
	w.pools[0].avail = 1070 * MIB;
	next(10 * SECOND);
	assert_true(w.taking_then[0]);
	assert_true(w.guest[0].target);
	w.guests[0].actual = w.guest[0].target;
	w.pools[0].avail = 1076 * MIB;
	next(10 * SECOND);
	assert_false(w.taking_then[0]);
	assert_int_equal(w.guest[0].target, 0);
}

static void test_rate(void **state)
{
	add_guest(2 * GIB);
	w.pools[0].avail = 600 * MIB;
	run();
	/* 1 %, however long nothing was taken. */
	assert_near(4 * GIB - w.guest[0].target, 4 * GIB / 100, 2 * MIB);
	w.guests[0].actual = w.guest[0].target;
	next(SECOND);
	assert_near(w.guests[0].actual - w.guest[0].target, 4 * MIB, 2 * MIB);
}

static void test_rate_of_small_guest(void **state)
{
	struct guest *g = add_guest(2 * GIB);
	unsigned int i, orders = 0;

	g->maximum = 128 * MIB;
	g->actual = 128 * MIB;
	g->rss = 0;
	set_stat(g, STAT_AVAILABLE, 120 * MIB);
	g->stat[STAT_USABLE] = 110 * MIB;
	g->stat[STAT_UNUSED] = 110 * MIB;
	settle(g);
	w.pools[0].avail = 600 * MIB;
	run();
	for (i = 0; i < 100; i++) {
		if (w.guest[0].target) {
			g->actual = w.guest[0].target;
			g->stat[STAT_USABLE] = g->actual - 18 * MIB;
			orders++;
		}
		next(SECOND);
	}
	/* 2 MiB each, 12.8 MiB in 100 s. */
	assert_in_range(orders, 5, 8);
	assert_in_range(g->actual, (128 - 16) * MIB, (128 - 10) * MIB);
}

static void test_critical(void **state)
{
	add_guest(2 * GIB);
	w.pools[0].avail = 500 * MIB;
	run();
	assert_near(4 * GIB - w.guest[0].target, (1024 + 51 - 500) * MIB,
		    3 * MIB);
}

static void test_shares(void **state)
{
	/* 3 GiB used, 300 MiB more to keep: 724 MiB idle. */
	add_guest(GIB);
	add_guest(GIB)->settings.shares = 3000;
	w.pools[0].avail = 500 * MIB;
	run();
	assert_near(4 * GIB - w.guest[0].target, 575 * MIB * 3 / 4, 3 * MIB);
	assert_near(4 * GIB - w.guest[1].target, 575 * MIB / 4, 3 * MIB);
}

static void test_never_below_low(void **state)
{
	add_guest(600 * MIB);
	add_guest(3 * GIB)->settings.minimum.kib = 3900 * MIB;
	w.guests[1].settings.minimum.share = 0;
	w.pools[0].avail = 0;
	run();
	assert_in_range(w.guest[0].target, w.guest[0].low,
			w.guest[0].low + 2 * MIB);
	assert_in_range(w.guest[1].target, 3900 * MIB, 3902 * MIB);
}

static void test_blocks_first(void **state)
{
	add_guest(3 * GIB);
	set_stat(add_guest(3 * GIB), STAT_FREE_BLOCKS, 2 * GIB);
	set_stat(add_guest(3 * GIB), STAT_FREE_BLOCKS, 100 * MIB);
	w.pools[0].avail = 500 * MIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
	assert_true(4 * GIB - w.guest[1].target > 400 * MIB);
	assert_near(4 * GIB - w.guest[2].target, 100 * MIB, 90 * MIB);
	/* They have not enough: then the others. */
	w.guests[1].stat[STAT_FREE_BLOCKS] = 100 * MIB;
	run();
	assert_true(w.guest[0].target);
}

static void test_hold(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	g->memory.pressure_when = w.s.now - 59 * SECOND;
	w.pools[0].avail = 800 * MIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
	/* In need it gives, but keeps twice its headroom. */
	w.pools[0].avail = 0;
	g->stat[STAT_USABLE] = 600 * MIB;
	g->memory.used = 4 * GIB - 600 * MIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
	g->memory.pressure_when = 0;
	run();
	assert_true(w.guest[0].target);
	g->memory.grown_when = w.s.now - 59 * SECOND;
	run();
	assert_true(w.guest[0].target);
	w.pools[0].avail = 800 * MIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
}

static void test_no_crumbs(void **state)
{
	unsigned int i, givers = 0;

	for (i = 0; i < GUESTS_MOST; i++)
		add_guest(2 * GIB);
	w.pools[0].reserve = 100 * MIB;
	w.pools[0].avail = 98 * MIB;
	run();
	/* 7 MiB from eight guests. */
	for (i = 0; i < GUESTS_MOST; i++)
		givers += w.guest[i].target == 4 * GIB - 2 * MIB;
	assert_int_equal(givers, 3);
	w.pools[0].reserve = 20 * MIB;
	w.pools[0].avail = 20 * MIB - 4;
	run();
	for (i = 0; i < GUESTS_MOST; i++)
		assert_int_equal(w.guest[i].target, 0);
}

static void test_under_way(void **state)
{
	add_guest(3 * GIB);
	w.pools[0].avail = 400 * MIB;
	run();
	assert_true(w.guest[0].target);
	next(SECOND);
	assert_int_equal(w.guest[0].target, 0);
	/* Half of it has come. */
	w.guests[0].actual -= (4 * GIB - w.guest[0].memory.target) / 2;
	w.guests[0].stat[STAT_USABLE] = w.guests[0].actual - GIB;
	w.pools[0].avail += (4 * GIB - w.guest[0].memory.target) / 2;
	next(SECOND);
	assert_int_equal(w.guest[0].target, 0);
	assert_non_null(strstr(w.guest[0].why, "on its way"));
}

static void test_stuck(void **state)
{
	uint64_t target;

	add_guest(3 * GIB);
	w.pools[0].avail = 400 * MIB;
	run();
	target = w.guest[0].target;
	next(5 * SECOND);
	next(20 * SECOND);
	assert_int_equal(w.guest[0].memory.target, target);
	next(20 * SECOND);
	/* The order is taken back, and nothing more is wanted for a while. */
	assert_int_equal(w.guest[0].target, 4 * GIB);
	assert_int_equal(w.guest[0].idle, 0);
	next(50 * SECOND);
	assert_int_equal(w.guest[0].target, 0);
	next(15 * SECOND);
	assert_true(w.guest[0].target < 4 * GIB);
}

/* It moves, a little: it can't keep others from giving for ever. */
static void test_stuck_but_moving(void **state)
{
	struct guest *g = add_guest(3 * GIB);
	unsigned int i;

	w.pools[0].avail = 400 * MIB;
	run();
	for (i = 0; i < 100 && w.guest[0].target != g->actual; i++) {
		g->actual -= 2 * MIB;
		g->stat[STAT_USABLE] -= 2 * MIB;
		next(SECOND);
	}
	assert_in_range(i, 31, 80);
}

/* A large one takes minutes at what a balloon does, and may be told more. */
static void test_slow_is_not_stuck(void **state)
{
	struct guest *g = add_guest(3 * GIB);
	unsigned int i;

	w.pools[0].avail = 400 * MIB;
	run();
	for (i = 0; i < 100 && g->actual > 2 * GIB; i++) {
		g->actual -= 20 * MIB;
		g->stat[STAT_USABLE] -= 20 * MIB;
		next(SECOND);
		assert_int_equal(w.guest[0].memory.stuck_when, 0);
	}
	assert_true(w.guest[0].memory.target < 2 * GIB + 200 * MIB);
}

static void test_lost_order(void **state)
{
	struct guest *g = pressed(2 * GIB);
	uint64_t target;
	unsigned int i;

	run();
	target = w.guest[0].target;
	assert_true(target > 2 * GIB);
	for (i = 0; i < 12; i++) {
		carry(5 * SECOND);
		count_up(g, STAT_SWAP_IN, 100000);
		w.guests[0].memory.want = target;
		run();
		if (w.guest[0].target == target)
			break;
		assert_true(w.guest[0].target == 0 ||
			    w.guest[0].target > target);
		if (w.guest[0].target)
			target = w.guest[0].target;
	}
	assert_true(i < 12);
}

/* It has what it should have, but for some crumbs: not once more. */
static void test_order_is_not_repeated(void **state)
{
	rested(4 * GIB);
	w.guests[0].actual -= 3 * MIB;
	w.guests[0].memory.actual = w.guests[0].actual;
	w.pools[0].avail = 4 * GIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
}

static void test_need_grows_on_the_way(void **state)
{
	struct guest *g = add_guest(3 * GIB);

	w.pools[0].avail = 0;
	run();
	carry(SECOND);
	g->actual = 3500 * MIB;
	g->stat[STAT_USABLE] = 400 * MIB;
	g->stat[STAT_UNUSED] = 400 * MIB;
	run();
	assert_true(w.guest[0].memory.used >= 3100 * MIB);
	assert_true(w.guest[0].target >= w.guest[0].low ||
		    w.guest[0].target >= g->actual);
}

/* --- rooms */

static struct room *add_room(uint64_t size)
{
	struct room *r = &w.rooms[w.s.nr_rooms++];

	snprintf(r->name, sizeof(r->name), "new%u", w.s.nr_rooms);
	r->size = size;
	return r;
}

static void test_room(void **state)
{
	add_guest(3 * GIB);
	add_room(500 * MIB);
	run();
	assert_true(w.room[0].ready);
	assert_int_equal(w.guest[0].target, 0);
	w.rooms[0].size = 2 * GIB;
	run();
	assert_false(w.room[0].ready);
	assert_false(w.room[0].hopeless);
	assert_int_equal(w.room[0].missing, 2 * GIB - (1100 - 512) * MIB);
	assert_near(4 * GIB - w.guest[0].target, w.room[0].missing, 4 * MIB);
	/* It comes: not twice. */
	next(SECOND);
	assert_int_equal(w.guest[0].target, 0);
	assert_false(w.room[0].hopeless);
}

/* However little is missing. */
static void test_room_crumb(void **state)
{
	add_guest(3 * GIB);
	add_room((1100 - 512) * MIB + 4);
	run();
	assert_int_equal(w.room[0].missing, 4);
	assert_true(w.guest[0].target);
	assert_true(4 * GIB - w.guest[0].target >= 2 * MIB);
}

static void test_room_hopeless(void **state)
{
	add_guest(GIB);
	add_room(8 * GIB);
	run();
	assert_true(w.room[0].hopeless);
	assert_int_equal(w.room[0].obtainable, w.guest[0].idle);
	assert_int_equal(w.guest[0].target, 0);
}

static void test_room_held(void **state)
{
	add_guest(3 * GIB);
	add_room(600 * MIB)->held = true;
	add_room(500 * MIB);
	run();
	assert_true(w.room[0].ready);
	/* 500 MiB are left: less than the reserve. */
	assert_true(w.taking_then[0]);
	assert_false(w.room[1].ready);
	assert_int_equal(w.room[1].missing, 500 * MIB);
}

static void test_rooms_do_not_share(void **state)
{
	add_room(500 * MIB);
	add_room(500 * MIB);
	run();
	assert_true(w.room[0].ready);
	assert_false(w.room[1].ready);
}

static void test_room_on_node(void **state)
{
	struct pool *p = &w.pools[1];

	w.s.nr_pools = 2;
	*p = (struct pool){
		.page = 2048, .total = 8 * GIB, .avail = 2 * GIB, .nodes = 2,
		.node_avail = { 2 * GIB, 0 },
	};
	add_guest(3 * GIB);
	w.guests[0].pool = 1;
	w.guests[0].nodes = 1;
	add_guest(3 * GIB);
	w.guests[1].pool = 1;
	w.guests[1].nodes = 2;
	add_guest(3 * GIB);
	add_room(GIB)->pool = 1;
	w.rooms[0].nodes = 1;
	run();
	assert_true(w.room[0].ready);
	w.rooms[0].nodes = 2;
	run();
	assert_false(w.room[0].ready);
	assert_int_equal(w.room[0].missing, GIB);
	assert_int_equal(w.guest[0].target, 0);
	assert_near(w.guest[1].target, 3 * GIB, 4 * MIB);
	assert_int_equal(w.guest[2].target, 0);
}

/* --- growing */

static void test_growing(void **state)
{
	rested(2 * GIB);
	w.pools[0].avail = 1126 * MIB;
	run();
	assert_int_equal(w.guest[0].target, 0);
	w.pools[0].avail = 2 * GIB;
	next(10 * SECOND);
	assert_int_equal(w.guest[0].target, 0);
	next(50 * SECOND);
	/* 5 % of 4 GiB. */
	assert_near(w.guest[0].target, 2 * GIB + 4 * GIB / 20, 2 * MIB);
	w.guests[0].actual = w.guest[0].target;
	w.guests[0].stat[STAT_USABLE] = w.guests[0].actual - GIB;
	/* Half of it, if that is less. */
	w.pools[0].avail = (1127 + 100 + 204) * MIB;
	next(SECOND);
	assert_near(w.guest[0].target, w.guests[0].actual + 50 * MIB, 2 * MIB);
}

static void test_no_growing(void **state)
{
	struct guest *g = rested(2 * GIB), *other;

	w.pools[0].avail = 3 * GIB;
	run();
	assert_true(w.guest[0].target);
	g->memory.shrunk_when = w.s.now - 59 * SECOND;
	run();
	assert_int_equal(w.guest[0].target, 0);
	g->memory.shrunk_when = 0;
	add_room(16 * GIB);
	run();
	assert_int_equal(w.guest[0].target, 0);
	w.s.nr_rooms = 0;
	other = pressed(2 * GIB);
	run();
	assert_int_equal(w.guest[0].target, 0);
	other->stat[STAT_SWAP_IN] -= 100000;
	run();
	assert_true(w.guest[0].target);
	/* It probes: it has given that itself. */
	g->settings.probe = true;
	run();
	assert_true(w.guest[0].target);
	g->autodeflate = true;
	g->memory.probe_when = w.s.now;
	run();
	assert_int_equal(w.guest[0].target, 0);
}

static void test_grows_to_maximum(void **state)
{
	struct guest *g = rested(4 * GIB - 31 * MIB);

	g->maximum = 4 * GIB - MIB;
	w.pools[0].avail = 3 * GIB;
	run();
	assert_int_equal(w.guest[0].target, g->maximum);
}

/* --- probing */

static void test_probing(void **state)
{
	struct guest *g = add_guest(2 * GIB);
	uint64_t step = 4 * GIB / 100;

	run();
	assert_int_equal(w.guest[0].target, 0);
	g->settings.probe = true;
	run();
	assert_int_equal(w.guest[0].target, 0);
	g->autodeflate = true;
	run();
	assert_near(4 * GIB - w.guest[0].target, step, 2 * MIB);
	g->actual = w.guest[0].target;
	g->stat[STAT_USABLE] = g->actual - 2 * GIB;
	next(59 * SECOND);
	assert_int_equal(w.guest[0].target, 0);
	next(SECOND);
	assert_near(g->actual - w.guest[0].target, step, 2 * MIB);
	/* One page: much less than what is pressure otherwise. */
	g->actual = w.guest[0].target;
	g->stat[STAT_USABLE] = g->actual - 2 * GIB;
	carry(5 * SECOND);
	count_up(g, STAT_SWAP_IN, 40);
	run();
	assert_state(0, GUEST_PRESSURE);
	assert_near(w.guest[0].target, g->actual + 2 * step, 2 * MIB);
	assert_int_equal(w.guest[0].memory.probe_wait, 120 * SECOND);
	g->actual = w.guest[0].target;
	g->stat[STAT_USABLE] = g->actual - 2 * GIB;
	next(119 * SECOND);
	assert_int_equal(w.guest[0].target, 0);
	next(SECOND);
	assert_true(w.guest[0].target && w.guest[0].target < g->actual);
}

/* --- dry run, release */

static void test_dry_run(void **state)
{
	struct guest *g = add_guest(2 * GIB);

	w.s.dry_run = true;
	w.pools[0].avail = 0;
	run();
	assert_near(4 * GIB - w.guest[0].target, 1075 * MIB, 2 * MIB);
	assert_int_equal(w.guest[0].memory.ghost, w.guest[0].target);
	assert_int_equal(w.guest[0].memory.target, 0);
	/* That would have helped. */
	next(SECOND);
	assert_int_equal(w.guest[0].target, 0);
	assert_int_equal(w.guest[0].memory.regret, 0);
	carry(10 * SECOND);
	g->stat[STAT_USABLE] = 900 * MIB;
	run();
	assert_near(w.guest[0].memory.regret, (1075 - 900) * MIB, 2 * MIB);
	assert_int_equal(w.guest[0].memory.regret_time, 10 * SECOND);
	assert_state(0, GUEST_PRESSURE);
	assert_true(w.guest[0].target > w.guests[0].memory.ghost);
	assert_int_equal(w.guest[0].memory.granted, 0);
	carry(10 * SECOND);
	g->stat[STAT_USABLE] = 2 * GIB;
	run();
	assert_int_equal(w.guest[0].memory.regret, 0);
	assert_near(w.guest[0].memory.regret_most, (1075 - 900) * MIB, 2 * MIB);
	assert_int_equal(w.guest[0].memory.regret_time, 10 * SECOND);
	assert_true(w.guest[0].would_be);
	/* And then it is none any more. */
	carry(SECOND);
	w.s.dry_run = false;
	run();
	assert_int_equal(w.guest[0].memory.ghost, 0);
	assert_int_equal(w.guest[0].would_be, 0);
	assert_true(w.guest[0].memory.target == w.guest[0].target);
}

static void test_release(void **state)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		rested(2 * GIB);
	w.guests[1].settings.manage = false;
	w.guests[2].paused = true;
	w.guests[3].memory.override = true;
	w.guests[4].silent = true;
	w.guests[5].stats_age = 100 * SECOND;
	w.pools[0].avail = 0;
	w.s.releasing = true;
	run();
	for (i = 0; i < 6; i++)
		assert_int_equal(w.guest[i].target, i % 5 ? 0 : 4 * GIB);
	next(SECOND);
	for (i = 0; i < 6; i++)
		assert_int_equal(w.guest[i].target, 0);
}

static void test_release_room(void **state)
{
	rested(3 * GIB);
	w.pools[0].avail += GIB;
	add_room(500 * MIB);
	add_room(500 * MIB);
	w.s.releasing = true;
	run();
	assert_true(w.room[0].ready);
	assert_false(w.room[1].ready);
	/* Not of what that guest has idle. */
	assert_true(w.guest[0].idle > GIB);
	assert_true(w.room[1].hopeless);
	assert_int_equal(w.guest[0].target, 4 * GIB);
}

/* --- whatever comes */

static uint64_t seed;

/* xorshift64* */
static uint64_t rnd(uint64_t below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return below ? (seed * 0x2545f4914f6cdd1d >> 16) % below : 0;
}

static bool one_in(unsigned int n)
{
	return !rnd(n);
}

/* Now and then a wild one. */
static uint64_t number(uint64_t below)
{
	return one_in(50) ? (one_in(2) ? UINT64_MAX : 0) : rnd(below);
}

static void random_memory(struct guest *g)
{
	struct memory *m = &g->memory;
	unsigned int i;

	if (one_in(10)) {
		memset(m, 0, sizeof(*m));
		return;
	}
	m->settled = !one_in(5);
	m->have = one_in(3) ? rnd(1u << STAT_NR) : g->have;
	for (i = 0; i < STAT_NR; i++)
		m->stat[i] = one_in(3) ? number(4 * GIB) : g->stat[i];
	m->target = one_in(2) ? rnd(g->maximum) : 0;
	m->target_when = w.s.now - rnd(90 * SECOND);
	m->before = one_in(3) ? rnd(g->maximum) : 0;
	m->actual = one_in(3) ? rnd(g->maximum) : g->actual;
	m->lowest = m->actual;
	m->highest = m->actual;
	m->used = rnd(g->maximum);
	m->moved_when = one_in(20) ? w.s.now - rnd(90 * SECOND) : 0;
	m->pressure_when = one_in(3) ? w.s.now - rnd(90 * SECOND) : 0;
	m->shrunk_when = one_in(3) ? w.s.now - rnd(90 * SECOND) : 0;
	m->grown_when = one_in(3) ? w.s.now - rnd(90 * SECOND) : 0;
	m->tight_when = one_in(3) ? w.s.now - rnd(90 * SECOND) : 0;
	m->granted = one_in(3) ? rnd(g->maximum) : 0;
	m->granted_when = w.s.now - rnd(60 * SECOND);
	m->ghost = w.s.dry_run && one_in(2) ? rnd(g->maximum) : 0;
	m->override = one_in(10);
}

static void random_guest(void)
{
	struct guest *g = add_guest(rnd(4 * GIB));
	unsigned int i;

	g->maximum = 64 * MIB + rnd(8 * GIB);
	g->actual = one_in(20) ? number(8 * GIB) : rnd(g->maximum) + 1;
	g->rss = one_in(3) ? 0 : rnd(g->maximum);
	g->pool = rnd(2);
	g->nodes = rnd(4);
	g->settings.manage = !one_in(10);
	g->settings.shares = 1 + (one_in(3) ? rnd(1000000) : 999);
	g->settings.minimum.share = rnd(10001);
	g->settings.headroom.share = rnd(5000);
	g->settings.probe = one_in(3);
	g->autodeflate = one_in(2);
	g->has_balloon = !one_in(20);
	g->paused = one_in(20);
	g->resumed = one_in(20);
	g->silent = one_in(20);
	g->bad_settings = one_in(20);
	g->stats_age = one_in(10) ? number(100 * SECOND) : rnd(5 * SECOND);
	for (i = 0; i < STAT_NR; i++)
		if (one_in(10))
			set_stat(g, i, number(8 * GIB));
		else if (one_in(10))
			clear_stat(g, i);
	if (!one_in(5)) {
		set_stat(g, STAT_AVAILABLE, g->maximum);
		set_stat(g, STAT_USABLE, rnd(g->actual < g->maximum ?
					     g->actual : g->maximum));
		set_stat(g, STAT_UNUSED, g->stat[STAT_USABLE] / 2);
	}
	settle(g);
	random_memory(g);
}

static void random_world(void)
{
	unsigned int i, n;

	make_world(NULL);
	w.s.dry_run = one_in(4);
	w.s.releasing = one_in(20);
	w.s.nr_pools = 2;
	w.config.rate.share = rnd(10001);
	w.config.hold = rnd(120 * SECOND);
	if (one_in(3))
		w.config.budget.kib = 8 * GIB;
	for (i = 0; i < 2; i++) {
		w.pools[i] = (struct pool){
			.page = i ? 2048 : 4, .total = 32 * GIB, .nodes = 2,
			.reserve = one_in(4) ? 0 : rnd(2 * GIB),
			.avail = number(4 * GIB),
			.node_avail = { rnd(2 * GIB), rnd(2 * GIB) },
		};
		w.taking[i] = one_in(2);
	}
	n = rnd(GUESTS_MOST + 1);
	for (i = 0; i < n; i++)
		random_guest();
	n = rnd(3);
	for (i = 0; i < n; i++) {
		add_room(number(8 * GIB))->pool = rnd(2);
		w.rooms[i].nodes = rnd(4);
		w.rooms[i].held = one_in(2);
	}
}

static bool may_be_ordered(enum state state)
{
	return state == GUEST_MANAGED || state == GUEST_PRESSURE;
}

static void check_guest(const struct guest *g, const struct guest_decision *d)
{
	uint64_t low = min_u64(amount_of(g->settings.minimum, g->maximum),
			       g->maximum);

	assert_true(d->state <= GUEST_STARTING);
	assert_true(d->why[0]);
	assert_int_equal(d->memory.when, w.s.now);
	if (!d->target)
		return;
	assert_true(d->target <= g->maximum);
	if (w.s.releasing) {
		assert_int_equal(d->target, g->maximum);
		return;
	}
	assert_true(may_be_ordered(d->state));
	if (!d->work.stop && d->target < d->work.size) {
		assert_int_equal(d->state, GUEST_MANAGED);
		assert_true(d->target >= d->low && d->low >= low);
	}
}

static void check_sums(unsigned int pool)
{
	uint64_t grants = 0, avail = w.pools[pool].avail;
	unsigned int i;

	for (i = 0; i < w.s.nr_guests; i++) {
		const struct guest_decision *d = &w.guest[i];

		if (w.guests[i].pool != pool)
			continue;
		if (d->work.grow && d->target > d->work.base)
			grants += d->target - d->work.base;
		avail += less(w.guests[i].actual, w.guests[i].memory.ghost ?:
			      w.guests[i].actual);
	}
	assert_true(avail < w.pools[pool].avail || grants <= avail);
}

static void test_random(void **state)
{
	static struct world before;
	static struct guest_decision again[GUESTS_MOST];
	unsigned int i, k, orders = 0;

	for (i = 1; i <= 20000; i++) {
		seed = i * 0x9e3779b97f4a7c15;
		random_world();
		before = w;
		run();
		assert_memory_equal(&before.guests, &w.guests, sizeof(w.guests));
		assert_memory_equal(&before.pools, &w.pools, sizeof(w.pools));
		assert_memory_equal(&before.rooms, &w.rooms, sizeof(w.rooms));
		assert_memory_equal(&before.taking, &w.taking, sizeof(w.taking));
		for (k = 0; k < w.s.nr_guests; k++) {
			check_guest(&w.guests[k], &w.guest[k]);
			orders += !!w.guest[k].target;
		}
		for (k = 0; !w.s.releasing && k < 2; k++)
			check_sums(k);
		memcpy(again, w.guest, sizeof(again));
		memset(w.guest, 0xa5, sizeof(w.guest));
		run();
		for (k = 0; k < w.s.nr_guests; k++)
			assert_memory_equal(&again[k].memory, &w.guest[k].memory,
					    sizeof(again[k].memory));
	}
	/* Else the worlds are not worth a test. */
	assert_in_range(orders, 5000, 100000);
	print_message("# %u orders in 20000 worlds\n", orders);
}

/* --- simulated guests on a simulated host, 100 ms at a time */

#define TICK		100ull
#define MOVE_MOST	(10 * SECOND)
#define GUEST_KEEPS	(32 * MIB)	/* its kernel does not let it go */

struct vm {
	uint64_t want, used;		/* by its programs */
	uint64_t target, order_at;
	uint64_t stats_at;
	uint64_t reads;			/* its own counter of pages read */
	int direction;
	unsigned int orders, turns;
	uint64_t short_ms;		/* programs waited for memory */
};

static struct sim {
	struct vm vms[GUESTS_MOST];
	uint64_t other;			/* what the host needs itself */
	uint64_t noise;
	uint64_t interval, pass_at, last_pass;
	bool moved;			/* a balloon has, since the last pass */
	unsigned int below;		/* orders below what a guest used */
} sim;

static struct vm *add_vm(uint64_t want)
{
	struct vm *v = &sim.vms[w.s.nr_guests];
	struct guest *g = add_guest(2 * GIB);

	memset(&g->memory, 0, sizeof(g->memory));
	g->have = 0;
	g->rss = 512 * MIB;
	g->started = w.s.now;
	g->settings.minimum.share = 25 * 100;
	v->want = want;
	v->used = 256 * MIB;
	v->target = g->actual;
	/* Not all at the same time. */
	v->stats_at = w.s.now + w.s.nr_guests * 300;
	return v;
}

static void start_sim(uint64_t interval)
{
	memset(&sim, 0, sizeof(sim));
	sim.interval = interval;
	sim.pass_at = w.s.now + 700;
	w.config.statistics_period = interval;
}

static void vm_balloon(struct vm *v, struct guest *g)
{
	uint64_t step = GIB * TICK / SECOND, before = g->actual;

	if (w.s.now < v->order_at)
		return;
	if (v->target < g->actual) {
		/* Only what is free. */
		step = min_u64(step, less(g->actual, v->used + GUEST_KEEPS));
		g->actual -= min_u64(step, g->actual - v->target);
	} else {
		g->actual += min_u64(4 * step, v->target - g->actual);
	}
	g->rss = min_u64(g->rss, g->actual);
	sim.moved |= g->actual != before;
}

static void vm_load(struct vm *v, struct guest *g)
{
	uint64_t most = less(g->actual, GUEST_KEEPS);
	uint64_t want = min_u64(v->want, most);

	v->used = v->used > want ? want :
		  v->used + min_u64(want - v->used, GIB * TICK / SECOND);
	if (v->want > most) {
		v->reads += 1000 * TICK / SECOND;
		v->short_ms += TICK;
	}
	g->rss = max_u64(g->rss, v->used + GUEST_KEEPS);
}

static void vm_stats(struct vm *v, struct guest *g)
{
	if (w.s.now < v->stats_at)
		return;
	v->stats_at += w.config.statistics_period;
	g->stats_when = w.s.now;
	set_stat(g, STAT_AVAILABLE, g->actual);
	set_stat(g, STAT_USABLE, less(g->actual, v->used + GUEST_KEEPS / 2));
	set_stat(g, STAT_UNUSED, g->stat[STAT_USABLE] / 2);
	set_stat(g, STAT_SWAP_IN, v->reads * 4);
	set_stat(g, STAT_MAJOR_FAULTS, 1000 + v->reads);
}

static void vm_order(struct vm *v, const struct guest *g, uint64_t target)
{
	int direction = target > v->target ? 1 : -1;

	if (target < v->target && target < v->used)
		sim.below++;
	v->orders++;
	if (v->direction && v->direction != direction)
		v->turns++;
	v->direction = direction;
	v->target = target;
	v->order_at = w.s.now + 200;
}

static uint64_t sim_avail(void)
{
	uint64_t budget = w.config.budget.kib, held = 0;
	unsigned int i;

	for (i = 0; i < w.s.nr_guests; i++)
		held += budget ? w.guests[i].actual : w.guests[i].rss;
	return budget ? less(budget, held) :
	       less(w.pools[0].total + sim.noise, held + sim.other);
}

static void sim_pass(void)
{
	unsigned int i;

	/* A balloon that has moved makes ballastd look early. */
	if (w.s.now < sim.pass_at &&
	    !(w.d.waiting && sim.moved && w.s.now >= sim.last_pass + SECOND))
		return;
	if (w.s.now >= sim.pass_at)
		sim.pass_at += sim.interval;
	sim.last_pass = w.s.now;
	sim.moved = false;
	w.pools[0].avail = sim_avail();
	for (i = 0; i < w.s.nr_guests; i++)
		w.guests[i].stats_age = w.s.now - w.guests[i].stats_when;
	run();
	for (i = 0; i < w.s.nr_guests; i++) {
		w.guests[i].memory = w.guest[i].memory;
		if (w.guest[i].target && !w.s.dry_run)
			vm_order(&sim.vms[i], &w.guests[i], w.guest[i].target);
	}
	memcpy(w.taking, w.taking_then, sizeof(w.taking));
}

static void sim_tick(void)
{
	unsigned int i;

	w.s.now += TICK;
	for (i = 0; i < w.s.nr_guests; i++) {
		vm_balloon(&sim.vms[i], &w.guests[i]);
		vm_load(&sim.vms[i], &w.guests[i]);
		vm_stats(&sim.vms[i], &w.guests[i]);
	}
	sim_pass();
}

static void sim_run(uint64_t ms)
{
	uint64_t end = w.s.now + ms;

	while (w.s.now < end)
		sim_tick();
}

/* ms until the guest's programs have all that they want; @most if not by then */
static uint64_t sim_until_served(const struct vm *v, uint64_t most)
{
	uint64_t begin = w.s.now;

	while (v->used < v->want && w.s.now < begin + most)
		sim_tick();
	return w.s.now - begin;
}

/*
 * For ten minutes noise holds what is available within 1 % of the host's memory
 * around the reserve. Either the host's load answers to what guests do, or
 * (@closed) it does not, and what they give stays available.
 * Return: the most changes of direction of a guest
 */
static unsigned int noisy(bool closed, unsigned int number)
{
	unsigned int i, k, most = 0, orders = 0;
	uint64_t one = w.pools[0].total / 100;

	start_sim(SECOND);
	w.pools[0].reserve = 1600 * MIB;
	for (i = 0; i < number; i++)
		add_vm(GIB + i * 100 * MIB);
	for (i = 0; i < number; i++)
		w.guests[i].rss = w.guests[i].actual;
	/* There is too little at first, so they have given some, and have more. */
	sim.other = less(sim_avail(), w.pools[0].reserve - 200 * MIB);
	sim_run(120 * SECOND);
	for (i = 0; i < number; i++) {
		sim.vms[i].turns = 0;
		sim.vms[i].orders = 0;
	}
	for (k = 0; k < 6000; k++) {
		if (!closed || !k) {
			sim.noise = 0;
			sim.other = 0;
			sim.other = sim_avail() - w.pools[0].reserve + one;
		}
		sim.noise = rnd(2 * one);
		sim_tick();
	}
	for (i = 0; i < number; i++) {
		most = max_u64(most, sim.vms[i].turns);
		orders += sim.vms[i].orders;
	}
	print_message("# noise around the reserve, %s, hold %u s: %u orders, most changes of direction %u\n",
		      closed ? "guests' memory counts" : "held",
		      w.config.hold / 1000, orders, most);
	assert_int_equal(sim.below, 0);
	return most;
}

static void test_sim_noise(void **state)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		make_world(NULL);
		seed = i + 1;
		assert_in_range(noisy(i, 3), 0, 2);
	}
	/* Without what is there against it they do turn. */
	for (i = 0; i < 2; i++) {
		make_world(NULL);
		w.config.hold = 0;
		w.config.dead_band.share = 0;
		assert_true(noisy(i, 3) > 2);
	}
}

static uint64_t move_load(uint64_t interval, uint64_t phase, uint64_t *shorts)
{
	struct vm *a, *b;
	uint64_t longest;

	make_world(NULL);
	start_sim(interval);
	w.pools[0].total = 5 * GIB;
	w.config.budget.kib = 5 * GIB;
	w.pools[0].reserve = 512 * MIB;
	a = add_vm(3 * GIB);
	b = add_vm(512 * MIB);
	sim_run(180 * SECOND + phase);
	assert_int_equal(a->used, a->want);
	a->want = 512 * MIB;
	b->want = 3 * GIB;
	longest = sim_until_served(b, 60 * SECOND);
	sim_run(120 * SECOND);
	b->want = 512 * MIB;
	a->want = 3 * GIB;
	longest = max_u64(longest, sim_until_served(a, 60 * SECOND));
	sim_run(60 * SECOND);
	*shorts = a->short_ms + b->short_ms;
	assert_int_equal(sim.below, 0);
	assert_in_range(w.guests[0].actual + w.guests[1].actual, 0, 5 * GIB);
	return longest;
}

static void move_at(uint64_t interval)
{
	uint64_t phase, ms, sum = 0, longest = 0, shorts;
	unsigned int n = 0;

	for (phase = 0; phase < interval; phase += 100, n++) {
		ms = move_load(interval, phase, &shorts);
		longest = max_u64(longest, ms);
		sum += ms;
	}
	print_message("# load moves, interval %llu s: followed in %.1f s on average, %.1f s at most\n",
		      (unsigned long long)(interval / SECOND),
		      sum / n / 1000.0, longest / 1000.0);
	assert_in_range(longest, 0, MOVE_MOST);
}

static void test_sim_move_1s(void **state)
{
	move_at(SECOND);
}

static void test_sim_move_5s(void **state)
{
	move_at(5 * SECOND);
}

/* One claims what can't be, one is never content: the third keeps what it needs. */
static void test_sim_liars(void **state)
{
	struct vm *honest;
	unsigned int i, k;

	start_sim(SECOND);
	w.pools[0].total = 8 * GIB;
	w.config.budget.kib = 8 * GIB;
	honest = add_vm(2 * GIB);
	add_vm(512 * MIB);
	add_vm(512 * MIB);
	for (k = 0; k < 6000; k++) {
		sim_tick();
		set_stat(&w.guests[1], STAT_USABLE, UINT64_MAX / 2);
		sim.vms[2].reads += 1000;
		if (!w.guest[0].target || k < 1000)
			continue;
		assert_true(w.guest[0].target >= honest->used);
		assert_true(w.guest[0].target >= w.guest[0].low);
	}
	print_message("# liars: the honest one has %llu MiB and uses %llu; they have",
		      (unsigned long long)(w.guests[0].actual / MIB),
		      (unsigned long long)(honest->used / MIB));
	for (i = 1; i < 3; i++)
		print_message(" %llu", (unsigned long long)
			      (w.guests[i].actual / MIB));
	print_message(" MiB\n");
	assert_int_equal(honest->used, 2 * GIB);
	assert_int_equal(sim.below, 0);
	assert_state(1, GUEST_IMPOSSIBLE);
	assert_int_equal(w.guests[1].actual, 4 * GIB);
}

static void test_sim_operator(void **state)
{
	struct vm *v;
	unsigned int orders;

	start_sim(SECOND);
	v = add_vm(GIB);
	sim.other = 15000 * MIB;
	sim_run(200 * SECOND);
	assert_true(v->orders);
	assert_false(w.guests[0].memory.override);
	v->target = 2 * GIB;
	sim_run(3 * SECOND);
	assert_true(w.guests[0].memory.override);
	orders = v->orders;
	sim.other = 16 * GIB;
	sim_run(100 * SECOND);
	assert_int_equal(v->orders, orders);
	assert_int_equal(w.guests[0].actual, 2 * GIB);
}

static void test_sim_autodeflate(void **state)
{
	struct vm *v;

	start_sim(SECOND);
	v = add_vm(GIB);
	w.guests[0].autodeflate = true;
	sim.other = 15000 * MIB;
	sim_run(200 * SECOND);
	assert_true(w.guests[0].actual < 3 * GIB);
	/* Out of memory, all of a sudden; QEMU knows of no other target. */
	w.guests[0].actual += 256 * MIB;
	v->target += 256 * MIB;
	sim_run(5 * SECOND);
	assert_false(w.guests[0].memory.override);
	assert_true(recent(w.s.now, w.guests[0].memory.pressure_when, 5 * SECOND));
}

/* ballastd is killed, and started again: nobody notices. */
static void test_sim_restart(void **state)
{
	uint64_t before[3];
	struct vm *v[3];
	unsigned int i;

	start_sim(SECOND);
	for (i = 0; i < 3; i++)
		v[i] = add_vm((i + 1) * 700 * MIB);
	sim.other = 9 * GIB;
	sim_run(150 * SECOND);
	/* In the middle: one is short, balloons are on their way. */
	v[0]->want = 3 * GIB;
	sim_run(2 * SECOND);
	for (i = 0; i < 3; i++) {
		memset(&w.guests[i].memory, 0, sizeof(w.guests[i].memory));
		w.guests[i].started = w.s.now;
		before[i] = v[i]->target;
		v[i]->turns = 0;
		v[i]->direction = 0;
	}
	memset(w.taking, 0, sizeof(w.taking));
	for (i = 0; i < 59; i++) {
		sim_run(SECOND);
		assert_true(v[0]->target >= before[0]);
		assert_true(v[1]->target >= before[1]);
		assert_true(v[2]->target >= before[2]);
	}
	assert_int_equal(v[0]->used, v[0]->want);
	sim_run(300 * SECOND);
	for (i = 0; i < 3; i++) {
		assert_false(w.guests[i].memory.override);
		assert_int_equal(v[i]->used, v[i]->want);
	}
	assert_int_equal(sim.below, 0);
}

static void test_sim_probing(void **state)
{
	uint64_t short_ms, end;
	struct vm *v;

	start_sim(SECOND);
	v = add_vm(2 * GIB);
	w.guests[0].autodeflate = true;
	w.guests[0].settings.probe = true;
	/* What the guest needs beyond what its statistics call used. */
	w.guests[0].settings.headroom.share = 0;
	sim_run(3600 * SECOND);
	assert_in_range(w.guests[0].actual, v->used, 2 * GIB + 256 * MIB);
	assert_int_equal(sim.below, 0);
	short_ms = v->short_ms;
	v->want = 2500 * MIB;
	end = sim_until_served(v, 60 * SECOND);
	assert_in_range(end, 0, 15 * SECOND);
	print_message("# probing: 4 GiB to %llu MiB for 2 GiB in an hour, short for %.1f s; back off in %.1f s\n",
		      (unsigned long long)(w.guests[0].actual / MIB),
		      short_ms / 1000.0, end / 1000.0);
	assert_true(w.guests[0].memory.probe_wait > PROBE_WAIT);
}

#define test(f)	cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_quiet), test(test_states), test(test_stale),
		test(test_impossible), test(test_low),
		test(test_used_while_moving), test(test_starting),
		test(test_starting_pressure), test(test_reboot),
		test(test_override_down), test(test_override_up),
		test(test_reboot_is_no_override), test(test_autodeflate),
		test(test_move_without_order), test(test_order_before),
		test(test_paused_forgets), test(test_signs),
		test(test_huge_failures_at_maximum), test(test_shortfall),
		test(test_grant), test(test_grant_is_limited),
		test(test_granted_is_not_granted_twice),
		test(test_granted_is_what_is_to_come),
		test(test_grant_to_maximum),
		test(test_pressure_takes_from_others), test(test_frozen_keep),
		test(test_dead_band), test(test_rate),
		test(test_rate_of_small_guest), test(test_critical),
		test(test_shares), test(test_never_below_low),
		test(test_blocks_first), test(test_hold), test(test_no_crumbs),
		test(test_under_way), test(test_stuck),
		test(test_stuck_but_moving), test(test_slow_is_not_stuck), test(test_lost_order),
		test(test_order_is_not_repeated),
		test(test_need_grows_on_the_way),
		test(test_room), test(test_room_crumb), test(test_room_hopeless), test(test_room_held),
		test(test_rooms_do_not_share), test(test_room_on_node),
		test(test_growing), test(test_no_growing),
		test(test_grows_to_maximum), test(test_probing),
		test(test_dry_run), test(test_release),
		test(test_release_room), test(test_random),
		test(test_sim_noise),
		test(test_sim_move_1s), test(test_sim_move_5s),
		test(test_sim_liars), test(test_sim_operator),
		test(test_sim_autodeflate), test(test_sim_restart),
		test(test_sim_probing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
