/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asking the backend for a peer, and waiting for its answer.
 */
#ifndef WEBSOCKSY_QUERY_H
#define WEBSOCKSY_QUERY_H
#include "bridge/connection.h"
#include "http/request.h"

/*
 * Asks the backend about an upgrade request that has passed all checks, and connects to the peer
 * that it names. May end the connection. If it is in CONNECTION_QUERY afterwards, the answer comes
 * later: query_wait() is due.
 */
void query_start(struct connection *c, const struct request *request);

/*
 * Keeps the head of the request until the answer comes; `query-timeout` begins. No effect in
 * another phase. May end the connection.
 */
void query_wait(struct connection *c, const uint8_t *head, size_t len);

/* Ends the query, if one is waiting. */
void query_cancel(struct connection *c);

/* CONNECTION_QUERY, for the table of phases. */
void query_client(struct connection *c, unsigned events);
void query_deadline(struct connection *c);
void query_shutdown(struct connection *c);
void query_reload(struct connection *c);
#endif
