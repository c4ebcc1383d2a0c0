/* SPDX-License-Identifier: GPL-2.0 */
/* As linux/driver_pages.h beside this file. */
#include "../../driver_pages/test.h"
