// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an operator has said, kept beside the socket while the host is up, so that
 * it holds when ballastd is restarted or dies: who is paused, whose target somebody
 * else has set, whether everything is being released; and what ballastd has done
 * that is not over: the last orders, and which huge pages were made.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon.h"
#include "json_add.h"

/*
 * {"releasing": bool, "pausing": bool, "made": rooms_made_json(),
 *  "guests": {UUID: {"paused": bool, "override": bool, "id": of this start,
 *		      "target": KiB, our last order; 0: none}}}
 */
static struct json_object *state;
static bool broken;

static void path_of(char path[128], const char *suffix)
{
	snprintf(path, 128, "%.100s.state%s", d.config.socket, suffix);
}

static bool flag(struct json_object *json, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(json, name, &v) &&
	       json_object_get_boolean(v);
}

/* One of before that can't be read is as good as none. */
void state_load(void)
{
	char path[128];

	path_of(path, "");
	state = access(path, F_OK) ? NULL : json_object_from_file(path);
	if (state && json_object_is_type(state, json_type_object)) {
		d.releasing = flag(state, "releasing");
		d.pausing = flag(state, "pausing");
		rooms_made_load(json_object_object_get(state, "made"));
		return;
	}
	if (!access(path, F_OK))
		log_line(LOG_WARNING, "%s: can't be read; nobody is paused", path);
	json_object_put(state);
	state = json_object_new_object();
}

void state_apply(struct tracked *t)
{
	struct json_object *guests, *guest;

	t->guest.paused = d.pausing;
	if (!json_object_object_get_ex(state, "guests", &guests) ||
	    !json_object_object_get_ex(guests, t->guest.uuid, &guest))
		return;
	t->guest.paused |= flag(guest, "paused");
	/* Those were for this start of it. */
	if (json_object_get_int64(json_object_object_get(guest, "id")) != t->id)
		return;
	t->guest.memory.override = flag(guest, "override");
	t->guest.memory.target_when = now_ms();
	t->guest.memory.target =
		json_object_get_uint64(json_object_object_get(guest, "target"));
}

/* Those that do not run, too. */
void state_forget_all(void)
{
	json_object_object_del(state, "guests");
}

static void put_guest(struct json_object *guests, const struct tracked *t)
{
	struct json_object *guest;

	if (!t->guest.paused && !t->guest.memory.override &&
	    !t->guest.memory.target) {
		json_object_object_del(guests, t->guest.uuid);
		return;
	}
	guest = json_object_new_object();
	json_add_bool(guest, "paused", t->guest.paused);
	json_add_bool(guest, "override", t->guest.memory.override);
	json_add_number(guest, "id", t->id);
	json_add_number(guest, "target", t->guest.memory.target);
	json_object_object_add(guests, t->guest.uuid, guest);
}

/* Guests that do not run now keep what they have there. */
void state_save(void)
{
	struct json_object *guests;
	struct tracked *t;
	char path[128], new[128];

	if (!json_object_object_get_ex(state, "guests", &guests)) {
		guests = json_object_new_object();
		json_object_object_add(state, "guests", guests);
	}
	for (t = d.guests; t; t = t->next)
		put_guest(guests, t);
	json_add_bool(state, "releasing", d.releasing);
	json_add_bool(state, "pausing", d.pausing);
	json_object_object_add(state, "made", rooms_made_json());
	path_of(path, "");
	path_of(new, ".new");
	errno = 0;
	if (json_object_to_file(new, state) || rename(new, path)) {
		if (!broken)
			log_line(LOG_WARNING, "%s: can't be written: %s; pauses end with ballastd",
				 path, errno ? strerror(errno) : "the disk is full");
		broken = true;
		unlink(new);
		return;
	}
	broken = false;
}
