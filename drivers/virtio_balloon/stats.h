/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio balloon: statistics beyond those of the virtio specification
 *
 * docs/PROTOCOL.md says what they mean. A device that does not know a tag
 * ignores it, as the specification has it. What a tag means never changes.
 */
#ifndef _VIRTIO_BALLOON_STATS_H
#define _VIRTIO_BALLOON_STATS_H

enum balloon_stat {
	BALLOON_S_FIRST = 0xba00,

	BALLOON_S_BLOCK_SIZE = BALLOON_S_FIRST,
	BALLOON_S_UNUSABLE_INDEX,
	BALLOON_S_FRAGMENTATION_INDEX,
	BALLOON_S_FREE_BLOCKS,
	BALLOON_S_BLOCKS,
	BALLOON_S_SINGLES,
	BALLOON_S_FLOOR,
	BALLOON_S_SHORTFALL,
	BALLOON_S_SHORTFALL_REASON,
	BALLOON_S_PAGES_MIGRATED,
	BALLOON_S_PSI_MEMORY_SOME,
	BALLOON_S_PSI_MEMORY_FULL,
	BALLOON_S_THP_FAULT_FALLBACKS,
	BALLOON_S_THP_COLLAPSE_FAILURES,
	BALLOON_S_HUGE_FAILURES,

	BALLOON_S_END
};

#define BALLOON_S_NR	(BALLOON_S_END - BALLOON_S_FIRST)

#endif /* _VIRTIO_BALLOON_STATS_H */
