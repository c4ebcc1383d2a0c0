/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings: the host's, from ballastd.conf, and a guest's, from the metadata in
 * its domain's XML. ballastd.conf(5) documents each.
 */
#ifndef BALLAST_CONFIG_H
#define BALLAST_CONFIG_H

#include <sys/socket.h>

#include "common.h"

#define CONFIG_PATH	"/etc/ballast/ballastd.conf"
#define METADATA_URI	"urn:ballast:guest"

/*
 * A guest's, in order: [guests], then [class NAME], then its metadata.
 * <ballast:guest xmlns:ballast="urn:ballast:guest" class="batch" minimum="1G"
 *	shares="2000" probe="yes" manage="no"/>
 */
struct guest_settings {
	char class[32];		/* "" is none */
	bool manage;		/* yes */
	struct amount minimum;	/* 25%, of the guest's maximum */
	struct amount headroom;	/* 10%, of what it uses; at least 64 MiB */
	unsigned int shares;	/* 1000; 1 to 1000000 */
	bool probe;		/* no */
};

struct class {
	char name[32];
	struct guest_settings settings;	/* [guests] with this class's changes */
	uint64_t changes;	/* a bit for each key that it has; config.c's */
};

enum grow { GROW_NEVER, GROW_FOR_ROOM };

struct config {
	/* [ballastd] */
	bool dry_run;		/* mode = dry-run (default) or active */
	char uri[256];		/* uri = qemu:///system */
	unsigned int interval;		/* interval = 5s */
	unsigned int statistics_period;	/* statistics_period = 5s; 0: leave it alone */
	unsigned int deadline;		/* deadline = 5s: of a call to libvirt */
	char socket[108];	/* socket = /run/ballast/ballastd.sock */
	char socket_group[32];	/* socket_group = : root alone */
	char metrics[128];	/* metrics = none, ADDRESS:PORT, [V6]:PORT or unix:PATH */
	char record[256];	/* record = : nowhere; FILE of snapshots to replay */
	struct amount record_size;	/* record_size = 64M: then it begins anew */
	bool extra_statistics;	/* extra_statistics = no: QMP, which taints domains */
	bool release_at_stop;	/* release_at_stop = no */
	/* [host] */
	struct amount reserve;	/* reserve = 10%, of the host's memory or the budget */
	struct amount dead_band;	/* dead_band = 5%, of the reserve */
	struct amount critical;	/* critical = 50%, of the reserve */
	struct amount budget;	/* budget = 0: all there is */
	struct amount huge_reserve;	/* huge_reserve = 0, of each pool of huge pages */
	enum grow grow_hugepages;	/* grow_hugepages = never, or room */
	/* [guests] */
	struct guest_settings guests;
	struct amount rate;	/* rate = 1%, of a guest's maximum in 10 s */
	unsigned int hold;	/* hold = 60s: after a start, pressure, or growing */
	/* [class NAME] */
	struct class *classes;
	unsigned int nr_classes;
	/* [hook] */
	unsigned int hook_timeout;	/* timeout = 30s */
	bool hook_refuse;	/* refuse = no */
};

/* Defaults, as with an empty file. */
void config_init(struct config *config);
void config_free(struct config *config);

/*
 * config_read - read a file
 * @path: NULL: CONFIG_PATH, which need not exist
 * @config: initialised here; to be freed with config_free() unless this fails
 *
 * Return: 0, or -1 and "FILE:LINE: what is wrong, and what would be right".
 */
int config_read(const char *path, struct config *config, struct error *error);

/*
 * config_address - where to listen: ADDRESS:PORT, [V6]:PORT or unix:PATH
 *
 * Numbers alone: a name may be another address tomorrow.
 */
int config_address(const char *where, struct sockaddr_storage *address,
		   socklen_t *length, struct error *error);

/*
 * config_check_host - can a host of that size do what the settings say?
 *
 * Return: 0, or -1 and why not: it could never have its reserve.
 */
int config_check_host(const struct config *config, uint64_t total_kib,
		      struct error *error);

/* What ballastd and ballastctl have to know of a domain's XML. */
struct domain_info {
	char name[128], uuid[37];
	uint64_t maximum;	/* KiB */
	uint64_t current;
	bool has_balloon;
	bool autodeflate;
	bool free_page_reporting;
	unsigned int period;	/* of statistics, s; 0: none */
	char balloon_alias[64];
	char emulator[256];
	bool huge;		/* <hugepages/> */
	uint64_t huge_page;	/* KiB; 0: the host's default */
	bool shared;		/* <access mode='shared'/>, for all of it */
	bool file;		/* <source type='file'/> */
	bool vfio;		/* a device that pins the guest's memory */
	bool locked;		/* <locked/> */
	uint64_t nodes;		/* numatune's nodeset, strict alone; 0: any */
	bool has_metadata;	/* ours */
	bool bad_metadata;
	struct error metadata_error;	/* what is wrong with it */
	struct guest_settings settings;	/* resolved */
};

/*
 * domain_read - what a domain's XML says
 *
 * Bad metadata is not an error: the rest is filled in, with settings of
 * [guests], bad_metadata, and metadata_error.
 */
int domain_read(const char *xml, const struct config *config,
		struct domain_info *info, struct error *error);

#endif
