// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots as JSON and back, by tables of fields. Names are those of the structs:
 * a trace is read by the version that recorded it, or one that is near.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_add.h"
#include "trace.h"

enum kind { KIND_BOOL, KIND_UINT, KIND_U64, KIND_TEXT };

struct field {
	const char *name;
	enum kind kind;
	size_t offset, size;	/* size: of an element */
	unsigned int n;		/* more than 1: an array */
};

#define KIND(x) \
	_Generic((x), bool: KIND_BOOL, unsigned int: KIND_UINT, \
		 uint64_t: KIND_U64, char *: KIND_TEXT)
#define FIELD(type, f) \
	{ #f, KIND(((type *)0)->f), offsetof(type, f), \
	  sizeof(((type *)0)->f), 1 }
#define ARRAY(type, f) \
	{ #f, KIND(((type *)0)->f[0]), offsetof(type, f), \
	  sizeof(((type *)0)->f[0]), ARRAY_SIZE(((type *)0)->f) }

#define C(f)	FIELD(struct config, f)
static const struct field config_fields[] = {
	C(statistics_period), C(dead_band.kib), C(dead_band.share),
	C(critical.kib), C(critical.share), C(budget.kib), C(budget.share),
	C(rate.kib), C(rate.share), C(hold),
};

#define S(f)	FIELD(struct guest_settings, f)
static const struct field settings_fields[] = {
	S(class), S(manage), S(minimum.kib), S(minimum.share), S(headroom.kib),
	S(headroom.share), S(shares), S(probe),
};

#define P(f)	FIELD(struct pool, f)
static const struct field pool_fields[] = {
	P(page), P(total), P(free), P(avail), P(reserve), P(nodes),
	ARRAY(struct pool, node_avail),
};

#define M(f)	FIELD(struct memory, f)
static const struct field memory_fields[] = {
	M(when), M(begun), M(settled), M(stats_when), M(have),
	ARRAY(struct memory, stat), M(used), M(lowest), M(highest), M(target),
	M(target_when), M(from), M(before), M(actual), M(rss), M(moved_when),
	M(steady_since), M(stuck_when), M(pressure), M(pressure_when), M(want),
	M(shrunk_when), M(grown_when), M(tight_when), M(granted),
	M(granted_when), M(override), M(probe_when), M(probe_wait),
	M(probe_step), M(ghost), M(regret), M(regret_most), M(regret_time),
};

#define G(f)	FIELD(struct guest, f)
static const struct field guest_fields[] = {
	G(uuid), G(name), G(maximum), G(actual), G(rss), G(pool), G(nodes),
	G(autodeflate), G(has_balloon), G(paused), G(resumed), G(silent),
	G(bad_settings), G(started), G(period), G(stats_age), G(stats_when), G(have),
	ARRAY(struct guest, stat),
};

#define R(f)	FIELD(struct room, f)
static const struct field room_fields[] = {
	R(name), R(pool), R(nodes), R(size), R(held),
};

#define T(f)	FIELD(struct snapshot, f)
static const struct field snapshot_fields[] = {
	T(now), T(dry_run), T(releasing),
};

/* --- to JSON */

static struct json_object *value_to_json(const struct field *f, const char *at)
{
	switch (f->kind) {
	case KIND_BOOL:
		return json_object_new_boolean(*(const bool *)at);
	case KIND_UINT:
		return json_object_new_int64(*(const unsigned int *)at);
	case KIND_U64:
		return json_object_new_uint64(*(const uint64_t *)at);
	case KIND_TEXT:
		return json_object_new_string(at);
	}
	return NULL;
}

static struct json_object *field_to_json(const struct field *f, const char *at)
{
	struct json_object *array;
	unsigned int i;

	if (f->n == 1)
		return value_to_json(f, at);
	array = json_object_new_array();
	for (i = 0; i < f->n; i++)
		json_object_array_add(array, value_to_json(f, at + i * f->size));
	return array;
}

static struct json_object *struct_to_json(const struct field *fields,
					  unsigned int n, const void *from)
{
	struct json_object *json = json_object_new_object();
	unsigned int i;

	for (i = 0; i < n; i++)
		json_object_object_add(json, fields[i].name,
			field_to_json(&fields[i],
				      (const char *)from + fields[i].offset));
	return json;
}

#define TO_JSON(fields, from) \
	struct_to_json(fields, ARRAY_SIZE(fields), from)

static struct json_object *whole_guest_to_json(const struct guest *guest)
{
	struct json_object *json = TO_JSON(guest_fields, guest);

	json_object_object_add(json, "settings",
			       TO_JSON(settings_fields, &guest->settings));
	json_object_object_add(json, "memory",
			       TO_JSON(memory_fields, &guest->memory));
	return json;
}

struct json_object *snapshot_to_json(const struct snapshot *s)
{
	struct json_object *json = TO_JSON(snapshot_fields, s);
	struct json_object *pools = json_object_new_array();
	struct json_object *guests = json_object_new_array();
	struct json_object *rooms = json_object_new_array();
	struct json_object *taking = json_object_new_array();
	unsigned int i;

	for (i = 0; i < s->nr_pools; i++) {
		json_object_array_add(pools, TO_JSON(pool_fields, &s->pools[i]));
		json_object_array_add(taking,
				      json_object_new_boolean(s->taking[i]));
	}
	for (i = 0; i < s->nr_guests; i++)
		json_object_array_add(guests,
				      whole_guest_to_json(&s->guests[i]));
	for (i = 0; i < s->nr_rooms; i++)
		json_object_array_add(rooms, TO_JSON(room_fields, &s->rooms[i]));
	json_object_object_add(json, "config", TO_JSON(config_fields, s->config));
	json_object_object_add(json, "pools", pools);
	json_object_object_add(json, "taking", taking);
	json_object_object_add(json, "guests", guests);
	json_object_object_add(json, "rooms", rooms);
	return json;
}

/* --- from JSON */

static bool is_number(struct json_object *json, uint64_t most)
{
	/* json-c takes a number that is too large for the largest there is. */
	return json_object_is_type(json, json_type_int) &&
	       (json_object_get_int64(json) >= 0) &&
	       json_object_get_uint64(json) <= most;
}

static bool value_from_json(const struct field *f, struct json_object *json,
			    char *at)
{
	switch (f->kind) {
	case KIND_BOOL:
		if (!json_object_is_type(json, json_type_boolean))
			return false;
		*(bool *)at = json_object_get_boolean(json);
		return true;
	case KIND_UINT:
		if (!is_number(json, UINT32_MAX))
			return false;
		*(unsigned int *)at = json_object_get_uint64(json);
		return true;
	case KIND_U64:
		if (!is_number(json, UINT64_MAX))
			return false;
		*(uint64_t *)at = json_object_get_uint64(json);
		return true;
	case KIND_TEXT:
		if (!json_object_is_type(json, json_type_string) ||
		    (size_t)json_object_get_string_len(json) >= f->size)
			return false;
		strcpy(at, json_object_get_string(json));
		return true;
	}
	return false;
}

static bool field_from_json(const struct field *f, struct json_object *json,
			    char *at)
{
	unsigned int i;

	if (f->n == 1)
		return value_from_json(f, json, at);
	if (!json_object_is_type(json, json_type_array) ||
	    json_object_array_length(json) != f->n)
		return false;
	for (i = 0; i < f->n; i++)
		if (!value_from_json(f, json_object_array_get_idx(json, i),
				     at + i * f->size))
			return false;
	return true;
}

static int struct_from_json(const struct field *fields, unsigned int n,
			    struct json_object *json, const char *what, void *to,
			    struct error *error)
{
	struct json_object *value;
	unsigned int i;

	if (!json_object_is_type(json, json_type_object))
		return error_set(error, "%s is no object", what);
	for (i = 0; i < n; i++) {
		if (!json_object_object_get_ex(json, fields[i].name, &value))
			return error_set(error, "%s: %s is missing", what,
					 fields[i].name);
		if (!field_from_json(&fields[i], value,
				     (char *)to + fields[i].offset))
			return error_set(error, "%s: %s has a bad value", what,
					 fields[i].name);
	}
	return 0;
}

#define FROM_JSON(fields, json, what, to, error) \
	struct_from_json(fields, ARRAY_SIZE(fields), json, what, to, error)

static struct json_object *part(struct json_object *json, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(json, name, &value);
	return value;
}

static int config_from_json(struct json_object *json, struct snapshot *s,
			    struct error *error)
{
	struct config *config = calloc(1, sizeof(*config));

	s->config = config;
	if (!config)
		return error_set(error, "no memory");
	return FROM_JSON(config_fields, part(json, "config"), "config", config,
			 error);
}

/* An array of so many elements of a size, all 0. */
static int array_from_json(struct json_object *json, const char *name,
			   size_t size, void *to, unsigned int *n,
			   struct error *error)
{
	struct json_object *array = part(json, name);
	void *memory;

	if (!json_object_is_type(array, json_type_array))
		return error_set(error, "%s is missing, or no array", name);
	*n = json_object_array_length(array);
	memory = calloc(*n + 1, size);
	if (!memory)
		return error_set(error, "no memory");
	memcpy(to, &memory, sizeof(memory));
	return 0;
}

static int pools_from_json(struct json_object *json, struct snapshot *s,
			   struct error *error)
{
	const struct field flag = { "", KIND_BOOL, 0, sizeof(bool), 1 };
	unsigned int i, n;

	if (array_from_json(json, "pools", sizeof(*s->pools), &s->pools,
			    &s->nr_pools, error) ||
	    array_from_json(json, "taking", sizeof(*s->taking), &s->taking, &n,
			    error))
		return -1;
	if (n != s->nr_pools)
		return error_set(error, "taking has not as many as pools");
	for (i = 0; i < n; i++) {
		if (FROM_JSON(pool_fields,
			      json_object_array_get_idx(part(json, "pools"), i),
			      "pool", &s->pools[i], error))
			return -1;
		if (!field_from_json(&flag, json_object_array_get_idx(
				     part(json, "taking"), i),
				     (char *)&s->taking[i]))
			return error_set(error, "taking has a bad value");
	}
	return 0;
}

static int guest_from_json(struct json_object *json, const struct snapshot *s,
			   struct guest *guest, struct error *error)
{
	if (FROM_JSON(guest_fields, json, "guest", guest, error) ||
	    FROM_JSON(settings_fields, part(json, "settings"), "guest: settings",
		      &guest->settings, error) ||
	    FROM_JSON(memory_fields, part(json, "memory"), "guest: memory",
		      &guest->memory, error))
		return -1;
	if (guest->pool >= s->nr_pools)
		return error_set(error, "guest %.64s: no such pool", guest->name);
	if (!guest->settings.shares)
		return error_set(error, "guest %.64s: shares are 0", guest->name);
	return 0;
}

static int guests_from_json(struct json_object *json, struct snapshot *s,
			    struct error *error)
{
	unsigned int i;

	if (array_from_json(json, "guests", sizeof(*s->guests), &s->guests,
			    &s->nr_guests, error))
		return -1;
	for (i = 0; i < s->nr_guests; i++)
		if (guest_from_json(json_object_array_get_idx(
				    part(json, "guests"), i), s, &s->guests[i],
				    error))
			return -1;
	return 0;
}

static int rooms_from_json(struct json_object *json, struct snapshot *s,
			   struct error *error)
{
	unsigned int i;

	if (array_from_json(json, "rooms", sizeof(*s->rooms), &s->rooms,
			    &s->nr_rooms, error))
		return -1;
	for (i = 0; i < s->nr_rooms; i++)
		if (FROM_JSON(room_fields,
			      json_object_array_get_idx(part(json, "rooms"), i),
			      "room", &s->rooms[i], error))
			return -1;
	return 0;
}

struct snapshot *snapshot_from_json(struct json_object *json, struct error *error)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(error, "no memory");
		return NULL;
	}
	if (FROM_JSON(snapshot_fields, json, "snapshot", s, error) ||
	    config_from_json(json, s, error) || pools_from_json(json, s, error) ||
	    guests_from_json(json, s, error) || rooms_from_json(json, s, error)) {
		snapshot_free(s);
		return NULL;
	}
	return s;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free((void *)s->config);
	free(s->pools);
	free(s->taking);
	free(s->guests);
	free(s->rooms);
	free(s);
}

/* --- a guest, for people; its pool's page is its caller's to add */

uint64_t guest_target(const struct guest *g, const struct guest_decision *d)
{
	if (d->target)
		return d->target;
	if (d->memory.override || !d->memory.target)
		return g->actual;
	return d->memory.target;
}

struct json_object *guest_to_json(const struct guest *g,
				  const struct guest_decision *d)
{
	struct json_object *json = json_object_new_object();
	bool shared = g->have & 1u << STAT_HUGE_SHARE;

	json_add_text(json, "name", g->name);
	json_add_text(json, "uuid", g->uuid);
	json_add_text(json, "state", state_name(d->state));
	json_add_number(json, "current", g->actual);
	json_add_number(json, "target", guest_target(g, d));
	json_add_number(json, "maximum", g->maximum);
	json_add_number(json, "low", d->low);
	json_add_number(json, "idle", d->idle);
	json_add_number(json, "minimum", amount_of(g->settings.minimum, g->maximum));
	json_add_number(json, "rss", g->rss);
	json_object_object_add(json, "huge-share", json_object_new_int64(
			       shared ? (int64_t)g->stat[STAT_HUGE_SHARE] : -1));
	json_add_text(json, "pressure", d->pressure);
	json_add_text(json, "why", d->why);
	if (d->would_be) {
		json_add_number(json, "would-be", d->would_be);
		json_add_number(json, "regret", d->memory.regret);
		json_add_number(json, "regret-most", d->memory.regret_most);
		json_add_number(json, "regret-ms", d->memory.regret_time);
	}
	json_add_bool(json, "override", d->memory.override);
	json_add_bool(json, "paused", g->paused);
	json_add_bool(json, "silent", g->silent);
	return json;
}
