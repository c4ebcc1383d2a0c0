/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Driver pages: pages of a driver that the kernel can migrate
 *
 * A page that a driver got from alloc_page() pins its pageblock, and with it a
 * huge page, for as long as the driver keeps it. A driver that can tell where
 * all references to such a page are can let the kernel move it instead: it
 * registers a mapping, an &struct address_space that stands for all such pages
 * of one instance of the driver, with three callbacks, and marks pages with it.
 * Compaction, contiguous allocation and memory offlining then treat a marked
 * page as movable.
 *
 *	driver_pages_register()
 *	    driver_pages_mark()			for each page, once it is in use
 *		isolate - migrate, or putback	callbacks, at any time
 *	    driver_pages_unmark()		before a page is freed
 *	    driver_pages_stop()			no more callbacks from here on
 *	    driver_pages_unmark()		for the pages that are left
 *	driver_pages_unregister()
 *
 * Nothing else of the page cache is implied by the address_space: pages have
 * no index, are not dirty and not written back, and are single ones (order 0).
 *
 * The source of a driver is the same whether the kernel has this interface or
 * driver_pages.ko brings it.
 */
#ifndef _LINUX_DRIVER_PAGES_H
#define _LINUX_DRIVER_PAGES_H

#include <linux/fs.h>
#include <linux/migrate_mode.h>
#include <linux/types.h>

struct module;
struct page;

/**
 * struct driver_page_ops - what a driver does so that a page can be migrated
 *
 * @isolate: Asked before a page is moved; the answer is the driver's word. True:
 *	the page is to be left alone by the driver (not freed by others than who
 *	unmarks it, not handed out, not on any list through page->lru) until
 *	@migrate has succeeded or @putback is called. False: not now.
 *	Optional; without it every marked page may be isolated at any time, and
 *	the driver must not use page->lru of a marked page.
 *
 * @migrate: Copy what @src holds to @dst, and make whatever referred to @src
 *	refer to @dst. Required. Returns
 *
 *	0	 done: the driver no longer knows @src. The caller moves the mark
 *		 and the driver's reference from @src to @dst; the driver does
 *		 neither. @src is freed after that.
 *	-EAGAIN	 not at the moment: tried again some times before giving up;
 *		 also the answer if the driver would have to wait and @mode is
 *		 MIGRATE_ASYNC.
 *	other	 negative errno: not this time; putback follows.
 *
 *	Unless it returns 0, @src and the driver's data are as they were; or the
 *	driver has given up @src: called driver_pages_unmark_locked(), and
 *	dropped its reference.
 *
 * @putback: The page stays where it is: undo what @isolate did. Optional;
 *	without it there is nothing to undo.
 *
 * All three are called with the page (for @migrate both pages) locked, with a
 * reference of the caller's in addition to the driver's, without any other
 * lock, in process context. They must not unlock the page, nor lock another.
 *
 * @mode says whether the callback may wait. MIGRATE_ASYNC: it must not sleep.
 * MIGRATE_SYNC_LIGHT: it may sleep for short, for a mutex, say. MIGRATE_SYNC:
 * it may wait for I/O. Where the kernel does not tell the mode, the strictest
 * one that is possible is passed: isolate then gets MIGRATE_ASYNC or
 * MIGRATE_SYNC_LIGHT, putback MIGRATE_ASYNC.
 *
 * A callback may be entered from an allocation, even one of the driver's own:
 * direct compaction does that. So it must not take a lock under which the
 * driver allocates memory that can be waited for (GFP_KERNEL), nor allocate
 * such memory itself. Lockdep knows about this, as it does for reclaim; so it
 * does not see that GFP_NOFS is no way out: that compacts, too. GFP_NOIO does not.
 *
 * Fields of struct page: page->mapping is never the driver's. page->lru is the
 * driver's but between a true @isolate and the end of @migrate or @putback
 * (where it is the driver's again once the callback runs for @putback; @dst's
 * is the driver's in @migrate, @src's is not). page->private is the driver's
 * at any time; it is not copied to @dst. @dst comes with page->private 0.
 */
struct driver_page_ops {
	bool (*isolate)(struct address_space *mapping, struct page *page,
			enum migrate_mode mode);
	int (*migrate)(struct address_space *mapping, struct page *dst,
		       struct page *src, enum migrate_mode mode);
	void (*putback)(struct address_space *mapping, struct page *page,
			enum migrate_mode mode);
};

struct address_space *
__driver_pages_register(const char *name, const struct driver_page_ops *ops,
			void *private, struct module *owner);

/**
 * driver_pages_register() - register a mapping for pages of a driver
 * @name: for statistics and tracepoints, up to 31 characters, no white space
 * @ops: the callbacks; must stay there until driver_pages_unregister()
 * @private: the driver's own, see driver_pages_private()
 *
 * Two mappings may not have the same name.
 *
 * Context: Process context, may sleep.
 * Return: the mapping, or an ERR_PTR(): -EINVAL for a bad name or no @migrate,
 * -EEXIST for a name that is taken, -EWOULDBLOCK from atomic context, -ENOMEM.
 */
#define driver_pages_register(name, ops, private) \
	__driver_pages_register(name, ops, private, THIS_MODULE)

int driver_pages_mark(struct address_space *mapping, struct page *page);
int driver_pages_unmark(struct address_space *mapping, struct page *page);
int driver_pages_unmark_locked(struct address_space *mapping,
			       struct page *page);
int driver_pages_stop(struct address_space *mapping);
int driver_pages_unregister(struct address_space *mapping);

/**
 * driver_pages_private() - what the driver passed to driver_pages_register()
 * @mapping: a registered mapping
 *
 * Return: the driver's private pointer.
 */
static inline void *driver_pages_private(struct address_space *mapping)
{
	return mapping->i_private_data;
}

#endif /* _LINUX_DRIVER_PAGES_H */
