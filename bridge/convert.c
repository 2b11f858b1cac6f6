/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages that are converted on their way to the client.
 *
 * Must not know: how the bytes of the peer were cut into messages.
 * Invariants: env->room is empty before and afterwards, so nothing in the batch points into it; a
 * frame before HyBi contains valid UTF-8 only, in which there is no byte FF.
 */
#include "bridge/convert.h"
#include "bridge/tap.h"

#include "base/utf8.h"
#include "bridge/memory.h"
#include "websocket/legacy.h"

#include <errno.h>

void convert_add_legacy(struct connection *c, struct batch *batch, uint8_t *text, size_t len) {
	uint8_t *begin = batch->small + batch->used;
	begin[0] = LEGACY_BEGIN;
	if(len <= BATCH_COPY) {
		memcpy(begin + 1, text, len);
		begin[1 + len] = LEGACY_END;
		batch->used += len + 2;
		batch_add_bytes(batch, begin, len + 2);
		return;
	}
	begin[1] = LEGACY_END;
	batch_send(c, batch);
	struct iovec iov[] = {{begin, 1}, {text, len}, {begin + 1, 1}};
	stream_writev(&c->client, iov, sizeof(iov) / sizeof(iov[0]));
}

static int add_message(struct connection *c, struct batch *batch,
	const struct websocksy_message *message, bool valid) {
	const struct websocksy_output *room = &c->env->room;
	bool text = message->type == WEBSOCKSY_TEXT &&
		(valid || utf8_valid(message->data, message->len));
	if(c->legacy && !text) {
		return -EILSEQ;
	}
	if(c->tapped) {
		tap_to_client(
			c, text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, message->data, message->len);
	}
	if(c->legacy) {
		convert_add_legacy(c, batch, message->data, message->len);
		return 0;
	}
	bool is_short = message->len <= BATCH_COPY;
	bool in_front = !is_short && room->len > 0 && message->data == room->data;
	batch_add(batch, text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, message->data, message->len,
		in_front);
	if(!is_short) {
		batch_send(c, batch);
	}
	return 0;
}

int convert_add(struct connection *c, struct batch *batch, const struct websocksy_message *message,
	bool valid) {
	int result = add_message(c, batch, message, valid);
	memory_empty_room(c->env);
	return result;
}
