/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listening sockets.
 *
 * Must not know: who takes the connections.
 * Invariants: a change of the set happens whole or not at all, and what stays is not closed for a moment; a socket
 * file is changed or removed only while it is the one that was made here.
 */
#include "network/listener.h"

#include "base/address.h"
#include "network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER_ACCEPTS 64 /* connections taken from one socket in one turn */
#define LISTENER_RETRY_MS                                                                          \
	100 /* how long accepting pauses when descriptors or memory have run out */
#define SOCKET_ADDRESS_SIZE sizeof(((struct socket_address *)NULL)->un) /* the largest */
#define LISTENER_NAME (2 * ADDRESS_TEXT)
#define LISTENER_ADDRESSES 16 /* sockets that one `listen` may come to */

/* One address of the configuration. */
struct target {
	char *spec; /* owned; NULL: every address */
	uint16_t port;
	enum address_tls tls;
};

struct listener {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct listeners *set;
	char *spec; /* as configured, without port; NULL: every address, or the service manager's */
	uint16_t port; /* as configured */
	enum address_tls tls;
	char name[LISTENER_NAME]; /* the address that it listens on */
	dev_t device; /* of a socket file that was made here */
	ino_t inode; /* 0: none */
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
	if(log_limit_pass(&set->full, "accepting connections", set->loop->now_ms)) {
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
 * A call has failed. False: the next one would fail, too. Errors that are not listed, such as EPERM of a firewall,
 * are treated like descriptors that have run out.
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

static void accept_run(struct ev_io *io) {
	struct listener *listener = container_of(io, struct listener, io);
	struct listeners *set = listener->set;
	for(int left = accept_batch(listener); left > 0; left--) {
		struct socket_address from = {.len = SOCKET_ADDRESS_SIZE};
		int fd = accept4(io->fd, &from.any, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if(fd >= 0) {
			struct listener_client client = {
				fd, &from.any, from.len, listener->tls, listener->name};
			set->fn(set, &client);
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

/* The address that a socket is bound to. 0 or negative errno. */
static int own_address(const struct listener *listener, struct socket_address *out) {
	*out = (struct socket_address){.len = SOCKET_ADDRESS_SIZE};
	return getsockname(listener->io.fd, &out->any, &out->len) < 0 ? -errno : 0;
}

/* The status of the socket file, whoever has made it. False: there is none. */
static bool file_status(
	const struct listener *listener, struct socket_address *own, struct stat *status) {
	return own_address(listener, own) == 0 && own->any.sa_family == AF_UNIX &&
		own->len > offsetof(struct sockaddr_un, sun_path) && own->un.sun_path[0] != '\0' &&
		lstat(own->un.sun_path, status) == 0;
}

static void listener_remember_file(struct listener *listener) {
	struct socket_address own;
	struct stat status;
	if(file_status(listener, &own, &status)) {
		listener->device = status.st_dev;
		listener->inode = status.st_ino;
	}
}

/* Is the socket file still the one that was made here? Another process may have put its own in the same place. */
static bool has_own_file(const struct listener *listener, struct socket_address *own) {
	struct stat status;
	return listener->inode != 0 && file_status(listener, own, &status) &&
		status.st_dev == listener->device && status.st_ino == listener->inode;
}

static void listener_remove_file(const struct listener *listener) {
	struct socket_address own;
	if(has_own_file(listener, &own)) {
		unlink(own.un.sun_path);
	}
}

static void listener_end(struct listener *listener) {
	struct loop *loop = listener->set->loop;
	listener_remove_file(listener);
	list_remove(&listener->link);
	loop_close_io(loop, &listener->io);
	listener->dead.free = listener_free;
	loop_defer_free(loop, &listener->dead);
}

static void listener_log(struct listener *listener) {
	struct socket_address own;
	int error = own_address(listener, &own);
	if(error == 0) {
		address_format(&own.any, own.len, listener->name, sizeof(listener->name));
		log_write(LOG_NOTICE, "listening on %s", listener->name);
	} else {
		log_write(LOG_NOTICE, "listening on %s (getsockname: %s)",
			listener->spec ? listener->spec : "an unknown address", strerror(-error));
	}
}

/* Makes a listener of a listening socket, which it owns from here on. */
static int listener_new(
	struct listeners *set, struct list *list, int fd, const struct target *target) {
	struct listener *listener = calloc(1, sizeof(*listener));
	int result = -ENOMEM;
	if(!listener) {
		goto fail_fd;
	}
	listener->set = set;
	listener->port = target->port;
	listener->tls = target->tls;
	listener->wanted = true;
	if(target->spec) {
		listener->spec = strdup(target->spec);
		if(!listener->spec) {
			goto fail_listener;
		}
	}
	result = loop_add_level(set->loop, &listener->io, fd, LOOP_IN, accept_run);
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

/* ---- the set ---- */

/* Length of a spec without its mode. */
static size_t spec_base(const char *spec) {
	struct address_unix local;
	const char *why;
	if(!address_is_unix(spec) || address_parse_unix(spec, &local, &why)) {
		return strlen(spec);
	}
	return (size_t)(local.path.at - spec) + local.path.len;
}

/* The mode of a Unix socket does not matter here. */
static bool listener_is(const struct listener *listener, const struct target *target) {
	const char *spec = target->spec;
	uint16_t port = target->port;
	if(!spec || !listener->spec) {
		return spec == listener->spec && listener->port == port;
	}
	size_t len = spec_base(spec);
	return len == spec_base(listener->spec) && strncmp(spec, listener->spec, len) == 0 &&
		(address_is_unix(spec) || listener->port == port);
}

/* Marks all sockets that the name came to. False: it is not open. */
static bool want_open(struct listeners *set, const struct target *target) {
	bool found = false;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		if(listener_is(listener_of(at), target)) {
			listener_of(at)->wanted = true;
			found = true;
		}
	}
	return found;
}

/* Lets new sockets overlap with those of this port that will be closed. False: there are none. */
static bool share_unwanted(struct listeners *set, uint16_t port, bool share) {
	bool found = false;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		const struct listener *listener = listener_of(at);
		struct socket_address own;
		if(!listener->wanted && own_address(listener, &own) == 0 && port > 0 &&
			address_port(&own.ip) == port) {
			network_share_port(listener->io.fd, share);
			found = true;
		}
	}
	return found;
}

/* Opens one address into `list`. 0, or negative errno after a line in the log. */
static int open_target(struct listeners *set, struct list *list, const struct target *target) {
	int fds[LISTENER_ADDRESSES];
	char error[NETWORK_ERROR_MAX];
	struct network_listener where = {.spec = target->spec, .port = target->port};
	int count = network_listen(&where, fds, LISTENER_ADDRESSES, error);
	if(count == -EADDRINUSE && share_unwanted(set, target->port, true)) {
		where.share = true;
		count = network_listen(&where, fds, LISTENER_ADDRESSES, error);
		share_unwanted(set, target->port, false);
	}
	if(count < 0) {
		log_write(LOG_ERROR, "%s", error);
		return count;
	}
	int result = 0;
	for(int i = 0; i < count; i++) {
		if(result) {
			close(fds[i]);
			continue;
		}
		result = listener_new(set, list, fds[i], target);
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

static void end_unwanted(struct listeners *set) {
	for(struct list *at = set->list.next; at != &set->list;) {
		struct listener *listener = listener_of(at);
		at = at->next;
		if(!listener->wanted) {
			listener_end(listener);
		}
	}
}

static mode_t default_mode(void) {
	mode_t mask = umask(0);
	umask(mask);
	return 0777 & ~mask;
}

/* Gives the file of a Unix socket that stays the mode that its new spec has. */
static void change_mode(struct listener *listener, const char *spec) {
	struct address_unix local;
	struct socket_address own;
	const char *why;
	char *copy = strdup(spec);
	if(!copy || address_parse_unix(spec, &local, &why)) {
		free(copy);
		return;
	}
	free(listener->spec);
	listener->spec = copy;
	if(has_own_file(listener, &own) &&
		chmod(own.un.sun_path, local.has_mode ? local.mode : default_mode()) < 0) {
		log_write(LOG_ERROR, "cannot change the mode of %s: %s", own.un.sun_path,
			strerror(errno));
	}
}

static void change_modes(struct listeners *set, size_t count, const struct target *targets) {
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		struct listener *listener = listener_of(at);
		for(size_t i = 0; i < count; i++) {
			if(!listener_is(listener, &targets[i])) {
				continue;
			}
			listener->tls = targets[i].tls;
			if(listener->spec && strcmp(targets[i].spec, listener->spec) != 0) {
				change_mode(listener, targets[i].spec);
			}
		}
	}
}

/* Takes the new sockets over. */
static void adopt_all(struct listeners *set, struct list *fresh) {
	while(fresh->next != fresh) {
		struct list *link = fresh->next;
		list_remove(link);
		list_append(&set->list, link);
		listener_log(listener_of(link));
	}
}

int listeners_init(struct listeners *listeners, struct loop *loop, listeners_accept_fn *fn) {
	*listeners = (struct listeners){.loop = loop, .fn = fn};
	list_init(&listeners->list);
	return loop_timer_open(loop, &listeners->retry, accept_again);
}

static void free_targets(struct target *targets, size_t count) {
	for(size_t i = 0; targets && i < count; i++) {
		free(targets[i].spec);
	}
	free(targets);
}

/* The addresses of valid specs. NULL: no memory. */
static struct target *make_targets(size_t count, char *const *specs, uint16_t port) {
	struct target *targets = calloc(count, sizeof(*targets));
	for(size_t i = 0; targets && i < count; i++) {
		struct address_listen listen = {.is_every = true};
		const char *why;
		if(specs[i] && address_parse_listen(specs[i], &listen, &why)) {
			listen.host = text_slice(specs[i]); /* reported when it is opened */
		}
		targets[i].port = listen.has_port ? listen.port : port;
		targets[i].tls = listen.tls;
		if(!listen.is_every) {
			targets[i].spec = strndup(listen.host.at, listen.host.len);
			if(!targets[i].spec) {
				free_targets(targets, count);
				return NULL;
			}
		}
	}
	return targets;
}

static int open_targets(struct listeners *set, size_t count, const struct target *targets) {
	struct list fresh;
	int result = 0;
	list_init(&fresh);
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		listener_of(at)->wanted = false;
	}
	/* Marked before the first is opened: those that stay share their ports with none. */
	for(size_t i = 0; i < count; i++) {
		want_open(set, &targets[i]);
	}
	for(size_t i = 0; i < count && result == 0; i++) {
		if(!want_open(set, &targets[i])) {
			result = open_target(set, &fresh, &targets[i]);
		}
	}
	if(result) {
		end_all(&fresh);
		return result;
	}
	end_unwanted(set);
	change_modes(set, count, targets);
	adopt_all(set, &fresh);
	return 0;
}

int listeners_open(struct listeners *listeners, size_t count, char *const *specs, uint16_t port) {
	static char *const every[] = {NULL};
	if(listeners->passed) {
		return 0;
	}
	if(count == 0) {
		specs = every;
		count = 1;
	}
	struct target *targets = make_targets(count, specs, port);
	if(!targets) {
		log_write(LOG_ERROR, "cannot listen: out of memory");
		return -ENOMEM;
	}
	int result = open_targets(listeners, count, targets);
	free_targets(targets, count);
	return result;
}

uint16_t listeners_tls_port(const struct listeners *listeners) {
	const struct list *list = &listeners->list;
	for(struct list *at = list->next; at != list; at = at->next) {
		struct socket_address own;
		if(listener_of(at)->tls == ADDRESS_TLS_ONLY &&
			own_address(listener_of(at), &own) == 0 && address_port(&own.ip) > 0) {
			return address_port(&own.ip);
		}
	}
	return 0;
}

int listeners_take(struct listeners *listeners, int first_fd, int count) {
	listeners->passed = true;
	for(int fd = first_fd; fd < first_fd + count; fd++) {
		int listens = 0;
		socklen_t len = sizeof(listens);
		if(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens) {
			log_write(LOG_ERROR,
				"descriptor %d of the service manager is not a listening stream "
				"socket (use ListenStream= and Accept=no)",
				fd);
			return -EINVAL;
		}
		network_tune(fd);
		static const struct target passed = {.spec = NULL};
		int result = listener_new(listeners, &listeners->list, fd, &passed);
		if(result) {
			return result;
		}
		listener_log(listener_of(listeners->list.prev));
	}
	return 0;
}

void listeners_close(struct listeners *listeners) {
	end_all(&listeners->list);
	loop_timer_close(listeners->loop, &listeners->retry);
}
