/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking ballastd at its control socket (CONTROL.md). Nothing here waits longer
 * than until a deadline: ms of CLOCK_MONOTONIC.
 */
#ifndef BALLAST_CLIENT_H
#define BALLAST_CLIENT_H

#include <json-c/json.h>

#include "common.h"

struct connection {
	int fd;
	char path[108];
	char *data;		/* received, and not yet a whole line */
	size_t used, room;
};

/* So many ms from now. */
uint64_t client_deadline(unsigned int ms);

/* The rest of it, for poll(). */
int client_rest(uint64_t deadline);

int client_open(struct connection *connection, const char *path, uint64_t deadline,
		struct error *error);
void client_close(struct connection *connection);

/*
 * client_reply - wait for a line
 * @reply: with "ok": true; to be put
 *
 * Return: 0, or -1 and why: nothing came, it was no reply, or ballastd's "error".
 */
int client_reply(struct connection *connection, uint64_t deadline,
		 struct json_object **reply, struct error *error);

/* Send a request and wait for the first reply. @request stays the caller's. */
int client_ask(struct connection *connection, struct json_object *request,
	       uint64_t deadline, struct json_object **reply, struct error *error);

/* The same with a connection for this alone. */
int client_ask_once(const char *path, struct json_object *request,
		    uint64_t deadline, struct json_object **reply,
		    struct error *error);

#endif
