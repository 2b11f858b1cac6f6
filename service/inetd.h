/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Started by inetd(8) or a service manager with a socket as standard input: a listening one
 * ("wait"), or an accepted connection ("nowait").
 */
#ifndef WEBSOCKSY_INETD_H
#define WEBSOCKSY_INETD_H
#include <stdbool.h>

struct inetd_socket {
	int fd; /* non-blocking, close-on-exec; not a standard stream */
	bool listens;
};

/*
 * inetd connects standard output and standard error to the socket, too: replaces both by /dev/null
 * where they are the same socket as standard input, so that nothing is written to a client. Before
 * anything is logged. True: standard error was the socket.
 */
bool inetd_protect_streams(void);

/*
 * Takes the socket, which descriptor `from` is; if that is standard input, /dev/null takes its
 * place. 0; -ENOTSOCK: it is not a stream socket that listens or is connected; or other negative
 * errno.
 */
int inetd_take(int from, struct inetd_socket *out);
#endif
