/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Prometheus reads: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#ifndef BALLAST_METRICS_H
#define BALLAST_METRICS_H

#include "policy.h"

/* Orders given to one guest since ballastd began to follow it. */
struct order_counts {
	uint64_t shrinks, grows;
};

/* What is in no snapshot. */
struct daemon_counters {
	bool connected;
	uint64_t passes, pass_cpu_us;
	unsigned int hung_calls;
	bool have_psi;				/* the host's /proc/pressure/memory */
	uint64_t psi_some, psi_full;		/* us */
	const struct order_counts *orders;	/* as the snapshot's guests; or NULL */
};

/*
 * metrics_render - all of it as text
 * Return: to be freed; NULL if there is no memory.
 */
char *metrics_render(const struct snapshot *snapshot,
		     const struct decision *decision,
		     const struct daemon_counters *counters);

/*
 * metrics_start - answer GET /metrics, in a thread of its own
 * @where: as config_address() takes it
 *
 * So it answers while the main thread is busy, with what was published last.
 */
int metrics_start(const char *where, struct error *error);

/* Takes a copy. Nothing happens if metrics_start() was not called. */
void metrics_publish(const char *text);
void metrics_stop(void);

#endif
