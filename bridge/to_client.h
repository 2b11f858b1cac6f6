/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the peer to the client: cutting what the peer sends into messages.
 */
#ifndef WEBSOCKSY_TO_CLIENT_H
#define WEBSOCKSY_TO_CLIENT_H
#include "bridge/connection.h"
#include "websocket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sends one message. `room`: there are WEBSOCKET_HEADER_MAX writable bytes in front of it. */
void to_client_send(
	struct connection *c, enum websocket_opcode opcode, uint8_t *data, size_t len, bool room);

/* Goes on with bytes that the framing has not seen. False: the connection has been ended. */
bool to_client_partial(struct connection *c);

/* Reads of the peer what one turn allows. May end the connection. */
void to_client_readable(struct connection *c);
#endif
