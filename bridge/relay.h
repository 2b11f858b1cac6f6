/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The open connection: both directions, control frames, keepalive, flow control and the closing
 * handshake (RFC 6455, sections 5 to 7).
 */
#ifndef WEBSOCKSY_RELAY_H
#define WEBSOCKSY_RELAY_H
#include "bridge/connection.h"

/*
 * Takes over a connection whose 101 is out and whose peer is connected (or echo), from
 * CONNECTION_QUERY or CONNECTION_CONNECT. `early`: the data that the client sent behind its
 * request; writable, valid during the call. May end the connection.
 */
void relay_open(struct connection *connection, uint8_t *early, size_t early_len);

/* CONNECTION_OPEN, for the table of phases; relay_client() is for CONNECTION_CLOSING, too. */
void relay_client(struct connection *c, unsigned events);
void relay_peer(struct connection *c, unsigned events);
void relay_shutdown(struct connection *c);

/* CONNECTION_CLOSING: the peer's bytes are thrown away. */
void relay_closing_peer(struct connection *c, unsigned events);

/*
 * The settings have changed: deadlines; the client's certificate or login may not be valid any
 * more.
 */
void relay_reload(struct connection *c);
#endif
