// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A ballastd that misbehaves, for tests of what asks it:
 *
 *	fake-ballastd SOCKET LOG REPLY...
 *
 * Prints "ready" when it listens. Each line that it gets goes to LOG, and its
 * answer is each REPLY, a line of its own, or one of
 *	%silent		nothing more, until the other one has gone
 *	%flood		bytes without an end of the line, until then
 *	%drip		the same, one each 50 ms
 *	%close		it hangs up
 * With %full instead of replies nobody else can connect.
 */
#define _GNU_SOURCE
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 0))
		err(1, "%s", path);
	return fd;
}

/* Connections that nobody accepts, until there is no room for more. */
static void fill(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	do {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (!connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static void flood(int fd, int ms)
{
	char data[4096];
	struct pollfd gone = { .fd = fd, .events = POLLRDHUP };

	memset(data, ' ', sizeof(data));
	while (!poll(&gone, 1, ms))
		if (send(fd, data, ms ? 1 : sizeof(data), MSG_NOSIGNAL) <= 0)
			return;
}

static void wait_until_gone(int fd)
{
	struct pollfd gone = { .fd = fd, .events = POLLRDHUP };

	poll(&gone, 1, -1);
}

/* 0: go on with the next line */
static int answer(FILE *peer, char **replies)
{
	for (; *replies; replies++) {
		if (!strcmp(*replies, "%silent"))
			wait_until_gone(fileno(peer));
		else if (!strcmp(*replies, "%flood"))
			flood(fileno(peer), 0);
		else if (!strcmp(*replies, "%drip"))
			flood(fileno(peer), 50);
		else if (strcmp(*replies, "%close")) {
			if (dprintf(fileno(peer), "%s\n", *replies) < 0)
				return -1;
			continue;
		}
		return -1;
	}
	return 0;
}

static void serve(int fd, const char *log_path, char **replies)
{
	FILE *peer = fdopen(fd, "r");
	char *line = NULL;
	size_t room = 0;
	FILE *log;

	do {
		if (getline(&line, &room, peer) <= 0)
			break;
		log = fopen(log_path, "a");
		if (!log)
			err(1, "%s", log_path);
		fputs(line, log);
		fclose(log);
	} while (!answer(peer, replies));
	fclose(peer);
}

int main(int argc, char **argv)
{
	int listener, fd;

	if (argc < 4)
		errx(2, "usage: %s SOCKET LOG REPLY...", argv[0]);
	signal(SIGPIPE, SIG_IGN);
	listener = listen_at(argv[1]);
	if (!strcmp(argv[3], "%full"))
		fill(argv[1]);
	puts("ready");
	fflush(stdout);
	if (!strcmp(argv[3], "%full"))
		pause();
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		serve(fd, argv[2], argv + 3);
	return 1;
}
