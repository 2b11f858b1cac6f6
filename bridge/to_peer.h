/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the client to the peer: frames in, payload or messages out.
 */
#ifndef WEBSOCKSY_TO_PEER_H
#define WEBSOCKSY_TO_PEER_H
#include "bridge/connection.h"

#include <stddef.h>
#include <stdint.h>

/* Handles `len` bytes that the client has sent, in place. May end the connection. */
void to_peer_bytes(struct connection *c, uint8_t *data, size_t len);

/* Reads from the client, as much as one turn allows. May end the connection. */
void to_peer_readable(struct connection *c);
#endif
