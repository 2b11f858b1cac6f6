/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections with terms of the backend.
 *
 * Must not know: what a key stands for.
 * Invariants: `connection->bound` is set exactly while there is a session of it here.
 */
#include "bridge/sessions.h"

#include "bridge/closing.h"
#include "bridge/handshake_state.h"
#include "plugin/terms.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSIONS_SECONDS_MAX ((int64_t)UINT32_MAX)

struct session {
	struct list by_connection;
	struct list by_key; /* not linked without a key */
	struct connection *connection;
	struct ev_timer expiry;
	char key[];
};

void sessions_init(struct sessions *sessions) {
	for(size_t i = 0; i < SESSIONS_BUCKETS; i++) {
		list_init(&sessions->by_connection[i]);
		list_init(&sessions->by_key[i]);
	}
}

static struct list *bucket_of_connection(struct connection *c) {
	return &c->env->sessions.by_connection[c->id % SESSIONS_BUCKETS];
}

/* FNV-1a. */
static struct list *bucket_of_key(struct connection *c, const char *key) {
	uint32_t hash = 2166136261u;
	for(; *key; key++) {
		hash = (hash ^ (uint8_t)*key) * 16777619u;
	}
	return &c->env->sessions.by_key[hash % SESSIONS_BUCKETS];
}

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

/* Those that are being closed do not count. Returns the oldest of `*count`. */
static struct session *find_oldest(struct connection *c, const char *key, size_t *count) {
	struct list *bucket = bucket_of_key(c, key);
	struct session *oldest = NULL;
	*count = 0;
	for(struct list *at = bucket->next; at != bucket; at = at->next) {
		struct session *session = container_of(at, struct session, by_key);
		if(session->connection->phase == CONNECTION_OPEN && !strcmp(session->key, key)) {
			oldest = oldest ? oldest : session;
			++*count;
		}
	}
	return oldest;
}

static enum sessions_result make_room(struct connection *c, const char *key) {
	const struct settings *settings = c->env->settings;
	size_t count;
	if(settings->max_per_key == 0) {
		return SESSIONS_FINE;
	}
	struct session *oldest = find_oldest(c, key, &count);
	if(count < settings->max_per_key) {
		return SESSIONS_FINE;
	}
	if(settings->per_key_action == SETTINGS_PER_KEY_REFUSE) {
		return SESSIONS_FULL;
	}
	connection_log_limited(oldest->connection, LOG_KIND_SESSION, LOG_INFO,
		"a newer connection with the same key takes its place (max-per-key); closing with "
		"1008");
	closing_start(oldest->connection, WEBSOCKET_CODE_POLICY,
		"a newer connection takes its place", settings->close_timeout_ms);
	return SESSIONS_FINE;
}

static struct session *add_session(struct connection *c, const struct terms *terms) {
	const char *key = terms->session ? terms->session : "";
	size_t size = strlen(key) + 1;
	struct session *session = calloc(1, sizeof(*session) + size);
	if(!session) {
		return NULL;
	}
	if(loop_timer_open(c->env->loop, &session->expiry, expire)) {
		free(session);
		return NULL;
	}
	memcpy(session->key, key, size);
	session->connection = c;
	list_append(bucket_of_connection(c), &session->by_connection);
	if(key[0]) {
		list_append(bucket_of_key(c, key), &session->by_key);
	}
	c->bound = true;
	return session;
}

enum sessions_result sessions_enter(struct connection *c) {
	const struct terms *terms = c->handshake->terms;
	if(!terms || (!terms->session && !terms->expires)) {
		return SESSIONS_FINE;
	}
	int64_t left = terms->expires ? terms->expires - (int64_t)time(NULL) : 0;
	if(terms->expires && left <= 0) {
		return SESSIONS_OVER;
	}
	enum sessions_result result = terms->session ? make_room(c, terms->session) : SESSIONS_FINE;
	if(result != SESSIONS_FINE) {
		return result;
	}
	struct session *session = add_session(c, terms);
	if(!session) {
		return SESSIONS_NO_MEMORY;
	}
	if(terms->expires) {
		left = left < SESSIONS_SECONDS_MAX ? left : SESSIONS_SECONDS_MAX;
		loop_timer_set(c->env->loop, &session->expiry,
			c->env->loop->now_ms + 1000 * (uint64_t)left);
	}
	return SESSIONS_FINE;
}

void sessions_leave(struct connection *c) {
	struct list *bucket = bucket_of_connection(c);
	for(struct list *at = bucket->next; c->bound && at != bucket; at = at->next) {
		struct session *session = container_of(at, struct session, by_connection);
		if(session->connection == c) {
			list_remove(&session->by_connection);
			if(list_is_linked(&session->by_key)) {
				list_remove(&session->by_key);
			}
			loop_timer_close(c->env->loop, &session->expiry);
			free(session);
			c->bound = false;
			return;
		}
	}
}
