// SPDX-License-Identifier: GPL-2.0
#include "range.h"

/**
 * balloon_ranges_add() - add page frames to a buffer's worth of ranges
 * @ranges: the ranges so far
 * @pfn: the first page frame to add
 * @nr_pages: how many pages, at most BALLOON_RANGE_PAGES_MAX
 *
 * Page frames that follow the last range make it longer, others begin a new
 * one.
 *
 * Return: false if there is no place left; nothing was added then.
 */
bool balloon_ranges_add(struct balloon_ranges *ranges, unsigned long pfn,
			unsigned long nr_pages)
{
	struct balloon_range *range;

	if (ranges->nr) {
		range = &ranges->range[ranges->nr - 1];
		if (range->pfn + range->nr_pages == pfn &&
		    range->nr_pages + nr_pages <= BALLOON_RANGE_PAGES_MAX) {
			range->nr_pages += nr_pages;
			return true;
		}
	}
	if (ranges->nr == BALLOON_RANGES_MAX)
		return false;

	range = &ranges->range[ranges->nr++];
	range->pfn = pfn;
	range->nr_pages = nr_pages;
	return true;
}
