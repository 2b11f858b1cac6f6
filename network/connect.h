/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the address of a peer to a connected stream without blocking: lookup, and staggered attempts at all addresses
 * (RFC 8305).
 */
#ifndef WEBSOCKSY_CONNECT_H
#define WEBSOCKSY_CONNECT_H
#include "network/peer_address.h"
#include "network/resolve.h"
#include "network/stream.h"

struct peer_connect;

/* `error`: 0, or negative errno with `why` a static text or strerror()'s. May free the attempt. */
typedef void peer_connect_fn(void *ctx, int error, const char *why);

/*
 * Starts connecting to any kind but PEER_ECHO. 0: connected at once; -EINPROGRESS: `fn` will be called, once,
 * never from within this function; other negative errno: failed, with `*why` set. `address` must outlive it. With 0 and -EINPROGRESS
 * `*out` is the caller's: peer_connect_free(). There is no time limit here; the caller has one.
 */
int peer_connect_start(struct peer_connect **out, const struct peer_address *address,
	struct loop *loop, struct resolver *resolver, peer_connect_fn *fn, void *ctx,
	const char **why);

/* The connected peer becomes `stream`, as stream_open(). 0 or negative errno. */
int peer_connect_take(struct peer_connect *connect, struct stream *stream, stream_fn *fn);

/* Cancels whatever runs. NULL: nothing. */
void peer_connect_free(struct peer_connect *connect);
#endif
