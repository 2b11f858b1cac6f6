/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The address of a client behind trusted reverse proxies: PROXY protocol, Forwarded and its
 * predecessors.
 */
#ifndef WEBSOCKSY_CLIENT_ADDRESS_H
#define WEBSOCKSY_CLIENT_ADDRESS_H
#include "bridge/connection.h"
#include "http/request.h"

#include <stdbool.h>

/*
 * Takes the address of a request from its header fields, if the connection is a trusted proxy's,
 * and counts the connection for it. False: it is to be closed, see admission_identify().
 */
bool client_address_identify(struct connection *c, const struct request *request);

/*
 * Reads of the PROXY header. True: it is complete. False: it is not, or the connection has been
 * closed.
 */
bool client_address_read_header(struct connection *c);

/* Closes a connection whose PROXY header is wrong. */
void client_address_header_failed(struct connection *c, const char *why);
#endif
