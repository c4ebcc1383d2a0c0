// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * churn - a load like a compilation: short processes and many small files.
 *
 *   churn JOBS MIB DIR [STATE-FILE]
 *
 * JOBS at a time, each a process that reads a few files, uses 2 to MIB MiB of
 * memory of its own, writes files of 4 to 256 KiB to DIR, and ends. Every
 * third file is deleted again by a later process, so that files fill memory as
 * page cache until they are reclaimed. The state file holds the number of
 * processes that ended well and of those that did not.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096UL
#define FILES	4000UL		/* names that are used in turn */
#define EACH	8		/* files that a job writes */

static const char *dir;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	return x ^ (x >> 27);
}

static int file_open(uint64_t n, int flags)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%lu", dir,
		 (unsigned long)(n % FILES));
	if (flags & O_CREAT)
		unlink(path);
	return open(path, flags, 0600);
}

/* Ends the process. */
static void job(uint64_t number, size_t most)
{
	size_t size = (2 + mix(number) % (most > 2 ? most - 1 : 1)) << 20;
	static char buf[64 * PAGE];
	char *own;

	for (int i = 0; i < EACH; i++) {
		int fd = file_open(mix(number * EACH + i), O_RDONLY);

		if (fd < 0)
			continue;
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
	own = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED)
		_exit(1);
	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < size; i += PAGE)
			own[i] += 1;
	memset(buf, number, sizeof(buf));
	for (int i = 0; i < EACH; i++) {
		uint64_t n = number * EACH + i;
		int fd = file_open(n, O_WRONLY | O_CREAT);
		ssize_t bytes = PAGE * (1 + mix(n) % 64);

		if (fd < 0 || write(fd, buf, bytes) != bytes)
			_exit(1);
		close(fd);
		if (n % 3 == 0 && n >= 64) {
			char path[256];

			snprintf(path, sizeof(path), "%s/%lu", dir,
				 (unsigned long)((n - 64) % FILES));
			unlink(path);
		}
	}
	_exit(0);
}

static int report(const char *path, unsigned long well, unsigned long failed)
{
	char tmp[256];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	return f && fprintf(f, "well %lu\nfailed %lu\n", well, failed) > 0 &&
		!fclose(f) && !rename(tmp, path);
}

int main(int argc, char **argv)
{
	unsigned long jobs, most, running = 0, number = 0, well = 0, failed = 0;
	const char *state = argc > 4 ? argv[4] : "/tmp/churn.state";

	jobs = argc > 3 ? strtoul(argv[1], NULL, 0) : 0;
	most = argc > 3 ? strtoul(argv[2], NULL, 0) : 0;
	if (!jobs || !most) {
		fputs("usage: churn JOBS MIB DIR [STATE-FILE]\n", stderr);
		return 2;
	}
	dir = argv[3];
	for (;;) {
		int status;
		pid_t pid;

		if (running < jobs) {
			pid = fork();
			if (!pid)
				job(number, most);
			if (pid > 0) {
				running++;
				number++;
				continue;
			}
			/* No memory for a process: as good as one that failed. */
			failed++;
		}
		if (running) {
			if (wait(&status) < 0) {
				perror("churn: wait");
				return 1;
			}
			running--;
			if (WIFEXITED(status) && !WEXITSTATUS(status))
				well++;
			else
				failed++;
		} else {
			usleep(10000);
		}
		if (!report(state, well, failed)) {
			perror("churn: state");
			return 1;
		}
	}
}
