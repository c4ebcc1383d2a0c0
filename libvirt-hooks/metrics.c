// SPDX-License-Identifier: GPL-2.0-or-later
/* Metrics, as text and over HTTP. */
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics.h"
#include "trace.h"

/* A metric; its samples follow. */
static void metric(FILE *out, const char *name, const char *type,
		   const char *help)
{
	fprintf(out, "# HELP ballast_%s %s\n# TYPE ballast_%s %s\n", name, help,
		name, type);
}

/* A label's value: in quotes, with a backslash where that is needed. */
static void label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
	fputc('"', out);
}

static void number(FILE *out, const char *name, const char *type,
		   const char *help, uint64_t value)
{
	metric(out, name, type, help);
	fprintf(out, "ballast_%s %" PRIu64 "\n", name, value);
}

static void render_daemon(FILE *out, const struct snapshot *s,
			  const struct daemon_counters *counters)
{
	metric(out, "build_info", "gauge", "Always 1; its version.");
	fputs("ballast_build_info{", out);
	label(out, "version", VERSION);
	fputs("} 1\n", out);
	number(out, "dry_run", "gauge",
	       "1 if orders are only logged, and not given.", s->dry_run);
	number(out, "connected", "gauge", "1 if libvirt is there.",
	       counters->connected);
	number(out, "hung_calls", "gauge",
	       "Calls to libvirt that have taken more than a second, now.",
	       counters->hung_calls);
	number(out, "passes_total", "counter", "Decisions made.",
	       counters->passes);
	metric(out, "pass_cpu_seconds_total", "counter",
	       "CPU time that they took.");
	fprintf(out, "ballast_pass_cpu_seconds_total %.6f\n",
		counters->pass_cpu_us / 1e6);
}

static void render_host(FILE *out, const struct snapshot *s)
{
	if (!s->nr_pools)
		return;
	number(out, "host_memory_available_bytes", "gauge",
	       "Ordinary memory that guests could still get.",
	       s->pools[0].avail * 1024);
	number(out, "host_reserve_bytes", "gauge",
	       "How much of it is to be kept available.",
	       s->pools[0].reserve * 1024);
}

static void render_psi(FILE *out, const struct daemon_counters *counters)
{
	if (!counters->have_psi)
		return;
	metric(out, "host_memory_stall_seconds_total", "counter",
	       "Tasks on the host waited for memory: some of them, or all.");
	fprintf(out, "ballast_host_memory_stall_seconds_total{kind=\"some\"} %.6f\n",
		counters->psi_some / 1e6);
	fprintf(out, "ballast_host_memory_stall_seconds_total{kind=\"full\"} %.6f\n",
		counters->psi_full / 1e6);
}

static void page_label(FILE *out, const struct pool *pool)
{
	char size[SIZE_TEXT];

	label(out, "page", size_text(pool->page, size));
}

static void render_pool_sizes(FILE *out, const struct snapshot *s,
			      const char *name, const char *help, size_t offset)
{
	const uint64_t *kib;
	unsigned int i;

	metric(out, name, "gauge", help);
	for (i = 0; i < s->nr_pools; i++) {
		kib = (const void *)((const char *)&s->pools[i] + offset);
		fprintf(out, "ballast_%s{", name);
		page_label(out, &s->pools[i]);
		fprintf(out, "} %" PRIu64 "\n", *kib * 1024);
	}
}

static void render_pool_nodes(FILE *out, const struct snapshot *s)
{
	unsigned int i, node;

	metric(out, "pool_node_available_bytes", "gauge",
	       "What could be allocated on one node.");
	for (i = 0; i < s->nr_pools; i++) {
		for (node = 0; node < s->pools[i].nodes; node++) {
			fputs("ballast_pool_node_available_bytes{", out);
			page_label(out, &s->pools[i]);
			fprintf(out, ",node=\"%u\"} %" PRIu64 "\n", node,
				s->pools[i].node_avail[node] * 1024);
		}
	}
}

static void render_pools(FILE *out, const struct snapshot *s,
			 const struct decision *decision)
{
	unsigned int i;

	render_pool_sizes(out, s, "pool_total_bytes",
			  "Memory of this page size.",
			  offsetof(struct pool, total));
	render_pool_sizes(out, s, "pool_available_bytes",
			  "What could be allocated of it.",
			  offsetof(struct pool, avail));
	render_pool_sizes(out, s, "pool_reserve_bytes",
			  "What is to be kept available of it.",
			  offsetof(struct pool, reserve));
	render_pool_nodes(out, s);
	metric(out, "pool_taking", "gauge",
	       "1 while memory is taken from guests for its reserve.");
	for (i = 0; i < s->nr_pools; i++) {
		fputs("ballast_pool_taking{", out);
		page_label(out, &s->pools[i]);
		fprintf(out, "} %u\n", decision->taking[i]);
	}
}

/* Of a guest, in KiB; false if there is no such thing. */
typedef bool (*guest_size)(const struct snapshot *s, const struct guest *guest,
			   const struct guest_decision *decision,
			   uint64_t *kib);

static bool target_of(const struct snapshot *s, const struct guest *guest,
		      const struct guest_decision *decision, uint64_t *kib)
{
	*kib = guest_target(guest, decision);
	return *kib;
}

static bool current_of(const struct snapshot *s, const struct guest *guest,
		       const struct guest_decision *decision, uint64_t *kib)
{
	*kib = guest->actual;
	return *kib;
}

static bool maximum_of(const struct snapshot *s, const struct guest *guest,
		       const struct guest_decision *decision, uint64_t *kib)
{
	*kib = guest->maximum;
	return true;
}

static bool minimum_of(const struct snapshot *s, const struct guest *guest,
		       const struct guest_decision *decision, uint64_t *kib)
{
	*kib = amount_of(guest->settings.minimum, guest->maximum);
	return true;
}

static bool low_of(const struct snapshot *s, const struct guest *guest,
		   const struct guest_decision *decision, uint64_t *kib)
{
	*kib = decision->low;
	return decision->low;
}

static bool idle_of(const struct snapshot *s, const struct guest *guest,
		    const struct guest_decision *decision, uint64_t *kib)
{
	*kib = decision->idle;
	return decision->low;
}

static bool rss_of(const struct snapshot *s, const struct guest *guest,
		   const struct guest_decision *decision, uint64_t *kib)
{
	*kib = guest->rss;
	return guest->rss;
}

static bool would_be_of(const struct snapshot *s, const struct guest *guest,
			const struct guest_decision *decision, uint64_t *kib)
{
	*kib = decision->would_be;
	return *kib;
}

static bool regret_of(const struct snapshot *s, const struct guest *guest,
		      const struct guest_decision *decision, uint64_t *kib)
{
	*kib = decision->memory.regret;
	return s->dry_run;
}

static const struct {
	const char *name, *help;
	guest_size size;
} guest_sizes[] = {
	{ "guest_memory_target_bytes",
	  "What its balloon should leave it: the last order.", target_of },
	{ "guest_memory_current_bytes", "What its balloon leaves it.",
	  current_of },
	{ "guest_memory_maximum_bytes", "Its memory without a balloon.",
	  maximum_of },
	{ "guest_memory_minimum_bytes", "What its settings leave it at least.",
	  minimum_of },
	{ "guest_memory_low_bytes", "Less than that it must not have now.",
	  low_of },
	{ "guest_memory_idle_bytes", "What could be taken of it.", idle_of },
	{ "guest_memory_rss_bytes", "What its QEMU holds on the host.",
	  rss_of },
	{ "guest_memory_would_be_bytes",
	  "In a dry run: what it would have, had all orders been given.",
	  would_be_of },
	{ "guest_regret_bytes",
	  "In a dry run: how much more than that it needs now.", regret_of },
};

/* The beginning of a sample, up to where other labels may follow. */
static void guest_sample(FILE *out, const char *name, const struct guest *guest)
{
	fprintf(out, "ballast_%s{", name);
	label(out, "guest", guest->name);
}

static void render_guest_sizes(FILE *out, const struct snapshot *s,
			       const struct decision *decision)
{
	unsigned int i;
	uint64_t kib;
	size_t k;

	for (k = 0; k < ARRAY_SIZE(guest_sizes); k++) {
		metric(out, guest_sizes[k].name, "gauge", guest_sizes[k].help);
		for (i = 0; i < s->nr_guests; i++) {
			if (!guest_sizes[k].size(s, &s->guests[i],
						 &decision->guests[i], &kib))
				continue;
			guest_sample(out, guest_sizes[k].name, &s->guests[i]);
			fprintf(out, "} %" PRIu64 "\n", kib * 1024);
		}
	}
}

static void render_guest_states(FILE *out, const struct snapshot *s,
				const struct decision *decision)
{
	unsigned int i;

	metric(out, "guest_state", "gauge", "1, with its state as a label.");
	for (i = 0; i < s->nr_guests; i++) {
		guest_sample(out, "guest_state", &s->guests[i]);
		fputc(',', out);
		label(out, "state", state_name(decision->guests[i].state));
		fputs("} 1\n", out);
	}
	metric(out, "guest_pressure", "gauge", "1 if it is short of memory.");
	for (i = 0; i < s->nr_guests; i++) {
		guest_sample(out, "guest_pressure", &s->guests[i]);
		fprintf(out, "} %u\n",
			decision->guests[i].state == GUEST_PRESSURE);
	}
}

static void render_huge_shares(FILE *out, const struct snapshot *s)
{
	unsigned int i;

	metric(out, "guest_huge_page_ratio", "gauge",
	       "How much of its memory is on huge pages of the host.");
	for (i = 0; i < s->nr_guests; i++) {
		if (!(s->guests[i].have & 1u << STAT_HUGE_SHARE))
			continue;
		guest_sample(out, "guest_huge_page_ratio", &s->guests[i]);
		fprintf(out, "} %.4f\n",
			s->guests[i].stat[STAT_HUGE_SHARE] / 1e4);
	}
}

static void render_orders(FILE *out, const struct snapshot *s,
			  const struct order_counts *orders)
{
	unsigned int i;

	metric(out, "orders_total", "counter",
	       "Orders to change its size, since ballastd follows it.");
	for (i = 0; orders && i < s->nr_guests; i++) {
		guest_sample(out, "orders_total", &s->guests[i]);
		fprintf(out, ",direction=\"shrink\"} %" PRIu64 "\n",
			orders[i].shrinks);
		guest_sample(out, "orders_total", &s->guests[i]);
		fprintf(out, ",direction=\"grow\"} %" PRIu64 "\n",
			orders[i].grows);
	}
}

char *metrics_render(const struct snapshot *snapshot,
		     const struct decision *decision,
		     const struct daemon_counters *counters)
{
	char *text = NULL;
	size_t size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	render_daemon(out, snapshot, counters);
	render_host(out, snapshot);
	render_psi(out, counters);
	render_pools(out, snapshot, decision);
	render_guest_sizes(out, snapshot, decision);
	render_guest_states(out, snapshot, decision);
	render_huge_shares(out, snapshot);
	render_orders(out, snapshot, counters->orders);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* --- HTTP */

static struct MHD_Daemon *server;
static char unix_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *published;		/* under the lock */

static enum MHD_Result answer(struct MHD_Connection *connection,
			      unsigned int status, const char *type, char *text)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(strlen(text), text,
						   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
			      unsigned int status, const char *why)
{
	char *text = strdup(why);

	return text ? answer(connection, status, "text/plain", text) : MHD_NO;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *body,
				  size_t *body_size, void **request)
{
	char *text;

	if (strcmp(url, "/metrics"))
		return refuse(connection, MHD_HTTP_NOT_FOUND,
			      "There is /metrics alone.\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "GET it.\n");
	pthread_mutex_lock(&lock);
	text = published ? strdup(published) : NULL;
	pthread_mutex_unlock(&lock);
	if (!text)
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
			      "Nothing has been decided yet.\n");
	return answer(connection, MHD_HTTP_OK,
		      "text/plain; version=0.0.4; charset=utf-8", text);
}

/* Signals are the main thread's, so the server's begins with all blocked. */
static struct MHD_Daemon *start_server(int listener)
{
	struct MHD_Daemon *daemon;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
				  MHD_USE_POLL, 0, NULL, NULL,
				  on_request, NULL,
				  MHD_OPTION_LISTEN_SOCKET, listener,
				  MHD_OPTION_CONNECTION_LIMIT, 32u,
				  MHD_OPTION_CONNECTION_TIMEOUT, 10u,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				  (size_t)16384, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return daemon;
}

int metrics_start(const char *where, struct error *error)
{
	struct sockaddr_storage address;
	socklen_t length;
	int listener;

	if (config_address(where, &address, &length, error))
		return -1;
	listener = listen_on(where, &address, length, error);
	if (listener < 0)
		return -1;
	if (address.ss_family == AF_UNIX) {
		strcpy(unix_path, ((struct sockaddr_un *)&address)->sun_path);
		/* For anybody, as a port would be. */
		chmod(unix_path, 0666);
	}
	server = start_server(listener);
	if (server)
		return 0;
	error_set(error, "%s: the metrics' server does not start: %s", where,
		  strerror(errno));
	close(listener);
	metrics_stop();
	return -1;
}

void metrics_publish(const char *text)
{
	char *old, *new;

	if (!server)
		return;
	new = strdup(text);
	pthread_mutex_lock(&lock);
	old = published;
	published = new;
	pthread_mutex_unlock(&lock);
	free(old);
}

void metrics_stop(void)
{
	if (server)
		MHD_stop_daemon(server);	/* closes the socket, too */
	server = NULL;
	free(published);
	published = NULL;
	if (unix_path[0])
		unlink(unix_path);
	unix_path[0] = '\0';
}
