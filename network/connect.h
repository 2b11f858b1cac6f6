/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the address of a peer to a connected stream without blocking: lookup, and staggered attempts
 * at all addresses (RFC 8305).
 */
#ifndef WEBSOCKSY_CONNECT_H
#define WEBSOCKSY_CONNECT_H
#include "network/exec.h"
#include "network/peer_address.h"
#include "network/stream.h"

struct announced;
struct connect;
struct resolver;

/* `error`: 0, or negative errno with `why` a static text or strerror()'s. May free the attempt. */
typedef void connect_fn(void *ctx, int error, const char *why);

/* Who connects, and with whose help; copied. */
struct connect_owner {
	struct loop *loop;
	struct resolver *resolver;
	connect_fn *fn;
	void *ctx;
	struct exec_options exec; /* for programs that are started */
	struct announced *announced; /* of the program that runs already; NULL: there is none */
};

/* Begins an attempt at one kind of peer; results as connect_start(). */
typedef int connect_begin_fn(
	struct connect *connect, const struct peer_address *address, const char **why);

/* For the kinds: TCP and UDP; Unix sockets; fifos; programs; the program that runs already. */
connect_begin_fn connect_network;
connect_begin_fn connect_unix;
connect_begin_fn connect_fifo;
connect_begin_fn connect_exec;
connect_begin_fn connect_program;

/*
 * Starts connecting to any kind but a loopback. 0: connected at once; -EINPROGRESS: `fn` will be
 * called, once, never from within this function; other negative errno: failed, with `*why` set.
 * `address` must outlive it. With 0 and -EINPROGRESS `*out` is the caller's: connect_free(). There
 * is no time limit here; the caller has one.
 */
int connect_start(struct connect **out, const struct peer_address *address,
	const struct connect_owner *owner, const char **why);

/* The connected peer becomes `stream`, as stream_open(). 0 or negative errno. */
int connect_take(struct connect *connect, struct stream *stream, stream_fn *fn);

/* Cancels lookups and attempts. NULL: nothing. */
void connect_free(struct connect *connect);
#endif
