/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Driver pages on a kernel whose core does not have them: driver_pages.ko.
 *
 * The patched kernel of guest-kernel/ brings a header of this name with the
 * same text as the one below; it is then found first.
 */
#include <ballast/driver_pages.h>
