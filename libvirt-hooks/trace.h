/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots as lines of JSON: recorded by ballastd, replayed by "ballastctl replay". */
#ifndef BALLAST_TRACE_H
#define BALLAST_TRACE_H

#include <json-c/json.h>

#include "policy.h"

/* All of a snapshot, its configuration's part that the policy reads included. */
struct json_object *snapshot_to_json(const struct snapshot *snapshot);

/*
 * snapshot_from_json - the reverse; to be freed with snapshot_free()
 * Return: NULL and why in @error if something is missing or of the wrong kind.
 */
struct snapshot *snapshot_from_json(struct json_object *json, struct error *error);
void snapshot_free(struct snapshot *snapshot);

/* What a guest should have: by the last order, or what it has without one. */
uint64_t guest_target(const struct guest *guest,
		      const struct guest_decision *decision);

/* The decision for one guest, as in a reply to "list" (CONTROL.md). */
struct json_object *guest_to_json(const struct guest *guest,
				  const struct guest_decision *decision);

#endif
