// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memsteady - a workload of a steady size.
 *
 * Maps MIB MiB and touches every page, over and over. After each round the
 * number of MiB touched so far is written to the state file: that it grows
 * proves that the workload lives and gets on, and by how much. With a ramp it
 * begins small, and grows by so many MiB a second.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096UL

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const char *state = argc > 2 ? argv[2] : "/tmp/memsteady.state";
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 0) << 20 : 0;
	double ramp = argc > 3 ? strtod(argv[3], NULL) * (1 << 20) : 0;
	double start = now(), touched = 0;
	size_t size = bytes;
	char tmp[256];
	char *base;

	if (!bytes) {
		fputs("usage: memsteady MIB [STATE-FILE [MIB-PER-SECOND]]\n", stderr);
		return 2;
	}
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		perror("memsteady: mmap");
		return 1;
	}
	snprintf(tmp, sizeof(tmp), "%s.new", state);
	for (;;) {
		FILE *f;

		size = bytes;
		if (ramp && (now() - start) * ramp < bytes)
			size = (now() - start) * ramp;
		for (size_t i = 0; i < size; i += PAGE)
			*(volatile unsigned long *)(base + i) += 1;
		touched += size;
		f = fopen(tmp, "w");
		if (!f || fprintf(f, "%.0f\n", touched / (1 << 20)) < 0 ||
		    fclose(f) || rename(tmp, state)) {
			perror("memsteady: state");
			return 1;
		}
		usleep(10000);
	}
}
