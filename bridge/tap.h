/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The messages of an open connection for those who look on: the recording and the traffic characters.
 */
#ifndef WEBSOCKSY_TAP_H
#define WEBSOCKSY_TAP_H
#include "bridge/connection.h"

#include <stdbool.h>
#include <stddef.h>

/* The client is about to be upgraded, and its handshake is still there. */
void tap_begin(struct connection *c);

/* A part of a message of the client, or a message to it, while c->tapped is set. */
void tap_from_client(struct connection *c, const void *data, size_t len, bool last);
void tap_to_client(
	struct connection *c, enum websocket_opcode opcode, const void *data, size_t len);

/* The connection ends. */
void tap_end(struct connection *c);
#endif
