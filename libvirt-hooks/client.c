// SPDX-License-Identifier: GPL-2.0-or-later
/* The other end of ballastd's control socket. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

/* A list of some thousand guests; more is no ballastd. */
#define REPLY_MOST	(16u << 20)

uint64_t client_deadline(unsigned int ms)
{
	return now_ms() + ms;
}

int client_rest(uint64_t deadline)
{
	uint64_t now = now_ms();

	return deadline > now ? deadline - now : 0;
}

static int away(const struct connection *connection, struct error *error)
{
	return error_set(error, "ballastd does not answer at %s: is it running? "
			 "(systemctl status ballastd)", connection->path);
}

static int nonsense(const struct connection *connection, const char *what,
		    struct error *error)
{
	return error_set(error, "%s: what answers there is not ballastd: %s; "
			 "see 'socket' in ballastd.conf(5)", connection->path, what);
}

static int failed(const struct connection *connection, int why,
		  struct error *error)
{
	struct stat st;

	if (!stat(connection->path, &st) && !S_ISSOCK(st.st_mode))
		return error_set(error, "%s: is not a socket; see 'socket' in "
				 "ballastd.conf(5)", connection->path);
	if (why == EACCES || why == EPERM)
		return error_set(error, "%s: %s; be root, or in the group that is "
				 "socket_group in ballastd.conf(5)",
				 connection->path, strerror(why));
	return away(connection, error);
}

/* connect() waits while the listener's queue is full, for as long as a send may. */
static int connect_until(int fd, const struct sockaddr_un *address,
			 uint64_t deadline)
{
	int ms = client_rest(deadline);
	/* 0 would be for ever. */
	struct timeval wait = { ms / 1000, ms % 1000 * 1000 + 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)))
		return -1;
	return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

int client_open(struct connection *connection, const char *path, uint64_t deadline,
		struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*connection = (struct connection){ .fd = -1 };
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, "%.80s...: longer than the %zu bytes that "
				 "the path of a socket may have", path,
				 sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	strcpy(connection->path, path);
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		return error_set(error, "socket: %s", strerror(errno));
	if (!connect_until(connection->fd, &address, deadline))
		return 0;
	failed(connection, errno, error);
	client_close(connection);
	return -1;
}

void client_close(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	free(connection->data);
	connection->data = NULL;
}

/* Until there is something to do for @events: 0; -1: too late. */
static int wait_for(const struct connection *connection, short events,
		    uint64_t deadline)
{
	struct pollfd fd = { .fd = connection->fd, .events = events };
	int n;

	do {
		n = poll(&fd, 1, client_rest(deadline));
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : -1;
}

static bool try_again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static int send_all(struct connection *connection, const char *data, size_t n,
		    uint64_t deadline, struct error *error)
{
	ssize_t sent;

	while (n) {
		sent = send(connection->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0) {
			data += sent;
			n -= sent;
		} else if (!try_again() ||
			   wait_for(connection, POLLOUT, deadline)) {
			return away(connection, error);
		}
	}
	return 0;
}

static int make_room(struct connection *connection, struct error *error)
{
	size_t room = connection->room ? connection->room * 2 : 16384;
	char *larger;

	if (connection->used < connection->room)
		return 0;
	if (room > REPLY_MOST)
		return nonsense(connection, "a line without an end", error);
	larger = realloc(connection->data, room);
	if (!larger)
		return error_set(error, "no memory for a reply of ballastd");
	connection->data = larger;
	connection->room = room;
	return 0;
}

static int receive(struct connection *connection, uint64_t deadline,
		   struct error *error)
{
	ssize_t n;

	if (make_room(connection, error))
		return -1;
	/* Also if it sends and sends, but no end of the line. */
	if (!client_rest(deadline) || wait_for(connection, POLLIN, deadline))
		return away(connection, error);
	n = recv(connection->fd, connection->data + connection->used,
		 connection->room - connection->used, MSG_DONTWAIT);
	if (n > 0)
		connection->used += n;
	else if (n == 0 || !try_again())
		return away(connection, error);
	return 0;
}

/* The line's length without its end; it stays in the buffer. */
static int receive_line(struct connection *connection, uint64_t deadline,
			size_t *length, struct error *error)
{
	size_t seen = 0;
	char *end = NULL;

	for (;;) {
		if (connection->used > seen)
			end = memchr(connection->data + seen, '\n',
				     connection->used - seen);
		if (end)
			break;
		seen = connection->used;
		if (receive(connection, deadline, error))
			return -1;
	}
	*end = 0;
	*length = end - connection->data;
	return 0;
}

static int take_reply(const struct connection *connection,
		      struct json_object *reply, struct error *error)
{
	struct json_object *ok, *text;

	if (!json_object_is_type(reply, json_type_object) ||
	    !json_object_object_get_ex(reply, "ok", &ok) ||
	    !json_object_is_type(ok, json_type_boolean))
		return nonsense(connection, "no \"ok\" in its reply", error);
	if (json_object_get_boolean(ok))
		return 0;
	if (!json_object_object_get_ex(reply, "error", &text))
		return nonsense(connection, "it refuses and does not say why", error);
	return error_set(error, "%s", json_object_get_string(text));
}

int client_reply(struct connection *connection, uint64_t deadline,
		 struct json_object **reply, struct error *error)
{
	size_t length;

	if (receive_line(connection, deadline, &length, error))
		return -1;
	*reply = json_tokener_parse(connection->data);
	connection->used -= length + 1;
	memmove(connection->data, connection->data + length + 1, connection->used);
	if (!take_reply(connection, *reply, error))
		return 0;
	json_object_put(*reply);
	return -1;
}

int client_ask(struct connection *connection, struct json_object *request,
	       uint64_t deadline, struct json_object **reply, struct error *error)
{
	const char *text;
	size_t n;

	text = json_object_to_json_string_length(request,
			JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (!text)
		return error_set(error, "no memory for a request to ballastd");
	if (n >= REQUEST_MOST)
		return error_set(error, "a request of %zu bytes: ballastd takes "
				 "less than %u", n, REQUEST_MOST);
	if (send_all(connection, text, n, deadline, error) ||
	    send_all(connection, "\n", 1, deadline, error))
		return -1;
	return client_reply(connection, deadline, reply, error);
}

int client_ask_once(const char *path, struct json_object *request,
		    uint64_t deadline, struct json_object **reply,
		    struct error *error)
{
	struct connection connection;
	int rc;

	if (client_open(&connection, path, deadline, error))
		return -1;
	rc = client_ask(&connection, request, deadline, reply, error);
	client_close(&connection);
	return rc;
}
