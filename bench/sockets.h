/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the benchmark programs share about sockets, descriptors and the clock.
 */
#ifndef BENCH_SOCKETS_H
#define BENCH_SOCKETS_H
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Prints `what` with the reason in errno and ends the program. */
_Noreturn void sockets_die(const char *what);

/* "127.0.0.1:8001" or "8001" (then 127.0.0.1). Ends the program on anything else. */
struct sockaddr_in sockets_parse(const char *text);

/*
 * A non-blocking listener with the options of the daemon's. Ends the program if there is none to
 * have.
 */
int sockets_listen(const struct sockaddr_in *address);

/* Accepts one connection, non-blocking; -1 if there is none. */
int sockets_accept(int listener);

/* A non-blocking socket that is connecting, TCP_NODELAY set; negative errno on failure. */
int sockets_connect(const struct sockaddr_in *address);

/* Why connecting failed; 0: it did not. */
int sockets_error(int fd);

/* Like recv() and send(), with negative errno; never interrupted, never SIGPIPE. */
ssize_t sockets_recv(int fd, void *data, size_t cap);
ssize_t sockets_send(int fd, const void *data, size_t len);

/* As many descriptors as the hard limit allows. */
void sockets_raise_limit(void);

/* Steady clock in nanoseconds. */
uint64_t sockets_now_ns(void);
#endif
