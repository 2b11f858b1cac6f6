/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From an accepted connection to an open one: the request head, the rules of the upgrade (RFC 6455,
 * section 4.2), the question to the backend, the connection to the peer; and the HTTP answers to
 * everything else.
 */
#ifndef WEBSOCKSY_HANDSHAKE_H
#define WEBSOCKSY_HANDSHAKE_H
#include "bridge/connection.h"

/* Largest request head; beyond it: 431. */
#define HANDSHAKE_HEAD_MAX (32 * 1024)

/* Bytes taken from a client that does not wait for the 101. */
#define HANDSHAKE_EARLY_MAX (64 * 1024)

/*
 * Begins with a fresh connection in CONNECTION_HEAD. `listener` is the number of the one that
 * accepted it, for the log. May end it.
 */
void handshake_begin(struct connection *connection, uint32_t listener);

/*
 * For the table of phases. A client that sends data before it has the 101 is read in
 * CONNECTION_AUTH and CONNECTION_CONNECT, up to HANDSHAKE_EARLY_MAX.
 */
void handshake_head_client(struct connection *c, unsigned events);
void handshake_head_deadline(struct connection *c);
void handshake_head_shutdown(struct connection *c);
void handshake_auth_client(struct connection *c, unsigned events);
void handshake_auth_deadline(struct connection *c);
void handshake_auth_shutdown(struct connection *c);
void handshake_connect_client(struct connection *c, unsigned events);
void handshake_response_client(struct connection *c, unsigned events);

/* Frees the state of the handshake when a connection opens, lingers or ends. */
void handshake_leave(struct connection *c, enum connection_phase next);
#endif
