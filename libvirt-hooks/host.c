// SPDX-License-Identifier: GPL-2.0-or-later
/* The host's memory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

#define HUGEPAGES	"/sys/kernel/mm/hugepages"
#define NODES		"/sys/devices/system/node"
#define TEXT_SIZE	8192

__attribute__((format(printf, 3, 0)))
static void make_path(char path[PATH_MAX], const char *root, const char *format,
		      va_list args)
{
	int length = snprintf(path, PATH_MAX, "%s", root);

	if (length < PATH_MAX)
		vsnprintf(path + length, PATH_MAX - length, format, args);
}

/*
 * The beginning of a file, as text. Files of /proc are made when they are read,
 * mostly a page at a time.
 */
__attribute__((format(printf, 3, 4)))
static int read_text(const char *root, char text[TEXT_SIZE], const char *format,
		     ...)
{
	ssize_t length = 0, n;
	char path[PATH_MAX];
	va_list args;
	int fd;

	va_start(args, format);
	make_path(path, root, format, args);
	va_end(args);
	text[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	do {
		n = read(fd, text + length, TEXT_SIZE - 1 - length);
		if (n > 0)
			length += n;
	} while (n > 0);
	text[length] = '\0';
	close(fd);
	return n < 0 ? -1 : 0;
}

/* The number behind @name, which begins a word; false if there is none. */
static bool find_number(const char *text, const char *name, uint64_t *number)
{
	const char *c = text;

	*number = 0;
	for (; (c = strstr(c, name)); c++) {
		if (c > text && c[-1] != '\n' && c[-1] != ' ')
			continue;
		return sscanf(c + strlen(name), "%" SCNu64, number) == 1;
	}
	return false;
}

static int read_meminfo(const char *root, struct host *host, uint64_t *hugetlb,
			struct error *error)
{
	char text[TEXT_SIZE];

	if (read_text(root, text, "/proc/meminfo"))
		return error_set(error, "%s/proc/meminfo: %s", root,
				 strerror(errno));
	if (!find_number(text, "MemTotal:", &host->total) ||
	    !find_number(text, "MemFree:", &host->free) ||
	    !find_number(text, "MemAvailable:", &host->available) ||
	    !host->total || host->available > host->total)
		return error_set(error, "%s/proc/meminfo: MemTotal, MemFree and MemAvailable are not there or make no sense",
				 root);
	/* Kernels without one of these have no huge pages. */
	find_number(text, "Hugepagesize:", &host->huge_page);
	find_number(text, "Hugetlb:", hugetlb);
	if (*hugetlb > host->total)
		*hugetlb = host->total;
	return 0;
}

static void read_psi(const char *root, struct host *host)
{
	char text[TEXT_SIZE], *full;

	host->psi_some = 0;
	host->psi_full = 0;
	host->have_psi = !read_text(root, text, "/proc/pressure/memory") &&
			 find_number(text, "total=", &host->psi_some);
	full = strstr(text, "full ");
	if (host->have_psi && full)
		find_number(full, "total=", &host->psi_full);
}

/* A pool's numbers are of pages. */
static bool read_pages(const char *root, const char *folder, uint64_t page,
		       const char *name, uint64_t *pages)
{
	char text[TEXT_SIZE];

	*pages = 0;
	return !read_text(root, text, "%s/hugepages-%" PRIu64 "kB/%s", folder,
			  page, name) &&
	       sscanf(text, "%" SCNu64, pages) == 1;
}

/*
 * How much could be allocated on a node, about: the kernel knows it for the
 * whole host only.
 */
static uint64_t node_estimate(const char *root, unsigned int node)
{
	static const char *const names[] = {
		"MemFree:", "Active(file):", "Inactive(file):", "SReclaimable:",
	};
	char text[TEXT_SIZE];
	uint64_t sum = 0, value;
	size_t i;

	if (read_text(root, text, NODES "/node%u/meminfo", node))
		return 0;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (find_number(text, names[i], &value))
			sum += value;
	return sum;
}

static void read_ordinary(const char *root, const struct host *host,
			  uint64_t hugetlb, unsigned int nodes,
			  struct pool *pool)
{
	uint64_t sum = 0;
	unsigned int i;

	pool->page = 4;
	pool->total = host->total - hugetlb;
	pool->avail = host->available;
	pool->nodes = nodes;
	for (i = 0; i < nodes; i++) {
		pool->node_avail[i] = node_estimate(root, i);
		sum += pool->node_avail[i];
	}
	/* What the host has is what its nodes have. */
	for (i = 0; i < nodes && sum; i++)
		pool->node_avail[i] = (double)pool->node_avail[i] / sum *
				      pool->avail;
	if (!sum)
		pool->node_avail[0] = pool->avail;
}

/* Reserved pages are free, but somebody's already; nodes know nothing of them. */
static void read_huge(const char *root, unsigned int nodes, struct pool *pool)
{
	char folder[sizeof(NODES) + 32];
	uint64_t total, free, reserved;
	unsigned int i;

	read_pages(root, HUGEPAGES, pool->page, "nr_hugepages", &total);
	read_pages(root, HUGEPAGES, pool->page, "free_hugepages", &free);
	read_pages(root, HUGEPAGES, pool->page, "resv_hugepages", &reserved);
	pool->total = total * pool->page;
	pool->free = free * pool->page;
	pool->avail = free > reserved ? (free - reserved) * pool->page : 0;
	pool->nodes = nodes;
	for (i = 0; i < nodes; i++) {
		snprintf(folder, sizeof(folder), NODES "/node%u/hugepages", i);
		read_pages(root, folder, pool->page, "free_hugepages", &free);
		pool->node_avail[i] = free * pool->page < pool->avail ?
				      free * pool->page : pool->avail;
	}
}

/*
 * The numbers in a folder's names, "node%u" or "hugepages-%lukB", at most @most
 * of them, lowest first.
 */
static unsigned int list_numbers(const char *root, const char *folder,
				 const char *format, uint64_t *numbers,
				 unsigned int most)
{
	const struct dirent *entry;
	unsigned int nr = 0, i;
	char path[PATH_MAX];
	uint64_t number;
	DIR *dir;

	snprintf(path, sizeof(path), "%s%s", root, folder);
	dir = opendir(path);
	while (dir && nr < most && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, format, &number) != 1)
			continue;
		for (i = nr++; i && numbers[i - 1] > number; i--)
			numbers[i] = numbers[i - 1];
		numbers[i] = number;
	}
	if (dir)
		closedir(dir);
	return nr;
}

/* Nodes are counted up to the last one; those in between may be missing. */
static unsigned int count_nodes(const char *root)
{
	uint64_t numbers[1024];
	unsigned int nr = list_numbers(root, NODES, "node%" SCNu64, numbers,
				       ARRAY_SIZE(numbers));

	while (nr && numbers[nr - 1] >= MAX_NODES)
		nr--;
	return nr ? numbers[nr - 1] + 1 : 1;
}

#define MOST_SIZES	15	/* arm64 has 4, and there are no more */

int host_read(const char *root, struct host *host, struct error *error)
{
	unsigned int nodes = count_nodes(root), nr, i;
	uint64_t sizes[MOST_SIZES], hugetlb;
	struct pool *pools;

	if (read_meminfo(root, host, &hugetlb, error))
		return -1;
	read_psi(root, host);
	nr = 1 + list_numbers(root, HUGEPAGES, "hugepages-%" SCNu64 "kB", sizes,
			      MOST_SIZES);
	if (nr > host->nr_pools) {
		pools = reallocarray(host->pools, nr, sizeof(*pools));
		if (!pools)
			return error_set(error, "no memory left");
		host->pools = pools;
	}
	host->nr_pools = nr;
	memset(host->pools, 0, nr * sizeof(*host->pools));
	read_ordinary(root, host, hugetlb, nodes, &host->pools[0]);
	for (i = 1; i < nr; i++) {
		host->pools[i].page = sizes[i - 1];
		read_huge(root, nodes, &host->pools[i]);
	}
	return 0;
}

void host_free(struct host *host)
{
	free(host->pools);
	memset(host, 0, sizeof(*host));
}

/* Of /proc/PID/status. */
static uint64_t guest_status(const char *root, int pid, const char *name)
{
	char text[TEXT_SIZE];
	uint64_t kib = 0;

	if (!read_text(root, text, "/proc/%d/status", pid))
		find_number(text, name, &kib);
	return kib;
}

uint64_t host_guest_files(const char *root, int pid)
{
	return guest_status(root, pid, "RssFile:");
}

uint64_t host_guest_hugetlb(const char *root, int pid)
{
	return guest_status(root, pid, "HugetlbPages:");
}

int host_guest_pid(const char *root, const char *name)
{
	char text[TEXT_SIZE];
	int pid;

	if (strchr(name, '/') ||
	    read_text(root, text, "/run/libvirt/qemu/%s.pid", name) ||
	    sscanf(text, "%d", &pid) != 1 || pid <= 0)
		return 0;
	return pid;
}

int host_guest_huge_share(const char *root, int pid)
{
	uint64_t anonymous, huge;
	char text[TEXT_SIZE];

	if (read_text(root, text, "/proc/%d/smaps_rollup", pid) ||
	    !find_number(text, "Anonymous:", &anonymous) ||
	    !find_number(text, "AnonHugePages:", &huge) || !anonymous)
		return -1;
	return huge < anonymous ? huge * 10000 / anonymous : 10000;
}

static int write_number(const char *root, const char *folder, uint64_t page,
			const char *name, uint64_t number)
{
	char path[PATH_MAX];
	int fd, result;

	snprintf(path, sizeof(path), "%s%s/hugepages-%" PRIu64 "kB/%s", root,
		 folder, page, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = dprintf(fd, "%" PRIu64 "\n", number);
	return close(fd) || result < 0 ? -1 : 0;
}

/* The kernel takes what it finds: count again. */
static uint64_t grow_folder(const char *root, const char *folder, uint64_t page,
			    uint64_t pages)
{
	uint64_t before, after;

	if (!read_pages(root, folder, page, "nr_hugepages", &before) ||
	    write_number(root, folder, page, "nr_hugepages", before + pages) ||
	    !read_pages(root, folder, page, "nr_hugepages", &after))
		return 0;
	return after > before ? after - before : 0;
}

uint64_t host_grow_hugepages(const char *root, uint64_t page_kib, uint64_t nodes,
			     uint64_t pages)
{
	char folder[sizeof(NODES) + 32];
	uint64_t grown = 0;
	unsigned int i;

	if (!nodes)
		return grow_folder(root, HUGEPAGES, page_kib, pages);
	for (i = 0; i < MAX_NODES && grown < pages; i++) {
		if (!(nodes & 1ull << i))
			continue;
		snprintf(folder, sizeof(folder), NODES "/node%u/hugepages", i);
		grown += grow_folder(root, folder, page_kib, pages - grown);
	}
	return grown;
}

uint64_t host_shrink_hugepages(const char *root, uint64_t page_kib, uint64_t pages)
{
	uint64_t before, after, free, reserved;

	if (!read_pages(root, HUGEPAGES, page_kib, "nr_hugepages", &before) ||
	    !read_pages(root, HUGEPAGES, page_kib, "free_hugepages", &free) ||
	    !read_pages(root, HUGEPAGES, page_kib, "resv_hugepages", &reserved))
		return 0;
	free = free > reserved ? free - reserved : 0;
	/* Of pages in use the kernel would make surplus ones. */
	if (pages > free)
		pages = free;
	if (write_number(root, HUGEPAGES, page_kib, "nr_hugepages", before - pages) ||
	    !read_pages(root, HUGEPAGES, page_kib, "nr_hugepages", &after))
		return 0;
	return before > after ? before - after : 0;
}

/* It has a command whose name is in the program. */
int host_qemu_patched(const char *path)
{
	static const char mark[] = "x-query-balloon";
	void *program;
	struct stat st;
	int fd, rc = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && st.st_size > 0) {
		program = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (program != MAP_FAILED) {
			rc = !!memmem(program, st.st_size, mark, sizeof(mark) - 1);
			munmap(program, st.st_size);
		}
	}
	close(fd);
	return rc;
}
