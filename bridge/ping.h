/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ping and pong frames (RFC 6455, sections 5.5.2 and 5.5.3).
 */
#ifndef WEBSOCKSY_PING_H
#define WEBSOCKSY_PING_H
#include "bridge/connection.h"
#include "websocket.h"

#include <stddef.h>
#include <stdint.h>

#define PING_ANSWERS                                                                               \
	(16 * 1024) /* pongs that one read may cause, in bytes; beyond, the newest counts */

/* Answers to the pings of one read: they go out together, and a flood of them costs one write. */
struct ping_answers {
	size_t len;
	uint8_t frames[PING_ANSWERS];
};

void ping_send_control(
	struct connection *c, enum websocket_opcode opcode, const uint8_t *payload, size_t len);

/*
 * Answers the ping in `io`, or keeps it until the client has taken the data that is queued for it.
 */
void ping_answer(struct connection *c, const struct websocket_io *io, struct ping_answers *pongs);

/* Sends the answers, and that to the ping that is remembered if there is room now. */
void ping_send_answers(struct connection *c, struct ping_answers *pongs);

/* Answers the ping that is remembered, if any. */
void ping_answer_kept(struct connection *c);
#endif
