// SPDX-License-Identifier: GPL-2.0-or-later
/* Follows domains: as they start, stop, change, and what they tell of their memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "daemon.h"

#define RECONNECT_MS	1000

/* Reading smaps holds up page faults of a large guest: not often. */
#define HUGE_SHARE_MS	60000

static uint64_t generations;
static bool connecting;
static uint64_t connect_after;

static struct tracked *by_uuid(const char *uuid)
{
	struct tracked *t;

	for (t = d.guests; t; t = t->next)
		if (!strcmp(t->guest.uuid, uuid))
			return t;
	return NULL;
}

struct tracked *guest_find(const char *name)
{
	struct tracked *t;

	for (t = d.guests; t; t = t->next)
		if (t->known && !strcmp(t->guest.name, name))
			return t;
	return by_uuid(name);
}

/* The guest that a job was about; NULL if it is gone or has been started again. */
static struct tracked *job_guest(const struct job *job)
{
	struct tracked *t = by_uuid(job->uuid);

	return t && t->generation == job->generation ? t : NULL;
}

static struct job *guest_job(struct tracked *t, enum job_kind kind,
			     void (*done)(struct job *job))
{
	struct job *job = job_new(kind, t->guest.uuid, done);

	job->generation = t->generation;
	return job;
}

static void guest_drop(struct tracked *t)
{
	struct tracked **link = &d.guests;

	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
	if (t->known)
		log_line(LOG_INFO, "%s: gone", t->guest.name);
	free(t);
}

static struct tracked *guest_add(const char *uuid, unsigned int id)
{
	struct tracked *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	snprintf(t->guest.uuid, sizeof(t->guest.uuid), "%s", uuid);
	t->guest.started = now_ms();
	t->generation = ++generations;
	t->id = id;
	t->patched = -1;
	t->next = d.guests;
	d.guests = t;
	state_apply(t);
	guest_read_xml(t);
	return t;
}

/* --- what it is */

static void period_done(struct job *job)
{
	struct tracked *t = job_guest(job);

	if (t && job->result)
		log_line(LOG_WARNING, "%s: no period for its statistics: %s",
			 t->guest.name, job->error.text);
	job_free(job);
}

/* Without a period the guest is never asked for statistics. */
static void set_period(struct tracked *t)
{
	unsigned int period = (d.config.statistics_period + 999) / 1000;
	struct job *job;

	if (!period || !t->info.has_balloon || !t->guest.settings.manage ||
	    (t->info.period && t->info.period <= period))
		return;
	job = guest_job(t, JOB_SET_PERIOD, period_done);
	job->value = period;
	virt_submit(job);
}

static const char *useless(const struct tracked *t)
{
	const struct domain_info *info = &t->info;

	if (info->vfio)
		return "a VFIO device pins its memory: what the balloon takes does not come back to the host";
	if (info->locked)
		return "its memory is locked: what the balloon takes does not come back to the host";
	if (info->huge && !info->shared)
		return "its huge pages are mapped privately: what the balloon takes stays reserved for it";
	/* Until that has been looked at, too. */
	if (info->huge && t->patched <= 0)
		return t->patched ? "which QEMU it has is not known yet" :
		       "it has shared huge pages and a stock QEMU, which a reboot or a deflation can end when the pages are somebody else's by then; the patched QEMU helps";
	return NULL;
}

static void take_info(struct tracked *t, const struct domain_info *info)
{
	struct guest *g = &t->guest;

	t->info = *info;
	t->useless = useless(t);
	snprintf(g->name, sizeof(g->name), "%s", info->name);
	g->settings = info->settings;
	g->bad_settings = info->bad_metadata;
	g->maximum = info->maximum;
	if (!g->actual)
		g->actual = info->current;
	g->nodes = info->nodes;
	g->autodeflate = info->autodeflate;
	g->period = info->period * 1000ull;
	if (info->bad_metadata)
		log_line(LOG_WARNING, "%s; it is left alone",
			 info->metadata_error.text);
	if (!t->known)
		log_line(LOG_INFO, "%s: found, %s balloon", g->name,
			 info->has_balloon ? "with a" : "without a");
	t->known = true;
	set_period(t);
}

static void xml_done(struct job *job)
{
	struct tracked *t = job_guest(job);
	struct domain_info info;
	struct error error;

	if (!t)
		goto out;
	t->xml_busy = false;
	if (job->gone) {
		guest_drop(t);
		goto out;
	}
	if (job->result)
		log_line(LOG_WARNING, "%s: %s", t->known ? t->guest.name : job->uuid,
			 job->error.text);
	else if (domain_read(job->xml, &d.config, &info, &error))
		log_line(LOG_WARNING, "%s: %s", job->uuid, error.text);
	else
		take_info(t, &info);
	if (t->xml_again)
		guest_read_xml(t);
out:
	job_free(job);
}

void guest_read_xml(struct tracked *t)
{
	t->xml_again = t->xml_busy;
	if (t->xml_busy)
		return;
	t->xml_busy = true;
	virt_submit(guest_job(t, JOB_XML, xml_done));
}

void guests_read_xml(void)
{
	struct tracked *t;

	for (t = d.guests; t; t = t->next)
		guest_read_xml(t);
}

/* --- what it tells */

struct look {
	char name[128];
	bool file, huge, share;
	int pid, patched;
	uint64_t files, hugetlb;
	int huge_share;
};

static void look_call(struct job *job)
{
	struct look *l = job->data;
	char path[32];

	if (l->pid <= 0)
		l->pid = host_guest_pid("", l->name);
	if (l->pid <= 0)
		return;
	if (l->file)
		l->files = host_guest_files("", l->pid);
	if (l->huge) {
		l->hugetlb = host_guest_hugetlb("", l->pid);
		snprintf(path, sizeof(path), "/proc/%d/exe", l->pid);
		if (l->patched < 0)
			l->patched = host_qemu_patched(path);
	}
	if (l->share)
		l->huge_share = host_guest_huge_share("", l->pid);
}

static void look_done(struct job *job)
{
	struct look *l = job->data;
	struct tracked *t = job_guest(job);

	if (t && l->pid > 0) {
		t->pid = l->pid;
		t->files = l->files;
		t->hugetlb = l->hugetlb;
		t->hugetlb_known = l->huge;
		t->patched = l->patched;
		t->useless = useless(t);
		if (l->huge_share >= 0) {
			t->guest.stat[STAT_HUGE_SHARE] = l->huge_share;
			t->guest.have |= 1u << STAT_HUGE_SHARE;
		}
	}
	free(l);
	job_free(job);
}

/* What /proc tells of its QEMU; a worker looks, since smaps can take a while. */
static void look(struct tracked *t)
{
	bool share = !t->asked_share || now_ms() - t->asked_share > HUGE_SHARE_MS;
	struct look *l;
	struct job *job;

	if (!share && !t->info.file && !t->info.huge)
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		return;
	snprintf(l->name, sizeof(l->name), "%s", t->guest.name);
	l->file = t->info.file;
	l->huge = t->info.huge;
	l->share = share;
	l->pid = t->pid;
	l->patched = t->patched;
	l->huge_share = -1;
	if (share)
		t->asked_share = now_ms();
	job = guest_job(t, JOB_CALL, look_done);
	job->data = l;
	job->call = look_call;
	virt_submit(job);
}

static void take_stats(struct tracked *t, const struct job *job)
{
	const uint32_t ours = 1u << STAT_HUGE_SHARE;	/* not the guest's */
	struct guest *g = &t->guest;
	uint64_t now = time(NULL), share = g->stat[STAT_HUGE_SHARE];

	g->have = (g->have & ours) | job->have;
	memcpy(g->stat, job->stat, sizeof(g->stat));
	g->stat[STAT_HUGE_SHARE] = share;
	if (job->actual)
		g->actual = job->actual;
	g->rss = job->rss;
	/* Not every driver of libvirt has it. */
	g->stats_when = (job->last_update ?: now) * 1000;
	t->stats_made = now_ms() - (job->last_update ?
				    less(now, job->last_update) * 1000 : 0);
}

static void stats_done(struct job *job)
{
	struct tracked *t = job_guest(job);

	if (t) {
		t->stats_begun = 0;
		t->guest.silent = false;
		if (job->gone)
			guest_drop(t);
		else if (!job->result)
			take_stats(t, job);
		else
			log_line(LOG_DEBUG, "%s: %s", t->guest.name,
				 job->error.text);
	}
	job_free(job);
	pass_stats_done();
}

void guest_ask(struct tracked *t)
{
	struct job *job = guest_job(t, JOB_STATS, stats_done);

	t->stats_begun = now_ms();
	if (d.config.extra_statistics)
		snprintf(job->alias, sizeof(job->alias), "%s",
			 t->info.balloon_alias);
	virt_submit(job);
	look(t);
}

/* --- what it is told */

static void order_submit(struct tracked *t, uint64_t kib);

static void order_done(struct job *job)
{
	struct tracked *t = job_guest(job);
	uint64_t next;

	if (!t)
		goto out;
	if (job->result)
		log_line(LOG_WARNING, "%s: %s", t->guest.name, job->error.text);
	next = t->order_next;
	t->order_busy = false;
	t->order_next = 0;
	if (next)
		order_submit(t, next);
out:
	job_free(job);
}

static void order_submit(struct tracked *t, uint64_t kib)
{
	struct job *job = guest_job(t, JOB_SET_MEMORY, order_done);

	t->order_busy = true;
	job->value = kib;
	virt_submit(job);
}

/* One at a time, since workers may overtake each other: the last one is the one. */
void guest_order(struct tracked *t, uint64_t kib)
{
	if (kib < t->guest.actual)
		t->shrinks++;
	else
		t->grows++;
	if (t->order_busy)
		t->order_next = kib;
	else
		order_submit(t, kib);
}

/* An order to give that is still obeyed would go on squeezing the guest. */
void guest_halt(struct tracked *t)
{
	if (t->known && !t->guest.paused && !t->guest.memory.override &&
	    t->guest.memory.target && t->guest.memory.target < t->guest.actual)
		guest_order(t, t->guest.actual);
}

/* --- which there are */

static void on_event(const char *uuid, enum virt_event event, uint64_t value)
{
	struct tracked *t = by_uuid(uuid);

	switch (event) {
	case VIRT_STARTED:
		/* Of one that is known its end was missed. */
		if (t)
			guest_drop(t);
		guest_add(uuid, value);
		break;
	case VIRT_STOPPED:
		if (!t)
			break;
		rooms_stopped(t->guest.name);
		guest_drop(t);
		break;
	case VIRT_BALLOON:
		if (!t)
			break;
		t->guest.actual = value;
		pass_moved();
		break;
	case VIRT_CHANGED:
		if (t)
			guest_read_xml(t);
		break;
	}
}

static void on_closed(const char *why)
{
	d.connected = d.listed = false;
	snprintf(d.connection_error, sizeof(d.connection_error), "%s", why);
	log_line(LOG_WARNING, "%s; guests keep what they have until it is back", why);
	connect_after = now_ms() + RECONNECT_MS;
}

const struct virt_callbacks *guests_callbacks(void)
{
	static const struct virt_callbacks callbacks = { on_event, on_closed };

	return &callbacks;
}

/* Is it in the list, and has it not been started again since the last one? */
static bool still_runs(const struct job *job, struct tracked *t)
{
	unsigned int i;

	for (i = 0; i < job->nr_domains; i++)
		if (!strcmp(job->domains[i].uuid, t->guest.uuid))
			return t->id == job->domains[i].id;
	return false;
}

static void take_list(const struct job *job)
{
	struct tracked *t, *next;
	unsigned int i;

	for (t = d.guests; t; t = next) {
		next = t->next;
		if (!still_runs(job, t))
			guest_drop(t);
		else
			guest_read_xml(t);
	}
	for (i = 0; i < job->nr_domains; i++)
		if (!by_uuid(job->domains[i].uuid))
			guest_add(job->domains[i].uuid, job->domains[i].id);
}

static void list_done(struct job *job)
{
	if (job->result) {
		log_line(LOG_WARNING, "%s", job->error.text);
	} else {
		log_line(LOG_INFO, "%u guests run", job->nr_domains);
		take_list(job);
		d.listed = true;
		pass_soon();
	}
	job_free(job);
}

/*
 * Events come from now on, so nothing is missed before the list is there. That may
 * take as long as a guest's start, while those that are known are looked after.
 */
static void connect_done(struct job *job)
{
	connecting = false;
	if (job->result) {
		/* Once for each reason, not every second. */
		if (strcmp(d.connection_error, job->error.text))
			log_line(LOG_WARNING, "no libvirt: %s; trying again",
				 job->error.text);
		snprintf(d.connection_error, sizeof(d.connection_error), "%s",
			 job->error.text);
		connect_after = now_ms() + RECONNECT_MS;
	} else {
		d.connected = true;
		d.connection_error[0] = 0;
		log_line(LOG_INFO, "connected to %s", d.config.uri);
		virt_submit(job_new(JOB_LIST, NULL, list_done));
	}
	job_free(job);
}

void guests_connect(void)
{
	connecting = true;
	virt_submit(job_new(JOB_CONNECT, NULL, connect_done));
}

void guests_tick(void)
{
	struct tracked *t;
	uint64_t now = now_ms();

	virt_tick();
	if (!d.connected && !connecting && !d.stopping && now >= connect_after)
		guests_connect();
	for (t = d.guests; t; t = t->next)
		if (t->stats_begun && now - t->stats_begun > d.config.deadline)
			t->guest.silent = true;
}
