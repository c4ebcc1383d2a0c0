// SPDX-License-Identifier: GPL-2.0-or-later
/* ballastctl: for people who want to know what ballastd does, or to tell it. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <wchar.h>

#include "client.h"
#include "config.h"
#include "doctor.h"
#include "json_add.h"
#include "replay.h"

#define TIMEOUT_MS	5000

static bool json, qmp, all;
static const char *socket_path;
static uint64_t new_size;		/* KiB: of "set" */

/* --- tables */

#define CELL		80
#define COLUMNS_MOST	8

/* printf() pads to bytes, and a name may have fewer columns than bytes. */
static int columns_of(const char *text)
{
	wchar_t wide[CELL];
	size_t n = mbstowcs(wide, text, ARRAY_SIZE(wide));
	int width = n < ARRAY_SIZE(wide) ? wcswidth(wide, n) : -1;

	return width < 0 ? (int)strlen(text) : width;
}

static void print_row(char cells[][CELL], const int *widths,
		      unsigned int nr_columns)
{
	unsigned int i;

	for (i = 0; i + 1 < nr_columns; i++)
		printf("%s%*s  ", cells[i], widths[i] - columns_of(cells[i]), "");
	printf("%s\n", cells[i]);
}

static void print_table(char (*rows)[COLUMNS_MOST][CELL], unsigned int nr_rows,
			unsigned int nr_columns)
{
	int widths[COLUMNS_MOST] = { 0 };
	unsigned int i, k;

	for (i = 0; i < nr_rows; i++)
		for (k = 0; k < nr_columns; k++)
			if (columns_of(rows[i][k]) > widths[k])
				widths[k] = columns_of(rows[i][k]);
	for (i = 0; i < nr_rows; i++)
		print_row(rows[i], widths, nr_columns);
}

/* --- what ballastd says */

static const char *text_of(struct json_object *object, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(object,
									 key));

	return text && text[0] ? text : "-";
}

static int64_t number_of(struct json_object *object, const char *key)
{
	return json_object_get_int64(json_object_object_get(object, key));
}

static bool is_true(struct json_object *object, const char *key)
{
	return json_object_get_boolean(json_object_object_get(object, key));
}

static void size_of(struct json_object *object, const char *key, char *cell)
{
	int64_t kib = number_of(object, key);
	char buf[SIZE_TEXT];

	snprintf(cell, CELL, "%s", kib > 0 ? size_text(kib, buf) : "-");
}

static void share_of(struct json_object *object, const char *key, char *cell)
{
	int64_t share = number_of(object, key);

	if (share < 0 || !json_object_object_get_ex(object, key, NULL))
		snprintf(cell, CELL, "-");
	else
		snprintf(cell, CELL, "%" PRId64 " %%", (share + 50) / 100);
}

static void cell_set(char *cell, const char *text)
{
	snprintf(cell, CELL, "%s", text);
}

static void list_row(struct json_object *guest, char cells[COLUMNS_MOST][CELL],
		     bool dry_run)
{
	unsigned int i = 0;

	cell_set(cells[i++], text_of(guest, "name"));
	size_of(guest, "current", cells[i++]);
	size_of(guest, "target", cells[i++]);
	if (dry_run)
		size_of(guest, "would-be", cells[i++]);
	size_of(guest, "low", cells[i++]);
	share_of(guest, "huge-share", cells[i++]);
	cell_set(cells[i++], text_of(guest, "pressure"));
	cell_set(cells[i++], text_of(guest, "state"));
}

static int print_list(struct json_object *reply)
{
	static const char *const titles[] = {
		"GUEST", "CURRENT", "TARGET", "WOULD BE", "LOW", "HUGE", "PRESSURE",
		"STATE",
	};
	struct json_object *guests = json_object_object_get(reply, "guests");
	unsigned int i, k = 0, n = json_object_array_length(guests);
	char (*rows)[COLUMNS_MOST][CELL] = calloc(n + 1, sizeof(*rows));
	bool dry_run = false;

	if (!rows)
		return -1;
	for (i = 0; i < n; i++)
		if (json_object_object_get_ex(json_object_array_get_idx(guests, i),
					      "would-be", NULL))
			dry_run = true;
	for (i = 0; i < ARRAY_SIZE(titles); i++)
		if (dry_run || strcmp(titles[i], "WOULD BE"))
			cell_set(rows[0][k++], titles[i]);
	for (i = 0; i < n; i++)
		list_row(json_object_array_get_idx(guests, i), rows[i + 1], dry_run);
	print_table(rows, n + 1, k);
	free(rows);
	return 0;
}

static void print_field(const char *name, const char *value)
{
	printf("%-14s  %s\n", name, value);
}

static void print_size(struct json_object *object, const char *key)
{
	char cell[CELL];

	if (!json_object_object_get_ex(object, key, NULL))
		return;
	size_of(object, key, cell);
	print_field(key, cell);
}

static bool is_size(const char *key)
{
	static const char *const sizes[] = {
		"minimum", "available", "usable", "unused", "swap-in", "floor",
		"shortfall", "free-blocks",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		if (!strcmp(sizes[i], key))
			return true;
	return false;
}

/* What has its unit in its name, or is no size, is printed as it is. */
static void part_of(struct json_object *fields, const char *key, char *cell)
{
	struct json_object *value = json_object_object_get(fields, key);
	char buf[SIZE_TEXT];

	if (!strcmp(key, "huge-share"))
		share_of(fields, key, cell);
	else if (is_size(key) && json_object_is_type(value, json_type_int))
		cell_set(cell, size_text(number_of(fields, key), buf));
	else
		cell_set(cell, text_of(fields, key));
}

static void print_part(struct json_object *object, const char *part)
{
	struct json_object *fields = json_object_object_get(object, part);
	struct json_object_iter field;
	char cell[CELL];

	if (!json_object_is_type(fields, json_type_object))
		return;
	printf("%s:\n", part);
	json_object_object_foreachC(fields, field) {
		part_of(fields, field.key, cell);
		printf("  %-24s  %s\n", field.key, cell);
	}
}

static int print_show(struct json_object *reply)
{
	static const char *const sizes[] = {
		"current", "target", "maximum", "minimum", "low", "idle", "rss",
		"would-be", "regret", "regret-most",
	};
	struct json_object *guest = json_object_object_get(reply, "guest");
	char cell[CELL];
	size_t i;

	print_field("guest", text_of(guest, "name"));
	print_field("uuid", text_of(guest, "uuid"));
	print_field("state", text_of(guest, "state"));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		print_size(guest, sizes[i]);
	share_of(guest, "huge-share", cell);
	print_field("huge pages", cell);
	print_field("pressure", text_of(guest, "pressure"));
	print_field("why", text_of(guest, "why"));
	print_part(guest, "statistics");
	print_part(guest, "settings");
	return 0;
}

static int print_explain(struct json_object *reply)
{
	struct json_object *lines = json_object_object_get(reply, "lines");
	const char *line;
	size_t i;

	for (i = 0; i < json_object_array_length(lines); i++) {
		line = json_object_get_string(json_object_array_get_idx(lines, i));
		puts(line ? line : "");
	}
	return 0;
}

static void pool_row(struct json_object *pool, char cells[COLUMNS_MOST][CELL])
{
	size_of(pool, "page", cells[0]);
	size_of(pool, "total", cells[1]);
	size_of(pool, "available", cells[2]);
	size_of(pool, "reserve", cells[3]);
	cell_set(cells[4], is_true(pool, "taking") ? "taking" : "-");
}

static int print_pools(struct json_object *pools)
{
	static const char *const titles[] = {
		"PAGE", "TOTAL", "AVAILABLE", "RESERVE", "",
	};
	unsigned int i, n = json_object_array_length(pools);
	char (*rows)[COLUMNS_MOST][CELL] = calloc(n + 1, sizeof(*rows));

	if (!rows)
		return -1;
	for (i = 0; i < ARRAY_SIZE(titles); i++)
		cell_set(rows[0][i], titles[i]);
	for (i = 0; i < n; i++)
		pool_row(json_object_array_get_idx(pools, i), rows[i + 1]);
	print_table(rows, n + 1, ARRAY_SIZE(titles));
	free(rows);
	return 0;
}

static int print_status(struct json_object *reply)
{
	struct json_object *host = json_object_object_get(reply, "host");
	bool connected = is_true(reply, "connected");

	print_field("mode", text_of(reply, "mode"));
	print_field("version", text_of(reply, "version"));
	print_field("libvirt", text_of(reply, "uri"));
	print_field("connected", connected ? "yes" : "no");
	if (!connected)
		print_field("why not", text_of(reply, "connection-error"));
	if (is_true(reply, "releasing"))
		print_field("releasing", "all memory is being given back");
	print_field("passes", text_of(reply, "passes"));
	printf("%-14s  %.1f ms of CPU\n", "last pass",
	       number_of(reply, "pass-cpu-us") / 1000.0);
	print_field("hung calls", text_of(reply, "hung-calls"));
	print_size(host, "total");
	print_size(host, "available");
	print_size(host, "budget");
	return print_pools(json_object_object_get(reply, "pools"));
}

static int print_metrics(struct json_object *reply)
{
	fputs(text_of(reply, "text"), stdout);
	return 0;
}

/* --- commands */

/* What a command takes behind its name. */
enum arguments { NONE, GUEST, GUEST_OR_ALL, GUEST_SIZE, GUESTS, FILE_NAME };

struct command {
	const char *name;
	enum arguments arguments;
	/* Of ballastd's: */
	const char *key;		/* the reply must have it */
	enum json_type type;		/* as this */
	int (*print)(struct json_object *reply);
	const char *done, *all_done;	/* to be said of a guest, and of all */
};

static const struct command commands[] = {
	{ "list", NONE, "guests", json_type_array, .print = print_list },
	{ "show", GUEST, "guest", json_type_object, .print = print_show },
	{ "explain", GUEST, "lines", json_type_array, .print = print_explain },
	{ "status", NONE, "pools", json_type_array, .print = print_status },
	{ "metrics", NONE, "text", json_type_string, .print = print_metrics },
	{ "set", GUEST_SIZE, .done = "to have that size; left alone until "
		"'ballastctl resume'" },
	{ "pause", GUEST_OR_ALL, .done = "left alone until 'ballastctl resume'",
		.all_done = "left alone until 'ballastctl resume --all'" },
	{ "resume", GUEST_OR_ALL, .done = "looked after again",
		.all_done = "looked after again" },
	{ "release", GUEST_OR_ALL, .done = "gets all its memory back; left alone until "
		"'ballastctl resume'", .all_done = "get all their memory back; left "
		"alone until 'ballastctl resume --all'" },
	{ "doctor", .arguments = GUESTS },
	{ "replay", .arguments = FILE_NAME },
};

static struct json_object *request_new(const struct command *command, char **words)
{
	struct json_object *request = json_object_new_object();

	json_add_text(request, "command", command->name);
	if (words[0])
		json_add_text(request, "guest", words[0]);
	if (command->arguments == GUEST_SIZE)
		json_add_number(request, "size", new_size);
	return request;
}

static int ask(struct json_object *request, struct json_object **reply)
{
	struct error error;
	int rc;

	rc = client_ask_once(socket_path, request, client_deadline(TIMEOUT_MS),
			     reply, &error);
	if (rc)
		log_line(LOG_ERR, "%s", error.text);
	return rc;
}

static int print_reply(const struct command *command, const char *guest,
		       struct json_object *reply)
{
	if (json) {
		json_print(reply);
		return 0;
	}
	if (!command->print) {
		printf("%s: %s\n", guest ? guest : "all guests",
		       guest ? command->done : command->all_done);
		return 0;
	}
	if (!json_object_is_type(json_object_object_get(reply, command->key),
				 command->type)) {
		log_line(LOG_ERR, "no \"%s\" in ballastd's reply: is it of another "
			 "version? (ballastd --version)", command->key);
		return -1;
	}
	return command->print(reply);
}

static int ask_ballastd(const struct command *command, char **words)
{
	struct json_object *request = request_new(command, words), *reply;
	int rc;

	rc = ask(request, &reply);
	json_object_put(request);
	if (rc)
		return -1;
	rc = print_reply(command, words[0], reply);
	json_object_put(reply);
	return rc;
}

/* --- the command line */

static int usage(FILE *to)
{
	fputs("usage: ballastctl [OPTION...] COMMAND\n"
	      "  list                     guests, what they have, and how they are\n"
	      "  show GUEST               all that ballastd knows of one\n"
	      "  explain GUEST            why its target is what it is\n"
	      "  status                   ballastd and the host\n"
	      "  set GUEST SIZE           give it this much, and leave it alone\n"
	      "  pause GUEST | --all      leave it alone\n"
	      "  resume GUEST | --all     look after it again\n"
	      "  release GUEST | --all    give it all its memory back, leave it alone\n"
	      "  doctor [GUEST...]        what is wrong, and what to do about it\n"
	      "  replay FILE              the policy on what ballastd recorded\n"
	      "  metrics                  as Prometheus reads them\n"
	      "options:\n"
	      "  -j, --json               JSON instead of text\n"
	      "  -s, --socket PATH        where ballastd listens\n"
	      "  -c, --config FILE        instead of " CONFIG_PATH "\n"
	      "      --qmp                doctor: ask QEMU, too; taints the guest\n"
	      "      --version, --help\n", to);
	return to == stderr ? 2 : 0;
}

static int misused(const char *what, const char *which)
{
	log_line(LOG_ERR, "%s%s; see 'ballastctl --help'", what, which);
	return 2;
}

static const struct command *command_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* What is wrong with the words behind a command; NULL: nothing. */
static const char *words_wrong(enum arguments arguments, int n)
{
	if (all && arguments != GUEST_OR_ALL)
		return " takes no --all";
	switch (arguments) {
	case NONE:
		return n ? " takes no argument" : NULL;
	case GUEST:
		return n != 1 ? " takes one GUEST" : NULL;
	case GUEST_OR_ALL:
		if (all)
			return n ? " takes GUEST or --all, not both" : NULL;
		return n != 1 ? " takes one GUEST, or --all" : NULL;
	case GUEST_SIZE:
		return n != 2 ? " takes a GUEST and a SIZE" : NULL;
	case FILE_NAME:
		return n != 1 ? " takes one FILE" : NULL;
	default:
		return NULL;
	}
}

/* A size that is none: 2. */
static int read_size(const char *text)
{
	struct error error;
	int rc = parse_size(text, &new_size, &error);

	if (!rc && !new_size)
		rc = error_set(&error, "%.64s is no size; say 512M, 4G or 1.5GiB",
			       text);
	if (rc)
		log_line(LOG_ERR, "%s", error.text);
	return rc ? 2 : 0;
}

/* The word that getopt() has just taken for options, the first of them a digit. */
static const char *word_of(char **argv, int option)
{
	const char *word = argv[optind];

	return word && word[0] == '-' && word[1] == option ? word : argv[optind - 1];
}

/*
 * With a bad configuration the doctor has a finding. Others have the defaults,
 * unless somebody has named it.
 */
static int run(const struct command *command, char **words, unsigned int n,
	       const char *path)
{
	struct config config;
	struct error error;
	bool bad;
	int rc;

	if (command->arguments == FILE_NAME)
		return replay(words[0], json);
	bad = config_read(path, &config, &error);
	if (bad)
		config_init(&config);
	if (!socket_path)
		socket_path = config.socket;
	if (command->arguments == GUESTS) {
		rc = doctor(&config, bad ? &error : NULL, socket_path, words, n,
			    qmp, json);
	} else if (bad && path) {
		log_line(LOG_ERR, "%s", error.text);
		rc = -1;
	} else {
		if (bad && socket_path == config.socket)
			log_line(LOG_WARNING, "%s; goes on with the defaults: asks at %s",
				 error.text, socket_path);
		rc = ask_ballastd(command, words);
	}
	config_free(&config);
	return rc;
}

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "socket", required_argument, NULL, 's' },
	{ "config", required_argument, NULL, 'c' },
	{ "all", no_argument, NULL, 'a' },
	{ "qmp", no_argument, NULL, 'q' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

int main(int argc, char **argv)
{
	const struct command *command;
	const char *path = NULL, *wrong;
	int c, rc;

	setlocale(LC_CTYPE, "");
	while ((c = getopt_long(argc, argv, "js:c:h0123456789", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 's':
			socket_path = optarg;
			break;
		case 'c':
			path = optarg;
			break;
		case 'a':
			all = true;
			break;
		case 'q':
			qmp = true;
			break;
		case 'V':
			puts("ballastctl " VERSION);
			return 0;
		case 'h':
			return usage(stdout);
		case '0' ... '9':
			return read_size(word_of(argv, c));
		default:
			return 2;	/* getopt has said why */
		}
	}
	if (optind == argc)
		return usage(stderr);
	command = command_find(argv[optind]);
	if (!command)
		return misused("no such command: ", argv[optind]);
	argv += optind + 1;
	wrong = words_wrong(command->arguments, argc - optind - 1);
	if (!wrong && qmp && command->arguments != GUESTS)
		wrong = " takes no --qmp";
	if (wrong)
		return misused(command->name, wrong);
	rc = command->arguments == GUEST_SIZE ? read_size(argv[1]) : 0;
	if (rc)
		return rc;
	if (run(command, argv, argc - optind - 1, path))
		return 1;
	/* A full disk, or a pipe that nobody reads. */
	if (fflush(stdout) || ferror(stdout)) {
		log_line(LOG_ERR, "the output can't be written: %s",
			 strerror(errno));
		return 1;
	}
	return 0;
}
