/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For unit tests: a folder that stands for the root of a host, anew for each test.
 * To be included behind the file that is tested.
 */
#ifndef BALLAST_TEST_ROOT_H
#define BALLAST_TEST_ROOT_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

static int make_root(void **state)
{
	strcpy(root, "/tmp/ballast-root-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	return remove(path);
}

static int remove_root(void **state)
{
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void path_of(char path[PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s%s", root, name);
}

/* A file below the root, with the folders on its way. */
static void put(const char *name, const char *text)
{
	char path[PATH_MAX], *c;
	FILE *file;

	path_of(path, name);
	for (c = path + strlen(root) + 1; (c = strchr(c, '/')); *c++ = '/') {
		*c = '\0';
		mkdir(path, 0700);
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

#endif
