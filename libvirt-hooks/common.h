/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every program here needs: sizes and times as people write them, and one
 * way to say what is wrong.
 */
#ifndef BALLAST_COMMON_H
#define BALLAST_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define KIB_PER_MIB	1024ull
#define KIB_PER_GIB	(1024ull * 1024)

/* Why something was refused: one line without an end of line. */
struct error {
	char text[256];
};

/* Fill in an error, and return -1, so that "return error_set(...)" does. */
int error_set(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * An amount of memory: either kib, or a share of something in 1/100 of a
 * percent; the other one is 0.
 */
struct amount {
	uint64_t kib;
	unsigned int share;
};

/*
 * parse_amount - "512M", "4GiB", "1.5G", "10%"
 *
 * A number alone is refused: nobody agrees on what its unit is. "0" is taken.
 * Return: 0, or -1 and what is wrong with it in @error.
 */
int parse_amount(const char *text, struct amount *amount, struct error *error);

/* The same, but a percentage is refused. */
int parse_size(const char *text, uint64_t *kib, struct error *error);

/* "500ms", "5s", "2m", "1h" */
int parse_time(const char *text, unsigned int *ms, struct error *error);
int parse_bool(const char *text, bool *value, struct error *error);
int parse_number(const char *text, unsigned int min, unsigned int max,
		 unsigned int *number, struct error *error);

uint64_t amount_of(struct amount amount, uint64_t whole_kib);

static inline uint64_t less(uint64_t a, uint64_t b)	/* a - b, or 0 */
{
	return a > b ? a - b : 0;
}

/* ms of CLOCK_MONOTONIC */
uint64_t now_ms(void);

/* A request on the control socket is shorter. */
#define REQUEST_MOST	(1u << 20)

/* "1.5 GiB": into @buf, which is returned. */
#define SIZE_TEXT	24
const char *size_text(uint64_t kib, char buf[SIZE_TEXT]);

/*
 * The log is stderr, with systemd's priorities in front if that goes to the
 * journal (JOURNAL_STREAM). Levels are those of syslog.h.
 */
void log_level(int most);
void log_line(int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * listen_on - a listening socket; does not block, and is closed on exec
 * @name: of the address, for the error
 *
 * A Unix socket that nobody listens on any more is replaced. It is root's alone
 * (0600) until the caller says otherwise.
 */
int listen_on(const char *name, const struct sockaddr_storage *address,
	      socklen_t length, struct error *error);

#endif
