/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections with a time or a key of the backend, found by connection and by key.
 */
#ifndef WEBSOCKSY_SESSIONS_H
#define WEBSOCKSY_SESSIONS_H
#include "base/list.h"
#include "base/loop_timer.h"

#include <stddef.h>

#define SESSIONS_BUCKETS 256

struct connection;

struct sessions {
	struct list by_connection[SESSIONS_BUCKETS];
	struct list by_key[SESSIONS_BUCKETS]; /* oldest first */
};

struct session {
	struct list by_connection;
	struct list by_key; /* not linked without a key */
	struct connection *connection;
	struct ev_timer expiry;
	char key[];
};

void sessions_init(struct sessions *sessions);

/* A session of an open connection; `key` "": none. `expire` is for its timer. NULL: no memory. */
struct session *sessions_add(struct connection *c, const char *key, ev_timer_fn *expire);

/* The oldest open connection with that key, of `*count`; NULL: there is none. */
struct session *sessions_find(struct connection *c, const char *key, size_t *count);

/* The connection ends. */
void sessions_leave(struct connection *c);
#endif
