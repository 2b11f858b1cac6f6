/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The closing handshake.
 *
 * Must not know: frames of data, framings.
 * Invariants: after our close frame nothing is written to the client.
 * Implements RFC 6455 sections 5.5.1 and 7.
 */
#include "bridge/closing.h"

#include "bridge/relay_state.h"
#include "websocket/close.h"
#include "websocket/legacy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLOSING_READS 4 /* reads of the peer that are thrown away in one turn */

void closing_note(struct connection *c, enum closing_side side, uint16_t code, const char *why) {
	size_t size = strlen(why) + 1;
	struct closing_note *note = c->noted ? NULL : malloc(sizeof(*note) + size);
	if(note) {
		free(c->kept_ping); /* the client gets no more answers */
		note->side = side;
		note->code = code;
		memcpy(note->why, why, size);
		c->note = note;
		c->noted = true;
	}
}

/* The only place that sends a close frame. `last`: the client's has come, or is not waited for. */
void closing_send(struct connection *c, uint16_t code, const char *reason, bool last) {
	uint8_t frame[WEBSOCKET_CLOSE_FRAME_MAX];
	size_t len = c->legacy ? legacy_close_put(frame, c->legacy)
			       : websocket_close_put(frame, code, reason);
	assert(!c->close_sent);
	c->close_sent = true;
	/* Without a closing frame the end of the stream is all that there is. */
	last = last || len == 0;
	/* A client that is gone is met by the next read. */
	if(last) {
		stream_write_last(&c->client, frame, len);
	} else {
		stream_write(&c->client, frame, len);
	}
}

static void begin_closing(struct connection *c, uint64_t wait_ms) {
	stream_outstanding(&c->client); /* progress counts from here */
	connection_enter(c, CONNECTION_CLOSING);
	connection_set_deadline(c, relay_now(c) + wait_ms);
	if(stream_is_open(&c->peer)) {
		/*
		 * Further data of the peer is discarded; it is read so that no reset destroys data
		 * on its way to the peer.
		 */
		stream_want_read(&c->peer, true);
	}
}

/*
 * Our side starts the closing handshake; the client's bytes go on to the peer until its close
 * frame.
 */
void closing_start(struct connection *c, uint16_t code, const char *why, uint64_t wait_ms) {
	closing_note(c, c->peer_ended ? CLOSING_BY_PEER : CLOSING_BY_SERVER, code, why);
	closing_send(c, code, why, false);
	begin_closing(c, wait_ms);
}

/*
 * The client broke a rule, or its request cannot be fulfilled: no more input from it (RFC 6455,
 * 7.1.7).
 */
void closing_fail(struct connection *c, uint16_t code, const char *why) {
	closing_note(c, CLOSING_BY_SERVER, code, why);
	if(!c->close_sent) {
		closing_send(c, code, why, true);
	}
	connection_linger(c);
}

void closing_no_memory(struct connection *c, int error) {
	if(error != -EDQUOT) {
		closing_fail(c, WEBSOCKET_CODE_INTERNAL, "out of memory");
		return;
	}
	connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
		"an incomplete message would exceed the memory limit (max-memory); closed with "
		"1013");
	closing_fail(c, WEBSOCKET_CODE_TRY_AGAIN, "the server has reached its memory limit");
}

/*
 * The client is gone without a close frame: the peer gets what is queued and an end, or a reset if
 * the client had sent more.
 */
void closing_client_gone(struct connection *c, const char *why) {
	closing_note(c, CLOSING_BY_CLIENT, WEBSOCKET_CODE_ABNORMAL, why);
	if(stream_is_open(&c->peer) && connection_has_input(c)) {
		connection_reset_peer(c);
	}
	stream_close(&c->client);
	connection_linger(c);
}

void closing_give_up(struct connection *c, const char *why) {
	closing_note(c, CLOSING_BY_SERVER, WEBSOCKET_CODE_ABNORMAL, why);
	closing_client_gone(c, why);
}

/*
 * Nothing can be written to the client any more. Data that it sent before is still read to its end
 * and passed to the peer, with the deadline of a closing connection.
 */
void closing_client_broken(struct connection *c) {
	closing_note(c, CLOSING_BY_CLIENT, WEBSOCKET_CODE_ABNORMAL,
		stream_reason(&c->client, -c->client.error));
	c->close_sent = true;
	if(c->phase == CONNECTION_OPEN) {
		begin_closing(c, c->env->settings->close_timeout_ms);
	}
	if(c->loopback) {
		stream_want_read(&c->client, true);
	}
	loop_set_ready(c->env->loop, &c->client.io, LOOP_IN);
}

/* After our close frame the peer's bytes have nowhere to go. */
void closing_peer(struct connection *c) {
	for(int i = 0; i < CLOSING_READS && stream_readable(&c->peer); i++) {
		if(stream_read(&c->peer, c->env->loop->scratch, LOOP_SCRATCH_SIZE) == -EAGAIN) {
			return;
		}
	}
}

bool closing_client_is_paused(const struct connection *c) {
	return stream_is_open(&c->client) && !c->client.ended && !(c->client.io.want & LOOP_IN);
}

/*
 * close-timeout: measures how long the client's close frame has not come although it could be read.
 * The client's taking data moves it: our close frame is behind that. While the client is paused its
 * close frame cannot be seen, so then the peer's taking data moves it, and closing_resumed() leaves
 * out the pause. Data that the client sends does not move it: it may be endless.
 */
void closing_deadline(struct connection *c) {
	uint64_t patience_ms = c->env->settings->close_timeout_ms;
	bool paused = closing_client_is_paused(c);
	uint64_t due_ms;
	if(connection_progresses(&c->client, patience_ms, &due_ms) ||
		(paused && connection_progresses(&c->peer, patience_ms, &due_ms))) {
		connection_set_deadline(c, due_ms);
		return;
	}
	if(paused) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_NOTICE,
			"%s did not take the client's data in time (close-timeout); closing "
			"without the rest of it",
			c->peer_name);
	} else {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_INFO,
			"the client did not answer the close frame in time (close-timeout)");
	}
	bool rest = stream_is_open(&c->peer) && stream_backlog(&c->peer) > 0;
	if(rest && !connection_has_input(c)) {
		/* Data that the client sent before still goes to the peer. */
		closing_give_up(c, "the client did not answer the close frame");
	} else {
		connection_close(c);
	}
}

void closing_resumed(struct connection *c) {
	/* The last byte of the client was read when the pause began. */
	uint64_t pause_ms = relay_now(c) - c->activity.client_ms;
	connection_set_deadline(c, c->timer.due_ms + pause_ms);
}
