// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket. */
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "config.h"
#include "control.h"
#include "json_add.h"

#define CLIENTS_MOST	64

/* What a client has not read yet; more than that, and it is thrown out. */
#define REPLIES_MOST	(16u << 20)

struct buffer {
	char *data;
	size_t used, room;
};

struct client {
	int fd, watch;
	bool broken;		/* to be closed when nobody uses it */
	unsigned int busy;	/* somebody does */
	struct buffer in, out;
};

static int listener = -1, listener_watch = -1;
static unsigned int nr_clients;
static char socket_path[108];
static control_handler handler;
static control_gone gone;

static int buffer_add(struct buffer *buffer, const char *data, size_t n)
{
	char *larger;

	if (buffer->used + n > buffer->room) {
		larger = realloc(buffer->data, buffer->used + n);
		if (!larger)
			return -1;
		buffer->data = larger;
		buffer->room = buffer->used + n;
	}
	memcpy(buffer->data + buffer->used, data, n);
	buffer->used += n;
	return 0;
}

static void buffer_drop(struct buffer *buffer, size_t n)
{
	buffer->used -= n;
	memmove(buffer->data, buffer->data + n, buffer->used);
}

static void client_free(void *data)
{
	struct client *client = data;

	close(client->fd);
	free(client->in.data);
	free(client->out.data);
	free(client);
	nr_clients--;
}

static void client_close(struct client *client)
{
	client->broken = true;
	if (client->busy)
		return;
	gone(client);
	/* Frees it, when the event loop has let go of it. */
	virEventRemoveHandle(client->watch);
}

static void client_flush(struct client *client)
{
	int what = VIR_EVENT_HANDLE_READABLE;
	ssize_t n;

	while (client->out.used) {
		n = send(client->fd, client->out.data, client->out.used,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				client->broken = true;
			break;
		}
		buffer_drop(&client->out, n);
	}
	if (client->out.used)
		what |= VIR_EVENT_HANDLE_WRITABLE;
	virEventUpdateHandle(client->watch, what);
}

struct json_object *control_ok(void)
{
	struct json_object *reply = json_object_new_object();

	json_add_bool(reply, "ok", true);
	return reply;
}

void control_reply(struct client *client, struct json_object *reply)
{
	const char *text = json_object_to_json_string_ext(reply,
						JSON_C_TO_STRING_PLAIN);

	if (client->out.used > REPLIES_MOST ||
	    buffer_add(&client->out, text, strlen(text)) ||
	    buffer_add(&client->out, "\n", 1))
		client->broken = true;
	json_object_put(reply);
	if (!client->broken)
		client_flush(client);
	if (client->broken && !client->busy)
		client_close(client);
}

void control_error(struct client *client, const char *format, ...)
{
	struct json_object *reply = json_object_new_object();
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_add_bool(reply, "ok", false);
	json_add_text(reply, "error", text);
	control_reply(client, reply);
}

static void client_line(struct client *client, char *line)
{
	enum json_tokener_error why;
	struct json_object *request = json_tokener_parse_verbose(line, &why);

	if (json_object_is_type(request, json_type_object))
		handler(client, request);
	else
		control_error(client, "not a JSON object: %s",
			      request ? "another type" :
			      json_tokener_error_desc(why));
	json_object_put(request);
}

static void client_lines(struct client *client)
{
	char *end;

	while (!client->broken && client->in.used &&
	       (end = memchr(client->in.data, '\n', client->in.used))) {
		*end = 0;
		client_line(client, client->in.data);
		buffer_drop(&client->in, end + 1 - client->in.data);
	}
	if (client->in.used > REQUEST_MOST) {
		control_error(client, "a line of more than %u bytes", REQUEST_MOST);
		client->broken = true;
	}
}

static void client_read(struct client *client)
{
	char data[65536];
	ssize_t n;

	n = recv(client->fd, data, sizeof(data), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || buffer_add(&client->in, data, n)) {
		client->broken = true;
		return;
	}
	client_lines(client);
}

static void on_client(int watch, int fd, int what, void *data)
{
	struct client *client = data;

	client->busy++;
	if (what & VIR_EVENT_HANDLE_WRITABLE)
		client_flush(client);
	if (what & (VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP |
		    VIR_EVENT_HANDLE_ERROR))
		client_read(client);
	client->busy--;
	if (client->broken)
		client_close(client);
}

static void on_listener(int watch, int fd, int what, void *data)
{
	struct client *client;
	int peer;

	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0)
		return;
	client = nr_clients < CLIENTS_MOST ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		log_line(LOG_WARNING, "too many clients at %s: one is turned away",
			 socket_path);
		close(peer);
		return;
	}
	client->fd = peer;
	nr_clients++;
	client->watch = virEventAddHandle(peer, VIR_EVENT_HANDLE_READABLE, on_client,
					  client, client_free);
	if (client->watch < 0)
		client_free(client);
}

static int set_group(const char *path, const char *name, struct error *error)
{
	struct group *group = getgrnam(name);

	if (!group)
		return error_set(error, "socket_group: no group %s; create it, "
				 "or leave it empty for root alone", name);
	if (chown(path, -1, group->gr_gid) || chmod(path, 0660))
		return error_set(error, "%s: can't give it to group %s: %s", path,
				 name, strerror(errno));
	return 0;
}

/* systemd makes it; without systemd, as for a test, nobody does. */
static void make_folder(const char *path)
{
	char folder[sizeof(socket_path)];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return;
	*slash = 0;
	mkdir(folder, 0755);
}

int control_start(const char *path, const char *group, control_handler on_request,
		  control_gone on_gone, struct error *error)
{
	struct sockaddr_storage address;
	char where[sizeof(socket_path) + 8];
	socklen_t length;

	snprintf(socket_path, sizeof(socket_path), "%s", path);
	snprintf(where, sizeof(where), "unix:%s", path);
	handler = on_request;
	gone = on_gone;
	make_folder(path);
	if (config_address(where, &address, &length, error))
		return -1;
	listener = listen_on(path, &address, length, error);
	if (listener < 0 && errno == EADDRINUSE)
		error_set(error, "%s: another ballastd listens there (ballastctl status); stop it, or set another socket",
			  path);
	if (listener < 0)
		return -1;
	if (group[0] && set_group(path, group, error))
		goto out_close;
	listener_watch = virEventAddHandle(listener, VIR_EVENT_HANDLE_READABLE,
					   on_listener, NULL, NULL);
	if (listener_watch >= 0)
		return 0;
	error_set(error, "%s: no event handle", path);

out_close:
	unlink(path);
	close(listener);
	listener = -1;
	return -1;
}

void control_stop(void)
{
	if (listener < 0)
		return;
	virEventRemoveHandle(listener_watch);
	close(listener);
	unlink(socket_path);
	listener = -1;
}
