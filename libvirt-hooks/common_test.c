// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common.c"

static void amounts_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t kib;
		unsigned int share;
	} good[] = {
		{ "0", 0, 0 }, { "0%", 0, 0 },
		{ "4K", 4, 0 }, { "4k", 4, 0 },
		{ "512M", 512 * KIB_PER_MIB, 0 },
		{ "512MiB", 512 * KIB_PER_MIB, 0 },
		{ "1.5G", 3 * KIB_PER_GIB / 2, 0 },
		{ "0.125G", 128 * KIB_PER_MIB, 0 },
		{ "0.5K", 0, 0 },
		{ "2T", 2048 * KIB_PER_GIB, 0 },
		{ "1048576T", AMOUNT_MOST, 0 },
		{ "10%", 0, 1000 }, { "12.5%", 0, 1250 }, { "0.01%", 0, 1 },
		{ "100%", 0, 10000 },
	};
	struct error error;
	struct amount got;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_amount(good[i].text, &got, &error), 0);
		assert_int_equal(got.kib, good[i].kib);
		assert_int_equal(got.share, good[i].share);
	}
}

static void other_amounts_are_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "1", "512", "M", ".5G", "1.G", "1..5G", "1.5.5G",
		"-1G", "+1G", " 1G", "1 G", "1GB", "1Gi", "1GiBs", "1b", "1P",
		"0x10M", "1e3M", "infG", "nan%", "1.2345G", "101%", "100.01%",
		"1.234%", "%", "-5%", "5%%", "1048577T", "1048576.001T",
		"18446744073709551616K", "99999999999999999999999999999999G",
		"00", "0.0", "1,5G",
	};
	struct error error;
	struct amount got;
	uint64_t kib;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		error.text[0] = '\0';
		if (!parse_amount(bad[i], &got, &error))
			fail_msg("'%s' was taken", bad[i]);
		assert_non_null(strstr(error.text, bad[i]));
		assert_int_equal(parse_size(bad[i], &kib, &error), -1);
	}
	assert_int_equal(parse_size("10%", &kib, &error), -1);
	assert_int_equal(parse_size("1.5G", &kib, &error), 0);
	assert_int_equal(kib, 3 * KIB_PER_GIB / 2);
}

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		unsigned int ms;
	} good[] = {
		{ "0", 0 }, { "0s", 0 }, { "500ms", 500 }, { "5s", 5000 },
		{ "1.5s", 1500 }, { "0.001s", 1 }, { "2m", 120000 },
		{ "1h", 3600000 }, { "24h", TIME_MOST }, { "86400s", TIME_MOST },
	};
	static const char *const bad[] = {
		"", "5", "s", "-1s", "5 s", "5S", "5sec", "5d", "25h",
		"86401s", "86400001ms", "24.001h", "99999999999999999999h", "1e3s",
	};
	struct error error;
	unsigned int ms;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_time(good[i].text, &ms, &error), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!parse_time(bad[i], &ms, &error))
			fail_msg("'%s' was taken", bad[i]);
}

static void yes_and_no_are_read(void **state)
{
	static const char *const yes[] = { "yes", "on", "true", "Yes", "TRUE" };
	static const char *const no[] = { "no", "off", "false", "No", "OFF" };
	static const char *const bad[] = { "", "1", "0", "y", "yes ", "maybe" };
	struct error error;
	bool value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		assert_int_equal(parse_bool(yes[i], &value, &error), 0);
		assert_true(value);
		assert_int_equal(parse_bool(no[i], &value, &error), 0);
		assert_false(value);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_bool(bad[i], &value, &error), -1);
}

static void numbers_have_limits(void **state)
{
	static const char *const bad[] = {
		"", "0", "11", "-1", "+1", "1.0", "1x", "0x1", " 1",
		"4294967297", "18446744073709551617",
	};
	struct error error;
	unsigned int n;
	size_t i;

	assert_int_equal(parse_number("1", 1, 10, &n, &error), 0);
	assert_int_equal(n, 1);
	assert_int_equal(parse_number("10", 1, 10, &n, &error), 0);
	assert_int_equal(n, 10);
	assert_int_equal(parse_number("4294967295", 0, UINT_MAX, &n, &error), 0);
	assert_int_equal(n, UINT_MAX);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!parse_number(bad[i], 1, 10, &n, &error))
			fail_msg("'%s' was taken", bad[i]);
	parse_number("11", 1, 10, &n, &error);
	assert_string_equal(error.text, "'11' is no number from 1 to 10");
}

static void an_amount_of_something(void **state)
{
	assert_int_equal(amount_of((struct amount){ .kib = 7 }, 100), 7);
	assert_int_equal(amount_of((struct amount){ .share = 2500 }, 1000), 250);
	assert_int_equal(amount_of((struct amount){ .share = 1 }, 9999), 0);
	assert_int_equal(amount_of((struct amount){ .share = 3333 }, 20000),
			 6666);
	/* No overflow. */
	assert_true(amount_of((struct amount){ .share = 10000 }, UINT64_MAX) ==
		    UINT64_MAX);
}

static void sizes_are_written(void **state)
{
	static const struct {
		uint64_t kib;
		const char *text;
	} cases[] = {
		{ 0, "0 KiB" }, { 1023, "1023 KiB" }, { 1024, "1 MiB" },
		{ 1536, "1.5 MiB" }, { 1025, "1 MiB" },
		{ 1023 * 1024 + 1000, "1 GiB" },
		{ 1023 * 1024 + 100, "1023.1 MiB" },
		{ 1024 * 1024 - 1, "1 GiB" },
		{ 2 * 1024 - 1, "2 MiB" },
		{ 3 * KIB_PER_GIB / 2, "1.5 GiB" },
		{ 4096 * KIB_PER_GIB, "4 TiB" },
		{ AMOUNT_MOST, "1 EiB" },
		{ UINT64_MAX, "16384 EiB" },
	};
	char buf[SIZE_TEXT];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(size_text(cases[i].kib, buf), cases[i].text);
}

static void an_error_is_one_line(void **state)
{
	char text[600];
	struct error error;

	assert_int_equal(error_set(&error, "a %d\nb\x1b[2J\t", 1), -1);
	assert_string_equal(error.text, "a 1 b [2J ");

	/* It may be made of itself. */
	error_set(&error, "%s", "why");
	error_set(&error, "FILE:%d: %s", 3, error.text);
	assert_string_equal(error.text, "FILE:3: why");

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_string_equal(error.text + sizeof(error.text) - 4, "...");
	error_set(&error, "%.255s", text);
	assert_null(strchr(error.text, '.'));
	error_set(&error, "%.256s", text);
	assert_non_null(strchr(error.text, '.'));

	/* Not cut within a character. */
	memcpy(text + 251, "\xe2\x82\xac", 3);
	error_set(&error, "%s", text);
	assert_string_equal(error.text + 250, "x...");
}

/* What @level makes stderr read, JOURNAL_STREAM set to that or not. */
static const char *logged(int level, const char *text, bool journal)
{
	static char buf[2048];
	int fds[2], saved;
	struct stat st;
	ssize_t length;
	char stream[64];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(fstat(fds[1], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu",
		 (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", stream, 1);

	saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	log_line(level, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	unsetenv("JOURNAL_STREAM");

	length = read(fds[0], buf, sizeof(buf) - 1);
	buf[length < 0 ? 0 : length] = '\0';
	close(fds[0]);
	close(fds[1]);
	return buf;
}

static void the_log_has_levels(void **state)
{
	char text[3000], want[64];

	snprintf(want, sizeof(want), "%s: hello there\n",
		 program_invocation_short_name);
	assert_string_equal(logged(LOG_INFO, "hello\nthere", false), want);
	assert_string_equal(logged(LOG_WARNING, "hello", true), "<4>hello\n");
	assert_string_equal(logged(LOG_DEBUG, "hello", true), "");
	log_level(LOG_DEBUG);
	assert_string_equal(logged(LOG_DEBUG, "hello", true), "<7>hello\n");
	log_level(LOG_ERR);
	assert_string_equal(logged(LOG_WARNING, "hello", true), "");
	log_level(LOG_INFO);

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(strlen(logged(LOG_ERR, text, true)), 3 + 1023 + 1);
}

static int listen_unix(const char *path, struct error *error)
{
	struct sockaddr_storage address = { .ss_family = AF_UNIX };

	strcpy(((struct sockaddr_un *)&address)->sun_path, path);
	return listen_on(path, &address, sizeof(struct sockaddr_un), error);
}

/* Connect until it takes no more; all of these are to be closed. */
static unsigned int fill_queue(const char *path, int *clients, unsigned int most)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	unsigned int nr = 0;

	strcpy(address.sun_path, path);
	do {
		clients[nr] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (!connect(clients[nr++], (struct sockaddr *)&address,
			  sizeof(address)) && nr < most);
	return nr;
}

static void a_stale_socket_is_replaced(void **state)
{
	char folder[] = "/tmp/ballast-common-XXXXXX", path[64], want[128];
	int fd, file, clients[64];
	struct error error;
	unsigned int nr;
	struct stat st;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	fd = listen_unix(path, &error);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);

	assert_int_equal(listen_unix(path, &error), -1);
	snprintf(want, sizeof(want),
		 "%s: can't listen there: Address already in use", path);
	assert_string_equal(error.text, want);
	nr = fill_queue(path, clients, ARRAY_SIZE(clients));
	assert_in_range(nr, 2, ARRAY_SIZE(clients) - 1);
	assert_int_equal(listen_unix(path, &error), -1);
	while (nr)
		close(clients[--nr]);
	close(fd);
	fd = listen_unix(path, &error);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);

	/* What is no socket stays. */
	file = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(listen_unix(path, &error), -1);
	assert_int_equal(stat(path, &st), 0);
	close(file);
	unlink(path);
	rmdir(folder);
	assert_int_equal(listen_unix(path, &error), -1);
}

static void a_port_in_use_is_told(void **state)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(struct sockaddr_in);
	struct error error;
	int fd;

	address.ss_family = AF_INET;
	((struct sockaddr_in *)&address)->sin_addr.s_addr =
		htonl(INADDR_LOOPBACK);
	fd = listen_on("any", &address, length, &error);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length),
			 0);
	assert_int_equal(listen_on("here", &address, length, &error), -1);
	assert_string_equal(error.text,
			    "here: can't listen there: Address already in use");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amounts_are_read),
		cmocka_unit_test(other_amounts_are_refused),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(yes_and_no_are_read),
		cmocka_unit_test(numbers_have_limits),
		cmocka_unit_test(an_amount_of_something),
		cmocka_unit_test(sizes_are_written),
		cmocka_unit_test(an_error_is_one_line),
		cmocka_unit_test(the_log_has_levels),
		cmocka_unit_test(a_stale_socket_is_replaced),
		cmocka_unit_test(a_port_in_use_is_told),
	};

	return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}
