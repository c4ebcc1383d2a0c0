// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pass: guests are asked for statistics; when all have answered, or after a
 * second, the policy decides, and its orders are given. Those who answer later are
 * looked at in the next pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon.h"
#include "metrics.h"
#include "trace.h"

#define ANSWER_MS	1000
#define SOON_MS		50
#define MOVED_MS	1000	/* a balloon says that it moves many times a second */
#define ROOMS_MOST	64

static int begin_timer, end_timer, soon_timer;
static uint64_t begun;		/* 0: no pass is under way */
static uint64_t cpu_begun;	/* what all threads had used of the CPU then */
static bool state_changed;	/* something that is to outlive us */
static bool soon;		/* its timer is set */
static bool record_broken, record_busy;
static char *metrics;		/* of the last pass */

static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

/* --- the snapshot */

/* 0, ordinary memory, also if the host has no pages of that size. */
unsigned int pool_of(const struct domain_info *info)
{
	uint64_t page = info->huge_page ?: d.host.huge_page;
	unsigned int i;

	for (i = 1; info->huge && i < d.host.nr_pools; i++)
		if (d.host.pools[i].page == page)
			return i;
	return 0;
}

static void place(struct tracked *t)
{
	t->guest.pool = pool_of(&t->info);
	/* Without a pool of these pages there is nothing that the policy could do. */
	t->guest.has_balloon = t->info.has_balloon && !t->useless &&
			       (!t->info.huge || t->guest.pool);
}

/* What guests may have in sum, if the host's owner has said so. */
static void apply_budget(struct pool *pool)
{
	uint64_t budget = amount_of(d.config.budget, d.host.total);
	uint64_t used = rooms_made();
	struct tracked *t;

	if (!budget)
		return;
	for (t = d.guests; t; t = t->next)
		if (t->known && !t->guest.pool)
			used += t->guest.actual;
	pool->total = budget;
	if (less(budget, used) < pool->avail)
		pool->avail = less(budget, used);
}

/*
 * A guest that has not touched all that it has may do so at any time, and gets a
 * SIGBUS if a page of it is somebody else's by then. What QEMU has reserved the
 * kernel has taken off already, but what a balloon gave back it may not have.
 */
static void keep_promises(struct pool *pool, unsigned int index)
{
	uint64_t promised = 0;
	struct tracked *t;
	unsigned int i;

	for (t = d.guests; t; t = t->next)
		if (t->guest.pool == index && t->hugetlb_known)
			promised += less(t->guest.actual, t->hugetlb);
	promised = less(pool->free, promised);
	if (promised < pool->avail)
		pool->avail = promised;
	for (i = 0; i < pool->nodes; i++)
		if (pool->avail < pool->node_avail[i])
			pool->node_avail[i] = pool->avail;
}

static void fill_pools(void)
{
	struct pool *pools = d.host.pools;
	struct tracked *t;
	unsigned int i;

	for (t = d.guests; t; t = t->next) {
		place(t);
		if (t->info.file)
			pools[0].avail = less(pools[0].avail, t->files);
	}
	apply_budget(&pools[0]);
	pools[0].reserve = amount_of(d.config.reserve, pools[0].total);
	for (i = 1; i < d.host.nr_pools; i++) {
		keep_promises(&pools[i], i);
		pools[i].reserve = amount_of(d.config.huge_reserve, pools[i].total);
	}
}

/* Without libvirt nobody answers. */
static struct guest fill_guest(const struct tracked *t)
{
	struct guest guest = t->guest;

	guest.silent |= !d.connected;
	guest.stats_age = now_ms() - t->stats_made;
	return guest;
}

static unsigned int fill_guests(struct guest *guests)
{
	struct tracked *t;
	unsigned int n = 0;

	for (t = d.guests; t; t = t->next)
		if (t->known)
			guests[n++] = fill_guest(t);
	return n;
}

/* --- what follows from the decision */

static void apply_one(struct tracked *t, const struct guest_decision *decision)
{
	char size[SIZE_TEXT];

	if (decision->state != t->decision.state)
		log_line(decision->state == GUEST_OVERRIDE ||
			 decision->state == GUEST_IMPOSSIBLE ? LOG_NOTICE : LOG_INFO,
			 "%s: %s: %s", t->guest.name, state_name(decision->state),
			 decision->why);
	state_changed |= decision->memory.override != t->guest.memory.override ||
			 decision->memory.target != t->guest.memory.target ||
			 t->guest.resumed;
	t->guest.memory = decision->memory;
	t->guest.resumed = false;
	t->decision = *decision;
	if (!t->guest.has_balloon && t->useless)
		snprintf(t->decision.why, sizeof(t->decision.why), "%s", t->useless);
	if (!decision->target)
		return;
	/* Nobody is left to look what becomes of it. */
	if (d.stopping && !d.releasing)
		return;
	log_line(LOG_NOTICE, "%s%s: to %s: %s", dry_run() ? "dry run: " : "",
		 t->guest.name, size_text(decision->target, size), decision->why);
	if (!dry_run())
		guest_order(t, decision->target);
}

static void apply(const struct snapshot *s, const struct decision *decision)
{
	struct tracked *t;
	unsigned int i = 0;

	for (t = d.guests; t; t = t->next)
		if (t->known)
			apply_one(t, &decision->guests[i++]);
	if (state_changed)
		state_save();
	state_changed = false;
	memcpy(d.taking, decision->taking, s->nr_pools * sizeof(*d.taking));
}

/* --- the trace */

struct line {
	char path[sizeof(d.config.record)];
	uint64_t most;		/* KiB: then it begins anew */
	char *text;
};

static int write_all(int fd, const char *text)
{
	ssize_t n = strlen(text);

	errno = ENOSPC;
	return write(fd, text, n) == n ? 0 : -1;
}

/* In a worker: a disk may hang. */
static void record_call(struct job *job)
{
	struct line *line = job->data;
	char old[sizeof(line->path) + 4];
	struct stat st;
	int fd;

	fd = open(line->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK,
		  0600);
	if (fd < 0 || write_all(fd, line->text)) {
		job->result = error_set(&job->error, "%s", strerror(errno));
	} else if (!fstat(fd, &st) && (uint64_t)st.st_size / 1024 > line->most) {
		snprintf(old, sizeof(old), "%s.1", line->path);
		if (rename(line->path, old))
			job->result = error_set(&job->error, "%s", strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

/* A disk that is full stops the record, and nothing else. */
static void record_done(struct job *job)
{
	struct line *line = job->data;

	if (job->result && !record_broken)
		log_line(LOG_WARNING, "record: %s: %s; this is said once",
			 line->path, job->error.text);
	record_broken = job->result;
	record_busy = false;
	free(line->text);
	free(line);
	job_free(job);
}

/* Passes that come while it is busy are left out. */
static void record(const struct snapshot *s)
{
	struct json_object *json;
	struct line *line;
	struct job *job;

	if (!d.config.record[0] || record_busy)
		return;
	line = calloc(1, sizeof(*line));
	if (!line)
		return;
	json = snapshot_to_json(s);
	if (asprintf(&line->text, "%s\n", json_object_to_json_string_ext(json,
						JSON_C_TO_STRING_PLAIN)) < 0)
		line->text = NULL;
	json_object_put(json);
	if (!line->text) {
		free(line);
		return;
	}
	snprintf(line->path, sizeof(line->path), "%s", d.config.record);
	line->most = d.config.record_size.kib;
	record_busy = true;
	job = job_new(JOB_CALL, NULL, record_done);
	job->call = record_call;
	job->data = line;
	virt_submit(job);
}

static void publish(const struct snapshot *s, const struct decision *decision)
{
	struct order_counts *orders = calloc(s->nr_guests + 1, sizeof(*orders));
	struct daemon_counters counters = {
		.orders = orders,
		.passes = d.passes,
		.pass_cpu_us = d.pass_cpu_us,
		.hung_calls = virt_hung(),
		.connected = d.connected,
		.have_psi = d.host.have_psi,
		.psi_some = d.host.psi_some,
		.psi_full = d.host.psi_full,
	};
	struct tracked *t;
	unsigned int i = 0;

	for (t = d.guests; t && orders; t = t->next)
		if (t->known)
			orders[i++] = (struct order_counts){ t->shrinks, t->grows };
	free(metrics);
	metrics = metrics_render(s, decision, &counters);
	if (metrics && strcmp(d.config.metrics, "none"))
		metrics_publish(metrics);
	free(orders);
}

char *pass_metrics(void)
{
	return strdup(metrics ?: "");
}

/* --- the pass */

static void decide_with(struct guest *guests, struct guest_decision *decided)
{
	struct room rooms[ROOMS_MOST];
	struct room_decision rooms_decision[ROOMS_MOST] = {};
	bool taking[ARRAY_SIZE(d.taking)] = {};
	struct snapshot s = {
		.now = now_ms(),
		.config = &d.config,
		.dry_run = dry_run(),
		.releasing = d.releasing,
		.nr_pools = d.host.nr_pools,
		.pools = d.host.pools,
		.guests = guests,
		.rooms = rooms,
		.taking = d.taking,
	};
	struct decision decision = {
		.guests = decided,
		.rooms = rooms_decision,
		.taking = taking,
	};

	s.nr_guests = fill_guests(guests);
	s.nr_rooms = rooms_fill(rooms, ROOMS_MOST);
	policy_run(&s, &decision);
	record(&s);
	publish(&s, &decision);
	apply(&s, &decision);
	rooms_decided(rooms_decision, s.nr_rooms);
	d.waiting = decision.waiting;
}

static void decide(void)
{
	struct guest_decision *decided;
	struct guest *guests;
	struct error error;
	struct tracked *t;
	unsigned int n = 1;

	if (host_read("", &d.host, &error)) {
		log_line(LOG_ERR, "%s", error.text);
		return;
	}
	if (d.host.nr_pools > ARRAY_SIZE(d.taking))
		d.host.nr_pools = ARRAY_SIZE(d.taking);
	fill_pools();
	for (t = d.guests; t; t = t->next)
		n++;
	guests = calloc(n, sizeof(*guests));
	decided = calloc(n, sizeof(*decided));
	if (guests && decided)
		decide_with(guests, decided);
	free(guests);
	free(decided);
}

/* If it is set already that stays: it would never come with many events. */
static void set_soon(int ms)
{
	if (!soon)
		virEventUpdateTimeout(soon_timer, ms);
	soon = true;
}

static void clear_soon(void)
{
	soon = false;
	virEventUpdateTimeout(soon_timer, -1);
}

static void pass_end(void)
{
	uint64_t before = begun ? cpu_begun : cpu_us();

	begun = 0;
	virEventUpdateTimeout(end_timer, -1);
	clear_soon();
	decide();
	if (rooms_count())
		set_soon(4 * SOON_MS);
	d.passes++;
	d.last_cpu_us = cpu_us() - before;
	d.pass_cpu_us += d.last_cpu_us;
}

void pass_begin(void)
{
	struct tracked *t;

	if (begun)
		return;
	begun = now_ms();
	cpu_begun = cpu_us();
	for (t = d.guests; t; t = t->next)
		if (t->known && !t->stats_begun)
			guest_ask(t);
	virEventUpdateTimeout(end_timer, ANSWER_MS);
	pass_stats_done();
}

void pass_stats_done(void)
{
	struct tracked *t;

	if (!begun)
		return;
	for (t = d.guests; t; t = t->next)
		if (t->stats_begun >= begun)
			return;
	pass_end();
}

/* Something has changed that should not wait for the next interval. */
void pass_soon(void)
{
	set_soon(SOON_MS);
}

/* A balloon has moved: perhaps the one that somebody waits for. */
void pass_moved(void)
{
	static uint64_t last;

	if (!rooms_count() && (!d.waiting || now_ms() - last < MOVED_MS))
		return;
	last = now_ms();
	pass_soon();
}

static void on_begin(int timer, void *data)
{
	pass_begin();
}

static void on_end(int timer, void *data)
{
	pass_end();
}

/* With what the guests have told last. */
static void on_soon(int timer, void *data)
{
	if (begun)
		clear_soon();
	else
		pass_end();
}

void pass_interval(void)
{
	virEventUpdateTimeout(begin_timer, d.config.interval);
}

int pass_init(struct error *error)
{
	begin_timer = virEventAddTimeout(d.config.interval, on_begin, NULL, NULL);
	end_timer = virEventAddTimeout(-1, on_end, NULL, NULL);
	soon_timer = virEventAddTimeout(-1, on_soon, NULL, NULL);
	if (begin_timer < 0 || end_timer < 0 || soon_timer < 0)
		return error_set(error, "no timers: %s", virGetLastErrorMessage());
	return 0;
}
