/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the client to the peer.
 *
 * Must not know: HTTP, the kinds of the two streams.
 * Invariants: the client is paused exactly while the peer's backlog is above the high mark and has
 * not yet fallen to the low one; where each message is a system call, a turn has a bounded number.
 * Implements RFC 6455 sections 5.4 and 5.5.
 */
#include "bridge/to_peer.h"

#include "base/passes.h"
#include "bridge/closing.h"
#include "bridge/deadlines.h"
#include "bridge/messages.h"
#include "bridge/ping.h"
#include "bridge/relay_state.h"
#include "bridge/tap.h"
#include "websocket/close.h"
#include "websocket/legacy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TO_PEER_READS 4 /* reads of the client in one turn */
#define TO_PEER_WHOLE_READ                                                                         \
	(16 * 1024) /* one read, one in a turn, where each message is a system call */

#define TO_PEER_MESSAGES 128 /* in one turn, where each message is a system call */

/* After writing towards the peer: pause the client when too much is queued. */
static void check_peer_backlog(struct connection *c) {
	size_t backlog = stream_backlog(&c->peer);
	if(backlog == 0) {
		return;
	}
	if(backlog > c->env->settings->buffer_high || memory_is_exhausted(c->env)) {
		stream_want_read(&c->client, false);
	}
	deadlines_arm(c);
}

/* Writes to the peer. False: the connection ends. */
static bool peer_write(struct connection *c, const uint8_t *data, size_t len) {
	if(!stream_is_open(&c->peer) || c->peer.error) {
		return true; /* the peer is gone: its reader says so to the client */
	}
	int result = stream_write(&c->peer, data, len);
	if(result == -EMSGSIZE) {
		closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "message larger than a datagram can be");
		return false;
	}
	if(result == -EOPNOTSUPP) {
		closing_fail(c, WEBSOCKET_CODE_UNSUPPORTED, "the peer takes no data");
		return false;
	}
	if(result) {
		return true; /* the stream reports itself as broken */
	}
	check_peer_backlog(c);
	return true;
}

static bool forward_bytes(struct connection *c, const uint8_t *data, size_t len) {
	if(len == 0) {
		return true;
	}
	c->to_peer.bytes += len;
	c->activity.data_ms = relay_now(c);
	return peer_write(c, data, len);
}

static bool forward_message(struct connection *c, uint8_t *data, size_t len) {
	c->to_peer.bytes += len;
	c->activity.data_ms = relay_now(c);
	if(!c->loopback) {
		return peer_write(c, data, len);
	}
	if(!c->close_sent) {
		messages_send(
			c, (enum websocket_opcode)c->to_peer.parser.message, data, len, false);
	}
	return true;
}

/* Can the peer take a message of `total` bytes? */
static bool fits_peer(const struct connection *c, size_t total) {
	if(c->encodes) {
		return true; /* the length of what it gets is known when it is encoded */
	}
	return total <= STREAM_MESSAGE_MIN || total <= stream_message_max(&c->peer);
}

/* Adds to the message that is collected in `into`. False: the connection ends. */
static bool collect(struct connection *c, struct dynbuf *into, const uint8_t *data, size_t len) {
	size_t max = c->env->settings->max_message;
	if(!fits_peer(c, into->len + len)) {
		closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "message larger than a datagram can be");
		return false;
	}
	if(into->len > max || len > max - into->len) {
		closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "message larger than max-message");
		return false;
	}
	int result = memory_append(c->env, into, data, len);
	if(result) {
		closing_no_memory(c, result);
		return false;
	}
	return true;
}

/* ---- messages that the framing encodes ---- */

/* A stream peer gets what has been encoded. False: the connection ends. */
static bool send_encoded(struct connection *c) {
	struct websocksy_output *room = &c->env->room;
	bool goes_on = forward_bytes(c, room->data, room->len);
	memory_empty_room(c->env);
	return goes_on;
}

static void encoding_failed(struct connection *c, int error) {
	if(error == -ENOMEM) {
		closing_no_memory(c, error);
	} else if(error == -EMSGSIZE) {
		closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "message larger than its framing allows");
	} else {
		closing_fail(
			c, WEBSOCKET_CODE_INVALID_DATA, "message is not valid for its framing");
	}
}

/* Adds a part of a message to env->room. False: the connection ends. */
static bool encode(struct connection *c, struct websocksy_part *part) {
	struct websocksy_framing_stream *framing = &c->to_client.framing;
	bool text = c->to_peer.parser.message == WEBSOCKET_TEXT;
	part->type = text ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY;
	part->first = !c->in_message;
	c->in_message = !part->last;
	int result = framing->framing->encode(framing, part, &c->env->room);
	if(result == 0) {
		return true;
	}
	/* The messages before, if that does not end the connection. */
	bool goes_on = relay_is_whole(c) || send_encoded(c);
	memory_empty_room(c->env);
	if(goes_on) {
		encoding_failed(c, result);
	}
	return false;
}

/*
 * The length of the message of which `len` bytes, and nothing before them, have arrived: known if
 * the frame that is arriving is its last one. What comes before an error has no length any more.
 */
static uint64_t message_length(const struct connection *c, size_t len, bool last) {
	const struct websocket_parser *parser = &c->to_peer.parser;
	bool is_data = parser->opcode < WEBSOCKET_CLOSE && c->legacy == LEGACY_NONE;
	if(last) {
		return len;
	}
	bool is_last = is_data && parser->in_payload && parser->fin && !parser->code;
	return is_last ? len + parser->payload_left : WEBSOCKSY_UNKNOWN;
}

/* A message whose length the framing needs is collected until it is known. */
static bool encode_measured(struct connection *c, struct websocksy_part *part) {
	struct dynbuf *collected = framing_collected(&c->to_client.framing);
	if(c->in_message || !collected) {
		return encode(c, part);
	}
	part->total = message_length(c, collected->len + part->len, part->last);
	if(collected->len == 0 && part->total != WEBSOCKSY_UNKNOWN) {
		return encode(c, part);
	}
	if(!collect(c, collected, part->data, part->len)) {
		return false;
	}
	if(part->total == WEBSOCKSY_UNKNOWN) {
		return true;
	}
	part->data = collected->data;
	part->len = collected->len;
	bool goes_on = encode(c, part);
	memory_free(c->env, collected);
	return goes_on;
}

static bool encode_part(struct connection *c, uint8_t *data, size_t len, bool last) {
	struct websocksy_part part = {.data = data, .len = len, .last = last};
	if(len == 0 && !last) {
		return true;
	}
	part.total = c->in_message ? WEBSOCKSY_UNKNOWN : message_length(c, len, last);
	return encode_measured(c, &part);
}

/* A complete message for a datagram peer. */
static bool forward_encoded(struct connection *c, uint8_t *data, size_t len) {
	bool goes_on = encode_part(c, data, len, true) &&
		forward_message(c, c->env->room.data, c->env->room.len);
	memory_empty_room(c->env);
	return goes_on;
}

/*
 * A message has ended with `len` bytes at `data`; mostly all of it is there and goes on without a
 * copy.
 */
static bool finish_message(struct connection *c, uint8_t *data, size_t len) {
	bool (*forward)(struct connection *, uint8_t *, size_t) =
		c->encodes ? forward_encoded : forward_message;
	if(c->tapped) {
		tap_from_client(c, data, len, true);
	}
	if(!relay_is_whole(c)) {
		return c->encodes ? encode_part(c, data, len, true) : forward_bytes(c, data, len);
	}
	if(c->partial.len == 0 && len <= c->env->settings->max_message) {
		return forward(c, data, len);
	}
	if(!collect(c, &c->partial, data, len)) {
		return false;
	}
	bool goes_on = forward(c, c->partial.data, c->partial.len);
	memory_free(c->env, &c->partial);
	return goes_on;
}

static void client_closes(struct connection *c, const uint8_t *payload, size_t len) {
	uint16_t code;
	int result = websocket_close_parse(payload, len, &code);
	if(c->close_sent) {
		connection_linger(c);
		return;
	}
	if(result) {
		closing_fail(c, code,
			code == WEBSOCKET_CODE_PROTOCOL ? "invalid close frame"
							: "close reason is not UTF-8");
		return;
	}
	closing_note(c, CLOSING_BY_CLIENT, code, "closed by the client");
	closing_send(c, code, NULL, true);
	connection_linger(c);
}

/* The answers may be the beginning of a backlog. */
static void send_pongs(struct connection *c, struct ping_answers *pongs) {
	ping_send_answers(c, pongs);
	if(stream_backlog(&c->client) > 0) {
		deadlines_arm(c);
	}
}

/* A part of a message whose ends matter. Apart, so that the common case needs no room for it. */
static __attribute__((noinline)) bool forward_part(
	struct connection *c, uint8_t *block, size_t len) {
	if(c->tapped) {
		tap_from_client(c, block, len, false);
	}
	if(relay_is_whole(c)) {
		return len == 0 || collect(c, &c->partial, block, len);
	}
	return c->encodes ? encode_part(c, block, len, false) && send_encoded(c)
			  : forward_bytes(c, block, len);
}

/* The bytes between `block` and the output position go to the peer (stream) or are collected. */
static bool forward_block(struct connection *c, uint8_t *block, const struct websocket_io *io) {
	size_t len = (size_t)(io->out - block);
	return c->to_peer.parser.whole ? forward_part(c, block, len) : forward_bytes(c, block, len);
}

/* A complete control frame. False: no more frames are to be read. */
static bool client_controls(
	struct connection *c, struct websocket_io *io, uint8_t *block, struct ping_answers *pongs) {
	if(io->opcode == WEBSOCKET_PING) {
		ping_answer(c, io, pongs);
		return true;
	}
	if(io->opcode != WEBSOCKET_CLOSE) {
		return true; /* a pong: that it came is all there is to it */
	}
	send_pongs(c, pongs);
	if(relay_is_whole(c) || forward_block(c, block, io)) {
		client_closes(c, io->payload, io->payload_len);
	}
	return false;
}

/* Leaves the rest of the input, which begins with a message, to the next turn. */
static bool keep_input(struct connection *c, const struct websocket_io *io) {
	assert(c->partial.len == 0);
	int result = memory_append(c->env, &c->partial, io->in, io->in_len);
	if(result) {
		closing_no_memory(c, result);
		return false;
	}
	c->partial_is_input = true;
	loop_set_ready(c->env->loop, &c->client.io, LOOP_IN);
	return true;
}

static inline enum websocket_result parse_frames(struct connection *c, struct websocket_io *io) {
	if(__builtin_expect(c->legacy != LEGACY_NONE, false)) {
		return legacy_parse(&c->to_peer.parser, io);
	}
	return websocket_parse(&c->to_peer.parser, io);
}

/* Parses until the input is used up. False: no more frames are to be read. */
static bool client_frames(
	struct connection *c, struct websocket_io *io, struct ping_answers *pongs) {
	uint8_t *block = io->out;
	int messages = TO_PEER_MESSAGES;
	/* Each call takes at least a byte, except one that finds none left. */
	PASSES(results, io->in_len + 1);
	for(;;) {
		PASS(results);
		switch(parse_frames(c, io)) {
		case WEBSOCKET_MORE:
			return forward_block(c, block, io);
		case WEBSOCKET_MESSAGE:
			if(c->loopback && pongs->len > 0) {
				/*
				 * A pong does not come behind the echo of what was sent after its
				 * ping.
				 */
				send_pongs(c, pongs);
			}
			if(!finish_message(c, block, (size_t)(io->out - block))) {
				return false;
			}
			if(relay_is_whole(c) && --messages == 0 && io->in_len > 0) {
				return keep_input(c, io);
			}
			block = io->out;
			break;
		case WEBSOCKET_CONTROL:
			if(!client_controls(c, io, block, pongs)) {
				return false;
			}
			break;
		case WEBSOCKET_BAD:
			send_pongs(c, pongs);
			if(relay_is_whole(c) || forward_block(c, block, io)) {
				closing_fail(c, c->to_peer.parser.code, c->to_peer.parser.error);
			}
			return false;
		}
	}
}

/*
 * Bytes of the client. Payload is compacted in place; a stream peer gets one block for everything
 * that came together, control frames cut out.
 */
void to_peer_bytes(struct connection *c, uint8_t *data, size_t len) {
	struct websocket_io io = {.in = data, .in_len = len, .out = data};
	struct ping_answers pongs;
	pongs.len = 0;
	c->activity.client_ms = relay_now(c);
	if(c->activity.ping_sent_ms) {
		/*
		 * The timer stands at the end of the wait for this answer; the next ping may be due
		 * before.
		 */
		c->activity.ping_sent_ms = 0;
		deadlines_arm(c);
	}
	if(client_frames(c, &io, &pongs) && (pongs.len > 0 || c->kept_ping)) {
		send_pongs(c, &pongs);
	}
}

/* What keep_input() has kept, less than one read. */
static void take_kept_input(struct connection *c) {
	uint8_t *scratch = c->env->loop->scratch;
	size_t len = c->partial.len;
	memcpy(scratch, c->partial.data, len);
	memory_free(c->env, &c->partial);
	c->partial_is_input = false;
	to_peer_bytes(c, scratch, len);
}

static const char *end_of_client(const struct connection *c) {
	return c->legacy == LEGACY_HIXIE_75 ? "closed by the client"
					    : "the client ended without a close frame";
}

void to_peer_readable(struct connection *c) {
	uint8_t *scratch = c->env->loop->scratch;
	if(c->partial_is_input) {
		take_kept_input(c);
		return;
	}
	size_t cap = relay_is_whole(c) ? TO_PEER_WHOLE_READ : LOOP_SCRATCH_SIZE;
	int reads = relay_is_whole(c) ? 1 : TO_PEER_READS;
	for(int i = 0; i < reads && stream_readable(&c->client); i++) {
		ssize_t got = stream_read(&c->client, scratch, cap);
		if(got == -EAGAIN) {
			return;
		}
		if(got <= 0) {
			closing_client_gone(c,
				got == 0 ? end_of_client(c) : stream_reason(&c->client, (int)got));
			return;
		}
		to_peer_bytes(c, scratch, (size_t)got);
		if(c->phase != CONNECTION_OPEN && c->phase != CONNECTION_CLOSING) {
			return;
		}
	}
}
