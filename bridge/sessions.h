/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections with terms of the backend: a time at which they end, and a key of which only so many
 * may be open.
 */
#ifndef WEBSOCKSY_SESSIONS_H
#define WEBSOCKSY_SESSIONS_H
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>

#define SESSIONS_BUCKETS 256

struct connection;

struct sessions {
	struct list by_connection[SESSIONS_BUCKETS];
	struct list by_key[SESSIONS_BUCKETS]; /* oldest first */
};

void sessions_init(struct sessions *sessions);

/* What max-per-key says about a connection that is about to be opened. */
enum sessions_result {
	SESSIONS_FINE,
	SESSIONS_FULL,
	SESSIONS_OVER, /* the time has come already */
	SESSIONS_NO_MEMORY
};

/*
 * The handshake of the connection is done: takes the terms of its answer into account, which may
 * close an older connection with the same key.
 */
enum sessions_result sessions_enter(struct connection *c);

/* The connection ends. */
void sessions_leave(struct connection *c);
#endif
