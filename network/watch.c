/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Watching files.
 *
 * Must not know: what is in them.
 * Invariants: `name` holds each name on the way to each file, as far as that way exists, with the number of the watch
 * of its directory; after a change it is drawn up anew before anybody reads the files, so no change is missed from the call of watch_files() on.
 */
#include "network/watch.h"

#include "base/log.h"
#include "base/passes.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* A certificate and its key are written one after the other: both should be there. */
#define WATCH_SETTLE_MS 300
/* Something else has the name now: any on the way. */
#define WATCH_NAME (IN_MOVED_TO | IN_CREATE)
/* The file itself may be rewritten, or be made readable for us. */
#define WATCH_FILE (WATCH_NAME | IN_CLOSE_WRITE | IN_ATTRIB)
#define WATCH_READ 4096
#define WATCH_READS 16 /* in one turn */
#define WATCH_LINKS 40 /* on one way; as path_resolution(7) has it */

struct watch_name {
	int directory; /* watch descriptor */
	char *name;
};

struct watch {
	struct ev_io io;
	struct ev_timer timer;
	struct deferred_free dead;
	struct loop *loop;
	watch_fn *fn;
	void *ctx;
	char **path;
	size_t paths;
	struct watch_name *name;
	size_t names;
};

/* Where a walk along a path is. */
struct walk {
	char at[PATH_MAX]; /* a directory without links on its way; "": the root */
	char rest[PATH_MAX]; /* of the path, from there */
	int links;
};

static bool is_ours(const struct watch *watch, const struct inotify_event *event) {
	if(event->mask & IN_Q_OVERFLOW) {
		return true;
	}
	for(size_t i = 0; i < watch->names; i++) {
		if(watch->name[i].directory == event->wd && event->len > 0 &&
			strcmp(watch->name[i].name, event->name) == 0) {
			return true;
		}
	}
	return false;
}

static void forget_names(struct watch *watch) {
	for(size_t i = 0; i < watch->names; i++) {
		/* A second time for the same directory fails, and that is fine. */
		inotify_rm_watch(watch->io.fd, watch->name[i].directory);
		free(watch->name[i].name);
	}
	free(watch->name);
	watch->name = NULL;
	watch->names = 0;
}

static void forget_paths(struct watch *watch) {
	for(size_t i = 0; i < watch->paths; i++) {
		free(watch->path[i]);
	}
	free(watch->path);
	watch->path = NULL;
	watch->paths = 0;
}

/* Watches a name in the directory where the walk is. */
static int add_name(struct watch *watch, const struct walk *walk, const char *name, bool last) {
	const char *directory = walk->at[0] ? walk->at : "/";
	uint32_t mask = (last ? WATCH_FILE : WATCH_NAME) | IN_MASK_ADD | IN_ONLYDIR;
	int wd = inotify_add_watch(watch->io.fd, directory, mask);
	if(wd < 0) {
		/* Directories that may be passed but not read are common high up, and hardly change. */
		if(last || errno != EACCES) {
			log_write(LOG_WARNING, "cannot watch %s for changes of %s: %s", directory,
				name, strerror(errno));
		}
		return 0;
	}
	struct watch_name *grown = realloc(watch->name, (watch->names + 1) * sizeof(*watch->name));
	char *copy = strdup(name);
	if(grown) {
		watch->name = grown;
	}
	if(!grown || !copy) {
		inotify_rm_watch(watch->io.fd, wd);
		free(copy);
		return -ENOMEM;
	}
	grown[watch->names].directory = wd;
	grown[watch->names].name = copy;
	watch->names++;
	return 0;
}

/* Puts `first` in front of what is left, or false if that becomes too long. */
static bool walk_prepend(struct walk *walk, const char *first) {
	size_t len = strlen(first);
	size_t left = strlen(walk->rest) + 1;
	if(len + 1 + left > sizeof(walk->rest)) {
		return false;
	}
	memmove(walk->rest + len + 1, walk->rest, left);
	memcpy(walk->rest, first, len);
	walk->rest[len] = '/';
	if(first[0] == '/') {
		walk->at[0] = '\0';
	}
	return true;
}

/* Goes into `name`, which may be a link. False: the way ends here. */
static bool walk_enter(struct walk *walk, const char *name) {
	char target[PATH_MAX];
	size_t len = strlen(walk->at);
	size_t name_len = strlen(name);
	if(len + 1 + name_len + 1 > sizeof(walk->at)) {
		return false;
	}
	walk->at[len] = '/';
	memcpy(walk->at + len + 1, name, name_len + 1);
	ssize_t got = readlink(walk->at, target, sizeof(target) - 1);
	if(got < 0) {
		return errno == EINVAL; /* it is no link */
	}
	target[got] = '\0';
	walk->at[len] = '\0';
	return ++walk->links <= WATCH_LINKS && walk_prepend(walk, target);
}

/* Takes the next name off the path. False: there is none. */
static bool walk_next(struct walk *walk, char name[NAME_MAX + 1]) {
	const char *from = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(from, "/");
	if(len == 0 || len > NAME_MAX) {
		return false;
	}
	memcpy(name, from, len);
	name[len] = '\0';
	from += len + strspn(from + len, "/");
	memmove(walk->rest, from, strlen(from) + 1);
	return true;
}

/* Each name is watched before one looks what it is, so what it becomes meanwhile is noticed. */
static int add_path(struct watch *watch, const char *path) {
	struct walk walk = {.at = "."};
	char name[NAME_MAX + 1];
	if(!walk_prepend(&walk, path)) {
		return 0;
	}
	while(walk_next(&walk, name)) {
		bool is_step = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
		if(!is_step && add_name(watch, &walk, name, walk.rest[0] == '\0')) {
			return -ENOMEM;
		}
		if(!walk_enter(&walk, name)) {
			break;
		}
	}
	return 0;
}

static void add_all(struct watch *watch) {
	int result = 0;
	forget_names(watch);
	for(size_t i = 0; i < watch->paths && result == 0; i++) {
		result = add_path(watch, watch->path[i]);
	}
	if(result) {
		log_write(LOG_WARNING, "cannot watch all files for changes: out of memory");
	}
}

static void watch_due(struct ev_timer *timer) {
	struct watch *watch = container_of(timer, struct watch, timer);
	add_all(watch);
	watch->fn(watch->ctx);
}

static void watch_run(struct ev_io *io) {
	struct watch *watch = container_of(io, struct watch, io);
	_Alignas(struct inotify_event) char events[WATCH_READ];
	ssize_t got = 1;
	bool ours = false;
	/* If there is more, reading goes on in the next turn. */
	for(int i = 0; i < WATCH_READS && got > 0; i++) {
		got = RETRY_INTERRUPTED(read(io->fd, events, sizeof(events)));
		for(char *at = events; at < events + got;) {
			const struct inotify_event *event =
				(const struct inotify_event *)(void *)at;
			ours = ours || is_ours(watch, event);
			at += sizeof(*event) + event->len;
		}
	}
	if(got <= 0) {
		loop_used_up(io, LOOP_IN);
	}
	if(ours) {
		loop_timer_set(watch->loop, &watch->timer, watch->loop->now_ms + WATCH_SETTLE_MS);
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
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int result = fd < 0 ? -errno : loop_timer_open(loop, &watch->timer, watch_due);
	if(result == 0) {
		result = loop_add(loop, &watch->io, fd, LOOP_IN, LOOP_IN, watch_run);
	}
	if(result) {
		loop_timer_close(loop, &watch->timer);
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
	forget_paths(watch);
	watch->path = calloc(count + 1, sizeof(*watch->path));
	for(size_t i = 0; watch->path && i < count; i++) {
		watch->path[i] = strdup(paths[i]);
		if(!watch->path[i]) {
			break;
		}
		watch->paths++;
	}
	add_all(watch);
	return watch->paths < count ? -ENOMEM : 0;
}

static void watch_free(struct deferred_free *dead) {
	free(container_of(dead, struct watch, dead));
}

void watch_close(struct watch *watch) {
	if(!watch) {
		return;
	}
	forget_names(watch);
	forget_paths(watch);
	loop_timer_close(watch->loop, &watch->timer);
	loop_close_io(watch->loop, &watch->io);
	watch->dead.free = watch_free;
	loop_defer_free(watch->loop, &watch->dead);
}
