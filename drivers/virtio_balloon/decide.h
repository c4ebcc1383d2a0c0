/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the balloon decides: when the guest needs memory back and how much, and
 * why a pageblock is not to be had. No kernel calls in here, so that the same
 * code runs in the unit tests.
 */
#ifndef _VIRTIO_BALLOON_DECIDE_H
#define _VIRTIO_BALLOON_DECIDE_H

#ifdef __KERNEL__
#include <linux/minmax.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef uint64_t u64;
#endif

/**
 * struct pressure_reading - what happened in the guest since the last reading
 * @floor: what the balloon has to leave available, in pages; not 0
 * @available: what is available, in pages
 * @elapsed_us: time since the last reading
 * @stall_known: whether the kernel says how long tasks waited for memory
 * @some_us: time in which some task did
 * @full_us: time in which no task did anything else
 * @stalls: allocations that had to reclaim memory themselves
 * @scanned: pages that these looked at
 * @reclaimed: and pages that they got
 * @refaults: pages read back that should not have been dropped
 */
struct pressure_reading {
	unsigned long floor;
	unsigned long available;
	u64 elapsed_us;
	bool stall_known;
	u64 some_us;
	u64 full_us;
	unsigned long stalls;
	unsigned long scanned;
	unsigned long reclaimed;
	unsigned long refaults;
};

enum pressure_level {
	PRESSURE_NONE,
	PRESSURE_HIGH,		/* too much if it lasts */
	PRESSURE_ACUTE,		/* the guest is about to run out of memory */
};

enum pressure_level pressure_level(const struct pressure_reading *r);

/**
 * struct pressure_relief - what the balloon gives back while pressure lasts
 * @high: readings of high pressure in a row
 * @blocks: what was given last, in pageblocks; 0 for nothing yet
 * @last_ms: when that was
 */
struct pressure_relief {
	unsigned int high;
	unsigned int blocks;
	u64 last_ms;
};

/*
 * Portions double while they follow each other within such a time: readings are
 * quick, rounds of the OOM killer may take a slow guest long. The first one is
 * small: most of the time it is enough.
 */
#define RELIEF_LASTS_MS		2000
#define RELIEF_OOM_LASTS_MS	60000

/* A larger portion than this share of what is held is for later. */
#define RELIEF_SHARE		2

/* So many readings in a row make high pressure last. */
#define RELIEF_READINGS		3

bool relief_due(struct pressure_relief *relief, enum pressure_level level);
unsigned int relief_blocks(struct pressure_relief *relief, unsigned int first,
			   unsigned int held, u64 now_ms, u64 lasts_ms);

/* What a pageblock is not to be had for. */
enum balloon_shortage {
	BALLOON_SHORTAGE_MEMORY,	/* reclaim would help */
	BALLOON_SHORTAGE_CONTIGUITY,	/* evacuation would help */
};

enum balloon_shortage balloon_shortage(unsigned long room, unsigned long block,
				       int frag_index);
unsigned int balloon_share(unsigned int nr, unsigned int part,
			   unsigned long total);

/* So many blocks that could not be emptied tell that more will not be, either. */
#define EVACUATION_FUTILE	64

/* Leave out at most so many requests, as a power of two. */
#define EVACUATION_DEFER_MAX	6

/**
 * struct evacuation_deferral - when to evacuate again after it was of no use
 * @shift: how often in a row it was not
 * @skip: requests that are still to be left out
 * @room: how much could be spared then, in pages
 */
struct evacuation_deferral {
	unsigned int shift;
	unsigned int skip;
	unsigned long room;
};

bool evacuation_futile(unsigned int won, unsigned int failed);
bool evacuation_deferred(struct evacuation_deferral *d, unsigned long room);
void evacuation_done(struct evacuation_deferral *d, unsigned int won,
		     unsigned long room);

#endif /* _VIRTIO_BALLOON_DECIDE_H */
