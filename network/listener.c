/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One listening socket: accepting from it, and its socket file.
 *
 * Must not know: which sockets the configuration asks for; the user of the connections.
 * Invariants: a socket file is changed or removed only while it is the one that was made here.
 */
#include "network/listener.h"

#include "base/address.h"
#include "base/file.h"
#include "network.h"
#include "network/listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER_ACCEPTS 64 /* connections taken from one socket in one turn */
/* How long accepting pauses when descriptors or memory have run out. */
#define LISTENER_RETRY_MS 100
#define SOCKET_ADDRESS_SIZE sizeof(((struct socket_address *)NULL)->un) /* the largest */

/* ---- accepting ---- */

static unsigned events_of(const struct listener *listener) {
	return LOOP_IN | (listener->shared ? LOOP_EXCLUSIVE : 0u);
}

/* False: there was no memory to watch one of them. */
static bool listeners_want(struct listeners *set, bool accepts) {
	bool done = true;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		struct listener *listener = listener_of(at);
		unsigned want = accepts ? events_of(listener) : 0;
		loop_want(set->loop, &listener->io, want);
		done = done && listener->io.want == want;
	}
	return done;
}

void listener_accept_again(struct ev_timer *timer) {
	struct listeners *set = container_of(timer, struct listeners, retry);
	if(!listeners_want(set, true)) {
		loop_timer_set(set->loop, timer, set->loop->now_ms + LISTENER_RETRY_MS);
	}
}

/* Trying again at once would only burn time: the kernel reports the socket in every turn. */
static void accept_pause(struct listeners *set, int error) {
	if(log_limit_pass(&set->full, "accepting connections", set->loop->now_ms)) {
		log_write(LOG_WARNING, "cannot accept connections: %s; trying again in %d ms",
			strerror(error), LISTENER_RETRY_MS);
	}
	loop_timer_set(set->loop, &set->retry, set->loop->now_ms + LISTENER_RETRY_MS);
	listeners_want(set, false);
}

/*
 * Errors of the listening socket itself, and not of a connection that is gone already (accept(2)).
 */
static bool is_fatal(int error) {
	return error == EINVAL || error == EBADF || error == ENOTSOCK || error == EOPNOTSUPP;
}

/*
 * How many connections to accept now. A call that finds none costs the kernel a socket that it
 * makes and frees again. So one connection is accepted first; if more wait, the socket is reported
 * again in the next turn, and the number doubles.
 */
static int accept_batch(struct listener *listener) {
	uint64_t turn = listener->set->loop->turns;
	int before = turn == listener->turn + 1 ? listener->batch : 0;
	int batch = before == 0 ? 1 : before * 2;
	listener->turn = turn;
	listener->batch = batch < LISTENER_ACCEPTS ? batch : LISTENER_ACCEPTS;
	return listener->batch;
}

/* Errors of one connection, which is gone with them (accept(2)). */
static bool is_of_connection(int error) {
	static const int errors[] = {EINTR, ECONNABORTED, ECONNRESET, EPROTO, ENOPROTOOPT,
		ETIMEDOUT, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ENONET};
	for(size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if(error == errors[i]) {
			return true;
		}
	}
	return false;
}

/*
 * A call has failed. False: the next one would fail, too. Errors that are not listed, such as EPERM
 * of a firewall, are treated like descriptors that have run out.
 */
static bool accept_failed(struct listener *listener, int error) {
	struct listeners *set = listener->set;
	if(error == EAGAIN) {
		listener->batch = 0;
		return false;
	}
	if(is_fatal(error)) {
		log_write(LOG_ERROR,
			"accept: permanent error on a listening socket: %s; no longer accepting on "
			"it",
			strerror(error));
		loop_want(set->loop, &listener->io, 0);
		return false;
	}
	if(is_of_connection(error)) {
		return true;
	}
	accept_pause(set, error);
	return false;
}

/* Returns whether there was a connection. */
static bool accept_some(struct listener *listener) {
	struct ev_io *io = &listener->io;
	bool found = false;
	struct listeners *set = listener->set;
	for(int left = accept_batch(listener); left > 0; left--) {
		struct socket_address from = {.len = SOCKET_ADDRESS_SIZE};
		int fd = accept4(io->fd, &from.any, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if(fd >= 0) {
			struct listener_client client = {
				fd, &from.any, from.len, listener->tls, listener->number};
			found = true;
			set->fn(set, &client);
		} else if(!accept_failed(listener, errno)) {
			return found;
		}
	}
	return found;
}

/* The kernel wakes the process that is first in its queue: they take turns. */
static void accept_run(struct ev_io *io) {
	struct listener *listener = container_of(io, struct listener, io);
	if(accept_some(listener) && listener->shared) {
		int result = loop_queue_behind(listener->set->loop, io);
		if(result) {
			accept_pause(listener->set, -result);
		}
	}
}

/* ---- one socket ---- */

static void listener_free(struct deferred_free *dead) {
	struct listener *listener = container_of(dead, struct listener, dead);
	free(listener->beside);
	free(listener->spec);
	free(listener);
}

int listener_own_address(const struct listener *listener, struct socket_address *out) {
	*out = (struct socket_address){.len = SOCKET_ADDRESS_SIZE};
	return getsockname(listener->io.fd, &out->any, &out->len) < 0 ? -errno : 0;
}

const char *listener_path(const struct listener *listener, const struct socket_address *own) {
	const char *root = listener->set->root;
	return root ? file_beneath(root, own->un.sun_path) : own->un.sun_path;
}

/* The status of the socket file, no matter which process has made it. False: there is none. */
static bool file_status(
	const struct listener *listener, struct socket_address *own, struct stat *status) {
	return listener_own_address(listener, own) == 0 && own->any.sa_family == AF_UNIX &&
		own->len > offsetof(struct sockaddr_un, sun_path) && own->un.sun_path[0] != '\0' &&
		lstat(listener_path(listener, own), status) == 0;
}

void listener_remember_file(struct listener *listener) {
	struct socket_address own;
	struct stat status;
	if(file_status(listener, &own, &status)) {
		listener->device = status.st_dev;
		listener->inode = status.st_ino;
	}
}

void listener_set_mode(const struct listener *listener, mode_t mode) {
	const struct stat file = {.st_dev = listener->device, .st_ino = listener->inode};
	struct socket_address own;
	struct stat status;
	if(listener->inode == 0 || !file_status(listener, &own, &status)) {
		return;
	}
	int result = file_change_mode(listener_path(listener, &own), &file, mode);
	if(result && result != -ESTALE) {
		log_write(LOG_ERROR, "cannot change the mode of %s: %s", own.un.sun_path,
			strerror(-result));
	}
}

/* Is the socket file still the one that was made here? Another process may have replaced it. */
static bool has_own_file(const struct listener *listener, struct socket_address *own) {
	struct stat status;
	return listener->inode != 0 && file_status(listener, own, &status) &&
		status.st_dev == listener->device && status.st_ino == listener->inode;
}

static void listener_remove_file(const struct listener *listener) {
	struct socket_address own;
	if(has_own_file(listener, &own)) {
		unlink(listener_path(listener, &own));
	}
}

static void close_beside(const struct listener *listener) {
	for(size_t i = 0; listener->beside && i + 1 < listener->set->workers; i++) {
		if(listener->beside[i] >= 0) {
			close(listener->beside[i]);
		}
	}
}

int listener_open_beside(struct listener *listener) {
	size_t count = listener->set->workers > 0 ? listener->set->workers - 1 : 0;
	struct socket_address own;
	int result = count > 0 ? listener_own_address(listener, &own) : 0;
	if(result || count == 0 || own.any.sa_family == AF_UNIX) {
		return result;
	}
	listener->beside = malloc(count * sizeof(*listener->beside));
	if(!listener->beside) {
		result = -ENOMEM;
		count = 0;
	}
	for(size_t i = 0; i < count; i++) {
		int fd = result < 0 ? -1 : network_listen_beside(listener->io.fd);
		listener->beside[i] = fd;
		result = fd < 0 && result == 0 ? fd : result;
	}
	if(result) {
		log_write(LOG_ERROR, "workers: cannot listen with a socket for each: %s",
			strerror(-result));
	}
	return result;
}

int listener_fd_of(const struct listener *listener, size_t worker) {
	return worker > 0 && listener->beside ? listener->beside[worker - 1] : listener->io.fd;
}

void listener_end(struct listener *listener) {
	struct loop *loop = listener->set->loop;
	close_beside(listener);
	listener_remove_file(listener);
	list_remove(&listener->link);
	loop_close_io(loop, &listener->io);
	listener->dead.free = listener_free;
	loop_defer_free(loop, &listener->dead);
}

int listener_name(struct listener *listener) {
	struct socket_address own;
	int error = listener_own_address(listener, &own);
	if(error == 0) {
		address_format(&own.any, own.len, listener->name, sizeof(listener->name));
	}
	return error;
}

void listener_log(struct listener *listener) {
	int error = listener_name(listener);
	if(error == 0) {
		log_write(LOG_NOTICE, "listening on %s", listener->name);
	} else {
		log_write(LOG_NOTICE, "listening on %s (getsockname: %s)",
			listener->spec ? listener->spec : "an unknown address", strerror(-error));
	}
}

int listener_new(
	struct listeners *set, struct list *list, int fd, const struct listener_target *target) {
	struct listener *listener = calloc(1, sizeof(*listener));
	int result = -ENOMEM;
	if(!listener) {
		goto fail_fd;
	}
	listener->set = set;
	listener->number = ++set->last_number;
	listener->port = target->port;
	listener->tls = target->tls;
	listener->wanted = true;
	if(target->spec) {
		listener->spec = strdup(target->spec);
		if(!listener->spec) {
			goto fail_listener;
		}
	}
	listener->shared = target->shared;
	unsigned want = set->workers > 0 ? 0 : events_of(listener);
	result = loop_add_level(set->loop, &listener->io, fd, want, accept_run);
	if(result) {
		goto fail_listener;
	}
	list_append(list, &listener->link);
	return 0;
fail_listener:
	free(listener->spec);
	free(listener);
fail_fd:
	close(fd);
	log_write(LOG_ERROR, "cannot listen: %s", strerror(-result));
	return result;
}
