/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections with a time or a key of the backend.
 *
 * Must not know: what follows from them.
 * Invariants: `connection->bound` is set exactly while there is a session of it here.
 */
#include "bridge/sessions.h"

#include "bridge/connection.h"

#include <stdlib.h>
#include <string.h>

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

struct session *sessions_find(struct connection *c, const char *key, size_t *count) {
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

struct session *sessions_add(struct connection *c, const char *key, ev_timer_fn *expire) {
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
