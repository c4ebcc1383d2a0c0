/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of a QEMU past libvirt, which marks the guest as tainted. */
#ifndef BALLAST_QMP_H
#define BALLAST_QMP_H

#include <libvirt/libvirt.h>

/*
 * qmp_guest_stats - the guest-stats of its balloon, as QEMU says them
 * @alias: the balloon's, in the domain's XML
 * @reply: to be freed
 *
 * Return: 0, or -1, and libvirt has the error.
 */
int qmp_guest_stats(virDomainPtr domain, const char *alias, char **reply);

#endif
