/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Questions about an open connection, shared by the files of the relay.
 */
#ifndef WEBSOCKSY_RELAY_STATE_H
#define WEBSOCKSY_RELAY_STATE_H
#include "bridge/connection.h"

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t relay_now(const struct connection *c) {
	return c->env->loop->now_ms;
}

/* Does the peer need whole messages? */
static inline bool relay_is_whole(const struct connection *c) {
	return c->loopback || c->peer.datagram;
}

/* Where the data for the client comes from: with a loopback peer it is the client itself. */
static inline struct stream *relay_source(struct connection *c) {
	return c->loopback ? &c->client : &c->peer;
}
#endif
