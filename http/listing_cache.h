/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keeps listings of directories until the directories change.
 */
#ifndef WEBSOCKSY_LISTING_CACHE_H
#define WEBSOCKSY_LISTING_CACHE_H
#include <stdbool.h>
#include <stddef.h>

/* Each takes a descriptor and the memory of its page. */
#define LISTING_CACHE_ENTRIES 8

struct listing_cache;

/* An empty cache, or NULL: no memory. */
struct listing_cache *listing_cache_new(void);

/*
 * As listing_open(), but the page is made only if there is none from the present state of the
 * directory, which its modification time tells. `*made`: it was, which takes up to some
 * milliseconds. A descriptor that the caller closes and uses with explicit offsets only, or
 * negative errno.
 */
int listing_cache_open(
	struct listing_cache *cache, int fd, const char *path, size_t *len, bool *made);

/* Closes and frees everything. NULL: nothing. */
void listing_cache_free(struct listing_cache *cache);
#endif
