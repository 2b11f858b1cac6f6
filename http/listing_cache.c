/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keeps listings of directories until the directories change.
 *
 * Must not know: requests, how a page is made.
 * Invariants: a page is reused only for the same directory, the same path and the same modification
 * time, and only if that time was clearly in the past when the names were read: a name that is
 * added in the same tick of the file system's clock does not change it. Descriptors and memory are
 * bounded by LISTING_CACHE_ENTRIES.
 */
#include "http/listing_cache.h"

#include "http/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Longer than a tick of any file system's time stamps (FAT: 2 seconds). */
#define SETTLED_S 3

struct cached {
	char *path; /* NULL: empty */
	struct stat directory;
	int page;
	size_t len;
	uint64_t used; /* value of `clock` at the last use */
};

struct listing_cache {
	struct cached entry[LISTING_CACHE_ENTRIES];
	uint64_t clock; /* counts uses */
};

static bool is_same(const struct stat *a, const struct stat *b) {
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void forget(struct cached *entry) {
	if(entry->path) {
		close(entry->page);
		free(entry->path);
	}
	*entry = (struct cached){0};
}

/* The entry for `path`, or the one that was used least recently. */
static struct cached *find_entry(struct listing_cache *cache, const char *path) {
	struct cached *oldest = &cache->entry[0];
	for(size_t i = 0; i < LISTING_CACHE_ENTRIES; i++) {
		struct cached *entry = &cache->entry[i];
		if(entry->path && strcmp(entry->path, path) == 0) {
			return entry;
		}
		if(entry->used < oldest->used) {
			oldest = entry;
		}
	}
	return oldest;
}

static int duplicate(int fd) {
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

/* Keeps `page` if the directory has not changed recently; otherwise, or on failure, it does not. */
static void keep(struct cached *entry, const char *path, const struct stat *directory, int page,
	size_t len) {
	struct cached fresh = {.directory = *directory, .len = len};
	forget(entry);
	if(time(NULL) - directory->st_mtim.tv_sec < SETTLED_S) {
		return;
	}
	fresh.page = duplicate(page);
	if(fresh.page < 0) {
		return;
	}
	fresh.path = strdup(path);
	if(!fresh.path) {
		close(fresh.page);
		return;
	}
	*entry = fresh;
}

int listing_cache_open(
	struct listing_cache *cache, int fd, const char *path, size_t *len, bool *made) {
	struct stat directory;
	*made = false;
	if(fstat(fd, &directory) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	struct cached *entry = find_entry(cache, path);
	if(entry->path && strcmp(entry->path, path) == 0 &&
		is_same(&entry->directory, &directory)) {
		close(fd);
		entry->used = ++cache->clock;
		*len = entry->len;
		return duplicate(entry->page);
	}
	*made = true;
	int page = listing_open(fd, path, len);
	if(page >= 0) {
		keep(entry, path, &directory, page, *len);
		entry->used = ++cache->clock;
	}
	return page;
}

struct listing_cache *listing_cache_new(void) {
	return calloc(1, sizeof(struct listing_cache));
}

void listing_cache_free(struct listing_cache *cache) {
	for(size_t i = 0; cache && i < LISTING_CACHE_ENTRIES; i++) {
		forget(&cache->entry[i]);
	}
	free(cache);
}
