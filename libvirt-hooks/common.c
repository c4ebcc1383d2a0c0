// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes, times, errors and the log. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#define AMOUNT_MOST	(1ull << 50)		/* KiB: 1 EiB */
#define TIME_MOST	(24 * 3600 * 1000u)	/* ms */

static int most_level = LOG_INFO;

/*
 * Format into one line: what people and guests wrote must not begin another
 * one, or move the cursor. What is cut off shows as "...", and not within a
 * character.
 */
__attribute__((format(printf, 3, 0)))
static void format_line(char *buf, size_t size, const char *format, va_list args)
{
	int length = vsnprintf(buf, size, format, args);
	size_t end;
	char *c;

	if (length < 0)
		buf[0] = '\0';
	if (length >= (int)size) {
		end = size - sizeof("...");
		while (end && ((unsigned char)buf[end] & 0xc0) == 0x80)
			end--;
		strcpy(buf + end, "...");
	}
	for (c = buf; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
}

int error_set(struct error *error, const char *format, ...)
{
	struct error line;	/* an argument may be error->text */
	va_list args;

	va_start(args, format);
	format_line(line.text, sizeof(line.text), format, args);
	va_end(args);
	*error = line;
	return -1;
}

/*
 * A number with decimals, times 10^@decimals; more decimals than that are
 * refused. Not strtod(), which knows "inf", "0x1p4" and the locale's comma.
 * Return: where it ends; NULL if there is none or it is too large.
 */
static const char *scan_decimal(const char *text, unsigned int decimals,
				uint64_t *number)
{
	const char *c = text;
	bool point = false;

	*number = 0;
	for (; isdigit((unsigned char)*c) ||
	       (*c == '.' && !point && c > text); c++) {
		if (*c == '.') {
			point = true;
			continue;
		}
		if ((point && !decimals--) || *number > UINT64_MAX / 100)
			return NULL;
		*number = *number * 10 + (*c - '0');
	}
	if (c == text || c[-1] == '.')
		return NULL;
	while (decimals--) {
		if (*number > UINT64_MAX / 100)
			return NULL;
		*number *= 10;
	}
	return c;
}

/* K, M, G or T, with iB behind it or without: in KiB; 0 is another. */
static uint64_t scan_unit(const char *unit)
{
	static const char units[] = "KMGT";
	const char *found;

	if (!*unit || (unit[1] && strcasecmp(unit + 1, "iB")))
		return 0;
	found = strchr(units, toupper((unsigned char)*unit));
	return found ? 1ull << (10 * (found - units)) : 0;
}

static int scan_size(const char *text, uint64_t *kib)
{
	uint64_t thousandths, unit;
	const char *end;

	*kib = 0;
	if (!strcmp(text, "0"))
		return 0;
	end = scan_decimal(text, 3, &thousandths);
	unit = end ? scan_unit(end) : 0;
	if (!unit || thousandths / 1000 > AMOUNT_MOST / unit)
		return -1;
	*kib = thousandths / 1000 * unit + thousandths % 1000 * unit / 1000;
	return *kib > AMOUNT_MOST ? -1 : 0;
}

/* People write comments as they know them from the line's beginning. */
static int bad_value(const char *text, const char *what, const char *say,
		     struct error *error)
{
	if (strchr(text, '#'))
		say = "behind a value only ' ;' begins a comment";
	return error_set(error, "'%.64s' is %s; %s", text, what, say);
}

int parse_size(const char *text, uint64_t *kib, struct error *error)
{
	if (scan_size(text, kib))
		return bad_value(text, "no amount of memory",
				 "say 512M, 4G or 1.5GiB", error);
	return 0;
}

int parse_amount(const char *text, struct amount *amount, struct error *error)
{
	const char *end;
	uint64_t share;

	*amount = (struct amount){ 0 };
	if (!scan_size(text, &amount->kib))
		return 0;
	end = scan_decimal(text, 2, &share);
	if (end && !strcmp(end, "%") && share <= 100 * 100) {
		amount->share = share;
		return 0;
	}
	return bad_value(text, "no amount of memory",
			 "say 512M, 4G, 1.5GiB, or 0% to 100%", error);
}

int parse_time(const char *text, unsigned int *ms, struct error *error)
{
	static const struct {
		const char *name;
		unsigned int ms;
	} units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
	};
	const char *end;
	uint64_t thousandths;
	size_t i;

	*ms = 0;
	if (!strcmp(text, "0"))
		return 0;
	end = scan_decimal(text, 3, &thousandths);
	for (i = 0; end && i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name))
			continue;
		if (thousandths / 1000 > TIME_MOST / units[i].ms)
			break;
		*ms = thousandths * units[i].ms / 1000;
		if (*ms > TIME_MOST)
			break;
		return 0;
	}
	return bad_value(text, "no time",
			 "say 500ms, 5s, 2m or 1h, and 24h at most", error);
}

int parse_bool(const char *text, bool *value, struct error *error)
{
	static const char *const words[][2] = {
		{ "no", "yes" }, { "off", "on" }, { "false", "true" },
	};
	size_t i;

	for (i = 0; i < 2 * ARRAY_SIZE(words); i++) {
		*value = i % 2;
		if (!strcasecmp(text, words[i / 2][i % 2]))
			return 0;
	}
	return error_set(error, "'%.64s' is neither yes nor no", text);
}

int parse_number(const char *text, unsigned int min, unsigned int max,
		 unsigned int *number, struct error *error)
{
	const char *end;
	uint64_t value;

	end = scan_decimal(text, 0, &value);
	if (!end || *end || value < min || value > max)
		return error_set(error, "'%.64s' is no number from %u to %u",
				 text, min, max);
	*number = value;
	return 0;
}

uint64_t amount_of(struct amount amount, uint64_t whole_kib)
{
	if (!amount.share)
		return amount.kib;
	return whole_kib / 10000 * amount.share +
	       whole_kib % 10000 * amount.share / 10000;
}

const char *size_text(uint64_t kib, char buf[SIZE_TEXT])
{
	static const char units[] = "KMGTPE";
	uint64_t whole = kib, tenths = 0;
	unsigned int u = 0;

	/* 1023.95 and more would read as 1024. */
	while (units[u + 1] &&
	       (whole > 1023 || (whole == 1023 && tenths > 9))) {
		u++;
		whole = kib >> (10 * u);
		tenths = ((kib >> (10 * (u - 1))) % 1024 * 10 + 512) / 1024;
	}
	if (tenths > 9) {
		whole++;
		tenths = 0;
	}
	if (tenths)
		snprintf(buf, SIZE_TEXT, "%llu.%llu %ciB",
			 (unsigned long long)whole, (unsigned long long)tenths,
			 units[u]);
	else
		snprintf(buf, SIZE_TEXT, "%llu %ciB", (unsigned long long)whole,
			 units[u]);
	return buf;
}

void log_level(int most)
{
	most_level = most;
}

/* Is stderr what systemd said the journal reads? It may be redirected since. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device &&
	       st.st_ino == inode;
}

void log_line(int level, const char *format, ...)
{
	char text[1024], line[1100];
	va_list args;
	int length;

	if (level > most_level)
		return;
	va_start(args, format);
	format_line(text, sizeof(text), format, args);
	va_end(args);
	if (is_journal())
		length = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
	else
		length = snprintf(line, sizeof(line), "%.32s: %s\n",
				  program_invocation_short_name, text);
	/* One write: threads' lines don't mix. There is nowhere to complain. */
	if (write(STDERR_FILENO, line, length) < 0)
		return;
}

/*
 * A socket file stays behind when its program dies. Connecting to it is refused
 * then; a program that is too busy to answer gives EAGAIN.
 */
static void remove_stale(const struct sockaddr *address, socklen_t length)
{
	const char *path = ((const struct sockaddr_un *)address)->sun_path;
	struct stat st;
	int fd;

	/* Other files refuse a connection, too. */
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, address, length) && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
}

int listen_on(const char *name, const struct sockaddr_storage *address,
	      socklen_t length, struct error *error)
{
	const struct sockaddr *to = (const struct sockaddr *)address;
	int fd, result, on = 1;
	mode_t mask;

	if (to->sa_family == AF_UNIX)
		remove_stale(to, length);
	fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(error, "%s: %s", name, strerror(errno));
	if (to->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	mask = umask(0177);
	result = bind(fd, to, length);
	umask(mask);
	if (!result && !listen(fd, 16))
		return fd;
	error_set(error, "%s: can't listen there: %s", name, strerror(errno));
	close(fd);
	return -1;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}
