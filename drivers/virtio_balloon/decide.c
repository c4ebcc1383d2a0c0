// SPDX-License-Identifier: GPL-2.0
#include "decide.h"

/* Pages read back in a reading that are thrashing, not a new working set. */
#define PRESSURE_REFAULTS	256

/**
 * pressure_level() - does the guest need what the balloon has?
 * @r: the reading
 *
 * Time that tasks wait for memory is pressure only if memory is short as well, or
 * if what is read is what was dropped: a copy of a large file makes its reader
 * reclaim page cache all the time, and needs no more memory. Where that time is
 * not known, direct reclaim that finds little stands for it.
 *
 * Return: the level.
 */
enum pressure_level pressure_level(const struct pressure_reading *r)
{
	bool waits, stuck, short_of = r->available < r->floor;

	/* The balloon stops at the floor: somebody else went so far below. */
	if (r->available < r->floor / 2)
		return PRESSURE_ACUTE;

	if (r->stall_known) {
		waits = r->some_us * 10 >= r->elapsed_us;
		stuck = r->full_us * 10 >= r->elapsed_us;
	} else {
		waits = r->stalls && r->reclaimed < r->scanned / 2;
		stuck = r->stalls;
	}
	if (short_of && waits)
		return PRESSURE_HIGH;
	if (stuck && r->refaults >= PRESSURE_REFAULTS)
		return PRESSURE_HIGH;
	return PRESSURE_NONE;
}

/**
 * relief_due() - is it time to give memory back?
 * @relief: the balloon's state
 * @level: of the latest reading
 *
 * Return: true at once for acute pressure, and for high pressure that lasts.
 */
bool relief_due(struct pressure_relief *relief, enum pressure_level level)
{
	relief->high = level == PRESSURE_NONE ? 0 : relief->high + 1;
	return level == PRESSURE_ACUTE || relief->high >= RELIEF_READINGS;
}

/**
 * relief_blocks() - how much to give back now
 * @relief: the balloon's state
 * @first: the portion to begin with, in pageblocks
 * @held: what the balloon holds, in pageblocks
 * @now_ms: the time
 * @lasts_ms: how long ago the last portion may be, for this one to be larger
 *
 * Who needs much gets it in few portions; each of them costs whoever needs it a
 * round of futile reclaim.
 *
 * Return: pageblocks, at least @first.
 */
unsigned int relief_blocks(struct pressure_relief *relief, unsigned int first,
			   unsigned int held, u64 now_ms, u64 lasts_ms)
{
	unsigned int blocks = first;

	if (relief->blocks && now_ms - relief->last_ms < lasts_ms)
		blocks = relief->blocks * 2;
	if (blocks > held / RELIEF_SHARE)
		blocks = held / RELIEF_SHARE;
	if (blocks < first)
		blocks = first;
	relief->blocks = blocks;
	relief->last_ms = now_ms;
	return blocks;
}

/* As vm.extfrag_threshold: below, free memory is scarce rather than scattered. */
#define BALLOON_FRAG_THRESHOLD	500

/**
 * balloon_shortage() - why is there no free pageblock?
 * @room: free memory that may be taken, in pages
 * @block: pages in a pageblock
 * @frag_index: the fragmentation index of free memory for a pageblock, or what
 *	says that there is one, which is of a kind then that can't be taken
 *
 * The order of the kernel's own question whether to compact: watermarks first,
 * and the index only if they are met.
 *
 * Return: what is short.
 */
enum balloon_shortage balloon_shortage(unsigned long room, unsigned long block,
				       int frag_index)
{
	if (room < block)
		return BALLOON_SHORTAGE_MEMORY;
	if (frag_index >= 0 && frag_index <= BALLOON_FRAG_THRESHOLD)
		return BALLOON_SHORTAGE_MEMORY;
	return BALLOON_SHORTAGE_CONTIGUITY;
}

/**
 * balloon_share() - a zone's part in a request
 * @nr: pageblocks that all zones are to give
 * @part: what the zone can spare, in pageblocks
 * @total: what all zones can; at least @part, and not 0
 *
 * Return: pageblocks, rounded down.
 */
unsigned int balloon_share(unsigned int nr, unsigned int part,
			   unsigned long total)
{
	return (u64)nr * part / total;
}

/**
 * evacuation_futile() - is it time to give up emptying pageblocks?
 * @won: pageblocks emptied so far
 * @failed: pageblocks that could not be emptied
 *
 * Return: true if nearly all fail.
 */
bool evacuation_futile(unsigned int won, unsigned int failed)
{
	return failed >= EVACUATION_FUTILE && won < failed / 8;
}

/**
 * evacuation_deferred() - is this request for pageblocks left out?
 * @d: the balloon's state
 * @room: free memory that may be taken, in pages
 *
 * Return: true if so. Not any more when a quarter more is free than was when
 * evacuation was of no use: that may be what was in the way.
 */
bool evacuation_deferred(struct evacuation_deferral *d, unsigned long room)
{
	if (room > d->room + d->room / 4)
		d->skip = 0;
	if (!d->skip)
		return false;
	d->skip--;
	return true;
}

/**
 * evacuation_done() - what became of a request for pageblocks
 * @d: the balloon's state
 * @won: how many were emptied
 * @room: free memory that could be taken before, in pages
 */
void evacuation_done(struct evacuation_deferral *d, unsigned int won,
		     unsigned long room)
{
	if (won) {
		d->shift = 0;
		d->skip = 0;
		return;
	}
	if (d->shift < EVACUATION_DEFER_MAX)
		d->shift++;
	d->skip = (1U << d->shift) - 1;
	d->room = room;
}
