// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gap SOCKET: ask a QEMU over its QMP socket how it is, again and again, until
 * stdin ends; then print the longest time that an answer took, in microseconds,
 * and how many there were.
 *
 * gap --madvise MIB: print how long one call takes to discard as much anonymous
 * memory, on huge pages if the host is so kind, in microseconds.
 *
 * gap --no-thp COMMAND...: run it without transparent huge pages, so that the
 * memory of a guest is made of 4 KiB pages.
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Ask, and wait for the reply: events may come before it. */
static void ask(int fd, const char *what)
{
	char buf[65536];
	size_t n = 0;

	if (write(fd, what, strlen(what)) != (ssize_t)strlen(what))
		err(1, "QEMU does not listen");
	do {
		ssize_t got = read(fd, buf + n, sizeof(buf) - 1 - n);

		if (got <= 0)
			errx(1, "QEMU has gone");
		n += got;
		buf[n] = 0;
	} while (!strstr(buf, "\"return\"") && n < sizeof(buf) - 1);
}

static long discard(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long t;

	if (p == MAP_FAILED)
		err(1, "no memory");
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	t = now_us();
	if (madvise(p, size, MADV_DONTNEED))
		err(1, "madvise");
	return now_us() - t;
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct pollfd end = { .fd = 0, .events = POLLIN };
	long longest = 0, count = 0;
	int fd;

	if (argc > 2 && !strcmp(argv[1], "--no-thp")) {
		if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
			err(1, "no way to do without huge pages");
		execv(argv[2], argv + 2);
		err(1, "%s", argv[2]);
	}
	if (argc == 3 && !strcmp(argv[1], "--madvise")) {
		printf("%ld\n", discard(strtoul(argv[2], NULL, 10) << 20));
		return 0;
	}
	if (argc != 2 || strlen(argv[1]) >= sizeof(addr.sun_path))
		errx(2, "usage: gap SOCKET | gap --madvise MIB | gap --no-thp COMMAND...");

	strcpy(addr.sun_path, argv[1]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "%s", argv[1]);
	ask(fd, "{\"execute\": \"qmp_capabilities\"}");

	while (poll(&end, 1, 0) == 0) {
		long t = now_us();

		ask(fd, "{\"execute\": \"query-status\"}");
		t = now_us() - t;
		if (t > longest)
			longest = t;
		count++;
	}
	printf("%ld %ld\n", longest, count);
	return 0;
}
