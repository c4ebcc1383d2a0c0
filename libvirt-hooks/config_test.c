// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.c"

/* What is installed, and what documents it: as they stand beside this file. */
#define INCLUDE_TEXT(name, file) \
	extern const char name[]; \
	asm(".pushsection .rodata\n" #name ": .incbin \"" file "\"\n" \
	    ".byte 0\n.popsection")

INCLUDE_TEXT(shipped_config, "ballastd.conf");
INCLUDE_TEXT(manual, "man/ballastd.conf.5");

static char path[32];

/* In memory: disks are slow for thousands of files. */
static int make_path(void **state)
{
	const struct rlimit few = { 64, 64 };
	int fd = memfd_create("ballastd.conf", 0);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* So that a file that is not closed is noticed. */
	setrlimit(RLIMIT_NOFILE, &few);
	return fd < 0 ? -1 : 0;
}

static void write_bytes(const char *bytes, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* Read a file of that text. */
static int read_string(const char *text, struct config *config,
		       struct error *error)
{
	write_bytes(text, strlen(text));
	return config_read(path, config, error);
}

/* What is wrong with it, without the file's name; NULL: nothing. */
static const char *complaint(const char *text)
{
	static struct error error;
	struct config config;

	if (!read_string(text, &config, &error)) {
		config_free(&config);
		return NULL;
	}
	assert_memory_equal(error.text, path, strlen(path));
	assert_int_equal(config.nr_classes, 0);
	return error.text + strlen(path);
}

#define assert_complaint(text, want) do { \
	const char *got_ = complaint(text); \
	assert_non_null(got_); \
	assert_string_equal(got_, want); \
} while (0)

static void assert_defaults(const struct config *config)
{
	assert_true(config->dry_run);
	assert_string_equal(config->uri, "qemu:///system");
	assert_int_equal(config->interval, 5000);
	assert_int_equal(config->statistics_period, 5000);
	assert_int_equal(config->deadline, 5000);
	assert_string_equal(config->socket, "/run/ballast/ballastd.sock");
	assert_string_equal(config->socket_group, "");
	assert_string_equal(config->metrics, "none");
	assert_string_equal(config->record, "");
	assert_int_equal(config->record_size.kib, 64 * 1024);
	assert_false(config->extra_statistics);
	assert_false(config->release_at_stop);
	assert_int_equal(config->reserve.share, 1000);
	assert_int_equal(config->dead_band.share, 500);
	assert_int_equal(config->critical.share, 5000);
	assert_int_equal(config->budget.kib + config->budget.share, 0);
	assert_int_equal(config->huge_reserve.kib + config->huge_reserve.share,
			 0);
	assert_int_equal(config->grow_hugepages, GROW_NEVER);
	assert_string_equal(config->guests.class, "");
	assert_true(config->guests.manage);
	assert_int_equal(config->guests.minimum.share, 2500);
	assert_int_equal(config->guests.headroom.share, 1000);
	assert_int_equal(config->guests.shares, 1000);
	assert_false(config->guests.probe);
	assert_int_equal(config->rate.share, 100);
	assert_int_equal(config->hold, 60000);
	assert_int_equal(config->nr_classes, 0);
	assert_int_equal(config->hook_timeout, 30000);
	assert_false(config->hook_refuse);
}

static void nothing_is_the_defaults(void **state)
{
	struct config config;
	struct error error;

	assert_int_equal(read_string("", &config, &error), 0);
	assert_defaults(&config);
	config_init(&config);
	assert_defaults(&config);
	assert_int_equal(config_read("/nonexistent/b.conf", &config, &error),
			 -1);
	assert_string_equal(error.text,
			    "/nonexistent/b.conf: No such file or directory");
	assert_int_equal(config_read("/", &config, &error), -1);
	assert_string_equal(error.text, "/: Is a directory");
}

static void every_key_is_read(void **state)
{
	struct config config;
	struct error error;

	assert_int_equal(read_string(
		"[ballastd]\nmode=active\nuri = test:///default\n"
		"interval = 500ms\nstatistics_period = 2s\ndeadline = 1s\n"
		"socket = /tmp/s\nsocket_group = kvm\n"
		"metrics = 127.0.0.1:9876\nrecord = /tmp/r\n"
		"record_size = 1M\nextra_statistics = yes\n"
		"release_at_stop = yes\n"
		"[host]\nreserve = 2G\ndead_band = 128M\ncritical = 25%\n"
		"budget = 50%\nhuge_reserve = 1G\ngrow_hugepages = room\n"
		"[guests]\nmanage = no\nminimum = 1G\nheadroom = 256M\n"
		"shares = 77\nprobe = yes\nrate = 2%\nhold = 1m\n"
		"[hook]\ntimeout = 1m\nrefuse = yes\n", &config, &error), 0);
	assert_false(config.dry_run);
	assert_string_equal(config.uri, "test:///default");
	assert_int_equal(config.interval, 500);
	assert_int_equal(config.statistics_period, 2000);
	assert_int_equal(config.deadline, 1000);
	assert_string_equal(config.socket, "/tmp/s");
	assert_string_equal(config.socket_group, "kvm");
	assert_string_equal(config.metrics, "127.0.0.1:9876");
	assert_string_equal(config.record, "/tmp/r");
	assert_int_equal(config.record_size.kib, 1024);
	assert_true(config.extra_statistics);
	assert_true(config.release_at_stop);
	assert_int_equal(config.reserve.kib, 2 * KIB_PER_GIB);
	assert_int_equal(config.reserve.share, 0);
	assert_int_equal(config.dead_band.kib, 128 * KIB_PER_MIB);
	assert_int_equal(config.critical.share, 2500);
	assert_int_equal(config.budget.share, 5000);
	assert_int_equal(config.huge_reserve.kib, KIB_PER_GIB);
	assert_int_equal(config.grow_hugepages, GROW_FOR_ROOM);
	assert_false(config.guests.manage);
	assert_int_equal(config.guests.minimum.kib, KIB_PER_GIB);
	assert_int_equal(config.guests.headroom.kib, 256 * KIB_PER_MIB);
	assert_int_equal(config.guests.shares, 77);
	assert_true(config.guests.probe);
	assert_int_equal(config.rate.share, 200);
	assert_int_equal(config.hold, 60000);
	assert_int_equal(config.hook_timeout, 60000);
	assert_true(config.hook_refuse);
	config_free(&config);
}

static void files_are_as_people_write_them(void **state)
{
	struct config config;
	struct error error;

	assert_int_equal(read_string(
		"\xef\xbb\xbf[ballastd] ; comment\r\n"
		"  interval=1s ; comment\r\n"
		"\t deadline : 2s\r\n"
		"\r\n"
		"# a comment that is rather long, and goes on, and goes on, a "
		"bit further\n"
		"[host]\n[ballastd] # again\nmode = active",
		&config, &error), 0);
	assert_int_equal(config.interval, 1000);
	assert_int_equal(config.deadline, 2000);
	assert_false(config.dry_run);
	config_free(&config);
}

static void bad_files_are_refused(void **state)
{
	struct config config;
	struct error error;
	char text[600];

	assert_complaint("[ballastd]\n\ninterval = 5\n",
			 ":3: interval: '5' is no time; say 500ms, 5s, 2m or "
			 "1h, and 24h at most");
	assert_complaint("[host]\nfoo = 1\n",
			 ":2: [host] has no key 'foo'; see ballastd.conf(5)");
	assert_complaint("[host]\ninterval = 5s\n",
			 ":2: [host] has no key 'interval'; see "
			 "ballastd.conf(5)");
	assert_complaint("\n[hosts]\n",
			 ":2: there is no section [hosts]; there are "
			 "[ballastd], [host], [guests], [class NAME], [hook]");
	assert_complaint("[host]\nreserve = 1G\nbudget = 8G\nreserve = 2G\n",
			 ":4: reserve: [host] has it already; remove one");
	/* In a second section of that name, too. */
	assert_complaint("[guests]\nshares = 1\n[guests]\nshares = 1\n",
			 ":4: shares: [guests] has it already; remove one");
	assert_complaint("[class a]\nprobe = no\n[class a]\nprobe = no\n",
			 ":4: probe: [class a] has it already; remove one");
	assert_complaint("[class a]\nrate = 1%\n",
			 ":2: [class a] has no key 'rate'; see "
			 "ballastd.conf(5)");
	assert_complaint("[class a b]\n",
			 ":1: [class a b]: a name has 1 to 31 letters, digits, "
			 "and . _ -");
	assert_complaint("[class ]\n",
			 ":1: [class ]: a name has 1 to 31 letters, digits, "
			 "and . _ -");
	assert_complaint("interval = 5s\n",
			 ":1: interval: it is in no section; put [ballastd], "
			 "[host], [guests] or [hook] before");
	assert_complaint("[ballastd]\ninterval\n",
			 ":2: neither a [section] nor key = value");
	/* The first of several, whoever finds it. */
	assert_complaint("[ballastd]\nx\ninterval = 5\n",
			 ":2: neither a [section] nor key = value");
	assert_complaint("[ballastd]\ninterval = 6\nx\n",
			 ":2: interval: '6' is no time; say 500ms, 5s, 2m or "
			 "1h, and 24h at most");
	assert_complaint("[ballastd]\nmode = on\n[nonsense]\n",
			 ":2: mode: 'on' is neither dry-run nor active");
	assert_complaint("[host\nreserve = 1G\n",
			 ":1: the ] of the section is missing");
	assert_complaint("[host] reserve = 1G\n",
			 ":1: after the ] of the section only a comment may "
			 "follow");

	memset(text, '#', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "\n", 1);
	assert_non_null(complaint(text));
	assert_non_null(strstr(complaint(text), ":2: the line is longer than "));
	write_bytes("[ballastd]\nmode\0 = active\n", 26);
	assert_int_equal(config_read(path, &config, &error), -1);
	assert_non_null(strstr(error.text, ":2: the line is longer"));
}

static void bad_values_are_refused(void **state)
{
	static const char *const bad[] = {
		"[ballastd]\nmode =\n",
		"[ballastd]\nmode = Active\n",
		"[ballastd]\nuri =\n",
		"[ballastd]\ninterval = 99ms\n",
		"[ballastd]\ninterval = 301s\n",
		"[ballastd]\nstatistics_period = 500ms\n",
		"[ballastd]\nstatistics_period = 2h\n",
		"[ballastd]\ndeadline = 0\n",
		"[ballastd]\ndeadline = 61s\n",
		"[ballastd]\nsocket =\n",
		"[ballastd]\nsocket = run/x\n",
		"[ballastd]\nsocket = /2345678901234567890123456789012345678901"
		"2345678901234567890123456789012345678901234567890123456789"
		"012345678\n",
		"[ballastd]\nsocket_group = 34567890123456789012345678901234567"
		"\n",
		"[ballastd]\nmetrics =\n",
		"[ballastd]\nmetrics = localhost:9\n",
		"[ballastd]\nrecord = x\n",
		"[ballastd]\nrecord_size = 1023K\n",
		"[ballastd]\nrecord_size = 10%\n",
		"[ballastd]\nextra_statistics = 1\n",
		"[ballastd]\nrelease_at_stop = perhaps\n",
		"[host]\nreserve = 101%\n",
		"[host]\nreserve = 10\n",
		"[host]\ndead_band = 0\n",
		"[host]\ncritical = -1%\n",
		"[host]\nbudget = all\n",
		"[host]\nhuge_reserve = x\n",
		"[host]\ngrow_hugepages = yes\n",
		"[guests]\nmanage = 2\n",
		"[guests]\nminimum = 1\n",
		"[guests]\nheadroom = %\n",
		"[guests]\nshares = 0\n",
		"[guests]\nshares = 1000001\n",
		"[guests]\nprobe = often\n",
		"[guests]\nrate = 0%\n",
		"[guests]\nhold = 61m\n",
		"[guests]\nclass = a\n",
		"[hook]\ntimeout = 999ms\n",
		"[hook]\ntimeout = 11m\n",
		"[hook]\nrefuse = never\n",
	};
	const char *why;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		why = complaint(bad[i]);
		if (!why)
			fail_msg("taken: %s", bad[i]);
		assert_memory_equal(why, ":2: ", 4);
	}
}

/* For each key of the tables: call with its section, name. */
static void for_each_key(void (*check)(const struct key *key))
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(config_keys); i++)
		check(&config_keys[i]);
	for (i = 0; i < ARRAY_SIZE(guest_keys); i++)
		check(&guest_keys[i]);
}

static void key_is_shipped(const struct key *key)
{
	char line[64];

	snprintf(line, sizeof(line), "\n;%s =", key->name);
	if (!strstr(shipped_config, line))
		fail_msg("ballastd.conf lacks %s", key->name);
}

static void key_is_documented(const struct key *key)
{
	char line[64], long_line[64];

	snprintf(line, sizeof(line), "\n.It Cm %s No =", key->name);
	snprintf(long_line, sizeof(long_line), "\n.Cm %s No =", key->name);
	if (!strstr(manual, line) && !strstr(manual, long_line))
		fail_msg("ballastd.conf.5 lacks %s", key->name);
}

/* As installed it changes nothing, and its keys are right with their defaults. */
static void the_shipped_file_is_right(void **state)
{
	struct config config;
	struct error error;
	char *text, *c;

	for_each_key(key_is_shipped);
	for_each_key(key_is_documented);

	text = strdup(shipped_config);
	assert_int_equal(read_string(text, &config, &error), 0);
	assert_defaults(&config);
	config_free(&config);

	for (c = text; (c = strstr(c, "\n;")); c++)
		c[1] = ' ';
	if (read_string(text, &config, &error))
		fail_msg("%s", error.text);
	assert_int_equal(config.nr_classes, 1);
	assert_string_equal(config.classes[0].name, "batch");
	config_free(&config);
	assert_defaults(&config);
	free(text);
}

static void classes_begin_from_guests(void **state)
{
	struct config config;
	struct error error;

	assert_int_equal(read_string(
		"[class batch]\nshares = 10\n[class idle]\n"
		"[guests]\nshares = 500\nminimum = 1G\nprobe = yes\n"
		"[class batch]\nprobe = no\n[class web]\nminimum=50%\n",
		&config, &error), 0);
	assert_int_equal(config.nr_classes, 3);
	assert_string_equal(config.classes[0].name, "batch");
	assert_string_equal(config.classes[0].settings.class, "batch");
	assert_int_equal(config.classes[0].settings.shares, 10);
	assert_int_equal(config.classes[0].settings.minimum.kib, KIB_PER_GIB);
	assert_false(config.classes[0].settings.probe);
	assert_true(config.classes[0].settings.manage);
	assert_string_equal(config.classes[1].name, "idle");
	assert_int_equal(config.classes[1].settings.shares, 500);
	assert_true(config.classes[1].settings.probe);
	assert_int_equal(config.classes[2].settings.minimum.kib, 0);
	assert_int_equal(config.classes[2].settings.minimum.share, 5000);
	assert_string_equal(config.guests.class, "");
	config_free(&config);
}

static void addresses_are_numbers(void **state)
{
	static const char *const bad[] = {
		"", ":", ":9", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
		"127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:9 ", "::1:9",
		"[::1]", "[]:9", "[::1:9", "::1]:9", "localhost:9", "*:9",
		"1.2.3.4.5:9", "unix:", "unix:x", "unix:x/y", "UNIX:/x",
		"[127.0.0.1]9:1", "127.1:9", "0x7f000001:9", "1.2.3.4:+9",
		"1111111111111111111111111111111111111111111111111111111111111"
		"11111111111111111:9",
	};
	struct sockaddr_storage address;
	struct error error;
	char long_path[130];
	socklen_t length;
	size_t i;

	assert_int_equal(config_address("127.0.0.1:9876", &address, &length,
					&error), 0);
	assert_int_equal(address.ss_family, AF_INET);
	assert_int_equal(config_address("[::1]:9876", &address, &length,
					&error), 0);
	assert_int_equal(address.ss_family, AF_INET6);
	assert_int_equal(config_address("[::]:1", &address, &length, &error),
			 0);
	assert_int_equal(config_address("unix:/run/m.sock", &address, &length,
					&error), 0);
	assert_int_equal(address.ss_family, AF_UNIX);
	assert_string_equal(((struct sockaddr_un *)&address)->sun_path,
			    "/run/m.sock");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!config_address(bad[i], &address, &length, &error))
			fail_msg("'%s' was taken", bad[i]);
	memset(long_path, 'x', sizeof(long_path));
	memcpy(long_path, "unix:/", 6);
	long_path[5 + 107] = '\0';
	assert_int_equal(config_address(long_path, &address, &length, &error),
			 0);
	long_path[5 + 107] = 'x';
	long_path[5 + 108] = '\0';
	assert_int_equal(config_address(long_path, &address, &length, &error),
			 -1);
}

#define DOMAIN(id, inside) \
	"<domain type='kvm'" id " xmlns:qemu='http://libvirt.org/schemas/domain" \
	"/qemu/1.0'><name>web</name>" \
	"<uuid>6c5b4f6e-0000-4000-8000-0123456789ab</uuid>" \
	"<memory unit='KiB'>4194304</memory>" inside "</domain>"
#define CURRENT	"<currentMemory unit='KiB'>2097152</currentMemory>"
#define DEVICES(inside)	"<devices><emulator>/usr/bin/qemu-system-x86_64" \
	"</emulator>" inside "</devices>"

static struct domain_info read_ok(const char *xml)
{
	struct domain_info info;
	struct config config;
	struct error error;

	assert_int_equal(read_string(
		"[guests]\nshares = 500\n[class batch]\nshares = 10\n"
		"probe = yes\n", &config, &error), 0);
	if (domain_read(xml, &config, &info, &error))
		fail_msg("%s", error.text);
	config_free(&config);
	return info;
}

static void a_domain_is_read(void **state)
{
	struct domain_info info = read_ok(DOMAIN(" id='7'", CURRENT
		"<vcpu placement='static'>2</vcpu>" DEVICES(
		"<disk type='file' device='disk'/>"
		"<memballoon model='virtio' autodeflate='on' "
		"freePageReporting='on'><stats period='5'/>"
		"<alias name='balloon0'/></memballoon>")
		"<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>"));

	assert_string_equal(info.name, "web");
	assert_string_equal(info.uuid, "6c5b4f6e-0000-4000-8000-0123456789ab");
	assert_int_equal(info.maximum, 4194304);
	assert_int_equal(info.current, 2097152);
	assert_true(info.has_balloon);
	assert_true(info.autodeflate);
	assert_true(info.free_page_reporting);
	assert_int_equal(info.period, 5);
	assert_string_equal(info.balloon_alias, "balloon0");
	assert_string_equal(info.emulator, "/usr/bin/qemu-system-x86_64");
	assert_false(info.huge);
	assert_false(info.shared);
	assert_false(info.file);
	assert_false(info.vfio);
	assert_false(info.locked);
	assert_int_equal(info.nodes, 0);
	assert_false(info.has_metadata);
	assert_false(info.bad_metadata);
	assert_int_equal(info.settings.shares, 500);
}

static void a_bare_domain_is_read(void **state)
{
	struct domain_info info = read_ok(DOMAIN("", ""));

	assert_int_equal(info.current, 4194304);
	assert_false(info.has_balloon);
	assert_int_equal(info.period, 0);

	info = read_ok("<domain><name>a</name><memory unit='GiB'>2</memory>"
		       "<currentMemory>1048576</currentMemory>" DEVICES(
		       "<memballoon model='none'/>") "</domain>");
	assert_int_equal(info.maximum, 2 * KIB_PER_GIB);
	assert_int_equal(info.current, KIB_PER_GIB);
	assert_false(info.has_balloon);
	assert_false(info.autodeflate);

	info = read_ok(DOMAIN("", DEVICES(
		"<memballoon model='virtio-non-transitional' autodeflate='off'>"
		"<stats period='0'/></memballoon>")));
	assert_true(info.has_balloon);
	assert_false(info.autodeflate);
}

static void backing_is_read(void **state)
{
	struct domain_info info = read_ok(DOMAIN("",
		"<memoryBacking><hugepages/><locked/></memoryBacking>"));

	assert_true(info.huge);
	assert_int_equal(info.huge_page, 0);
	assert_true(info.locked);
	assert_false(info.shared);

	info = read_ok(DOMAIN("", "<memoryBacking><hugepages>"
		"<page size='1' unit='G' nodeset='1-2'/>"
		"<page size='2048' unit='KiB' nodeset='0'/></hugepages>"
		"<source type='memfd'/><access mode='shared'/>"
		"</memoryBacking>"));
	assert_true(info.huge);
	assert_int_equal(info.huge_page, KIB_PER_GIB);
	assert_true(info.shared);
	assert_false(info.file);

	info = read_ok(DOMAIN("", "<memoryBacking><hugepages>"
		"<page size='4' unit='KiB'/></hugepages>"
		"<source type='file'/></memoryBacking>"));
	assert_false(info.huge);
	assert_int_equal(info.huge_page, 0);
	assert_true(info.file);

	/* Guest nodes may differ. */
	info = read_ok(DOMAIN("", "<memoryBacking><access mode='shared'/>"
		"</memoryBacking><cpu><numa><cell id='0' memAccess='private'/>"
		"<cell id='1'/></numa></cpu>"));
	assert_false(info.shared);
	info = read_ok(DOMAIN("", "<cpu><numa><cell memAccess='shared'/>"
		"<cell memAccess='shared'/></numa></cpu>"));
	assert_true(info.shared);
	info = read_ok(DOMAIN("", "<cpu><numa><cell memAccess='shared'/>"
		"<cell/></numa></cpu>"));
	assert_false(info.shared);
}

static void nodes_are_read(void **state)
{
	static const struct {
		const char *xml;
		uint64_t nodes;
	} cases[] = {
		{ "<numatune><memory mode='strict' nodeset='0-2,5'/></numatune>",
		  0x27 },
		{ "<numatune><memory nodeset='1'/></numatune>", 2 },
		{ "<numatune><memory mode='preferred' nodeset='1'/></numatune>",
		  0 },
		{ "<numatune><memory mode='strict' placement='auto'/></numatune>",
		  0 },
		{ "<numatune><memory mode='strict' nodeset='63-70'/></numatune>",
		  1ull << 63 },
		{ "<numatune><memory mode='strict' nodeset='64'/></numatune>",
		  0 },
		{ "<numatune><memory mode='strict' "
		  "nodeset='0-18446744073709551615'/></numatune>", ~0ull },
		{ "<numatune><memory nodeset='0'/>"
		  "<memnode cellid='1' mode='strict' nodeset='3'/></numatune>",
		  9 },
		{ "<numatune><memory nodeset='0'/>"
		  "<memnode cellid='1' mode='preferred' nodeset='3'/>"
		  "</numatune>", 0 },
		{ "<cpu><numa><cell/><cell/></numa></cpu><numatune>"
		  "<memnode cellid='1' mode='strict' nodeset='3'/></numatune>",
		  0 },
		{ "<cpu><numa><cell/></numa></cpu><numatune>"
		  "<memnode cellid='0' mode='strict' nodeset='3'/></numatune>",
		  8 },
	};
	char xml[1000];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(xml, sizeof(xml), DOMAIN("", "%s"), cases[i].xml);
		assert_true(read_ok(xml).nodes == cases[i].nodes);
	}
}

static void pinning_devices_are_found(void **state)
{
	static const struct {
		const char *devices;
		bool pins;
	} cases[] = {
		{ "<hostdev mode='subsystem' type='usb'/>", false },
		{ "<hostdev mode='subsystem' type='scsi'/>", false },
		{ "<hostdev mode='subsystem' type='usb'/>"
		  "<hostdev mode='subsystem' type='pci' managed='yes'/>", true },
		{ "<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>",
		  true },
		{ "<interface type='network'/><interface type='hostdev'/>",
		  true },
		{ "<interface type='vdpa'/>", true },
		{ "<interface type='bridge'/><disk type='block'/>", false },
		{ "<disk type='nvme'/>", true },
		{ "<memory model='virtio-mem'><target/></memory>", false },
	};
	char xml[1000];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(xml, sizeof(xml), DOMAIN("", DEVICES("%s")),
			 cases[i].devices);
		assert_int_equal(read_ok(xml).vfio, cases[i].pins);
	}
}

#define METADATA(inside) DOMAIN("", "<metadata>" \
	"<app:info xmlns:app='urn:app'>x</app:info>" inside "</metadata>")
#define OURS(attributes) METADATA( \
	"<b:guest xmlns:b='urn:ballast:guest' " attributes "/>")

static void metadata_is_read(void **state)
{
	struct domain_info info = read_ok(OURS(
		"minimum='1G' shares='2000' probe='yes' manage='no' "
		"headroom='5%'"));

	assert_true(info.has_metadata);
	assert_false(info.bad_metadata);
	assert_int_equal(info.settings.minimum.kib, KIB_PER_GIB);
	assert_int_equal(info.settings.minimum.share, 0);
	assert_int_equal(info.settings.headroom.share, 500);
	assert_int_equal(info.settings.shares, 2000);
	assert_true(info.settings.probe);
	assert_false(info.settings.manage);

	/* The class is the beginning, wherever it is written. */
	info = read_ok(OURS("probe='no' class='batch'"));
	assert_string_equal(info.settings.class, "batch");
	assert_int_equal(info.settings.shares, 10);
	assert_false(info.settings.probe);

	info = read_ok(METADATA("<guest xmlns='urn:ballast:guest' "
				"class='batch'>\n<!-- why -->\n</guest>"));
	assert_false(info.bad_metadata);
	assert_int_equal(info.settings.shares, 10);

	info = read_ok(METADATA("<guest shares='3' xmlns='urn:other'/>"));
	assert_false(info.has_metadata);
	assert_int_equal(info.settings.shares, 500);
}

static void bad_metadata_is_told(void **state)
{
	static const struct {
		const char *xml, *why;
	} cases[] = {
		{ OURS("shares='x'"),
		  "shares: 'x' is no number from 1 to 1000000" },
		{ OURS("shares=''"),
		  "shares: '' is no number from 1 to 1000000" },
		{ OURS("share='1'"),
		  "there is no attribute 'share'; see ballastd.conf(5)" },
		{ OURS("rate='1%'"),
		  "there is no attribute 'rate'; see ballastd.conf(5)" },
		{ OURS("b:shares='1'"),
		  "shares: write it without a prefix" },
		{ OURS("class='nightly'"),
		  "class: there is no [class nightly] in ballastd.conf" },
		{ OURS("class='batch' probe='x'"),
		  "probe: 'x' is neither yes nor no" },
		{ METADATA("<x xmlns='urn:ballast:guest'/>"),
		  "<x> instead of <guest>" },
		{ METADATA("<guest xmlns='urn:ballast:guest'>7</guest>"),
		  "there is something in <guest>, which has attributes alone" },
		{ METADATA("<guest xmlns='urn:ballast:guest'/>"
			   "<guest xmlns='urn:ballast:guest'/>"),
		  "there are two of urn:ballast:guest; remove one" },
	};
	struct domain_info info;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		info = read_ok(cases[i].xml);
		assert_true(info.bad_metadata);
		assert_memory_equal(info.metadata_error.text,
				    "guest web: metadata: ", 21);
		assert_string_equal(info.metadata_error.text + 21,
				    cases[i].why);
		/* All of [guests], and not half of it. */
		assert_string_equal(info.settings.class, "");
		assert_int_equal(info.settings.shares, 500);
		assert_false(info.settings.probe);
		assert_int_equal(info.maximum, 4194304);
	}
}

static void bad_xml_is_refused(void **state)
{
	static const struct {
		const char *xml, *why;
	} cases[] = {
		{ "", NULL },
		{ "<domain>\n<name>a</domain>", NULL },
		{ "<network><name>a</name></network>",
		  "the XML is no <domain> or has a DTD" },
		{ "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain><name>&a;</name>"
		  "<memory>1</memory></domain>",
		  "the XML is no <domain> or has a DTD" },
		{ "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x'><domain>"
		  "<name>a</name><memory>1</memory></domain>",
		  "the XML is no <domain> or has a DTD" },
		{ "<domain><memory>1</memory></domain>",
		  "<domain>: name is missing" },
		{ "<domain><name>a</name></domain>",
		  "<domain>: memory is missing" },
		{ "<domain><name>a</name><memory unit='MB'>1</memory></domain>",
		  "<domain>: memory: '1MB' is no amount of memory; say 512M, "
		  "4G or 1.5GiB" },
		{ "<domain><name>a</name><memory>18446744073709551615</memory>"
		  "</domain>", NULL },
		{ "<domain><name>a</name><memory>1</memory><uuid>6c5b4f6e-0000-"
		  "4000-8000-0123456789abc</uuid></domain>",
		  "<domain>: uuid is longer than 36 bytes" },
		{ DOMAIN("", DEVICES("<memballoon><stats period='x'/>"
				     "</memballoon>")),
		  "<domain>: the balloon's period: 'x' is no number from 0 to "
		  "4294967295" },
	};
	struct domain_info info;
	struct config config;
	struct error error;
	size_t i;

	config_init(&config);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		error.text[0] = '\0';
		assert_int_equal(domain_read(cases[i].xml, &config, &info,
					     &error), -1);
		if (cases[i].why)
			assert_string_equal(error.text, cases[i].why);
		assert_string_not_equal(error.text, "");
	}
	domain_read(cases[1].xml, &config, &info, &error);
	assert_memory_equal(error.text, "the domain's XML, line 2: ", 26);
}

/* Change a few bytes: pieces of itself, and bytes that mean something. */
static void mutate(char *text, size_t length, unsigned int *seed)
{
	static const char bytes[] = "<>='\"[]&;#\n% 0919GMK-,:!\xff\xc3";
	int changes = 1 + rand_r(seed) % 6;
	size_t to, from, n;

	while (changes--) {
		to = rand_r(seed) % length;
		if (rand_r(seed) % 3) {
			text[to] = bytes[rand_r(seed) % (sizeof(bytes) - 1)];
			continue;
		}
		from = rand_r(seed) % length;
		n = rand_r(seed) % 40;
		if (to + n < length && from + n < length)
			memmove(text + to, text + from, n);
	}
}

static void random_files_are_survived(void **state)
{
	size_t length = strlen(shipped_config);
	unsigned int seed = 1, taken = 0, i;
	char *text = malloc(length + 1), *c;
	struct config config;
	struct error error;

	for (i = 0; i < 5000; i++) {
		strcpy(text, shipped_config);
		for (c = text; (c = strstr(c, "\n;")); c++)
			if (rand_r(&seed) % 2)
				c[1] = ' ';
		mutate(text, length, &seed);
		error.text[0] = '\0';
		write_bytes(text, length);
		if (!config_read(path, &config, &error)) {
			taken++;
			config_free(&config);
			continue;
		}
		assert_memory_equal(error.text, path, strlen(path));
		assert_null(strpbrk(error.text, "\r\n"));
	}
	free(text);
	/* Both happened, so that it tests something. */
	assert_in_range(taken, 50, 4950);
}

static void random_xml_is_survived(void **state)
{
	static const char xml[] =
		"<domain type='kvm' id='3'><name>web</name>"
		"<uuid>6c5b4f6e-0000-4000-8000-0123456789ab</uuid><metadata>"
		"<b:guest xmlns:b='urn:ballast:guest' class='batch' "
		"minimum='1G' shares='2000' probe='yes'/></metadata>"
		"<memory unit='KiB'>4194304</memory>" CURRENT
		"<memoryBacking><hugepages><page size='2048' unit='KiB' "
		"nodeset='0'/></hugepages><access mode='shared'/>"
		"</memoryBacking><numatune><memory mode='strict' nodeset='0-3'/>"
		"</numatune>" DEVICES("<memballoon model='virtio' "
		"autodeflate='on'><stats period='5'/><alias name='balloon0'/>"
		"</memballoon>") "</domain>";
	unsigned int seed = 2, taken = 0, bad = 0, i;
	char text[sizeof(xml)];
	struct domain_info info;
	struct config config;
	struct error error;

	assert_int_equal(read_string("[class batch]\n", &config, &error), 0);
	for (i = 0; i < 5000; i++) {
		strcpy(text, xml);
		mutate(text, strlen(xml), &seed);
		error.text[0] = '\0';
		if (domain_read(text, &config, &info, &error)) {
			assert_string_not_equal(error.text, "");
			assert_null(strpbrk(error.text, "\r\n"));
			continue;
		}
		taken++;
		bad += info.bad_metadata;
		assert_int_not_equal(info.maximum, 0);
		assert_in_range(info.settings.shares, 1, 1000000);
	}
	config_free(&config);
	xmlCleanupParser();
	assert_in_range(taken, 50, 4950);
	assert_in_range(bad, 10, 4950);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_the_defaults),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(files_are_as_people_write_them),
		cmocka_unit_test(bad_files_are_refused),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(the_shipped_file_is_right),
		cmocka_unit_test(classes_begin_from_guests),
		cmocka_unit_test(addresses_are_numbers),
		cmocka_unit_test(a_domain_is_read),
		cmocka_unit_test(a_bare_domain_is_read),
		cmocka_unit_test(backing_is_read),
		cmocka_unit_test(nodes_are_read),
		cmocka_unit_test(pinning_devices_are_found),
		cmocka_unit_test(metadata_is_read),
		cmocka_unit_test(bad_metadata_is_told),
		cmocka_unit_test(bad_xml_is_refused),
		cmocka_unit_test(random_files_are_survived),
		cmocka_unit_test(random_xml_is_survived),
	};

	return cmocka_run_group_tests_name("config", tests, make_path, NULL);
}
