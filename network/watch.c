/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Watching files.
 *
 * Must not know: their contents.
 * Invariants: the status of every file is taken before a change is told, so a change that comes
 * while the files are read is told as the next one. Comparing works on network file systems too,
 * where inotify(7) sees nothing of other machines.
 */
#include "network/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct watch_file {
	char *path;
	int error; /* errno of stat(); 0: `status` is valid */
	struct stat status;
};

struct watch {
	struct ev_timer timer;
	struct deferred_free dead;
	struct loop *loop;
	watch_fn *fn;
	void *ctx;
	struct watch_file *file;
	size_t files;
	bool changed; /* and not told yet */
	uint64_t changed_ms; /* when the first of these changes was seen */
};

static bool same_time(struct timespec a, struct timespec b) {
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/*
 * The time of the last status change tells of a new owner or mode, and of all that the other fields
 * may miss.
 */
static bool same_status(const struct stat *a, const struct stat *b) {
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

/* Takes the status of a file. Does it differ from the last? */
static bool file_changed(struct watch_file *file) {
	struct stat status = {0};
	assert(file->path);
	int error = stat(file->path, &status) < 0 ? errno : 0;
	bool changed = error != file->error || !same_status(&status, &file->status);
	file->error = error;
	file->status = status;
	return changed;
}

static bool any_changed(struct watch *watch) {
	bool changed = false;
	struct watch_file *file = watch->file;
	assert(file || watch->files == 0);
	for(size_t left = watch->files; left > 0; left--) {
		changed = file_changed(file) || changed;
		file++;
	}
	return changed;
}

static void watch_arm(struct watch *watch) {
	if(watch->files > 0) {
		loop_timer_set(watch->loop, &watch->timer, watch->loop->now_ms + WATCH_PERIOD_MS);
	} else {
		loop_timer_cancel(watch->loop, &watch->timer);
	}
}

/*
 * A certificate and its key are written one after the other: both should be complete when they are
 * read.
 */
static void watch_due(struct ev_timer *timer) {
	struct watch *watch = container_of(timer, struct watch, timer);
	uint64_t now_ms = watch->loop->now_ms;
	bool moving = any_changed(watch);
	if(moving && !watch->changed) {
		watch->changed = true;
		watch->changed_ms = now_ms;
	}
	watch_arm(watch);
	if(watch->changed && (!moving || now_ms - watch->changed_ms >= WATCH_SETTLE_MAX_MS)) {
		watch->changed = false;
		watch->fn(watch->ctx);
	}
}

int watch_open(struct watch **out, struct loop *loop, watch_fn *fn, void *ctx) {
	struct watch *watch = calloc(1, sizeof(*watch));
	if(!watch) {
		return -ENOMEM;
	}
	watch->loop = loop;
	watch->fn = fn;
	watch->ctx = ctx;
	int result = loop_timer_open(loop, &watch->timer, watch_due);
	if(result) {
		free(watch);
		return result;
	}
	*out = watch;
	return 0;
}

static void forget_files(struct watch *watch) {
	for(size_t i = 0; i < watch->files; i++) {
		free(watch->file[i].path);
	}
	free(watch->file);
	watch->file = NULL;
	watch->files = 0;
	watch->changed = false;
}

int watch_files(struct watch *watch, size_t count, const char *const *paths) {
	forget_files(watch);
	watch->file = calloc(count, sizeof(*watch->file));
	for(size_t i = 0; watch->file && i < count; i++) {
		watch->file[i].path = strdup(paths[i]);
		if(!watch->file[i].path) {
			break;
		}
		watch->files++;
	}
	any_changed(watch);
	watch_arm(watch);
	return watch->files < count ? -ENOMEM : 0;
}

static void watch_free(struct deferred_free *dead) {
	free(container_of(dead, struct watch, dead));
}

void watch_close(struct watch *watch) {
	if(!watch) {
		return;
	}
	forget_files(watch);
	loop_timer_close(watch->loop, &watch->timer);
	watch->dead.free = watch_free;
	loop_defer_free(watch->loop, &watch->dead);
}
