/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A zpool driver on kernels that have no zpool, Debian's cloud kernels for
 * example: it can be defined, but not registered.
 */
#ifndef _COMPAT_ZPOOL_DRIVER_H
#define _COMPAT_ZPOOL_DRIVER_H

#include <linux/list.h>
#include <linux/module.h>
#include <linux/zpool.h>

#if IS_ENABLED(CONFIG_ZPOOL)
/* Return: true if zpool knows the driver now. */
static inline bool zpool_driver_add(struct zpool_driver *driver)
{
	zpool_register_driver(driver);
	return true;
}

static inline void zpool_driver_del(struct zpool_driver *driver)
{
	zpool_unregister_driver(driver);
}
#else
static inline bool zpool_driver_add(struct zpool_driver *driver)
{
	return false;
}

static inline void zpool_driver_del(struct zpool_driver *driver)
{
}
#endif

#endif /* _COMPAT_ZPOOL_DRIVER_H */
