/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: lines of JSON (CONTROL.md). */
#ifndef BALLAST_CONTROL_H
#define BALLAST_CONTROL_H

#include <json-c/json.h>

#include "common.h"

struct client;

/*
 * A request, to be answered with control_reply() now or later. Called from the
 * event loop.
 */
typedef void (*control_handler)(struct client *client, struct json_object *request);

/* The client is gone: nobody is to reply to it any more. */
typedef void (*control_gone)(struct client *client);

/*
 * control_start - listen
 * @group: who may open it besides root; "": nobody
 *
 * A socket that nobody listens on is replaced, one in use is not.
 */
int control_start(const char *path, const char *group, control_handler handler,
		  control_gone gone, struct error *error);

/* {"ok": true}, to be added to */
struct json_object *control_ok(void);

/* One line. Takes the object. The client may be gone afterwards. */
void control_reply(struct client *client, struct json_object *reply);

/* {"ok": false, "error": ...} */
void control_error(struct client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Close it, and remove the socket. */
void control_stop(void);

#endif
