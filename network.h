/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets: listening, connecting, options, sending.
 */
#ifndef WEBSOCKSY_NETWORK_H
#define WEBSOCKSY_NETWORK_H
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Non-blocking, close-on-exec socket; 0 or more, or negative errno. */
int network_socket(int family, int type);

/* The interface of a zone, by name or number (RFC 4007, 11.2). 0: there is none of that name. */
uint32_t network_zone(struct slice zone);

/*
 * Starts connecting. 0: connected; -EINPROGRESS: wait for LOOP_OUT, then network_connect_result().
 */
int network_connect(int fd, const struct sockaddr *address, socklen_t len);

/* 0: connected; negative errno: why not. */
int network_connect_result(int fd);

/* Options of a connected TCP socket: TCP_NODELAY. Errors do not matter (it may be no TCP). */
void network_tune(int fd);

/* When a connection to a peer is given up because the other machine does not answer. */
struct network_keepalive {
	uint64_t idle_ms; /* probed after this time without a segment */
	uint64_t lost_ms; /* given up after this time without an answer to a probe */
	uint64_t unacknowledged_ms; /* the same for data; 0: the kernel's limit */
};

/* Sets it for a TCP socket, rounded up to seconds. No effect on other descriptors. */
void network_keepalive(int fd, const struct network_keepalive *keepalive);

/*
 * The one write primitive: send() or sendmsg() without SIGPIPE. `flags`: 0 or MSG_MORE. Bytes sent,
 * or negative errno.
 */
ssize_t network_send(int fd, const struct iovec *iov, int count, int flags);

/*
 * While sockets share their port others that share it, of the same user, may be bound to addresses
 * that overlap (SO_REUSEPORT).
 */
void network_share_port(int fd, bool share);

/*
 * A second listening socket at the address of `fd`; both share the port from here on, and the kernel
 * distributes connections between them (SO_REUSEPORT). The socket, or negative errno.
 */
int network_listen_beside(int fd);

#define NETWORK_ERROR_MAX 512

/* An address to listen on. */
struct network_listener {
	/*
	 * see `listen` in websocksy.conf(5), without brackets; NULL: every address of the
	 * machine, dual stack, IPv4 alone where there is no IPv6
	 */
	const char *spec;
	uint16_t port;
	bool share; /* share the port while it is bound */
};

/*
 * Opens the listening sockets: puts their descriptors into `fds` (room for `max`) and returns how
 * many, or a negative errno with one line in `error`. Names are resolved with the C library, which
 * blocks: only for start and reload.
 */
int network_listen(
	const struct network_listener *where, int *fds, int max, char error[NETWORK_ERROR_MAX]);
#endif
