/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The open connection.
 *
 * Must not know: HTTP, how the peer was found, what kind of stream the two sides are.
 * Invariants: after our close frame nothing is written to the client; the peer is read only while the framing
 * function has seen all that is carried; a side is paused exactly while the other side's backlog is above
 * the high mark and has not yet fallen to the low one.
 * Implements RFC 6455 sections 5.4, 5.5 and 7.
 */
#include "bridge/relay.h"

#include "base/passes.h"
#include "base/utf8.h"
#include "websocket/close.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RELAY_READS 4 /* reads of one side in one turn */
#define RELAY_DATAGRAMS 64 /* the same for datagrams */
#define RELAY_WHOLE_READ                                                                           \
	(16 * 1024) /* one read, one in a turn, where each message is a system call */
#define RELAY_PONGS                                                                                \
	(16 * 1024) /* pongs that one read may cause, in bytes; beyond, the newest counts */
#define RELAY_BATCH 64 /* pieces of one gathered write */
#define RELAY_BATCH_BYTES (16 * 1024) /* headers and small payloads in it */
#define RELAY_BATCH_COPY 512 /* payloads up to this are copied into it */
#define RELAY_PARTIAL_SMALL                                                                        \
	(16 * 1024) /* an incomplete message up to this is read behind in scratch */

static uint64_t now_of(const struct connection *c) {
	return c->env->loop->now_ms;
}

static bool is_whole(const struct connection *c) {
	return c->echo || c->peer.datagram;
}

/* ---- deadlines ---- */

static void earlier(uint64_t *due, uint64_t candidate) {
	if(candidate < *due) {
		*due = candidate;
	}
}

static uint64_t pong_timeout(const struct settings *settings) {
	return settings->pong_timeout_ms == SETTINGS_PONG_TWICE_PING ? 2 * settings->ping_ms
								     : settings->pong_timeout_ms;
}

/* When must the open connection be looked at again? Traffic only moves this further away. */
static uint64_t next_due(const struct connection *c) {
	const struct settings *settings = c->env->settings;
	uint64_t due = UINT64_MAX;
	if(settings->ping_ms && !c->ping_sent_ms) {
		earlier(&due, c->client_ms + settings->ping_ms);
	}
	if(c->ping_sent_ms && pong_timeout(settings)) {
		earlier(&due, c->ping_sent_ms + pong_timeout(settings));
	}
	if(settings->idle_timeout_ms) {
		earlier(&due, c->data_ms + settings->idle_timeout_ms);
	}
	if(settings->stall_timeout_ms) {
		if(stream_backlog(&c->client) > 0) {
			earlier(&due, c->client.progress_ms + settings->stall_timeout_ms);
		}
		if(stream_is_open(&c->peer) && stream_backlog(&c->peer) > 0) {
			earlier(&due, c->peer.progress_ms + settings->stall_timeout_ms);
		}
	}
	return due;
}

/* Arms for the next due time unless the timer comes early enough anyway. */
static void relay_arm(struct connection *c) {
	uint64_t due = next_due(c);
	/* The other phases have deadlines of their own. */
	if(due == UINT64_MAX || c->phase != CONNECTION_OPEN) {
		return;
	}
	if(!c->timer.slot || c->timer.due_ms > due) {
		connection_set_deadline(c, due);
	}
}

/* ---- closing ---- */

static void relay_note(struct connection *c, uint16_t code, const char *why) {
	if(!c->why) {
		c->code = code;
		c->why = why;
	}
}

/* The only place that sends a close frame. `last`: the client's has come, or is not waited for. */
static void relay_send_close(struct connection *c, uint16_t code, const char *reason, bool last) {
	uint8_t frame[WEBSOCKET_CLOSE_FRAME_MAX];
	size_t len = websocket_close_put(frame, code, reason);
	assert(!c->close_sent);
	c->close_sent = true;
	/* A client that is gone is met by the next read. */
	if(last) {
		stream_write_last(&c->client, frame, len);
	} else {
		stream_write(&c->client, frame, len);
	}
}

/* Our side starts the closing handshake; the client's bytes go on to the peer until its close frame. */
static void relay_start_closing(
	struct connection *c, uint16_t code, const char *why, uint64_t wait_ms) {
	relay_note(c, code, why);
	relay_send_close(c, code, why, false);
	stream_outstanding(&c->client); /* progress counts from here */
	connection_enter(c, CONNECTION_CLOSING);
	connection_set_deadline(c, now_of(c) + wait_ms);
	if(!connection_is_dead(c) && stream_is_open(&c->peer)) {
		/* What the peer still says is thrown away; reading on keeps a reset from destroying what it gets. */
		stream_want_read(&c->peer, true);
	}
}

/* The client broke a rule, or what it wants cannot be done: no more input from it (RFC 6455, 7.1.7). */
static void relay_fail(struct connection *c, uint16_t code, const char *why) {
	relay_note(c, code, why);
	if(!c->close_sent) {
		relay_send_close(c, code, why, true);
	}
	connection_linger(c);
}

/* The client is gone without a close frame: the peer gets what is queued and an end. */
static void relay_client_gone(struct connection *c, const char *why) {
	relay_note(c, 1006, why);
	stream_close(&c->client);
	connection_linger(c);
}

/* ---- to the client ---- */

/* Keeps the newest of the pings that cannot be answered yet; a flood of them does not grow memory. */
static void keep_ping(struct connection *c, const uint8_t *payload, size_t len) {
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

static void send_control(
	struct connection *c, enum websocket_opcode opcode, const uint8_t *payload, size_t len) {
	uint8_t frame[WEBSOCKET_HEADER_MAX + WEBSOCKET_CONTROL_MAX];
	size_t header = websocket_put_header(frame, true, opcode, len);
	if(len > 0) {
		memcpy(frame + header, payload, len);
	}
	stream_write(&c->client, frame, header + len);
}

static void send_kept_pong(struct connection *c) {
	if(c->kept_ping && !c->close_sent) {
		send_control(c, WEBSOCKET_PONG, c->kept_ping + 1, c->kept_ping[0]);
	}
	free(c->kept_ping);
	c->kept_ping = NULL;
}

/* After writing to the client: pause the source of its data when too much is queued. */
static void check_client_backlog(struct connection *c) {
	size_t backlog = stream_backlog(&c->client);
	if(backlog == 0) {
		return;
	}
	if(backlog > c->env->settings->buffer_high) {
		stream_want_read(c->echo ? &c->client : &c->peer, false);
	}
	relay_arm(c);
}

/*
 * Frames that go out with one write. Headers and small payloads are gathered in `small`, where neighbours
 * share an entry of `iov`: for many tiny messages a copy costs less than an entry each.
 */
struct batch {
	int count; /* entries of iov */
	size_t used; /* bytes of small */
	struct iovec iov[RELAY_BATCH];
	uint8_t small[RELAY_BATCH_BYTES];
};

static void batch_send(struct connection *c, struct batch *batch) {
	if(batch->count > 0) {
		stream_writev(&c->client, batch->iov, batch->count);
	}
	batch->count = 0;
	batch->used = 0;
}

static bool batch_is_full(const struct batch *batch) {
	return batch->count > RELAY_BATCH - 2 ||
		batch->used > RELAY_BATCH_BYTES - RELAY_BATCH_COPY - WEBSOCKET_HEADER_MAX;
}

static void batch_add_bytes(struct batch *batch, uint8_t *data, size_t len) {
	struct iovec *last = batch->count > 0 ? &batch->iov[batch->count - 1] : NULL;
	if(last && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
	} else {
		batch->iov[batch->count++] = (struct iovec){data, len};
	}
}

/* `room`: there are WEBSOCKET_HEADER_MAX writable bytes in front of the payload. */
static void batch_add(struct batch *batch, enum websocket_opcode opcode, uint8_t *payload,
	size_t len, bool room) {
	uint8_t *header = room ? payload - websocket_header_len(len) : batch->small + batch->used;
	size_t header_len = websocket_put_header(header, true, opcode, len);
	if(room) {
		batch_add_bytes(batch, header, header_len + len);
		return;
	}
	batch->used += header_len;
	if(len > RELAY_BATCH_COPY) {
		batch_add_bytes(batch, header, header_len);
		batch_add_bytes(batch, payload, len);
		return;
	}
	memcpy(header + header_len, payload, len);
	batch->used += len;
	batch_add_bytes(batch, header, header_len + len);
}

static void send_message(
	struct connection *c, enum websocket_opcode opcode, uint8_t *data, size_t len, bool room) {
	struct batch batch;
	batch.count = 0;
	batch.used = 0;
	batch_add(&batch, opcode, data, len, room);
	c->bytes_out += len;
	batch_send(c, &batch);
	check_client_backlog(c);
}

/* ---- client to peer ---- */

/* After writing towards the peer: pause the client when too much is queued. */
static void check_peer_backlog(struct connection *c) {
	size_t backlog = stream_backlog(&c->peer);
	if(backlog == 0) {
		return;
	}
	if(backlog > c->env->settings->buffer_high) {
		stream_want_read(&c->client, false);
	}
	relay_arm(c);
}

/* Writes to the peer. False: the connection has been ended. */
static bool peer_write(struct connection *c, const uint8_t *data, size_t len) {
	if(!stream_is_open(&c->peer) || c->peer.error) {
		return true; /* the peer is gone: its reader says so to the client */
	}
	int result = stream_write(&c->peer, data, len);
	if(result == -EMSGSIZE) {
		relay_fail(c, WEBSOCKET_CODE_TOO_BIG, "message larger than a datagram can be");
		return false;
	}
	if(result == -EOPNOTSUPP) {
		relay_fail(c, WEBSOCKET_CODE_UNSUPPORTED, "the peer takes no data");
		return false;
	}
	if(result) {
		return true; /* the stream reports itself as broken */
	}
	check_peer_backlog(c);
	return !connection_is_dead(c);
}

static bool forward_bytes(struct connection *c, const uint8_t *data, size_t len) {
	if(len == 0) {
		return true;
	}
	c->bytes_in += len;
	c->data_ms = now_of(c);
	return peer_write(c, data, len);
}

static bool forward_message(struct connection *c, uint8_t *data, size_t len) {
	c->bytes_in += len;
	c->data_ms = now_of(c);
	if(!c->echo) {
		return peer_write(c, data, len);
	}
	if(!c->close_sent) {
		send_message(c, (enum websocket_opcode)c->parser.message, data, len, false);
	}
	return !connection_is_dead(c);
}

/* Adds to the message that is collected. False: the connection has been ended. */
static bool collect(struct connection *c, const uint8_t *data, size_t len) {
	size_t max = c->env->settings->max_message;
	if(c->partial.len > max || len > max - c->partial.len) {
		relay_fail(c, WEBSOCKET_CODE_TOO_BIG, "message larger than max-message");
		return false;
	}
	if(dynbuf_append(&c->partial, data, len)) {
		relay_fail(c, WEBSOCKET_CODE_INTERNAL, "out of memory");
		return false;
	}
	return true;
}

/* A message has ended with `len` bytes at `data`; mostly all of it is there and goes on without a copy. */
static bool finish_message(struct connection *c, uint8_t *data, size_t len) {
	if(c->partial.len == 0 && len <= c->env->settings->max_message) {
		return forward_message(c, data, len);
	}
	if(!collect(c, data, len)) {
		return false;
	}
	bool alive = forward_message(c, c->partial.data, c->partial.len);
	if(!connection_is_dead(c)) {
		dynbuf_free(&c->partial);
	}
	return alive;
}

static void client_closes(struct connection *c, const uint8_t *payload, size_t len) {
	uint16_t code;
	int result = websocket_close_parse(payload, len, &code);
	if(c->close_sent) {
		connection_linger(c);
		return;
	}
	if(result) {
		relay_fail(c, code,
			code == WEBSOCKET_CODE_PROTOCOL ? "invalid close frame"
							: "close reason is no UTF-8");
		return;
	}
	relay_note(c, code, "closed by the client");
	relay_send_close(c, code, NULL, true);
	connection_linger(c);
}

/* Answers to the pings of one read: they go out together, and a flood of them costs one write. */
struct pongs {
	size_t len;
	uint8_t frames[RELAY_PONGS];
};

static void pongs_send(struct connection *c, struct pongs *pongs) {
	if(c->close_sent) {
		return;
	}
	if(pongs->len > 0) {
		stream_write(&c->client, pongs->frames, pongs->len);
		pongs->len = 0;
	}
	if(c->kept_ping && stream_backlog(&c->client) <= c->env->settings->buffer_high) {
		send_kept_pong(c);
	}
	relay_arm(c);
}

/* RFC 6455, section 5.5.3: only the newest of several pings needs an answer. */
static void client_pings(struct connection *c, const struct websocket_io *io, struct pongs *pongs) {
	size_t room = sizeof(pongs->frames) - pongs->len;
	bool full = stream_backlog(&c->client) > c->env->settings->buffer_high;
	if(full || c->kept_ping || room < websocket_header_len(io->payload_len) + io->payload_len) {
		keep_ping(c, io->payload, io->payload_len);
		return;
	}
	uint8_t *frame = pongs->frames + pongs->len;
	size_t header = websocket_put_header(frame, true, WEBSOCKET_PONG, io->payload_len);
	if(io->payload_len > 0) {
		memcpy(frame + header, io->payload, io->payload_len);
	}
	pongs->len += header + io->payload_len;
}

/* What lies between `block` and the output position goes to the peer (stream) or is collected. */
static bool forward_block(struct connection *c, uint8_t *block, const struct websocket_io *io) {
	size_t len = (size_t)(io->out - block);
	return is_whole(c) ? len == 0 || collect(c, block, len) : forward_bytes(c, block, len);
}

/* A complete control frame. False: no more frames are to be read. */
static bool client_controls(
	struct connection *c, struct websocket_io *io, uint8_t *block, struct pongs *pongs) {
	if(io->opcode == WEBSOCKET_PING) {
		client_pings(c, io, pongs);
		return true;
	}
	if(io->opcode != WEBSOCKET_CLOSE) {
		return true; /* a pong: that it came is all there is to it */
	}
	pongs_send(c, pongs);
	if(!connection_is_dead(c) && (is_whole(c) || forward_block(c, block, io))) {
		client_closes(c, io->payload, io->payload_len);
	}
	return false;
}

/* Parses until the input is used up. False: no more frames are to be read. */
static bool client_frames(struct connection *c, struct websocket_io *io, struct pongs *pongs) {
	uint8_t *block = io->out;
	/* Each call takes at least a byte, except one that finds none left. */
	PASSES(results, io->in_len + 1);
	for(;;) {
		PASS(results);
		switch(websocket_parse(&c->parser, io)) {
		case WEBSOCKET_MORE:
			return forward_block(c, block, io);
		case WEBSOCKET_MESSAGE:
			if(c->echo && pongs->len > 0) {
				/* A pong does not come behind the echo of what was sent after its ping. */
				pongs_send(c, pongs);
			}
			if(connection_is_dead(c) ||
				!finish_message(c, block, (size_t)(io->out - block))) {
				return false;
			}
			block = io->out;
			break;
		case WEBSOCKET_CONTROL:
			if(!client_controls(c, io, block, pongs)) {
				return false;
			}
			break;
		case WEBSOCKET_BAD:
			pongs_send(c, pongs);
			if(!connection_is_dead(c) && (is_whole(c) || forward_block(c, block, io))) {
				relay_fail(c, c->parser.code, c->parser.error);
			}
			return false;
		}
	}
}

/*
 * What the client sent. Payload is compacted in place; a stream peer gets one block for everything that came
 * together, control frames cut out.
 */
static void client_bytes(struct connection *c, uint8_t *data, size_t len) {
	struct websocket_io io = {.in = data, .in_len = len, .out = data};
	struct pongs pongs;
	pongs.len = 0;
	c->client_ms = now_of(c);
	if(c->ping_sent_ms) {
		/* The timer stands at the end of the wait for this answer; the next ping may be due before. */
		c->ping_sent_ms = 0;
		relay_arm(c);
	}
	if(!connection_is_dead(c) && client_frames(c, &io, &pongs) &&
		(pongs.len > 0 || c->kept_ping)) {
		pongs_send(c, &pongs);
	}
}

static void client_readable(struct connection *c) {
	uint8_t *scratch = c->env->loop->scratch;
	size_t cap = is_whole(c) ? RELAY_WHOLE_READ : LOOP_SCRATCH_SIZE;
	int reads = is_whole(c) ? 1 : RELAY_READS;
	for(int i = 0; i < reads && stream_readable(&c->client); i++) {
		ssize_t got = stream_read(&c->client, scratch, cap);
		if(got == -EAGAIN) {
			return;
		}
		if(got <= 0) {
			relay_client_gone(c,
				got == 0 ? "the client ended without a close frame"
					 : strerror((int)-got));
			return;
		}
		client_bytes(c, scratch, (size_t)got);
		if(c->phase != CONNECTION_OPEN && c->phase != CONNECTION_CLOSING) {
			return;
		}
	}
}

/* ---- peer to client ---- */

/* Asks for the first message. Negative: the framing has failed and the connection has been ended. */
static ssize_t ask_framing(struct connection *c, const struct framing_input *input, bool *text) {
	const struct framing *framing = c->framing.framing;
	ssize_t result = framing->decode(&c->framing, input, text);
	if(result < 0) {
		connection_log_limited(c, LOG_ERROR,
			"framing function %s %s (%zu bytes); the connection is closed with 1011",
			framing->name, framing_reason(result), input->len);
		relay_fail(c, WEBSOCKET_CODE_INTERNAL, "the peer's data cannot be framed");
	}
	return result;
}

/* Text that is none would make the client fail the connection (RFC 6455, 8.1): it goes out as binary. */
static enum websocket_opcode checked_opcode(bool text, const uint8_t *data, size_t len) {
	return text && utf8_valid(data, len) ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

/* Some framings have validated their text already. */
static enum websocket_opcode message_opcode(
	const struct connection *c, bool text, const uint8_t *data, size_t len) {
	bool valid = text && c->framing.framing->validates_text;
	return valid ? WEBSOCKET_TEXT : checked_opcode(text, data, len);
}

/*
 * Cuts `len` bytes at `data` (the last `fresh` of them new; a NUL behind them) into messages and sends them.
 * `room`: there is room for a header in front. Returns how many bytes were sent; c->partial_fresh tells how many
 * of the rest have not been looked at, because the client's backlog is full. Negative: ended.
 */
static ssize_t send_frames(
	struct connection *c, uint8_t *data, size_t len, size_t fresh, bool room) {
	struct batch batch;
	size_t used = 0;
	batch.count = 0;
	batch.used = 0;
	PASSES(messages, len);
	while(used < len) {
		PASS(messages);
		struct framing_input input = {data + used, len - used, fresh, false};
		bool text = false;
		ssize_t size = ask_framing(c, &input, &text);
		if(size < 0) {
			return -1;
		}
		if(size == 0) {
			c->tail_text = text;
			fresh = 0;
			break;
		}
		size_t take = (size_t)size;
		batch_add(&batch, message_opcode(c, text, data + used, take), data + used, take,
			room && used == 0);
		used += take;
		fresh = len - used;
		if(batch_is_full(&batch)) {
			c->many = true;
			batch_send(c, &batch);
			if(stream_backlog(&c->client) > c->env->settings->buffer_high) {
				break;
			}
		}
	}
	batch_send(c, &batch);
	c->bytes_out += used;
	c->partial_fresh = fresh;
	check_client_backlog(c);
	return connection_is_dead(c) ? -1 : (ssize_t)used;
}

/* Keeps the rest of the carry after `used` bytes of it have gone. */
static void partial_drop(struct connection *c, size_t used) {
	if(used == c->partial.len) {
		dynbuf_free(&c->partial);
	} else if(used > 0) {
		memmove(c->partial.data, c->partial.data + used, c->partial.len - used);
		c->partial.len -= used;
	}
}

/* An incomplete message must not grow for ever. False: ended. */
static bool check_partial(struct connection *c) {
	if(c->partial_fresh > 0 || c->partial.len <= c->env->settings->max_message) {
		return true;
	}
	connection_log(c, LOG_WARNING,
		"framing function %s found no message in %zu bytes from %s (max-message); closed "
		"with 1009",
		c->framing.framing->name, c->partial.len, c->peer_name);
	relay_fail(c, WEBSOCKET_CODE_TOO_BIG, "message from the peer larger than max-message");
	return false;
}

/* Bytes that came into the carry, or that were left there unseen. False: ended. */
static bool partial_frames(struct connection *c) {
	c->partial.data[c->partial.len] = '\0';
	ssize_t used = send_frames(c, c->partial.data, c->partial.len, c->partial_fresh, false);
	if(used < 0) {
		return false;
	}
	partial_drop(c, (size_t)used);
	return check_partial(c);
}

/* `len` bytes in the scratch buffer, the last `fresh` of them new; the carry is empty. False: ended. */
static bool scratch_frames(struct connection *c, size_t len, size_t fresh) {
	uint8_t *scratch = c->env->loop->scratch;
	scratch[len] = '\0';
	ssize_t used = send_frames(c, scratch, len, fresh, true);
	if(used < 0) {
		return false;
	}
	size_t left = len - (size_t)used;
	if(left == 0) {
		dynbuf_free(&c->partial);
		return true;
	}
	/* One byte more than the message: its NUL. */
	if(dynbuf_reserve(&c->partial, left + 1) ||
		dynbuf_append(&c->partial, scratch + used, left)) {
		relay_fail(c, WEBSOCKET_CODE_INTERNAL, "out of memory");
		return false;
	}
	return check_partial(c);
}

/*
 * The peer has ended: messages that the framing held back, then the rest as the last one. False: the
 * connection has been ended.
 */
static bool send_tail(struct connection *c) {
	size_t used = 0;
	while(!is_whole(c) && used < c->partial.len) {
		uint8_t *data = c->partial.data + used;
		size_t len = c->partial.len - used;
		struct framing_input input = {data, len, used > 0 ? len : 0, true};
		bool text = used == 0 && c->tail_text;
		data[len] = '\0';
		ssize_t size = ask_framing(c, &input, &text);
		if(size < 0) {
			return false;
		}
		size_t take = size > 0 ? (size_t)size : len;
		send_message(c, checked_opcode(text, data, take), data, take, false);
		if(connection_is_dead(c)) {
			return false;
		}
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
	if(!is_whole(c)) {
		dynbuf_free(&c->partial);
	}
	if(error) {
		connection_log(c, LOG_NOTICE, "%s failed: %s; closing with 1011", c->peer_name,
			stream_reason(&c->peer, error));
		relay_start_closing(c, WEBSOCKET_CODE_INTERNAL, "the peer failed",
			env->settings->close_timeout_ms);
	} else {
		relay_start_closing(c, WEBSOCKET_CODE_NORMAL, "the peer has closed",
			env->settings->close_timeout_ms);
	}
}

/* A read brought nothing: for now, or, when writing has failed and all that came before is read, for ever. */
static void peer_stops(struct connection *c, int result) {
	if(result != -EAGAIN) {
		peer_ends(c, result);
	} else if(c->peer.error) {
		peer_ends(c, -c->peer.error);
	}
}

/* True: bytes came. False: nothing more to do in this turn. */
static bool peer_read_into(struct connection *c, uint8_t *into, size_t cap, size_t *len) {
	ssize_t got = stream_read(&c->peer, into, cap);
	if(got <= 0) {
		peer_stops(c, (int)got);
		return false;
	}
	c->data_ms = now_of(c);
	*len = (size_t)got;
	return true;
}

/* A large incomplete message stays where it is and is read behind; its room doubles. */
static bool peer_read_behind(struct connection *c) {
	size_t got;
	if(c->partial.cap - c->partial.len < RELAY_PARTIAL_SMALL &&
		dynbuf_reserve(&c->partial, c->partial.len)) {
		relay_fail(c, WEBSOCKET_CODE_INTERNAL, "out of memory");
		return false;
	}
	size_t cap = c->partial.cap - c->partial.len - 1;
	if(!peer_read_into(c, c->partial.data + c->partial.len, cap, &got)) {
		return false;
	}
	c->partial.len += got;
	c->partial_fresh = got;
	return partial_frames(c);
}

/* One read of a byte stream. False: nothing more to do in this turn. */
static bool peer_read_bytes(struct connection *c) {
	uint8_t *scratch = c->env->loop->scratch;
	size_t had = c->partial.len;
	size_t got;
	if(had > RELAY_PARTIAL_SMALL) {
		return peer_read_behind(c);
	}
	/* Copying a little to the front of the large buffer costs less than many small reads. */
	if(had > 0) {
		memcpy(scratch, c->partial.data, had);
	}
	if(!peer_read_into(c, scratch + had, LOOP_SCRATCH_SIZE - had, &got)) {
		return false;
	}
	c->partial.len = 0;
	return scratch_frames(c, had + got, got);
}

/* The framing tells the type of a datagram, nothing else: a datagram is a message and a stream of its own. */
static bool send_datagram(struct connection *c, size_t len) {
	uint8_t *scratch = c->env->loop->scratch;
	bool text = false;
	scratch[len] = '\0';
	struct framing_input input = {scratch, len, len, true};
	if(len > 0 && ask_framing(c, &input, &text) < 0) {
		return false;
	}
	send_message(c, checked_opcode(text, scratch, len), scratch, len, true);
	return !connection_is_dead(c);
}

static bool peer_read_datagram(struct connection *c) {
	size_t max = c->env->settings->max_message;
	size_t cap = max < LOOP_SCRATCH_SIZE ? max : LOOP_SCRATCH_SIZE;
	ssize_t got = stream_read(&c->peer, c->env->loop->scratch, cap);
	if(got == -EMSGSIZE) {
		connection_log_limited(c, LOG_WARNING,
			"datagram from %s above %zu bytes; closed with 1009", c->peer_name, cap);
		relay_fail(c, WEBSOCKET_CODE_TOO_BIG, "datagram from the peer too large");
		return false;
	}
	if(got < 0) {
		peer_stops(c, (int)got);
		return false;
	}
	c->data_ms = now_of(c);
	return send_datagram(c, (size_t)got);
}

static void peer_readable(struct connection *c) {
	int budget = c->peer.datagram ? RELAY_DATAGRAMS : RELAY_READS;
	for(int i = 0; i < budget && stream_readable(&c->peer); i++) {
		c->many = false;
		if(!(c->peer.datagram ? peer_read_datagram(c) : peer_read_bytes(c)) || c->many) {
			return;
		}
	}
}

/* ---- flow control ---- */

static void resume_client(struct connection *c) {
	if(!(c->client.io.want & LOOP_IN)) {
		/* While we did not look, its pong could not be seen: the deadline starts anew. */
		if(c->ping_sent_ms) {
			c->ping_sent_ms = now_of(c);
		}
		stream_want_read(&c->client, true);
	}
}

/* The client's backlog is down to the low mark. */
static void client_drained(struct connection *c) {
	send_kept_pong(c);
	if(c->echo) {
		resume_client(c);
		return;
	}
	if(c->partial_fresh > 0 && !c->close_sent && !is_whole(c) && !partial_frames(c)) {
		return;
	}
	if(stream_backlog(&c->client) <= c->env->settings->buffer_high) {
		stream_want_read(&c->peer, !c->peer_ended);
	}
}

/* ---- events ---- */

static void open_client(struct connection *c, unsigned events) {
	if(events & STREAM_BROKEN) {
		relay_client_gone(c, strerror(c->client.error));
		return;
	}
	if((events & STREAM_PROGRESS) &&
		stream_backlog(&c->client) <= c->env->settings->buffer_low) {
		client_drained(c);
	}
	if((events & STREAM_READABLE) &&
		(c->phase == CONNECTION_OPEN || c->phase == CONNECTION_CLOSING)) {
		client_readable(c);
	}
}

static void peer_progress(struct connection *c, unsigned events) {
	if((events & STREAM_PROGRESS) && stream_backlog(&c->peer) <= c->env->settings->buffer_low) {
		resume_client(c);
	}
	if(events & STREAM_BROKEN) {
		/* Its reader delivers what came before and then meets the end. */
		loop_set_ready(c->env->loop, &c->peer.io, LOOP_IN);
		resume_client(c);
	}
}

static void open_peer(struct connection *c, unsigned events) {
	peer_progress(c, events);
	if(events & STREAM_READABLE) {
		peer_readable(c);
	}
}

/* After our close frame the peer's bytes have nowhere to go. */
static void closing_peer(struct connection *c, unsigned events) {
	peer_progress(c, events);
	for(int i = 0; i < RELAY_READS && stream_readable(&c->peer); i++) {
		if(stream_read(&c->peer, c->env->loop->scratch, LOOP_SCRATCH_SIZE) == -EAGAIN) {
			return;
		}
	}
}

/* Has the other side of this stream taken nothing for too long? */
static bool is_stalled(struct stream *stream, uint64_t limit_ms) {
	if(!stream_is_open(stream) || stream_backlog(stream) == 0) {
		return false;
	}
	stream_outstanding(stream);
	return stream->loop->now_ms >= stream->progress_ms + limit_ms;
}

static bool check_stall(struct connection *c) {
	uint64_t limit_ms = c->env->settings->stall_timeout_ms;
	if(limit_ms && is_stalled(&c->client, limit_ms)) {
		connection_log(
			c, LOG_NOTICE, "the client takes no data (stall-timeout); it is dropped");
		relay_client_gone(c, "the client took no data");
		return false;
	}
	if(limit_ms && is_stalled(&c->peer, limit_ms)) {
		connection_log(c, LOG_NOTICE, "%s takes no data (stall-timeout); closing with 1011",
			c->peer_name);
		stream_close(&c->peer);
		relay_fail(c, WEBSOCKET_CODE_INTERNAL, "the peer takes no data");
		return false;
	}
	return true;
}

/* While we do not read, or while the ping is on its way behind data, its answer cannot be there. */
static void excuse_pong(struct connection *c) {
	bool paused = !(c->client.io.want & LOOP_IN);
	if(c->ping_queued) {
		c->ping_queued = stream_outstanding(&c->client) > 0;
		if(c->client.progress_ms > c->ping_sent_ms) {
			c->ping_sent_ms = now_of(c);
		}
	}
	if(paused) {
		c->ping_sent_ms = now_of(c);
	}
}

static bool check_ping(struct connection *c) {
	const struct settings *settings = c->env->settings;
	uint64_t limit_ms = pong_timeout(settings);
	uint64_t now = now_of(c);
	if(c->ping_sent_ms && limit_ms && now >= c->ping_sent_ms + limit_ms) {
		excuse_pong(c);
		if(now >= c->ping_sent_ms + limit_ms) {
			connection_log(c, LOG_NOTICE,
				"no answer to a ping (pong-timeout); the client is given up");
			relay_client_gone(c, "no answer to a ping");
			return false;
		}
	} else if(!c->ping_sent_ms && settings->ping_ms &&
		now >= c->client_ms + settings->ping_ms) {
		c->ping_queued = stream_outstanding(&c->client) > 0;
		c->ping_sent_ms = now;
		send_control(c, WEBSOCKET_PING, NULL, 0);
	}
	return true;
}

static void open_deadline(struct connection *c) {
	uint64_t idle_ms = c->env->settings->idle_timeout_ms;
	if(!check_stall(c) || !check_ping(c)) {
		return;
	}
	if(idle_ms && now_of(c) >= c->data_ms + idle_ms) {
		relay_start_closing(c, WEBSOCKET_CODE_GOING_AWAY,
			"no data for too long (idle-timeout)", c->env->settings->close_timeout_ms);
		return;
	}
	relay_arm(c);
}

static void open_shutdown(struct connection *c) {
	relay_start_closing(c, WEBSOCKET_CODE_GOING_AWAY, "the server is shutting down",
		c->env->settings->grace_ms);
}

static void closing_deadline(struct connection *c) {
	uint64_t due_ms;
	if(connection_progresses(&c->client, c->env->settings->close_timeout_ms, &due_ms)) {
		connection_set_deadline(c, due_ms);
		return;
	}
	connection_log(c, LOG_INFO, "the client did not answer the close frame in time; dropped");
	if(stream_is_open(&c->peer) && stream_backlog(&c->peer) > 0) {
		/* What it said before is still the peer's. */
		relay_client_gone(c, "the client did not answer the close frame");
	} else {
		connection_close(c);
	}
}

const struct connection_handlers relay_open_handlers = {
	.client = open_client,
	.peer = open_peer,
	.deadline = open_deadline,
	.shutdown = open_shutdown,
	.reload = relay_arm,
};

const struct connection_handlers relay_closing_handlers = {
	.client = open_client,
	.peer = closing_peer,
	.deadline = closing_deadline,
};

void relay_open(struct connection *c, uint8_t *early, size_t early_len) {
	connection_enter(c, CONNECTION_OPEN);
	c->upgraded = true;
	c->parser.whole = is_whole(c);
	c->since_ms = now_of(c);
	c->client_ms = c->since_ms;
	c->data_ms = c->since_ms;
	loop_timer_cancel(c->env->loop, &c->timer);
	stream_want_read(&c->client, true);
	relay_arm(c);
	if(early_len > 0 && !connection_is_dead(c)) {
		client_bytes(c, early, early_len);
	}
}
