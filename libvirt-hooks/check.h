/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of "ballastctl doctor": from what is known of the host and of a
 * guest to findings. They ask nobody, so that they can be tested.
 */
#ifndef BALLAST_CHECK_H
#define BALLAST_CHECK_H

#include <sys/types.h>

#include <libvirt/libvirt.h>

#include "config.h"
#include "host.h"

#define HOOK_PATH	"/etc/libvirt/hooks/qemu.d/ballast"

enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WARNING, LEVEL_PROBLEM };

const char *level_name(enum level level);

struct finding {
	enum level level;
	char about[128];		/* a guest, or "host" */
	struct error text;
	struct error remedy;		/* "": none is needed */
};

struct report {
	struct finding *findings;
	unsigned int nr;
	struct finding *last;		/* that was added */
	const char *about;		/* of those that are added */
};

enum answer { UNKNOWN, NO, YES };

struct host_facts {
	const struct error *config_error;	/* NULL: there is none */
	const struct config *config;		/* NULL: unknown */
	const char *uri, *socket;
	struct error libvirt_error;		/* "": it answers */
	unsigned long libvirt, qemu;		/* 9000001 is 9.0.1; 0: unknown */
	bool hook, hook_executable;
	struct error ballastd_error;		/* "": it answers */
	bool no_right;				/* to ask it */
	bool dry_run, connected, releasing;
	int hung_calls;
	bool has_socket;
	mode_t socket_mode;
	char socket_group[32];
	struct error memory_error;		/* "": memory is known */
	struct host memory;
	char thp[32], shmem_thp[32];		/* the word that is set; "": unknown */
	bool apparmor;
	const char *daemon_rules, *guest_rules;	/* AppArmor's local ones */
};

struct guest_facts {
	const struct host_facts *host;
	struct domain_info info;
	bool known;				/* info is; else just its name */
	bool none;				/* libvirt has no such guest */
	struct error error;			/* "": it answers */
	bool running;
	uint32_t have;				/* 1 << VIR_DOMAIN_MEMORY_STAT_* */
	uint64_t stat[VIR_DOMAIN_MEMORY_STAT_NR];
	uint64_t now;				/* s, as VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE */
	enum answer patched;			/* its QEMU */
	enum answer driver;			/* Ballast's; UNKNOWN: it was not asked */
	char inhibited[64], last_error[128];	/* of the patched device */
};

void check_host(struct report *report, const struct host_facts *host);
void check_guest(struct report *report, const struct guest_facts *guest);

/* Where nothing could be found out: one problem. */
void check_failed(struct report *report, const struct error *error);
void report_free(struct report *report);

#endif
