/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The open connection: events, flow control, the beginning.
 *
 * Must not know: HTTP, how the peer was found, the kinds of the two streams.
 * Invariants: a side is paused exactly while the other side's backlog is above the high mark and
 * has not yet fallen to the low one.
 */
#include "bridge/relay.h"

#include "bridge/client_certificate.h"
#include "bridge/closing.h"
#include "bridge/deadlines.h"
#include "bridge/login.h"
#include "bridge/ping.h"
#include "bridge/relay_state.h"
#include "bridge/to_client.h"
#include "bridge/to_peer.h"

static void resume_client(struct connection *c) {
	if(!closing_client_is_paused(c)) {
		return;
	}
	/* During the pause neither a pong nor a close frame could be seen. */
	if(c->phase == CONNECTION_CLOSING) {
		closing_resumed(c);
	} else if(c->activity.ping_sent_ms) {
		c->activity.ping_sent_ms = relay_now(c);
	}
	stream_want_read(&c->client, true);
}

/* The client's backlog is down to the low mark. */
static void client_drained(struct connection *c) {
	ping_answer_kept(c);
	if(c->loopback) {
		resume_client(c);
		return;
	}
	if(c->unseen > 0 && !c->close_sent && !relay_is_whole(c) &&
		to_client_partial(c) == TO_CLIENT_ENDED) {
		return;
	}
	if(stream_backlog(&c->client) <= c->env->settings->buffer_high) {
		stream_want_read(&c->peer, !c->peer_ended);
	}
}

void relay_client(struct connection *c, unsigned events) {
	if(events == STREAM_READABLE) { /* most often */
		to_peer_readable(c);
		return;
	}
	if(events & STREAM_BROKEN) {
		closing_client_broken(c);
	}
	if(events & STREAM_PROGRESS) {
		c->activity.data_ms = relay_now(c);
	}
	if((events & STREAM_PROGRESS) &&
		stream_backlog(&c->client) <= c->env->settings->buffer_low) {
		client_drained(c);
	}
	if((events & STREAM_READABLE) &&
		(c->phase == CONNECTION_OPEN || c->phase == CONNECTION_CLOSING)) {
		to_peer_readable(c);
	}
}

static void peer_progress(struct connection *c, unsigned events) {
	if(events & STREAM_PROGRESS) {
		c->activity.data_ms = relay_now(c);
	}
	if((events & STREAM_PROGRESS) && stream_backlog(&c->peer) <= c->env->settings->buffer_low) {
		resume_client(c);
	}
	if(events & STREAM_BROKEN) {
		/* Its reader delivers the data before the end, and then finds the end. */
		loop_set_ready(c->env->loop, &c->peer.io, LOOP_IN);
		resume_client(c);
	}
}

void relay_peer(struct connection *c, unsigned events) {
	if(events == STREAM_READABLE) { /* most often */
		to_client_readable(c);
		return;
	}
	peer_progress(c, events);
	if(events & STREAM_READABLE) {
		to_client_readable(c);
	}
}

/* After our close frame the peer's bytes have nowhere to go. */
void relay_closing_peer(struct connection *c, unsigned events) {
	peer_progress(c, events);
	closing_peer(c);
}

void relay_shutdown(struct connection *c) {
	const struct settings *settings = c->env->settings;
	uint16_t code = settings->drain_code == SETTINGS_DRAIN_RESTART ? WEBSOCKET_CODE_RESTART
								       : WEBSOCKET_CODE_GOING_AWAY;
	closing_start(c, code, "the server is shutting down", settings->grace_ms);
}

/* A user that has been removed keeps no session; one with a new password has to log in with it. */
void relay_reload(struct connection *c) {
	if(!client_certificate_is_valid(c)) {
		closing_start(c, WEBSOCKET_CODE_POLICY,
			"the client certificate is not valid any more",
			c->env->settings->close_timeout_ms);
		return;
	}
	if(!login_is_current(c)) {
		closing_fail(c, WEBSOCKET_CODE_POLICY, LOGIN_REVOKED);
		return;
	}
	deadlines_arm(c);
}

/* The messages of a loopback peer go back as they came. */
static void begin_framing(struct connection *c) {
	c->converts = !c->loopback && (c->legacy || c->tapped);
	c->encodes = !c->loopback && c->to_client.framing.framing->encode;
	c->to_peer.parser.whole = relay_is_whole(c) || c->encodes || c->tapped;
}

void relay_open(struct connection *c, uint8_t *early, size_t early_len) {
	connection_enter(c, CONNECTION_OPEN);
	c->upgraded = true;
	lifetime_enter(&c->env->lifetime);
	begin_framing(c);
	c->since_ms = relay_now(c);
	c->activity.client_ms = c->since_ms;
	c->activity.data_ms = c->since_ms;
	loop_timer_cancel(c->env->loop, &c->timer);
	stream_want_read(&c->client, true);
	deadlines_arm(c);
	if(early_len > 0) {
		to_peer_bytes(c, early, early_len);
	}
	/* Bytes of the peer behind its reply to a prelude. */
	if(c->unseen > 0 && c->phase == CONNECTION_OPEN) {
		to_client_partial(c);
	}
}
