/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Driver pages on a kernel whose core knows only struct movable_operations:
 * each registration embeds its own, so that the pointer that the core finds in
 * page->mapping leads to the registration, at no cost per page.
 *
 * This header and glue.c are all that differs from a kernel that has driver
 * pages itself.
 */
#ifndef _DRIVER_PAGES_GLUE_H
#define _DRIVER_PAGES_GLUE_H

#include <linux/migrate.h>

/* What the core calls, with the page(s) locked and marked with @mapping. */
bool driver_page_isolate(struct address_space *mapping, struct page *page,
			 enum migrate_mode mode);
int driver_page_migrate(struct address_space *mapping, struct page *dst,
			struct page *src, enum migrate_mode mode);
void driver_page_putback(struct address_space *mapping, struct page *page,
			 enum migrate_mode mode);

struct driver_pages_glue {
	struct movable_operations mops;
};

extern const struct movable_operations driver_pages_mops;

#define driver_pages_glue_init(dm)	((dm)->glue.mops = driver_pages_mops)
/* Where page->mapping points to, without the low bits. */
#define driver_pages_pointer(dm)	(&(dm)->glue.mops)

/* What the core has, but does not export. */
bool driver_pages_core_isolate(struct page *page, enum migrate_mode mode);
int driver_pages_core_migrate(struct page *dst, struct page *src,
			      enum migrate_mode mode);
void driver_pages_core_putback(struct page *page, enum migrate_mode mode);

#endif /* _DRIVER_PAGES_GLUE_H */
