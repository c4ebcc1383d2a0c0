// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls to libvirt on worker threads, and its events. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "qmp.h"
#include "virt.h"

#define WORKERS_WORKING	4	/* that don't hang */
#define WORKERS_MOST	16	/* libvirtd has 20 for all its clients */
#define HUNG_MS		500

/* Keepalive notices a libvirtd that does not answer at all; it has a minute. */
#define KEEPALIVE_INTERVAL	5
#define KEEPALIVE_COUNT		12

struct worker {
	virConnectPtr connection;
	struct job *job;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queued = PTHREAD_COND_INITIALIZER;
/* Under the lock: */
static struct job *queue, **queue_end = &queue;
static struct job *done_jobs, **done_end = &done_jobs;
static struct worker workers[WORKERS_MOST];
static unsigned int nr_workers, nr_idle, nr_queued;

static int done_fd = -1;
static char uri[256];
static struct virt_callbacks callbacks;
static virConnectPtr main_connection;	/* the main thread's, for events */
static virConnectPtr dead_connection;	/* to be closed, but not by its callback */

/* --- events, all in the main thread */

static void tell(virDomainPtr domain, enum virt_event event, uint64_t value)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (!virDomainGetUUIDString(domain, uuid))
		callbacks.event(uuid, event, value);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event,
			int detail, void *data)
{
	switch (event) {
	case VIR_DOMAIN_EVENT_STARTED:
		tell(domain, VIRT_STARTED, virDomainGetID(domain));
		break;
	case VIR_DOMAIN_EVENT_STOPPED:
	case VIR_DOMAIN_EVENT_CRASHED:
		tell(domain, VIRT_STOPPED, 0);
		break;
	case VIR_DOMAIN_EVENT_DEFINED:
		tell(domain, VIRT_CHANGED, 0);
		break;
	}
	return 0;
}

static void on_balloon(virConnectPtr connection, virDomainPtr domain,
		       unsigned long long actual, void *data)
{
	tell(domain, VIRT_BALLOON, actual);
}

static void on_metadata(virConnectPtr connection, virDomainPtr domain, int type,
			const char *namespace, void *data)
{
	tell(domain, VIRT_CHANGED, 0);
}

static void on_device(virConnectPtr connection, virDomainPtr domain,
		      const char *alias, void *data)
{
	tell(domain, VIRT_CHANGED, 0);
}

static const struct {
	int id;
	virConnectDomainEventGenericCallback callback;
} events[] = {
	{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
	{ VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
	  VIR_DOMAIN_EVENT_CALLBACK(on_balloon) },
	{ VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
	  VIR_DOMAIN_EVENT_CALLBACK(on_metadata) },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
	  VIR_DOMAIN_EVENT_CALLBACK(on_device) },
};

static int event_callbacks[ARRAY_SIZE(events)];	/* of the main connection */

static void on_close(virConnectPtr connection, int reason, void *data);

static const char *close_reason(int reason)
{
	switch (reason) {
	case VIR_CONNECT_CLOSE_REASON_EOF:
		return "libvirtd closed the connection";
	case VIR_CONNECT_CLOSE_REASON_KEEPALIVE:
		return "libvirtd does not answer";
	default:
		return "the connection broke";
	}
}

/* The callbacks hold the connection, too. */
static void close_main(virConnectPtr connection)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(events); i++)
		if (event_callbacks[i] >= 0)
			virConnectDomainEventDeregisterAny(connection,
							   event_callbacks[i]);
	virConnectUnregisterCloseCallback(connection, on_close);
	virConnectClose(connection);
}

static void on_close(virConnectPtr connection, int reason, void *data)
{
	/* Also called for a connection that was given up long ago. */
	if (connection != main_connection)
		return;
	main_connection = NULL;
	dead_connection = connection;
	callbacks.closed(close_reason(reason));
}

/* --- jobs, in the workers */

/* libvirt reports errors to stderr, too, if it isn't told otherwise. */
static void no_report(void *data, virErrorPtr error)
{
}

static void virt_error(struct job *job, const char *what)
{
	virErrorPtr last = virGetLastError();

	job->result = error_set(&job->error, "%s: %s", what,
				last && last->message ? last->message : "failed");
	/* The latter is said of one that does not run. */
	job->gone = last && (last->code == VIR_ERR_NO_DOMAIN ||
			     last->code == VIR_ERR_OPERATION_INVALID);
}

static virConnectPtr open_connection(struct job *job)
{
	virConnectPtr connection = virConnectOpen(uri);

	if (!connection) {
		virt_error(job, uri);
		return NULL;
	}
	/* Fails where the connection is not a remote one: test:///default. */
	virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT);
	return connection;
}

static void job_list(struct job *job, virConnectPtr connection)
{
	virDomainPtr *domains;
	int i, n;

	n = virConnectListAllDomains(connection, &domains,
				     VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (n < 0) {
		virt_error(job, "list of domains");
		return;
	}
	job->domains = calloc(n + 1, sizeof(*job->domains));
	for (i = 0; i < n; i++) {
		if (job->domains && !virDomainGetUUIDString(domains[i],
					job->domains[job->nr_domains].uuid))
			job->domains[job->nr_domains++].id =
				virDomainGetID(domains[i]);
		virDomainFree(domains[i]);
	}
	free(domains);
	if (!job->domains)
		job->result = error_set(&job->error, "no memory");
}

static void job_connect(struct job *job)
{
	virConnectPtr connection = open_connection(job);
	unsigned int i;

	if (!connection)
		return;
	memset(event_callbacks, -1, sizeof(event_callbacks));
	virConnectRegisterCloseCallback(connection, on_close, NULL, NULL);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		/* Not every driver has each of them. */
		event_callbacks[i] = virConnectDomainEventRegisterAny(connection,
				NULL, events[i].id, events[i].callback, NULL, NULL);
		if (event_callbacks[i] < 0 &&
		    events[i].id == VIR_DOMAIN_EVENT_ID_LIFECYCLE) {
			virt_error(job, "events");
			goto out_close;
		}
	}
	job->data = connection;
	return;

out_close:
	close_main(connection);
}

static const struct {
	int tag;
	enum statistic stat;
} tags[] = {
	{ VIR_DOMAIN_MEMORY_STAT_AVAILABLE, STAT_AVAILABLE },
	{ VIR_DOMAIN_MEMORY_STAT_USABLE, STAT_USABLE },
	{ VIR_DOMAIN_MEMORY_STAT_UNUSED, STAT_UNUSED },
	{ VIR_DOMAIN_MEMORY_STAT_SWAP_IN, STAT_SWAP_IN },
	{ VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT, STAT_MAJOR_FAULTS },
	{ VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, STAT_HUGE_FAILURES },
};

static void take_stat(struct job *job, enum statistic stat, uint64_t value)
{
	job->have |= 1u << stat;
	job->stat[stat] = value;
}

/* What the Ballast driver tells (docs/PROTOCOL.md), past libvirt's back. */
static const struct {
	const char *name;
	enum statistic stat;
	unsigned int divisor;
} extra[] = {
	{ "stat-balloon-floor", STAT_FLOOR, 1024 },
	{ "stat-balloon-shortfall", STAT_SHORTFALL, 1024 },
	{ "stat-balloon-shortfall-reason", STAT_SHORTFALL_REASON, 1 },
	{ "stat-psi-memory-some", STAT_PSI_SOME, 1 },
	{ "stat-psi-memory-full", STAT_PSI_FULL, 1 },
};

static bool extra_stat(struct json_object *stats, const char *name, uint64_t *value)
{
	struct json_object *v;

	/* An absent one is 2^64 - 1 with a stock QEMU. */
	if (!json_object_object_get_ex(stats, name, &v))
		return false;
	*value = json_object_get_uint64(v);
	return *value != UINT64_MAX;
}

static void stats_extra(struct job *job, virDomainPtr domain)
{
	struct json_object *reply, *stats;
	uint64_t value, size;
	unsigned int i;
	char *text;

	if (qmp_guest_stats(domain, job->alias, &text))
		return;
	reply = json_tokener_parse(text);
	free(text);
	if (json_object_object_get_ex(reply, "return", &stats) &&
	    json_object_object_get_ex(stats, "stats", &stats)) {
		for (i = 0; i < ARRAY_SIZE(extra); i++)
			if (extra_stat(stats, extra[i].name, &value))
				take_stat(job, extra[i].stat,
					  value / extra[i].divisor);
		if (extra_stat(stats, "stat-free-blocks", &value) &&
		    extra_stat(stats, "stat-block-size", &size) && value < 1ull << 32)
			take_stat(job, STAT_FREE_BLOCKS, value * (size / 1024));
	}
	json_object_put(reply);
}

static void job_stats(struct job *job, virDomainPtr domain)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	unsigned int k;
	int i, n;

	n = virDomainMemoryStats(domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
	if (n < 0) {
		virt_error(job, "memory statistics");
		return;
	}
	for (i = 0; i < n; i++) {
		switch (stats[i].tag) {
		case VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON:
			job->actual = stats[i].val;
			break;
		case VIR_DOMAIN_MEMORY_STAT_RSS:
			job->rss = stats[i].val;
			break;
		case VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE:
			job->last_update = stats[i].val;
			break;
		}
		for (k = 0; k < ARRAY_SIZE(tags); k++)
			if (tags[k].tag == stats[i].tag)
				take_stat(job, tags[k].stat, stats[i].val);
	}
	if (job->alias[0])
		stats_extra(job, domain);
}

static void job_on_domain(struct job *job, virConnectPtr connection)
{
	virDomainPtr domain = virDomainLookupByUUIDString(connection, job->uuid);

	if (!domain) {
		virt_error(job, "domain");
		return;
	}
	switch (job->kind) {
	case JOB_XML:
		job->xml = virDomainGetXMLDesc(domain, 0);
		if (!job->xml)
			virt_error(job, "XML");
		break;
	case JOB_STATS:
		job_stats(job, domain);
		break;
	case JOB_SET_MEMORY:
		if (virDomainSetMemoryFlags(domain, job->value,
					    VIR_DOMAIN_AFFECT_LIVE) < 0)
			virt_error(job, "setmem");
		break;
	case JOB_SET_PERIOD:
		if (virDomainSetMemoryStatsPeriod(domain, job->value,
						  VIR_DOMAIN_AFFECT_LIVE) < 0)
			virt_error(job, "dommemstat --period");
		break;
	default:
		break;
	}
	virDomainFree(domain);
}

static void job_run(struct job *job, virConnectPtr *connection)
{
	if (job->kind == JOB_CALL) {
		job->call(job);
		return;
	}
	if (job->kind == JOB_CONNECT) {
		job_connect(job);
		return;
	}
	/* libvirtd may have been restarted since the last job. */
	if (*connection && virConnectIsAlive(*connection) != 1) {
		virConnectClose(*connection);
		*connection = NULL;
	}
	if (!*connection)
		*connection = open_connection(job);
	if (!*connection)
		return;
	if (job->kind == JOB_LIST)
		job_list(job, *connection);
	else
		job_on_domain(job, *connection);
}

static void *worker_main(void *data)
{
	struct worker *worker = data;
	uint64_t one = 1;
	struct job *job;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!queue) {
			nr_idle++;
			pthread_cond_wait(&queued, &lock);
			nr_idle--;
		}
		job = queue;
		queue = job->next;
		if (!queue)
			queue_end = &queue;
		nr_queued--;
		job->next = NULL;
		job->begun = now_ms();
		worker->job = job;
		pthread_mutex_unlock(&lock);

		job_run(job, &worker->connection);

		pthread_mutex_lock(&lock);
		worker->job = NULL;
		*done_end = job;
		done_end = &job->next;
		if (write(done_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			log_line(LOG_ERR, "eventfd: %s", strerror(errno));
	}
	return NULL;
}

/* --- the main thread's side of it */

static unsigned int count_hung(unsigned int ms)
{
	uint64_t now = now_ms();
	unsigned int i, n = 0;

	for (i = 0; i < nr_workers; i++)
		if (workers[i].job && workers[i].job->begun + ms < now)
			n++;
	return n;
}

static void more_workers(void)
{
	pthread_t thread;
	int rc;

	while (nr_idle < nr_queued && nr_workers < WORKERS_MOST &&
	       nr_workers - count_hung(HUNG_MS) < WORKERS_WORKING) {
		rc = pthread_create(&thread, NULL, worker_main,
				    &workers[nr_workers]);
		if (rc) {
			log_line(LOG_ERR, "no thread: %s", strerror(rc));
			return;
		}
		pthread_detach(thread);
		nr_workers++;
	}
}

struct job *job_new(enum job_kind kind, const char *uuid,
		    void (*done)(struct job *job))
{
	struct job *job = calloc(1, sizeof(*job));

	/* Without memory for this there is nothing left to do. */
	if (!job) {
		log_line(LOG_CRIT, "no memory");
		exit(1);
	}
	job->kind = kind;
	job->done = done;
	if (uuid)
		snprintf(job->uuid, sizeof(job->uuid), "%s", uuid);
	return job;
}

void job_free(struct job *job)
{
	free(job->xml);
	free(job->domains);
	free(job);
}

void virt_submit(struct job *job)
{
	pthread_mutex_lock(&lock);
	*queue_end = job;
	queue_end = &job->next;
	nr_queued++;
	more_workers();
	pthread_cond_signal(&queued);
	pthread_mutex_unlock(&lock);
}

void virt_tick(void)
{
	if (dead_connection)
		close_main(dead_connection);
	dead_connection = NULL;
	pthread_mutex_lock(&lock);
	more_workers();
	pthread_mutex_unlock(&lock);
}

unsigned int virt_hung(void)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = count_hung(1000);
	pthread_mutex_unlock(&lock);
	return n;
}

static void finish(struct job *job)
{
	if (job->kind == JOB_CONNECT && !job->result) {
		main_connection = job->data;
		/* It may have been closed before anybody knew of it. */
		if (virConnectIsAlive(main_connection) != 1) {
			close_main(main_connection);
			main_connection = NULL;
			job->result = error_set(&job->error, "%s: %s", uri,
				close_reason(VIR_CONNECT_CLOSE_REASON_EOF));
		}
	}
	job->done(job);
}

static void on_done(int watch, int fd, int what, void *data)
{
	struct job *job, *next;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&lock);
	job = done_jobs;
	done_jobs = NULL;
	done_end = &done_jobs;
	pthread_mutex_unlock(&lock);
	for (; job; job = next) {
		next = job->next;
		finish(job);
	}
}

int virt_init(const char *to, const struct virt_callbacks *c, struct error *error)
{
	snprintf(uri, sizeof(uri), "%s", to);
	callbacks = *c;
	virSetErrorFunc(NULL, no_report);
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return error_set(error, "libvirt can't be used: %s",
				 virGetLastErrorMessage());
	done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (done_fd < 0 || virEventAddHandle(done_fd, VIR_EVENT_HANDLE_READABLE,
					     on_done, NULL, NULL) < 0)
		return error_set(error, "no event descriptor: %s", strerror(errno));
	return 0;
}
