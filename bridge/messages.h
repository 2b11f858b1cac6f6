/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages to the client, as the framing cuts them from the data of the peer.
 */
#ifndef WEBSOCKSY_MESSAGES_H
#define WEBSOCKSY_MESSAGES_H
#include "bridge/connection.h"
#include "websocket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sends one message. `room`: there are WEBSOCKET_HEADER_MAX writable bytes in front of it. */
void messages_send(
	struct connection *c, enum websocket_opcode opcode, uint8_t *data, size_t len, bool room);

/* The result of cutting bytes into messages. */
struct messages_cut {
	size_t used; /* bytes that have been sent */
	size_t messages; /* in them */
	size_t unseen; /* bytes at the end that the framing has not seen, because of the backlog */
	bool many; /* so many messages that other connections should have a turn */
};

/*
 * Cuts `input`, which is not empty, into messages and sends them. `room`: as above. False: the
 * framing has failed, the connection ends. The messages before are sent.
 */
bool messages_cut(
	struct connection *c, struct websocksy_input *input, bool room, struct messages_cut *cut);

/*
 * The peer has ended: sends messages that the framing held back, then the rest of `partial` as the
 * last one. False: the framing has failed, the connection ends.
 */
bool messages_cut_tail(struct connection *c);

/*
 * Sends the datagram of `len` bytes in the loop's scratch buffer as one message. False: the framing
 * has failed, the connection ends.
 */
bool messages_send_datagram(struct connection *c, size_t len);
#endif
