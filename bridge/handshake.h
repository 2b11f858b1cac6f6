/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From an accepted connection to an open one: the request head, the rules of the upgrade (RFC 6455, section
 * 4.2), the question to the backend, the connection to the peer; and the HTTP answers to everything else.
 */
#ifndef WEBSOCKSY_HANDSHAKE_H
#define WEBSOCKSY_HANDSHAKE_H
#include "bridge/connection.h"

/* Largest request head; beyond it: 431. */
#define HANDSHAKE_HEAD_MAX (32 * 1024)

/* Bytes taken from a client that does not wait for the 101. */
#define HANDSHAKE_EARLY_MAX (64 * 1024)

/* Begins with a fresh connection in CONNECTION_HEAD. May end it. */
void handshake_begin(struct connection *connection);

/* For connection_env: frees what a connection holds for its handshake. */
void handshake_free(struct handshake *handshake);

/* For the table of handlers. */
extern const struct connection_handlers handshake_head_handlers;
extern const struct connection_handlers handshake_auth_handlers;
extern const struct connection_handlers handshake_connect_handlers;
extern const struct connection_handlers handshake_response_handlers;
#endif
