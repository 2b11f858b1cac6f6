/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The opening handshake of RFC 6455, section 4.2: the rules for the request, and the 101.
 */
#ifndef WEBSOCKSY_UPGRADE_H
#define WEBSOCKSY_UPGRADE_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/request.h"

#include <stdbool.h>

/*
 * Is the upgrade request as RFC 6455 wants it, and its Origin allowed? Keeps the accept key and
 * counts the subprotocols in the handshake. False: `response` says why not.
 */
bool upgrade_check(
	struct connection *c, const struct request *request, struct error_response *response);

/*
 * For a request without Upgrade: has it the other fields of WebSocket? Then a proxy has dropped
 * that one, and `response` says so.
 */
bool upgrade_check_plain(const struct request *request, struct error_response *response);

/* Sends the 101 and opens the relay: the peer is connected. May end the connection. */
void upgrade_accept(struct connection *c);
#endif
