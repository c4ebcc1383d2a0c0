/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy: how large should each guest's balloon target be?
 *
 * A pure function. What it knows is in the snapshot, the clock and what it
 * remembers of earlier passes included; what it wants, and what it wants to
 * remember, is in the decision. So it can be tested without a host, and a
 * recorded trace of snapshots can be replayed (trace.h).
 *
 * Sizes are KiB, times are ms of a clock that never goes back.
 */
#ifndef BALLAST_POLICY_H
#define BALLAST_POLICY_H

#include "config.h"

#define MAX_NODES	64

/*
 * Memory of one kind that guests can be made of: pool 0 is ordinary memory, the
 * others are huge pages of one size.
 */
struct pool {
	uint64_t page;			/* size of a page; 4 is ordinary memory */
	uint64_t total;
	uint64_t free;			/* in use by nobody; may be reserved, though */
	/*
	 * What somebody could allocate now: ordinary memory is MemAvailable
	 * without guests' shared files, or what is left of the budget; huge
	 * pages are the free ones without the reserved ones.
	 */
	uint64_t avail;
	uint64_t reserve;		/* to be kept available */
	unsigned int nodes;		/* how many there are in: */
	uint64_t node_avail[MAX_NODES];	/* the same for each node */
};

/* What the guest told; which of it: a bit mask of 1 << enum statistic. */
enum statistic {
	/* libvirt's own */
	STAT_AVAILABLE,			/* the guest's MemTotal */
	STAT_USABLE,			/* the guest's MemAvailable */
	STAT_UNUSED,			/* the guest's MemFree */
	STAT_SWAP_IN,			/* KiB since it booted */
	STAT_MAJOR_FAULTS,		/* since it booted */
	STAT_HUGE_FAILURES,		/* huge pages it failed to get, since boot */
	/* the Ballast driver's (docs/PROTOCOL.md); by QMP, if allowed */
	STAT_FLOOR,			/* what the balloon leaves usable */
	STAT_SHORTFALL,			/* what the balloon is smaller than asked */
	STAT_SHORTFALL_REASON,		/* 1 to 6, as in docs/PROTOCOL.md */
	STAT_FREE_BLOCKS,		/* KiB that are free as whole blocks */
	STAT_PSI_SOME,			/* us since it booted */
	STAT_PSI_FULL,			/* us since it booted */
	STAT_HUGE_SHARE,		/* 1/100 %: of its memory on host huge pages */
	STAT_NR
};

/* What the policy remembers of a guest from pass to pass; all 0 at first. */
struct memory {
	uint64_t when;			/* of the last pass that saw it; 0: none */
	uint64_t begun;			/* first seen, or rebooted */
	bool settled;			/* it is not starting any more */
	uint64_t stats_when;		/* last_update of the statistics in: */
	uint32_t have;
	uint64_t stat[STAT_NR];
	uint64_t used;			/* what the guest cannot do without */
	uint64_t lowest, highest;	/* of actual, since these statistics */
	uint64_t target;		/* last order that was ours; 0: none */
	uint64_t target_when;		/* of that, or of the first that it added to */
	uint64_t from;			/* what it had then */
	uint64_t before;		/* the order before it may still show; 0: not */
	uint64_t actual;		/* what it had at the last pass */
	uint64_t rss;			/* and its QEMU */
	uint64_t moved_when;		/* moved by nobody knows whom; 0: not */
	uint64_t steady_since;		/* actual has not changed since; 0: it moves */
	uint64_t stuck_when;		/* gave up an order that it did not obey */
	char pressure[64];		/* what shows it; "" if nothing does */
	uint64_t pressure_when;		/* last seen under pressure; 0: never */
	uint64_t want;			/* how large it should be, for pressure */
	uint64_t shrunk_when, grown_when;
	uint64_t tight_when;		/* its host had nothing to spare */
	uint64_t granted, granted_when;	/* given for pressure, maybe not in use yet */
	bool override;			/* somebody else set a target */
	/* probing */
	uint64_t probe_when;		/* of the last step */
	uint64_t probe_wait;		/* until the next one */
	uint64_t probe_step;		/* what the last one took */
	/* dry run: what it would have now, and the harm that did */
	uint64_t ghost;			/* 0: as actual */
	uint64_t regret;		/* it needs so much more than the ghost, now */
	uint64_t regret_most;
	uint64_t regret_time;		/* for so long in all */
};

struct guest {
	char uuid[37];
	char name[128];
	struct guest_settings settings;	/* resolved: config.h */
	uint64_t maximum;		/* the domain's <memory> */
	uint64_t actual;		/* what the balloon leaves it */
	uint64_t rss;			/* of its QEMU; 0: unknown */
	unsigned int pool;		/* an index */
	uint64_t nodes;			/* its memory is on these; 0: any */
	bool autodeflate;		/* deflate-on-oom */
	bool has_balloon;
	bool paused;			/* ballastctl pause */
	bool resumed;			/* ballastctl resume, since the last pass: forget an override */
	bool silent;			/* no answer within the deadline */
	bool bad_settings;		/* its metadata can't be read */
	uint64_t started;		/* when ballastd first saw it run */
	uint64_t period;		/* of its statistics, ms; 0: none, or unknown */
	uint64_t stats_age;		/* ms since the guest made the statistics */
	uint64_t stats_when;		/* when it made them, ms; changes with each */
	uint32_t have;			/* 1 << enum statistic */
	uint64_t stat[STAT_NR];
	struct memory memory;
};

/* Room for a guest that is about to start; or that has just got it. */
struct room {
	char name[128];
	unsigned int pool;
	uint64_t nodes;			/* 0: any */
	uint64_t size;			/* what it needs of the pool */
	bool held;			/* there was room: keep it until it has started */
};

struct snapshot {
	uint64_t now;
	const struct config *config;
	bool dry_run;
	bool releasing;			/* ballastctl release: all of it back */
	unsigned int nr_pools, nr_guests, nr_rooms;
	struct pool *pools;
	struct guest *guests;
	struct room *rooms;
	/* remembered: pools that memory is being taken for */
	bool *taking;
};

enum state {
	GUEST_MANAGED,
	GUEST_PRESSURE,			/* managed, and short of memory */
	GUEST_UNMANAGED,		/* manage="no", or it has no balloon */
	GUEST_PAUSED,
	GUEST_OVERRIDE,
	GUEST_NO_STATS,			/* frozen, as are those below */
	GUEST_STALE,
	GUEST_IMPOSSIBLE,
	GUEST_SILENT,
	GUEST_BAD_SETTINGS,
	GUEST_STARTING,			/* too young to be judged */
};

const char *state_name(enum state state);

/* What a pass works out on its way: the policy's own. */
struct guest_work {
	uint64_t size;			/* what it has; in a dry run, would have */
	uint64_t base;			/* the same, with orders under way obeyed */
	uint64_t usable;		/* in the guest, of that size */
	uint64_t headroom;
	bool stop;			/* let an order under way go no further */
	uint64_t stop_at;
	uint64_t give, grow;
	uint64_t cap, part;		/* of something that is shared out */
	uint64_t weight;
	bool full;
};

struct guest_decision {
	enum state state;
	uint64_t target;		/* an order; 0: none */
	uint64_t low;			/* less than that it must not have; 0: unknown */
	uint64_t idle;			/* what could be taken */
	uint64_t would_be;		/* a dry run: what it would have now; else 0 */
	char pressure[64];		/* what shows it; "" if nothing does */
	char why[256];			/* why its target is what it is, one sentence */
	struct memory memory;		/* for the next snapshot */
	struct guest_work work;
};

struct room_decision {
	bool ready;			/* there is room now */
	uint64_t missing;
	uint64_t obtainable;		/* at most so much can be taken for it */
	bool hopeless;			/* obtainable is less than missing */
	char why[256];			/* from whom */
};

struct decision {
	struct guest_decision *guests;	/* as many as in the snapshot */
	struct room_decision *rooms;
	bool *taking;			/* for the next snapshot */
	bool waiting;			/* for a balloon: come back when one moves */
};

/*
 * policy_run - decide
 * @snapshot: is not changed
 * @decision: arrays are the caller's, of the snapshot's lengths, and overwritten
 *
 * Takes no memory, can't fail, does no I/O.
 */
void policy_run(const struct snapshot *snapshot, struct decision *decision);

#endif
