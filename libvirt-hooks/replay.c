// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the policy decides on recorded snapshots. What it remembers is its own from
 * pass to pass, as if it had run then. But guests obeyed the ballastd that recorded
 * them; a policy that decides otherwise does not see what would have come of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "json_add.h"
#include "replay.h"
#include "trace.h"

/* A guest over all of the trace. */
struct history {
	struct history *next;
	char uuid[37], name[128];
	uint64_t started;
	struct memory memory;
	enum state state;
	unsigned int orders, turns;
	int direction;			/* of the last order: 1, -1; 0: none */
	uint64_t pressure;		/* ms */
};

struct replay {
	bool json;
	struct history *guests;
	bool *taking;
	unsigned int nr_pools;
	uint64_t first, last;		/* times of snapshots; 0: none */
	unsigned int snapshots;
};

static struct history *history_of(struct replay *r, const struct guest *g)
{
	struct history *h, **link = &r->guests;

	for (; *link; link = &(*link)->next)
		if (!strcmp((*link)->uuid, g->uuid))
			return *link;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	memcpy(h->uuid, g->uuid, sizeof(h->uuid));
	*link = h;
	return h;
}

/* A guest that has not been seen yet has what was recorded of it. */
static int recall(struct replay *r, struct snapshot *s, struct history **all)
{
	struct history *h;
	unsigned int i;

	for (i = 0; i < s->nr_guests; i++) {
		struct guest *g = &s->guests[i];

		h = history_of(r, g);
		if (!h)
			return -1;
		all[i] = h;
		/* Started again, or ballastd was, and knows it no more. */
		if (h->memory.when && h->started == g->started &&
		    s->now > r->last)
			g->memory = h->memory;
		else
			h->state = GUEST_MANAGED;
		memcpy(h->name, g->name, sizeof(h->name));
		h->started = g->started;
	}
	if (r->taking && r->nr_pools == s->nr_pools && s->now > r->last)
		memcpy(s->taking, r->taking, s->nr_pools * sizeof(*s->taking));
	return 0;
}

static void print_json(struct json_object *json)
{
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
	json_object_put(json);
}

static void print_decision(const struct replay *r, const struct snapshot *s,
			   const struct guest *g, const struct guest_decision *d)
{
	struct json_object *json;
	char size[SIZE_TEXT];

	if (r->json) {
		json = guest_to_json(g, d);
		json_add_number(json, "time-ms", s->now);
		if (!d->target)
			json_object_object_del(json, "target");
		print_json(json);
		return;
	}
	printf("%10.1f  %-20s  %-13s  %9s  %s\n", (s->now - r->first) / 1000.0,
	       g->name, state_name(d->state),
	       d->target ? size_text(d->target, size) : "-", d->why);
}

static void count(struct history *h, const struct replay *r,
		  const struct snapshot *s, const struct guest *g,
		  const struct guest_decision *d)
{
	uint64_t old = g->memory.target ? g->memory.target : g->actual;
	int direction;

	if (h->state == GUEST_PRESSURE && s->now > r->last)
		h->pressure += s->now - r->last;
	if (!d->target)
		return;
	if (s->dry_run && g->memory.ghost)
		old = g->memory.ghost;
	direction = d->target < old ? -1 : 1;
	h->orders++;
	if (h->direction && h->direction != direction)
		h->turns++;
	h->direction = direction;
}

static void pass(struct replay *r, struct snapshot *s, struct decision *d,
		 struct history **all)
{
	unsigned int i;

	if (!r->snapshots++)
		r->first = s->now;
	policy_run(s, d);
	for (i = 0; i < s->nr_guests; i++) {
		count(all[i], r, s, &s->guests[i], &d->guests[i]);
		if (d->guests[i].target || d->guests[i].state != all[i]->state)
			print_decision(r, s, &s->guests[i], &d->guests[i]);
		all[i]->memory = d->guests[i].memory;
		all[i]->state = d->guests[i].state;
	}
	r->last = s->now;
	free(r->taking);
	r->taking = d->taking;
	r->nr_pools = s->nr_pools;
	d->taking = NULL;
}

static int run(struct replay *r, struct snapshot *s)
{
	struct decision d = {
		.guests = calloc(s->nr_guests + 1, sizeof(*d.guests)),
		.rooms = calloc(s->nr_rooms + 1, sizeof(*d.rooms)),
		.taking = calloc(s->nr_pools + 1, sizeof(*d.taking)),
	};
	struct history **all = calloc(s->nr_guests + 1, sizeof(*all));
	int rc = -1;

	if (d.guests && d.rooms && d.taking && all && !recall(r, s, all)) {
		pass(r, s, &d, all);
		rc = 0;
	}
	free(d.guests);
	free(d.rooms);
	free(d.taking);
	free(all);
	return rc;
}

static int run_line(struct replay *r, const char *line, struct error *error)
{
	enum json_tokener_error why;
	struct json_object *json = json_tokener_parse_verbose(line, &why);
	struct snapshot *s;
	int rc = 0;

	if (!json)
		return error_set(error, "not JSON: %s",
				 json_tokener_error_desc(why));
	s = snapshot_from_json(json, error);
	json_object_put(json);
	if (!s)
		return -1;
	if (run(r, s))
		rc = error_set(error, "no memory");
	snapshot_free(s);
	return rc;
}

static void sum_up_json(const struct replay *r)
{
	const struct history *h;
	struct json_object *json;

	for (h = r->guests; h; h = h->next) {
		json = json_object_new_object();
		json_add_text(json, "summary", h->name);
		json_add_number(json, "orders", h->orders);
		json_add_number(json, "turns", h->turns);
		json_add_number(json, "pressure-ms", h->pressure);
		json_add_number(json, "regret-most", h->memory.regret_most);
		json_add_number(json, "regret-ms", h->memory.regret_time);
		print_json(json);
	}
}

static void sum_up(const struct replay *r)
{
	const struct history *h;
	char size[SIZE_TEXT];

	printf("%u snapshots, %.1f s\n", r->snapshots,
	       (r->last - r->first) / 1000.0);
	printf("%-20s  %8s  %8s  %10s  %11s  %9s\n", "GUEST", "ORDERS", "TURNS",
	       "PRESSURE/s", "MOST REGRET", "FOR/s");
	for (h = r->guests; h; h = h->next)
		printf("%-20s  %8u  %8u  %10.1f  %11s  %9.1f\n", h->name,
		       h->orders, h->turns, h->pressure / 1000.0,
		       size_text(h->memory.regret_most, size),
		       h->memory.regret_time / 1000.0);
}

static void replay_free(struct replay *r)
{
	struct history *h;

	while ((h = r->guests)) {
		r->guests = h->next;
		free(h);
	}
	free(r->taking);
}

static int replay_lines(struct replay *r, const char *file, FILE *f)
{
	unsigned int number = 0;
	struct error error;
	char *line = NULL;
	size_t room = 0;
	int rc = 0;

	while (!rc && getline(&line, &room, f) > 0) {
		number++;
		if (!run_line(r, line, &error))
			continue;
		fflush(stdout);
		log_line(LOG_ERR, "%s:%u: %s; remove the line, or what follows it if the disk was full",
			 file, number, error.text);
		rc = 1;
	}
	if (!rc && ferror(f)) {
		log_line(LOG_ERR, "%s: can't be read: %s", file, strerror(errno));
		rc = 1;
	}
	free(line);
	return rc;
}

int replay(const char *file, bool json)
{
	struct replay r = { .json = json };
	FILE *f = fopen(file, "r");
	int rc;

	if (!f) {
		log_line(LOG_ERR, "%s: can't be read: %s; name what 'record' is in ballastd.conf(5)",
			 file, strerror(errno));
		return 1;
	}
	rc = replay_lines(&r, file, f);
	fclose(f);
	if (!rc && !r.snapshots) {
		log_line(LOG_ERR, "%s: has no snapshots; set record in ballastd.conf",
			 file);
		rc = 1;
	}
	if (!rc && json)
		sum_up_json(&r);
	else if (!rc)
		sum_up(&r);
	replay_free(&r);
	return rc;
}
