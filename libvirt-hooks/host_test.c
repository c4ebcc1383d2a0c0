// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "host.c"
#include "test_root.h"

static int few_files(void **state)
{
	const struct rlimit few = { 64, 64 };

	return setrlimit(RLIMIT_NOFILE, &few);
}

static void put_meminfo(void)
{
	put("/proc/meminfo",
	    "MemTotal:       16000000 kB\nMemFree:         1000000 kB\n"
	    "MemAvailable:    6000000 kB\nSwapTotal:             0 kB\n"
	    "HugePages_Total:     512\nHugePages_Free:      300\n"
	    "Hugepagesize:       2048 kB\nHugetlb:         2097152 kB\n");
}

#define POOL(page)	"/sys/kernel/mm/hugepages/hugepages-" page "kB/"
#define NODE(node)	"/sys/devices/system/node/node" node "/"
#define NODE_POOL(node, page)	NODE(node) "hugepages/hugepages-" page "kB/"

static void put_pools(void)
{
	/* Not in the order of their sizes. */
	put(POOL("2048") "nr_hugepages", "512\n");
	put(POOL("2048") "free_hugepages", "300\n");
	put(POOL("2048") "resv_hugepages", "100\n");
	put(POOL("1048576") "nr_hugepages", "1\n");
	put(POOL("1048576") "free_hugepages", "1\n");
	put(POOL("1048576") "resv_hugepages", "2\n");
	put(POOL("64") "nr_hugepages", "0\n");
	put(POOL("64") "free_hugepages", "0\n");
	put(POOL("64") "resv_hugepages", "0\n");
}

static void put_nodes(void)
{
	put(NODE("0") "meminfo",
	    "Node 0 MemTotal:       8000000 kB\n"
	    "Node 0 MemFree:         500000 kB\n"
	    "Node 0 Active(anon):   4000000 kB\n"
	    "Node 0 Active(file):    200000 kB\n"
	    "Node 0 Inactive(file):  200000 kB\n"
	    "Node 0 SReclaimable:    100000 kB\n");
	put(NODE("2") "meminfo",
	    "Node 2 MemTotal:       8000000 kB\n"
	    "Node 2 MemFree:        3000000 kB\n");
	put(NODE_POOL("0", "2048") "nr_hugepages", "212\n");
	put(NODE_POOL("0", "2048") "free_hugepages", "0\n");
	put(NODE_POOL("2", "2048") "nr_hugepages", "300\n");
	put(NODE_POOL("2", "2048") "free_hugepages", "300\n");
}

static void a_plain_host_is_read(void **state)
{
	struct host host = { 0 };
	struct error error;

	put_meminfo();
	assert_int_equal(host_read(root, &host, &error), 0);
	assert_int_equal(host.total, 16000000);
	assert_int_equal(host.free, 1000000);
	assert_int_equal(host.available, 6000000);
	assert_int_equal(host.huge_page, 2048);
	assert_false(host.have_psi);
	assert_int_equal(host.psi_some, 0);
	assert_int_equal(host.nr_pools, 1);
	assert_int_equal(host.pools[0].page, 4);
	assert_int_equal(host.pools[0].total, 16000000 - 2097152);
	assert_int_equal(host.pools[0].avail, 6000000);
	assert_int_equal(host.pools[0].nodes, 1);
	assert_int_equal(host.pools[0].node_avail[0], 6000000);
	host_free(&host);
	assert_null(host.pools);
}

static void pressure_is_read(void **state)
{
	struct host host = { 0 };
	struct error error;

	put_meminfo();
	put("/proc/pressure/memory",
	    "some avg10=0.00 avg60=0.12 avg300=0.00 total=12345\n"
	    "full avg10=0.00 avg60=0.00 avg300=0.00 total=6789\n");
	assert_int_equal(host_read(root, &host, &error), 0);
	assert_true(host.have_psi);
	assert_int_equal(host.psi_some, 12345);
	assert_int_equal(host.psi_full, 6789);
	/* It went away; nothing of it stays. */
	put("/proc/pressure/memory", "");
	assert_int_equal(host_read(root, &host, &error), 0);
	assert_false(host.have_psi);
	assert_int_equal(host.psi_some + host.psi_full, 0);
	host_free(&host);
}

static void huge_pages_and_nodes_are_read(void **state)
{
	struct host host = { 0 };
	struct error error;

	put_meminfo();
	assert_int_equal(host_read(root, &host, &error), 0);
	put_pools();
	put_nodes();
	/* The pools are used again, and become more. */
	assert_int_equal(host_read(root, &host, &error), 0);
	assert_int_equal(host.nr_pools, 4);
	assert_int_equal(host.pools[1].page, 64);
	assert_int_equal(host.pools[2].page, 2048);
	assert_int_equal(host.pools[3].page, 1048576);

	assert_int_equal(host.pools[2].total, 512 * 2048);
	assert_int_equal(host.pools[2].avail, 200 * 2048);
	assert_int_equal(host.pools[2].reserve, 0);
	assert_int_equal(host.pools[2].nodes, 3);
	assert_int_equal(host.pools[2].node_avail[0], 0);
	assert_int_equal(host.pools[2].node_avail[1], 0);
	/* More is free there than may be had. */
	assert_int_equal(host.pools[2].node_avail[2], 200 * 2048);
	/* More are reserved than free. */
	assert_int_equal(host.pools[3].avail, 0);

	/* 1000000 to 3000000. */
	assert_int_equal(host.pools[0].nodes, 3);
	assert_int_equal(host.pools[0].node_avail[0], 1500000);
	assert_int_equal(host.pools[0].node_avail[1], 0);
	assert_int_equal(host.pools[0].node_avail[2], 4500000);
	host_free(&host);
}

static void many_nodes_are_cut_off(void **state)
{
	struct host host = { 0 };
	struct error error;

	put_meminfo();
	put(NODE("1") "meminfo", "Node 1 MemFree: 1 kB\n");
	put(NODE("64") "meminfo", "Node 64 MemFree: 1 kB\n");
	put("/sys/devices/system/node/nodes", "");
	assert_int_equal(host_read(root, &host, &error), 0);
	assert_int_equal(host.pools[0].nodes, 2);
	assert_int_equal(host.pools[0].node_avail[1], 6000000);
	put(NODE("63") "meminfo", "Node 63 MemFree: 1 kB\n");
	assert_int_equal(host_read(root, &host, &error), 0);
	assert_int_equal(host.pools[0].nodes, 64);
	assert_int_equal(host.pools[0].node_avail[63], 3000000);
	host_free(&host);
}

static void a_host_without_figures_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "MemTotal: 5 kB\n", "MemTotal: x\nMemFree: 1\n",
		"MemTotal: 5\nMemFree: 1\nMemAvailable: 6\n",
		"XMemTotal: 5\nMemFree: 1\nMemAvailable: 2\n",
		"MemTotal: 0\nMemFree: 0\nMemAvailable: 0\n",
	};
	struct host host = { 0 };
	struct error error;
	char want[256];
	size_t i;

	assert_int_equal(host_read(root, &host, &error), -1);
	snprintf(want, sizeof(want),
		 "%s/proc/meminfo: No such file or directory", root);
	assert_string_equal(error.text, want);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put("/proc/meminfo", bad[i]);
		assert_int_equal(host_read(root, &host, &error), -1);
		assert_non_null(strstr(error.text, "MemAvailable"));
	}
	/* What was read before is still there. */
	put_meminfo();
	assert_int_equal(host_read(root, &host, &error), 0);
	put("/proc/meminfo", "");
	assert_int_equal(host_read(root, &host, &error), -1);
	assert_int_equal(host.nr_pools, 1);
	host_free(&host);
}

static void guests_processes_are_read(void **state)
{
	char text[TEXT_SIZE + 100];

	put("/run/libvirt/qemu/web.pid", "4711\n");
	put("/run/libvirt/qemu/bad.pid", "x\n");
	put("/run/libvirt/qemu/minus.pid", "-1\n");
	put("/run/libvirt/qemu.pid", "1\n");
	assert_int_equal(host_guest_pid(root, "web"), 4711);
	assert_int_equal(host_guest_pid(root, "none"), 0);
	assert_int_equal(host_guest_pid(root, "bad"), 0);
	assert_int_equal(host_guest_pid(root, "minus"), 0);
	assert_int_equal(host_guest_pid(root, "../qemu"), 0);

	put("/proc/4711/status", "Name:\tqemu\nVmRSS:\t  300 kB\n"
	    "RssAnon:\t  100 kB\nRssFile:\t  200 kB\nRssShmem:\t 50 kB\n");
	assert_int_equal(host_guest_files(root, 4711), 200);
	assert_int_equal(host_guest_files(root, 4712), 0);

	assert_int_equal(host_guest_huge_share(root, 4711), -1);
	put("/proc/4711/smaps_rollup", "55 ---p 0 00:00 0 [rollup]\n"
	    "Rss:  300 kB\nAnonymous:  4000 kB\nAnonHugePages:  3000 kB\n"
	    "ShmemPmdMapped:  0 kB\n");
	assert_int_equal(host_guest_huge_share(root, 4711), 7500);
	put("/proc/4711/smaps_rollup", "Anonymous: 0 kB\nAnonHugePages: 0 kB\n");
	assert_int_equal(host_guest_huge_share(root, 4711), -1);
	put("/proc/4711/smaps_rollup", "Anonymous: 2 kB\nAnonHugePages: 9 kB\n");
	assert_int_equal(host_guest_huge_share(root, 4711), 10000);

	/* Longer than is read. */
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put("/proc/4711/status", text);
	assert_int_equal(host_guest_files(root, 4711), 0);
}

static const char *content(const char *name)
{
	static char text[TEXT_SIZE];

	read_text(root, text, "%s", name);
	return text;
}

static void pools_grow(void **state)
{
	put_pools();
	put_nodes();
	assert_int_equal(host_grow_hugepages(root, 2048, 0, 88), 88);
	assert_string_equal(content(POOL("2048") "nr_hugepages"), "600\n");

	/* The first node gives all of it, here. */
	assert_int_equal(host_grow_hugepages(root, 2048, 5, 10), 10);
	assert_string_equal(content(NODE_POOL("0", "2048") "nr_hugepages"),
			    "222\n");
	assert_string_equal(content(NODE_POOL("2", "2048") "nr_hugepages"),
			    "300\n");
	/* Node 1 has none, so it goes on to node 2. */
	assert_int_equal(host_grow_hugepages(root, 2048, 6, 10), 10);
	assert_string_equal(content(NODE_POOL("2", "2048") "nr_hugepages"),
			    "310\n");
	assert_int_equal(host_grow_hugepages(root, 4096, 0, 1), 0);
	assert_int_equal(host_grow_hugepages(root, 2048, 1ull << 63, 1), 0);
}

/* This machine's own, whatever they are: plausible, and no leak. */
static void this_machine_is_read(void **state)
{
	struct host host = { 0 };
	struct error error;
	unsigned int i;

	/* More often than files may be open. */
	for (i = 0; i < 100; i++)
		assert_int_equal(host_read("", &host, &error), 0);
	assert_in_range(host.available, 1, host.total);
	for (i = 1; i < host.nr_pools; i++)
		assert_in_range(host.pools[i].page, host.pools[i - 1].page + 1,
				1 << 30);
	host_free(&host);
	assert_int_not_equal(host_guest_files("", getpid()), 0);
}

#define WITH_ROOT(test) \
	cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(a_plain_host_is_read),
		WITH_ROOT(pressure_is_read),
		WITH_ROOT(huge_pages_and_nodes_are_read),
		WITH_ROOT(many_nodes_are_cut_off),
		WITH_ROOT(a_host_without_figures_is_refused),
		WITH_ROOT(guests_processes_are_read),
		WITH_ROOT(pools_grow),
		cmocka_unit_test(this_machine_is_read),
	};

	return cmocka_run_group_tests_name("host", tests, few_files, NULL);
}
