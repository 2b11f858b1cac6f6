/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The page that stands for a directory without an index: its names as links.
 */
#ifndef WEBSOCKSY_LISTING_H
#define WEBSOCKSY_LISTING_H
#include <stddef.h>

/* More names than this are left out, and the page says so. */
#define LISTING_NAMES_MAX 2000

/*
 * Writes the page of the directory `fd` (closed in any case) to `*out`, `*len` bytes that the caller
 * frees. `path` is what the page calls it, with slashes at both ends. Hidden names and what is
 * neither file, directory nor link are left out; directories come first, then the order is that of
 * the bytes. 0 or negative errno.
 */
int listing_make(int fd, const char *path, char **out, size_t *len);
#endif
