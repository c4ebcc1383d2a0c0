// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memhold - hold memory in a pattern, and prove that its contents are whole.
 *
 * Maps --mib MiB, touches every page, then gives pages back so that one page
 * of --keep stays:
 *   none     every page stays
 *   regular  the first of each --keep pages stays
 *   random   a random 1/--keep stays, the runs between them are dropped in
 *            random order
 *   files    page cache instead: files of 4 KiB to 1 MiB in --dir, written to
 *            their disk; the first of each --keep files stays, the others are
 *            deleted
 *
 * Pages that stay hold a content that depends on the seed and their number.
 * SIGUSR1 checks them all and writes "OK pages=N" or "BAD pages=N bad=M" to
 * the result file; SIGTERM ends. The ready file appears once all is in place.
 * With --touched, that file appears once all pages are touched, and SIGUSR2 is
 * waited for before any is given back: so that several of these don't fill
 * each other's holes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE	4096UL
#define WORDS	(PAGE / sizeof(uint64_t))

#define FILE_PAGES	256		/* a file has 1 to so many */

enum pattern { NONE, REGULAR, RANDOM, FILES };

static uint64_t seed = 1;
static uint64_t rng_state;

static void die(const char *what)
{
	fprintf(stderr, "memhold: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static uint64_t rng(void)
{
	return mix(rng_state++);
}

static void fill(uint64_t *page, uint64_t index)
{
	uint64_t v = mix(seed ^ (index << 8));

	for (size_t i = 0; i < WORDS; i++)
		page[i] = v + i;
}

static int whole(const uint64_t *page, uint64_t index)
{
	uint64_t v = mix(seed ^ (index << 8)), diff = 0;

	for (size_t i = 0; i < WORDS; i++)
		diff |= page[i] ^ (v + i);
	return !diff;
}

/* The file appears whole or not at all. */
static void report(const char *path, const char *fmt, ...)
{
	char tmp[256];
	va_list ap;
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	if (!f)
		die(tmp);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	if (fclose(f) || rename(tmp, path))
		die(path);
}

static void drop(char *base, size_t first, size_t count)
{
	if (madvise(base + first * PAGE, count * PAGE, MADV_DONTNEED))
		die("madvise(MADV_DONTNEED)");
}

static void drop_regular(char *base, size_t pages, size_t keep)
{
	for (size_t i = 0; i < pages; i += keep) {
		size_t n = pages - i < keep ? pages - i : keep;

		if (n > 1)
			drop(base, i + 1, n - 1);
	}
}

static void shuffle(uint32_t *v, size_t n, size_t first)
{
	for (size_t i = 0; i < first; i++) {
		size_t j = i + rng() % (n - i);
		uint32_t t = v[i];

		v[i] = v[j];
		v[j] = t;
	}
}

/*
 * Neighbours that go both are dropped by one call, the runs in random order.
 * Returns a byte per page: 1 if it stays.
 */
static unsigned char *drop_random(char *base, size_t pages, size_t keep)
{
	unsigned char *stays = malloc(pages);
	uint32_t *order = malloc(pages * sizeof(*order));
	size_t dropped = pages - pages / keep, runs = 0;

	if (!stays || !order)
		die("malloc");
	for (size_t i = 0; i < pages; i++)
		order[i] = i;
	shuffle(order, pages, dropped);
	memset(stays, 1, pages);
	for (size_t i = 0; i < dropped; i++)
		stays[order[i]] = 0;

	for (size_t i = 0; i < pages; i++)
		if (!stays[i] && (!i || stays[i - 1]))
			order[runs++] = i;
	shuffle(order, runs, runs);
	for (size_t i = 0; i < runs; i++) {
		size_t n = 1;

		while (order[i] + n < pages && !stays[order[i] + n])
			n++;
		drop(base, order[i], n);
	}
	free(order);
	return stays;
}

/* The pages of file number @n. */
static size_t file_pages(size_t n)
{
	return 1 + mix(seed ^ mix(n)) % FILE_PAGES;
}

static int file_open(const char *dir, size_t n, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%zu", dir, n);
	fd = open(path, flags, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

/* Returns the number of files that together have @pages pages, or a few more. */
static size_t make_files(const char *dir, size_t pages)
{
	static uint64_t buf[FILE_PAGES * WORDS];
	size_t n = 0, done = 0;
	int fd;

	if (mkdir(dir, 0700))
		die(dir);
	for (; done < pages; n++) {
		size_t count = file_pages(n);

		for (size_t i = 0; i < count; i++)
			fill(buf + i * WORDS, done + i);
		fd = file_open(dir, n, O_WRONLY | O_CREAT | O_EXCL);
		if (write(fd, buf, count * PAGE) != (ssize_t)(count * PAGE))
			die("write");
		close(fd);
		done += count;
	}
	/* So that all of it is clean. */
	fd = open(dir, O_RDONLY);
	if (fd < 0 || syncfs(fd))
		die("syncfs");
	close(fd);
	return n;
}

/* Returns the number of pages that are left. */
static size_t drop_files(const char *dir, size_t files, size_t keep)
{
	size_t kept = 0;
	char path[256];

	for (size_t n = 0; n < files; n++) {
		if (n % keep == 0) {
			kept += file_pages(n);
			continue;
		}
		snprintf(path, sizeof(path), "%s/%zu", dir, n);
		if (unlink(path))
			die(path);
	}
	return kept;
}

/* Returns the number of pages that are not as they were. */
static size_t check_files(const char *dir, size_t files, size_t keep)
{
	static uint64_t buf[FILE_PAGES * WORDS];
	size_t bad = 0, index = 0;

	for (size_t n = 0; n < files; n++) {
		size_t count = file_pages(n);
		int fd;

		if (n % keep == 0) {
			fd = file_open(dir, n, O_RDONLY);
			if (read(fd, buf, sizeof(buf)) != (ssize_t)(count * PAGE))
				die("read");
			close(fd);
			for (size_t i = 0; i < count; i++)
				bad += !whole(buf + i * WORDS, index + i);
		}
		index += count;
	}
	return bad;
}

static void usage(void)
{
	fputs("usage: memhold --mib N [--pattern none|regular|random|files]\n"
	      "  [--keep 1/K] [--dir DIR] [--seed S] [--thp on|off] [--ready FILE]\n"
	      "  [--touched FILE] [--result FILE]\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "mib",	required_argument, NULL, 'm' },
		{ "pattern",	required_argument, NULL, 'p' },
		{ "keep",	required_argument, NULL, 'k' },
		{ "dir",	required_argument, NULL, 'd' },
		{ "seed",	required_argument, NULL, 's' },
		{ "thp",	required_argument, NULL, 't' },
		{ "ready",	required_argument, NULL, 'r' },
		{ "touched",	required_argument, NULL, 'w' },
		{ "result",	required_argument, NULL, 'o' },
		{ }
	};
	const char *touched = NULL;
	const char *ready = "/tmp/memhold.ready";
	const char *result = "/tmp/memhold.result";
	enum pattern pattern = NONE;
	unsigned char *stays = NULL;
	size_t mib = 0, keep = 4, pages, kept = 0, files = 0;
	const char *dir = "/mnt/memhold";
	int thp = 0, sig, c;
	sigset_t set;
	char *base = NULL;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 'm':
			mib = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			if (!strcmp(optarg, "regular"))
				pattern = REGULAR;
			else if (!strcmp(optarg, "random"))
				pattern = RANDOM;
			else if (!strcmp(optarg, "files"))
				pattern = FILES;
			else if (strcmp(optarg, "none"))
				usage();
			break;
		case 'k':
			keep = strtoul(strncmp(optarg, "1/", 2) ? optarg :
				       optarg + 2, NULL, 0);
			break;
		case 'd':
			dir = optarg;
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			thp = !strcmp(optarg, "on");
			break;
		case 'r':
			ready = optarg;
			break;
		case 'w':
			touched = optarg;
			break;
		case 'o':
			result = optarg;
			break;
		default:
			usage();
		}
	}
	if (!mib || !keep)
		usage();
	rng_state = mix(seed);

	/* Before anybody can learn our pid: signals wait for sigwait(). */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);

	pages = (mib << 20) / PAGE;
	if (pattern == FILES) {
		files = make_files(dir, pages);
	} else {
		base = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (base == MAP_FAILED)
			die("mmap");
		if (madvise(base, mib << 20,
			    thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
		    errno != EINVAL)
			die("madvise(MADV_*HUGEPAGE)");
		if (madvise(base, mib << 20, MADV_POPULATE_WRITE))
			for (size_t i = 0; i < pages; i++)
				*(volatile char *)(base + i * PAGE) = 1;
	}

	if (touched) {
		report(touched, "TOUCHED\n");
		while (!sigwait(&set, &sig) && sig != SIGUSR2)
			if (sig == SIGTERM)
				return 0;
	}
	if (pattern == REGULAR)
		drop_regular(base, pages, keep);
	else if (pattern == RANDOM)
		stays = drop_random(base, pages, keep);
	else if (pattern == FILES)
		kept = drop_files(dir, files, keep);

#define STAYS(i) (pattern == NONE || \
		  (pattern == REGULAR ? (i) % keep == 0 : stays[i]))
	for (size_t i = 0; i < pages && pattern != FILES; i++) {
		if (STAYS(i)) {
			fill((uint64_t *)(base + i * PAGE), i);
			kept++;
		}
	}
	report(ready, "READY pages=%zu kept=%zu\n", pages, kept);

	while (!sigwait(&set, &sig) && sig == SIGUSR1) {
		size_t bad = 0;

		if (pattern == FILES)
			bad = check_files(dir, files, keep);
		for (size_t i = 0; i < pages && pattern != FILES; i++)
			if (STAYS(i))
				bad += !whole((uint64_t *)(base + i * PAGE), i);
		if (bad)
			report(result, "BAD pages=%zu bad=%zu\n", kept, bad);
		else
			report(result, "OK pages=%zu\n", kept);
	}
	return 0;
}
