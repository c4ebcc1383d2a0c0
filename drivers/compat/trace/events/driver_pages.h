/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM driver_pages

#if !defined(_TRACE_DRIVER_PAGES_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_DRIVER_PAGES_H

#include <linux/migrate_mode.h>
#include <linux/mm.h>
#include <linux/tracepoint.h>

TRACE_DEFINE_ENUM(MIGRATE_ASYNC);
TRACE_DEFINE_ENUM(MIGRATE_SYNC_LIGHT);
TRACE_DEFINE_ENUM(MIGRATE_SYNC);

#define show_driver_page_mode(mode)					\
	__print_symbolic(mode,						\
			 { MIGRATE_ASYNC,	"MIGRATE_ASYNC" },	\
			 { MIGRATE_SYNC_LIGHT,	"MIGRATE_SYNC_LIGHT" },	\
			 { MIGRATE_SYNC,	"MIGRATE_SYNC" })

TRACE_EVENT(driver_page_isolate,

	TP_PROTO(const char *name, struct page *page, enum migrate_mode mode,
		 bool ret),

	TP_ARGS(name, page, mode, ret),

	TP_STRUCT__entry(
		__string(name, name)
		__field(unsigned long, pfn)
		__field(int, mode)
		__field(bool, ret)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->pfn = page_to_pfn(page);
		__entry->mode = mode;
		__entry->ret = ret;
	),

	TP_printk("name=%s pfn=0x%lx mode=%s ret=%d", __get_str(name),
		  __entry->pfn, show_driver_page_mode(__entry->mode),
		  __entry->ret)
);

TRACE_EVENT(driver_page_migrate,

	TP_PROTO(const char *name, struct page *src, struct page *dst,
		 enum migrate_mode mode, int ret),

	TP_ARGS(name, src, dst, mode, ret),

	TP_STRUCT__entry(
		__string(name, name)
		__field(unsigned long, src_pfn)
		__field(unsigned long, dst_pfn)
		__field(int, mode)
		__field(int, ret)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->src_pfn = page_to_pfn(src);
		__entry->dst_pfn = page_to_pfn(dst);
		__entry->mode = mode;
		__entry->ret = ret;
	),

	TP_printk("name=%s src_pfn=0x%lx dst_pfn=0x%lx mode=%s ret=%d",
		  __get_str(name), __entry->src_pfn, __entry->dst_pfn,
		  show_driver_page_mode(__entry->mode), __entry->ret)
);

TRACE_EVENT(driver_page_putback,

	TP_PROTO(const char *name, struct page *page, enum migrate_mode mode),

	TP_ARGS(name, page, mode),

	TP_STRUCT__entry(
		__string(name, name)
		__field(unsigned long, pfn)
		__field(int, mode)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->pfn = page_to_pfn(page);
		__entry->mode = mode;
	),

	TP_printk("name=%s pfn=0x%lx mode=%s", __get_str(name), __entry->pfn,
		  show_driver_page_mode(__entry->mode))
);

/* The driver unmarked the page while it was isolated. */
TRACE_EVENT(driver_page_release,

	TP_PROTO(const char *name, struct page *page),

	TP_ARGS(name, page),

	TP_STRUCT__entry(
		__string(name, name)
		__field(unsigned long, pfn)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->pfn = page_to_pfn(page);
	),

	TP_printk("name=%s pfn=0x%lx", __get_str(name), __entry->pfn)
);

#endif /* _TRACE_DRIVER_PAGES_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
