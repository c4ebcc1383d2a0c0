// SPDX-License-Identifier: GPL-2.0
/*
 * The conformance kit: a run over the pages of a mapping.
 *
 * The pages are isolated, migrated and put back by the framework's test
 * interface, which does what compaction does, in each mode: one by one, in
 * batches of mixed order, and on all CPUs at once. A driver is held to a list
 * of rules; each is a line of the result, and says what was seen if it was
 * broken.
 *
 * The kit is careful, since the driver may be broken: it holds references of
 * its own to pages that it looks at, and lets go of a page whose page->lru the
 * driver still uses. So most faults show in the result and not in a crash.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/driver_pages.h>
#include <linux/driver_pages_test.h>
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/jhash.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "selftest.h"

enum rule {
	R_MARKED, R_ISOLATE, R_ISOLATE_SLEEPS, R_LISTED, R_LRU, R_ISOLATE_REF,
	R_PUTBACK, R_PUTBACK_SLEEPS, R_KEPT, R_MOVES, R_ERRNO, R_MIGRATE_SLEEPS,
	R_CONTENTS, R_NEW_REF, R_OLD_REF, R_OLD_USED, R_KNOWN, R_FAILED,
	R_LOST, R_STOP, R_ENDS, R_NOW, R_SAME, R_WALK,
	RULES
};

/* What is asked, and what an author of a driver that fails should look at. */
static const struct {
	const char *what, *advice;
} rules[RULES] = {
	[R_MARKED] = { "the mapping has marked pages",
		"nothing can be tested without; did driver_pages_mark() fail?" },
	[R_ISOLATE] = { "isolate: pages can be isolated",
		"the driver refused each page; is each one really in use?" },
	[R_ISOLATE_SLEEPS] = { "isolate: does not sleep in MIGRATE_ASYNC",
		"try the lock, and return false if it is taken" },
	[R_LISTED] = { "isolate: the page is off the driver's lists",
		"page->lru is the kernel's after isolate returned true: take the page off the list there" },
	[R_LRU] = { "page->lru of an isolated page is left alone",
		"from isolate to the end of migrate it is the kernel's, src's in migrate, too" },
	[R_ISOLATE_REF] = { "isolate and putback: references are left alone",
		"the kernel holds its own; the driver neither takes nor drops one" },
	[R_PUTBACK] = { "putback: the page can be isolated again",
		"putback has to undo all that isolate did" },
	[R_PUTBACK_SLEEPS] = { "putback: does not sleep in MIGRATE_ASYNC",
		"take no lock in putback that is held for long" },
	[R_KEPT] = { "putback: contents are as before",
		"the page stayed where it is: nothing may be written to it" },
	[R_MOVES] = { "migrate: pages are moved",
		"no page was moved, whatever the mode; what does migrate answer?" },
	[R_ERRNO] = { "migrate: answers 0 or a negative errno",
		"a positive number is no errno; the kernel would misread it" },
	[R_MIGRATE_SLEEPS] = { "migrate: does not sleep in MIGRATE_ASYNC",
		"answer -EAGAIN instead; it is tried again in another mode" },
	[R_CONTENTS] = { "migrate: the new page holds what the old one held",
		"copy_highpage(dst, src) before anybody can find dst" },
	[R_NEW_REF] = { "migrate: the new page has the driver's one reference",
		"the caller moves the driver's reference to dst: no get_page(), no put_page()" },
	[R_OLD_REF] = { "migrate: the references to the old page are gone, none leaked",
		"too many: somebody still holds src after migrate answered 0; too few: the driver dropped the one that the caller drops" },
	[R_OLD_USED] = { "migrate: the old page is not written to afterwards",
		"something in the driver still points to src: find all such places" },
	[R_KNOWN] = { "migrate: the driver knows the new page",
		"all that led to src has to lead to dst, which can then be isolated, too" },
	[R_FAILED] = { "migrate: an error leaves the pages as they were",
		"undo what was done before any other answer than 0 is given" },
	[R_LOST] = { "no page is lost in the end",
		"marked pages that can't be isolated any more: forgotten, or in use for ever" },
	[R_STOP] = { "stop: no page is isolated afterwards",
		"this is the framework's own; please report it" },
	[R_ENDS] = { "counters: each isolation has one end",
		"migrated, put back or released; or is another CPU's still under way?" },
	[R_NOW] = { "counters: no page stays isolated",
		"somebody isolated a page and lost it" },
	[R_SAME] = { "counters: as many pages are marked as before",
		"the driver marks or unmarks pages; say 'busy' if that is meant to be" },
	[R_WALK] = { "counters: so many pages are marked as there are",
		"pages were freed while marked, or marked pages were lost" },
};

/* Held in addition to the framework's, so that a page survives the driver. */
#define EXTRA_REFS	2
#define BATCH		16
#define OLD_PAGES	64
#define DST_FILL	0x5a
#define OLD_FILL	0xa5
/* A driver may be using the page: ask so often before it is called lost. */
#define TRIES		200

struct outcome {
	atomic_t seen, broken;
	char first[96];
};

static struct kit {
	struct address_space *mapping;
	/* What page->mapping of the mapping's pages is. */
	struct address_space *tag;
	char name[32];

	unsigned int pages;		/* in each step, of those there are */
	unsigned int moves;		/* in the race */
	bool busy;			/* the driver marks and unmarks */
	bool contents;			/* they don't change, and are copied */
	bool stop;

	bool stopped;
	int goal, end;			/* of the race: half-way and at its end */
	atomic_t tried, refused, moved, retried, put_back, released, failed;
	struct outcome outcome[RULES];
} kit;

/* What to say, in TAP, while there is no result; empty when there is one. */
static char kit_no_result[128] =
	"1..0 # SKIP no run yet: write \"NAME [OPTION...]\" to this file";

/* The race: how many are in it, and who waits for its end or its goal. */
static atomic_t kit_racers;
static DECLARE_WAIT_QUEUE_HEAD(kit_wait);

/* An isolated page. */
struct held {
	struct page *page;
	struct list_head list;		/* where the kernel would have it */
	u32 sum;
	bool listed;			/* page->lru is still the driver's */
};

/* Pages that were migrated away from, to see whether anybody writes to them. */
struct old_pages {
	struct page *page[OLD_PAGES];
	unsigned int next;
};

static const char *const mode_name[] = {
	[MIGRATE_ASYNC] = "MIGRATE_ASYNC",
	[MIGRATE_SYNC_LIGHT] = "MIGRATE_SYNC_LIGHT",
	[MIGRATE_SYNC] = "MIGRATE_SYNC",
};

/* Is the rule kept? The first time that it is not is described. */
static __printf(3, 4)
bool holds(enum rule rule, bool good, const char *fmt, ...)
{
	struct outcome *o = &kit.outcome[rule];
	va_list args;

	atomic_inc(&o->seen);
	if (!good && atomic_inc_return(&o->broken) == 1) {
		va_start(args, fmt);
		vsnprintf(o->first, sizeof(o->first), fmt, args);
		va_end(args);
	}
	return good;
}

static bool often_broken(enum rule rule)
{
	return atomic_read(&kit.outcome[rule].broken) >= 8;
}

static bool is_marked(struct page *page)
{
	return READ_ONCE(page->mapping) == kit.tag;
}

static void take_extra(struct page *page)
{
	page_ref_add(page, EXTRA_REFS);
}

static void drop_extra(struct page *page, int refs)
{
	while (refs--)
		put_page(page);
}

static u32 page_sum(struct page *page)
{
	void *data = kmap_local_page(page);
	u32 sum = jhash2(data, PAGE_SIZE / sizeof(u32), 0);

	kunmap_local(data);
	return sum;
}

static bool page_filled(struct page *page, int c)
{
	void *data = kmap_local_page(page);
	bool filled = !memchr_inv(data, c, PAGE_SIZE);

	kunmap_local(data);
	return filled;
}

/*
 * Is it on a list, so that the kernel's use of page->lru would break that one?
 * Whatever else it may hold is not followed blindly.
 */
static bool on_a_list(struct page *page)
{
	struct list_head *next = READ_ONCE(page->lru.next), *back;

	if (next == &page->lru || !next || next == LIST_POISON1)
		return false;
	return !get_kernel_nofault(back, &next->prev) && back == &page->lru;
}

/* A callback that slept has let another task run, by its own will. */
static void check_sleep(enum rule rule, enum migrate_mode mode,
			unsigned long switches, struct page *page)
{
	if (mode == MIGRATE_ASYNC)
		holds(rule, current->nvcsw == switches, "pfn %lx",
		      page_to_pfn(page));
}

static bool isolate(struct page *page, enum migrate_mode mode, struct held *h)
{
	unsigned long switches;
	bool ret;

	if (!is_marked(page))
		return false;
	atomic_inc(&kit.tried);
	switches = current->nvcsw;
	ret = driver_pages_test_isolate(page, mode);
	check_sleep(R_ISOLATE_SLEEPS, mode, switches, page);
	if (!ret) {
		atomic_inc(&kit.refused);
		return false;
	}

	h->page = page;
	h->sum = kit.contents ? page_sum(page) : 0;
	INIT_LIST_HEAD(&h->list);
	h->listed = on_a_list(page);
	if (holds(R_LISTED, !h->listed, "pfn %lx", page_to_pfn(page)))
		list_add(&page->lru, &h->list);
	return true;
}

/* The kernel takes the page off its list again: it should still be there. */
static void off_list(struct held *h)
{
	struct list_head *lru = &h->page->lru;

	if (h->listed)
		return;
	if (holds(R_LRU, h->list.next == lru && h->list.prev == lru &&
		  lru->next == &h->list && lru->prev == &h->list, "pfn %lx",
		  page_to_pfn(h->page)))
		list_del(lru);
	INIT_LIST_HEAD(&h->list);
}

static void put_back(struct held *h, enum migrate_mode mode)
{
	struct page *page = h->page;
	unsigned long switches;

	if (kit.contents && is_marked(page))
		holds(R_KEPT, page_sum(page) == h->sum, "pfn %lx, isolated",
		      page_to_pfn(page));
	off_list(h);
	atomic_inc(&kit.put_back);
	switches = current->nvcsw;
	driver_pages_test_putback(page, mode);
	check_sleep(R_PUTBACK_SLEEPS, mode, switches, page);
}

/*
 * Somebody else may hold a page for a moment: wait until its references are
 * @want, or it is no longer @marked: then they are somebody else's business.
 */
static int settled_refs(struct page *page, int want, bool marked)
{
	int refs;

	for (int i = 0; i < 4 * TRIES; i++) {
		refs = page_ref_count(page);
		if (refs == want || is_marked(page) != marked)
			break;
		usleep_range(500, 1000);
	}
	return refs;
}

/* The page has a reference for each of ours, and the driver's. */
static void check_new_refs(struct page *page)
{
	int refs;

	if (often_broken(R_NEW_REF))
		return;
	refs = settled_refs(page, EXTRA_REFS + 1, true);
	/* Unmarked meanwhile, it's on its way to be freed. */
	if (!is_marked(page))
		return;
	holds(R_NEW_REF, refs == EXTRA_REFS + 1, "pfn %lx: it has %d",
	      page_to_pfn(page), refs - EXTRA_REFS);
	/* So that we survive it. */
	if (refs <= EXTRA_REFS)
		get_page(page);
}

static void forget_old(struct page *page)
{
	int refs;

	if (!page)
		return;
	holds(R_OLD_USED, page_filled(page, OLD_FILL), "pfn %lx",
	      page_to_pfn(page));
	refs = often_broken(R_OLD_REF) ? EXTRA_REFS :
		settled_refs(page, EXTRA_REFS, false);
	holds(R_OLD_REF, refs == EXTRA_REFS, "pfn %lx: %d too many",
	      page_to_pfn(page), refs - EXTRA_REFS);
	drop_extra(page, min(refs, EXTRA_REFS));
}

/*
 * Two steps, since forgetting waits for whoever still looks at the page: others
 * who race must not wait for us meanwhile because of a page that we look at.
 */
static void make_room(struct old_pages *old)
{
	struct page **page = &old->page[old->next % OLD_PAGES];

	forget_old(*page);
	*page = NULL;
}

static void remember_old(struct old_pages *old, struct page *page)
{
	memset_page(page, 0, OLD_FILL, PAGE_SIZE);
	old->page[old->next++ % OLD_PAGES] = page;
}

static void forget_all_old(struct old_pages *old)
{
	for (int i = 0; i < OLD_PAGES; i++)
		forget_old(old->page[i]);
	kfree(old);
}

/*
 * Can it be isolated, sooner or later? Not asking for long what was answered
 * before: a driver that fails here does so for each page.
 */
static void check_isolates(enum rule rule, struct page *page,
			   enum migrate_mode mode, const char *when)
{
	int tries = often_broken(rule) ? 1 : TRIES;
	bool ok = false;
	struct held h;

	for (int i = 0; i < tries && !ok && is_marked(page); i++) {
		if (i)
			usleep_range(500, 1000);
		ok = isolate(page, mode, &h);
	}
	/* Stopped, or unmarked: then nobody can. */
	if (READ_ONCE(kit.stopped) || (!ok && !is_marked(page)))
		return;
	holds(rule, ok, "pfn %lx, %s: refused %d times %s", page_to_pfn(page),
	      mode_name[mode], tries, when);
	if (ok)
		put_back(&h, mode);
}

static struct page *new_page(void)
{
	struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN |
				       __GFP_NORETRY);

	if (page)
		memset_page(page, 0, DST_FILL, PAGE_SIZE);
	return page;
}

/*
 * Move it, with what retries the kernel would make, and some more; put it back
 * if that fails. Returns the new page, with EXTRA_REFS of ours, if it was moved.
 */
static struct page *move(struct held *h, enum migrate_mode mode,
			 struct old_pages *old)
{
	struct page *src = h->page, *dst = new_page();
	unsigned long switches;
	bool locked = !get_random_u32_below(8);
	int ret, tries = 0;

	/* No destination: the kernel puts the page back. */
	if (!dst || h->listed) {
		if (dst)
			put_page(dst);
		put_back(h, mode);
		return NULL;
	}

	make_room(old);
	take_extra(src);
	take_extra(dst);
	do {
		if (tries++) {
			atomic_inc(&kit.retried);
			cond_resched();
		}
		/* Somebody else has it: so it has to be tried again. */
		if (locked)
			lock_page(dst);
		switches = current->nvcsw;
		ret = driver_pages_test_migrate(dst, src, mode);
		check_sleep(R_MIGRATE_SLEEPS, mode, switches, src);
		if (locked)
			unlock_page(dst);
		locked = false;
	} while (ret == -EAGAIN && tries < 10);

	if (!ret) {
		off_list(h);
		if (atomic_inc_return(&kit.moved) == READ_ONCE(kit.goal))
			wake_up(&kit_wait);
		/* In the race dst may have moved on already, and be filled. */
		if (kit.contents)
			holds(R_CONTENTS, page_sum(dst) == h->sum ||
			      !is_marked(dst),
			      "pfn %lx to %lx, %s%s", page_to_pfn(src),
			      page_to_pfn(dst), mode_name[mode],
			      page_filled(dst, DST_FILL) ?
			      ": nothing was written to it" : "");
		remember_old(old, src);
		check_new_refs(dst);
		return dst;
	}

	if (ret > 0) {			/* released by the driver meanwhile */
		off_list(h);
		atomic_inc(&kit.released);
	} else {
		if (ret != -EAGAIN)
			atomic_inc(&kit.failed);
		holds(R_FAILED, !is_marked(dst) &&
		      page_ref_count(dst) >= EXTRA_REFS + 1 &&
		      (!kit.contents || page_sum(src) == h->sum),
		      "pfn %lx, answer %d", page_to_pfn(src), ret);
		put_back(h, mode);
	}
	drop_extra(src, EXTRA_REFS);
	drop_extra(dst, EXTRA_REFS);
	put_page(dst);
	return NULL;
}

/* Steps one by one: isolate and put back, or isolate and move. */
static void one_by_one(enum migrate_mode mode, bool moving,
		       struct old_pages *old)
{
	unsigned long pfn = 0;
	struct page *page, *dst;
	struct held h;
	int refs;

	for (unsigned int i = 0; i < kit.pages; i++) {
		page = driver_pages_test_next(kit.mapping, &pfn);
		if (!page || fatal_signal_pending(current))
			break;
		refs = page_ref_count(page);
		if (!isolate(page, mode, &h)) {
			put_page(page);
			continue;
		}
		if (moving) {
			put_page(page);
			dst = move(&h, mode, old);
			if (dst) {
				check_isolates(R_KNOWN, dst, mode,
					       "after it was moved there");
				drop_extra(dst, EXTRA_REFS);
			}
			continue;
		}
		/* Slow, now and then. */
		if (i % 64 == 63)
			usleep_range(1000, 2000);
		put_back(&h, mode);
		if (!kit.busy && is_marked(page)) {
			int now = settled_refs(page, refs, true);

			holds(R_ISOLATE_REF, now == refs || !is_marked(page),
			      "pfn %lx: %d references, were %d",
			      page_to_pfn(page), now, refs);
		}
		check_isolates(R_PUTBACK, page, mode, "after putback");
		put_page(page);
	}
}

/*
 * As compaction does it: isolate a number of pages, then migrate or put back
 * each, in another order; slowly, now and then. Without references of ours.
 */
static void in_batches(enum migrate_mode mode, struct old_pages *old)
{
	struct held held[BATCH];
	unsigned long pfn = 0;
	struct page *page;
	int n;

	for (unsigned int done = 0; done < kit.pages; done += n) {
		for (n = 0; n < BATCH;) {
			page = driver_pages_test_next(kit.mapping, &pfn);
			if (!page)
				break;
			n += isolate(page, mode, &held[n]);
			put_page(page);
		}
		if (!n || fatal_signal_pending(current))
			break;
		if (done % (4 * BATCH) == 0)
			usleep_range(5000, 10000);
		for (int i = n - 1; i > 0; i--) {
			int k = get_random_u32_below(i + 1);

			/* The lists' heads are in there, so they stay. */
			if (i % 3 && held[k].page) {
				page = move(&held[k], mode, old);
				if (page)
					drop_extra(page, EXTRA_REFS);
				held[k].page = NULL;
			}
		}
		for (int i = 0; i < n; i++)
			if (held[i].page)
				put_back(&held[i], mode);
	}
}

/* One of several that do all of it at once, against the driver and each other. */
static int race(void *unused)
{
	struct old_pages *old = kzalloc(sizeof(*old), GFP_KERNEL);
	unsigned long pfn = get_random_u32_below(totalram_pages());
	unsigned int tries = 0;
	struct page *page;
	struct held h;

	while (old && !kthread_should_stop()) {
		enum migrate_mode mode = get_random_u32_below(MIGRATE_SYNC + 1);
		int fate = get_random_u32_below(8);

		cond_resched();
		if (atomic_read(&kit.moved) >= kit.end || tries++ > kit.moves * 2)
			break;
		page = driver_pages_test_next(kit.mapping, &pfn);
		if (!page) {
			pfn = 0;
			continue;
		}
		if (!isolate(page, mode, &h)) {
			put_page(page);
			continue;
		}
		put_page(page);
		holds(R_STOP, !READ_ONCE(kit.stopped), "pfn %lx",
		      page_to_pfn(page));
		if (fate == 7 && tries % 16 == 0)
			usleep_range(1000, 2000);
		if (fate >= 6) {
			put_back(&h, mode);
			continue;
		}
		page = move(&h, mode, old);
		if (!page)
			continue;
		if (fate == 0)
			check_isolates(R_KNOWN, page, mode,
				       "after it was moved there");
		drop_extra(page, EXTRA_REFS);
	}
	if (old)
		forget_all_old(old);
	if (atomic_dec_and_test(&kit_racers))
		wake_up(&kit_wait);
	return 0;
}

/* Stop the mapping while all are at it: nobody isolates a page after that. */
static void stop_in_the_middle(void)
{
	unsigned long pfn = 0;
	struct page *page;
	struct held h;

	driver_pages_stop(kit.mapping);
	WRITE_ONCE(kit.stopped, true);
	for (unsigned int i = 0; i < kit.pages; i++) {
		page = driver_pages_test_next(kit.mapping, &pfn);
		if (!page)
			break;
		if (!holds(R_STOP, !isolate(page, MIGRATE_SYNC, &h), "pfn %lx",
			   page_to_pfn(page)))
			put_back(&h, MIGRATE_SYNC);
		put_page(page);
	}
}

static void racing(void)
{
	struct task_struct *task[8];
	int n = min_t(int, 2 * num_online_cpus(), ARRAY_SIZE(task));

	kit.end = atomic_read(&kit.moved) + kit.moves;
	WRITE_ONCE(kit.goal, kit.end - kit.moves / 2);
	atomic_set(&kit_racers, n);
	for (int i = 0; i < n; i++) {
		task[i] = kthread_create(race, NULL, "driver_pages_kit/%d", i);
		if (IS_ERR(task[i])) {
			atomic_dec(&kit_racers);
			continue;
		}
		get_task_struct(task[i]);
		wake_up_process(task[i]);
	}
	if (kit.stop && !wait_event_killable(kit_wait,
			!atomic_read(&kit_racers) ||
			atomic_read(&kit.moved) >= kit.goal))
		stop_in_the_middle();
	wait_event_killable(kit_wait, !atomic_read(&kit_racers));
	for (int i = 0; i < n; i++) {
		if (IS_ERR(task[i]))
			continue;
		kthread_stop(task[i]);
		put_task_struct(task[i]);
	}
}

static u64 isolated_now(struct driver_pages_stats *s)
{
	return s->isolated - s->migrated - s->put_back - s->released;
}

static u64 count_marked(void)
{
	unsigned long pfn = 0;
	struct page *page;
	u64 n = 0;

	while ((page = driver_pages_test_next(kit.mapping, &pfn))) {
		put_page(page);
		n++;
	}
	return n;
}

static void check_counters(struct driver_pages_stats *before)
{
	struct driver_pages_stats *now = kzalloc(sizeof(*now), GFP_KERNEL);
	u64 there = 0;
	int i;

	if (!now)
		return;
	/* Compaction of the guest's own may be at it. */
	for (i = 0; i < TRIES; i++) {
		driver_pages_test_stats(kit.mapping, now);
		if (!isolated_now(now))
			break;
		usleep_range(5000, 10000);
	}
	holds(R_NOW, !isolated_now(now), "%lld are", (s64)isolated_now(now));
	holds(R_ENDS, now->isolated - before->isolated >=
	      atomic_read(&kit.tried) - atomic_read(&kit.refused) &&
	      now->migrated - before->migrated >= atomic_read(&kit.moved) &&
	      now->put_back - before->put_back + now->released -
	      before->released >= atomic_read(&kit.put_back),
	      "%llu isolated, %llu migrated, %llu put back, %llu released",
	      now->isolated, now->migrated, now->put_back, now->released);
	holds(R_ERRNO, now->errors[0] == before->errors[0],
	      "%llu such answers", now->errors[0] - before->errors[0]);

	for (i = 0; i < 20; i++) {
		driver_pages_test_stats(kit.mapping, now);
		there = count_marked();
		if (there == now->marked)
			break;
		usleep_range(5000, 10000);
	}
	if (kit.busy)
		return;
	holds(R_SAME, now->marked == before->marked, "%llu, were %llu",
	      now->marked, before->marked);
	holds(R_WALK, there == now->marked, "%llu by the counter, %llu found",
	      now->marked, there);
}

/* After the race, with nobody else at it: is there a page that got lost? */
static void last_sweep(void)
{
	unsigned long pfn = 0;
	struct page *page;

	while ((page = driver_pages_test_next(kit.mapping, &pfn))) {
		check_isolates(R_LOST, page, MIGRATE_SYNC, "in the end");
		put_page(page);
		if (often_broken(R_LOST) || fatal_signal_pending(current))
			break;
	}
}

/**
 * kit_fail() - there is no run, or it did not get to its end
 * @err: what the writer is told
 * @why: what the reader is told, so that nobody takes the result of an earlier
 *	run, or of none, for this one's
 *
 * Return: @err.
 */
int kit_fail(int err, const char *why, ...)
{
	va_list args;
	int n;

	n = scnprintf(kit_no_result, sizeof(kit_no_result), "Bail out! ");
	va_start(args, why);
	vsnprintf(kit_no_result + n, sizeof(kit_no_result) - n, why, args);
	va_end(args);
	return err;
}

static int parse(char *options)
{
	char *word = strsep(&options, " \t");

	memset(&kit, 0, sizeof(kit));
	/* Cut, it could be the name of another one. */
	if (strscpy(kit.name, word) < 0)
		return kit_fail(-ENOENT, "no mapping has so long a name");
	kit.pages = 256;
	kit.moves = 20000;
	kit.contents = true;
	while ((word = strsep(&options, " \t"))) {
		if (!*word)
			continue;
		if (!strcmp(word, "busy"))
			kit.busy = true;
		else if (!strcmp(word, "stop"))
			kit.stop = true;
		else if (!strcmp(word, "contents=no"))
			kit.contents = false;
		else if (sscanf(word, "pages=%u", &kit.pages) != 1 &&
			 sscanf(word, "moves=%u", &kit.moves) != 1)
			return kit_fail(-EINVAL, "unknown option: %.32s", word);
	}
	return 0;
}

int kit_run(const char *text)
{
	char *options __free(kfree) = kstrdup(text, GFP_KERNEL);
	struct driver_pages_stats *before __free(kfree) =
		kzalloc(sizeof(*before), GFP_KERNEL);
	struct old_pages *old = kzalloc(sizeof(*old), GFP_KERNEL);
	unsigned long pfn = 0;
	struct page *page;
	int err;

	if (!options || !before || !old) {
		err = kit_fail(-ENOMEM, "no memory for a run");
		goto out;
	}
	err = parse(options);
	if (err)
		goto out;
	kit.mapping = driver_pages_test_get(kit.name);
	if (IS_ERR(kit.mapping)) {
		err = PTR_ERR(kit.mapping);
		kit_fail(err, err == -ENOENT ? "no mapping has this name: %s" :
			 "the owner of this mapping is being unloaded: %s",
			 kit.name);
		goto out;
	}

	driver_pages_test_stats(kit.mapping, before);
	page = driver_pages_test_next(kit.mapping, &pfn);
	if (holds(R_MARKED, page, "none is")) {
		kit.tag = READ_ONCE(page->mapping);
		put_page(page);
		for (enum migrate_mode mode = 0; mode <= MIGRATE_SYNC; mode++)
			one_by_one(mode, false, old);
		holds(R_ISOLATE, atomic_read(&kit.put_back), "%d refusals",
		      atomic_read(&kit.refused));
		for (enum migrate_mode mode = 0; mode <= MIGRATE_SYNC; mode++)
			one_by_one(mode, true, old);
		for (enum migrate_mode mode = 0; mode <= MIGRATE_SYNC; mode++)
			in_batches(mode, old);
		holds(R_MOVES, atomic_read(&kit.moved), "%d errors, %d retries",
		      atomic_read(&kit.failed), atomic_read(&kit.retried));
		racing();
		if (!kit.stop && !kit.busy)
			last_sweep();
		check_counters(before);
	}
	driver_pages_test_put(kit.mapping);
	if (fatal_signal_pending(current))
		err = kit_fail(-EINTR, "the run was interrupted");
	else
		kit_no_result[0] = '\0';
out:
	if (old)
		forget_all_old(old);
	return err;
}

void kit_show(struct seq_file *m)
{
	if (*kit_no_result) {
		seq_printf(m, "%s\n", kit_no_result);
		return;
	}
	seq_printf(m, "1..%d\n", RULES);
	for (int i = 0; i < RULES; i++) {
		struct outcome *o = &kit.outcome[i];
		int seen = atomic_read(&o->seen);
		int broken = atomic_read(&o->broken);

		/* Where the page lock was waited for it wasn't the driver. */
		if (i == R_PUTBACK_SLEEPS && broken * 2 < seen)
			broken = 0;
		seq_printf(m, "%sok %d - %s%s\n", broken ? "not " : "", i + 1,
			   rules[i].what,
			   seen ? "" : " # SKIP nothing to judge by");
		if (broken)
			seq_printf(m, "# %d of %d times; the first: %s\n# %s\n",
				   broken, seen, o->first, rules[i].advice);
	}
	seq_printf(m, "# mapping %s: %d isolations tried, %d refused, %d moved, %d retries, %d put back, %d released, %d failed\n",
		   kit.name, atomic_read(&kit.tried), atomic_read(&kit.refused),
		   atomic_read(&kit.moved), atomic_read(&kit.retried),
		   atomic_read(&kit.put_back), atomic_read(&kit.released),
		   atomic_read(&kit.failed));
}
