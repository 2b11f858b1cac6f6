/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The address of a client behind trusted reverse proxies: PROXY protocol, Forwarded and its
 * predecessors.
 */
#ifndef WEBSOCKSY_CLIENT_ADDRESS_H
#define WEBSOCKSY_CLIENT_ADDRESS_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/client_view.h"
#include "http/request.h"

#include <stdbool.h>

/*
 * Takes the address of a request from its header fields, if the connection is a trusted proxy's,
 * and counts the connection for it. False: `response` is to be sent, because the fields are
 * malformed or contradict each other; or its status is 0 and the connection is to be closed, see
 * admission_identify().
 */
bool client_address_identify(
	struct connection *c, const struct request *request, struct error_response *response);

/* Scheme, host and port of the identified client's request, as the client sees them. */
void client_address_view(
	const struct connection *c, const struct request *request, struct client_view *view);

/*
 * Reads of the PROXY header. True: it is complete. False: it is not, or the connection has been
 * closed.
 */
bool client_address_read_header(struct connection *c);

/* Closes a connection whose PROXY header is wrong. */
void client_address_header_failed(struct connection *c, const char *why);
#endif
