/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ping and pong frames.
 *
 * Must not know: when a ping is due, see deadlines.c.
 * Invariants: a client that does not read its pongs costs one ping's memory, however many it sends.
 * Implements RFC 6455 sections 5.5.2 and 5.5.3.
 */
#include "bridge/ping.h"

#include <stdlib.h>
#include <string.h>

/*
 * Keeps the newest of the pings that cannot be answered yet; a flood of them does not grow memory.
 */
static void ping_keep(struct connection *c, const uint8_t *payload, size_t len) {
	if(c->noted) {
		return;
	}
	if(!c->kept_ping) {
		c->kept_ping = malloc(1 + WEBSOCKET_CONTROL_MAX);
		if(!c->kept_ping) {
			return; /* no pong is better than no connection */
		}
	}
	c->kept_ping[0] = (uint8_t)len;
	if(len > 0) {
		memcpy(c->kept_ping + 1, payload, len);
	}
}

void ping_send_control(
	struct connection *c, enum websocket_opcode opcode, const uint8_t *payload, size_t len) {
	uint8_t frame[WEBSOCKET_HEADER_MAX + WEBSOCKET_CONTROL_MAX];
	size_t header = websocket_put_header(frame, true, opcode, len);
	if(len > 0) {
		memcpy(frame + header, payload, len);
	}
	stream_write(&c->client, frame, header + len);
}

void ping_answer_kept(struct connection *c) {
	if(c->noted) {
		return;
	}
	if(c->kept_ping && !c->close_sent) {
		ping_send_control(c, WEBSOCKET_PONG, c->kept_ping + 1, c->kept_ping[0]);
	}
	free(c->kept_ping);
	c->kept_ping = NULL;
}

void ping_send_answers(struct connection *c, struct ping_answers *pongs) {
	if(c->close_sent) {
		return;
	}
	if(pongs->len > 0) {
		stream_write(&c->client, pongs->frames, pongs->len);
		pongs->len = 0;
	}
	if(c->kept_ping && !c->noted &&
		stream_backlog(&c->client) <= c->env->settings->buffer_high) {
		ping_answer_kept(c);
	}
}

/* RFC 6455, section 5.5.3: only the newest of several pings needs an answer. */
void ping_answer(struct connection *c, const struct websocket_io *io, struct ping_answers *pongs) {
	size_t room = sizeof(pongs->frames) - pongs->len;
	bool full = stream_backlog(&c->client) > c->env->settings->buffer_high;
	if(full || c->kept_ping || room < websocket_header_len(io->payload_len) + io->payload_len) {
		ping_keep(c, io->payload, io->payload_len);
		return;
	}
	uint8_t *frame = pongs->frames + pongs->len;
	size_t header = websocket_put_header(frame, true, WEBSOCKET_PONG, io->payload_len);
	if(io->payload_len > 0) {
		memcpy(frame + header, io->payload, io->payload_len);
	}
	pongs->len += header + io->payload_len;
}
