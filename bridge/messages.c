/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages to the client, as the framing cuts them from the data of the peer.
 *
 * Must not know: how the peer is read, what is kept of its data.
 * Invariants: messages are sent in the order of their bytes, and those before an error are sent.
 * Implements RFC 6455 sections 5.4 and 5.6.
 */
#include "bridge/messages.h"

#include "base/passes.h"
#include "base/utf8.h"
#include "bridge/batch.h"
#include "bridge/convert.h"
#include "bridge/deadlines.h"
#include "bridge/framing_failure.h"
#include "bridge/relay_state.h"
#include "bridge/tap.h"

#include <errno.h>
#include <string.h>

/* After writing to the client: pause the source of its data when too much is queued. */
static void check_client_backlog(struct connection *c) {
	size_t backlog = stream_backlog(&c->client);
	if(backlog == 0) {
		return;
	}
	if(backlog > c->env->settings->buffer_high || memory_is_exhausted(c->env)) {
		stream_want_read(relay_source(c), false);
	}
	deadlines_arm(c);
}

void messages_send(
	struct connection *c, enum websocket_opcode opcode, uint8_t *data, size_t len, bool room) {
	struct batch batch;
	batch_begin(&batch);
	if(c->legacy) {
		convert_add_legacy(c, &batch, data, len);
	} else {
		batch_add(&batch, opcode, data, len, room);
	}
	if(c->tapped) {
		tap_to_client(c, opcode, data, len);
	}
	c->to_client.bytes += len;
	c->to_client.messages++;
	batch_send(c, &batch);
	check_client_backlog(c);
}

/*
 * The most bytes that a message may take. However they come: if the framing had to wait for the
 * end, the message would be too large.
 */
static size_t message_limit(const struct connection *c) {
	bool waits = !(c->to_client.framing.framing->flags & WEBSOCKSY_NEVER_WAITS);
	return waits ? c->env->settings->max_message : SIZE_MAX;
}

/*
 * Asks for the first message: the number of its bytes, at most those of the input. Negative: the
 * framing has failed or the message is larger than `limit` (-EMSGSIZE), and
 * framing_failure_close() is due.
 */
static inline __attribute__((always_inline)) int64_t ask_framing(struct connection *c,
	struct websocksy_input *input, struct websocksy_message *message, size_t limit) {
	struct websocksy_framing_stream *stream = &c->to_client.framing;
	int64_t result = stream->framing->decode(stream, input, message);
	if((uint64_t)result > input->len) {
		return result < 0 ? result : -ERANGE;
	}
	return (size_t)result > limit ? -EMSGSIZE : result;
}

/*
 * Text that is not valid UTF-8 would make the client fail the connection (RFC 6455, 8.1): it is
 * sent as binary.
 */
static enum websocket_opcode checked_opcode(
	enum websocksy_type type, const uint8_t *data, size_t len) {
	return type == WEBSOCKSY_TEXT && utf8_valid(data, len) ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

/* Some framings have validated their text already. */
static bool validates_text(const struct connection *c) {
	return c->to_client.framing.framing->flags & WEBSOCKSY_TEXT_IS_VALID;
}

static enum websocket_opcode message_opcode(
	const struct connection *c, enum websocksy_type type, const uint8_t *data, size_t len) {
	bool valid = type == WEBSOCKSY_TEXT && validates_text(c);
	return valid ? WEBSOCKET_TEXT : checked_opcode(type, data, len);
}

/* Gives a message that has no payload of its own the `len` bytes at `data`. */
static void use_bytes(struct websocksy_message *message, uint8_t *data, size_t len) {
	if(!message->data) {
		message->data = data;
		message->len = len;
	}
}

/*
 * Sends a message that has not been validated, if it is text, of `taken` bytes of the peer. `room`:
 * there is room for a header in front of its payload. False: the connection ends.
 */
static bool send_checked(
	struct connection *c, const struct websocksy_message *message, size_t taken, bool room) {
	struct batch batch;
	if(message->type == WEBSOCKSY_DISCARD) {
		return true;
	}
	if(!c->converts && c->env->room.len == 0) {
		messages_send(c, checked_opcode(message->type, message->data, message->len),
			message->data, message->len, room);
		return true;
	}
	batch_begin(&batch);
	int result = convert_add(c, &batch, message, false);
	if(result) {
		framing_failure_close(c, result, taken);
		return false;
	}
	c->to_client.bytes += taken;
	c->to_client.messages++;
	batch_send(c, &batch);
	check_client_backlog(c);
	return true;
}

/* Is the payload of the message something else than the bytes that it takes? */
static inline bool is_special(const struct connection *c, const struct websocksy_message *message) {
	return message->data || c->converts || message->type == WEBSOCKSY_DISCARD;
}

/* Adds such a message of `take` bytes of the input. 0, or negative: the framing has failed. */
static __attribute__((noinline)) int add_special(struct connection *c, struct batch *batch,
	struct websocksy_message *message, const struct websocksy_input *input, size_t take) {
	if(message->type == WEBSOCKSY_DISCARD) {
		c->to_client.bytes -= take; /* with all that is used they are added below */
		c->to_client.messages--;
		memory_empty_room(c->env);
		return 0;
	}
	use_bytes(message, input->data, take);
	return convert_add(c, batch, message, validates_text(c));
}

/* More messages than fit into a batch. True: the client has to take them before there are more. */
static bool send_full(struct connection *c, struct batch *batch, struct messages_cut *cut) {
	cut->many = true;
	batch_send(c, batch);
	return stream_backlog(&c->client) > c->env->settings->buffer_high;
}

/*
 * Adds the messages in `input` to `batch` until one is incomplete, which is 0, or the client's
 * backlog is too large, which is positive. Negative: the framing has failed. `room`: there is room
 * for a header in front of the first.
 */
static inline __attribute__((always_inline)) int64_t cut_messages(struct connection *c,
	struct batch *batch, struct websocksy_input *input, bool room, struct messages_cut *cut) {
	size_t limit = message_limit(c);
	uint8_t *data = input->data;
	size_t left = input->len;
	PASSES(messages, left);
	do {
		PASS(messages);
		struct websocksy_message message; /* `len` is set with `data` */
		message.type = WEBSOCKSY_BINARY;
		message.data = NULL;
		int64_t size = ask_framing(c, input, &message, limit);
		if(size <= 0) {
			c->partial_type = (unsigned)message.type & 15u;
			return size;
		}
		size_t take = (size_t)size;
		if(is_special(c, &message)) {
			int result = add_special(c, batch, &message, input, take);
			if(result) {
				return result;
			}
		} else {
			batch_add(batch, message_opcode(c, message.type, data, take), data, take,
				room);
		}
		room = false;
		data += take;
		left -= take;
		cut->messages++;
		input->data = data;
		input->len = left;
		input->fresh = left;
	} while(left > 0 && !(batch_is_full(batch) && send_full(c, batch, cut)));
	return 1;
}

bool messages_cut(
	struct connection *c, struct websocksy_input *input, bool room, struct messages_cut *cut) {
	struct batch batch;
	size_t total = input->len;
	*cut = (struct messages_cut){0};
	batch_begin(&batch);
	int64_t result = cut_messages(c, &batch, input, room, cut);
	if(result <= 0) {
		input->fresh = 0;
		memory_empty_room(c->env);
	}
	cut->used = total - input->len;
	cut->unseen = input->fresh;
	c->to_client.bytes += cut->used;
	c->to_client.messages += cut->messages;
	batch_send(c, &batch);
	if(result < 0) {
		framing_failure_close(c, result, input->len);
		return false;
	}
	check_client_backlog(c);
	return true;
}

bool messages_cut_tail(struct connection *c) {
	size_t used = 0;
	while(!relay_is_whole(c) && used < c->partial.len) {
		uint8_t *data = c->partial.data + used;
		size_t len = c->partial.len - used;
		bool seen = used == 0 && c->partial_type;
		struct websocksy_input input = {.data = data,
			.len = len,
			.fresh = used > 0 ? len : 0,
			.end = true,
			.room = &c->env->room};
		struct websocksy_message message = {
			.type = seen ? (enum websocksy_type)c->partial_type : WEBSOCKSY_BINARY};
		data[len] = '\0';
		int64_t size = ask_framing(c, &input, &message, message_limit(c));
		if(size < 0) {
			memory_empty_room(c->env);
			framing_failure_close(c, size, len);
			return false;
		}
		size_t take = size > 0 ? (size_t)size : len;
		use_bytes(&message, data, take);
		if(!send_checked(c, &message, take, false)) {
			return false;
		}
		memory_empty_room(c->env);
		used += take;
	}
	return true;
}

/*
 * The framing tells the type of a datagram, nothing else: a datagram is a message and a stream of
 * its own.
 */
bool messages_send_datagram(struct connection *c, size_t len) {
	uint8_t *scratch = c->env->loop->scratch;
	struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
	struct websocksy_input input = {.data = scratch,
		.len = len,
		.fresh = len,
		.end = true,
		.datagram = true,
		.room = &c->env->room};
	scratch[len] = '\0';
	int64_t size = ask_framing(c, &input, &message, message_limit(c));
	bool room = !message.data;
	if(room && len == 0) {
		message.type = WEBSOCKSY_BINARY;
	}
	use_bytes(&message, scratch, len);
	if(size < 0) {
		framing_failure_close(c, size, len);
	}
	bool goes_on = size >= 0 && send_checked(c, &message, len, room);
	memory_empty_room(c->env);
	return goes_on;
}
