/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The listening sockets of the daemon: opening them, exchanging them for others, accepting.
 */
#ifndef WEBSOCKSY_LISTENERS_H
#define WEBSOCKSY_LISTENERS_H
#include "base/address.h"
#include "base/log_limit.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct listeners;

/* An accepted, non-blocking socket, which is the receiver's from here on. */
struct listener_client {
	int fd;
	const struct sockaddr *address;
	socklen_t len;
	enum address_tls tls; /* of the listening socket */
	uint32_t listener; /* its number, see listeners_name() */
};
typedef void listeners_accept_fn(struct listeners *listeners, const struct listener_client *client);

/*
 * All listening sockets, embedded in their owner. Its fields belong to listener.c and listeners.c.
 */
struct listeners {
	struct loop *loop;
	listeners_accept_fn *fn;
	struct list list;
	struct ev_timer retry; /* accepting has paused */
	struct log_limit full; /* of lines about descriptors that have run out */
	char *root; /* the process's root directory, as seen at the start; NULL: unchanged */
	bool passed; /* they are the service manager's or the supervisor's */
	size_t workers; /* processes that accept the connections; 0: this one */
	uint32_t last_number; /* of a listener */
};

/* Makes an empty set. 0 or -ENOMEM; listeners_close() in either case. */
int listeners_init(struct listeners *listeners, struct loop *loop, listeners_accept_fn *fn);

/*
 * Listens on the addresses of `specs` (`count` of them, see `listen` in websocksy.conf(5); none:
 * every address) and on nothing else: sockets that are open already stay open, the others are
 * closed. 0; or negative errno after a line in the log, and nothing has changed. Blocks for name
 * lookup: only for start and reload. With sockets of the service manager: nothing to do.
 */
int listeners_open(struct listeners *listeners, size_t count, char *const *specs, uint16_t port);

/*
 * The same in two steps: nothing has changed before listeners_commit(), which cannot fail;
 * listeners_abandon() takes everything back. One of the two follows a success.
 */
struct listeners_change {
	struct list fresh; /* new sockets, which listen already */
	struct listener_target *target; /* NULL: there is nothing to do */
	size_t count;
};
int listeners_prepare(struct listeners *listeners, struct listeners_change *change, size_t count,
	char *const *specs, uint16_t port);
void listeners_commit(struct listeners *listeners, struct listeners_change *change);
void listeners_abandon(struct listeners_change *change);

/*
 * The port of the first socket that takes TLS alone, in host byte order; 0: none. Other sockets may
 * take TLS, too.
 */
uint16_t listeners_tls_port(const struct listeners *listeners);

/* The address of the listener with this number; NULL: it has been closed. */
const char *listeners_name(const struct listeners *listeners, uint32_t number);

/*
 * Takes `count` listening sockets numbered from `first_fd` on from the service manager, for good.
 * 0; -EINVAL after a line in the log if one does not listen; or other negative errno.
 */
int listeners_take(struct listeners *listeners, int first_fd, int count);

/* A socket as one process hands it to another. */
struct listener_share {
	int fd;
	uint32_t number; /* see listeners_name() */
	enum address_tls tls;
	bool shared; /* with other workers */
};

/*
 * For the supervisor: the sockets of a worker after `change` (NULL: now), which stay the listeners';
 * the array is the caller's. How many; or -ENOMEM.
 */
int listeners_shares(const struct listeners *listeners, const struct listeners_change *change,
	size_t worker, struct listener_share **out);

/*
 * For a worker: listens with these sockets from the supervisor, which are the listeners' from here on,
 * and with no others. 0; or negative errno after a line in the log, and nothing has changed.
 */
int listeners_follow(
	struct listeners *listeners, const struct listener_share *shares, size_t count);

/*
 * The process has made `root` (NULL: none) its root directory: socket files are found beneath it.
 * 0 or -ENOMEM.
 */
int listeners_set_root(struct listeners *listeners, const char *root);

/* Closes all and removes the socket files that are still ours. */
void listeners_close(struct listeners *listeners);
#endif
