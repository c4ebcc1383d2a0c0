/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's memory, from /proc and /sys. */
#ifndef BALLAST_HOST_H
#define BALLAST_HOST_H

#include "policy.h"

struct host {
	uint64_t total, free, available;	/* KiB, of /proc/meminfo */
	uint64_t psi_some, psi_full;		/* us; 0 without PSI */
	bool have_psi;
	uint64_t huge_page;			/* KiB: the default size; 0: none */
	unsigned int nr_pools;			/* [0] is ordinary memory */
	struct pool *pools;			/* reserve is 0 */
};

/*
 * host_read - look at the host
 * @root: "" for the machine's own /proc and /sys; a folder for tests
 * @host: pools are allocated, or used again; all 0 at first
 */
int host_read(const char *root, struct host *host, struct error *error);
void host_free(struct host *host);

/*
 * host_guest_files - KiB of page cache that a QEMU has mapped (RssFile)
 *
 * Counted in MemAvailable as if it could be dropped, although it is the guest's
 * memory if that is a file on a file system. 0 if the process is gone.
 */
uint64_t host_guest_files(const char *root, int pid);

/* KiB of huge pages that a QEMU has in use (HugetlbPages). */
uint64_t host_guest_hugetlb(const char *root, int pid);

/* The process of a domain, from /run/libvirt/qemu/NAME.pid; 0: none. */
int host_guest_pid(const char *root, const char *name);

/*
 * host_qemu_patched - is it a QEMU with Ballast's series for 10.0?
 * @path: of the program, or /proc/PID/exe
 * Return: 1, 0, or -1 if it can't be read.
 */
int host_qemu_patched(const char *path);

/*
 * host_guest_huge_share - of its anonymous memory on huge pages, 1/100 %
 * Return: -1 if that can't be told.
 */
int host_guest_huge_share(const char *root, int pid);

/* Ask for more huge pages of a size on the nodes; how many more there are now. */
uint64_t host_grow_hugepages(const char *root, uint64_t page_kib, uint64_t nodes,
			     uint64_t pages);

/* Give free huge pages back to the kernel; how many fewer there are now. */
uint64_t host_shrink_hugepages(const char *root, uint64_t page_kib, uint64_t pages);

#endif
