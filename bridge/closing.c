/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The closing handshake.
 *
 * Must not know: what the relay does with bytes.
 * Invariants: after our close frame nothing is written to the client.
 * Implements RFC 6455 sections 5.5.1 and 7.
 */
#include "bridge/closing.h"

#include "bridge/relay_state.h"

#include <assert.h>
#include <errno.h>

#define CLOSING_READS 4 /* reads of the peer that are thrown away in one turn */

void closing_note(struct connection *c, uint16_t code, const char *why) {
	if(!c->why) {
		c->code = code;
		c->why = why;
	}
}

/* The only place that sends a close frame. `last`: the client's has come, or is not waited for. */
void closing_send(struct connection *c, uint16_t code, const char *reason, bool last) {
	uint8_t frame[WEBSOCKET_CLOSE_FRAME_MAX];
	size_t len = websocket_put_close(frame, code, reason);
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
void closing_start(struct connection *c, uint16_t code, const char *why, uint64_t wait_ms) {
	closing_note(c, code, why);
	closing_send(c, code, why, false);
	stream_outstanding(&c->client); /* progress counts from here */
	connection_enter(c, CONNECTION_CLOSING);
	connection_set_deadline(c, relay_now(c) + wait_ms);
	if(stream_is_open(&c->peer)) {
		/* What the peer still says is thrown away; reading on keeps a reset from destroying what it gets. */
		stream_want_read(&c->peer, true);
	}
}

/* The client broke a rule, or what it wants cannot be done: no more input from it (RFC 6455, 7.1.7). */
void closing_fail(struct connection *c, uint16_t code, const char *why) {
	closing_note(c, code, why);
	if(!c->close_sent) {
		closing_send(c, code, why, true);
	}
	connection_linger(c);
}

/* The client is gone without a close frame: the peer gets what is queued and an end. */
void closing_client_gone(struct connection *c, const char *why) {
	closing_note(c, 1006, why);
	stream_close(&c->client);
	connection_linger(c);
}

/* After our close frame the peer's bytes have nowhere to go. */
void closing_peer(struct connection *c) {
	for(int i = 0; i < CLOSING_READS && stream_readable(&c->peer); i++) {
		if(stream_read(&c->peer, c->env->loop->scratch, LOOP_SCRATCH_SIZE) == -EAGAIN) {
			return;
		}
	}
}

void closing_deadline(struct connection *c) {
	uint64_t due_ms;
	if(connection_progresses(&c->client, c->env->settings->close_timeout_ms, &due_ms)) {
		connection_set_deadline(c, due_ms);
		return;
	}
	connection_log(c, LOG_INFO, "the client did not answer the close frame in time; dropped");
	if(stream_is_open(&c->peer) && stream_backlog(&c->peer) > 0) {
		/* What it said before is still the peer's. */
		closing_client_gone(c, "the client did not answer the close frame");
	} else {
		connection_close(c);
	}
}
