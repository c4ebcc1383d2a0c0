// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hook: libvirtd runs it as /etc/libvirt/hooks/qemu.d/ballast with GUEST
 * OPERATION SUB-OPERATION EXTRA and the domain's XML on stdin, and waits for it.
 * What it prints would become the domain's XML, and a status that is not 0 stops
 * a start, or kills a guest that libvirtd finds again: so whatever goes wrong here
 * it ends with 0, soon. It must not call libvirt, which waits for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include "client.h"
#include "config.h"
#include "json_add.h"

/* For all that libvirt should not notice, together. */
#define QUICK_MS	900
/* Longer than ballastd needs to say that its own time is over. */
#define SPARE_MS	1000
#define WAIT_MOST	600000	/* ms: as much as [hook] timeout may be */

static void complain(const char *guest, const struct error *error)
{
	log_line(LOG_WARNING, "guest %s: %s", guest, error->text);
	syslog(LOG_WARNING, "guest %s: %s", guest, error->text);
}

/* libvirtd does not want to hear that all is well; who tries it by hand does. */
__attribute__((format(printf, 2, 3)))
static void tell_people(const char *guest, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(LOG_INFO, "guest %s: %s", guest, text);
}

/* --- Where a deadline can't reach: a file system or a log that hangs. */

static void too_long(int signal)
{
	static const char text[] = "ballast: the hook hung: it gives up\n";

	/* If that fails there is nowhere to complain. */
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(0);
}

static void give_up_after(unsigned int ms)
{
	struct itimerval timer = {
		.it_value = { ms / 1000, ms % 1000 * 1000 },
	};

	signal(SIGALRM, too_long);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* --- the operations */

static struct json_object *request_new(const char *command, const char *key,
				       const char *value)
{
	struct json_object *request = json_object_new_object();

	json_add_text(request, "command", command);
	json_add_text(request, key, value);
	return request;
}

/* All of stdin, in @xml of REQUEST_MOST bytes. */
static int read_xml(char *xml, uint64_t deadline, struct error *error)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t used = 0;
	ssize_t n;

	do {
		if (poll(&fd, 1, client_rest(deadline)) <= 0)
			return error_set(error, "its XML does not come to an end");
		n = read(STDIN_FILENO, xml + used, REQUEST_MOST - used);
		if (n < 0)
			return error_set(error, "its XML can't be read: %s",
					 strerror(errno));
		used += n;
	} while (n && used < REQUEST_MOST);
	if (n)
		return error_set(error, "its XML has more than the %u bytes that "
				 "ballastd takes", REQUEST_MOST - 1);
	if (!used)
		return error_set(error, "no XML on stdin");
	xml[used] = 0;
	return 0;
}

static bool is_true(struct json_object *reply, const char *key)
{
	struct json_object *value = json_object_object_get(reply, key);

	return json_object_is_type(value, json_type_boolean) &&
	       json_object_get_boolean(value);
}

/* What ballastd says at last: 1 if the start is to be refused. */
static int take_answer(const char *guest, const struct config *config,
		       struct json_object *reply)
{
	const char *message =
		json_object_get_string(json_object_object_get(reply, "message"));
	bool refuse = config->hook_refuse && is_true(reply, "refuse");
	struct error error;

	if (is_true(reply, "room")) {
		tell_people(guest, "%s", message ? message : "there is room");
		return 0;
	}
	error_set(&error, "%s: %s", refuse ? "refused" : "no room was made for it",
		  message ? message : "ballastd does not say why");
	complain(guest, &error);
	return refuse;
}

/* How long ballastd will take at most, which has read its settings long ago. */
static unsigned int wait_of(struct json_object *reply, const struct config *config)
{
	struct json_object *value = json_object_object_get(reply, "wait");
	int64_t wait = json_object_get_int64(value);

	return json_object_is_type(value, json_type_int) && wait >= 0 &&
	       wait <= WAIT_MOST ? wait : config->hook_timeout;
}

/* Two replies: that it is at it, and that there is room, or not. */
static int ask_for_room(struct connection *connection, const char *guest,
			const struct config *config, const char *xml,
			uint64_t deadline, struct error *error)
{
	struct json_object *request = request_new("prepare", "xml", xml);
	struct json_object *reply;
	unsigned int wait;
	int rc;

	rc = client_ask(connection, request, deadline, &reply, error);
	json_object_put(request);
	if (rc)
		return -1;
	wait = wait_of(reply, config) + SPARE_MS;
	json_object_put(reply);
	give_up_after(wait + SPARE_MS);
	if (client_reply(connection, client_deadline(wait), &reply, error))
		return -1;
	rc = take_answer(guest, config, reply);
	json_object_put(reply);
	return rc;
}

static int prepare(const char *guest, const struct config *config,
		   uint64_t deadline, struct error *error)
{
	static char xml[REQUEST_MOST];
	struct connection connection;
	int rc;

	if (read_xml(xml, deadline, error) ||
	    client_open(&connection, config->socket, deadline, error))
		return -1;
	rc = ask_for_room(&connection, guest, config, xml, deadline, error);
	client_close(&connection);
	return rc;
}

static int tell(const char *command, const char *guest,
		const struct config *config, uint64_t deadline,
		struct error *error)
{
	struct json_object *request = request_new(command, "guest", guest);
	struct json_object *reply;
	int rc;

	rc = client_ask_once(config->socket, request, deadline, &reply, error);
	if (!rc) {
		json_object_put(reply);
		tell_people(guest, "ballastd knows: %s", command);
	}
	json_object_put(request);
	return rc;
}

/*
 * Nothing is said of the others: "prepare" follows "migrate" and "restore", which
 * are there to change the XML, and "start" follows "prepare".
 */
static const struct operation {
	const char *name, *command;
} operations[] = {
	{ "prepare", "prepare" },
	{ "started", "started" },
	{ "attach", "started" },
	{ "stopped", "stopped" },
	{ "release", "released" },
	{ "start", NULL }, { "migrate", NULL }, { "restore", NULL },
	{ "reconnect", NULL },
};

static const struct operation *operation_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	return NULL;
}

/* A later libvirt may have more of them. */
static int ignore(const char *guest, const char *name, bool known)
{
	if (known)
		tell_people(guest, "%s: nothing to do", name);
	else
		tell_people(guest, "unknown operation '%s'; those that do something "
			    "are prepare, started, attach, stopped, release", name);
	return 0;
}

static int run(const char *path, const char *guest, const char *command)
{
	uint64_t deadline = client_deadline(QUICK_MS);
	struct config config;
	struct error error;
	int rc;

	give_up_after(QUICK_MS + 50);
	if (config_read(path, &config, &error)) {
		complain(guest, &error);
		config_init(&config);
	}
	if (!strcmp(command, "prepare"))
		rc = prepare(guest, &config, deadline, &error);
	else
		rc = tell(command, guest, &config, deadline, &error);
	if (rc < 0)
		complain(guest, &error);
	config_free(&config);
	return rc > 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: %s [-c FILE] GUEST OPERATION SUB-OPERATION EXTRA < XML\n"
		"libvirtd calls this, as a hook; see ballastd(8)\n",
		program_invocation_short_name);
	return 2;
}

int main(int argc, char **argv)
{
	const struct operation *operation;
	const char *path = NULL;

	signal(SIGPIPE, SIG_IGN);
	/* Not getopt(): a guest may be called "-c". libvirt has 4 arguments. */
	if (argc == 7 && !strcmp(argv[1], "-c")) {
		path = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc < 3)
		return usage();
	openlog("ballast-hook", LOG_PID, LOG_DAEMON);
	operation = operation_find(argv[2]);
	if (!operation || !operation->command)
		return ignore(argv[1], argv[2], operation);
	return run(path, argv[1], operation->command);
}
