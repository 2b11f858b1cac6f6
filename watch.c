/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Watching files.
 *
 * Must not know: what is in them.
 * Invariants: `directory[i]` is the watch descriptor of the directory of `path[i]`, or -1.
 */
#include "watch.h"

#include "log.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* A certificate and its key are written one after the other: both should be there. */
#define WATCH_SETTLE_MS 300
#define WATCH_EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)
#define WATCH_READ 4096

struct watch {
	struct ev_io io;
	struct ev_timer timer;
	struct ev_dead dead;
	struct loop *loop;
	watch_fn *fn;
	void *ctx;
	size_t count;
	char **path;
	int *directory;
};

static const char *base_of(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_ours(const struct watch *watch, const struct inotify_event *event) {
	for(size_t i = 0; i < watch->count; i++) {
		if(watch->directory[i] == event->wd && event->len > 0 &&
			strcmp(base_of(watch->path[i]), event->name) == 0) {
			return true;
		}
	}
	return false;
}

static void watch_due(struct ev_timer *timer) {
	struct watch *watch = LOOP_OWNER(timer, struct watch, timer);
	watch->fn(watch->ctx);
}

static void watch_run(struct ev_io *io) {
	struct watch *watch = LOOP_OWNER(io, struct watch, io);
	_Alignas(struct inotify_event) char events[WATCH_READ];
	ssize_t got;
	bool ours = false;
	while((got = read(io->fd, events, sizeof(events))) > 0) {
		for(char *at = events; at < events + got;) {
			const struct inotify_event *event =
				(const struct inotify_event *)(void *)at;
			ours = ours || is_ours(watch, event);
			at += sizeof(*event) + event->len;
		}
	}
	loop_used_up(io, LOOP_IN);
	if(ours &&
		loop_timer_set(watch->loop, &watch->timer, watch->loop->now_ms + WATCH_SETTLE_MS)) {
		watch->fn(watch->ctx);
	}
}

/* The same directory may be watched for several files: the kernel then answers the same number. */
static void forget_all(struct watch *watch) {
	for(size_t i = 0; i < watch->count; i++) {
		if(watch->directory[i] >= 0) {
			/* A second time for the same directory fails, and that is fine. */
			inotify_rm_watch(watch->io.fd, watch->directory[i]);
		}
		free(watch->path[i]);
	}
	free(watch->path);
	free(watch->directory);
	watch->path = NULL;
	watch->directory = NULL;
	watch->count = 0;
}

static int watch_add(struct watch *watch, const char *path) {
	char *copy = strdup(path);
	char *directory = strdup(path);
	if(!copy || !directory) {
		free(copy);
		free(directory);
		return -ENOMEM;
	}
	int wd = inotify_add_watch(watch->io.fd, dirname(directory), WATCH_EVENTS);
	if(wd < 0) {
		log_write(LOG_WARNING, "cannot watch %s for changes: %s", path, strerror(errno));
	}
	free(directory);
	watch->path[watch->count] = copy;
	watch->directory[watch->count] = wd;
	watch->count++;
	return 0;
}

int watch_open(struct watch **out, struct loop *loop, watch_fn *fn, void *ctx) {
	struct watch *watch = calloc(1, sizeof(*watch));
	if(!watch) {
		return -ENOMEM;
	}
	watch->loop = loop;
	watch->fn = fn;
	watch->ctx = ctx;
	watch->timer.fn = watch_due;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int result = fd < 0 ? -errno : loop_add(loop, &watch->io, fd, LOOP_IN, LOOP_IN, watch_run);
	if(result) {
		if(fd >= 0) {
			close(fd);
		}
		free(watch);
		return result;
	}
	*out = watch;
	return 0;
}

int watch_files(struct watch *watch, size_t count, const char *const *paths) {
	forget_all(watch);
	watch->path = calloc(count + 1, sizeof(*watch->path));
	watch->directory = calloc(count + 1, sizeof(*watch->directory));
	if(!watch->path || !watch->directory) {
		return -ENOMEM;
	}
	for(size_t i = 0; i < count; i++) {
		if(watch_add(watch, paths[i])) {
			return -ENOMEM;
		}
	}
	return 0;
}

static void watch_free(struct ev_dead *dead) {
	free(LOOP_OWNER(dead, struct watch, dead));
}

void watch_close(struct watch *watch) {
	if(!watch) {
		return;
	}
	forget_all(watch);
	loop_timer_cancel(watch->loop, &watch->timer);
	loop_close_io(watch->loop, &watch->io);
	watch->dead.free = watch_free;
	loop_bury(watch->loop, &watch->dead);
}
