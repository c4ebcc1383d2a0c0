/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "ballastctl replay": what would the policy have decided on recorded snapshots? */
#ifndef BALLAST_REPLAY_H
#define BALLAST_REPLAY_H

#include <stdbool.h>

/*
 * replay - run the policy over a file of snapshots, one a line, as ballastd records
 *
 * Prints what it decides, and sums it up.
 * Return: 0, or 1 if the file can't be read; what is wrong was said on stderr then.
 */
int replay(const char *file, bool json);

#endif
