// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Room for guests that are about to start, which the hook asks for. A room waits
 * until the policy has made it, is held until the guest has started and taken it,
 * and is dropped. While one waits or is held nobody else grows into it.
 *
 * If huge pages are wanted, and grow_hugepages allows it, a second room of ordinary
 * memory is made in their place, from which the kernel then makes huge pages. When
 * a guest stops, pages made so are given back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon.h"

/* From "started" on: memory of 4 KiB pages is taken as the guest touches it. */
#define TAKE_MS		15000
/* It has not been started; libvirt or its caller failed. */
#define FORGET_MS	120000

#define NAME_SUFFIX	" (its huge pages)"

struct wait {
	struct wait *next;
	struct room room;
	struct client *client;		/* NULL: it has been answered, or is gone */
	uint64_t deadline;		/* of the answer */
	uint64_t drop;			/* then it is dropped */
	struct wait *huge;		/* this one is there to be made huge pages for: */
	bool growing;			/* they are being made */
	struct room_decision last;
};

static struct wait *waits;
static uint64_t grown[ARRAY_SIZE(d.taking)];	/* pages, for each pool */

unsigned int rooms_count(void)
{
	struct wait *w;
	unsigned int n = 0;

	for (w = waits; w; w = w->next)
		n++;
	return n;
}

static void drop_one(struct wait *w)
{
	struct wait **link = &waits;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	free(w);
}

static void drop(struct wait *w)
{
	struct wait *child, *next;

	for (child = waits; child; child = next) {
		next = child->next;
		if (child->huge == w)
			drop_one(child);
	}
	drop_one(w);
}

static void drop_old(void)
{
	struct wait *w;
	uint64_t now = now_ms();

again:
	for (w = waits; w; w = w->next) {
		if (w->huge || now < w->drop)
			continue;
		drop(w);
		/* Its child may have been the next one. */
		goto again;
	}
}

static struct wait *wait_new(const char *name)
{
	struct wait *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	snprintf(w->room.name, sizeof(w->room.name), "%s", name);
	w->drop = now_ms() + FORGET_MS;
	w->next = waits;
	waits = w;
	return w;
}

uint64_t rooms_grown(void)
{
	uint64_t kib = 0;
	unsigned int i;

	for (i = 1; i < d.host.nr_pools; i++)
		kib += grown[i] * d.host.pools[i].page;
	return kib;
}

unsigned int rooms_fill(struct room *rooms, unsigned int most)
{
	struct wait *w;
	unsigned int n = 0;

	drop_old();
	for (w = waits; w && n < most; w = w->next)
		rooms[n++] = w->room;
	return n;
}

/* --- answers */

static void answer(struct wait *w, bool room, const char *why)
{
	struct json_object *reply = json_object_new_object();
	struct client *client = w->client;
	bool refuse = !room && d.config.hook_refuse && !dry_run();
	char size[SIZE_TEXT], text[512];

	snprintf(text, sizeof(text), "%s%s for %s: %s%s",
		 dry_run() ? "dry run: " : "", size_text(w->room.size, size),
		 w->room.name, room ? "there is room" : "no room: ", room ? "" : why);
	log_line(room ? LOG_INFO : LOG_WARNING, "%s", text);
	w->client = NULL;
	if (!client)
		return;
	json_object_object_add(reply, "ok", json_object_new_boolean(true));
	json_object_object_add(reply, "room", json_object_new_boolean(room));
	json_object_object_add(reply, "refuse", json_object_new_boolean(refuse));
	json_object_object_add(reply, "message", json_object_new_string(text));
	control_reply(client, reply);
}

/* --- huge pages for a room */

struct growth {
	uint64_t page, nodes, pages, got;
	unsigned int pool;
};

static void grow_call(struct job *job)
{
	struct growth *g = job->data;

	g->got = host_grow_hugepages("", g->page, g->nodes, g->pages);
}

static void grow_done(struct job *job)
{
	struct growth *g = job->data;
	struct wait *w;
	char size[SIZE_TEXT];

	grown[g->pool] += g->got;
	log_line(LOG_NOTICE, "%llu of %llu huge pages of %s made",
		 (unsigned long long)g->got, (unsigned long long)g->pages,
		 size_text(g->page, size));
	for (w = waits; w; w = w->next)
		if (w->growing && w->huge && w->huge->room.pool == g->pool)
			break;
	/* Made again if some are missing. */
	if (w)
		drop_one(w);
	free(g);
	job_free(job);
	pass_soon();
}

static void grow(struct wait *child)
{
	struct room *room = &child->huge->room;
	uint64_t page = d.host.pools[room->pool].page;
	struct growth *g = calloc(1, sizeof(*g));
	struct job *job;

	if (!g)
		return;
	child->growing = true;
	g->page = page;
	g->nodes = room->nodes;
	g->pages = (child->room.size + page - 1) / page;
	g->pool = room->pool;
	job = job_new(JOB_CALL, NULL, grow_done);
	job->data = g;
	job->call = grow_call;
	virt_submit(job);
}

static struct wait *child_of(const struct wait *w)
{
	struct wait *child;

	for (child = waits; child; child = child->next)
		if (child->huge == w)
			return child;
	return NULL;
}

static void want_child(struct wait *w)
{
	char name[sizeof(w->room.name)];
	struct wait *child;

	snprintf(name, sizeof(name), "%.100s" NAME_SUFFIX, w->room.name);
	child = wait_new(name);
	if (!child)
		return;
	child->huge = w;
	child->room.size = w->last.missing;
	child->room.nodes = w->room.nodes;
	pass_soon();
}

/* What was made for a guest that is gone, and is free. */
static void shrink_call(struct job *job)
{
	struct growth *g = job->data;

	g->got = host_shrink_hugepages("", g->page, g->pages);
}

static void shrink_done(struct job *job)
{
	struct growth *g = job->data;

	grown[g->pool] -= g->got < grown[g->pool] ? g->got : grown[g->pool];
	if (g->got)
		log_line(LOG_NOTICE, "%llu huge pages given back",
			 (unsigned long long)g->got);
	free(g);
	job_free(job);
}

static void shrink_pools(void)
{
	struct growth *g;
	struct job *job;
	unsigned int i;

	for (i = 1; i < d.host.nr_pools; i++) {
		if (!grown[i])
			continue;
		g = calloc(1, sizeof(*g));
		if (!g)
			return;
		g->page = d.host.pools[i].page;
		g->pages = grown[i];
		g->pool = i;
		job = job_new(JOB_CALL, NULL, shrink_done);
		job->data = g;
		job->call = shrink_call;
		virt_submit(job);
	}
}

/* --- decided */

static void decided(struct wait *w)
{
	bool over = now_ms() >= w->deadline;
	bool can_grow = w->room.pool && d.config.grow_hugepages == GROW_FOR_ROOM &&
			!dry_run();
	struct wait *child = child_of(w);

	if (w->room.held || !w->client)
		return;
	if (w->last.ready) {
		w->room.held = true;
		answer(w, true, w->last.why);
	} else if (over || dry_run()) {
		answer(w, false, over ? "the time is over" : w->last.why);
	} else if (can_grow && w->last.missing) {
		if (!child)
			want_child(w);
		else if (child->last.hopeless)
			answer(w, false, child->last.why);
		else if (child->last.ready && !child->growing)
			grow(child);
	} else if (w->last.hopeless) {
		answer(w, false, w->last.why);
	}
	/* One that was refused is not made, and what it needs not kept. */
	if (!w->client && !w->room.held)
		w->drop = 0;
}

void rooms_decided(const struct room_decision *decisions, unsigned int n)
{
	struct wait *w, *next;
	unsigned int i = 0;

	for (w = waits; w && i < n; w = w->next)
		w->last = decisions[i++];
	for (w = waits; w; w = next) {
		next = w->next;
		if (!w->huge)
			decided(w);
	}
}

/* --- what the hook says */

static unsigned int pool_of(const struct domain_info *info)
{
	unsigned int i;
	uint64_t page = info->huge_page ?: d.host.huge_page;

	if (info->huge)
		for (i = 1; i < d.host.nr_pools; i++)
			if (d.host.pools[i].page == page)
				return i;
	return 0;
}

static void reply_ready(struct client *client, bool ready, const char *text)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "ok", json_object_new_boolean(true));
	json_object_object_add(reply, "room", json_object_new_boolean(ready));
	json_object_object_add(reply, "refuse", json_object_new_boolean(false));
	json_object_object_add(reply, "message", json_object_new_string(text));
	control_reply(client, reply);
}

static struct wait *find(const char *name)
{
	struct wait *w;

	for (w = waits; w; w = w->next)
		if (!w->huge && !strcmp(w->room.name, name))
			return w;
	return NULL;
}

static void forget(const char *name)
{
	struct wait *w = find(name);

	if (w && !w->client)
		drop(w);
}

void rooms_prepare(struct client *client, const char *xml)
{
	struct json_object *reply;
	struct domain_info info;
	struct error error;
	struct wait *w;

	if (domain_read(xml, &d.config, &info, &error)) {
		control_error(client, "%s", error.text);
		return;
	}
	reply = json_object_new_object();
	json_object_object_add(reply, "ok", json_object_new_boolean(true));
	json_object_object_add(reply, "wait",
			       json_object_new_int64(d.config.hook_timeout));
	control_reply(client, reply);

	/* The last time it did not start. */
	forget(info.name);
	if (rooms_count() >= 8 || (info.huge && !pool_of(&info))) {
		reply_ready(client, false, info.huge ?
			    "the host has no such huge pages" :
			    "too many guests start at once");
		return;
	}
	w = wait_new(info.name);
	if (!w) {
		reply_ready(client, false, "no memory");
		return;
	}
	w->client = client;
	w->deadline = now_ms() + d.config.hook_timeout;
	w->room.pool = pool_of(&info);
	w->room.nodes = info.nodes;
	/* A guest's balloon is inflated only when its driver is there. */
	w->room.size = info.huge || info.locked || info.vfio ? info.maximum :
		       info.current;
	pass_soon();
}

void rooms_started(const char *name)
{
	struct wait *w = find(name);

	if (!w)
		return;
	/* Huge pages are reserved as soon as it runs. */
	w->drop = now_ms() + (w->room.pool ? 0 : TAKE_MS);
	pass_soon();
}

void rooms_stopped(const char *name)
{
	forget(name);
	shrink_pools();
}

void rooms_client_gone(struct client *client)
{
	struct wait *w;

	for (w = waits; w; w = w->next) {
		if (w->client != client)
			continue;
		w->client = NULL;
		/* libvirt gave up. */
		if (!w->room.held)
			w->drop = 0;
	}
}
