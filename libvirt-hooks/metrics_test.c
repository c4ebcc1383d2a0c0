// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "metrics.c"

static struct guest guests[2];
static struct guest_decision decisions[2];
static struct pool pools[2];
static bool taking[2];
static struct config config;
static struct snapshot snapshot;
static struct decision decision;
static struct order_counts orders[2];
static struct daemon_counters counters;

/* Two guests, one that tells much and one that tells nothing. */
static int make_snapshot(void **state)
{
	memset(guests, 0, sizeof(guests));
	memset(decisions, 0, sizeof(decisions));
	memset(pools, 0, sizeof(pools));
	config_init(&config);

	strcpy(guests[0].name, "web");
	guests[0].settings = config.guests;
	guests[0].maximum = 4096;
	guests[0].actual = 3000;
	guests[0].rss = 2900;
	guests[0].have = 1 << STAT_HUGE_SHARE;
	guests[0].stat[STAT_HUGE_SHARE] = 9876;
	decisions[0].state = GUEST_PRESSURE;
	decisions[0].target = 3500;
	decisions[0].low = 2000;
	decisions[0].idle = 1000;
	decisions[0].would_be = 2500;
	decisions[0].memory.regret = 7;

	strcpy(guests[1].name, "a\"b\\c\nd");
	guests[1].settings = config.guests;
	guests[1].maximum = 1024;
	guests[1].actual = 1024;
	decisions[1].state = GUEST_NO_STATS;

	pools[0] = (struct pool){ .page = 4, .total = 10000, .avail = 5000,
				  .reserve = 1000, .nodes = 2,
				  .node_avail = { 2000, 3000 } };
	pools[1] = (struct pool){ .page = 2048, .total = 4096, .avail = 2048,
				  .nodes = 1, .node_avail = { 2048 } };
	taking[0] = true;
	taking[1] = false;
	snapshot = (struct snapshot){ .config = &config, .dry_run = true,
				      .nr_pools = 2, .nr_guests = 2,
				      .pools = pools, .guests = guests };
	decision = (struct decision){ .guests = decisions, .taking = taking };
	orders[0] = (struct order_counts){ .shrinks = 3, .grows = 4 };
	orders[1] = (struct order_counts){ 0 };
	counters = (struct daemon_counters){
		.connected = true, .passes = 12, .pass_cpu_us = 1500000,
		.hung_calls = 2, .orders = orders, .have_psi = true,
		.psi_some = 2500000, .psi_full = 1 };
	return 0;
}

static bool has_line(const char *text, const char *line)
{
	const char *c = text;
	size_t length = strlen(line);

	for (; (c = strstr(c, line)); c++)
		if ((c == text || c[-1] == '\n') && c[length] == '\n')
			return true;
	return false;
}

#define assert_line(text, line) do { \
	if (!has_line(text, line)) \
		fail_msg("no line '%s' in:\n%s", line, text); \
} while (0)

static void values_are_written(void **state)
{
	static const char *const lines[] = {
		"ballast_build_info{version=\"" VERSION "\"} 1",
		"ballast_dry_run 1",
		"ballast_connected 1",
		"ballast_hung_calls 2",
		"# TYPE ballast_passes_total counter",
		"ballast_passes_total 12",
		"ballast_pass_cpu_seconds_total 1.500000",
		"ballast_host_memory_available_bytes 5120000",
		"ballast_host_reserve_bytes 1024000",
		"ballast_host_memory_stall_seconds_total{kind=\"some\"} 2.500000",
		"ballast_host_memory_stall_seconds_total{kind=\"full\"} 0.000001",
		"ballast_pool_total_bytes{page=\"4 KiB\"} 10240000",
		"ballast_pool_available_bytes{page=\"2 MiB\"} 2097152",
		"ballast_pool_reserve_bytes{page=\"2 MiB\"} 0",
		"ballast_pool_node_available_bytes{page=\"4 KiB\",node=\"1\"} "
		"3072000",
		"ballast_pool_taking{page=\"4 KiB\"} 1",
		"ballast_pool_taking{page=\"2 MiB\"} 0",
		"# TYPE ballast_guest_memory_target_bytes gauge",
		"ballast_guest_memory_target_bytes{guest=\"web\"} 3584000",
		"ballast_guest_memory_current_bytes{guest=\"web\"} 3072000",
		"ballast_guest_memory_maximum_bytes{guest=\"web\"} 4194304",
		"ballast_guest_memory_minimum_bytes{guest=\"web\"} 1048576",
		"ballast_guest_memory_low_bytes{guest=\"web\"} 2048000",
		"ballast_guest_memory_idle_bytes{guest=\"web\"} 1024000",
		"ballast_guest_memory_rss_bytes{guest=\"web\"} 2969600",
		"ballast_guest_memory_would_be_bytes{guest=\"web\"} 2560000",
		"ballast_guest_regret_bytes{guest=\"web\"} 7168",
		"ballast_guest_state{guest=\"web\",state=\"pressure\"} 1",
		"ballast_guest_pressure{guest=\"web\"} 1",
		"ballast_guest_pressure{guest=\"a\\\"b\\\\c\\nd\"} 0",
		"ballast_guest_huge_page_ratio{guest=\"web\"} 0.9876",
		"ballast_orders_total{guest=\"web\",direction=\"shrink\"} 3",
		"ballast_orders_total{guest=\"web\",direction=\"grow\"} 4",
		"ballast_guest_state{guest=\"a\\\"b\\\\c\\nd\","
		"state=\"no-statistics\"} 1",
		"ballast_guest_memory_target_bytes{guest=\"a\\\"b\\\\c\\nd\"} "
		"1048576",
	};
	char *text = metrics_render(&snapshot, &decision, &counters);
	size_t i;

	assert_non_null(text);
	for (i = 0; i < ARRAY_SIZE(lines); i++)
		assert_line(text, lines[i]);
	free(text);
}

/* How often it has samples of that name. */
static unsigned int count_samples(const char *text, const char *name)
{
	unsigned int nr = 0;
	const char *c = text;

	for (; (c = strstr(c, name)); c++)
		nr += c > text && c[-1] == '\n';
	return nr;
}

static void what_is_unknown_is_left_out(void **state)
{
	char *text = metrics_render(&snapshot, &decision, &counters);

	assert_int_equal(count_samples(text, "ballast_guest_memory_low_"), 1);
	assert_int_equal(count_samples(text, "ballast_guest_memory_idle_"), 1);
	assert_int_equal(count_samples(text, "ballast_guest_memory_rss_"), 1);
	assert_int_equal(count_samples(text, "ballast_guest_huge_page_"), 1);
	assert_int_equal(count_samples(text, "ballast_guest_regret_"), 2);
	assert_int_equal(count_samples(text, "ballast_orders_total"), 4);
	free(text);

	snapshot.dry_run = false;
	counters.orders = NULL;
	decisions[0].would_be = 0;
	text = metrics_render(&snapshot, &decision, &counters);
	assert_line(text, "ballast_dry_run 0");
	assert_int_equal(count_samples(text, "ballast_guest_regret_"), 0);
	assert_int_equal(count_samples(text, "ballast_guest_memory_would_"), 0);
	assert_int_equal(count_samples(text, "ballast_orders_total"), 0);
	free(text);
}

#define TARGET	"ballast_guest_memory_target_bytes{guest=\"web\"} "

/* Also without an order in this pass. */
static void the_target_is_the_last_order(void **state)
{
	char *text;

	decisions[0].target = 0;
	decisions[0].memory.target = 2000;
	text = metrics_render(&snapshot, &decision, &counters);
	assert_line(text, TARGET "2048000");
	free(text);

	/* Somebody else's: what it has is what is known of that. */
	decisions[0].memory.override = true;
	text = metrics_render(&snapshot, &decision, &counters);
	assert_line(text, TARGET "3072000");
	free(text);
}

static void an_empty_host_is_written(void **state)
{
	char *text;

	snapshot.nr_pools = 0;
	snapshot.nr_guests = 0;
	text = metrics_render(&snapshot, &decision, &counters);
	assert_line(text, "ballast_passes_total 12");
	assert_null(strstr(text, "{guest"));
	free(text);
}

/* One HELP and one TYPE for each name, and samples right behind them. */
static void samples_follow_their_metric(void **state)
{
	char *text = metrics_render(&snapshot, &decision, &counters);
	char *line, *rest = text, name[128] = "", word[128];

	while ((line = strsep(&rest, "\n")) && *line) {
		if (sscanf(line, "# HELP %127s", word) == 1) {
			assert_string_not_equal(word, name);
			strcpy(name, word);
		} else if (sscanf(line, "# TYPE %127s", word) == 1) {
			assert_string_equal(word, name);
		} else {
			assert_memory_equal(line, name, strlen(name));
			assert_non_null(strchr(" {", line[strlen(name)]));
		}
	}
	assert_null(rest);
	free(text);
}

static char folder[64], path[80], where[96];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/ballast-metrics-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(where, sizeof(where), "unix:%s", path);
	return 0;
}

static int remove_folder(void **state)
{
	metrics_stop();
	unlink(path);
	return rmdir(folder);
}

/* Connect, and send that; the answer is for read_answer(). */
static int send_request(const char *text)
{
	struct sockaddr_storage address;
	struct error error;
	socklen_t length;
	int fd;

	assert_int_equal(config_address(where, &address, &length, &error), 0);
	fd = socket(address.ss_family, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	return fd;
}

static char *read_answer(int fd)
{
	static char text[65536];
	size_t length = 0;
	ssize_t n;

	while ((n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	text[length] = '\0';
	close(fd);
	return text;
}

static const char *ask(const char *method, const char *url)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 method, url);
	return read_answer(send_request(text));
}

#define assert_status(answer, status) \
	assert_memory_equal(answer, "HTTP/1.1 " status " ", 13)

static void metrics_are_served(void **state)
{
	struct error error;
	const char *got;
	struct stat st;

	metrics_publish("nobody listens\n");
	assert_int_equal(metrics_start(where, &error), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_status(ask("GET", "/metrics"), "503");
	metrics_publish("a 1\n");
	got = ask("GET", "/metrics");
	assert_status(got, "200");
	assert_non_null(strstr(got, "\r\nContent-Type: text/plain; "
			       "version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(got, "\r\n\r\na 1\n"));
	metrics_publish("a 2\n");
	assert_non_null(strstr(ask("GET", "/metrics"), "\r\n\r\na 2\n"));
	assert_status(ask("GET", "/metrics?x=1"), "200");
	assert_status(ask("GET", "/"), "404");
	assert_status(ask("GET", "/metrics/"), "404");
	got = ask("PUT", "/metrics");
	assert_status(got, "405");
	assert_non_null(strstr(got, "\r\nAllow: GET\r\n"));
	assert_status(ask("DELETE", "/metrics"), "405");
	metrics_stop();
	assert_int_equal(access(path, F_OK), -1);
}

/* Others are answered while some never end their request. */
static void slow_clients_hold_nobody_up(void **state)
{
	struct error error;
	int slow[8];
	size_t i;

	assert_int_equal(metrics_start(where, &error), 0);
	metrics_publish("a 1\n");
	for (i = 0; i < ARRAY_SIZE(slow); i++)
		slow[i] = send_request("GET /metr");
	assert_status(ask("GET", "/metrics"), "200");
	for (i = 0; i < ARRAY_SIZE(slow); i++)
		close(slow[i]);
}

static void bad_requests_do_no_harm(void **state)
{
	struct error error;
	char text[40000];
	unsigned int seed = 3;
	size_t i, length;
	int n;

	assert_int_equal(metrics_start(where, &error), 0);
	metrics_publish("a 1\n");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "GET /", 5);
	n = send_request("");
	/* It may close the connection before it has all of it. */
	send(n, text, sizeof(text), MSG_NOSIGNAL);
	shutdown(n, SHUT_WR);
	read_answer(n);
	for (n = 0; n < 200; n++) {
		strcpy(text, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
		length = strlen(text);
		for (i = 0; i < 3; i++)
			text[rand_r(&seed) % length] = 1 + rand_r(&seed) % 255;
		i = send_request(text);
		shutdown(i, SHUT_WR);
		read_answer(i);
	}
	assert_status(ask("GET", "/metrics"), "200");
}

static void a_place_in_use_is_told(void **state)
{
	char want[256];
	struct error error;
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t length = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
	snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(in.sin_port));
	assert_int_equal(metrics_start(where, &error), -1);
	snprintf(want, sizeof(want),
		 "%s: can't listen there: Address already in use", where);
	assert_string_equal(error.text, want);
	close(fd);

	assert_int_equal(metrics_start(where, &error), 0);
	metrics_publish("a 1\n");
	assert_status(ask("GET", "/metrics"), "200");
	metrics_stop();

	assert_int_equal(metrics_start("nowhere", &error), -1);
	assert_int_equal(metrics_start("unix:/nonexistent/x", &error), -1);
	assert_string_equal(error.text, "unix:/nonexistent/x: can't listen "
			    "there: No such file or directory");
	metrics_stop();
}

#define RENDER(test)	cmocka_unit_test_setup(test, make_snapshot)
#define SERVE(test) \
	cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RENDER(values_are_written),
		RENDER(what_is_unknown_is_left_out),
		RENDER(the_target_is_the_last_order),
		RENDER(an_empty_host_is_written),
		RENDER(samples_follow_their_metric),
		SERVE(metrics_are_served),
		SERVE(slow_clients_hold_nobody_up),
		SERVE(bad_requests_do_no_harm),
		SERVE(a_place_in_use_is_told),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
