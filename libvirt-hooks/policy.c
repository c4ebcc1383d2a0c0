// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy: each guest is judged on its own first; then, for each pool, memory
 * is given for pressure, taken for the reserve, taken for guests that start, and
 * given back if there is plenty, in this order. Then orders are made of it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

#define SECOND		1000ull
#define HOUR		(3600 * SECOND)

#define STUCK_TIME	(30 * SECOND)	/* an order has no effect for so long */
#define SLOWEST		(16 * KIB_PER_MIB)	/* a balloon fills faster, per s */
#define USE_TIME	(30 * SECOND)	/* memory that was given is used by then */
#define RATE_TIME	(10 * SECOND)	/* config.rate is for that long */
#define STALE_TIME	(30 * SECOND)	/* if nobody knows the guest's period */
#define PROBE_WAIT	(60 * SECOND)
#define CRUMB		(2 * KIB_PER_MIB)	/* less is not worth an order */
#define HEADROOM_LEAST	(64 * KIB_PER_MIB)
#define GROW_LEAST	(64 * KIB_PER_MIB)	/* above the reserve */
#define WANT_LEAST	(128 * KIB_PER_MIB)
#define FILL_RATE	(512 * KIB_PER_MIB)	/* by programs, per s */

/* Signs of pressure, a second; probing takes a tenth of each as one. */
#define SIGN_SWAP_IN	64		/* KiB */
#define SIGN_FAULTS	100
#define SIGN_PSI_SOME	1000		/* 1/100 % */
#define SIGN_PSI_FULL	200
#define PROBE_SHARPER	10

#define SIZE(kib)	size_text(kib, (char[SIZE_TEXT]){ 0 })

/* One pool in a pass. */
struct pass {
	const struct snapshot *s;
	struct decision *d;
	const struct pool *pool;
	unsigned int index;
	uint64_t critical, band;	/* of its reserve */
	uint64_t unit;			/* of targets */
	uint64_t found;			/* available */
	uint64_t avail;			/* the same without what is spoken for */
	uint64_t given;			/* of it to guests, and not in use yet */
	uint64_t coming;		/* what orders under way will free */
	uint64_t unserved;		/* guests under pressure want so much more */
	bool urgent;			/* the host is critical */
	bool wanted;			/* some guest is under pressure */
};

static const char *const state_names[] = {
	[GUEST_MANAGED] = "managed",
	[GUEST_PRESSURE] = "pressure",
	[GUEST_UNMANAGED] = "unmanaged",
	[GUEST_PAUSED] = "paused",
	[GUEST_OVERRIDE] = "override",
	[GUEST_NO_STATS] = "no-statistics",
	[GUEST_STALE] = "stale",
	[GUEST_IMPOSSIBLE] = "impossible",
	[GUEST_SILENT] = "silent",
	[GUEST_BAD_SETTINGS] = "bad-settings",
	[GUEST_STARTING] = "starting",
};

const char *state_name(enum state state)
{
	return state_names[state];
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return min_u64(max_u64(value, least), most);
}

static bool recent(uint64_t now, uint64_t when, uint64_t span)
{
	return when && less(now, when) < span;
}

static void __attribute__((format(printf, 2, 3)))
say(struct guest_decision *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(d->why, sizeof(d->why), format, ap);
	va_end(ap);
}

static bool has(const struct guest *g, enum statistic stat)
{
	return g->have & 1u << stat;
}

/* It can defend itself: its kernel gets memory out of the balloon. */
static bool is_protected(const struct guest *g)
{
	return g->autodeflate || has(g, STAT_FLOOR);
}

static bool probes(const struct guest *g)
{
	return g->settings.probe && is_protected(g);
}

/* QEMU's RSS does not count huge pages of a pool. */
static uint64_t rss_of(const struct guest *g)
{
	return g->pool ? 0 : g->rss;
}

/* Smaller moves of a balloon are not worth to be judged. */
static uint64_t slop(const struct guest *g)
{
	return max_u64(4 * KIB_PER_MIB, g->maximum / 1000);
}

/* --- statistics */

static bool no_stats(const struct guest *g)
{
	return !has(g, STAT_USABLE) && !has(g, STAT_UNUSED);
}

/* What can be used without swapping. MemFree counts caches as in use. */
static uint64_t stat_usable(const struct guest *g)
{
	return has(g, STAT_USABLE) ? g->stat[STAT_USABLE] : g->stat[STAT_UNUSED];
}

static bool is_stale(const struct snapshot *s, const struct guest *g)
{
	uint64_t period = max_u64(s->config->statistics_period, g->period);

	return g->stats_age > (period ? 3 * period + 5 * SECOND : STALE_TIME);
}

static bool more_than(const struct guest *g, enum statistic stat, uint64_t most)
{
	return has(g, stat) && g->stat[stat] > most;
}

static bool impossible_size(const struct guest *g)
{
	return !g->actual || g->actual > g->maximum + slop(g);
}

static bool is_impossible(const struct guest *g)
{
	uint64_t most = g->maximum + g->maximum / 100;
	uint64_t all = has(g, STAT_AVAILABLE) ? g->stat[STAT_AVAILABLE] : most;

	return impossible_size(g) ||
	       more_than(g, STAT_AVAILABLE, most) ||
	       more_than(g, STAT_USABLE, all) || more_than(g, STAT_UNUSED, all) ||
	       more_than(g, STAT_FLOOR, most) ||
	       more_than(g, STAT_SHORTFALL, most) ||
	       more_than(g, STAT_FREE_BLOCKS, most) ||
	       more_than(g, STAT_HUGE_SHARE, 100 * 100);
}

static bool usual_stats(const struct snapshot *s, const struct guest *g)
{
	return !g->silent && !no_stats(g) && !is_stale(s, g) &&
	       !is_impossible(g);
}

static bool in_both(const struct guest *g, const struct memory *m,
		    enum statistic stat)
{
	return g->have & m->have & 1u << stat;
}

/* How much a counter grew, per second times @factor, since the last ones. */
static uint64_t growth(const struct guest *g, const struct memory *m,
		       enum statistic stat, uint64_t factor)
{
	uint64_t ms = less(g->stats_when, m->stats_when);

	if (!in_both(g, m, stat) || !ms || !m->stats_when)
		return 0;
	return (unsigned __int128)less(g->stat[stat], m->stat[stat]) * factor *
	       SECOND / ms;
}

/* Counters start at 0 when the guest boots. */
static bool rebooted(const struct guest *g, const struct memory *m)
{
	static const enum statistic counters[] = {
		STAT_SWAP_IN, STAT_MAJOR_FAULTS, STAT_HUGE_FAILURES,
		STAT_PSI_SOME, STAT_PSI_FULL,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++)
		if (in_both(g, m, counters[i]) &&
		    g->stat[counters[i]] < m->stat[counters[i]])
			return true;
	return false;
}

/* --- what is remembered */

static void forget_order(struct memory *m)
{
	m->target = 0;
	m->before = 0;
	m->moved_when = 0;
}

static void forget_pressure(struct memory *m)
{
	m->pressure[0] = 0;
	m->want = 0;
}

static void begin(const struct snapshot *s, const struct guest *g,
		  struct memory *m)
{
	if (m->when)
		return;
	m->begun = g->started && g->started < s->now ? g->started : s->now;
	m->actual = g->actual;
	m->lowest = g->actual;
	m->highest = g->actual;
	m->rss = rss_of(g);
	m->tight_when = s->now;
}

/* A balloon is empty after a boot, and fills again to its target. */
static void begin_again(const struct snapshot *s, struct memory *m)
{
	m->begun = s->now;
	m->settled = false;
	m->granted = 0;
	forget_order(m);
	forget_pressure(m);
}

/* What counts of a budget, and of huge pages, is what guests have, not use. */
static bool by_size(const struct snapshot *s, const struct guest *g)
{
	return g->pool || s->config->budget.kib || s->config->budget.share;
}

/*
 * What was given counts as in use when the balloon has given it, if sizes count;
 * or as QEMU grows; or after a while.
 */
static void use_granted(const struct snapshot *s, const struct guest *g,
			struct memory *m)
{
	if (!by_size(s, g))
		m->granted = less(m->granted, m->rss ? less(rss_of(g), m->rss) : 0);
	else if (!m->target)
		m->granted = less(m->granted, less(g->actual, m->actual));
	else if (m->granted)
		m->granted = less(m->target, g->actual);
	if (!recent(s->now, m->granted_when, USE_TIME))
		m->granted = 0;
	m->rss = rss_of(g);
}

/* --- pressure */

static uint64_t headroom(const struct guest *g, uint64_t used)
{
	return max_u64(HEADROOM_LEAST, amount_of(g->settings.headroom, used));
}

/*
 * What the guest must keep. Its own floor and ours are both there; a minimum
 * larger than the guest is one that can't be had.
 */
static uint64_t low_of(const struct guest *g, const struct memory *m)
{
	uint64_t low = m->used + headroom(g, m->used);

	if (has(g, STAT_FLOOR))
		low = max_u64(low, m->used + g->stat[STAT_FLOOR]);
	low = max_u64(low, amount_of(g->settings.minimum, g->maximum));
	return min_u64(low, g->maximum);
}

/* That is no sign where usable is not known: free memory is always little. */
static bool nothing_left(const struct guest *g, const struct guest_work *w)
{
	return has(g, STAT_USABLE) && w->usable < w->headroom / 2;
}

/* What shows pressure, if anything does; @sharper divides the limits. */
static bool find_signs(const struct guest *g, const struct memory *m,
		       const struct guest_work *w, unsigned int sharper,
		       char text[64])
{
	uint64_t swap = growth(g, m, STAT_SWAP_IN, 1);
	uint64_t faults = growth(g, m, STAT_MAJOR_FAULTS, 1);
	uint64_t some = growth(g, m, STAT_PSI_SOME, 1) / 100;
	uint64_t full = growth(g, m, STAT_PSI_FULL, 1) / 100;

	text[0] = 0;
	if (nothing_left(g, w))
		snprintf(text, 64, "has only %s usable", SIZE(w->usable));
	else if (swap > SIGN_SWAP_IN / sharper)
		snprintf(text, 64, "swaps in %s/s", SIZE(swap));
	else if (faults > SIGN_FAULTS / sharper && w->usable < 2 * w->headroom)
		snprintf(text, 64, "has %llu major faults/s",
			 (unsigned long long)faults);
	else if (some > SIGN_PSI_SOME / sharper || full > SIGN_PSI_FULL / sharper)
		snprintf(text, 64, "is stalled on memory %llu%% of the time",
			 (unsigned long long)(max_u64(some, full) / 100));
	else if (growth(g, m, STAT_HUGE_FAILURES, SECOND) && w->size < g->maximum)
		snprintf(text, 64, "could not allocate huge pages");
	return text[0];
}

/* The balloon is larger than the guest can bear, says its driver. */
static bool cannot_bear(const struct guest *g, char text[64])
{
	uint64_t reason = g->stat[STAT_SHORTFALL_REASON];

	if (!has(g, STAT_SHORTFALL) || !has(g, STAT_SHORTFALL_REASON) ||
	    !g->stat[STAT_SHORTFALL] || (reason != 1 && reason != 2))
		return false;
	snprintf(text, 64, "gives %s less than ordered",
		 SIZE(g->stat[STAT_SHORTFALL]));
	return true;
}

/*
 * The answer to a step of probing is to give back twice as much, whatever else
 * shows pressure: the next statistics tell whether that was enough.
 */
static bool probe_failed(const struct snapshot *s, const struct guest *g,
			 struct guest_decision *d)
{
	struct memory *m = &d->memory;
	char text[64];

	if (!probes(g) || !find_signs(g, m, &d->work, PROBE_SHARPER, text))
		return false;
	if (!m->probe_step) {
		/* Not a good time for the next step. */
		m->probe_when = s->now;
		return false;
	}
	memcpy(m->pressure, text, sizeof(text));
	m->want = max_u64(d->low, d->work.size + 2 * m->probe_step);
	m->probe_wait = clamp(2 * m->probe_wait, PROBE_WAIT, HOUR);
	m->probe_when = s->now;
	m->probe_step = 0;
	return true;
}

/*
 * How much more it wants. If nothing is left, what its programs can fill until
 * statistics come again: else it follows in steps, and waits before each.
 */
static uint64_t want_more(const struct guest *g, const struct memory *m,
			  const struct guest_work *w)
{
	uint64_t more = max_u64(w->size / 4, WANT_LEAST);
	uint64_t ms = less(g->stats_when, m->stats_when);

	if (!nothing_left(g, w) || !m->stats_when)
		return more;
	return max_u64(more, FILL_RATE * min_u64(ms, 10 * SECOND) / SECOND);
}

static void judge_pressure(const struct snapshot *s, const struct guest *g,
			   struct guest_decision *d)
{
	const struct guest_work *w = &d->work;
	struct memory *m = &d->memory;

	forget_pressure(m);
	if (probe_failed(s, g, d)) {
		;
	} else if (find_signs(g, m, w, 1, m->pressure)) {
		m->want = max_u64(d->low + w->headroom,
				  w->size + want_more(g, m, w));
	} else if (cannot_bear(g, m->pressure)) {
		m->want = w->size;
	} else {
		return;
	}
	m->want = min_u64(m->want, g->maximum);
	m->pressure_when = s->now;
}

/*
 * The balloon may have moved since the guest made the statistics, so what it
 * used lies between two bounds. What it used before is likely, if it does too.
 */
static uint64_t judge_used(const struct guest *g, const struct memory *m)
{
	uint64_t most = less(m->highest, stat_usable(g));

	if (!m->have)
		return most;
	return clamp(m->used, less(m->lowest, stat_usable(g)), most);
}

static void look_at_size(const struct snapshot *s, const struct guest *g,
			 struct guest_decision *d)
{
	struct memory *m = &d->memory;
	struct guest_work *w = &d->work;

	if (!s->dry_run)
		m->ghost = 0;
	w->size = m->ghost ? m->ghost : g->actual;
	w->headroom = headroom(g, m->used);
	w->usable = m->ghost ? less(w->size, m->used) : stat_usable(g);
}

/* Statistics are looked at once: seen again they show nothing new. */
static void learn(const struct snapshot *s, const struct guest *g,
		  struct guest_decision *d)
{
	struct memory *m = &d->memory;

	m->lowest = min_u64(m->lowest, g->actual);
	m->highest = max_u64(m->highest, g->actual);
	look_at_size(s, g, d);
	if (!usual_stats(s, g))
		return;
	if (g->stats_when != m->stats_when || !m->have) {
		m->used = judge_used(g, m);
		look_at_size(s, g, d);
		d->low = low_of(g, m);
		if (rebooted(g, m))
			begin_again(s, m);
		else
			judge_pressure(s, g, d);
		m->lowest = g->actual;
		m->highest = g->actual;
		m->stats_when = g->stats_when;
		m->have = g->have;
		memcpy(m->stat, g->stat, sizeof(m->stat));
	}
	d->low = low_of(g, m);
}

/* --- who moved the balloon */

/* The guest took memory out of its balloon, because it had to. */
static void own_move(const struct snapshot *s, const struct guest *g,
		     struct guest_decision *d)
{
	struct memory *m = &d->memory;

	snprintf(m->pressure, sizeof(m->pressure), "took %s back by itself",
		 SIZE(less(g->actual, m->actual)));
	m->pressure_when = s->now;
	m->want = max_u64(m->want, g->actual);
	m->ghost = 0;
	m->moved_when = 0;
	m->actual = g->actual;
}

static void yield(const struct guest *g, struct memory *m)
{
	m->override = true;
	m->ghost = 0;
	m->moved_when = 0;
	m->actual = g->actual;
}

/*
 * Larger than it should be. After a reboot a balloon is empty for a while, which
 * only statistics that were made later can show.
 */
static void moved_up(const struct snapshot *s, const struct guest *g,
		     struct guest_decision *d)
{
	struct memory *m = &d->memory;

	if (!m->moved_when)
		m->moved_when = s->now;
	if (!usual_stats(s, g) || less(s->now, g->stats_age) <= m->moved_when)
		return;
	if (is_protected(g))
		own_move(s, g, d);
	else
		yield(g, m);
}

/*
 * libvirt tells what a guest has, not what it was ordered to have. It moves
 * between what it had, what was ordered last, and what was ordered before. It
 * never gives more than that by itself. It may take back some if it can.
 */
static void judge_move(const struct snapshot *s, const struct guest *g,
		       struct guest_decision *d)
{
	struct memory *m = &d->memory;
	uint64_t low = m->actual, high = m->actual;

	if (m->target) {
		low = min_u64(low, m->target);
		high = max_u64(high, m->target);
	}
	if (m->before) {
		low = min_u64(low, m->before);
		high = max_u64(high, m->before);
	}
	if (g->actual + slop(g) < low) {
		yield(g, m);
	} else if (g->actual > high + slop(g)) {
		moved_up(s, g, d);
	} else {
		m->moved_when = 0;
		m->actual = g->actual;
	}
}

static bool at_target(const struct guest *g, const struct memory *m)
{
	return g->actual <= m->target + slop(g) &&
	       m->target <= g->actual + slop(g);
}

static void watch_balloon(const struct snapshot *s, const struct guest *g,
			  struct guest_decision *d)
{
	struct memory *m = &d->memory;
	bool rested = m->steady_since || m->moved_when;

	if (g->actual != m->actual)
		m->steady_since = 0;
	else if (!m->steady_since)
		m->steady_since = s->now;
	if (!m->settled && s->now - m->begun >= s->config->hold &&
	    m->steady_since && m->steady_since < s->now)
		m->settled = true;
	/* Without an order of ours, one of somebody else may be under way. */
	if (m->settled && !m->override && (m->target || rested))
		judge_move(s, g, d);
	else
		m->actual = g->actual;
	if (at_target(g, m))
		m->before = 0;
}

/* Its balloon stands still, or creeps as no balloon does that obeys. */
static bool is_stuck(const struct snapshot *s, const struct guest *g,
		     const struct memory *m)
{
	uint64_t since = max_u64(m->steady_since, m->target_when);
	uint64_t moved = less(m->from, g->actual) + less(g->actual, m->from);

	return (m->steady_since && s->now - since > STUCK_TIME) ||
	       s->now - m->target_when > STUCK_TIME + moved * SECOND / SLOWEST;
}

/*
 * What it has when it has obeyed. An order to give is not left standing if the
 * guest does not obey: it would, some day, when nobody expects that any more.
 */
static void judge_order(const struct snapshot *s, const struct guest *g,
			struct guest_decision *d)
{
	struct memory *m = &d->memory;
	struct guest_work *w = &d->work;

	w->base = w->size;
	if (s->dry_run || !m->target || at_target(g, m) ||
	    (d->state != GUEST_MANAGED && d->state != GUEST_PRESSURE))
		return;
	if (is_stuck(s, g, m)) {
		w->stop = m->target < g->actual;
		if (w->stop)
			m->stuck_when = s->now;
	} else if (m->target > g->actual) {
		w->base = m->target;
	} else if (d->state == GUEST_PRESSURE) {
		w->stop = true;
	} else {
		w->base = clamp(d->low, m->target, g->actual);
		w->stop = w->base > m->target + slop(g);
	}
	w->stop_at = w->base;
}

/* --- states */

/*
 * What people decided goes first, then what is needed to see what somebody else
 * decided, then what is needed to know the guest. A guest that starts gets
 * memory for pressure; but not while it is open who moved its balloon.
 */
static enum state judge_state(const struct snapshot *s, const struct guest *g,
			      const struct memory *m)
{
	if (!g->has_balloon)
		return GUEST_UNMANAGED;
	if (g->bad_settings)
		return GUEST_BAD_SETTINGS;
	if (!g->settings.manage)
		return GUEST_UNMANAGED;
	if (g->paused)
		return GUEST_PAUSED;
	if (g->silent)
		return GUEST_SILENT;
	if (m->override)
		return GUEST_OVERRIDE;
	if (no_stats(g))
		return GUEST_NO_STATS;
	if (is_impossible(g))
		return GUEST_IMPOSSIBLE;
	if (is_stale(s, g))
		return GUEST_STALE;
	if (m->moved_when)
		return GUEST_STARTING;
	if (m->pressure[0])
		return GUEST_PRESSURE;
	return m->settled ? GUEST_MANAGED : GUEST_STARTING;
}

static void explain_state(const struct guest *g, struct guest_decision *d)
{
	uint64_t size = d->work.size;

	switch (d->state) {
	case GUEST_UNMANAGED:
		say(d, "is left alone: %s", g->has_balloon ?
		    "manage is no" : "it has no balloon");
		break;
	case GUEST_PAUSED:
		say(d, "keeps %s: it is paused until 'ballastctl resume'",
		    SIZE(size));
		break;
	case GUEST_OVERRIDE:
		say(d, "keeps %s: somebody else moved its balloon; left alone until 'ballastctl resume'",
		    SIZE(size));
		break;
	case GUEST_NO_STATS:
		say(d, "keeps %s: the guest sends no statistics", SIZE(size));
		break;
	case GUEST_STALE:
		say(d, "keeps %s: its statistics are %llu s old", SIZE(size),
		    (unsigned long long)(g->stats_age / SECOND));
		break;
	case GUEST_IMPOSSIBLE:
		say(d, "keeps %s: its statistics can't be true for a guest of at most %s",
		    SIZE(size), SIZE(g->maximum));
		break;
	case GUEST_SILENT:
		say(d, "keeps %s: its QEMU does not answer", SIZE(size));
		break;
	case GUEST_BAD_SETTINGS:
		say(d, "keeps %s: its metadata can't be read", SIZE(size));
		break;
	case GUEST_STARTING:
		say(d, "keeps %s: %s", SIZE(size), d->memory.moved_when ?
		    "its balloon moved, and statistics must show whether it rebooted" :
		    "it has not been known for long enough yet (hold)");
		break;
	case GUEST_PRESSURE:
		say(d, "keeps %s although it %s: %s", SIZE(size),
		    d->memory.pressure, size < g->maximum ?
		    "that is what there is for it" : "that is all it can have");
		break;
	case GUEST_MANAGED:
		break;
	}
}

static void judge_regret(const struct snapshot *s, struct guest_decision *d)
{
	struct memory *m = &d->memory;

	m->regret = m->ghost ? less(m->used, m->ghost) : 0;
	m->regret_most = max_u64(m->regret_most, m->regret);
	if (m->regret && m->when)
		m->regret_time += less(s->now, m->when);
}

static void judge(const struct snapshot *s, const struct guest *g,
		  struct guest_decision *d)
{
	struct memory *m = &d->memory;

	memset(d, 0, sizeof(*d));
	*m = g->memory;
	begin(s, g, m);
	if (g->resumed)
		m->override = false;
	if (g->resumed || g->paused) {
		forget_order(m);
		m->steady_since = 0;
	}
	learn(s, g, d);
	if (!g->silent && !impossible_size(g)) {
		use_granted(s, g, m);
		watch_balloon(s, g, d);
	}
	look_at_size(s, g, d);
	d->state = judge_state(s, g, m);
	judge_order(s, g, d);
	d->idle = d->low ? less(d->work.base, d->low) : 0;
	if (recent(s->now, m->stuck_when, s->config->hold))
		d->idle = 0;
	if (d->state == GUEST_PRESSURE)
		memcpy(d->pressure, m->pressure, sizeof(d->pressure));
	judge_regret(s, d);
	explain_state(g, d);
}

/* --- sharing out */

#define for_each_guest(p, i) \
	for ((i) = 0; (i) < (p)->s->nr_guests; (i)++) \
		if ((p)->s->guests[i].pool != (p)->index) { } else

static void clear_caps(struct pass *p)
{
	unsigned int i;

	for (i = 0; i < p->s->nr_guests; i++) {
		struct guest_work *w = &p->d->guests[i].work;

		w->cap = 0;
		w->part = 0;
		w->weight = 0;
	}
}

/* In proportion to the weights, up to the caps. */
static uint64_t fill(struct pass *p, uint64_t amount)
{
	uint64_t left = amount, now;
	unsigned __int128 total;
	struct guest_work *w;
	unsigned int i;
	bool again;

	for_each_guest(p, i)
		p->d->guests[i].work.full = !p->d->guests[i].work.weight;
	do {
		total = 0;
		for_each_guest(p, i)
			if (!p->d->guests[i].work.full)
				total += p->d->guests[i].work.weight;
		now = left;
		again = false;
		for_each_guest(p, i) {
			w = &p->d->guests[i].work;
			if (w->full)
				continue;
			w->part = (unsigned __int128)now * w->weight / total;
			if (w->part < w->cap)
				continue;
			w->part = w->cap;
			w->full = true;
			left -= w->cap;
			again = true;
		}
	} while (again);
	return amount - left;
}

/*
 * The same, but nobody gets crumbs: those who would get the least are left out
 * until the others get enough.
 */
static void share_out(struct pass *p, uint64_t amount)
{
	struct guest_work *w, *least;
	unsigned int i;

	do {
		fill(p, amount);
		least = NULL;
		for_each_guest(p, i) {
			w = &p->d->guests[i].work;
			if (w->weight && w->part < p->unit &&
			    (!least || w->part < least->part))
				least = w;
		}
		if (least) {
			least->weight = 0;
			least->part = 0;
		}
	} while (least);
}

/* --- what there is */

/* What QEMU would hold less now if it were a dry run no more. */
static uint64_t would_free(const struct snapshot *s, const struct guest *g,
			   const struct memory *m)
{
	uint64_t given = less(g->actual, m->ghost);

	if (!m->ghost)
		return 0;
	if (by_size(s, g) || !rss_of(g))
		return given;
	return min_u64(given, less(g->rss, m->used));
}

static void look_at_pool(struct pass *p, const struct snapshot *s,
			 struct decision *d, unsigned int index)
{
	const struct config *config = s->config;
	unsigned int i;

	memset(p, 0, sizeof(*p));
	p->s = s;
	p->d = d;
	p->index = index;
	p->pool = &s->pools[index];
	p->critical = amount_of(config->critical, p->pool->reserve);
	p->band = amount_of(config->dead_band, p->pool->reserve);
	p->unit = max_u64(CRUMB, p->pool->page);
	p->found = p->pool->avail;
	for_each_guest(p, i)
		p->found += would_free(s, &s->guests[i], &d->guests[i].memory);
	for_each_guest(p, i) {
		const struct guest_decision *g = &d->guests[i];

		p->given += g->memory.granted;
		if (g->work.base < g->work.size)
			p->coming += g->work.size - g->work.base;
		if (g->state == GUEST_PRESSURE && g->memory.want > g->work.base)
			p->wanted = true;
	}
	p->avail = less(p->found, p->given);
	for (i = 0; i < s->nr_rooms; i++)
		if (s->rooms[i].held && s->rooms[i].pool == index)
			p->avail = less(p->avail, s->rooms[i].size);
}

static uint64_t use_coming(struct pass *p, uint64_t need)
{
	uint64_t used = min_u64(need, p->coming);

	p->coming -= used;
	return need - used;
}

/* --- pressure: at once, down to half of what is critical */

static void serve_pressure(struct pass *p)
{
	uint64_t spare = less(p->avail, p->critical / 2);
	struct guest_decision *d;
	uint64_t wanted = 0;
	unsigned int i;

	clear_caps(p);
	for_each_guest(p, i) {
		d = &p->d->guests[i];
		if (d->state != GUEST_PRESSURE)
			continue;
		d->work.cap = less(d->memory.want, d->work.base);
		if (d->work.cap < p->unit)
			continue;
		d->work.weight = p->s->guests[i].settings.shares;
		wanted += d->work.cap;
	}
	share_out(p, spare);
	for_each_guest(p, i) {
		d = &p->d->guests[i];
		if (!d->work.part)
			continue;
		d->work.grow = d->work.part;
		p->avail -= d->work.part;
		p->given += d->work.part;
		wanted -= d->work.part;
		say(d, "grows by %s: it %s, and the host has %s available",
		    SIZE(d->work.part), d->memory.pressure, SIZE(p->found));
	}
	p->unserved = wanted < p->unit ? 0 : wanted;
	p->d->waiting |= p->unserved;
}

/* --- taking */

/* So much that the rate allows; a small guest waits until that is no crumb. */
static uint64_t allowance(const struct snapshot *s, const struct guest *g,
			  const struct memory *m)
{
	uint64_t rate = amount_of(s->config->rate, g->maximum);
	uint64_t span = RATE_TIME;
	uint64_t since = max_u64(m->shrunk_when, m->begun);

	if (!rate)
		return 0;
	if (rate < CRUMB)
		span = RATE_TIME * CRUMB / rate + 1;
	return rate * min_u64(s->now - since, span) / RATE_TIME;
}

/*
 * What a guest may be asked for. If the host is critical, one that has had
 * pressure or has grown lately gives, too, but it keeps some more.
 */
static uint64_t takeable(const struct snapshot *s, const struct guest *g,
			 const struct guest_decision *d, bool urgent)
{
	const struct memory *m = &d->memory;
	uint64_t idle = less(d->idle, d->work.give);
	uint64_t hold = s->config->hold;

	if (d->state != GUEST_MANAGED || d->work.stop)
		return 0;
	if (recent(s->now, m->pressure_when, hold))
		return urgent ? less(idle, d->work.headroom) : 0;
	if (urgent)
		return idle;
	if (recent(s->now, m->grown_when, hold))
		return 0;
	return min_u64(idle, less(allowance(s, g, m), d->work.give));
}

static bool on_nodes(uint64_t some, uint64_t others)
{
	return !some || !others || (some & others);
}

static uint64_t take_some(struct pass *p, uint64_t amount, bool urgent,
			  uint64_t nodes, bool blocks)
{
	const struct guest *g;
	struct guest_work *w;
	uint64_t taken = 0;
	unsigned int i;

	clear_caps(p);
	for_each_guest(p, i) {
		g = &p->s->guests[i];
		w = &p->d->guests[i].work;
		if (!on_nodes(nodes, g->nodes))
			continue;
		w->cap = takeable(p->s, g, &p->d->guests[i], urgent);
		if (blocks)
			w->cap = has(g, STAT_FREE_BLOCKS) ?
				min_u64(w->cap, g->stat[STAT_FREE_BLOCKS]) : 0;
		if (w->cap >= p->unit)
			w->weight = w->cap * 1024 / g->settings.shares + 1;
	}
	share_out(p, amount);
	for_each_guest(p, i) {
		w = &p->d->guests[i].work;
		w->give += w->part;
		taken += w->part;
	}
	return taken;
}

/* Guests with whole blocks to give first. */
static uint64_t take(struct pass *p, uint64_t amount, bool urgent, uint64_t nodes)
{
	uint64_t taken = take_some(p, amount, urgent, nodes, true);

	return taken + take_some(p, amount - taken, urgent, nodes, false);
}

static void serve_reserve(struct pass *p)
{
	bool *taking = &p->d->taking[p->index];
	uint64_t goal = p->pool->reserve + p->band;
	struct guest_decision *d;
	uint64_t need;
	unsigned int i;

	*taking = p->s->taking[p->index];
	if (p->avail < p->pool->reserve)
		*taking = true;
	else if (p->avail >= goal)
		*taking = false;
	p->urgent = p->avail < p->critical || p->unserved;
	need = p->unserved + (*taking ? goal : 0);
	need = use_coming(p, less(need, p->avail));
	if (!need || !take(p, need, p->urgent, 0))
		return;
	for_each_guest(p, i) {
		d = &p->d->guests[i];
		if (d->work.give)
			say(d, "shrinks by %s: the host has %s available and should have %s; %s of this guest are idle",
			    SIZE(d->work.give), SIZE(p->found),
			    SIZE(goal + p->unserved), SIZE(d->idle));
	}
}

/* --- rooms */

/* What a room can have, without what others have that came before it. */
static uint64_t room_avail(const struct pass *p, unsigned int index)
{
	const struct room *rooms = p->s->rooms, *room = &rooms[index];
	uint64_t avail = less(p->found, p->given), there = 0;
	unsigned int i;

	if (room->nodes && p->pool->nodes) {
		for (i = 0; i < p->pool->nodes && i < MAX_NODES; i++)
			if (room->nodes & 1ull << i)
				there += p->pool->node_avail[i];
		avail = min_u64(avail, there);
	}
	for (i = 0; i < p->s->nr_rooms; i++)
		if (i != index && (rooms[i].held || i < index) &&
		    rooms[i].pool == p->index &&
		    on_nodes(rooms[i].nodes, room->nodes))
			avail = less(avail, rooms[i].size);
	return less(avail, p->critical);
}

static void take_for_room(struct pass *p, const struct room *room,
			  struct room_decision *r)
{
	uint64_t need = use_coming(p, r->missing), taken = 0;
	struct guest_decision *d;
	unsigned int i, givers = 0;

	/* Some more, for what is lost by rounding. */
	if (need)
		taken = take(p, need + 2 * p->unit, true, room->nodes);
	for_each_guest(p, i) {
		d = &p->d->guests[i];
		if (!d->work.give || !taken)
			continue;
		givers++;
		say(d, "shrinks by %s to make room for %s, which needs %s",
		    SIZE(d->work.give), room->name, SIZE(room->size));
	}
	snprintf(r->why, sizeof(r->why),
		 "%s is missing; %u guests are told to give %s now",
		 SIZE(r->missing), givers, SIZE(taken));
}

static void serve_room(struct pass *p, unsigned int index)
{
	const struct room *room = &p->s->rooms[index];
	struct room_decision *r = &p->d->rooms[index];
	unsigned int i;

	r->missing = room->held ? 0 : less(room->size, room_avail(p, index));
	r->ready = !r->missing;
	if (r->ready) {
		snprintf(r->why, sizeof(r->why), "there is room");
		return;
	}
	r->obtainable = p->coming;
	for_each_guest(p, i)
		if (!p->s->releasing &&
		    on_nodes(room->nodes, p->s->guests[i].nodes))
			r->obtainable += takeable(p->s, &p->s->guests[i],
						  &p->d->guests[i], true);
	r->hopeless = r->obtainable < r->missing;
	if (r->hopeless)
		snprintf(r->why, sizeof(r->why),
			 "%s is missing, and other guests can give %s: nothing is taken",
			 SIZE(r->missing), SIZE(r->obtainable));
	else
		take_for_room(p, room, r);
}

/* --- growing */

/* Some rooms are not ready, or nobody has looked yet whether it was kept. */
static bool room_waits(const struct pass *p)
{
	unsigned int i;

	for (i = 0; i < p->s->nr_rooms; i++)
		if (p->s->rooms[i].pool == p->index && !p->s->rooms[i].held)
			return true;
	return false;
}

static bool may_grow(const struct pass *p, const struct guest *g,
		     const struct guest_decision *d)
{
	uint64_t hold = p->s->config->hold, now = p->s->now;
	const struct memory *m = &d->memory;

	/* What probing got would be taken again, step by step. */
	return d->state == GUEST_MANAGED && !d->work.give && !d->work.stop &&
	       !probes(g) && !recent(now, m->shrunk_when, hold) &&
	       !recent(now, m->stuck_when, hold) &&
	       !recent(now, m->tight_when, hold);
}

/*
 * Only if there was enough for as long as hold: where that comes and goes guests
 * would, too.
 */
static void serve_plenty(struct pass *p)
{
	uint64_t enough = p->pool->reserve + max_u64(2 * p->band, GROW_LEAST);
	struct guest_decision *d;
	const struct guest *g;
	unsigned int i;

	for_each_guest(p, i)
		if (p->avail <= enough)
			p->d->guests[i].memory.tight_when = p->s->now;
	if (p->avail <= enough || p->wanted || room_waits(p))
		return;
	clear_caps(p);
	for_each_guest(p, i) {
		uint64_t missing;

		g = &p->s->guests[i];
		d = &p->d->guests[i];
		missing = less(g->maximum, d->work.base);
		if (missing < p->unit || !may_grow(p, g, d))
			continue;
		d->work.cap = min_u64(missing, g->maximum / 20);
		d->work.weight = missing * g->settings.shares;
	}
	share_out(p, (p->avail - enough) / 2);
	for_each_guest(p, i) {
		d = &p->d->guests[i];
		/* Ever smaller steps would come to no end. */
		if (d->work.part < d->work.cap &&
		    d->work.part < p->s->guests[i].maximum / 256)
			d->work.part = 0;
		d->work.grow += d->work.part;
		if (d->work.part)
			say(d, "grows by %s: the host has %s available and needs no more than %s",
			    SIZE(d->work.part), SIZE(p->found), SIZE(enough));
	}
}

/* --- probing */

static void probe_guest(const struct pass *p, const struct guest *g,
			struct guest_decision *d)
{
	struct memory *m = &d->memory;
	uint64_t now = p->s->now, step = max_u64(g->maximum / 100, CRUMB);

	if (!probes(g) || d->state != GUEST_MANAGED || d->work.stop ||
	    d->work.give || d->work.grow || d->work.base != d->work.size ||
	    d->idle < step || recent(now, m->pressure_when, p->s->config->hold))
		return;
	if (!m->probe_wait)
		m->probe_wait = PROBE_WAIT;
	if (recent(now, m->probe_when, m->probe_wait) ||
	    less(now, g->stats_age) <= m->probe_when)
		return;
	if (m->probe_step)
		m->probe_wait = max_u64(m->probe_wait / 2, PROBE_WAIT);
	m->probe_step = step;
	m->probe_when = now;
	d->work.give = step;
	say(d, "shrinks by %s to see whether it needs that: %s are idle",
	    SIZE(step), SIZE(d->idle));
}

/* --- orders */

static uint64_t order_of(const struct guest *g, const struct guest_work *w,
			 uint64_t unit)
{
	uint64_t target;

	if (w->grow) {
		target = g->maximum;
		if (w->base + w->grow < g->maximum)
			target = (w->base + w->grow) / unit * unit;
		return target > w->base ? target : 0;
	}
	if (!w->give && !w->stop)
		return 0;
	target = w->give ? w->base - w->give : w->stop_at;
	target = min_u64((target + unit - 1) / unit * unit, g->maximum);
	return w->stop || target < w->base ? target : 0;
}

/* It may have got lost on its way: then it is given again. */
static bool is_ordered(const struct snapshot *s, const struct guest *g,
		       const struct memory *m, uint64_t target)
{
	return !s->dry_run && m->target == target &&
	       (at_target(g, m) || !is_stuck(s, g, m));
}

static void give_order(const struct snapshot *s, const struct guest *g,
		       struct guest_decision *d, uint64_t target)
{
	struct memory *m = &d->memory;

	if (!s->dry_run && target > d->work.base) {
		m->granted += target - d->work.base;
		m->granted_when = s->now;
	}
	if (d->work.grow)
		m->grown_when = s->now;
	else if (d->work.give)
		m->shrunk_when = s->now;
	d->target = target;
	if (s->dry_run) {
		m->ghost = target;
		return;
	}
	m->before = m->target;
	m->target = target;
	/* More orders must not hide that the first one is not obeyed. */
	if (d->work.give && d->work.base < d->work.size)
		return;
	m->target_when = s->now;
	m->from = g->actual;
}

/* Why a guest that could be moved is not. */
static void explain_rest(const struct pass *p, const struct guest *g,
			 struct guest_decision *d)
{
	const struct guest_work *w = &d->work;
	const struct memory *m = &d->memory;
	uint64_t now = p->s->now, hold = p->s->config->hold;

	if (w->stop && m->stuck_when == now)
		say(d, "stays at %s: it does not give what it was told to",
		    SIZE(w->stop_at));
	else if (w->stop)
		say(d, "stays at %s: it needs more than before",
		    SIZE(w->stop_at));
	else if (w->base != w->size)
		say(d, "has %s and is on its way to %s", SIZE(w->size),
		    SIZE(w->base));
	else if (!p->d->taking[p->index])
		say(d, "keeps %s: the host has %s available, and its reserve is %s",
		    SIZE(w->size), SIZE(p->found), SIZE(p->pool->reserve));
	else if (recent(now, m->stuck_when, hold))
		say(d, "keeps %s: it did not give what it was told to",
		    SIZE(w->size));
	else if (recent(now, m->pressure_when, hold))
		say(d, "keeps %s: it was under pressure %llu s ago",
		    SIZE(w->size),
		    (unsigned long long)((now - m->pressure_when) / SECOND));
	else if (d->idle < p->unit)
		say(d, "keeps %s: it needs %s", SIZE(w->size), SIZE(d->low));
	else
		say(d, "keeps %s: its turn to give some of %s that are idle is later",
		    SIZE(w->size), SIZE(d->idle));
}

static void order_guests(struct pass *p)
{
	struct guest_decision *d;
	const struct guest *g;
	uint64_t target;
	unsigned int i;

	for_each_guest(p, i) {
		g = &p->s->guests[i];
		d = &p->d->guests[i];
		target = order_of(g, &d->work, p->unit);
		if (target && !is_ordered(p->s, g, &d->memory, target))
			give_order(p->s, g, d, target);
		if (d->state == GUEST_MANAGED &&
		    (!d->target || (!d->work.give && !d->work.grow)))
			explain_rest(p, g, d);
	}
}

/* All of it back. That needs no statistics: a frozen guest has its part of it. */
static void release(const struct snapshot *s, const struct guest *g,
		    struct guest_decision *d)
{
	if (d->state == GUEST_UNMANAGED || d->state == GUEST_PAUSED ||
	    d->state == GUEST_OVERRIDE || d->state == GUEST_SILENT ||
	    d->state == GUEST_BAD_SETTINGS || !g->maximum)
		return;
	d->work.grow = less(g->maximum, d->work.base);
	if (d->work.size != g->maximum &&
	    !is_ordered(s, g, &d->memory, g->maximum))
		give_order(s, g, d, g->maximum);
	say(d, "gets all of its %s: everything is released", SIZE(g->maximum));
}

/* While all is released there is room of what the host has, and nobody gives any. */
static void run_pool(const struct snapshot *s, struct decision *d,
		     unsigned int index)
{
	struct pass p;
	unsigned int i;

	look_at_pool(&p, s, d, index);
	if (!s->releasing) {
		serve_pressure(&p);
		serve_reserve(&p);
	}
	for (i = 0; i < s->nr_rooms; i++)
		if (s->rooms[i].pool == index)
			serve_room(&p, i);
	if (s->releasing)
		return;
	serve_plenty(&p);
	for_each_guest(&p, i)
		probe_guest(&p, &s->guests[i], &d->guests[i]);
	order_guests(&p);
}

void policy_run(const struct snapshot *s, struct decision *d)
{
	unsigned int i;

	d->waiting = false;
	memset(d->rooms, 0, s->nr_rooms * sizeof(*d->rooms));
	memset(d->taking, 0, s->nr_pools * sizeof(*d->taking));
	for (i = 0; i < s->nr_guests; i++)
		judge(s, &s->guests[i], &d->guests[i]);
	for (i = 0; i < s->nr_guests && s->releasing; i++)
		release(s, &s->guests[i], &d->guests[i]);
	for (i = 0; i < s->nr_pools; i++)
		run_pool(s, d, i);
	for (i = 0; i < s->nr_guests; i++) {
		d->guests[i].memory.when = s->now;
		if (s->dry_run)
			d->guests[i].would_be = d->guests[i].target ?:
						d->guests[i].work.size;
	}
}
