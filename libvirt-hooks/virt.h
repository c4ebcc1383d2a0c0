/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt, without waiting for it. A call to libvirt may take as long as a QEMU
 * hangs, so each is a job for a worker thread; its done() runs in the main
 * thread, from the event loop. A worker has a connection of its own, because
 * libvirtd takes only a few calls at a time from one client, and those that hang
 * count. When workers hang, more are started, up to a bound.
 *
 * All functions are for the main thread.
 */
#ifndef BALLAST_VIRT_H
#define BALLAST_VIRT_H

#include "policy.h"

enum job_kind {
	JOB_CONNECT,	/* the main connection, with events */
	JOB_LIST,	/* of running domains; waits for those that are starting */
	JOB_XML,
	JOB_STATS,
	JOB_SET_MEMORY,	/* value: KiB */
	JOB_SET_PERIOD,	/* value: s */
	JOB_CALL,	/* not libvirt: call() */
};

struct job {
	enum job_kind kind;
	char uuid[37];
	uint64_t generation;		/* guests.c's */
	uint64_t value;
	char alias[64];			/* JOB_STATS: ask this balloon by QMP; "": don't */
	void (*call)(struct job *job);	/* JOB_CALL, in the worker */
	void (*done)(struct job *job);	/* frees it, with job_free() */
	void *data;

	/* results */
	int result;			/* 0, or -1 and error */
	struct error error;
	bool gone;			/* -1 because no such domain runs */
	char *xml;			/* JOB_XML */
	unsigned int nr_domains;	/* JOB_LIST */
	struct {
		char uuid[37];
		unsigned int id;	/* another one after each start */
	} *domains;
	uint32_t have;			/* JOB_STATS */
	uint64_t stat[STAT_NR];
	uint64_t actual, rss, last_update;

	/* virt.c's */
	uint64_t begun;			/* 0: it waits for a worker */
	struct job *next;
};

enum virt_event {
	VIRT_STARTED,	/* or resumed from a file, or migrated to here; value: its id */
	VIRT_STOPPED,	/* or migrated away */
	VIRT_BALLOON,	/* value: KiB it has now */
	VIRT_CHANGED,	/* its XML may be another */
};

struct virt_callbacks {
	void (*event)(const char *uuid, enum virt_event event, uint64_t value);
	void (*closed)(const char *why);	/* the main connection */
};

/* Before anything else of libvirt. */
int virt_init(const char *uri, const struct virt_callbacks *callbacks,
	      struct error *error);

struct job *job_new(enum job_kind kind, const char *uuid,
		    void (*done)(struct job *job));
void job_free(struct job *job);

/* Hand it to a worker; done() will be called, unless the program ends first. */
void virt_submit(struct job *job);

/* To be called now and then while jobs are under way: helps when workers hang. */
void virt_tick(void);

/* Calls that have taken more than a second, now. */
unsigned int virt_hung(void);

#endif
