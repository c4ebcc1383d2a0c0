// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In place of libvirt, for LD_PRELOAD: a host with guests that are not there, and
 * that do what a test says. What the functions mean is in libvirt's own
 * documentation; the event loop is the real one.
 *
 *	STUB_GUESTS=200			how many run at first
 *	STUB_HUNG=3			so many of them never answer, from the first on
 *	STUB_LYING=3			so many tell what can't be, after those
 *	STUB_ORDERS=FILE		each order that arrives is a line there: NUMBER KIB
 *	STUB_WORLD=FILE			where the guests are, to outlive ballastd
 *	STUB_CONTROL=FILE		what the test wants: it adds lines to it
 *
 * A line is WHO WHAT NUMBER. WHO is a guest's number, or * for all that run:
 *
 *	run 1|0		it starts, also if it runs: then nobody hears that it stopped
 *	actual KIB	what it has; somebody moves its balloon
 *	and the fields of struct guest, by their names
 *
 * Or it is host:
 *
 *	skip S		so much time passes at once; for balloons, too
 *	and the fields of struct world
 */
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define GUESTS_MOST	1000
#define MAXIMUM		(4096ull * 1024)
#define TICK_MS		20

#define STOPPED		1
#define STARTED		2

typedef unsigned long long number;

struct guest {
	number run;
	number id;		/* another one after each start */
	number used;		/* KiB; what is left of what it has is usable */
	number rate;		/* of its balloon, KiB/s; 0: it moves at once */
	number huge;		/* it is made of huge pages, shared ones */
	number autodeflate;
	number hang;		/* it does not answer */
	number lie;		/* its statistics can't be true */
	number mute;		/* its statistics fail */
	number slow;		/* ms that an order to it takes */
	number random;		/* up to so many more */
	number flood;		/* an event of its balloon at each tick */
	number vanish;		/* it stops while a list that has it is on its way */
	number from, to, since;	/* its balloon's way */
	number told;		/* by the last event */
	number events;		/* to be told */
};

static struct world {
	number away;		/* libvirt is not there */
	number list;		/* ms that a list of domains takes */
	number skipped;		/* s */
	number control;		/* so much of that file has been read */
	number begun;
	struct guest guests[GUESTS_MOST];
} *world;

struct _virConnect {
	int unused;
};

struct _virDomain {
	unsigned int number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of the world */

static number setting(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 10) : 0;
}

/* --- time */

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = syscall(SYS_clock_gettime, id, t);

	if (!rc && id == CLOCK_MONOTONIC && world)
		t->tv_sec += world->skipped;
	return rc;
}

static number now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* --- guests */

static number actual(const struct guest *g)
{
	number way = g->to > g->from ? g->to - g->from : g->from - g->to;
	number moved;

	if (!g->rate || !way)
		return g->to;
	moved = g->rate * (now_ms() - g->since) / 1000;
	if (moved >= way)
		return g->to;
	return g->to > g->from ? g->from + moved : g->from - moved;
}

/* From where it is now. */
static void move(struct guest *g, number to)
{
	g->from = actual(g);
	g->to = to;
	g->since = now_ms();
}

static void start(struct guest *g)
{
	g->run = 1;
	g->id = ++world->begun;
	g->from = g->to = g->told = MAXIMUM;
}

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("STUB_WORLD");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	number i, hung = setting("STUB_HUNG");

	if (fd >= 0 && ftruncate(fd, sizeof(*world)))
		abort();
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
		     fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (world == MAP_FAILED)
		abort();
	for (i = 0; i < GUESTS_MOST && !world->guests[i].used; i++) {
		/* A quarter of its memory, and more the higher its number is. */
		world->guests[i].used = MAXIMUM / 4 + i * 1024;
		world->guests[i].hang = i < hung;
		world->guests[i].lie = i >= hung && i < hung + setting("STUB_LYING");
		if (i < setting("STUB_GUESTS"))
			start(&world->guests[i]);
	}
}

/* --- what the test wants */

#define FIELD(type, name)	{ #name, offsetof(struct type, name) }

static const struct field {
	const char *name;
	size_t offset;
} guest_fields[] = {
	FIELD(guest, used), FIELD(guest, rate), FIELD(guest, huge),
	FIELD(guest, autodeflate), FIELD(guest, hang), FIELD(guest, lie),
	FIELD(guest, mute), FIELD(guest, slow), FIELD(guest, random),
	FIELD(guest, flood), FIELD(guest, vanish), {}
}, world_fields[] = {
	FIELD(world, away), FIELD(world, list), {}
};

static void set_field(void *of, const struct field *field, const char *name,
		      number value)
{
	for (; field->name; field++)
		if (!strcmp(field->name, name))
			*(number *)((char *)of + field->offset) = value;
}

static void set_guest(struct guest *g, const char *name, number value)
{
	/* What it has done until now, it has done as it was. */
	move(g, g->to);
	if (!strcmp(name, "actual")) {
		g->from = g->to = value;
	} else if (strcmp(name, "run")) {
		set_field(g, guest_fields, name, value);
	} else if (value) {
		start(g);
		g->events |= STARTED;
	} else {
		g->run = 0;
		g->events |= STOPPED;
	}
}

static void set_any(const char *who, const char *name, number value)
{
	number i, one = strtoull(who, NULL, 10);

	if (!strcmp(name, "skip"))
		world->skipped += value;
	else if (!strcmp(who, "host"))
		set_field(world, world_fields, name, value);
	else if (strcmp(who, "*"))
		set_guest(&world->guests[one], name, value);
	else
		for (i = 0; i < GUESTS_MOST; i++)
			if (world->guests[i].run)
				set_guest(&world->guests[i], name, value);
}

static void read_control(void)
{
	const char *path = getenv("STUB_CONTROL");
	FILE *file = path ? fopen(path, "re") : NULL;
	char line[100], who[20], name[20];
	number value;

	if (!file)
		return;
	fseek(file, world->control, SEEK_SET);
	while (fgets(line, sizeof(line), file) && strchr(line, '\n')) {
		world->control += strlen(line);
		if (sscanf(line, "%19s %19s %llu", who, name, &value) == 3)
			set_any(who, name, value);
	}
	fclose(file);
}

/* Each call begins so, and the world is its own until leave(). */
static void enter(void)
{
	pthread_mutex_lock(&lock);
	read_control();
}

static void leave(void)
{
	pthread_mutex_unlock(&lock);
}

/* Without the world. */
static void sleep_ms(number ms)
{
	leave();
	usleep(ms * 1000);
	enter();
}

/* --- errors */

static __thread virError last_error;

virErrorPtr virGetLastError(void)
{
	return last_error.message ? &last_error : NULL;
}

static int fail(int code, char *message)
{
	last_error = (virError){ .code = code, .message = message };
	return -1;
}

/* enter(), and the guest; or NULL and leave(). */
static struct guest *enter_guest(virDomainPtr domain)
{
	struct guest *g = &world->guests[domain->number];

	enter();
	while (g->run && g->hang)
		sleep_ms(TICK_MS);
	if (world->away)
		fail(VIR_ERR_INTERNAL_ERROR, "libvirtd is away");
	else if (!g->run)
		fail(VIR_ERR_OPERATION_INVALID, "domain is not running");
	else
		return g;
	leave();
	return NULL;
}

/* --- connections and events */

static virConnectPtr main_connection;
static virConnectCloseFunc on_close;
static virConnectDomainEventCallback on_lifecycle;
static virConnectDomainEventBalloonChangeCallback on_balloon;

static virDomainPtr domain_new(unsigned int number)
{
	virDomainPtr domain = calloc(1, sizeof(*domain));

	domain->number = number;
	return domain;
}

static void tell(unsigned int i, number events, number has)
{
	virDomainPtr domain = domain_new(i);

	if (events & STOPPED)
		on_lifecycle(main_connection, domain, VIR_DOMAIN_EVENT_STOPPED, 0,
			     NULL);
	if (events & STARTED)
		on_lifecycle(main_connection, domain, VIR_DOMAIN_EVENT_STARTED, 0,
			     NULL);
	if (has)
		on_balloon(main_connection, domain, has, NULL);
	virDomainFree(domain);
}

/* What has happened since the last tick; without the world, since they call us. */
static void on_tick(int timer, void *data)
{
	static number events[GUESTS_MOST], has[GUESTS_MOST];
	virConnectCloseFunc closed = NULL;
	struct guest *g = world->guests;
	unsigned int i;

	enter();
	for (i = 0; i < GUESTS_MOST; i++, g++) {
		events[i] = g->events;
		has[i] = g->run && (g->flood || actual(g) != g->told) ? actual(g) : 0;
		g->events = 0;
		g->told = actual(g);
	}
	if (world->away) {
		closed = on_close;
		on_close = NULL;
	}
	leave();
	if (closed)
		closed(main_connection, VIR_CONNECT_CLOSE_REASON_EOF, NULL);
	for (i = 0; i < GUESTS_MOST && on_close && on_balloon; i++)
		if (events[i] || has[i])
			tell(i, events[i], has[i]);
}

virConnectPtr virConnectOpen(const char *name)
{
	number away;

	enter();
	away = world->away;
	leave();
	if (!away)
		return calloc(1, sizeof(struct _virConnect));
	fail(VIR_ERR_NO_CONNECT, "libvirtd is away");
	return NULL;
}

int virConnectClose(virConnectPtr connection)
{
	free(connection);
	return 0;
}

int virConnectIsAlive(virConnectPtr connection)
{
	return !world->away;
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
	static int timer = -1;

	main_connection = connection;
	on_close = callback;
	if (timer < 0)
		timer = virEventAddTimeout(TICK_MS, on_tick, NULL, NULL);
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
	if (id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
		on_lifecycle = (virConnectDomainEventCallback)(void *)cb;
	if (id == VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE)
		on_balloon = (virConnectDomainEventBalloonChangeCallback)(void *)cb;
	return id;
}

int virConnectDomainEventDeregisterAny(virConnectPtr connection, int id)
{
	return 0;
}

/* --- domains: they are defined, so who has stopped is still found */

int virDomainFree(virDomainPtr domain)
{
	free(domain);
	return 0;
}

int virConnectListAllDomains(virConnectPtr connection, virDomainPtr **domains,
			     unsigned int flags)
{
	struct guest *g = world->guests;
	int n = 0;

	enter();
	*domains = calloc(GUESTS_MOST + 1, sizeof(**domains));
	for (; g < world->guests + GUESTS_MOST; g++) {
		if (!g->run)
			continue;
		(*domains)[n++] = domain_new(g - world->guests);
		if (g->vanish)
			set_guest(g, "run", 0);
	}
	if (world->list)
		sleep_ms(world->list);
	leave();
	return n;
}

int virDomainGetUUIDString(virDomainPtr domain, char *uuid)
{
	sprintf(uuid, "00000000-0000-0000-0000-%012u", domain->number);
	return 0;
}

unsigned int virDomainGetID(virDomainPtr domain)
{
	const struct guest *g = &world->guests[domain->number];

	return g->run ? g->id : -1u;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid)
{
	return domain_new(strtoul(uuid + 24, NULL, 10) % GUESTS_MOST);
}

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
	const struct guest *g = &world->guests[domain->number];
	char *xml;
	int n;

	enter();
	n = asprintf(&xml, "<domain type='kvm' id='%llu'><name>guest%u</name>"
		     "<uuid>00000000-0000-0000-0000-%012u</uuid>"
		     "<memory unit='KiB'>%llu</memory>"
		     "<currentMemory unit='KiB'>%llu</currentMemory>%s"
		     "<devices><memballoon model='virtio' autodeflate='%s'>"
		     "<stats period='1'/><alias name='balloon0'/></memballoon>"
		     "</devices></domain>",
		     g->id, domain->number, domain->number, MAXIMUM, actual(g),
		     g->huge ? "<memoryBacking><hugepages/><access mode='shared'/>"
		     "</memoryBacking>" : "", g->autodeflate ? "on" : "off");
	leave();
	return n < 0 ? NULL : xml;
}

int virDomainMemoryStats(virDomainPtr domain, virDomainMemoryStatPtr stats,
			 unsigned int nr_stats, unsigned int flags)
{
	struct guest *g = enter_guest(domain);
	number has, usable;
	int n = 0;

	if (!g)
		return -1;
	if (g->mute) {
		leave();
		return fail(VIR_ERR_INTERNAL_ERROR, "no statistics today");
	}
	has = actual(g);
	usable = g->lie ? 1ull << 50 : has > g->used ? has - g->used : 0;
	leave();
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, has };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_AVAILABLE, has - 65536 };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_USABLE, usable };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_RSS, has };
	stats[n++] = (virDomainMemoryStatStruct){
		VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, time(NULL) };
	return n;
}

int virDomainSetMemoryFlags(virDomainPtr domain, unsigned long memory,
			    unsigned int flags)
{
	struct guest *g = enter_guest(domain);
	const char *path = getenv("STUB_ORDERS");
	FILE *file;

	if (!g)
		return -1;
	if (g->slow || g->random)
		sleep_ms(g->slow + (g->random ? rand() % g->random : 0));
	move(g, memory);
	file = path ? fopen(path, "ae") : NULL;
	if (file) {
		fprintf(file, "%u %lu\n", domain->number, memory);
		fclose(file);
	}
	leave();
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
