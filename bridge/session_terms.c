/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The time and the key that a backend gives a connection.
 *
 * Must not know: what a key stands for.
 */
#include "bridge/session_terms.h"

#include "bridge/closing.h"
#include "bridge/handshake_state.h"
#include "bridge/sessions.h"
#include "plugin/terms.h"

#include <time.h>

#define SESSION_SECONDS_MAX ((int64_t)UINT32_MAX)

static void expire(struct ev_timer *timer) {
	struct session *session = container_of(timer, struct session, expiry);
	struct connection *c = session->connection;
	if(c->phase == CONNECTION_OPEN) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_INFO,
			"the session has expired; closing with 1008");
		closing_start(c, WEBSOCKET_CODE_POLICY, "the session has expired",
			c->env->settings->close_timeout_ms);
	}
}

static enum session_terms_result make_room(struct connection *c, const char *key) {
	const struct settings *settings = c->env->settings;
	size_t count;
	if(settings->max_per_key == 0) {
		return SESSION_TERMS_FINE;
	}
	struct session *oldest = sessions_find(c, key, &count);
	if(count < settings->max_per_key) {
		return SESSION_TERMS_FINE;
	}
	if(settings->per_key_action == SETTINGS_PER_KEY_REFUSE) {
		return SESSION_TERMS_FULL;
	}
	connection_log_limited(oldest->connection, LOG_KIND_SESSION, LOG_INFO,
		"a newer connection with the same key takes its place (max-per-key); closing with "
		"1008");
	closing_start(oldest->connection, WEBSOCKET_CODE_POLICY,
		"a newer connection takes its place", settings->close_timeout_ms);
	return SESSION_TERMS_FINE;
}

enum session_terms_result session_terms_enter(struct connection *c) {
	const struct terms *terms = c->handshake->terms;
	if(!terms || (!terms->session && !terms->expires)) {
		return SESSION_TERMS_FINE;
	}
	int64_t left = terms->expires ? terms->expires - (int64_t)time(NULL) : 0;
	if(terms->expires && left <= 0) {
		return SESSION_TERMS_OVER;
	}
	enum session_terms_result result =
		terms->session ? make_room(c, terms->session) : SESSION_TERMS_FINE;
	if(result != SESSION_TERMS_FINE) {
		return result;
	}
	struct session *session = sessions_add(c, terms->session ? terms->session : "", expire);
	if(!session) {
		return SESSION_TERMS_NO_MEMORY;
	}
	if(terms->expires) {
		left = left < SESSION_SECONDS_MAX ? left : SESSION_SECONDS_MAX;
		loop_timer_set(c->env->loop, &session->expiry,
			c->env->loop->now_ms + 1000 * (uint64_t)left);
	}
	return SESSION_TERMS_FINE;
}
