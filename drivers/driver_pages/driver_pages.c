// SPDX-License-Identifier: GPL-2.0
/*
 * Driver pages: pages of a driver that the kernel can migrate
 *
 * A registration is one object, struct driver_mapping, that embeds the
 * address_space by which the driver knows it. page->mapping of a marked page
 * leads there, with PAGE_MAPPING_MOVABLE set; the mark costs nothing else.
 *
 * Who may look at what:
 *
 * - page->mapping and PG_isolated change under the page lock only. A page that
 *   is marked keeps its registration there: it is not freed while one is.
 *
 * - @users, a per-CPU reference count, is held for each isolated page and for
 *   the time of a mark. driver_pages_stop() kills it, so that no reference is
 *   had any more, and waits for the last one to go. The callbacks and the
 *   driver's private data are used with such a reference only. One more is held
 *   around a callback that may end the isolation by unmarking the page.
 *
 * - Each isolation ends once: the page was migrated, was put back, or was
 *   unmarked by the driver. That is under the page lock, too, so the reference
 *   is dropped exactly once.
 */
#include <linux/atomic.h>
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/errname.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "driver_pages_internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/driver_pages.h>

LIST_HEAD(driver_mappings);
DEFINE_MUTEX(driver_pages_lock);

static struct dentry *driver_pages_debugfs;

/* Empty; its address tells a driver's mapping from any other. */
static const struct address_space_operations driver_pages_aops;

static bool is_driver_mapping(struct address_space *mapping)
{
	return !IS_ERR_OR_NULL(mapping) && mapping->a_ops == &driver_pages_aops;
}

static void count(struct driver_mapping *dm, enum driver_pages_counter counter)
{
	this_cpu_inc(dm->counters->nr[counter]);
}

static u64 counted(struct driver_mapping *dm, enum driver_pages_counter counter)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(dm->counters, cpu)->nr[counter];
	return sum;
}

/*
 * The longest time from an isolation to its end. Where two pages of the same
 * slot are isolated at once, the second one is not timed.
 */
static struct driver_pages_timer *page_timer(struct driver_mapping *dm,
					     struct page *page)
{
	return &dm->timers[page_to_pfn(page) % DRIVER_PAGES_TIMERS];
}

static void timer_start(struct driver_mapping *dm, struct page *page)
{
	struct driver_pages_timer *timer = page_timer(dm, page);

	if (!READ_ONCE(timer->page) && !cmpxchg(&timer->page, NULL, page))
		timer->start = local_clock();
}

static void timer_end(struct driver_mapping *dm, struct page *page)
{
	struct driver_pages_timer *timer = page_timer(dm, page);
	s64 longest, t;

	if (READ_ONCE(timer->page) != page)
		return;
	/* Clocks of two CPUs may differ a little: t < 0 is no record. */
	t = local_clock() - timer->start;
	/* Pairs with cmpxchg() of who has the slot next: it sets start anew. */
	smp_store_release(&timer->page, NULL);

	longest = atomic64_read(&dm->longest);
	while (t > longest &&
	       !atomic64_try_cmpxchg(&dm->longest, &longest, t))
		;
}

/*
 * Callbacks may be entered from reclaim's neighbour, direct compaction: tell
 * lockdep, on every entry and not only on the rare one from an allocation. And
 * find the callback that sleeps where it must not, if the kernel can.
 */
static void callback_enter(enum migrate_mode mode)
{
	fs_reclaim_acquire(GFP_KERNEL);
	if (mode == MIGRATE_ASYNC)
		non_block_start();
}

static void callback_leave(enum migrate_mode mode)
{
	if (mode == MIGRATE_ASYNC)
		non_block_end();
	fs_reclaim_release(GFP_KERNEL);
}

/* The end of an isolation; the registration may go after it. */
static void isolation_end(struct driver_mapping *dm, struct page *page,
			  enum driver_pages_counter how)
{
	timer_end(dm, page);
	count(dm, how);
	percpu_ref_put(&dm->users);
}

/* May the core isolate this page? Page locked, marked, not isolated. */
bool driver_page_isolate(struct address_space *mapping, struct page *page,
			 enum migrate_mode mode)
{
	struct driver_mapping *dm = to_driver_mapping(mapping);
	bool ret = true;

	/* What it holds can't be read any more; the driver may not know yet. */
	if (PageHWPoison(page))
		return false;
	if (!percpu_ref_tryget_live(&dm->users))
		return false;

	if (dm->ops->isolate) {
		callback_enter(mode);
		ret = dm->ops->isolate(mapping, page, mode);
		callback_leave(mode);
		/* Who unmarks it in here can't mean yes. */
		if (page->mapping != driver_page_tag(dm))
			ret = false;
	}
	trace_driver_page_isolate(dm->name, page, mode, ret);

	if (ret) {
		count(dm, DP_ISOLATED);
		timer_start(dm, page);
	} else {
		count(dm, DP_REFUSED);
		percpu_ref_put(&dm->users);
	}
	return ret;
}

static void count_error(struct driver_mapping *dm, int err)
{
	unsigned int i = -err;

	count(dm, DP_FAILED);
	atomic_long_inc(&dm->errors[i < ARRAY_SIZE(dm->errors) ? i : 0]);
}

/* Pages locked, @src isolated. 0, and the mark and a reference are @dst's. */
int driver_page_migrate(struct address_space *mapping, struct page *dst,
			struct page *src, enum migrate_mode mode)
{
	struct driver_mapping *dm = to_driver_mapping(mapping);
	int ret;

	percpu_ref_get(&dm->users);
	callback_enter(mode);
	ret = dm->ops->migrate(mapping, dst, src, mode);
	callback_leave(mode);
	trace_driver_page_migrate(dm->name, src, dst, mode, ret);

	/* A driver that has let go of the page can't have moved it. */
	if (!ret && src->mapping != driver_page_tag(dm)) {
		pr_warn_once("driver_pages: %s unmarked a page that it moved\n",
			     dm->name);
		ret = -EINVAL;
	}

	if (!ret) {
		get_page(dst);
		dst->mapping = driver_page_tag(dm);
		src->mapping = DRIVER_PAGE_WAS_MARKED;
		put_page(src);
		isolation_end(dm, src, DP_MIGRATED);
	} else if (ret == -EAGAIN) {
		count(dm, DP_RETRIED);
	} else {
		count_error(dm, ret);
		/* Not an answer, and the core would take it for its own. */
		if (ret > 0)
			ret = -EINVAL;
	}
	percpu_ref_put(&dm->users);
	return ret;
}

/* Page locked, isolated. */
void driver_page_putback(struct address_space *mapping, struct page *page,
			 enum migrate_mode mode)
{
	struct driver_mapping *dm = to_driver_mapping(mapping);

	percpu_ref_get(&dm->users);
	if (dm->ops->putback) {
		callback_enter(mode);
		dm->ops->putback(mapping, page, mode);
		callback_leave(mode);
	}
	trace_driver_page_putback(dm->name, page, mode);
	if (page->mapping == driver_page_tag(dm))
		isolation_end(dm, page, DP_PUT_BACK);
	percpu_ref_put(&dm->users);
}

/* A single page whose page->mapping has no other use. */
static bool page_can_be_marked(struct page *page)
{
	return page && !PageCompound(page) && page_count(page) &&
	       !PageReserved(page) && !PageLRU(page) && !PageSlab(page) &&
	       !PageTable(page);
}

/**
 * driver_pages_mark() - let the kernel migrate a page
 * @mapping: from driver_pages_register()
 * @page: a single page, not locked by the caller, who holds a reference to it
 *
 * From here on the callbacks can be called for @page, even before this function
 * is back: all that they look at has to be there already. The reference that
 * the driver holds goes with the mark: to the new page when it is migrated.
 *
 * A page of higher order is refused if it is a compound one. Allocated without
 * __GFP_COMP its first page looks like a single one: split_page() it before.
 *
 * Context: Any context but hard interrupts and NMI; spinlocks may be held, if
 * the callbacks only try to get them or if they are taken inside the page lock.
 * Return: 0, or, and nothing has changed: -EINVAL for what is no mapping of a
 * driver's, or no single page with a reference, or one that is slab, a page table,
 * reserved or on the LRU; -EEXIST for a page that is marked already, with this mapping or
 * another; -EBUSY for a page whose page->mapping is somebody else's, or that was
 * unmarked while it was isolated and has not come back; -EAGAIN for a page that
 * somebody has locked at the moment; -ESHUTDOWN after driver_pages_stop().
 */
int driver_pages_mark(struct address_space *mapping, struct page *page)
{
	struct driver_mapping *dm;
	int ret = -EAGAIN;

	if (!is_driver_mapping(mapping) || !page_can_be_marked(page))
		return -EINVAL;

	dm = to_driver_mapping(mapping);
	if (!percpu_ref_tryget_live(&dm->users))
		return -ESHUTDOWN;
	if (!trylock_page(page))
		goto put;

	if (__PageMovable(page) && page->mapping != DRIVER_PAGE_WAS_MARKED) {
		ret = -EEXIST;
	} else if ((page->mapping && page->mapping != DRIVER_PAGE_WAS_MARKED) ||
		   PageIsolated(page)) {
		ret = -EBUSY;
	} else {
		page->mapping = driver_page_tag(dm);
		count(dm, DP_MARKED);
		ret = 0;
	}
	unlock_page(page);
put:
	percpu_ref_put(&dm->users);
	return ret;
}
EXPORT_SYMBOL_GPL(driver_pages_mark);

/**
 * driver_pages_unmark_locked() - take a page back, page lock held
 * @mapping: that @page is marked with
 * @page: locked by the caller, who holds a reference to it
 *
 * As driver_pages_unmark(), for who holds the page lock. That may be a callback
 * that lets go of the page: @isolate and @migrate have to fail then.
 *
 * Context: As driver_pages_unmark().
 * Return: 0, or -ENOENT for a page that is not marked with @mapping, -EINVAL for
 * what is no mapping of a driver's.
 */
int driver_pages_unmark_locked(struct address_space *mapping,
			       struct page *page)
{
	struct driver_mapping *dm;

	if (!is_driver_mapping(mapping) || !page)
		return -EINVAL;

	dm = to_driver_mapping(mapping);
	if (page->mapping != driver_page_tag(dm))
		return -ENOENT;

	if (PageIsolated(page)) {
		page->mapping = DRIVER_PAGE_WAS_MARKED;
		trace_driver_page_release(dm->name, page);
		isolation_end(dm, page, DP_RELEASED);
	} else {
		page->mapping = NULL;
	}
	/* The last look at @dm: see driver_pages_unregister(). */
	this_cpu_dec(dm->counters->nr[DP_MARKED]);
	return 0;
}
EXPORT_SYMBOL_GPL(driver_pages_unmark_locked);

/**
 * driver_pages_unmark() - take a page back
 * @mapping: that @page is marked with
 * @page: not locked by the caller, who holds a reference to it
 *
 * No callback is called for @page after that; it is as before
 * driver_pages_mark(), and may be freed. It may be isolated at this time: then
 * the kernel drops it by itself, and it can be marked again only after that.
 *
 * The page lock is only tried, since a driver calls this with the lock held
 * that its callbacks take inside the page lock: so the driver's data can't
 * change meanwhile, and @page is still the one.
 *
 * Context: Any context but hard interrupts and NMI.
 * Return: 0, or, and nothing has changed: -EAGAIN for a page that is locked, most
 * probably because it is being isolated or migrated: drop your lock, and look
 * again, it may be another page by then; -ENOENT for a page that is not marked
 * with @mapping; -EINVAL for what is no mapping of a driver's.
 */
int driver_pages_unmark(struct address_space *mapping, struct page *page)
{
	int ret;

	if (!is_driver_mapping(mapping) || !page)
		return -EINVAL;
	if (!trylock_page(page))
		return -EAGAIN;
	ret = driver_pages_unmark_locked(mapping, page);
	unlock_page(page);
	return ret;
}
EXPORT_SYMBOL_GPL(driver_pages_unmark);

static bool may_sleep(void)
{
	return !preempt_count() && !irqs_disabled();
}

static void driver_mapping_idle(struct percpu_ref *users)
{
	complete_all(&container_of(users, struct driver_mapping, users)->idle);
}

/**
 * driver_pages_stop() - the end of all callbacks
 * @mapping: from driver_pages_register()
 *
 * No page is isolated any more, and none can be marked. Waits for the pages
 * that are isolated to come back, so no lock may be held that a callback takes.
 * After it no callback runs, nor will any. Pages stay marked until the driver
 * unmarks them. Calling it again does no harm.
 *
 * Context: Process context, may sleep.
 * Return: 0, or, and nothing has changed: -EINVAL for what is no mapping of a
 * driver's, -EWOULDBLOCK from atomic context.
 */
int driver_pages_stop(struct address_space *mapping)
{
	struct driver_mapping *dm;

	if (!may_sleep())
		return -EWOULDBLOCK;
	if (!is_driver_mapping(mapping))
		return -EINVAL;

	dm = to_driver_mapping(mapping);
	if (!test_and_set_bit(0, &dm->stopped))
		percpu_ref_kill(&dm->users);
	wait_for_completion(&dm->idle);
	return 0;
}
EXPORT_SYMBOL_GPL(driver_pages_stop);

static bool name_is_good(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i == DRIVER_PAGES_NAME_LEN - 1 || !isgraph(name[i]))
			return false;
	}
	return i;
}

/* Under driver_pages_lock. */
static bool name_is_taken(const char *name)
{
	struct driver_mapping *dm;

	list_for_each_entry(dm, &driver_mappings, node) {
		if (!dm->abandoned && !strcmp(dm->name, name))
			return true;
	}
	return false;
}

static void driver_mapping_free(struct driver_mapping *dm)
{
	percpu_ref_exit(&dm->users);
	free_percpu(dm->counters);
	kvfree(dm);
}

void driver_mapping_put(struct driver_mapping *dm)
{
	if (refcount_dec_and_test(&dm->refs))
		driver_mapping_free(dm);
}

/**
 * __driver_pages_register() - register a mapping for pages of a driver
 * @name: see driver_pages_register()
 * @ops: see driver_pages_register()
 * @private: see driver_pages_register()
 * @owner: the module that @ops is in
 *
 * Drivers use driver_pages_register(), which fills in the owner.
 *
 * Context: Process context, may sleep.
 * Return: the mapping, or an ERR_PTR().
 */
struct address_space *
__driver_pages_register(const char *name, const struct driver_page_ops *ops,
			void *private, struct module *owner)
{
	struct driver_mapping *dm;
	int err = -ENOMEM;

	if (!may_sleep())
		return ERR_PTR(-EWOULDBLOCK);
	if (!name || !name_is_good(name) || !ops || !ops->migrate)
		return ERR_PTR(-EINVAL);

	dm = kvzalloc(sizeof(*dm), GFP_KERNEL);
	if (!dm)
		return ERR_PTR(-ENOMEM);
	dm->counters = alloc_percpu(struct driver_pages_counters);
	if (!dm->counters)
		goto free;
	err = percpu_ref_init(&dm->users, driver_mapping_idle, 0, GFP_KERNEL);
	if (err)
		goto free;

	address_space_init_once(&dm->mapping);
	dm->mapping.a_ops = &driver_pages_aops;
	dm->mapping.i_private_data = private;
	driver_pages_glue_init(dm);
	dm->ops = ops;
	init_completion(&dm->idle);
	strscpy(dm->name, name);
	strscpy(dm->owner_name, owner ? owner->name : "kernel");
	dm->owner = owner;
	refcount_set(&dm->refs, 1);

	mutex_lock(&driver_pages_lock);
	if (name_is_taken(name))
		err = -EEXIST;
	else
		list_add_tail(&dm->node, &driver_mappings);
	mutex_unlock(&driver_pages_lock);
	if (!err)
		return &dm->mapping;
free:
	driver_mapping_free(dm);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(__driver_pages_register);

/*
 * The end of a registration. If pages are still marked it can't be freed, since
 * they lead to it, and so does the code that they lead to have to stay.
 */
static int driver_mapping_end(struct driver_mapping *dm)
{
	u64 marked;

	driver_pages_stop(&dm->mapping);

	mutex_lock(&driver_pages_lock);
	marked = counted(dm, DP_MARKED);
	if (marked) {
		pr_err("driver_pages: mapping %s of %s is left with %llu marked pages\n",
		       dm->name, dm->owner_name, marked);
		if (!dm->abandoned)
			__module_get(THIS_MODULE);
		dm->abandoned = true;
		dm->owner = NULL;
	} else if (!list_empty(&dm->node)) {
		list_del_init(&dm->node);
		if (dm->abandoned)
			module_put(THIS_MODULE);
		driver_mapping_put(dm);
	}
	mutex_unlock(&driver_pages_lock);
	return marked ? -EBUSY : 0;
}

/**
 * driver_pages_unregister() - the end of a mapping
 * @mapping: from driver_pages_register()
 *
 * Does what driver_pages_stop() does, and frees the mapping. No page may be
 * marked any more. If there are some all the same, the mapping stays, says so in
 * the log and gives its name free; those pages can't be migrated, but nothing of
 * the driver's is used for them. Unmark them and call this again, or leave it at
 * that.
 *
 * Context: Process context, may sleep.
 * Return: 0, and the mapping is gone; -EBUSY if pages are still marked; -EINVAL
 * for what is not registered; -EWOULDBLOCK from atomic context.
 */
int driver_pages_unregister(struct address_space *mapping)
{
	struct driver_mapping *dm;
	bool found = false;
	int ret;

	if (!may_sleep())
		return -EWOULDBLOCK;

	mutex_lock(&driver_pages_lock);
	list_for_each_entry(dm, &driver_mappings, node) {
		if (&dm->mapping == mapping) {
			refcount_inc(&dm->refs);
			found = true;
			break;
		}
	}
	mutex_unlock(&driver_pages_lock);
	if (!found)
		return -EINVAL;

	ret = driver_mapping_end(dm);
	driver_mapping_put(dm);
	return ret;
}
EXPORT_SYMBOL_GPL(driver_pages_unregister);

/* A module that goes without unregistering takes its callbacks with it. */
static int driver_pages_module_event(struct notifier_block *nb,
				     unsigned long event, void *data)
{
	struct driver_mapping *dm;
	bool found;

	if (event != MODULE_STATE_GOING)
		return NOTIFY_DONE;

	do {
		found = false;
		mutex_lock(&driver_pages_lock);
		list_for_each_entry(dm, &driver_mappings, node) {
			if (dm->owner == data) {
				refcount_inc(&dm->refs);
				found = true;
				break;
			}
		}
		mutex_unlock(&driver_pages_lock);
		if (found) {
			pr_err("driver_pages: module %s goes, but mapping %s is registered\n",
			       dm->owner_name, dm->name);
			driver_mapping_end(dm);
			driver_mapping_put(dm);
		}
	} while (found);
	return NOTIFY_OK;
}

static struct notifier_block driver_pages_module_nb = {
	.notifier_call = driver_pages_module_event,
};

void driver_pages_test_stats(struct address_space *mapping,
			     struct driver_pages_stats *stats)
{
	struct driver_mapping *dm = to_driver_mapping(mapping);
	unsigned int i;

	stats->migrated = counted(dm, DP_MIGRATED);
	stats->put_back = counted(dm, DP_PUT_BACK);
	stats->released = counted(dm, DP_RELEASED);
	/*
	 * Ends first, or there could be more of them than isolations. Pairs
	 * with the page lock, released between an isolation and its end.
	 */
	smp_rmb();
	stats->isolated = counted(dm, DP_ISOLATED);
	stats->marked = counted(dm, DP_MARKED);
	stats->refused = counted(dm, DP_REFUSED);
	stats->retried = counted(dm, DP_RETRIED);
	stats->failed = counted(dm, DP_FAILED);
	stats->longest_us = div_u64(atomic64_read(&dm->longest), NSEC_PER_USEC);
	for (i = 0; i < ARRAY_SIZE(stats->errors); i++)
		stats->errors[i] = atomic_long_read(&dm->errors[i]);
}
EXPORT_SYMBOL_NS_GPL(driver_pages_test_stats, DRIVER_PAGES_TEST);

static void show_errors(struct seq_file *m, struct driver_pages_stats *stats)
{
	const char *name;
	bool any = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stats->errors); i++) {
		if (!stats->errors[i])
			continue;
		name = i ? errname(i) : "other";
		/* Not every kernel knows their names. */
		if (name)
			seq_printf(m, " %s=%llu", name, stats->errors[i]);
		else
			seq_printf(m, " %u=%llu", i, stats->errors[i]);
		any = true;
	}
	seq_puts(m, any ? "\n" : " -\n");
}

static int mappings_show(struct seq_file *m, void *unused)
{
	struct driver_pages_stats *stats;
	struct driver_mapping *dm;

	stats = kmalloc(sizeof(*stats), GFP_KERNEL);
	if (!stats)
		return -ENOMEM;

	seq_puts(m, "name owner marked isolated_now isolated refused migrated retried put_back released failed longest_us errors\n");
	mutex_lock(&driver_pages_lock);
	list_for_each_entry(dm, &driver_mappings, node) {
		driver_pages_test_stats(&dm->mapping, stats);
		seq_printf(m, "%s %s %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu",
			   dm->name, dm->owner_name, stats->marked,
			   stats->isolated - stats->migrated -
			   stats->put_back - stats->released,
			   stats->isolated, stats->refused, stats->migrated,
			   stats->retried, stats->put_back, stats->released,
			   stats->failed, stats->longest_us);
		show_errors(m, stats);
	}
	mutex_unlock(&driver_pages_lock);
	kfree(stats);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mappings);

static int __init driver_pages_init(void)
{
	int err;

	err = register_module_notifier(&driver_pages_module_nb);
	if (err)
		return err;
	driver_pages_debugfs = debugfs_create_dir("driver_pages", NULL);
	debugfs_create_file("mappings", 0444, driver_pages_debugfs, NULL,
			    &mappings_fops);
	return 0;
}
subsys_initcall(driver_pages_init);

/*
 * Where this is a module: its users are gone, but the core takes no reference to
 * it for the time of a callback. What keeps the code there is the page lock: it
 * is released after the return to the core only, no page is unmarked without it,
 * and no mapping goes while a page is marked. Except that a callback may unmark
 * the page itself. Then the reference to @users that driver_page_isolate(),
 * _migrate() or _putback() drops may be the last one, and from there to its
 * return to the core the task may be held up for as long as it takes to unload
 * the driver and this. It does not sleep there, so wait until every task has gone
 * to sleep by itself, or been in user space; RCU does not wait for it where the
 * kernel can be preempted.
 */
static void __exit __maybe_unused driver_pages_exit(void)
{
	debugfs_remove(driver_pages_debugfs);
	unregister_module_notifier(&driver_pages_module_nb);
	synchronize_rcu_tasks();
}

/* Where synchronize_rcu_tasks() is no more than synchronize_rcu() it stays. */
#if !defined(CONFIG_PREEMPTION) || defined(CONFIG_TASKS_RCU)
module_exit(driver_pages_exit);
#endif

MODULE_DESCRIPTION("Pages of drivers that the kernel can migrate");
MODULE_LICENSE("GPL");
