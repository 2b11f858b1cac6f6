/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The deadlines of an open connection.
 *
 * Must not know: frames, framings.
 * Invariants: traffic never touches the timer; a handler that runs too early sleeps for the rest.
 */
#include "bridge/deadlines.h"

#include "bridge/closing.h"
#include "bridge/ping.h"
#include "bridge/relay_state.h"
#include "network.h"
#include "websocket/legacy.h"

static void earlier(uint64_t *due, uint64_t candidate) {
	if(candidate < *due) {
		*due = candidate;
	}
}

static uint64_t pong_timeout(const struct settings *settings) {
	return settings->pong_timeout_ms == SETTINGS_PONG_TWICE_PING ? 2 * settings->ping_ms
								     : settings->pong_timeout_ms;
}

/* Versions before HyBi have no pings: the kernel asks the machine of the client, too. */
static bool asks_by_keepalive(const struct connection *c) {
	return c->legacy != LEGACY_NONE;
}

/* Is there something that the kernel is to be told, see keep_alive()? */
static bool needs_keepalive(const struct connection *c) {
	const struct settings *settings = c->env->settings;
	return !c->keepalive && settings->ping_ms && pong_timeout(settings) &&
		(stream_is_open(&c->peer) || asks_by_keepalive(c));
}

static bool may_ping(const struct connection *c) {
	return asks_by_keepalive(c) ? needs_keepalive(c) : !c->activity.ping_sent_ms;
}

/* When must the open connection be looked at again? Traffic only moves this further away. */
static uint64_t next_due(const struct connection *c) {
	const struct settings *settings = c->env->settings;
	uint64_t due = UINT64_MAX;
	if(settings->ping_ms && may_ping(c)) {
		earlier(&due, c->activity.client_ms + settings->ping_ms);
	}
	if(c->activity.ping_sent_ms && pong_timeout(settings)) {
		earlier(&due, c->activity.ping_sent_ms + pong_timeout(settings));
	}
	if(settings->idle_timeout_ms) {
		earlier(&due, c->activity.data_ms + settings->idle_timeout_ms);
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
void deadlines_arm(struct connection *c) {
	uint64_t due = next_due(c);
	/* The other phases have deadlines of their own. */
	if(due == UINT64_MAX || c->phase != CONNECTION_OPEN) {
		return;
	}
	if(!c->timer.slot || c->timer.due_ms > due) {
		connection_set_deadline(c, due);
	}
}

/*
 * stall-timeout: measures how long the other side has not taken any of what is queued here for it.
 * Bytes that it takes from the kernel move it. Whether that side is read does not matter.
 */
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
		connection_log_limited(c, LOG_KIND_SESSION, LOG_NOTICE,
			"the client takes no data (stall-timeout); closing");
		closing_give_up(c, "the client took no data");
		return false;
	}
	if(limit_ms && is_stalled(&c->peer, limit_ms)) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_NOTICE,
			"%s takes no data (stall-timeout); closing with 1011", c->peer_name);
		connection_reset_peer(c);
		closing_fail(c, WEBSOCKET_CODE_INTERNAL, "the peer takes no data");
		return false;
	}
	return true;
}

/* While we do not read, or while the ping is on its way behind data, its answer cannot be there. */
static void excuse_pong(struct connection *c) {
	bool paused = !(c->client.io.want & LOOP_IN);
	if(c->ping_queued) {
		c->ping_queued = stream_outstanding(&c->client) > 0;
		if(c->client.progress_ms > c->activity.ping_sent_ms) {
			c->activity.ping_sent_ms = relay_now(c);
		}
	}
	if(paused) {
		c->activity.ping_sent_ms = relay_now(c);
	}
}

/*
 * ping: measures how long the client has sent nothing; each byte from it moves it. pong-timeout:
 * measures how long a ping has not been answered; any byte from the client ends it, and
 * excuse_pong() moves it.
 */
static bool check_ping(struct connection *c) {
	const struct settings *settings = c->env->settings;
	uint64_t limit_ms = pong_timeout(settings);
	uint64_t now = relay_now(c);
	if(c->activity.ping_sent_ms && limit_ms && now >= c->activity.ping_sent_ms + limit_ms) {
		excuse_pong(c);
		if(now >= c->activity.ping_sent_ms + limit_ms) {
			connection_log_limited(c, LOG_KIND_SESSION, LOG_NOTICE,
				"no answer to a ping (pong-timeout); closing");
			closing_give_up(c, "no answer to a ping");
			return false;
		}
	} else if(!asks_by_keepalive(c) && !c->activity.ping_sent_ms && settings->ping_ms &&
		now >= c->activity.client_ms + settings->ping_ms) {
		c->ping_queued = stream_outstanding(&c->client) > 0;
		c->activity.ping_sent_ms = now;
		ping_send_control(c, WEBSOCKET_PING, NULL, 0);
	}
	return true;
}

/*
 * idle-timeout: measures how long no data has moved in either direction. Reading and taking from a
 * queue have moved `data_ms` already. What the kernel still holds for a slow side is looked at
 * here: while one side is paused because of the other, nothing is read, yet the transfer goes on.
 */
static bool is_idle(struct connection *c) {
	uint64_t idle_ms = c->env->settings->idle_timeout_ms;
	uint64_t due_ms;
	if(!idle_ms || relay_now(c) < c->activity.data_ms + idle_ms) {
		return false;
	}
	if(connection_drains(&c->client, idle_ms, &due_ms) ||
		connection_drains(&c->peer, idle_ms, &due_ms)) {
		c->activity.data_ms = due_ms - idle_ms;
		return false;
	}
	return true;
}

/*
 * A connection that has lasted for `ping`: from now on the kernel asks the machine of the peer, as
 * pings ask the client, and the connection to it fails when there is no answer. Short connections
 * do without the calls.
 */
static void keep_alive(struct connection *c) {
	const struct settings *settings = c->env->settings;
	uint64_t lost_ms = pong_timeout(settings);
	if(!needs_keepalive(c)) {
		return;
	}
	/* A peer that is alive but does not read is stall-timeout's. */
	uint64_t stall_ms = settings->stall_timeout_ms;
	struct network_keepalive keepalive = {settings->ping_ms, lost_ms,
		stall_ms == 0                ? 0
			: stall_ms > lost_ms ? stall_ms
					     : lost_ms};
	c->keepalive = true;
	if(stream_is_open(&c->peer)) {
		network_keepalive(c->peer.io.fd, &keepalive);
	}
	if(asks_by_keepalive(c)) {
		network_keepalive(c->client.io.fd, &keepalive);
	}
}

void deadlines_due(struct connection *c) {
	keep_alive(c);
	if(!check_stall(c) || !check_ping(c)) {
		return;
	}
	if(is_idle(c)) {
		closing_start(c, WEBSOCKET_CODE_GOING_AWAY, "no data for too long (idle-timeout)",
			c->env->settings->close_timeout_ms);
		return;
	}
	deadlines_arm(c);
}
