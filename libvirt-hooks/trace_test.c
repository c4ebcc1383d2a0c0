// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "trace.c"
#include "replay.c"

static struct config config;
static struct pool pools[2];
static struct guest guests[2];
static struct room rooms[1];
static bool taking[2];
static struct snapshot snapshot;
static char path[64], out_path[80], err_path[80];

/* Every byte of a struct's fields another one. */
static void number(const struct field *fields, unsigned int n, void *to)
{
	static unsigned char next;
	unsigned int i, k;
	char *at;

	for (i = 0; i < n; i++) {
		at = (char *)to + fields[i].offset;
		for (k = 0; k < fields[i].n; k++, at += fields[i].size) {
			if (fields[i].kind == KIND_BOOL)
				*(bool *)at = ++next & 1;
			else if (fields[i].kind == KIND_TEXT)
				snprintf(at, fields[i].size, "\"text\\ %u\n",
					 ++next);
			else
				memset(at, ++next, fields[i].size);
		}
	}
}

#define NUMBER(fields, to) number(fields, ARRAY_SIZE(fields), to)

static int make(void **state)
{
	unsigned int i;

	memset(&config, 0, sizeof(config));
	NUMBER(config_fields, &config);
	for (i = 0; i < 2; i++) {
		NUMBER(pool_fields, &pools[i]);
		taking[i] = i;
		NUMBER(guest_fields, &guests[i]);
		NUMBER(settings_fields, &guests[i].settings);
		NUMBER(memory_fields, &guests[i].memory);
		guests[i].pool = i;
	}
	NUMBER(room_fields, &rooms[0]);
	rooms[0].size = UINT64_MAX;
	snapshot = (struct snapshot){
		.now = UINT64_MAX - 1, .config = &config, .dry_run = true,
		.nr_pools = 2, .nr_guests = 2, .nr_rooms = 1, .pools = pools,
		.guests = guests, .rooms = rooms, .taking = taking,
	};
	snprintf(path, sizeof(path), "/tmp/ballast-trace-XXXXXX");
	close(mkstemp(path));
	snprintf(out_path, sizeof(out_path), "%s.out", path);
	snprintf(err_path, sizeof(err_path), "%s.err", path);
	return 0;
}

static int clean(void **state)
{
	unlink(path);
	unlink(out_path);
	unlink(err_path);
	return 0;
}

static struct json_object *text_to_json(const char *text)
{
	struct json_object *json = json_tokener_parse(text);

	assert_non_null(json);
	return json;
}

static char *snapshot_text(const struct snapshot *s)
{
	struct json_object *json = snapshot_to_json(s);
	char *text = strdup(json_object_to_json_string_ext(json,
						JSON_C_TO_STRING_PLAIN));

	json_object_put(json);
	return text;
}

static void test_round_trip(void **state)
{
	char *text = snapshot_text(&snapshot), *again;
	struct json_object *json;
	struct error error = { "" };
	struct snapshot *s;

	assert_null(strchr(text, '\n'));
	json = text_to_json(text);
	s = snapshot_from_json(json, &error);
	assert_string_equal(error.text, "");
	assert_non_null(s);
	assert_memory_equal(s->config, &config, sizeof(config));
	assert_memory_equal(s->pools, pools, sizeof(pools));
	assert_memory_equal(s->taking, taking, sizeof(taking));
	assert_memory_equal(s->guests, guests, sizeof(guests));
	assert_memory_equal(s->rooms, rooms, sizeof(rooms));
	assert_true(s->dry_run);
	assert_false(s->releasing);
	assert_true(s->now == snapshot.now);
	again = snapshot_text(s);
	assert_string_equal(text, again);
	json_object_put(json);
	snapshot_free(s);
	free(again);
	free(text);
}

/* Whatever is missing or of another type is refused, by its name. */
static void refused(struct json_object *json, const char *name)
{
	struct error error = { "" };

	assert_null(snapshot_from_json(json, &error));
	assert_true(error.text[0]);
	if (name)
		assert_non_null(strstr(error.text, name));
}

static unsigned int spoil(struct json_object *all, struct json_object *object)
{
	struct json_object *copy = NULL, *value;
	struct json_object_iter field;
	unsigned int n = 0;

	json_object_deep_copy(object, &copy, NULL);
	json_object_object_foreachC(copy, field) {
		value = json_object_get(json_object_object_get(object,
							       field.key));
		json_object_object_add(object, field.key,
				       json_object_new_double(1.5));
		refused(all, NULL);
		json_object_object_add(object, field.key, NULL);
		refused(all, NULL);
		json_object_object_del(object, field.key);
		refused(all, field.key);
		json_object_object_add(object, field.key, value);
		n += 3;
	}
	json_object_put(copy);
	return n;
}

static void test_refused(void **state)
{
	struct json_object *json = snapshot_to_json(&snapshot), *guest;
	unsigned int n;

	guest = json_object_array_get_idx(part(json, "guests"), 1);
	n = spoil(json, json);
	n += spoil(json, part(json, "config"));
	n += spoil(json, json_object_array_get_idx(part(json, "pools"), 0));
	n += spoil(json, guest);
	n += spoil(json, part(guest, "settings"));
	n += spoil(json, part(guest, "memory"));
	n += spoil(json, json_object_array_get_idx(part(json, "rooms"), 0));
	assert_true(n > 200);
	json_object_object_add(guest, "pool", json_object_new_int(2));
	refused(json, "no such pool");
	json_object_object_add(guest, "pool", json_object_new_int(-1));
	refused(json, "pool");
	json_object_object_add(guest, "pool", json_object_new_int(0));
	json_object_object_add(part(guest, "settings"), "shares",
			       json_object_new_int(0));
	refused(json, "shares");
	json_object_object_add(part(guest, "settings"), "shares",
			       json_object_new_int64(1ll << 32));
	refused(json, "shares");
	json_object_object_add(part(guest, "settings"), "shares",
			       json_object_new_int(1));
	json_object_array_add(part(json, "taking"),
			      json_object_new_boolean(true));
	refused(json, "taking");
	json_object_put(json);
}

static void test_types(void **state)
{
	struct json_object *json;
	struct error error;

	assert_null(snapshot_from_json(NULL, &error));
	json = json_object_new_array();
	refused(json, "snapshot");
	json_object_put(json);
}

static void test_guest_to_json(void **state)
{
	struct guest_decision d = {
		.state = GUEST_PRESSURE, .low = 1, .idle = 2, .pressure = "p",
		.why = "because",
	};
	struct guest *g = &guests[0];
	struct json_object *json;

	memset(g, 0, sizeof(*g));
	g->actual = 100;
	json = guest_to_json(g, &d);
	assert_string_equal(json_object_get_string(part(json, "state")),
			    "pressure");
	assert_string_equal(json_object_get_string(part(json, "why")),
			    "because");
	assert_int_equal(json_object_get_int(part(json, "target")), 100);
	assert_int_equal(json_object_get_int(part(json, "huge-share")), -1);
	assert_null(part(json, "would-be"));
	json_object_put(json);
	d.memory.target = 90;
	d.would_be = 80;
	g->have = 1u << STAT_HUGE_SHARE;
	g->stat[STAT_HUGE_SHARE] = 77;
	json = guest_to_json(g, &d);
	assert_int_equal(json_object_get_int(part(json, "target")), 90);
	assert_int_equal(json_object_get_int(part(json, "would-be")), 80);
	assert_int_equal(json_object_get_int(part(json, "huge-share")), 77);
	json_object_put(json);
	/* Somebody else's is not known. */
	d.memory.override = true;
	json = guest_to_json(g, &d);
	assert_int_equal(json_object_get_int(part(json, "target")), 100);
	json_object_put(json);
}

/* --- replay */

/* A guest with much idle on a host that has too little, two passes. */
static void write_trace(const char *more)
{
	FILE *f = fopen(path, "w");
	unsigned int i;
	char *text;

	memset(&config, 0, sizeof(config));
	config.statistics_period = 5000;
	config.dead_band.share = 500;
	config.critical.share = 5000;
	config.rate.share = 100;
	config.hold = 60000;
	memset(pools, 0, sizeof(pools));
	pools[0] = (struct pool){
		.page = 4, .total = 1 << 24, .avail = 1 << 10,
		.reserve = 1 << 20,
	};
	memset(guests, 0, sizeof(guests));
	strcpy(guests[0].uuid, "u");
	strcpy(guests[0].name, "web");
	guests[0].settings.manage = true;
	guests[0].settings.shares = 1000;
	guests[0].has_balloon = true;
	guests[0].maximum = 1 << 22;
	guests[0].actual = 1 << 22;
	guests[0].started = 1;
	guests[0].have = 1u << STAT_USABLE;
	guests[0].stat[STAT_USABLE] = 1 << 21;
	snapshot.nr_pools = 1;
	snapshot.nr_guests = 1;
	snapshot.nr_rooms = 0;
	taking[0] = false;
	/* Memory is 0 in each: the replay has to remember. */
	for (i = 0; i < 10; i++) {
		snapshot.now = 1000 + 20000 * i;
		guests[0].stats_when = snapshot.now;
		text = snapshot_text(&snapshot);
		fprintf(f, "%s\n", text);
		free(text);
	}
	fputs(more, f);
	fclose(f);
}

static int replay_to_files(const char *file, bool json)
{
	int out = dup(1), err = dup(2), rc;

	fflush(stdout);
	assert_non_null(freopen(out_path, "w", stdout));
	assert_non_null(freopen(err_path, "w", stderr));
	rc = replay(file, json);
	fflush(stdout);
	fflush(stderr);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	return rc;
}

static const char *text_of(const char *file)
{
	static char text[16384];
	FILE *f = fopen(file, "r");

	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	return text;
}

static void test_replay(void **state)
{
	const char *text;

	write_trace("");
	assert_int_equal(replay_to_files(path, false), 0);
	assert_string_equal(text_of(err_path), "");
	text = text_of(out_path);
	assert_non_null(strstr(text, "starting"));
	assert_non_null(strstr(text, "shrinks by"));
	assert_non_null(strstr(text, "10 snapshots, 180.0 s"));
}

static void test_replay_json(void **state)
{
	char *line, *text;
	unsigned int orders = 0;

	write_trace("");
	assert_int_equal(replay_to_files(path, true), 0);
	text = strdup(text_of(out_path));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		struct json_object *json = text_to_json(line);

		orders += part(json, "target") != NULL;
		if (part(json, "summary"))
			assert_int_equal(json_object_get_int(
					 part(json, "orders")), orders);
		json_object_put(json);
	}
	assert_true(orders);
	free(text);
}

static void test_replay_refuses(void **state)
{
	char text[128];

	write_trace("{\"now\": 1");
	assert_int_equal(replay_to_files(path, false), 1);
	snprintf(text, sizeof(text), "%s:11: not JSON", path);
	assert_non_null(strstr(text_of(err_path), text));
	write_trace("{\"now\": 1}\n");
	assert_int_equal(replay_to_files(path, false), 1);
	snprintf(text, sizeof(text), "%s:11: snapshot: dry_run is missing", path);
	assert_non_null(strstr(text_of(err_path), text));
	fclose(fopen(path, "w"));
	assert_int_equal(replay_to_files(path, false), 1);
	assert_non_null(strstr(text_of(err_path), "no snapshots"));
	unlink(path);
	assert_int_equal(replay_to_files(path, false), 1);
	assert_non_null(strstr(text_of(err_path), "No such file"));
	assert_int_equal(replay_to_files("/", false), 1);
	assert_non_null(strstr(text_of(err_path), "directory"));
}

/* Bytes changed at random: refused or not, nothing breaks. */
static void test_mutations(void **state)
{
	char *text = snapshot_text(&snapshot), *copy;
	size_t n = strlen(text), i, k;
	uint64_t seed = 1;

	for (i = 0; i < 3000; i++) {
		struct json_object *json;
		struct error error;

		copy = strdup(text);
		for (k = 0; k < 1 + i % 4; k++) {
			seed = seed * 6364136223846793005 + 1442695040888963407;
			copy[(seed >> 33) % n] = seed >> 24;
		}
		json = json_tokener_parse(copy);
		snapshot_free(snapshot_from_json(json, &error));
		json_object_put(json);
		free(copy);
	}
	free(text);
}

#define test(f)	cmocka_unit_test_setup_teardown(f, make, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_round_trip), test(test_refused), test(test_types),
		test(test_guest_to_json), test(test_replay),
		test(test_replay_json), test(test_replay_refuses),
		test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
