/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listings of directories as HTML pages.
 */
#ifndef WEBSOCKSY_LISTING_H
#define WEBSOCKSY_LISTING_H
#include <stddef.h>

/* Further names are left out, and the page says so. */
#define LISTING_NAMES_MAX 2000

/*
 * Makes the page for the directory `fd`, which is closed in any case. `path` is shown as its name
 * and has slashes at both ends. Hidden names and special files are left out; directories come
 * first, names are sorted by their bytes. A descriptor of a file with the page, whose length is
 * `*len`, or negative errno.
 */
int listing_open(int fd, const char *path, size_t *len);
#endif
