// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>

#include <cmocka.h>

#include "client.c"

/* Longer than any of these takes, where something is to come. */
#define PATIENCE	60000

static struct connection connection;
static int peer;

static int setup(void **state)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -1;
	connection = (struct connection){ .fd = fds[0], .path = "/run/b.sock" };
	peer = fds[1];
	return 0;
}

static int teardown(void **state)
{
	client_close(&connection);
	close(peer);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

/* What client_reply() says, without waiting for more than has been said. */
static const char *reply_error(void)
{
	static struct error error;
	struct json_object *reply;

	assert_int_equal(client_reply(&connection, client_deadline(200), &reply,
				      &error), -1);
	return error.text;
}

static int reply_number(void)
{
	struct json_object *reply;
	struct error error;
	int n;

	if (client_reply(&connection, client_deadline(PATIENCE), &reply, &error))
		fail_msg("%s", error.text);
	n = json_object_get_int(json_object_object_get(reply, "n"));
	json_object_put(reply);
	return n;
}

static void replies_come_one_by_one(void **state)
{
	say("{\"ok\": true, \"n\": 1}\n{\"ok\": true, \"n\": 2}\n{\"ok\": tr");
	assert_int_equal(reply_number(), 1);
	assert_int_equal(reply_number(), 2);
	assert_non_null(strstr(reply_error(), "does not answer"));
	say("ue, \"n\": 3}\n");
	assert_int_equal(reply_number(), 3);
}

static void a_refusal_is_ballastds_own_words(void **state)
{
	say("{\"ok\": false, \"error\": \"no guest\\nweb\"}\n");
	assert_string_equal(reply_error(), "no guest web");
}

static void nonsense_is_told_from_a_reply(void **state)
{
	static const char *const lines[] = {
		"\n", "ok\n", "null\n", "[true]\n", "\"ok\"\n", "{}\n",
		"{\"ok\": 1}\n", "{\"ok\": null}\n", "{\"ok\": \"true\"}\n",
		"{\"ok\": false}\n", "{\"ok\": true\n",
		"HTTP/1.0 200 OK\r\n", "\xff\xfe\n",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		say(lines[i]);
		assert_non_null(strstr(reply_error(),
				       "/run/b.sock: what answers there is not"));
	}
	/* And nothing of it stays behind. */
	say("{\"ok\": true, \"n\": 4}\n");
	assert_int_equal(reply_number(), 4);
}

static void depth_is_no_danger(void **state)
{
	char line[20002];

	memset(line, '[', 20000);
	strcpy(line + 20000, "\n");
	say(line);
	assert_non_null(strstr(reply_error(), "is not ballastd"));
}

static void a_peer_that_goes_is_away(void **state)
{
	say("{\"ok\": true");
	shutdown(peer, SHUT_RDWR);
	assert_string_equal(reply_error(), "ballastd does not answer at "
			    "/run/b.sock: is it running? (systemctl status ballastd)");
}

static void *flood(void *data)
{
	size_t *rest = data, n;
	static char bytes[65536];
	ssize_t sent;

	memset(bytes, ' ', sizeof(bytes));
	for (; *rest; *rest -= sent) {
		n = *rest < sizeof(bytes) ? *rest : sizeof(bytes);
		sent = send(peer, bytes, n, MSG_NOSIGNAL);
		if (sent < 0)
			break;
	}
	if (!*rest)
		say("{\"ok\": true, \"n\": 5}\n");
	return NULL;
}

static void a_long_reply_is_taken(void **state)
{
	size_t rest = 3 << 20;
	pthread_t thread;

	pthread_create(&thread, NULL, flood, &rest);
	assert_int_equal(reply_number(), 5);
	pthread_join(thread, NULL);
}

static void an_endless_one_is_not(void **state)
{
	size_t rest = SIZE_MAX;
	struct json_object *reply;
	struct error error;
	pthread_t thread;

	pthread_create(&thread, NULL, flood, &rest);
	assert_int_equal(client_reply(&connection, client_deadline(PATIENCE), &reply,
				      &error), -1);
	assert_non_null(strstr(error.text, "a line without an end"));
	client_close(&connection);
	pthread_join(thread, NULL);
}

/* Else one that sends all the time would hold up. */
static void too_late_is_too_late(void **state)
{
	struct json_object *reply;
	struct error error;

	say("{\"ok\": true}\n");
	assert_int_equal(client_reply(&connection, 0, &reply, &error), -1);
	assert_non_null(strstr(error.text, "does not answer"));
}

static void a_request_is_one_line(void **state)
{
	struct json_object *request = json_object_new_object(), *reply;
	struct error error;
	char line[100];
	ssize_t n;

	json_object_object_add(request, "xml", json_object_new_string("<a/>\n"));
	say("{\"ok\": true}\n");
	assert_int_equal(client_ask(&connection, request, client_deadline(PATIENCE),
				    &reply, &error), 0);
	json_object_put(reply);
	n = recv(peer, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = 0;
	if (n < 2 || line[n - 1] != '\n')
		n += recv(peer, line + n, sizeof(line) - 1 - n, 0);
	line[n] = 0;
	assert_string_equal(line, "{\"xml\":\"<a/>\\n\"}\n");
	json_object_put(request);
}

static void a_request_that_is_too_long_is_not_sent(void **state)
{
	struct json_object *request = json_object_new_object(), *reply;
	char *text = calloc(1, REQUEST_MOST), c;
	struct error error;

	memset(text, 'x', REQUEST_MOST - 1);
	json_object_object_add(request, "xml", json_object_new_string(text));
	assert_int_equal(client_ask(&connection, request, client_deadline(PATIENCE),
				    &reply, &error), -1);
	assert_non_null(strstr(error.text, "ballastd takes less than 1048576"));
	assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), -1);
	json_object_put(request);
	free(text);
}

static void who_does_not_read_does_not_hold_up(void **state)
{
	struct json_object *request = json_object_new_object(), *reply;
	char *text = calloc(1, REQUEST_MOST);
	struct error error;

	memset(text, 'x', REQUEST_MOST - 100);
	json_object_object_add(request, "xml", json_object_new_string(text));
	assert_int_equal(client_ask(&connection, request, client_deadline(100), &reply,
				    &error), -1);
	assert_non_null(strstr(error.text, "does not answer"));
	json_object_put(request);
	free(text);
}

static void a_socket_that_is_not_there(void **state)
{
	struct connection none;
	struct error error;
	char path[200];

	assert_int_equal(client_open(&none, "/nonexistent/sock",
				     client_deadline(PATIENCE), &error), -1);
	assert_non_null(strstr(error.text, "at /nonexistent/sock: is it running?"));
	memset(path, 'x', sizeof(path));
	path[199] = 0;
	assert_int_equal(client_open(&none, path, client_deadline(PATIENCE), &error),
			 -1);
	assert_non_null(strstr(error.text, "longer than the 107 bytes"));
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(replies_come_one_by_one),
		TEST(a_refusal_is_ballastds_own_words),
		TEST(nonsense_is_told_from_a_reply),
		TEST(depth_is_no_danger),
		TEST(a_peer_that_goes_is_away),
		TEST(a_long_reply_is_taken),
		TEST(an_endless_one_is_not),
		TEST(too_late_is_too_late),
		TEST(a_request_is_one_line),
		TEST(a_request_that_is_too_long_is_not_sent),
		TEST(who_does_not_read_does_not_hold_up),
		TEST(a_socket_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
