// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check.c"

#define GIB	KIB_PER_GIB

/* A host and a guest that nothing is wrong with. */
static struct pool pools[] = {
	{ .page = 4, .total = 16 * GIB, .avail = 4 * GIB },
	{ .page = 2048, .total = GIB, .avail = GIB / 2 },
	{ .page = 1048576 },
};
static const struct error trouble = { "FILE:3: bad" };
static const struct host_facts good_host = {
	.uri = "qemu:///system", .socket = "/run/b.sock",
	.libvirt = 9000000, .qemu = 7002009,
	.hook = true, .hook_executable = true, .connected = true,
	.has_socket = true, .socket_mode = S_IFSOCK | 0600, .socket_group = "root",
	.memory = { .total = 16 * GIB, .available = 4 * GIB, .have_psi = true,
		    .nr_pools = ARRAY_SIZE(pools), .pools = pools },
	.thp = "madvise", .shmem_thp = "never", .daemon_rules = "", .guest_rules = "",
};
static const struct guest_facts good_guest = {
	.host = &good_host, .known = true, .running = true,
	.info = { .name = "web", .maximum = 4 * GIB, .current = 3 * GIB,
		  .has_balloon = true, .autodeflate = true,
		  .free_page_reporting = true, .period = 5,
		  .emulator = "/usr/bin/qemu-system-x86_64",
		  .settings = { .manage = true, .minimum = { .share = 2500 } } },
	.have = STAT(USABLE) | STAT(UNUSED) | STAT(LAST_UPDATE), .now = 1000,
	.stat[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE] = 998,
	.patched = YES, .driver = YES,
};
static struct host_facts host;
static struct guest_facts guest;
static struct report report;

static int setup(void **state)
{
	host = good_host;
	guest = good_guest;
	guest.host = &host;
	return 0;
}

static int teardown(void **state)
{
	report_free(&report);
	return 0;
}

static void run_host(void)
{
	report_free(&report);
	check_host(&report, &host);
}

static void run_guest(void)
{
	report_free(&report);
	check_guest(&report, &guest);
}

/* The only finding above "ok" has such a level, text and remedy. */
static void assert_only(enum level level, const char *text, const char *remedy)
{
	const struct finding *seen = NULL;
	unsigned int i;

	for (i = 0; i < report.nr; i++) {
		if (report.findings[i].level == LEVEL_OK)
			continue;
		if (seen)
			fail_msg("two: %s; %s", seen->text.text,
				 report.findings[i].text.text);
		seen = &report.findings[i];
	}
	if (!seen)
		fail_msg("nothing is found: %s", text);
	if (seen->level != level || !strstr(seen->text.text, text) ||
	    !strstr(seen->remedy.text, remedy))
		fail_msg("%s: %s; remedy: %s", level_name(seen->level),
			 seen->text.text, seen->remedy.text);
	/* Neither is cut off. */
	assert_null(strstr(seen->text.text, "..."));
	if (!strstr(remedy, "..."))
		assert_null(strstr(seen->remedy.text, "..."));
}

static void assert_all_ok(void)
{
	unsigned int i;

	assert_true(report.nr > 3);
	for (i = 0; i < report.nr; i++)
		if (report.findings[i].level != LEVEL_OK ||
		    report.findings[i].remedy.text[0])
			fail_msg("%s: %s", level_name(report.findings[i].level),
				 report.findings[i].text.text);
}

static bool finds(const char *text)
{
	unsigned int i;

	for (i = 0; i < report.nr; i++)
		if (strstr(report.findings[i].text.text, text))
			return true;
	return false;
}

#define HOST(change, level, text, remedy) do {				\
	setup(NULL);							\
	change;								\
	run_host();							\
	assert_only(LEVEL_##level, text, remedy);			\
} while (0)

#define GUEST(change, level, text, remedy) do {				\
	setup(NULL);							\
	change;								\
	run_guest();							\
	assert_only(LEVEL_##level, text, remedy);			\
} while (0)

static void all_is_well(void **state)
{
	run_host();
	assert_all_ok();
	assert_string_equal(report.findings[0].about, "host");
	assert_true(finds("libvirt 9.0.0"));
	assert_true(finds("QEMU 7.2.9"));
	assert_true(finds("4 GiB of 16 GiB available"));
	assert_true(finds("huge pages of 2 MiB: 1 GiB, of which 512 MiB"));
	assert_false(finds("huge pages of 1 GiB"));
	run_guest();
	assert_all_ok();
	assert_string_equal(report.findings[0].about, "web");
	assert_true(finds("it has 3 GiB of 4 GiB, and keeps 1 GiB"));
}

static void libvirt(void **state)
{
	HOST(host.config_error = &trouble, PROBLEM, "FILE:3: bad", "ballastd.conf");
	HOST(host.libvirt_error = trouble, PROBLEM,
	     "at qemu:///system: FILE:3: bad", "systemctl status");
	assert_false(finds("QEMU"));
	HOST(host.libvirt = 6004000, PROBLEM, "libvirt 6.4.0", HOOK_PATH);
	HOST(host.libvirt = 6008000, WARNING, "libvirt 6.8.0", "6.9");
	setup(NULL);
	host.qemu = 0;
	run_host();
	assert_all_ok();
	assert_true(finds("no QEMU of its own"));
	HOST(host.qemu = 5000001, WARNING, "QEMU 5.0.1", "5.1");
}

static void hook(void **state)
{
	HOST(host.hook = false, WARNING, "no hook", HOOK_PATH);
	HOST(host.hook_executable = false, PROBLEM, "not executable", "chmod 755");
}

static void ballastd(void **state)
{
	HOST(host.ballastd_error = trouble; host.connected = false, PROBLEM,
	     "FILE:3: bad", "systemctl enable --now ballastd");
	HOST(host.ballastd_error = trouble; host.no_right = true, NOTE,
	     "/run/b.sock: you may not", "run it as root: sudo ballastctl doctor");
	HOST(host.dry_run = true, NOTE, "only says",
	     "mode = active' in ballastd.conf; systemctl reload");
	HOST(host.connected = false, PROBLEM, "no connection", "status");
	HOST(host.releasing = true, NOTE, "gives all memory back", "resume --all");
	HOST(host.hung_calls = 3, WARNING, "3 of ballastd's calls", "silent");
}

static void socket_mode(void **state)
{
	HOST(host.socket_mode = S_IFSOCK | 0666, PROBLEM, "(mode 666)", "0660");
	HOST(host.socket_mode = S_IFSOCK | 0602, PROBLEM, "(mode 602)", "0660");
	setup(NULL);
	host.socket_mode = S_IFSOCK | 0660;
	strcpy(host.socket_group, "kvm");
	run_host();
	assert_all_ok();
	assert_true(finds("root and the group kvm"));
	host.has_socket = false;
	run_host();
	assert_all_ok();
	assert_false(finds("command ballastd"));
}

static void memory(void **state)
{
	struct config config = { .reserve.kib = 17 * GIB };

	HOST(host.memory_error = trouble, PROBLEM, "FILE:3: bad", "");
	HOST(host.config = &config, PROBLEM, "the host has only 16 GiB",
	     "lower 'reserve'");
	config.reserve.kib = GIB;
	host.config = &config;
	run_host();
	assert_all_ok();
	HOST(host.memory.have_psi = false, NOTE, "pressure", "psi=1");
	HOST(strcpy(host.thp, "never"), WARNING, "transparent huge pages are off",
	     "madvise");
	HOST(host.thp[0] = 0, WARNING, "no transparent huge pages", "CONFIG_");
}

static void guest_that_does_not_answer(void **state)
{
	GUEST(guest.error = trouble, PROBLEM, "FILE:3: bad", "virsh domstate web");
	assert_false(finds("statistics"));
	assert_true(finds("balloon is there"));
	GUEST(guest.error = trouble; guest.known = false, PROBLEM, "bad", "web.log");
	assert_int_equal(report.nr, 1);
	GUEST(guest.none = true; guest.known = false, PROBLEM, "no such guest",
	      "virsh list --all");
	assert_int_equal(report.nr, 1);
}

static void guest_settings(void **state)
{
	GUEST(guest.info.bad_metadata = true; guest.info.metadata_error = trouble,
	      PROBLEM, "FILE:3: bad", "virsh metadata web --uri urn:ballast:guest");
	GUEST(guest.info.settings.manage = false, NOTE, "manage is no", "");
	GUEST(guest.info.current = GIB - 1, WARNING, "less than its minimum of 1 GiB",
	      "virsh setmem web 1048576K");
	GUEST(guest.info.settings.minimum = (struct amount){ .kib = 5 * GIB }, WARNING,
	      "the minimum is larger than <memory>: 5 GiB, of 4 GiB", "[guests]");
	guest.info.has_metadata = true;
	run_guest();
	assert_only(LEVEL_WARNING, "larger than <memory>", "virsh metadata web");
	assert_false(finds("less than its minimum"));
}

static void guest_balloon(void **state)
{
	GUEST(guest.info.has_balloon = false, WARNING, "no virtio balloon",
	      "<memballoon");
	/* Nothing else is said of what is not there. */
	assert_false(finds("free page reporting"));
	guest.info.settings.manage = false;
	run_guest();
	assert_only(LEVEL_NOTE, "manage is no", "");
}

static void guest_statistics(void **state)
{
	GUEST(guest.have = 0, PROBLEM, "driver sends none", "load virtio_balloon");
	GUEST(guest.have = 0; guest.info.period = 0, WARNING, "nobody asks",
	      "virsh dommemstat web --period 5 --live");
	GUEST(guest.have &= ~STAT(USABLE), NOTE, "what is usable", "4.6");
	GUEST(guest.now = 998 + 21, WARNING, "21 s old", "virsh domstate web");
	setup(NULL);
	guest.now = 998 + 20;
	run_guest();
	assert_all_ok();
	/* Never, or by a clock that went back. */
	guest.stat[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE] = 0;
	run_guest();
	assert_all_ok();
	guest.stat[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE] = 5000;
	run_guest();
	assert_all_ok();
	/* One that is off sends none, of course. */
	guest.have = 0;
	guest.running = false;
	run_guest();
	assert_all_ok();
}

static void guest_driver(void **state)
{
	GUEST(guest.driver = NO, NOTE, "is not Ballast's", "ballast-dkms");
	GUEST(guest.driver = NO; guest.patched = NO, NOTE, "is not known: only",
	      "the patched QEMU");
	GUEST(guest.driver = UNKNOWN, NOTE, "is not known", "--qmp web");
}

static void guest_reporting(void **state)
{
	GUEST(guest.info.free_page_reporting = false, NOTE, "reporting is off",
	      "freePageReporting='on'");
	GUEST(guest.info.huge = guest.info.shared = true, PROBLEM, "SIGBUS",
	      "freePageReporting='off'");
	setup(NULL);
	guest.info.huge = guest.info.shared = true;
	guest.info.free_page_reporting = false;
	run_guest();
	assert_all_ok();
}

static void guest_autodeflate(void **state)
{
	GUEST(guest.info.autodeflate = false, NOTE, "autodeflate is off",
	      "autodeflate='on'");
	/* The driver's floor protects it as well. */
	guest.info.settings.probe = true;
	run_guest();
	assert_only(LEVEL_NOTE, "autodeflate is off", "autodeflate='on'");
	guest.driver = UNKNOWN;
	run_guest();
	assert_true(finds("probe is set"));
}

static void guest_discards(void **state)
{
	GUEST(guest.info.vfio = true, WARNING, "VFIO", "manage=\"no\"");
	GUEST(guest.info.locked = true, WARNING, "locked", "manage=\"no\"");
	GUEST(guest.info.locked = true; guest.info.settings.manage = false, NOTE,
	      "manage is no", "");
	GUEST(strcpy(guest.inhibited, "postcopy"), WARNING, "now: postcopy",
	      "PROTOCOL.md");
	GUEST(strcpy(guest.last_error, "madvise"), WARNING, "error: madvise", "web.log");
}

static void guest_huge(void **state)
{
	GUEST(guest.info.huge = true, NOTE, "private huge pages", "mode='shared'");
	GUEST(guest.info.huge = guest.info.shared = true; guest.patched = NO;
	      guest.info.free_page_reporting = false, PROBLEM, "SIGBUS",
	      "switch-emulator web ballast");
	GUEST(guest.info.shared = true, NOTE, "its memory is shared",
	      "shmem_enabled");
	guest.info.file = true;
	run_guest();
	assert_all_ok();
}

static void guest_apparmor(void **state)
{
	strcpy(guest.info.emulator, "/opt/qemu");
	guest.running = false;
	run_guest();
	assert_all_ok();
	host.apparmor = true;
	run_guest();
	assert_only(LEVEL_WARNING, "AppArmor does not know /opt/qemu",
		    "local/abstractions/libvirt-qemu");
	host.guest_rules = "  /opt/qemu rmix,";
	run_guest();
	assert_only(LEVEL_WARNING, "AppArmor does not know /opt/qemu",
		    "local/usr.sbin.libvirtd");
	host.daemon_rules = "# /opt/qemu PUx,\n\n /opt/other PUx,\n";
	run_guest();
	assert_only(LEVEL_WARNING, "AppArmor does not know /opt/qemu",
		    "local/usr.sbin.libvirtd");
	host.daemon_rules = "# /opt/qemu\n\n\t/opt/qemu PUx,";
	run_guest();
	assert_all_ok();
	host.guest_rules = "";
	run_guest();
	assert_only(LEVEL_WARNING, "AppArmor does not know /opt/qemu",
		    "local/abstractions/libvirt-qemu");
	guest.running = true;
	run_guest();
	assert_all_ok();
}

/* Remedies are of use only as a whole. */
static void long_names_do_not_overflow(void **state)
{
	memset(guest.info.name, 'n', sizeof(guest.info.name) - 1);
	memset(guest.info.emulator, 'e', sizeof(guest.info.emulator) - 1);
	guest.patched = NO;
	guest.info.bad_metadata = true;
	guest.running = false;
	host.apparmor = true;
	run_guest();
	assert_true(report.nr > 3);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(all_is_well),
		TEST(libvirt),
		TEST(hook),
		TEST(ballastd),
		TEST(socket_mode),
		TEST(memory),
		TEST(guest_that_does_not_answer),
		TEST(guest_settings),
		TEST(guest_balloon),
		TEST(guest_statistics),
		TEST(guest_driver),
		TEST(guest_reporting),
		TEST(guest_autodeflate),
		TEST(guest_discards),
		TEST(guest_huge),
		TEST(guest_apparmor),
		TEST(long_names_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
