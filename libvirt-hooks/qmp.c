// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands to a guest's QEMU. */
#include <stdio.h>

#include <libvirt/libvirt-qemu.h>

#include "qmp.h"

int qmp_guest_stats(virDomainPtr domain, const char *alias, char **reply)
{
	char command[256];

	snprintf(command, sizeof(command), "{\"execute\": \"qom-get\", \"arguments\": "
		 "{\"path\": \"/machine/peripheral/%s\", "
		 "\"property\": \"guest-stats\"}}", alias);
	return virDomainQemuMonitorCommand(domain, command, reply, 0) < 0 ? -1 : 0;
}
