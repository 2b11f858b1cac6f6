/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From a peer's address to a connected peer: connecting, the PROXY header, TLS.
 */
#ifndef WEBSOCKSY_UPSTREAM_H
#define WEBSOCKSY_UPSTREAM_H
#include "bridge/connection.h"

/*
 * Connects to h->address and sends the 101 when that is done; an error response otherwise. From
 * CONNECTION_QUERY. May end the connection.
 */
void upstream_connect(struct connection *c);

/* CONNECTION_CONNECT: events of the peer's stream, which is there while TLS begins. */
void upstream_event(struct connection *c, unsigned events);
void upstream_deadline(struct connection *c);
void upstream_shutdown(struct connection *c);
void upstream_reload(struct connection *c);
#endif
