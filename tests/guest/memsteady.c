// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memsteady - a workload of a steady size.
 *
 * Maps MIB MiB and touches every page, over and over. After each round the
 * number of rounds done is written to the state file, so that a number that
 * grows proves that the workload lives and gets on.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	4096UL

int main(int argc, char **argv)
{
	const char *state = argc > 2 ? argv[2] : "/tmp/memsteady.state";
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 0) << 20 : 0;
	unsigned long round = 0;
	char tmp[256];
	char *base;

	if (!bytes) {
		fputs("usage: memsteady MIB [STATE-FILE]\n", stderr);
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

		for (size_t i = 0; i < bytes; i += PAGE)
			*(volatile unsigned long *)(base + i) += 1;
		f = fopen(tmp, "w");
		if (!f || fprintf(f, "%lu\n", ++round) < 0 || fclose(f) ||
		    rename(tmp, state)) {
			perror("memsteady: state");
			return 1;
		}
		usleep(10000);
	}
}
