// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "doctor.c"
#include "test_root.h"

static struct host_facts host;

static void put_mode(const char *name, mode_t mode, const char *text)
{
	char path[PATH_MAX];

	put(name, text);
	path_of(path, name);
	assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
	host = (struct host_facts){ .socket = "/nonexistent" };
	return make_root(state);
}

static int teardown(void **state)
{
	host_free(&host.memory);
	return remove_root(state);
}

static void an_empty_host(void **state)
{
	look_at_host(root, &host);
	assert_false(host.hook);
	assert_false(host.has_socket);
	assert_string_equal(host.thp, "");
	assert_false(host.apparmor);
	assert_string_equal(host.daemon_rules, "");
	assert_string_equal(host.guest_rules, "");
	assert_true(host.memory_error.text[0]);
}

static void the_hook(void **state)
{
	put_mode(HOOK_PATH, 0644, "");
	look_at_host(root, &host);
	assert_true(host.hook);
	assert_false(host.hook_executable);
	put_mode(HOOK_PATH, 0755, "");
	look_at_host(root, &host);
	assert_true(host.hook_executable);
}

static void the_socket(void **state)
{
	char path[PATH_MAX];

	put_mode("/socket", 0620, "");
	path_of(path, "/socket");
	host.socket = path;
	look_at_socket(&host);
	assert_true(host.has_socket);
	assert_int_equal(host.socket_mode & 0777, 0620);
	assert_true(host.socket_group[0]);
}

static void huge_page_settings(void **state)
{
	put_mode("/sys/kernel/mm/transparent_hugepage/enabled", 0644,
		 "always madvise [never]\n");
	put_mode("/sys/kernel/mm/transparent_hugepage/shmem_enabled", 0644,
		 "always within_size [advise] never deny force\n");
	look_at_host(root, &host);
	assert_string_equal(host.thp, "never");
	assert_string_equal(host.shmem_thp, "advise");
	put_mode("/sys/kernel/mm/transparent_hugepage/enabled", 0644, "always [madv");
	look_at_host(root, &host);
	assert_string_equal(host.thp, "");
	put_mode("/sys/kernel/mm/transparent_hugepage/enabled", 0644,
		 "[a word that is a lot longer than any the kernel has]");
	look_at_host(root, &host);
	assert_int_equal(strlen(host.thp), sizeof(host.thp) - 1);
}

static void apparmor(void **state)
{
	put_mode("/sys/module/apparmor/parameters/enabled", 0644, "Y\n");
	put_mode("/etc/apparmor.d/local/usr.sbin.libvirtd", 0644, "/opt/a PUx,\n");
	put_mode("/etc/apparmor.d/local/abstractions/libvirt-qemu", 0644,
		 "/opt/b rmix,\n");
	put_mode("/etc/apparmor.d/local/usr.sbin.virtqemud", 0644, "/opt/c PUx,\n");
	look_at_host(root, &host);
	assert_true(host.apparmor);
	assert_string_equal(host.daemon_rules, "/opt/a PUx,\n/opt/c PUx,\n");
	assert_string_equal(host.guest_rules, "/opt/b rmix,\n");
	put_mode("/sys/module/apparmor/parameters/enabled", 0644, "N\n");
	look_at_host(root, &host);
	assert_false(host.apparmor);
}

static void status(const char *text)
{
	struct json_object *json = json_tokener_parse(text);

	take_status(&host, json);
	json_object_put(json);
}

static void status_of_ballastd(void **state)
{
	status("{\"mode\": \"active\", \"connected\": true, \"releasing\": true,"
	       "\"hung-calls\": 2}");
	assert_false(host.dry_run);
	assert_true(host.connected);
	assert_true(host.releasing);
	assert_int_equal(host.hung_calls, 2);
	status("{\"mode\": \"dry-run\", \"connected\": false}");
	assert_true(host.dry_run);
	assert_false(host.connected);
	assert_int_equal(host.hung_calls, 0);
	status("{}");
	assert_true(host.dry_run);
	status("{\"mode\": 3, \"connected\": [], \"hung-calls\": {}}");
	assert_true(host.dry_run);
}

static void the_patched_qemu(void **state)
{
	char path[PATH_MAX];

	path_of(path, "/qemu");
	assert_int_equal(is_patched(path), UNKNOWN);
	put_mode("/qemu", 0755, "");
	assert_int_equal(is_patched(path), UNKNOWN);
	put_mode("/qemu", 0755, "\177ELF query-balloon x-query-balloo");
	assert_int_equal(is_patched(path), NO);
	put_mode("/qemu", 0755, "\177ELF x-query-balloon");
	assert_int_equal(is_patched(path), YES);
	assert_int_equal(is_patched(root), UNKNOWN);
}

static struct guest_facts qemu_says(const char *stats, const char *balloon)
{
	struct inquiry inquiry = {
		.guest_stats = stats ? strdup(stats) : NULL,
		.balloon = balloon ? strdup(balloon) : NULL,
	};

	take_qemu(&inquiry);
	free(inquiry.guest_stats);
	free(inquiry.balloon);
	return inquiry.facts;
}

static void what_qemu_says(void **state)
{
	struct guest_facts facts;

	facts = qemu_says(NULL, NULL);
	assert_int_equal(facts.driver, UNKNOWN);
	facts = qemu_says("{\"return\": {\"stats\": {\"stat-balloon-floor\": 0}}}",
			  "{\"return\": {\"inhibited\": [\"pinned\", \"postcopy\"]}}");
	assert_int_equal(facts.driver, YES);
	assert_string_equal(facts.inhibited, "pinned, postcopy");
	assert_string_equal(facts.last_error, "");
	facts = qemu_says("{}", "{\"return\": {\"inhibited\": []}}");
	assert_string_equal(facts.inhibited, "");
	facts = qemu_says("{}", "{\"return\": {\"inhibited\": \"pinned\"}}");
	assert_string_equal(facts.inhibited, "");
	facts = qemu_says("{\"return\": {\"stats\": {\"stat-free-memory\": 0}}}",
			  "{\"error\": {\"class\": \"CommandNotFound\"}}");
	assert_int_equal(facts.driver, NO);
	assert_string_equal(facts.inhibited, "");
	facts = qemu_says("nonsense", "[1, 2");
	assert_int_equal(facts.driver, NO);
	facts = qemu_says("{\"return\": [1]}", "{\"return\": {\"last-error\": 7}}");
	assert_int_equal(facts.driver, NO);
	assert_string_equal(facts.last_error, "7");
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(an_empty_host),
		TEST(the_hook),
		TEST(the_socket),
		TEST(huge_page_settings),
		TEST(apparmor),
		TEST(status_of_ballastd),
		TEST(the_patched_qemu),
		TEST(what_qemu_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
