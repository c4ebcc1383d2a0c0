// SPDX-License-Identifier: GPL-2.0-or-later
/* What is asked on the control socket: CONTROL.md. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon.h"
#include "json_add.h"
#include "metrics.h"
#include "trace.h"

static const char *text_of(struct json_object *request, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(request, name, &v) &&
	       json_object_is_type(v, json_type_string) ?
	       json_object_get_string(v) : NULL;
}

static void no_connection(struct client *client)
{
	control_error(client, "ballastd has no connection to libvirt: %s",
		      d.connection_error);
}

/* The guest that is meant; answers itself if there is none. */
static struct tracked *guest_of(struct client *client, struct json_object *request)
{
	const char *name = text_of(request, "guest");
	struct tracked *t;

	if (!name) {
		control_error(client, "no guest named; add \"guest\"");
		return NULL;
	}
	t = guest_find(name);
	if (!t || !t->known) {
		if (d.connected)
			control_error(client, "no guest %s runs; ballastctl list shows which do",
				      name);
		else
			no_connection(client);
		return NULL;
	}
	return t;
}

/* --- looking */

static void run_status(struct client *client, struct json_object *request)
{
	struct json_object *reply = control_ok(), *host, *pools, *pool;
	unsigned int i;

	json_add_text(reply, "mode", dry_run() ? "dry-run" : "active");
	json_add_text(reply, "version", VERSION);
	json_add_text(reply, "uri", d.config.uri);
	json_add_bool(reply, "connected", d.connected);
	json_add_text(reply, "connection-error", d.connection_error);
	json_add_number(reply, "passes", d.passes);
	json_add_number(reply, "pass-cpu-us", d.last_cpu_us);
	json_add_number(reply, "hung-calls", virt_hung());
	json_add_bool(reply, "releasing", d.releasing);
	host = json_object_new_object();
	json_add_number(host, "total", d.host.total);
	json_add_number(host, "available", d.host.available);
	json_add_number(host, "budget", amount_of(d.config.budget, d.host.total));
	json_object_object_add(reply, "host", host);
	pools = json_object_new_array();
	for (i = 0; i < d.host.nr_pools; i++) {
		pool = json_object_new_object();
		json_add_number(pool, "page", d.host.pools[i].page);
		json_add_number(pool, "total", d.host.pools[i].total);
		json_add_number(pool, "available", d.host.pools[i].avail);
		json_add_number(pool, "reserve", d.host.pools[i].reserve);
		json_add_bool(pool, "taking", d.taking[i]);
		json_object_array_add(pools, pool);
	}
	json_object_object_add(reply, "pools", pools);
	control_reply(client, reply);
}

static struct json_object *guest_json(const struct tracked *t)
{
	struct json_object *json = guest_to_json(&t->guest, &t->decision);

	/* Until it has been looked at, the policy has nothing to say. */
	if (!t->guest.memory.when)
		json_add_text(json, "state", state_name(GUEST_STARTING));
	json_add_number(json, "pool", t->info.huge ? (t->info.huge_page ?: d.host.huge_page) : 4);
	json_add_number(json, "shrinks", t->shrinks);
	json_add_number(json, "grows", t->grows);
	return json;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct tracked **)a)->guest.name,
		      (*(struct tracked **)b)->guest.name);
}

static void run_list(struct client *client, struct json_object *request)
{
	struct json_object *reply, *guests;
	struct tracked *t, **sorted;
	unsigned int i, n = 0;

	for (t = d.guests; t; t = t->next)
		n++;
	sorted = calloc(n + 1, sizeof(*sorted));
	n = 0;
	for (t = d.guests; t && sorted; t = t->next)
		if (t->known)
			sorted[n++] = t;
	if (!n && !d.connected) {
		free(sorted);
		no_connection(client);
		return;
	}
	reply = control_ok();
	guests = json_object_new_array();
	if (sorted)
		qsort(sorted, n, sizeof(*sorted), by_name);
	for (i = 0; i < n; i++)
		json_object_array_add(guests, guest_json(sorted[i]));
	free(sorted);
	json_object_object_add(reply, "guests", guests);
	control_reply(client, reply);
}

static const char *const stat_names[STAT_NR] = {
	[STAT_AVAILABLE] = "available",
	[STAT_USABLE] = "usable",
	[STAT_UNUSED] = "unused",
	[STAT_SWAP_IN] = "swap-in",
	[STAT_MAJOR_FAULTS] = "major-faults",
	[STAT_HUGE_FAILURES] = "huge-failures",
	[STAT_FLOOR] = "floor",
	[STAT_SHORTFALL] = "shortfall",
	[STAT_SHORTFALL_REASON] = "shortfall-reason",
	[STAT_FREE_BLOCKS] = "free-blocks",
	[STAT_PSI_SOME] = "psi-some-us",
	[STAT_PSI_FULL] = "psi-full-us",
	[STAT_HUGE_SHARE] = "huge-share",
};

static void run_show(struct client *client, struct json_object *request)
{
	struct tracked *t = guest_of(client, request);
	struct json_object *reply, *guest, *stats, *settings;
	const struct guest_settings *s;
	unsigned int i;

	if (!t)
		return;
	guest = guest_json(t);
	stats = json_object_new_object();
	for (i = 0; i < STAT_NR; i++)
		if (t->guest.have & 1u << i)
			json_add_number(stats, stat_names[i], t->guest.stat[i]);
	json_add_number(stats, "age-ms", t->guest.stats_age);
	json_object_object_add(guest, "statistics", stats);
	settings = json_object_new_object();
	s = &t->guest.settings;
	json_add_text(settings, "class", s->class);
	json_add_bool(settings, "manage", s->manage);
	json_add_number(settings, "minimum", amount_of(s->minimum, t->guest.maximum));
	json_add_number(settings, "shares", s->shares);
	json_add_bool(settings, "probe", s->probe);
	json_add_text(settings, "error", t->info.bad_metadata ?
		      t->info.metadata_error.text : "");
	json_object_object_add(guest, "settings", settings);
	reply = control_ok();
	json_object_object_add(reply, "guest", guest);
	control_reply(client, reply);
}

static void explain_line(struct json_object *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void explain_line(struct json_object *lines, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_object_array_add(lines, json_object_new_string(text));
}

static const struct pool *guest_pool(const struct tracked *t)
{
	return t->guest.pool < d.host.nr_pools ? &d.host.pools[t->guest.pool] : NULL;
}

static void explain_pool(struct json_object *lines, const struct tracked *t)
{
	const struct pool *pool = guest_pool(t);
	char a[SIZE_TEXT], b[SIZE_TEXT];

	if (!pool)
		return;
	explain_line(lines, "The host has %s of %s available and keeps %s in reserve%s.",
		     size_text(pool->avail, a),
		     pool->page == 4 ? "its memory" : "its huge pages",
		     size_text(pool->reserve, b),
		     d.taking[t->guest.pool] ? ": it takes memory from guests now" : "");
}

static void run_explain(struct client *client, struct json_object *request)
{
	struct tracked *t = guest_of(client, request);
	struct json_object *reply, *lines;
	const struct guest_decision *decision;
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT];
	const struct memory *m;

	if (!t)
		return;
	decision = &t->decision;
	m = &decision->memory;
	lines = json_object_new_array();
	explain_line(lines, "%s has %s of at most %s, at least %s.", t->guest.name,
		     size_text(t->guest.actual, a), size_text(t->guest.maximum, b),
		     size_text(amount_of(t->guest.settings.minimum,
					 t->guest.maximum), c));
	if (decision->low)
		explain_line(lines, "It should not have less than %s now, so %s are idle.",
			     size_text(decision->low, a), size_text(decision->idle, b));
	if (decision->pressure[0])
		explain_line(lines, "It is short of memory: %s.", decision->pressure);
	explain_pool(lines, t);
	explain_line(lines, "State %s%s%s.", state_name(decision->state),
		     decision->why[0] ? ": " : "", decision->why);
	if (t->info.bad_metadata)
		explain_line(lines, "Its settings can't be read: %s.",
			     t->info.metadata_error.text);
	if (dry_run()) {
		explain_line(lines, "This is a dry run: nothing is changed.");
		if (m->ghost)
			explain_line(lines, "It would have %s now; %s too little, %s at the worst.",
				     size_text(m->ghost, a), size_text(m->regret, b),
				     size_text(m->regret_most, c));
	}
	reply = control_ok();
	json_object_object_add(reply, "lines", lines);
	control_reply(client, reply);
}

static void run_metrics(struct client *client, struct json_object *request)
{
	struct json_object *reply = control_ok();
	char *text = pass_metrics();

	json_add_text(reply, "text", text ?: "");
	free(text);
	control_reply(client, reply);
}

/* --- changing */

static void done(struct client *client)
{
	state_save();
	control_reply(client, control_ok());
}

static bool refuse_in_dry_run(struct client *client)
{
	if (dry_run())
		control_error(client, "this is a dry run, in which ballastd changes nothing; use virsh setmem, or mode = active");
	return dry_run();
}

static void run_set(struct client *client, struct json_object *request)
{
	struct tracked *t = guest_of(client, request);
	struct json_object *v;
	char a[SIZE_TEXT], b[SIZE_TEXT];
	uint64_t size;

	if (!t)
		return;
	if (!json_object_object_get_ex(request, "size", &v) ||
	    !json_object_is_type(v, json_type_int) || json_object_get_int64(v) <= 0) {
		control_error(client, "no size; add \"size\", in KiB");
		return;
	}
	size = json_object_get_uint64(v);
	if (size > t->guest.maximum) {
		control_error(client, "%s can't have %s: its maximum is %s",
			      t->guest.name, size_text(size, a),
			      size_text(t->guest.maximum, b));
		return;
	}
	if (refuse_in_dry_run(client))
		return;
	if (!t->info.has_balloon) {
		control_error(client, "%s has no balloon: its size can't be changed",
			      t->guest.name);
		return;
	}
	if (size < amount_of(t->guest.settings.minimum, t->guest.maximum)) {
		control_error(client, "%s is to have %s at least: for less, change its minimum, or use virsh setmem",
			      t->guest.name,
			      size_text(amount_of(t->guest.settings.minimum,
						  t->guest.maximum), a));
		return;
	}
	t->guest.paused = true;
	log_line(LOG_NOTICE, "%s: to %s, and paused: an order of ballastctl",
		 t->guest.name, size_text(size, a));
	guest_order(t, size);
	done(client);
}

/* For one guest, or for all. */
static void for_guests(struct client *client, struct json_object *request,
		       void (*what)(struct tracked *t))
{
	struct tracked *t;

	if (json_object_object_get_ex(request, "guest", NULL)) {
		t = guest_of(client, request);
		if (!t)
			return;
		what(t);
	} else {
		for (t = d.guests; t; t = t->next)
			what(t);
	}
	done(client);
	pass_soon();
}

static void pause_one(struct tracked *t)
{
	if (!t->guest.paused)
		log_line(LOG_NOTICE, "%s: paused by ballastctl", t->guest.name);
	if (!dry_run())
		guest_halt(t);
	t->guest.paused = true;
}

/* Of all: also of those that start later. */
static void run_pause(struct client *client, struct json_object *request)
{
	if (!json_object_object_get_ex(request, "guest", NULL))
		d.pausing = true;
	for_guests(client, request, pause_one);
}

static void resume_one(struct tracked *t)
{
	log_line(LOG_NOTICE, "%s: resumed by ballastctl", t->guest.name);
	t->guest.paused = false;
	t->guest.resumed = true;
}

static void run_resume(struct client *client, struct json_object *request)
{
	if (!json_object_object_get_ex(request, "guest", NULL)) {
		d.releasing = d.pausing = false;
		state_forget_all();
	}
	for_guests(client, request, resume_one);
}

static void release_one(struct tracked *t)
{
	t->guest.paused = true;
	if (!t->known || !t->info.has_balloon)
		return;
	log_line(LOG_NOTICE, "%s: released by ballastctl: to all of its memory, and paused",
		 t->guest.name);
	guest_order(t, t->guest.maximum);
}

/* Of all: also of those that start later. */
static void run_release(struct client *client, struct json_object *request)
{
	if (refuse_in_dry_run(client))
		return;
	if (!json_object_object_get_ex(request, "guest", NULL))
		d.releasing = true;
	for_guests(client, request, release_one);
}

static void run_settings_changed(struct client *client, struct json_object *request)
{
	struct error error;

	if (reload(&error))
		control_error(client, "%s", error.text);
	else
		control_reply(client, control_ok());
}

/* --- the hook */

static void run_prepare(struct client *client, struct json_object *request)
{
	const char *xml = text_of(request, "xml");

	if (xml)
		rooms_prepare(client, xml);
	else
		control_error(client, "no \"xml\"");
}

static void run_started(struct client *client, struct json_object *request)
{
	const char *name = text_of(request, "guest");

	/* libvirt's event does the rest, as soon as the hook has ended. */
	if (name)
		rooms_started(name);
	control_reply(client, control_ok());
}

static void run_stopped(struct client *client, struct json_object *request)
{
	const char *name = text_of(request, "guest");

	if (name)
		rooms_stopped(name);
	control_reply(client, control_ok());
}

static const struct {
	const char *name;
	void (*run)(struct client *client, struct json_object *request);
} commands[] = {
	{ "status", run_status },
	{ "list", run_list },
	{ "show", run_show },
	{ "explain", run_explain },
	{ "metrics", run_metrics },
	{ "set", run_set },
	{ "pause", run_pause },
	{ "resume", run_resume },
	{ "release", run_release },
	{ "settings-changed", run_settings_changed },
	{ "prepare", run_prepare },
	{ "started", run_started },
	{ "stopped", run_stopped },
	{ "released", run_stopped },
};

void command_run(struct client *client, struct json_object *request)
{
	const char *name = text_of(request, "command");
	unsigned int i;

	for (i = 0; name && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name))
			continue;
		commands[i].run(client, request);
		return;
	}
	control_error(client, "unknown command %s", name ?: "(none)");
}
