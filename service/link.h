/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages between the supervisor and a worker, over a pair of sockets. A message may carry a
 * descriptor.
 */
#ifndef WEBSOCKSY_LINK_H
#define WEBSOCKSY_LINK_H
#include "base/address.h"
#include "base/loop.h"

#include <stdint.h>

enum link_kind {
	/* of the worker */
	LINK_READY, /* it serves */
	LINK_RELOADED, /* the new configuration is in use */
	LINK_REFUSED, /* it is not, and nothing has changed */
	LINK_ENDING, /* an option says that no worker is to listen any more */
	LINK_ENDING_NOW, /* an option says that all are to stop */
	LINK_LEAVING, /* it does not listen any more, because it stops */
	/* of the supervisor */
	LINK_LISTENER, /* a socket, number, tls and shared of struct listener_share */
	LINK_RELOAD, /* read the configuration, and listen with the sockets since the last one */
	LINK_REOPEN, /* open the log again */
	LINK_END, /* stop listening, exit with the last connection */
	LINK_DRAIN, /* bridge_drain(), as with SIGTERM */
	LINK_STOP, /* bridge_stop() */
	LINK_DROP, /* drop all connections and exit */
	LINK_FORGET, /* the addresses of the program */
	LINK_ADDRESS, /* one more */
	LINK_KINDS
};

struct link_message {
	uint32_t kind; /* enum link_kind */
	uint32_t number; /* of LINK_LISTENER; of LINK_RELOAD: 1: log what there is to say */
	uint32_t tls;
	uint32_t shared;
	struct socket_address address;
};

struct link;

/*
 * A message with its descriptor, which is the receiver's from here on (-1: none). `message` NULL: the
 * other process has ended; it is the last call.
 */
typedef void link_fn(struct link *link, const struct link_message *message, int fd);

/* One end, embedded in its owner; closed: io.fd is -1. */
struct link {
	struct loop *loop;
	struct ev_io io;
	link_fn *fn;
};

/* Makes both ends, close-on-exec. 0 or negative errno. */
int link_pair(int fds[2]);

/* Takes one end over. 0, or negative errno and it is closed. */
int link_open(struct link *link, struct loop *loop, int fd, link_fn *fn);

/*
 * Sends a message, with a descriptor that stays the caller's (-1: none). Never waits. 0 or negative
 * errno.
 */
int link_send(const struct link *link, const struct link_message *message, int fd);

void link_close(struct link *link);
#endif
