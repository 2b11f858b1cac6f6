/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the peer to the client.
 *
 * Must not know: HTTP, the kinds of the two streams.
 * Invariants: the peer is read only while the framing has seen all that is kept of it; the peer is
 * paused exactly while the client's backlog is above the high mark and has not yet fallen to the
 * low one.
 * Implements RFC 6455 sections 5.4 and 5.6.
 */
#include "bridge/to_client.h"

#include "base/passes.h"
#include "base/utf8.h"
#include "bridge/batch.h"
#include "bridge/closing.h"
#include "bridge/convert.h"
#include "bridge/deadlines.h"
#include "bridge/framing_failure.h"
#include "bridge/relay_state.h"
#include "bridge/tap.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TO_CLIENT_READS 4 /* reads of the peer in one turn */
#define TO_CLIENT_DATAGRAMS 64 /* the same for datagrams */
#define TO_CLIENT_PARTIAL_SMALL                                                                    \
	(16 * 1024) /* an incomplete message up to this is read behind in scratch */

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

void to_client_send(
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
		to_client_send(c, checked_opcode(message->type, message->data, message->len),
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

/* The result of cutting bytes into messages. */
struct cut {
	size_t used; /* bytes that have been sent */
	size_t messages; /* in them */
	size_t unseen; /* bytes at the end that the framing has not seen, because of the backlog */
	bool many; /* so many messages that other connections should have a turn */
};

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
static bool send_full(struct connection *c, struct batch *batch, struct cut *cut) {
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
	struct batch *batch, struct websocksy_input *input, bool room, struct cut *cut) {
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

/*
 * Cuts `input`, which is not empty, into messages and sends them. False: the framing has failed,
 * the connection ends. The messages before are sent.
 */
static bool send_frames(
	struct connection *c, struct websocksy_input *input, bool room, struct cut *cut) {
	struct batch batch;
	size_t total = input->len;
	*cut = (struct cut){0};
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

/* Keeps the rest of `partial` after `used` bytes of it have gone. */
static void partial_drop(struct connection *c, size_t used) {
	if(used == c->partial.len) {
		memory_free(c->env, &c->partial);
	} else if(used > 0) {
		memmove(c->partial.data, c->partial.data + used, c->partial.len - used);
		c->partial.len -= (uint32_t)used;
	}
}

/* After cutting: an incomplete message must not grow for ever. */
static enum to_client_result check_partial(struct connection *c, const struct cut *cut) {
	c->unseen = (uint32_t)cut->unseen;
	if(cut->unseen > 0 || c->partial.len <= c->env->settings->max_message) {
		return cut->many ? TO_CLIENT_ENOUGH : TO_CLIENT_MORE;
	}
	connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
		"framing function %s found no message in %" PRIu32
		" bytes from %s (max-message); closed "
		"with 1009",
		c->to_client.framing.framing->name, c->partial.len, c->peer_name);
	closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "message from the peer larger than max-message");
	return TO_CLIENT_ENDED;
}

enum to_client_result to_client_partial(struct connection *c) {
	struct cut cut;
	struct websocksy_input input = {.data = c->partial.data,
		.len = c->partial.len,
		.fresh = c->unseen,
		.room = &c->env->room};
	input.data[input.len] = '\0';
	if(!send_frames(c, &input, false, &cut)) {
		return TO_CLIENT_ENDED;
	}
	partial_drop(c, cut.used);
	return check_partial(c, &cut);
}

/* `len` bytes in the scratch buffer, the last `fresh` of them new; `partial` is empty. */
static enum to_client_result scratch_frames(struct connection *c, size_t len, size_t fresh) {
	struct cut cut;
	struct websocksy_input input = {
		.data = c->env->loop->scratch, .len = len, .fresh = fresh, .room = &c->env->room};
	input.data[len] = '\0';
	if(!send_frames(c, &input, true, &cut)) {
		return TO_CLIENT_ENDED;
	}
	size_t left = len - cut.used;
	if(left == 0) {
		memory_free(c->env, &c->partial);
		c->unseen = 0;
		return cut.many ? TO_CLIENT_ENOUGH : TO_CLIENT_MORE;
	}
	/* One byte more: its NUL. */
	int result = memory_reserve(c->env, &c->partial, left + 1);
	if(result) {
		closing_no_memory(c, result);
		return TO_CLIENT_ENDED;
	}
	memory_append(c->env, &c->partial, c->env->loop->scratch + cut.used, left);
	return check_partial(c, &cut);
}

/*
 * The peer has ended: messages that the framing held back, then the rest as the last one. False:
 * the framing has failed, the connection ends.
 */
static bool send_tail(struct connection *c) {
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

/* The peer has ended (`error` 0) or failed. */
static void peer_ends(struct connection *c, int error) {
	struct connection_env *env = c->env;
	c->peer_ended = true;
	if(error == 0) {
		error = -c->peer.error;
	}
	if(!send_tail(c)) {
		return;
	}
	if(!relay_is_whole(c)) {
		memory_free(c->env, &c->partial);
	}
	if(error) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_NOTICE,
			"%s failed: %s; closing with 1011", c->peer_name,
			stream_reason(&c->peer, error));
		closing_start(c, WEBSOCKET_CODE_INTERNAL, "the peer failed",
			env->settings->close_timeout_ms);
	} else {
		closing_start(c, WEBSOCKET_CODE_NORMAL, "the peer has closed",
			env->settings->close_timeout_ms);
	}
}

/*
 * A read brought nothing: for now, or, when writing has failed and all that came before is read,
 * for ever.
 */
static void peer_stops(struct connection *c, int result) {
	if(result != -EAGAIN) {
		peer_ends(c, result);
	} else if(c->peer.error) {
		peer_ends(c, -c->peer.error);
	}
}

/* The number of bytes; 0: none are there now, or the peer has ended and the connection with it. */
static size_t peer_read_into(struct connection *c, uint8_t *into, size_t cap) {
	ssize_t got = stream_read(&c->peer, into, cap);
	if(got <= 0) {
		peer_stops(c, (int)got);
		return 0;
	}
	c->activity.data_ms = relay_now(c);
	return (size_t)got;
}

/* A large incomplete message stays where it is and is read behind; its room doubles. */
static enum to_client_result peer_read_behind(struct connection *c) {
	bool full = c->partial.cap - c->partial.len < TO_CLIENT_PARTIAL_SMALL;
	int result = full ? memory_reserve(c->env, &c->partial, c->partial.len) : 0;
	if(result) {
		closing_no_memory(c, result);
		return TO_CLIENT_ENDED;
	}
	size_t cap = c->partial.cap - c->partial.len - 1;
	size_t got = peer_read_into(c, c->partial.data + c->partial.len, cap);
	if(got == 0) {
		return TO_CLIENT_ENOUGH;
	}
	c->partial.len += (uint32_t)got;
	c->unseen = (uint32_t)got;
	return to_client_partial(c);
}

/* One read of a byte stream. */
static enum to_client_result peer_read_bytes(struct connection *c) {
	uint8_t *scratch = c->env->loop->scratch;
	size_t had = c->partial.len;
	if(had > TO_CLIENT_PARTIAL_SMALL) {
		return peer_read_behind(c);
	}
	/* Copying a little to the front of the large buffer costs less than many small reads. */
	if(had > 0) {
		memcpy(scratch, c->partial.data, had);
	}
	size_t got = peer_read_into(c, scratch + had, LOOP_SCRATCH_SIZE - had);
	if(got == 0) {
		return TO_CLIENT_ENOUGH;
	}
	c->partial.len = 0;
	return scratch_frames(c, had + got, got);
}

/*
 * The framing tells the type of a datagram, nothing else: a datagram is a message and a stream of
 * its own.
 */
static enum to_client_result send_datagram(struct connection *c, size_t len) {
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
	return goes_on ? TO_CLIENT_MORE : TO_CLIENT_ENDED;
}

static enum to_client_result peer_read_datagram(struct connection *c) {
	size_t max = c->env->settings->max_message;
	size_t cap = max < LOOP_SCRATCH_SIZE ? max : LOOP_SCRATCH_SIZE;
	ssize_t got = stream_read(&c->peer, c->env->loop->scratch, cap);
	if(got == -EMSGSIZE) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
			"datagram from %s above %zu bytes; closed with 1009", c->peer_name, cap);
		closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "datagram from the peer too large");
		return TO_CLIENT_ENDED;
	}
	if(got < 0) {
		peer_stops(c, (int)got);
		return TO_CLIENT_ENOUGH;
	}
	c->activity.data_ms = relay_now(c);
	return send_datagram(c, (size_t)got);
}

void to_client_readable(struct connection *c) {
	bool datagram = c->peer.datagram;
	int budget = datagram ? TO_CLIENT_DATAGRAMS : TO_CLIENT_READS;
	enum to_client_result result = TO_CLIENT_MORE;
	for(int i = 0; i < budget && result == TO_CLIENT_MORE && stream_readable(&c->peer); i++) {
		result = datagram ? peer_read_datagram(c) : peer_read_bytes(c);
	}
}
