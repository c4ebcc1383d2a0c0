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
#include "json_add.h"

/* From "started" on: memory of 4 KiB pages is taken as the guest touches it. */
#define TAKE_MS		15000
/* It has not been started; libvirt or its caller failed. */
#define FORGET_MS	120000

/* Without a list of those who run for so long, the guest starts. */
#define LIST_MS		5000

#define WAITS_MOST	32	/* that are to be answered */

#define NAME_SUFFIX	" (its huge pages)"

struct wait {
	struct wait *next;
	struct room room;
	struct client *client;		/* NULL: it has been answered, or is gone */
	uint64_t asked, deadline;	/* of the answer */
	uint64_t taken;			/* KiB that its guest has had */
	uint64_t drop;			/* then it is dropped, if it isn't waited for */
	struct wait *huge;		/* this one is there to be made huge pages for: */
	bool growing;			/* they are being made */
	struct room_decision last;
};

/* Huge pages that were made for a guest. */
struct made {
	struct made *next;
	char name[128];
	uint64_t page, pages;
};

static struct wait *waits;	/* the first is the one that asked first */
static struct made *made;
static bool shrinking;

unsigned int rooms_count(void)
{
	struct wait *w;
	unsigned int n = 0;

	for (w = waits; w; w = w->next)
		n++;
	return n;
}

static struct wait *find(const char *name)
{
	struct wait *w;

	for (w = waits; w; w = w->next)
		if (!w->huge && !strcmp(w->room.name, name))
			return w;
	return NULL;
}

static struct wait *child_of(const struct wait *w)
{
	struct wait *child;

	for (child = waits; child; child = child->next)
		if (child->huge == w)
			return child;
	return NULL;
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
	struct wait *child = child_of(w);

	if (child)
		drop_one(child);
	drop_one(w);
}

static void drop_old(void)
{
	struct wait *w;
	uint64_t now = now_ms();

again:
	for (w = waits; w; w = w->next) {
		if (w->huge || w->client || now < w->drop)
			continue;
		drop(w);
		/* Its child may have been the next one. */
		goto again;
	}
}

static struct wait *wait_new(const char *name)
{
	struct wait *w = calloc(1, sizeof(*w)), **link = &waits;

	if (!w)
		return NULL;
	snprintf(w->room.name, sizeof(w->room.name), "%s", name);
	while (*link)
		link = &(*link)->next;
	*link = w;
	return w;
}

/*
 * What a guest has that was started counts as its own, not as room for it; and
 * what it has had and given away by now is not room for it again.
 */
static uint64_t still_room(struct wait *w)
{
	const struct tracked *t = w->room.held ? guest_find(w->room.name) : NULL;
	bool budget = amount_of(d.config.budget, d.host.total);
	uint64_t has = !t || !t->known ? 0 : budget ? t->guest.actual : t->guest.rss;

	if (has > w->taken)
		w->taken = has;
	return less(w->room.size, w->taken);
}

unsigned int rooms_fill(struct room *rooms, unsigned int most)
{
	struct wait *w;
	unsigned int n = 0;

	drop_old();
	/* Not those whose memory is being made huge pages of. */
	for (w = waits; w && n < most; w = w->next) {
		if (w->growing)
			continue;
		rooms[n] = w->room;
		rooms[n++].size = still_room(w);
	}
	return n;
}

/* --- answers */

static void send_answer(struct client *client, bool room, bool refuse,
			const char *text)
{
	struct json_object *reply = control_ok();

	json_add_bool(reply, "room", room);
	json_add_bool(reply, "refuse", refuse);
	json_add_text(reply, "message", text);
	control_reply(client, reply);
}

static void answer(struct wait *w, bool room, const char *why)
{
	struct client *client = w->client;
	char size[SIZE_TEXT], text[512];

	snprintf(text, sizeof(text), "%s%s for %s: %s%s",
		 dry_run() ? "dry run: " : "", size_text(w->room.size, size),
		 w->room.name, room ? "there is room" : "no room: ", room ? "" : why);
	log_line(room ? LOG_INFO : LOG_WARNING, "%s", text);
	w->client = NULL;
	send_answer(client, room,
		    !room && d.listed && d.config.hook_refuse && !dry_run(), text);
}

/* --- huge pages for a room */

uint64_t rooms_made(void)
{
	const struct made *m;
	uint64_t kib = 0;

	for (m = made; m; m = m->next)
		kib += m->pages * m->page;
	return kib;
}

static struct made *made_for(const char *name, uint64_t page)
{
	struct made *m;

	for (m = made; m; m = m->next)
		if (m->page == page && !strcmp(m->name, name))
			return m;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->page = page;
	m->next = made;
	made = m;
	return m;
}

static void made_change(const char *name, uint64_t page, int64_t pages)
{
	struct made *m = made_for(name, page), **link = &made;

	if (!m)
		return;
	m->pages += pages;
	if (!m->pages) {
		while (*link != m)
			link = &(*link)->next;
		*link = m->next;
		free(m);
	}
	state_save();
}

struct json_object *rooms_made_json(void)
{
	struct json_object *array = json_object_new_array(), *one;
	const struct made *m;

	for (m = made; m; m = m->next) {
		one = json_object_new_object();
		json_add_text(one, "guest", m->name);
		json_add_number(one, "page", m->page);
		json_add_number(one, "pages", m->pages);
		json_object_array_add(array, one);
	}
	return array;
}

static uint64_t number_in(struct json_object *json, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(json, name, &v) ?
	       json_object_get_uint64(v) : 0;
}

void rooms_made_load(struct json_object *array)
{
	struct json_object *one, *name;
	struct made *m;
	size_t i;

	if (!json_object_is_type(array, json_type_array))
		return;
	for (i = 0; i < json_object_array_length(array); i++) {
		one = json_object_array_get_idx(array, i);
		if (!json_object_object_get_ex(one, "guest", &name) ||
		    !number_in(one, "page") || !number_in(one, "pages"))
			continue;
		m = made_for(json_object_get_string(name), number_in(one, "page"));
		if (m)
			m->pages = number_in(one, "pages");
	}
}

struct growth {
	char name[128];
	uint64_t page, nodes, pages, got;
};

static struct job *growth_job(const char *name, uint64_t page, uint64_t pages,
			      void (*call)(struct job *job),
			      void (*done)(struct job *job))
{
	struct growth *g = calloc(1, sizeof(*g));
	struct job *job;

	if (!g)
		return NULL;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->page = page;
	g->pages = pages;
	job = job_new(JOB_CALL, NULL, done);
	job->call = call;
	job->data = g;
	return job;
}

static void grow_call(struct job *job)
{
	struct growth *g = job->data;

	g->got = host_grow_hugepages("", g->page, g->nodes, g->pages);
}

static void grow_done(struct job *job)
{
	struct growth *g = job->data;
	struct wait *w = find(g->name), *child = w ? child_of(w) : NULL;
	char size[SIZE_TEXT];

	if (g->got)
		made_change(g->name, g->page, g->got);
	log_line(LOG_NOTICE, "%llu of %llu huge pages of %s made for %s",
		 (unsigned long long)g->got, (unsigned long long)g->pages,
		 size_text(g->page, size), g->name);
	/* Another one is made if some are missing. */
	if (child && child->growing)
		drop_one(child);
	free(g);
	job_free(job);
	pass_soon();
}

static void grow(struct wait *child)
{
	struct room *room = &child->huge->room;
	uint64_t page = d.host.pools[room->pool].page;
	struct job *job = growth_job(room->name, page,
				     (child->room.size + page - 1) / page,
				     grow_call, grow_done);

	if (!job)
		return;
	((struct growth *)job->data)->nodes = room->nodes;
	child->growing = true;
	virt_submit(job);
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

static void shrink_call(struct job *job)
{
	struct growth *g = job->data;

	g->got = host_shrink_hugepages("", g->page, g->pages);
}

static void shrink_done(struct job *job)
{
	struct growth *g = job->data;
	char size[SIZE_TEXT];

	shrinking = false;
	if (g->got) {
		made_change(g->name, g->page, -(int64_t)g->got);
		log_line(LOG_NOTICE, "%llu huge pages of %s of %s given back",
			 (unsigned long long)g->got, size_text(g->page, size), g->name);
		pass_soon();
	}
	free(g);
	job_free(job);
}

/* Pages that guests which are about to start count on. */
static uint64_t counted_on(uint64_t page)
{
	struct wait *w;
	uint64_t kib = 0;

	for (w = waits; w; w = w->next)
		if (w->room.pool && d.host.pools[w->room.pool].page == page)
			kib += w->room.size;
	return kib / page;
}

static uint64_t free_pages(uint64_t page)
{
	unsigned int i;

	for (i = 1; i < d.host.nr_pools; i++)
		if (d.host.pools[i].page == page)
			return d.host.pools[i].avail / page;
	return 0;
}

/* What was made for a guest that neither runs nor starts any more, and is free. */
static void give_back(void)
{
	struct made *m;
	struct job *job;
	uint64_t pages;

	for (m = made; m && !shrinking; m = m->next) {
		if (guest_find(m->name) || find(m->name))
			continue;
		pages = less(free_pages(m->page), counted_on(m->page));
		if (pages > m->pages)
			pages = m->pages;
		job = pages ? growth_job(m->name, m->page, pages, shrink_call,
					 shrink_done) : NULL;
		if (!job)
			continue;
		shrinking = true;
		virt_submit(job);
	}
}

/* --- decided */

static bool all_known(void)
{
	struct tracked *t;

	for (t = d.guests; t; t = t->next)
		if (!t->known)
			return false;
	return d.listed;
}

/*
 * That nobody can give enough is final if all have been looked at: those that have
 * just been found, or have just started, can't give anything yet. While all is
 * released nobody gives any.
 */
static bool all_judged(unsigned int pool)
{
	struct tracked *t;

	if (!all_known() || !d.connected)
		return false;
	for (t = d.guests; t && !d.releasing; t = t->next)
		if (t->guest.pool == pool &&
		    (!t->decision.memory.when ||
		     t->decision.state == GUEST_NO_STATS ||
		     t->decision.state == GUEST_STARTING))
			return false;
	return true;
}

/* Of a budget nothing is known to be left before all who run are known. */
static bool is_ready(const struct wait *w)
{
	return w->last.ready && (w->room.pool || all_known() ||
				 !amount_of(d.config.budget, d.host.total));
}

static void decided(struct wait *w)
{
	bool over = now_ms() >= w->deadline;
	bool can_grow = w->room.pool && d.config.grow_hugepages == GROW_FOR_ROOM;
	struct wait *child = child_of(w);

	if (w->room.held || !w->client)
		return;
	if (is_ready(w)) {
		w->room.held = true;
		w->drop = now_ms() + FORGET_MS;
		answer(w, true, w->last.why);
	} else if (!d.listed && now_ms() - w->asked > LIST_MS) {
		/* Perhaps it waits for this very guest. */
		answer(w, false, "libvirt has not said yet which guests run");
	} else if (over || dry_run()) {
		answer(w, false, w->last.why[0] ? w->last.why : "the time is over");
	} else if (can_grow && w->last.missing) {
		if (!child)
			want_child(w);
		else if (child->last.hopeless && all_judged(0))
			answer(w, false, child->last.why);
		else if (child->last.ready && !child->growing)
			grow(child);
	} else if (w->last.hopeless && all_judged(w->room.pool)) {
		answer(w, false, w->last.why);
	}
}

void rooms_decided(const struct room_decision *decisions, unsigned int n)
{
	struct wait *w, *next;
	unsigned int i = 0;

	for (w = waits; w && i < n; w = w->next)
		if (!w->growing)
			w->last = decisions[i++];
	for (w = waits; w; w = next) {
		next = w->next;
		if (!w->huge)
			decided(w);
	}
	drop_old();
	if (d.listed && d.connected)
		give_back();
}

/* --- what the hook says */

static unsigned int waiting(void)
{
	struct wait *w;
	unsigned int n = 0;

	for (w = waits; w; w = w->next)
		n += !!w->client;
	return n;
}

static void forget(const char *name)
{
	struct wait *w = find(name);

	if (w && !w->client)
		drop(w);
}

static void add_room(struct client *client, const struct domain_info *info)
{
	struct wait *w = wait_new(info->name);

	if (!w) {
		send_answer(client, false, false, "no memory");
		return;
	}
	w->client = client;
	w->asked = now_ms();
	w->deadline = w->asked + d.config.hook_timeout;
	w->room.pool = pool_of(info);
	w->room.nodes = info->nodes;
	/* Of memory that can be touched before its balloon's driver is there, all. */
	w->room.size = info->huge || info->locked || info->vfio ? info->maximum :
		       info->current;
	pass_soon();
}

void rooms_prepare(struct client *client, const char *xml)
{
	struct json_object *reply;
	struct domain_info info;
	struct error error;

	if (domain_read(xml, &d.config, &info, &error)) {
		control_error(client, "%s", error.text);
		return;
	}
	reply = control_ok();
	json_add_number(reply, "wait", d.config.hook_timeout);
	control_reply(client, reply);

	/* The last time it did not start. */
	forget(info.name);
	if (info.huge && d.host.nr_pools && !pool_of(&info))
		send_answer(client, false, false, "the host has no such huge pages");
	else if (waiting() >= WAITS_MOST)
		send_answer(client, false, false, "too many guests start at once");
	else
		add_room(client, &info);
}

/* Huge pages are reserved as soon as it runs; other memory is taken by and by. */
void rooms_started(const char *name)
{
	struct wait *w = find(name);

	if (!w || w->client)
		return;
	w->drop = now_ms() + (w->room.pool ? 0 : TAKE_MS);
	pass_soon();
}

void rooms_stopped(const char *name)
{
	forget(name);
	pass_soon();
}

void rooms_client_gone(struct client *client)
{
	struct wait *w;

	for (w = waits; w; w = w->next) {
		if (w->client != client)
			continue;
		/* libvirt gave up. */
		w->client = NULL;
		w->drop = 0;
		pass_soon();
	}
}
