/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asking the backend for a peer.
 */
#ifndef WEBSOCKSY_QUERY_H
#define WEBSOCKSY_QUERY_H
#include "bridge/connection.h"
#include "http/request.h"

/*
 * Asks the backend about an upgrade request that has passed all checks, and connects to the peer
 * that it names. May end the connection.
 */
void query_start(struct connection *c, const struct request *request);
#endif
