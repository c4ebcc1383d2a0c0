/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ballastctl doctor: what is wrong, and what to do about it. */
#ifndef BALLAST_DOCTOR_H
#define BALLAST_DOCTOR_H

#include "config.h"

/*
 * doctor - look at the host and at guests, and print what was found
 * @config_error: what is wrong with the configuration; NULL: nothing
 * @guests: names or UUIDs, @nr of them; none: all that run
 * @qmp: ask QEMU itself, too, which taints the guest
 *
 * Return: 0; -1 if there is a problem.
 */
int doctor(const struct config *config, const struct error *config_error,
	   const char *socket, char **guests, unsigned int nr, bool qmp, bool json);

#endif
