// SPDX-License-Identifier: GPL-2.0-or-later
/* ballastd.conf, and what Ballast wants to know of a domain's XML. */
#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config.h"

/* One key: who reads its value, and into what. */
struct key {
	const char *section, *name;
	int (*parse)(const struct key *key, const char *value, void *field,
		     struct error *error);
	size_t offset, size;
	unsigned int min, max;
};

static int set_bool(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	return parse_bool(value, field, error);
}

static int set_number(const struct key *key, const char *value, void *field,
		      struct error *error)
{
	return parse_number(value, key->min, key->max, field, error);
}

/* min is 1 where 0 is no good. */
static int set_amount(const struct key *key, const char *value, void *field,
		      struct error *error)
{
	struct amount *amount = field;

	if (parse_amount(value, amount, error))
		return -1;
	if (key->min && !amount->kib && !amount->share)
		return error_set(error, "'%.64s' is nothing; say more", value);
	return 0;
}

/* min is KiB. */
static int set_size(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	struct amount *amount = field;
	char buf[SIZE_TEXT];

	if (parse_size(value, &amount->kib, error))
		return -1;
	if (amount->kib < key->min)
		return error_set(error, "'%.64s' is less than %s", value,
				 size_text(key->min, buf));
	return 0;
}

/* min and max are ms. */
static int set_time(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	unsigned int *ms = field;

	if (parse_time(value, ms, error))
		return -1;
	if (*ms < key->min || *ms > key->max)
		return error_set(error, "'%.64s' is not from %gs to %gs", value,
				 key->min / 1000.0, key->max / 1000.0);
	return 0;
}

static int set_seconds(const struct key *key, const char *value, void *field,
		       struct error *error)
{
	unsigned int *ms = field;

	if (set_time(key, value, field, error))
		return -1;
	if (*ms % 1000)
		return error_set(error, "'%.64s' is not whole seconds", value);
	return 0;
}

/* min is 1 where it must not be empty. */
static int set_text(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	if (strlen(value) < key->min)
		return error_set(error, "it is empty; give it a value");
	if (strlen(value) >= key->size)
		return error_set(error, "'%.64s...' is longer than %zu bytes",
				 value, key->size - 1);
	strcpy(field, value);
	return 0;
}

static int set_path(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	if (*value && *value != '/')
		return error_set(error, "'%.64s' does not begin with /", value);
	return set_text(key, value, field, error);
}

/* 0 or 1: which word it is; -1: none. */
static int which_word(const char *value, const char *first, const char *second,
		      struct error *error)
{
	if (!strcmp(value, first))
		return 0;
	if (!strcmp(value, second))
		return 1;
	return error_set(error, "'%.64s' is neither %s nor %s", value, first,
			 second);
}

static int set_mode(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	int active = which_word(value, "dry-run", "active", error);

	if (active < 0)
		return -1;
	*(bool *)field = !active;
	return 0;
}

static int set_grow(const struct key *key, const char *value, void *field,
		    struct error *error)
{
	int room = which_word(value, "never", "room", error);

	if (room < 0)
		return -1;
	*(enum grow *)field = room ? GROW_FOR_ROOM : GROW_NEVER;
	return 0;
}

static int set_address(const struct key *key, const char *value, void *field,
		       struct error *error)
{
	struct sockaddr_storage address;
	socklen_t length;

	if (strcmp(value, "none") &&
	    config_address(value, &address, &length, error))
		return -1;
	return set_text(key, value, field, error);
}

#define KEY(section, name, set, type, member, min, max) \
	{ section, name, set, offsetof(type, member), \
	  sizeof(((type *)NULL)->member), min, max }
#define HOST(section, name, set, member, min, max) \
	KEY(section, name, set, struct config, member, min, max)
#define GUEST(name, set, min, max) \
	KEY("guests", #name, set, struct guest_settings, name, min, max)

#define SECOND	1000u
#define HOUR	(3600 * SECOND)

static const struct key config_keys[] = {
	HOST("ballastd", "mode", set_mode, dry_run, 0, 0),
	HOST("ballastd", "uri", set_text, uri, 1, 0),
	HOST("ballastd", "interval", set_time, interval, 100, 300 * SECOND),
	HOST("ballastd", "statistics_period", set_seconds, statistics_period,
	     0, HOUR),
	HOST("ballastd", "deadline", set_time, deadline, 100, 60 * SECOND),
	HOST("ballastd", "socket", set_path, socket, 1, 0),
	HOST("ballastd", "socket_group", set_text, socket_group, 0, 0),
	HOST("ballastd", "metrics", set_address, metrics, 1, 0),
	HOST("ballastd", "record", set_path, record, 0, 0),
	HOST("ballastd", "record_size", set_size, record_size, KIB_PER_MIB, 0),
	HOST("ballastd", "extra_statistics", set_bool, extra_statistics, 0, 0),
	HOST("ballastd", "release_at_stop", set_bool, release_at_stop, 0, 0),
	HOST("host", "reserve", set_amount, reserve, 0, 0),
	HOST("host", "dead_band", set_amount, dead_band, 1, 0),
	HOST("host", "critical", set_amount, critical, 0, 0),
	HOST("host", "budget", set_amount, budget, 0, 0),
	HOST("host", "huge_reserve", set_amount, huge_reserve, 0, 0),
	HOST("host", "grow_hugepages", set_grow, grow_hugepages, 0, 0),
	HOST("guests", "rate", set_amount, rate, 1, 0),
	HOST("guests", "hold", set_time, hold, 0, HOUR),
	HOST("hook", "timeout", set_time, hook_timeout, SECOND, 600 * SECOND),
	HOST("hook", "refuse", set_bool, hook_refuse, 0, 0),
};

/* Those of [guests] and [class NAME], and the attributes in metadata. */
static const struct key guest_keys[] = {
	GUEST(manage, set_bool, 0, 0),
	GUEST(minimum, set_amount, 0, 0),
	GUEST(headroom, set_amount, 0, 0),
	GUEST(shares, set_number, 1, 1000000),
	GUEST(probe, set_bool, 0, 0),
};

static const struct config defaults = {
	.dry_run = true,
	.uri = "qemu:///system",
	.interval = 5 * SECOND,
	.statistics_period = 5 * SECOND,
	.deadline = 5 * SECOND,
	.socket = "/run/ballast/ballastd.sock",
	.metrics = "none",
	.record_size.kib = 64 * KIB_PER_MIB,
	.reserve.share = 1000,
	.dead_band.share = 500,
	.critical.share = 5000,
	.grow_hugepages = GROW_NEVER,
	.guests = {
		.manage = true,
		.minimum.share = 2500,
		.headroom.share = 1000,
		.shares = 1000,
	},
	.rate.share = 100,
	.hold = 60 * SECOND,
	.hook_timeout = 30 * SECOND,
};

void config_init(struct config *config)
{
	*config = defaults;
}

void config_free(struct config *config)
{
	free(config->classes);
	config->classes = NULL;
	config->nr_classes = 0;
}

static int unix_address(const char *path, struct sockaddr_storage *address,
			socklen_t *length, struct error *error)
{
	struct sockaddr_un *un = (struct sockaddr_un *)address;

	if (*path != '/' || strlen(path) >= sizeof(un->sun_path))
		return error_set(error, "'unix:%.64s': no path from / on of at most %zu bytes", path,
				 sizeof(un->sun_path) - 1);
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	*length = sizeof(*un);
	return 0;
}

/* The numbers of an address, of one family. */
static int number_address(const char *host, unsigned int port,
			  struct sockaddr_storage *address, socklen_t *length)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		*length = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*length = sizeof(*in6);
		return 0;
	}
	return -1;
}

int config_address(const char *where, struct sockaddr_storage *address,
		   socklen_t *length, struct error *error)
{
	char host[INET6_ADDRSTRLEN];
	unsigned int port;
	int end = 0;

	memset(address, 0, sizeof(*address));
	if (!strncmp(where, "unix:", strlen("unix:")))
		return unix_address(where + strlen("unix:"), address, length,
				    error);
	if ((sscanf(where, "[%45[0-9a-fA-F:.]]:%n", host, &end) != 1 || !end) &&
	    (sscanf(where, "%45[0-9.]:%n", host, &end) != 1 || !end))
		goto bad;
	if (parse_number(where + end, 1, 65535, &port, error) ||
	    number_address(host, port, address, length))
		goto bad;
	return 0;
bad:
	return error_set(error, "'%.64s' is no address; say 127.0.0.1:9876, [::1]:9876 or unix:/PATH", where);
}

static const struct key *find_key(const struct key *keys, size_t nr,
				  const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(keys[i].section, section) &&
		    !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* Read a value into its place in what @base points to. */
static int set_key(const struct key *key, const char *value, void *base,
		   struct error *error)
{
	struct error why;

	if (key->parse(key, value, (char *)base + key->offset, &why))
		return error_set(error, "%s: %s", key->name, why.text);
	return 0;
}

/* A file while it is read. inih does not tell lines to its handler. */
struct reading {
	FILE *file;
	unsigned int line;
	char section[50];
	struct class *class;		/* [class NAME], or NULL */
	struct config *config;
	uint64_t set;			/* a bit for each of config_keys */
	uint64_t guests_set;		/* and of guest_keys */
	unsigned int bad_line;		/* 0: none */
	struct error why;
	int failed;			/* errno of the last read */
};

_Static_assert(ARRAY_SIZE(config_keys) <= 64, "one bit for each key");

static struct class *find_class(const struct config *config, const char *name)
{
	unsigned int i;

	for (i = 0; i < config->nr_classes; i++)
		if (!strcmp(config->classes[i].name, name))
			return &config->classes[i];
	return NULL;
}

static struct class *add_class(struct config *config, const char *name,
			       struct error *error)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	struct class *class = find_class(config, name);

	if (class)
		return class;
	if (!*name || strlen(name) >= sizeof(class->name) ||
	    name[strspn(name, allowed)]) {
		error_set(error, "[class %s]: a name has 1 to %zu letters, digits, and . _ -", name, sizeof(class->name) - 1);
		return NULL;
	}
	class = reallocarray(config->classes, config->nr_classes + 1,
			     sizeof(*class));
	if (!class) {
		error_set(error, "no memory left");
		return NULL;
	}
	config->classes = class;
	class += config->nr_classes++;
	memset(class, 0, sizeof(*class));
	strcpy(class->name, name);
	return class;
}

/* [NAME], which inih does not hand on where no key follows. */
static int begin_section(struct reading *reading, const char *header,
			 struct error *error)
{
	static const char *const names[] = {
		"ballastd", "host", "guests", "hook",
	};
	size_t i, length = strcspn(header, "]"), rest;

	if (!header[length])
		return error_set(error, "the ] of the section is missing");
	rest = length + 1 + strspn(header + length + 1, " \t\r\n");
	if (header[rest] && header[rest] != ';' && header[rest] != '#')
		return error_set(error, "after the ] of the section only a comment may follow");
	if (length >= sizeof(reading->section))
		return error_set(error, "no section has such a long name");
	memcpy(reading->section, header, length);
	reading->section[length] = '\0';
	reading->class = NULL;
	if (!strncmp(reading->section, "class ", strlen("class "))) {
		reading->class = add_class(reading->config, reading->section +
					   strlen("class "), error);
		return reading->class ? 0 : -1;
	}
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(reading->section, names[i]))
			return 0;
	return error_set(error, "there is no section [%s]; there are [ballastd], [host], [guests], [class NAME], [hook]",
			 reading->section);
}

/* read_line() gives inih no more after that. */
static int bad_line(struct reading *reading, const struct error *why)
{
	reading->bad_line = reading->line;
	reading->why = *why;
	return 0;
}

static int read_key(struct reading *reading, const char *name,
		    const char *value, struct error *error)
{
	struct class *class = reading->class;
	struct config *config = reading->config;
	const char *section = class ? "guests" : reading->section;
	uint64_t *set = class ? &class->changes : &reading->guests_set;
	void *base = class ? &class->settings : &config->guests;
	const struct key *key;
	uint64_t bit;

	if (!*section)
		return error_set(error, "%s: it is in no section; put [ballastd], [host], [guests] or [hook] before", name);
	key = find_key(guest_keys, ARRAY_SIZE(guest_keys), section, name);
	bit = key ? 1ull << (key - guest_keys) : 0;
	if (!key && !class) {
		key = find_key(config_keys, ARRAY_SIZE(config_keys), section,
			       name);
		bit = key ? 1ull << (key - config_keys) : 0;
		set = &reading->set;
		base = config;
	}
	if (!key)
		return error_set(error, "[%s] has no key '%.64s'; see ballastd.conf(5)", reading->section, name);
	if (*set & bit)
		return error_set(error, "%s: [%s] has it already; remove one",
				 name, reading->section);
	*set |= bit;
	return set_key(key, value, base, error);
}

/* For inih. It finds sections, too, but those without a key it passes over. */
static int handle_key(void *user, const char *section, const char *name,
		      const char *value)
{
	struct reading *reading = user;
	struct error why;

	if (!read_key(reading, name, value, &why))
		return 1;
	return bad_line(reading, &why);
}

/*
 * For inih: like fgets(), but blanks (and a byte order mark) at the beginning
 * of a line go: inih takes an indented line for more of the value above.
 */
static char *read_line(char *buf, int size, void *stream)
{
	struct reading *reading = stream;
	struct error why;
	size_t length;
	char *text;

	if (reading->bad_line)
		return NULL;
	if (!fgets(buf, size, reading->file)) {
		reading->failed = ferror(reading->file) ? errno : 0;
		return NULL;
	}
	reading->line++;
	text = buf + strspn(buf, " \t\xef\xbb\xbf");
	length = strlen(text);
	if ((!length || text[length - 1] != '\n') && !feof(reading->file)) {
		error_set(&why, "the line is longer than %d bytes, or not text",
			  size - 2);
		bad_line(reading, &why);
		return NULL;
	}
	if (*text == '[' && begin_section(reading, text + 1, &why)) {
		bad_line(reading, &why);
		return NULL;
	}
	return memmove(buf, text, length + 1);
}

/* A class is [guests] but for what its section says, wherever both stand. */
static void resolve_classes(struct config *config)
{
	struct class *class;
	unsigned int i;
	size_t k;

	for (i = 0; i < config->nr_classes; i++) {
		class = &config->classes[i];
		for (k = 0; k < ARRAY_SIZE(guest_keys); k++)
			if (!(class->changes & 1ull << k))
				memcpy((char *)&class->settings +
				       guest_keys[k].offset,
				       (char *)&config->guests +
				       guest_keys[k].offset,
				       guest_keys[k].size);
		strcpy(class->settings.class, class->name);
	}
}

static int read_file(FILE *file, const char *path, struct config *config,
		     struct error *error)
{
	struct reading reading = { .file = file, .config = config };
	int line = ini_parse_stream(read_line, &reading, handle_key, &reading);

	if (reading.failed)
		return error_set(error, "%s: %s", path,
				 strerror(reading.failed));
	if (reading.bad_line && (line <= 0 || line >= (int)reading.bad_line))
		return error_set(error, "%s:%u: %s", path, reading.bad_line,
				 reading.why.text);
	if (line)
		return error_set(error, "%s:%d: neither a [section] nor key = value", path, line);
	resolve_classes(config);
	return 0;
}

int config_read(const char *path, struct config *config, struct error *error)
{
	FILE *file = fopen(path ? path : CONFIG_PATH, "re");
	int result;

	config_init(config);
	if (!file && !path && errno == ENOENT)
		return 0;
	if (!path)
		path = CONFIG_PATH;
	if (!file)
		return error_set(error, "%s: %s", path, strerror(errno));
	result = read_file(file, path, config, error);
	fclose(file);
	if (result)
		config_free(config);
	return result;
}

/* A domain's XML; paths begin at <domain>. */
struct domain {
	xmlDoc *doc;
	xmlXPathContext *context;
};

static void close_domain(struct domain *domain)
{
	xmlXPathFreeContext(domain->context);
	xmlFreeDoc(domain->doc);
}

static int xml_error(struct error *error)
{
	const xmlError *why = xmlGetLastError();

	if (!why || !why->message)
		return error_set(error, "the domain's XML can't be read");
	return error_set(error, "the domain's XML, line %d: %.*s", why->line,
			 (int)strcspn(why->message, "\n"), why->message);
}

/* It comes from libvirt, but what it says somebody else wrote. */
static int open_domain(const char *xml, struct domain *domain,
		       struct error *error)
{
	xmlNode *root;

	domain->context = NULL;
	xmlResetLastError();
	domain->doc = xmlReadMemory(xml, strlen(xml), NULL, NULL,
				    XML_PARSE_NONET | XML_PARSE_NOERROR |
				    XML_PARSE_NOWARNING);
	if (!domain->doc)
		return xml_error(error);
	root = xmlDocGetRootElement(domain->doc);
	if (domain->doc->intSubset ||
	    strcmp((const char *)root->name, "domain")) {
		close_domain(domain);
		return error_set(error, "the XML is no <domain> or has a DTD");
	}
	domain->context = xmlXPathNewContext(domain->doc);
	if (!domain->context) {
		close_domain(domain);
		return xml_error(error);
	}
	domain->context->node = root;
	xmlXPathRegisterNs(domain->context, (const xmlChar *)"ballast",
			   (const xmlChar *)METADATA_URI);
	return 0;
}

static xmlXPathObject *find(const struct domain *domain, const char *path)
{
	return xmlXPathEvalExpression((const xmlChar *)path, domain->context);
}

static bool is(const struct domain *domain, const char *path)
{
	xmlXPathObject *object = find(domain, path);
	bool value = object && xmlXPathCastToBoolean(object);

	xmlXPathFreeObject(object);
	return value;
}

/* What stands there; "" if there is nothing. */
static int read_text(const struct domain *domain, const char *path, char *text,
		     size_t size, struct error *error)
{
	xmlXPathObject *object = find(domain, path);
	xmlChar *value = object ? xmlXPathCastToString(object) : NULL;
	int result = 0;

	text[0] = '\0';
	if (value && strlen((char *)value) < size)
		strcpy(text, (char *)value);
	else if (value)
		result = error_set(error, "<domain>: %s is longer than %zu bytes",
				   path, size - 1);
	xmlFree(value);
	xmlXPathFreeObject(object);
	return result;
}

/* A number with its unit in another place; KiB if there is none. */
static int read_size(const struct domain *domain, const char *path,
		     const char *unit_path, uint64_t *kib, struct error *error)
{
	char text[64], unit[16];
	struct error why;

	*kib = 0;
	if (read_text(domain, path, text, sizeof(text) - sizeof(unit), error) ||
	    read_text(domain, unit_path, unit, sizeof(unit), error))
		return -1;
	if (!text[0])
		return 0;
	strcat(text, unit[0] ? unit : "KiB");
	if (parse_size(text, kib, &why))
		return error_set(error, "<domain>: %s: %s", path, why.text);
	return 0;
}

/* "0-3,5", as libvirt prints it; nodes above 63 are left out. */
static uint64_t nodes_of(const char *text)
{
	unsigned long first, last;
	uint64_t nodes = 0;
	char *end;

	for (; *text; text = *end == ',' ? end + 1 : "") {
		first = last = strtoul(text, &end, 10);
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < 64; first++)
			nodes |= 1ull << first;
	}
	return nodes;
}

/*
 * The nodes that a guest can't leave. A <memnode> is for one of the guest's own
 * nodes, in place of <memory>.
 */
static uint64_t read_nodes(const struct domain *domain)
{
	xmlXPathObject *found;
	uint64_t nodes = 0;
	xmlChar *text;
	int i;

	if (is(domain, "numatune/*[@mode and @mode != 'strict'] or "
	       "not(numatune/memory/@nodeset) and "
	       "count(numatune/memnode) < count(cpu/numa/cell)"))
		return 0;
	found = find(domain, "numatune/memory/@nodeset | "
		     "numatune/memnode/@nodeset");
	for (i = 0; found && i < xmlXPathNodeSetGetLength(found->nodesetval);
	     i++) {
		text = xmlNodeGetContent(found->nodesetval->nodeTab[i]);
		nodes |= nodes_of((char *)text);
		xmlFree(text);
	}
	xmlXPathFreeObject(found);
	return nodes;
}

/*
 * What backs its memory. Where guest nodes have huge pages of several sizes,
 * the first is taken for all.
 */
static int read_backing(const struct domain *domain, struct domain_info *info,
			struct error *error)
{
	info->huge = is(domain, "memoryBacking/hugepages");
	if (read_size(domain, "memoryBacking/hugepages/page[1]/@size",
		      "memoryBacking/hugepages/page[1]/@unit",
		      &info->huge_page, error))
		return -1;
	/* An ordinary page may be asked for in this way, too. */
	if (info->huge_page && info->huge_page <= 4)
		info->huge = false;
	if (!info->huge)
		info->huge_page = 0;
	info->shared = is(domain,
		"memoryBacking/access/@mode = 'shared' and "
		"not(cpu/numa/cell/@memAccess = 'private') or "
		"cpu/numa/cell and not(cpu/numa/cell[not(@memAccess = 'shared')])");
	info->file = is(domain, "memoryBacking/source/@type = 'file'");
	info->locked = is(domain, "memoryBacking/locked");
	info->nodes = read_nodes(domain);
	return 0;
}

static int read_balloon(const struct domain *domain, struct domain_info *info,
			struct error *error)
{
	char period[16];
	struct error why;

	info->has_balloon = is(domain,
		"starts-with(devices/memballoon/@model, 'virtio')");
	info->autodeflate = is(domain,
		"devices/memballoon/@autodeflate = 'on'");
	info->free_page_reporting = is(domain,
		"devices/memballoon/@freePageReporting = 'on'");
	if (read_text(domain, "devices/memballoon/alias/@name",
		      info->balloon_alias, sizeof(info->balloon_alias), error) ||
	    read_text(domain, "devices/memballoon/stats/@period", period,
		      sizeof(period), error))
		return -1;
	if (period[0] && parse_number(period, 0, UINT32_MAX, &info->period,
				      &why))
		return error_set(error, "<domain>: the balloon's period: %s",
				 why.text);
	return 0;
}

static int read_attribute(const xmlAttr *attribute, struct guest_settings *to,
			  struct error *error)
{
	const char *name = (const char *)attribute->name;
	const struct key *key = find_key(guest_keys, ARRAY_SIZE(guest_keys),
					 "guests", name);
	xmlChar *value;
	int result;

	if (attribute->ns)
		return error_set(error, "%s: write it without a prefix", name);
	if (!strcmp(name, "class"))
		return 0;
	if (!key)
		return error_set(error, "there is no attribute '%.64s'; see ballastd.conf(5)", name);
	value = xmlNodeGetContent((const xmlNode *)attribute);
	result = set_key(key, (char *)value, to, error);
	xmlFree(value);
	return result;
}

/* class="NAME", which the others begin from. */
static int read_class(const xmlNode *node, const struct config *config,
		      struct guest_settings *to, struct error *error)
{
	xmlChar *name = xmlGetNoNsProp(node, (const xmlChar *)"class");
	const struct class *class;
	int result = 0;

	*to = config->guests;
	if (!name)
		return 0;
	class = find_class(config, (char *)name);
	if (class)
		*to = class->settings;
	else
		result = error_set(error, "class: there is no [class %.64s] in ballastd.conf", (char *)name);
	xmlFree(name);
	return result;
}

static int read_settings(const xmlNode *node, const struct config *config,
			 struct guest_settings *to, struct error *error)
{
	const xmlAttr *attribute;
	const xmlNode *child;

	if (strcmp((const char *)node->name, "guest"))
		return error_set(error, "<%.64s> instead of <guest>",
				 (const char *)node->name);
	for (child = node->children; child; child = child->next)
		if (!xmlIsBlankNode(child) && child->type != XML_COMMENT_NODE)
			return error_set(error, "there is something in <guest>, which has attributes alone");
	if (read_class(node, config, to, error))
		return -1;
	for (attribute = node->properties; attribute;
	     attribute = attribute->next)
		if (read_attribute(attribute, to, error))
			return -1;
	return 0;
}

static void read_metadata(const struct domain *domain,
			  const struct config *config, struct domain_info *info)
{
	xmlXPathObject *found = find(domain, "metadata/ballast:*");
	int nr = found ? xmlXPathNodeSetGetLength(found->nodesetval) : 0;
	struct error why;

	info->settings = config->guests;
	info->has_metadata = nr > 0;
	if (nr > 1)
		info->bad_metadata = error_set(&why, "there are two of "
					       METADATA_URI "; remove one");
	else if (nr)
		info->bad_metadata = read_settings(found->nodesetval->nodeTab[0],
						   config, &info->settings,
						   &why);
	xmlXPathFreeObject(found);
	if (!info->bad_metadata)
		return;
	info->settings = config->guests;
	error_set(&info->metadata_error, "guest %.64s: metadata: %s",
		  info->name, why.text);
}

static int read_domain(const struct domain *domain, const struct config *config,
		       struct domain_info *info, struct error *error)
{
	if (read_text(domain, "name", info->name, sizeof(info->name), error) ||
	    read_text(domain, "uuid", info->uuid, sizeof(info->uuid), error) ||
	    read_text(domain, "devices/emulator", info->emulator,
		      sizeof(info->emulator), error) ||
	    read_size(domain, "memory", "memory/@unit", &info->maximum,
		      error) ||
	    read_size(domain, "currentMemory", "currentMemory/@unit",
		      &info->current, error) ||
	    read_balloon(domain, info, error) ||
	    read_backing(domain, info, error))
		return -1;
	if (!info->name[0] || !info->maximum)
		return error_set(error, "<domain>: %s is missing",
				 info->name[0] ? "memory" : "name");
	if (!info->current)
		info->current = info->maximum;
	/* All of them pin the guest's memory, and QEMU discards nothing then. */
	info->vfio = is(domain,
		"devices/hostdev[@type = 'pci' or @type = 'mdev'] or "
		"devices/interface[@type = 'hostdev' or @type = 'vdpa'] or "
		"devices/disk[@type = 'nvme']");
	read_metadata(domain, config, info);
	return 0;
}

int domain_read(const char *xml, const struct config *config,
		struct domain_info *info, struct error *error)
{
	struct domain domain;
	int result;

	memset(info, 0, sizeof(*info));
	if (open_domain(xml, &domain, error))
		return -1;
	result = read_domain(&domain, config, info, error);
	close_domain(&domain);
	return result;
}

int config_check_host(const struct config *config, uint64_t total, struct error *error)
{
	uint64_t budget = amount_of(config->budget, total);
	uint64_t reserve = amount_of(config->reserve, budget ? budget : total);
	char a[SIZE_TEXT], b[SIZE_TEXT];

	reserve += amount_of(config->dead_band, reserve);
	if (reserve <= (budget ? budget : total))
		return 0;
	return error_set(error, "reserve and dead_band are %s, and %s has only %s: all guests would be squeezed for ever; set reserve lower",
			 size_text(reserve, a), budget ? "the budget" : "the host",
			 size_text(budget ? budget : total, b));
}
