// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ballastctl doctor: asks libvirt, ballastd and the host, and prints what check.c
 * finds in the answers. All of libvirt is asked in threads, since a QEMU or a
 * libvirtd that hangs is one of the things to be found.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

#include "check.h"
#include "client.h"
#include "doctor.h"
#include "json_add.h"
#include "qmp.h"

#define ANSWER_MS	10000

/* --- the host */

/* The beginning of a file; "" if it can't be read. */
static void read_text(const char *root, const char *path, char *buf, size_t size)
{
	char name[256];
	FILE *file;
	size_t n;

	buf[0] = 0;
	snprintf(name, sizeof(name), "%s%s", root, path);
	file = fopen(name, "r");
	if (!file)
		return;
	n = fread(buf, 1, size - 1, file);
	buf[n] = 0;
	fclose(file);
}

/* The word in brackets: "always [madvise] never" */
static void read_choice(const char *root, const char *path, char word[32])
{
	char text[128], *begin, *end;

	word[0] = 0;
	read_text(root, path, text, sizeof(text));
	begin = strchr(text, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (end)
		snprintf(word, 32, "%.*s", (int)(end - begin - 1), begin + 1);
}

static void look_at_hook(const char *root, struct host_facts *host)
{
	char name[256];
	struct stat st;

	snprintf(name, sizeof(name), "%s" HOOK_PATH, root);
	host->hook = !stat(name, &st);
	host->hook_executable = host->hook && S_ISREG(st.st_mode) &&
				st.st_mode & S_IXUSR;
}

static void look_at_socket(struct host_facts *host)
{
	struct group *group;
	struct stat st;

	host->has_socket = !stat(host->socket, &st);
	if (!host->has_socket)
		return;
	host->socket_mode = st.st_mode;
	group = getgrgid(st.st_gid);
	if (group)
		snprintf(host->socket_group, sizeof(host->socket_group), "%s",
			 group->gr_name);
	else
		snprintf(host->socket_group, sizeof(host->socket_group), "%u",
			 st.st_gid);
}

static void look_at_apparmor(const char *root, struct host_facts *host)
{
	static char daemon[2 * 65536], guest[65536];
	char on[8];
	size_t n;

	read_text(root, "/sys/module/apparmor/parameters/enabled", on, sizeof(on));
	host->apparmor = on[0] == 'Y';
	/* Whichever of them this host has. */
	read_text(root, "/etc/apparmor.d/local/usr.sbin.libvirtd", daemon, 65536);
	n = strlen(daemon);
	read_text(root, "/etc/apparmor.d/local/usr.sbin.virtqemud", daemon + n, 65536);
	read_text(root, "/etc/apparmor.d/local/abstractions/libvirt-qemu", guest,
		  sizeof(guest));
	host->daemon_rules = daemon;
	host->guest_rules = guest;
}

static void look_at_host(const char *root, struct host_facts *host)
{
	look_at_hook(root, host);
	look_at_socket(host);
	look_at_apparmor(root, host);
	read_choice(root, "/sys/kernel/mm/transparent_hugepage/enabled", host->thp);
	read_choice(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		    host->shmem_thp);
	host_read(root, &host->memory, &host->memory_error);
}

static void take_status(struct host_facts *host, struct json_object *status)
{
	const char *mode = json_object_get_string(
				json_object_object_get(status, "mode"));

	host->dry_run = !mode || strcmp(mode, "active");
	host->connected = json_object_get_boolean(
				json_object_object_get(status, "connected"));
	host->releasing = json_object_get_boolean(
				json_object_object_get(status, "releasing"));
	host->hung_calls = json_object_get_int(
				json_object_object_get(status, "hung-calls"));
}

static void ask_ballastd(struct host_facts *host)
{
	struct json_object *request = json_object_new_object(), *status;

	host->no_right = access(host->socket, W_OK) && errno == EACCES;
	json_add_text(request, "command", "status");
	if (!client_ask_once(host->socket, request, client_deadline(ANSWER_MS),
			     &status, &host->ballastd_error)) {
		take_status(host, status);
		json_object_put(status);
	}
	json_object_put(request);
}

/* --- libvirt */

/*
 * in_time - have something done in a thread
 *
 * Return: 0; -1 if it takes too long. It goes on then, so @data has to stay.
 */
static int in_time(void *(*work)(void *data), void *data)
{
	struct timespec until;
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, data))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ANSWER_MS / 1000;
	if (!pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until))
		return 0;
	pthread_detach(thread);
	return -1;
}

static void no_report(void *data, virErrorPtr error)
{
}

static void virt_error(struct error *error)
{
	error_set(error, "%s", virGetLastErrorMessage());
}

struct libvirt {
	const char *uri;
	bool writable;
	virConnectPtr connection;
	unsigned long version, qemu;
	struct error error;
	char **running;			/* names */
	unsigned int nr_running;
};

static int list_running(struct libvirt *libvirt)
{
	virDomainPtr *domains;
	int i, n;

	n = virConnectListAllDomains(libvirt->connection, &domains,
				     VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (n < 0)
		return -1;
	libvirt->running = calloc(n + 1, sizeof(*libvirt->running));
	for (i = 0; i < n; i++) {
		if (libvirt->running)
			libvirt->running[libvirt->nr_running++] =
				strdup(virDomainGetName(domains[i]));
		virDomainFree(domains[i]);
	}
	free(domains);
	return 0;
}

static void *ask_libvirt(void *data)
{
	struct libvirt *libvirt = data;

	libvirt->connection = libvirt->writable ?
			      virConnectOpen(libvirt->uri) :
			      virConnectOpenReadOnly(libvirt->uri);
	if (!libvirt->connection ||
	    virConnectGetLibVersion(libvirt->connection, &libvirt->version) ||
	    list_running(libvirt))
		virt_error(&libvirt->error);
	/* Unknown where libvirt has found no QEMU. */
	else if (virConnectGetVersion(libvirt->connection, &libvirt->qemu))
		libvirt->qemu = 0;
	return NULL;
}

/* --- a guest */

struct inquiry {
	virConnectPtr connection;
	const struct config *config;
	bool qmp;
	struct guest_facts facts;
	char *guest_stats, *balloon;	/* what QEMU said */
};

static int read_domain(struct inquiry *inquiry, virDomainPtr domain)
{
	struct guest_facts *facts = &inquiry->facts;
	char *xml = virDomainGetXMLDesc(domain, 0);
	int rc;

	if (!xml) {
		virt_error(&facts->error);
		return -1;
	}
	rc = domain_read(xml, inquiry->config, &facts->info, &facts->error);
	free(xml);
	facts->known = !rc;
	facts->running = virDomainIsActive(domain) == 1;
	return rc;
}

static void read_statistics(struct guest_facts *facts, virDomainPtr domain)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int i, n;

	n = virDomainMemoryStats(domain, stats, ARRAY_SIZE(stats), 0);
	if (n < 0)
		virt_error(&facts->error);
	for (i = 0; i < n; i++) {
		if (stats[i].tag >= VIR_DOMAIN_MEMORY_STAT_NR)
			continue;
		facts->have |= 1u << stats[i].tag;
		facts->stat[stats[i].tag] = stats[i].val;
	}
}

static void ask_qemu(struct inquiry *inquiry, virDomainPtr domain)
{
	if (qmp_guest_stats(domain, inquiry->facts.info.balloon_alias,
			    &inquiry->guest_stats))
		virt_error(&inquiry->facts.error);
	/* A stock QEMU does not know it. */
	virDomainQemuMonitorCommand(domain, "{\"execute\": \"x-query-balloon\"}",
				    &inquiry->balloon, 0);
}

static void *ask_guest(void *data)
{
	struct inquiry *inquiry = data;
	struct guest_facts *facts = &inquiry->facts;
	virDomainPtr domain;

	domain = virDomainLookupByName(inquiry->connection, facts->info.name);
	if (!domain && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN) {
		domain = virDomainLookupByUUIDString(inquiry->connection,
						     facts->info.name);
		facts->none = !domain;
	}
	if (!domain) {
		virt_error(&facts->error);
		return NULL;
	}
	if (!read_domain(inquiry, domain) && facts->running &&
	    facts->info.has_balloon) {
		read_statistics(facts, domain);
		if (inquiry->qmp && facts->info.balloon_alias[0])
			ask_qemu(inquiry, domain);
	}
	virDomainFree(domain);
	return NULL;
}

static void copy_text(struct json_object *object, const char *key, char *text,
		      size_t size)
{
	const char *value = json_object_get_string(json_object_object_get(object,
									  key));

	snprintf(text, size, "%s", value ? value : "");
}

/* A list of words, with a comma between them. */
static void copy_list(struct json_object *object, const char *key, char *text,
		      size_t size)
{
	struct json_object *list = json_object_object_get(object, key);
	size_t i, n = json_object_is_type(list, json_type_array) ?
		      json_object_array_length(list) : 0;
	const char *word;
	int at = 0;

	text[0] = 0;
	for (i = 0; i < n && (size_t)at < size; i++) {
		word = json_object_get_string(json_object_array_get_idx(list, i));
		at += snprintf(text + at, size - at, "%s%s", i ? ", " : "",
			       word ?: "");
	}
}

static void take_qemu(struct inquiry *inquiry)
{
	struct guest_facts *facts = &inquiry->facts;
	struct json_object *stats, *balloon, *answer;

	if (!inquiry->guest_stats)
		return;
	stats = json_tokener_parse(inquiry->guest_stats);
	answer = json_object_object_get(json_object_object_get(stats, "return"),
					"stats");
	facts->driver = json_object_object_get_ex(answer, "stat-balloon-floor",
						  NULL) ? YES : NO;
	json_object_put(stats);
	if (!inquiry->balloon)
		return;
	balloon = json_tokener_parse(inquiry->balloon);
	answer = json_object_object_get(balloon, "return");
	copy_list(answer, "inhibited", facts->inhibited, sizeof(facts->inhibited));
	copy_text(answer, "last-error", facts->last_error,
		  sizeof(facts->last_error));
	json_object_put(balloon);
}

static enum answer is_patched(const char *path)
{
	int patched = host_qemu_patched(path);

	return patched < 0 ? UNKNOWN : patched ? YES : NO;
}

/* The program that runs may be another one than is at its path now. */
static void look_at_qemu(struct guest_facts *facts)
{
	int pid = facts->running ? host_guest_pid("", facts->info.name) : 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (pid)
		facts->patched = is_patched(path);
	if (facts->patched == UNKNOWN && facts->info.emulator[0])
		facts->patched = is_patched(facts->info.emulator);
}

/*
 * What libvirt serves of a client at a time (max_client_requests). When so many calls
 * hang, it hears no other one of ours.
 */
#define MAX_HUNG	5

static void check_unknown(struct report *report, const struct host_facts *host,
			  const char *name, const char *why)
{
	struct guest_facts facts = { .host = host };

	snprintf(facts.info.name, sizeof(facts.info.name), "%s", name);
	error_set(&facts.error, "%s", why);
	check_guest(report, &facts);
}

static void examine_guest(const struct libvirt *libvirt,
			  const struct config *config,
			  const struct host_facts *host, const char *name,
			  struct report *report)
{
	static unsigned int hung;
	struct guest_facts *facts;
	struct inquiry *inquiry;

	if (hung == MAX_HUNG) {
		check_unknown(report, host, name,
			      "not asked, since others before it do not answer: name it to have it asked");
		return;
	}
	inquiry = calloc(1, sizeof(*inquiry));
	if (!inquiry)
		return;
	facts = &inquiry->facts;
	inquiry->connection = libvirt->connection;
	inquiry->config = config;
	inquiry->qmp = libvirt->writable;
	facts->host = host;
	facts->now = time(NULL);
	snprintf(facts->info.name, sizeof(facts->info.name), "%s", name);
	if (in_time(ask_guest, inquiry)) {
		/* Not freed: the thread may still write to it. */
		check_unknown(report, host, name, "its QEMU does not answer libvirt");
		hung++;
		return;
	}
	take_qemu(inquiry);
	if (facts->known)
		look_at_qemu(facts);
	check_guest(report, facts);
	free(inquiry->guest_stats);
	free(inquiry->balloon);
	free(inquiry);
}

/* --- the report */

static int print_text(const struct report *report)
{
	const struct finding *finding;
	unsigned int i, counts[LEVEL_PROBLEM + 1] = { 0 };
	const char *about = "";

	for (i = 0; i < report->nr; i++) {
		finding = &report->findings[i];
		if (strcmp(about, finding->about))
			printf("%s%s:\n", i ? "\n" : "", finding->about);
		about = finding->about;
		printf("  %-8s %s\n", level_name(finding->level),
		       finding->text.text);
		if (finding->remedy.text[0])
			printf("  %-8s remedy: %s\n", "", finding->remedy.text);
		counts[finding->level]++;
	}
	putchar('\n');
	for (i = LEVEL_PROBLEM; i > LEVEL_OK; i--)
		printf("%u %s%s%s", counts[i], level_name(i),
		       counts[i] == 1 ? "" : "s", i > LEVEL_NOTE ? ", " : "\n");
	return counts[LEVEL_PROBLEM] ? -1 : 0;
}

static int print_json(const struct report *report)
{
	struct json_object *all = json_object_new_object();
	struct json_object *findings = json_object_new_array(), *object;
	const struct finding *finding;
	bool ok = true;
	unsigned int i;

	for (i = 0; i < report->nr; i++) {
		finding = &report->findings[i];
		object = json_object_new_object();
		json_add_text(object, "about", finding->about);
		json_add_text(object, "level", level_name(finding->level));
		json_add_text(object, "text", finding->text.text);
		if (finding->remedy.text[0])
			json_add_text(object, "remedy", finding->remedy.text);
		json_object_array_add(findings, object);
		ok = ok && finding->level != LEVEL_PROBLEM;
	}
	json_add_bool(all, "ok", ok);
	json_object_object_add(all, "findings", findings);
	json_print(all);
	json_object_put(all);
	return ok ? 0 : -1;
}

static void examine_host(struct libvirt *libvirt, struct host_facts *host)
{
	virSetErrorFunc(NULL, no_report);
	host->uri = libvirt->uri;
	if (virInitialize() || in_time(ask_libvirt, libvirt)) {
		error_set(&host->libvirt_error, "no answer in %d s",
			  ANSWER_MS / 1000);
	} else {
		host->libvirt_error = libvirt->error;
		host->libvirt = libvirt->version;
		host->qemu = libvirt->qemu;
	}
	ask_ballastd(host);
	look_at_host("", host);
}

int doctor(const struct config *config, const struct error *config_error,
	   const char *socket, char **guests, unsigned int nr, bool qmp, bool json)
{
	/* Static: for a thread that has not come to its end. */
	static struct libvirt libvirt;
	struct host_facts host = {
		.config_error = config_error, .config = config, .socket = socket,
	};
	struct report report = { 0 };
	unsigned int i;
	int rc;

	libvirt.uri = config->uri;
	libvirt.writable = qmp;
	examine_host(&libvirt, &host);
	check_host(&report, &host);
	if (!host.libvirt_error.text[0]) {
		if (!nr) {
			guests = libvirt.running;
			nr = libvirt.nr_running;
		}
		for (i = 0; i < nr; i++)
			examine_guest(&libvirt, config, &host, guests[i], &report);
	}
	rc = json ? print_json(&report) : print_text(&report);
	report_free(&report);
	host_free(&host.memory);
	return rc;
}
