// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hugealloc - how many huge pages can be had, and what it costs.
 *
 *   hugealloc WANT [STEP [DELAY_MS]]
 *
 * Asks for STEP more pages (default: all at once) and waits DELAY_MS, until WANT
 * have been asked for. A request that failed is not repeated. Prints how many
 * were asked for and had, the milliseconds, and what was done for it:
 * pages reclaimed and migrated, and compactions in this program and by kcompactd.
 * Everything is given back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define POOL	"/proc/sys/vm/nr_hugepages"

enum { RECLAIMED, MIGRATED, STALLS, DAEMON, COUNTS };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void count(unsigned long long n[COUNTS])
{
	FILE *f = fopen("/proc/vmstat", "r");
	unsigned long long value;
	char key[64];

	if (!f)
		die("hugealloc: /proc/vmstat");
	memset(n, 0, COUNTS * sizeof(*n));
	while (fscanf(f, "%63s %llu", key, &value) == 2) {
		/* By reclaimer; the rest says the same by kind of page. */
		if (!strcmp(key, "pgsteal_kswapd") ||
		    !strcmp(key, "pgsteal_direct") ||
		    !strcmp(key, "pgsteal_khugepaged"))
			n[RECLAIMED] += value;
		else if (!strcmp(key, "pgmigrate_success"))
			n[MIGRATED] = value;
		else if (!strcmp(key, "compact_stall"))
			n[STALLS] = value;
		else if (!strcmp(key, "compact_daemon_wake"))
			n[DAEMON] = value;
	}
	fclose(f);
}

/* The size of the pool after it was asked to be @n. */
static unsigned long pool(unsigned long n)
{
	FILE *f = fopen(POOL, "w");

	if (!f || fprintf(f, "%lu\n", n) < 0 || fclose(f))
		die("hugealloc: " POOL);
	f = fopen(POOL, "r");
	if (!f || fscanf(f, "%lu", &n) != 1)
		die("hugealloc: " POOL);
	fclose(f);
	return n;
}

static unsigned long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	unsigned long want, step, asked = 0, got = 0, delay;
	unsigned long long before[COUNTS], after[COUNTS], t;

	want = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	step = argc > 2 ? strtoul(argv[2], NULL, 0) : want;
	delay = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	if (!want || !step) {
		fputs("usage: hugealloc WANT [STEP [DELAY_MS]]\n", stderr);
		return 2;
	}
	/* Little memory may be left for us at the end. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("hugealloc: mlockall");

	count(before);
	t = now_ms();
	while (asked < want) {
		if (step > want - asked)
			step = want - asked;
		got = pool(got + step);
		asked += step;
		usleep(delay * 1000);
	}
	t = now_ms() - t;
	count(after);
	pool(0);
	printf("asked %lu\ngot %lu\nms %llu\n", asked, got, t);
	printf("reclaimed %llu\nmigrated %llu\nstalls %llu\ndaemon %llu\n",
	       after[RECLAIMED] - before[RECLAIMED],
	       after[MIGRATED] - before[MIGRATED],
	       after[STALLS] - before[STALLS], after[DAEMON] - before[DAEMON]);
	return 0;
}
