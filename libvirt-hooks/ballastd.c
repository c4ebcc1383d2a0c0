// SPDX-License-Identifier: GPL-2.0-or-later
/* ballastd: sets the guests' balloons. See ballastd(8). */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <unistd.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <systemd/sd-daemon.h>

#include "daemon.h"
#include "metrics.h"

#define TICK_MS		250
#define STOP_MS		5000	/* for what is released at the end */

struct daemon d;

static uint64_t stop_until, stop_pass;
static uint64_t watchdog_ms, watchdog_last;

bool dry_run(void)
{
	return d.mode ? d.mode == 'n' : d.config.dry_run;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: ballastd [-c FILE] [-n | --active] [-v]\n"
		"       ballastd [-c FILE] --check\n\n"
		"  -c, --config FILE  settings; without it " CONFIG_PATH "\n"
		"  -n, --dry-run      change nothing, whatever the settings say\n"
		"      --active       set balloons, whatever the settings say\n"
		"  -v, --verbose      log more; twice: even more\n"
		"      --check        check the settings, and end\n"
		"      --version, --help\n\nSee ballastd(8).\n");
}

/* --- settings */

static bool same(const char *a, const char *b, const char *what)
{
	if (!strcmp(a, b))
		return true;
	log_line(LOG_WARNING, "%s has changed: restart ballastd for that", what);
	return false;
}

/* A file that is well in itself, and for this host. */
static int read_settings(struct config *config, struct error *error)
{
	struct host host = { 0 };
	int rc;

	if (config_read(d.config_path, config, error))
		return -1;
	rc = host_read("", &host, error) ||
	     config_check_host(config, host.pools[0].total, error) ? -1 : 0;
	host_free(&host);
	if (rc)
		config_free(config);
	return rc;
}

int reload(struct error *error)
{
	struct config new;

	if (read_settings(&new, error)) {
		log_line(LOG_ERR, "%s; the old settings stay", error->text);
		return -1;
	}
	/* These are in use. */
	if (!same(d.config.uri, new.uri, "uri"))
		memcpy(new.uri, d.config.uri, sizeof(new.uri));
	if (!same(d.config.socket, new.socket, "socket"))
		memcpy(new.socket, d.config.socket, sizeof(new.socket));
	if (!same(d.config.socket_group, new.socket_group, "socket_group"))
		memcpy(new.socket_group, d.config.socket_group,
		       sizeof(new.socket_group));
	if (!same(d.config.metrics, new.metrics, "metrics"))
		memcpy(new.metrics, d.config.metrics, sizeof(new.metrics));
	config_free(&d.config);
	d.config = new;
	log_line(LOG_NOTICE, "settings read: %s", dry_run() ? "a dry run" : "active");
	pass_interval();
	/* Their settings are resolved with ours. */
	guests_read_xml();
	return 0;
}

/* --- the end */

/* Orders that libvirt does not have yet, or balloons on their way to all of it. */
static bool orders_open(void)
{
	struct tracked *t;

	if (d.releasing && d.passes == stop_pass)
		return true;
	for (t = d.guests; t; t = t->next)
		if (t->order_busy ||
		    (d.releasing && t->guest.memory.target == t->guest.maximum &&
		     t->guest.actual < t->guest.maximum))
			return true;
	return false;
}

/* What is being released is not kept in the state: it ends with this ballastd. */
static void stop(void)
{
	struct tracked *t;

	if (d.stopping)
		return;
	d.stopping = true;
	sd_notify(0, "STOPPING=1");
	stop_until = now_ms() + STOP_MS;
	stop_pass = d.passes;
	if (dry_run())
		return;
	d.releasing = d.config.release_at_stop && d.connected;
	if (!d.releasing) {
		for (t = d.guests; t; t = t->next)
			guest_halt(t);
		return;
	}
	log_line(LOG_NOTICE, "all guests get their memory back");
	pass_soon();
}

static void on_signal(int watch, int fd, int what, void *data)
{
	struct signalfd_siginfo info;
	struct error error;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		stop();
	else
		reload(&error);
}

/* --- the loop */

static void tell_systemd(void)
{
	uint64_t now = now_ms();

	if (watchdog_ms && now - watchdog_last >= watchdog_ms / 3) {
		watchdog_last = now;
		sd_notify(0, "WATCHDOG=1");
	}
}

static void on_tick(int timer, void *data)
{
	guests_tick();
	tell_systemd();
}

/* Blocked in all threads, which inherit that. */
static int catch_signals(struct error *error)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, on_signal,
					NULL, NULL) < 0)
		return error_set(error, "no signals: %s", strerror(errno));
	return 0;
}

static int start(struct error *error)
{
	uint64_t watchdog_us;

	if (virt_init(d.config.uri, guests_callbacks(), error) ||
	    catch_signals(error) ||
	    control_start(d.config.socket, d.config.socket_group, command_run,
			  rooms_client_gone, error))
		return -1;
	state_load();
	if ((strcmp(d.config.metrics, "none") &&
	     metrics_start(d.config.metrics, error)) ||
	    pass_init(error) ||
	    (virEventAddTimeout(TICK_MS, on_tick, NULL, NULL) < 0 &&
	     error_set(error, "no timers")))
		return -1;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		watchdog_ms = watchdog_us / 1000;
	guests_connect();
	return 0;
}

static int run(void)
{
	log_line(LOG_NOTICE, "ballastd " VERSION ": %s", dry_run() ?
		 "a dry run, nothing is changed" : "active");
	sd_notifyf(0, "READY=1\nSTATUS=%s", dry_run() ? "Dry run" : "Active");
	while (!d.stopping || (now_ms() < stop_until && orders_open())) {
		if (virEventRunDefaultImpl() < 0) {
			log_line(LOG_ERR, "event loop: %s", virGetLastErrorMessage());
			return 1;
		}
	}
	log_line(LOG_NOTICE, "the end; guests keep what they have");
	return 0;
}

static int say_checked(void)
{
	const char *path = d.config_path ?: CONFIG_PATH;

	if (d.config.socket_group[0] && !getgrnam(d.config.socket_group)) {
		log_line(LOG_ERR, "%s: socket_group: no group %s; create it", path,
			 d.config.socket_group);
		return 1;
	}
	printf("%s: %s\n", path, access(path, F_OK) ?
	       "is not there: the defaults hold" : "well");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "active", no_argument, NULL, 'a' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "check", no_argument, NULL, 'C' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	struct error error;
	bool check = false;
	int c, level = LOG_NOTICE;

	while ((c = getopt_long(argc, argv, "c:nvh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			d.config_path = optarg;
			break;
		case 'n':
		case 'a':
			if (d.mode && d.mode != c) {
				fprintf(stderr, "ballastd: --dry-run and --active: which one?\n");
				return 2;
			}
			d.mode = c;
			break;
		case 'v':
			level++;
			break;
		case 'C':
			check = true;
			break;
		case 'V':
			printf("ballastd " VERSION "\n");
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ballastd: what is \"%s\"? See ballastd --help\n",
			argv[optind]);
		return 2;
	}
	log_level(level);
	if (read_settings(&d.config, &error)) {
		log_line(LOG_ERR, "%s", error.text);
		return 1;
	}
	if (check)
		return say_checked();
	if (start(&error)) {
		log_line(LOG_ERR, "%s", error.text);
		control_stop();
		return 1;
	}
	c = run();
	control_stop();
	metrics_stop();
	/* Workers may hang in libvirt: not waited for. */
	_exit(c);
}
