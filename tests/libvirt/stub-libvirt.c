// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In place of libvirt, for LD_PRELOAD: a host with many guests, of which some lie
 * and some hang. What the functions mean is in libvirt's own documentation; the
 * event loop is the real one.
 *
 *	STUB_GUESTS=200			how many run
 *	STUB_HUNG=3			so many of them never answer, from the first on
 *	STUB_LYING=3			so many tell what can't be, after those
 *	STUB_ORDERS=FILE		each order is a line there: NUMBER KIB
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>

#define MAXIMUM	(4096ull * 1024)

struct _virConnect {
	int unused;
};

struct _virDomain {
	unsigned int number;
};

static unsigned int setting(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : 0;
}

static unsigned long long actual[100000];

virConnectPtr virConnectOpen(const char *name)
{
	return calloc(1, sizeof(struct _virConnect));
}

int virConnectClose(virConnectPtr connection)
{
	free(connection);
	return 0;
}

int virConnectIsAlive(virConnectPtr connection)
{
	return 1;
}

int virConnectSetKeepAlive(virConnectPtr connection, int interval,
			   unsigned int count)
{
	return 0;
}

int virConnectRegisterCloseCallback(virConnectPtr connection,
				    virConnectCloseFunc callback, void *opaque,
				    virFreeCallback ff)
{
	return 0;
}

int virConnectUnregisterCloseCallback(virConnectPtr connection,
				      virConnectCloseFunc callback)
{
	return 0;
}

int virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain,
				     int id, virConnectDomainEventGenericCallback cb,
				     void *opaque, virFreeCallback ff)
{
	return id;
}

int virConnectDomainEventDeregisterAny(virConnectPtr connection, int id)
{
	return 0;
}

static virDomainPtr domain_new(unsigned int number)
{
	virDomainPtr domain = calloc(1, sizeof(*domain));

	domain->number = number;
	return domain;
}

int virDomainFree(virDomainPtr domain)
{
	free(domain);
	return 0;
}

int virConnectListAllDomains(virConnectPtr connection, virDomainPtr **domains,
			     unsigned int flags)
{
	unsigned int i, n = setting("STUB_GUESTS");

	*domains = calloc(n + 1, sizeof(**domains));
	for (i = 0; i < n; i++)
		(*domains)[i] = domain_new(i);
	return n;
}

int virDomainGetUUIDString(virDomainPtr domain, char *uuid)
{
	sprintf(uuid, "00000000-0000-0000-0000-%012u", domain->number);
	return 0;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid)
{
	return domain_new(strtoul(uuid + 24, NULL, 10));
}

static void maybe_hang(virDomainPtr domain)
{
	if (domain->number < setting("STUB_HUNG"))
		for (;;)
			pause();
}

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
	char *xml;

	if (asprintf(&xml, "<domain type='kvm'><name>guest%u</name>"
		     "<uuid>00000000-0000-0000-0000-%012u</uuid>"
		     "<memory unit='KiB'>%llu</memory>"
		     "<currentMemory unit='KiB'>%llu</currentMemory>"
		     "<devices><memballoon model='virtio'><stats period='1'/>"
		     "<alias name='balloon0'/></memballoon></devices></domain>",
		     domain->number, domain->number, MAXIMUM, MAXIMUM) < 0)
		return NULL;
	return xml;
}

/* A guest uses a quarter of its memory, and more the higher its number is. */
int virDomainMemoryStats(virDomainPtr domain, virDomainMemoryStatPtr stats,
			 unsigned int nr_stats, unsigned int flags)
{
	unsigned long long has = actual[domain->number] ?: MAXIMUM;
	unsigned long long used = MAXIMUM / 4 + domain->number * 1024ull;
	int n = 0;

	maybe_hang(domain);
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, has };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_AVAILABLE, has - 65536 };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_USABLE, has - used };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_RSS, has };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, time(NULL) };
	if (domain->number >= setting("STUB_HUNG") &&
	    domain->number < setting("STUB_HUNG") + setting("STUB_LYING"))
		stats[2].val = 1ull << 50;
	return n;
}

int virDomainSetMemoryFlags(virDomainPtr domain, unsigned long memory,
			    unsigned int flags)
{
	const char *path = getenv("STUB_ORDERS");
	FILE *file;

	maybe_hang(domain);
	actual[domain->number] = memory;
	file = path ? fopen(path, "a") : NULL;
	if (file) {
		fprintf(file, "%u %lu\n", domain->number, memory);
		fclose(file);
	}
	return 0;
}

int virDomainSetMemoryStatsPeriod(virDomainPtr domain, int period,
				  unsigned int flags)
{
	return 0;
}

int virDomainQemuMonitorCommand(virDomainPtr domain, const char *command,
				char **result, unsigned int flags)
{
	return -1;
}
