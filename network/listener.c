/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listening sockets.
 *
 * Must not know: who takes the connections.
 * Invariants: a change of the set happens whole or not at all; a socket file is removed only while it is the
 * one that was made here.
 */
#include "network/listener.h"

#include "network.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER_ACCEPTS 64 /* connections taken from one socket in one turn */
#define LISTENER_RETRY_MS                                                                          \
	100 /* how long accepting pauses when descriptors or memory have run out */
#define LISTENER_ADDRESSES 16 /* sockets that one `listen` may come to */

struct listener {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct listeners *set;
	char *spec; /* as configured; NULL: every address, or the service manager's */
	uint16_t port; /* as configured */
	dev_t device; /* of a socket file that was made here */
	ino_t inode; /* 0: none */
	uint16_t reopen_port; /* of one that was shut: the port it really had */
	bool wanted; /* by the configuration that is being taken over */
	int batch; /* connections that were to be taken in the last turn, 0: there were fewer */
	uint64_t turn; /* when that was */
};

static struct listener *listener_of(struct list *link) {
	return container_of(link, struct listener, link);
}

/* ---- accepting ---- */

static void listeners_want(struct listeners *set, unsigned want) {
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		loop_want(set->loop, &listener_of(at)->io, want);
	}
}

static void accept_again(struct ev_timer *timer) {
	listeners_want(container_of(timer, struct listeners, retry), LOOP_IN);
}

/* Trying again at once would only burn time: the kernel reports the socket in every turn. */
static void accept_pause(struct listeners *set, int error) {
	if(log_limit_pass(&set->full, set->loop->now_ms)) {
		log_write(LOG_WARNING, "cannot accept connections: %s; trying again in %d ms",
			strerror(error), LISTENER_RETRY_MS);
	}
	loop_timer_set(set->loop, &set->retry, set->loop->now_ms + LISTENER_RETRY_MS);
	listeners_want(set, 0);
}

/* Errors of the listening socket itself, and not of a connection that is gone already (accept(2)). */
static bool is_fatal(int error) {
	return error == EINVAL || error == EBADF || error == ENOTSOCK || error == EOPNOTSUPP;
}

/*
 * How many connections to take now. Asking until there are no more costs the kernel a socket, made and thrown away
 * again. So one that comes alone is taken alone; what else waits is reported again in the next turn, and more
 * is taken the longer that goes on.
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
	switch(error) {
	case EINTR:
	case ECONNABORTED:
	case ECONNRESET:
	case EPROTO:
	case ENOPROTOOPT:
	case ETIMEDOUT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
		return true;
	default:
		return false;
	}
}

/*
 * A call has failed. False: the next one has no better prospects. What is in no list is like descriptors that have
 * run out: a firewall answers EPERM, a security module whatever it likes.
 */
static bool accept_failed(struct listener *listener, int error) {
	struct listeners *set = listener->set;
	if(error == EAGAIN) {
		listener->batch = 0;
		return false;
	}
	if(is_fatal(error)) {
		log_write(
			LOG_ERROR, "a listening socket is of no use any more: %s", strerror(error));
		loop_want(set->loop, &listener->io, 0);
		return false;
	}
	if(is_of_connection(error)) {
		return true;
	}
	accept_pause(set, error);
	return false;
}

static void accept_run(struct ev_io *io) {
	struct listener *listener = container_of(io, struct listener, io);
	struct listeners *set = listener->set;
	for(int left = accept_batch(listener); left > 0; left--) {
		struct sockaddr_storage address;
		socklen_t len = sizeof(address);
		int fd = accept4(
			io->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if(fd >= 0) {
			set->fn(set, fd, (struct sockaddr *)&address, len);
		} else if(!accept_failed(listener, errno)) {
			return;
		}
	}
}

/* ---- one socket ---- */

static void listener_free(struct deferred_free *dead) {
	struct listener *listener = container_of(dead, struct listener, dead);
	free(listener->spec);
	free(listener);
}

/* The path of a Unix socket that has one; len 0: none. */
static socklen_t socket_path(int fd, struct sockaddr_un *own) {
	socklen_t len = sizeof(*own);
	if(getsockname(fd, (struct sockaddr *)own, &len) < 0 || own->sun_family != AF_UNIX ||
		len <= offsetof(struct sockaddr_un, sun_path) || own->sun_path[0] == '\0') {
		return 0;
	}
	return len;
}

static void listener_remember_file(struct listener *listener) {
	struct sockaddr_un own = {0};
	struct stat status;
	if(socket_path(listener->io.fd, &own) > 0 && lstat(own.sun_path, &status) == 0) {
		listener->device = status.st_dev;
		listener->inode = status.st_ino;
	}
}

/* Another process may have put its own socket in the same place. */
static void listener_remove_file(const struct listener *listener) {
	struct sockaddr_un own = {0};
	struct stat status;
	if(listener->inode != 0 && socket_path(listener->io.fd, &own) > 0 &&
		lstat(own.sun_path, &status) == 0 && status.st_dev == listener->device &&
		status.st_ino == listener->inode) {
		unlink(own.sun_path);
	}
}

/* Ends listening; the listener itself is still there. */
static void listener_shut(struct listener *listener) {
	listener_remove_file(listener);
	list_remove(&listener->link);
	loop_close_io(listener->set->loop, &listener->io);
}

static void listener_end(struct listener *listener) {
	struct loop *loop = listener->set->loop;
	if(listener->io.fd >= 0) {
		listener_shut(listener);
	} else {
		list_remove(&listener->link);
	}
	listener->dead.free = listener_free;
	loop_defer_free(loop, &listener->dead);
}

static void listener_log(const struct listener *listener) {
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char text[NETWORK_ADDRESS_TEXT * 2];
	if(getsockname(listener->io.fd, (struct sockaddr *)&address, &len) == 0) {
		network_format_address((struct sockaddr *)&address, len, text, sizeof(text));
		log_write(LOG_NOTICE, "listening on %s", text);
	} else {
		log_write(LOG_NOTICE, "listening on %s (getsockname: %s)",
			listener->spec ? listener->spec : "an unknown address", strerror(errno));
	}
}

/* Makes a listener of a listening socket, which it owns from here on. */
static int listener_new(
	struct listeners *set, struct list *list, int fd, const char *spec, uint16_t port) {
	struct listener *listener = calloc(1, sizeof(*listener));
	int result = -ENOMEM;
	if(!listener) {
		goto fail_fd;
	}
	listener->set = set;
	listener->port = port;
	listener->wanted = true;
	if(spec) {
		listener->spec = strdup(spec);
		if(!listener->spec) {
			goto fail_listener;
		}
	}
	result = loop_add_level(set->loop, &listener->io, fd, LOOP_IN, accept_run);
	if(result) {
		goto fail_listener;
	}
	list_append(list, &listener->link);
	listener_log(listener);
	return 0;
fail_listener:
	free(listener->spec);
	free(listener);
fail_fd:
	close(fd);
	log_write(LOG_ERROR, "cannot listen: %s", strerror(-result));
	return result;
}

/* ---- the set ---- */

static bool listener_is(const struct listener *listener, const char *spec, uint16_t port) {
	if(!spec || !listener->spec) {
		return spec == listener->spec && listener->port == port;
	}
	bool local = strncmp(spec, "unix:", 5) == 0;
	return strcmp(spec, listener->spec) == 0 && (local || listener->port == port);
}

/* Is it open? All sockets that the name came to are wanted then. */
static bool find_open(struct listeners *set, const char *spec, uint16_t port) {
	bool found = false;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		if(listener_is(listener_of(at), spec, port)) {
			listener_of(at)->wanted = true;
			found = true;
		}
	}
	return found;
}

/* All of them before the first is opened: none of these makes way. */
static void mark_wanted(struct listeners *set, size_t count, char *const *specs, uint16_t port) {
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		listener_of(at)->wanted = false;
	}
	for(size_t i = 0; i < count; i++) {
		find_open(set, specs[i], port);
	}
}

/* Opens one `listen` into `list`. `quiet`: -EADDRINUSE without a line. */
static int open_spec(
	struct listeners *set, struct list *list, const char *spec, uint16_t port, bool quiet) {
	int fds[LISTENER_ADDRESSES];
	char error[512];
	int count = network_listen(spec, port, fds, LISTENER_ADDRESSES, error, sizeof(error));
	if(count < 0) {
		if(!quiet || count != -EADDRINUSE) {
			log_write(LOG_ERROR, "%s", error);
		}
		return count;
	}
	int result = 0;
	for(int i = 0; i < count; i++) {
		if(result) {
			close(fds[i]);
			continue;
		}
		result = listener_new(set, list, fds[i], spec, port);
		if(result == 0) {
			listener_remember_file(listener_of(list->prev));
		}
	}
	return result;
}

static void end_all(struct list *list) {
	while(list->next != list) {
		listener_end(listener_of(list->next));
	}
}

static void move_all(struct list *from, struct list *to) {
	while(from->next != from) {
		struct list *link = from->next;
		list_remove(link);
		list_append(to, link);
	}
}

/* The TCP port that the kernel has given; 0: none. */
static uint16_t bound_port(const struct listener *listener) {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} own = {0};
	socklen_t len = sizeof(own);
	if(getsockname(listener->io.fd, &own.any, &len) < 0 || own.any.sa_family == AF_UNIX) {
		return 0;
	}
	return ntohs(own.any.sa_family == AF_INET6 ? own.in6.sin6_port : own.in.sin_port);
}

/* Length of a spec without ",mode=". */
static size_t spec_base(const char *spec) {
	return strcspn(spec, ",");
}

/* Might this listener be what keeps `spec` from being opened? */
static bool is_in_the_way(const struct listener *listener, const char *spec, uint16_t port) {
	if(listener->wanted) {
		return false;
	}
	if(!spec || strncmp(spec, "unix:", 5) != 0) {
		return port != 0 && bound_port(listener) == port;
	}
	size_t len = spec_base(spec);
	return listener->spec && len == spec_base(listener->spec) &&
		strncmp(spec, listener->spec, len) == 0;
}

static bool finds_own_in_the_way(struct listeners *set, const char *spec, uint16_t port) {
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		if(is_in_the_way(listener_of(at), spec, port)) {
			return true;
		}
	}
	return false;
}

/* Shuts our own listeners that may be in the way, and keeps them to be opened again if need be. */
static void shut_in_the_way(
	struct listeners *set, struct list *shut, const char *spec, uint16_t port) {
	for(struct list *at = set->list.next; at != &set->list;) {
		struct listener *listener = listener_of(at);
		at = at->next;
		if(is_in_the_way(listener, spec, port)) {
			listener->reopen_port = bound_port(listener);
			listener_shut(listener);
			list_append(shut, &listener->link);
		}
	}
}

/* Another address on the same port and another mode of the same path have to wait until ours is shut. */
static int open_making_way(struct listeners *set, struct list *fresh, struct list *shut,
	const char *spec, uint16_t port) {
	bool own = finds_own_in_the_way(set, spec, port);
	int result = open_spec(set, fresh, spec, port, own);
	if(result == -EADDRINUSE && own) {
		shut_in_the_way(set, shut, spec, port);
		result = open_spec(set, fresh, spec, port, false);
	}
	return result;
}

static void open_again(struct listeners *set, struct list *shut) {
	for(struct list *at = shut->next; at != shut; at = at->next) {
		const struct listener *listener = listener_of(at);
		struct list *last = set->list.prev;
		if(find_open(set, listener->spec, listener->port)) {
			continue;
		}
		open_spec(set, &set->list, listener->spec, listener->reopen_port, false);
		/* The configuration goes on calling it by its own port, which may be 0. */
		for(struct list *fresh = last->next; fresh != &set->list; fresh = fresh->next) {
			listener_of(fresh)->port = listener->port;
		}
	}
}

static void end_unwanted(struct listeners *set) {
	for(struct list *at = set->list.next; at != &set->list;) {
		struct listener *listener = listener_of(at);
		at = at->next;
		if(!listener->wanted) {
			listener_end(listener);
		}
	}
}

int listeners_init(struct listeners *listeners, struct loop *loop, listeners_accept_fn *fn) {
	*listeners = (struct listeners){.loop = loop, .fn = fn};
	list_init(&listeners->list);
	return loop_timer_open(loop, &listeners->retry, accept_again);
}

int listeners_open(struct listeners *listeners, size_t count, char *const *specs, uint16_t port) {
	static char *const every[] = {NULL};
	struct list fresh;
	struct list shut;
	int result = 0;
	if(listeners->passed) {
		return 0;
	}
	if(count == 0) {
		specs = every;
		count = 1;
	}
	list_init(&fresh);
	list_init(&shut);
	mark_wanted(listeners, count, specs, port);
	for(size_t i = 0; i < count && result == 0; i++) {
		if(!find_open(listeners, specs[i], port)) {
			result = open_making_way(listeners, &fresh, &shut, specs[i], port);
		}
	}
	if(result) {
		end_all(&fresh); /* they may be in the way of the old ones */
		open_again(listeners, &shut);
	} else {
		end_unwanted(listeners);
	}
	end_all(&shut);
	move_all(&fresh, &listeners->list);
	return result;
}

int listeners_take(struct listeners *listeners, int first_fd, int count) {
	listeners->passed = true;
	for(int fd = first_fd; fd < first_fd + count; fd++) {
		int listens = 0;
		socklen_t len = sizeof(listens);
		if(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens) {
			log_write(LOG_ERROR,
				"descriptor %d of the service manager is no listening stream "
				"socket "
				"(it takes ListenStream= and Accept=no)",
				fd);
			return -EINVAL;
		}
		network_tune(fd);
		int result = listener_new(listeners, &listeners->list, fd, NULL, 0);
		if(result) {
			return result;
		}
	}
	return 0;
}

void listeners_close(struct listeners *listeners) {
	end_all(&listeners->list);
	loop_timer_close(listeners->loop, &listeners->retry);
}
