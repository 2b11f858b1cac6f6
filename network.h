/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets: listening, connecting, options, sending.
 */
#ifndef WEBSOCKSY_NETWORK_H
#define WEBSOCKSY_NETWORK_H
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The one write primitive: send() or sendmsg() without SIGPIPE. `flags`: 0 or MSG_MORE. Bytes sent, or negative errno. */
ssize_t network_send(int fd, const struct iovec *iov, int count, int flags);

/* Non-blocking, close-on-exec socket; 0 or more, or negative errno. */
int network_socket(int family, int type);

/* Starts connecting. 0: connected; -EINPROGRESS: wait for LOOP_OUT, then network_connect_result(). */
int network_connect(int fd, const struct sockaddr *address, socklen_t len);

/* 0: connected; negative errno: why not. */
int network_connect_result(int fd);

/* Options of a connected TCP socket: TCP_NODELAY. Errors do not matter (it may be no TCP). */
void network_tune(int fd);

/*
 * Opens the listening sockets that `spec` names (see `listen` in websocksy.conf(5); NULL: every address of the
 * machine, dual stack, IPv4 alone where there is no IPv6): appends their descriptors to `fds` (room for `max`)
 * and returns how many, or a negative errno with one line in `error`. Names are resolved with the
 * C library: only for start and reload.
 */
int network_listen(
	const char *spec, uint16_t port, int *fds, int max, char *error, size_t error_cap);
#endif
