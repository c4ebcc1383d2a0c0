// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bandwidth - copies memory on every CPU, and logs how fast it was all the time.
 *
 *   bandwidth [MIB [SLOT_MS]] > LOG
 *
 * Each CPU copies one half of a buffer of MIB MiB, larger than any cache, to the
 * other, over and over. Until SIGTERM; then a line for each slot of time of each
 * CPU: when it began, in seconds since the epoch, and MB/s. A slot in which the
 * CPU got nowhere is one of 0 MB/s. The ready file, /tmp/bandwidth.ready, appears
 * once all copy.
 *
 * Slots are counted by CLOCK_MONOTONIC; the time of day is read once, at the start.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHUNK		(64UL << 10)	/* the clock is read after each */
#define SECONDS_MAX	600		/* that fit into the log */

static size_t half;			/* bytes */
static uint64_t slot_ns, start_ns;
static size_t slots;			/* that there is room for */
static pthread_barrier_t all_touched;
static volatile sig_atomic_t stop;

struct cpu {
	pthread_t thread;
	int number;
	uint32_t *bytes;		/* by slot */
	size_t used;
};

static void die(const char *what)
{
	fprintf(stderr, "bandwidth: ");
	perror(what);
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* All of it is touched: what is measured is the host's doing, not a page fault. */
static void *touched(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	memset(p, 1, bytes);
	return p;
}

static void *copy(void *arg)
{
	struct cpu *c = arg;
	cpu_set_t set;
	size_t at = 0;
	char *buf;

	CPU_ZERO(&set);
	CPU_SET(c->number, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
	buf = touched(2 * half);
	c->bytes = touched(slots * sizeof(*c->bytes));
	memset(c->bytes, 0, slots * sizeof(*c->bytes));
	pthread_barrier_wait(&all_touched);
	/* Between the two, main() reads the time. */
	pthread_barrier_wait(&all_touched);

	while (!stop) {
		size_t slot;

		memcpy(buf + half + at, buf + at, CHUNK);
		at = (at + CHUNK) % half;
		slot = (now_ns(CLOCK_MONOTONIC) - start_ns) / slot_ns;
		if (slot >= slots)
			break;
		c->bytes[slot] += CHUNK;
		c->used = slot;		/* the last may be cut short */
	}
	return NULL;
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	unsigned long mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 64;
	unsigned long ms = argc > 2 ? strtoul(argv[2], NULL, 0) : 20;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct cpu *cpu;
	double day;
	FILE *ready;

	half = (mib << 20) / 2;
	if (half < CHUNK || !ms || cpus < 1) {
		fputs("usage: bandwidth [MIB [SLOT_MS]]\n", stderr);
		return 2;
	}
	slot_ns = ms * 1000000ULL;
	slots = SECONDS_MAX * 1000UL / ms;
	cpu = calloc(cpus, sizeof(*cpu));
	if (!cpu)
		die("calloc");
	signal(SIGTERM, on_term);
	pthread_barrier_init(&all_touched, NULL, cpus + 1);
	for (int i = 0; i < cpus; i++) {
		cpu[i].number = i;
		if (pthread_create(&cpu[i].thread, NULL, copy, &cpu[i]))
			die("pthread_create");
	}
	pthread_barrier_wait(&all_touched);
	start_ns = now_ns(CLOCK_MONOTONIC);
	day = now_ns(CLOCK_REALTIME) / 1e9;
	pthread_barrier_wait(&all_touched);
	ready = fopen("/tmp/bandwidth.ready", "w");
	if (!ready || fclose(ready))
		die("/tmp/bandwidth.ready");

	for (int i = 0; i < cpus; i++)
		pthread_join(cpu[i].thread, NULL);
	for (int i = 0; i < cpus; i++)
		for (size_t s = 0; s < cpu[i].used; s++)
			printf("%.3f %.1f\n", day + s * ms / 1000.0,
			       cpu[i].bytes[s] / (ms * 1000.0));
	return 0;
}
