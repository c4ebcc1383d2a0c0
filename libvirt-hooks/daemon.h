/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of ballastd share. All of it is the main thread's: workers
 * (virt.h) see nothing but their job.
 *
 *	ballastd.c	options, signals, the loop
 *	guests.c	follows domains
 *	pass.c		from statistics over the policy to orders
 *	rooms.c		guests that are about to start
 *	commands.c	what is asked on the control socket
 *	state.c		what outlives a ballastd that dies
 */
#ifndef BALLAST_DAEMON_H
#define BALLAST_DAEMON_H

#include <json-c/json.h>

#include "control.h"
#include "host.h"
#include "virt.h"

/* A guest that runs. */
struct tracked {
	struct tracked *next;
	struct guest guest;		/* for the next snapshot */
	struct guest_decision decision;	/* of the last pass */
	struct domain_info info;
	uint64_t generation;		/* another one after each start */
	unsigned int id;		/* libvirt's: the same */
	bool known;			/* its XML has been read */
	bool xml_busy, xml_again;	/* being read; and once more after that */
	uint64_t stats_begun;		/* asked for them then; 0: not under way */
	uint64_t stats_made;		/* the guest made those that are here then */
	bool order_busy;		/* an order is on its way to libvirt, and then: */
	uint64_t order_next;		/* KiB; 0: none */
	uint64_t asked_share;		/* huge share was looked at then */
	int pid;			/* of its QEMU; 0: not known yet */
	int patched;			/* host_qemu_patched() */
	uint64_t files;			/* KiB of page cache that are its memory */
	uint64_t hugetlb;		/* KiB of huge pages that it uses */
	bool hugetlb_known;
	const char *useless;		/* why its balloon frees nothing; NULL: it does */
	uint64_t shrinks, grows;	/* orders so far */
};

struct daemon {
	struct config config;
	const char *config_path;	/* NULL: the default one */
	int mode;			/* of the command line: 'n' dry run, 'a' active, 0 */
	struct tracked *guests;
	struct host host;
	bool taking[16];		/* the policy's memory, for each pool */
	bool releasing;
	bool pausing;			/* ballastctl pause --all */
	bool waiting;			/* somebody needs what another's balloon gives */
	bool connected, listed;		/* to libvirt; and it has said who runs */
	char connection_error[256];
	uint64_t passes, pass_cpu_us, last_cpu_us;
	bool stopping;
};

extern struct daemon d;

bool dry_run(void);

/* guests.c */
struct tracked *guest_find(const char *name_or_uuid);
void guests_connect(void);
void guests_tick(void);
const struct virt_callbacks *guests_callbacks(void);
void guest_read_xml(struct tracked *t);
void guests_read_xml(void);
void guest_ask(struct tracked *t);
void guest_order(struct tracked *t, uint64_t kib);
void guest_halt(struct tracked *t);

/* pass.c */
void pass_begin(void);
void pass_stats_done(void);
void pass_soon(void);
void pass_moved(void);
int pass_init(struct error *error);
void pass_interval(void);
char *pass_metrics(void);	/* as a Prometheus sees them; to be freed */

unsigned int pool_of(const struct domain_info *info);

/* rooms.c */
unsigned int rooms_fill(struct room *rooms, unsigned int most);
unsigned int rooms_count(void);
uint64_t rooms_made(void);	/* KiB of huge pages that were made for guests */
struct json_object *rooms_made_json(void);
void rooms_made_load(struct json_object *json);
void rooms_decided(const struct room_decision *decisions, unsigned int n);
void rooms_prepare(struct client *client, const char *xml);
void rooms_started(const char *name);
void rooms_stopped(const char *name);
void rooms_client_gone(struct client *client);

/* commands.c */
void command_run(struct client *client, struct json_object *request);

/* state.c: paused, overridden guests, and a release, in a file beside the socket */
void state_load(void);
void state_save(void);
void state_apply(struct tracked *t);
void state_forget_all(void);

/* ballastd.c */
int reload(struct error *error);

#endif
