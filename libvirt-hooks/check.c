// SPDX-License-Identifier: GPL-2.0-or-later
/* Findings of "ballastctl doctor". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

#define VERSION_OF(major, minor)	((major) * 1000000ul + (minor) * 1000ul)
#define STAT(tag)	(1u << VIR_DOMAIN_MEMORY_STAT_##tag)

const char *level_name(enum level level)
{
	static const char *const names[] = { "ok", "note", "warning", "problem" };

	return names[level];
}

/* What there is no memory for is not reported. */
static struct finding *finding_new(struct report *report, enum level level)
{
	static struct finding lost;
	struct finding *larger;

	larger = realloc(report->findings,
			 (report->nr + 1) * sizeof(*report->findings));
	report->last = &lost;
	if (larger) {
		report->findings = larger;
		report->last = &larger[report->nr++];
	}
	*report->last = (struct finding){ .level = level };
	snprintf(report->last->about, sizeof(report->last->about), "%s",
		 report->about);
	return report->last;
}

/* A finding, and what to do about it. */
#define found(report, level, ...) \
	error_set(&finding_new(report, level)->text, __VA_ARGS__)
#define remedy(report, ...) \
	error_set(&(report)->last->remedy, __VA_ARGS__)

void report_free(struct report *report)
{
	free(report->findings);
	*report = (struct report){ 0 };
}

void check_failed(struct report *report, const struct error *error)
{
	found(report, LEVEL_PROBLEM, "%s", error->text);
}

/* --- the host */

static const char *version_text(unsigned long version, char buf[32])
{
	snprintf(buf, 32, "%lu.%lu.%lu", version / 1000000,
		 version / 1000 % 1000, version % 1000);
	return buf;
}

static void check_config(struct report *report, const struct host_facts *host)
{
	if (!host->config_error) {
		found(report, LEVEL_OK, "the configuration can be read");
		return;
	}
	found(report, LEVEL_PROBLEM, "%s", host->config_error->text);
	remedy(report, "mend it, see ballastd.conf(5); a ballastd that runs goes on "
	       "with what it had, another one does not start");
}

static void check_libvirt(struct report *report, const struct host_facts *host)
{
	char buf[32];

	if (host->libvirt_error.text[0]) {
		found(report, LEVEL_PROBLEM, "libvirt does not answer at %s: %s",
		      host->uri, host->libvirt_error.text);
		remedy(report, "see 'systemctl status libvirtd virtqemud', and "
		       "'uri' in ballastd.conf(5); be root or in the group libvirt");
		return;
	}
	version_text(host->libvirt, buf);
	if (host->libvirt < VERSION_OF(6, 5)) {
		found(report, LEVEL_PROBLEM, "libvirt %s does not look for hooks in "
		      "qemu.d", buf);
		remedy(report, "install 6.5 or later, or let "
		       "/etc/libvirt/hooks/qemu call %s", HOOK_PATH);
	} else if (host->libvirt < VERSION_OF(6, 9)) {
		found(report, LEVEL_WARNING, "libvirt %s has no free page reporting", buf);
		remedy(report, "install 6.9 or later");
	} else {
		found(report, LEVEL_OK, "libvirt %s", buf);
	}
}

static void check_qemu(struct report *report, const struct host_facts *host)
{
	char buf[32];

	if (host->libvirt_error.text[0])
		return;
	if (!host->qemu) {
		found(report, LEVEL_OK, "libvirt has no QEMU of its own: each guest "
		      "names one");
		return;
	}
	version_text(host->qemu, buf);
	if (host->qemu < VERSION_OF(5, 1)) {
		found(report, LEVEL_WARNING, "QEMU %s has no free page reporting", buf);
		remedy(report, "install 5.1 or later");
	} else {
		found(report, LEVEL_OK, "QEMU %s", buf);
	}
}

static void check_hook(struct report *report, const struct host_facts *host)
{
	if (!host->hook) {
		found(report, LEVEL_WARNING, "no hook: no room is made for guests that "
		      "start");
		remedy(report, "install it as %s and restart libvirtd, which looks "
		       "for it when it starts", HOOK_PATH);
	} else if (!host->hook_executable) {
		found(report, LEVEL_PROBLEM, "%s: not executable", HOOK_PATH);
		remedy(report, "chmod 755 %s; systemctl restart libvirtd", HOOK_PATH);
	} else {
		found(report, LEVEL_OK, "the hook is there");
	}
}

static void check_ballastd(struct report *report, const struct host_facts *host)
{
	if (host->no_right) {
		found(report, LEVEL_NOTE, "%s: you may not ask ballastd whether it is "
		      "well", host->socket);
		remedy(report, "run it as root: sudo ballastctl doctor");
		return;
	}
	if (host->ballastd_error.text[0]) {
		found(report, LEVEL_PROBLEM, "%s", host->ballastd_error.text);
		remedy(report, "systemctl enable --now ballastd; why it does not run "
		       "is in 'journalctl -u ballastd'");
		return;
	}
	if (host->dry_run) {
		found(report, LEVEL_NOTE, "ballastd runs, but only says what it would do");
		remedy(report, "look at 'ballastctl list' for some days, then set "
		       "'mode = active' in ballastd.conf; systemctl reload ballastd");
	} else {
		found(report, LEVEL_OK, "ballastd runs, and is active");
	}
	if (!host->connected) {
		found(report, LEVEL_PROBLEM, "ballastd has no connection to libvirt");
		remedy(report, "'ballastctl status' says why");
	}
	if (host->releasing) {
		found(report, LEVEL_NOTE, "ballastd gives all memory back, as it was told");
		remedy(report, "'ballastctl resume --all' when it shall work again");
	}
	if (host->hung_calls) {
		found(report, LEVEL_WARNING, "%d of ballastd's calls to libvirt hang",
		      host->hung_calls);
		remedy(report, "see which guests are 'silent' in 'ballastctl list', "
		       "and their logs in /var/log/libvirt/qemu");
	}
}

static void check_socket(struct report *report, const struct host_facts *host)
{
	if (!host->has_socket)
		return;
	if (host->socket_mode & S_IRWXO) {
		found(report, LEVEL_PROBLEM, "%s: anybody may command ballastd (mode %03o)",
		      host->socket, host->socket_mode & 0777);
		remedy(report, "restart ballastd, which sets 0600, or 0660 with "
		       "socket_group");
	} else if (host->socket_mode & S_IRWXG) {
		found(report, LEVEL_OK, "root and the group %s may command ballastd",
		      host->socket_group);
	} else {
		found(report, LEVEL_OK, "root alone may command ballastd");
	}
}

static void check_thp(struct report *report, const struct host_facts *host)
{
	if (!strcmp(host->thp, "never")) {
		found(report, LEVEL_WARNING, "transparent huge pages are off: guests run "
		      "on pages of 4 KiB unless they have hugetlbfs");
		remedy(report, "echo madvise > "
		       "/sys/kernel/mm/transparent_hugepage/enabled; for good: "
		       "transparent_hugepage=madvise on the kernel's command line");
	} else if (host->thp[0]) {
		found(report, LEVEL_OK, "transparent huge pages: %s", host->thp);
	} else {
		found(report, LEVEL_WARNING, "the kernel has no transparent huge pages");
		remedy(report, "use one with CONFIG_TRANSPARENT_HUGEPAGE");
	}
}

static void check_pools(struct report *report, const struct host *memory)
{
	char page[SIZE_TEXT], avail[SIZE_TEXT], total[SIZE_TEXT];
	unsigned int i;

	for (i = 1; i < memory->nr_pools; i++)
		if (memory->pools[i].total)
			found(report, LEVEL_OK, "huge pages of %s: %s, of which %s are "
			      "neither used nor reserved",
			      size_text(memory->pools[i].page, page),
			      size_text(memory->pools[i].total, total),
			      size_text(memory->pools[i].avail, avail));
}

static void check_reserve(struct report *report, const struct host_facts *host)
{
	struct error error;

	if (!host->config || !host->memory.total ||
	    !config_check_host(host->config, host->memory.total, &error))
		return;
	check_failed(report, &error);
	remedy(report, "lower 'reserve' in [host] of ballastd.conf; then systemctl "
	       "reload ballastd");
}

static void check_memory(struct report *report, const struct host_facts *host)
{
	char total[SIZE_TEXT], available[SIZE_TEXT];

	if (host->memory_error.text[0]) {
		check_failed(report, &host->memory_error);
		return;
	}
	found(report, LEVEL_OK, "%s of %s available",
	      size_text(host->memory.available, available),
	      size_text(host->memory.total, total));
	if (host->memory.have_psi) {
		found(report, LEVEL_OK, "the kernel tells pressure on memory (PSI)");
	} else {
		found(report, LEVEL_NOTE, "the kernel does not tell pressure on memory");
		remedy(report, "psi=1 on the host kernel's command line");
	}
	check_pools(report, &host->memory);
	check_reserve(report, host);
}

void check_host(struct report *report, const struct host_facts *host)
{
	report->about = "host";
	check_config(report, host);
	check_libvirt(report, host);
	check_qemu(report, host);
	check_hook(report, host);
	check_ballastd(report, host);
	check_socket(report, host);
	check_memory(report, host);
	check_thp(report, host);
	if (host->apparmor)
		found(report, LEVEL_OK, "AppArmor is on");
}

/* --- a guest */

#define METADATA	"virsh metadata %s --uri " METADATA_URI " --key ballast "

static void check_settings(struct report *report, const struct guest_facts *guest)
{
	const struct domain_info *info = &guest->info;
	char current[SIZE_TEXT], maximum[SIZE_TEXT], minimum[SIZE_TEXT];
	uint64_t least = amount_of(info->settings.minimum, info->maximum);

	if (info->bad_metadata) {
		found(report, LEVEL_PROBLEM, "%s", info->metadata_error.text);
		remedy(report, METADATA "--edit; until then ballastd leaves it alone",
		       info->name);
	} else if (!info->settings.manage) {
		found(report, LEVEL_NOTE, "ballastd leaves it alone: manage is no");
	} else {
		found(report, LEVEL_OK, "%s", info->has_metadata ?
		      "its settings can be read" :
		      "no settings of its own: those of [guests] hold");
	}
	size_text(info->current, current);
	size_text(info->maximum, maximum);
	size_text(least, minimum);
	if (least > info->maximum) {
		found(report, LEVEL_WARNING, "the minimum is larger than <memory>: "
		      "%s, of %s", minimum, maximum);
		if (info->has_metadata)
			remedy(report, "correct it or the class: " METADATA "--edit",
			       info->name);
		else
			remedy(report, "correct 'minimum' in [guests] of "
			       "ballastd.conf(5), or give it one of its own");
	} else if (info->current < least) {
		found(report, LEVEL_WARNING, "it has %s, less than its minimum of %s",
		      current, minimum);
		remedy(report, "virsh setmem %s %lluK, or a lower minimum",
		       info->name, (unsigned long long)least);
	} else {
		found(report, LEVEL_OK, "it has %s of %s, and keeps %s", current,
		      maximum, minimum);
	}
}

static void check_balloon(struct report *report, const struct guest_facts *guest)
{
	if (guest->info.has_balloon) {
		found(report, LEVEL_OK, "a virtio balloon is there");
	} else if (guest->info.settings.manage) {
		found(report, LEVEL_WARNING, "no virtio balloon: its memory can't be "
		      "changed");
		remedy(report, "<memballoon model='virtio' autodeflate='on' "
		       "freePageReporting='on'/> in its <devices>, or manage=\"no\" "
		       "in its metadata");
	}
}

static bool is_stale(const struct guest_facts *guest, uint64_t *age)
{
	unsigned int period = guest->info.period;
	uint64_t last = guest->stat[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE];

	*age = guest->now > last ? guest->now - last : 0;
	return (guest->have & STAT(LAST_UPDATE)) && last &&
	       *age > (period ? 3 * period + 5 : 30);
}

static void check_statistics(struct report *report,
			     const struct guest_facts *guest)
{
	unsigned int period = guest->info.period;
	const char *name = guest->info.name;
	uint64_t age;

	if (!guest->running || !guest->info.has_balloon)
		return;
	if (!(guest->have & (STAT(USABLE) | STAT(UNUSED)))) {
		found(report, period ? LEVEL_PROBLEM : LEVEL_WARNING,
		      "no statistics: %s", period ?
		      "the guest's driver sends none" : "nobody asks for them");
		if (period)
			remedy(report, "load virtio_balloon in the guest, or wait "
			       "until it has booted");
		else
			remedy(report, "virsh dommemstat %s --period 5 --live; "
			       "ballastd does that with statistics_period", name);
	} else if (is_stale(guest, &age)) {
		found(report, LEVEL_WARNING, "its last statistics are %llu s old",
		      (unsigned long long)age);
		remedy(report, "if it isn't paused, see whether it hangs: "
		       "virsh domstate %s --reason", name);
	} else if (!(guest->have & STAT(USABLE))) {
		found(report, LEVEL_NOTE, "its driver does not say what is usable: its "
		      "caches count as used");
		remedy(report, "a guest kernel of 4.6 or later");
	} else {
		found(report, LEVEL_OK, "statistics arrive");
	}
}

static void check_driver(struct report *report, const struct guest_facts *guest)
{
	if (!guest->running || !guest->info.has_balloon)
		return;
	switch (guest->driver) {
	case YES:
		found(report, LEVEL_OK, "its driver is Ballast's");
		break;
	case NO:
		found(report, LEVEL_NOTE, guest->patched == YES ?
		      "its driver is not Ballast's: it gives scattered pages" :
		      "which driver it has is not known: only the patched QEMU "
		      "tells");
		remedy(report, guest->patched == YES ? "ballast-dkms in the guest" :
		       "the patched QEMU, of ballast-qemu");
		break;
	default:
		found(report, LEVEL_NOTE, "which driver it has is not known");
		remedy(report, "ballastctl doctor --qmp %s; that taints it for "
		       "libvirt until it stops", guest->info.name);
	}
}

static void check_reporting(struct report *report, const struct guest_facts *guest)
{
	const struct domain_info *info = &guest->info;
	bool shared_huge = info->huge && info->shared;

	if (!info->has_balloon)
		return;
	if (shared_huge && info->free_page_reporting) {
		found(report, LEVEL_PROBLEM, "free page reporting with shared huge pages: "
		      "if the host has none left, its QEMU ends with SIGBUS");
		remedy(report, "freePageReporting='off' in its <memballoon>");
	} else if (info->free_page_reporting || shared_huge) {
		found(report, LEVEL_OK, "free page reporting is %s",
		      shared_huge ? "off, as it should be" : "on");
	} else {
		found(report, LEVEL_NOTE, "free page reporting is off: memory that it "
		      "frees stays with it until the balloon takes it");
		remedy(report, "freePageReporting='on' in its <memballoon>");
	}
}

static void check_autodeflate(struct report *report,
			      const struct guest_facts *guest)
{
	const struct domain_info *info = &guest->info;

	if (!info->has_balloon)
		return;
	if (info->autodeflate) {
		found(report, LEVEL_OK, "the balloon deflates before the guest runs out "
		      "of memory");
		return;
	}
	found(report, LEVEL_NOTE, "autodeflate is off: a guest that wants memory at once "
	      "kills processes");
	remedy(report, "autodeflate='on' in its <memballoon>");
	if (info->settings.probe && guest->driver != YES) {
		found(report, LEVEL_WARNING, "probe is set, and without autodeflate "
		      "ballastd only probes where Ballast's driver is known to be");
		remedy(report, "autodeflate='on', or extra_statistics in "
		       "ballastd.conf(5)");
	}
}

/* Where the balloon takes memory from the guest and gives none to the host. */
static void check_discards(struct report *report, const struct guest_facts *guest)
{
	const struct domain_info *info = &guest->info;
	const char *why = NULL;

	if (info->vfio)
		why = "a VFIO device pins its memory";
	else if (info->locked)
		why = "its memory is locked";
	if (why && info->has_balloon) {
		found(report, info->settings.manage ? LEVEL_WARNING : LEVEL_OK,
		      "%s: the host gets nothing from its balloon", why);
		if (info->settings.manage)
			remedy(report, METADATA "--config --live --set "
			       "'<guest manage=\"no\"/>'", info->name);
	}
	if (guest->inhibited[0] && !why) {
		found(report, LEVEL_WARNING, "the host gets nothing from its balloon now: "
		      "%s", guest->inhibited);
		remedy(report, "see PROTOCOL.md, \"What is skipped\"");
	}
	if (guest->last_error[0]) {
		found(report, LEVEL_WARNING, "its balloon had an error: %s",
		      guest->last_error);
		remedy(report, "its log: /var/log/libvirt/qemu/%s.log", info->name);
	}
}

static void check_huge(struct report *report, const struct guest_facts *guest)
{
	const struct domain_info *info = &guest->info;

	if (info->huge && !info->shared) {
		found(report, LEVEL_NOTE, "private huge pages: those that it gives back "
		      "stay reserved for it");
		remedy(report, "<access mode='shared'/> in its <memoryBacking>, with "
		       "the patched QEMU");
	} else if (info->huge && guest->patched == NO) {
		found(report, LEVEL_PROBLEM, "shared huge pages with a stock QEMU: any "
		      "deflation or reboot can end it with SIGBUS");
		remedy(report, "the patched QEMU, of ballast-qemu: "
		       "/usr/lib/ballast/switch-emulator %s ballast", info->name);
	} else if (info->huge) {
		found(report, LEVEL_OK, "shared huge pages");
	} else if (info->shared && !info->file &&
		   (!strcmp(guest->host->shmem_thp, "never") ||
		    !strcmp(guest->host->shmem_thp, "deny"))) {
		found(report, LEVEL_NOTE, "its memory is shared, and the host has no "
		      "transparent huge pages for that");
		remedy(report, "echo advise > "
		       "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
	}
}

/* Is a path in one of the rules? Comments are none. */
static bool in_rules(const char *rules, const char *path)
{
	const char *line = rules, *hit, *end;

	while (*line) {
		line += strspn(line, " \t\n");
		end = line + strcspn(line, "\n");
		hit = strstr(line, path);
		if (!hit)
			return false;
		if (*line != '#' && hit < end)
			return true;
		line = end;
	}
	return false;
}

static void check_emulator(struct report *report, const struct guest_facts *guest)
{
	const struct host_facts *host = guest->host;
	const char *emulator = guest->info.emulator;

	if (guest->patched == YES)
		found(report, LEVEL_OK, "its QEMU is the patched one");
	else if (guest->patched == NO)
		found(report, LEVEL_OK, "its QEMU is not the patched one: %s", emulator);
	/* A guest that runs shows that it may. */
	if (!host->apparmor || guest->running || !emulator[0] ||
	    !strncmp(emulator, "/usr/bin/", 9) ||
	    (in_rules(host->daemon_rules, emulator) &&
	     in_rules(host->guest_rules, emulator)))
		return;
	found(report, LEVEL_WARNING, "AppArmor does not know %s", emulator);
	remedy(report, "have its path with ' PUx,' in local/usr.sbin.libvirtd and with "
	       "' rmix,' in local/abstractions/libvirt-qemu, both in "
	       "/etc/apparmor.d; systemctl reload apparmor; systemctl restart libvirtd");
}

void check_guest(struct report *report, const struct guest_facts *guest)
{
	report->about = guest->info.name;
	if (guest->none) {
		found(report, LEVEL_PROBLEM, "libvirt knows no such guest");
		remedy(report, "virsh list --all");
		return;
	}
	if (guest->error.text[0]) {
		check_failed(report, &guest->error);
		remedy(report, "virsh domstate %s --reason; its log: "
		       "/var/log/libvirt/qemu/%s.log", guest->info.name,
		       guest->info.name);
	} else {
		check_statistics(report, guest);
		check_driver(report, guest);
	}
	if (!guest->known)
		return;
	check_settings(report, guest);
	check_balloon(report, guest);
	check_reporting(report, guest);
	check_autodeflate(report, guest);
	check_discards(report, guest);
	check_huge(report, guest);
	check_emulator(report, guest);
}
