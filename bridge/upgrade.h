/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The opening handshake of RFC 6455, section 4.2: the rules for the request, and the 101.
 */
#ifndef WEBSOCKSY_UPGRADE_H
#define WEBSOCKSY_UPGRADE_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/http.h"
#include "plugin.h"

#include <stdbool.h>
#include <stddef.h>

/* An upgrade request on its way to the backend: strings are private copies in `memory`. */
struct upgrade {
	struct connection *c;
	const struct http_request *request;
	struct error_response response;
	size_t protocols;
	char *memory;
	struct backend_request query;
};

/* Notes the error response. Always false. */
bool upgrade_refuse(struct upgrade *u, unsigned status, const char *message, const char *extra);

/* Counts the subprotocols that the client offers. False: one of them is malformed. */
bool upgrade_check_protocols(struct upgrade *u);

/* Is there room for this connection, and is the daemon not about to stop? */
bool upgrade_check_admission(struct upgrade *u);

/* Is the request an upgrade as RFC 6455 wants it? */
bool upgrade_check_rules(struct upgrade *u);

/* Sends the 101 and opens the relay: the peer is connected. May end the connection. */
void upgrade_accept(struct connection *c);
#endif
