/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections to a Redis server, and the lookups that wait for its replies.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_REDIS_POOL_H
#define WEBSOCKSY_PLUGIN_BACKEND_REDIS_POOL_H
#include "plugins/backend_redis/resp.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_CONNECTIONS_MAX 64

/* A GET for a client. */
struct redis_lookup {
	struct redis_lookup *next;
	struct websocksy_query *query; /* NULL: cancelled */
	bool retried; /* it has been sent before, on a connection that was lost */
};

struct redis_queue {
	struct redis_lookup *first;
	struct redis_lookup *last;
	size_t count;
};

enum redis_phase {
	REDIS_CLOSED = 0,
	REDIS_CONNECTING,
	REDIS_LOGIN, /* replies to AUTH and SELECT are due */
	REDIS_READY
};

struct redis_pool;

struct redis_connection {
	struct redis_pool *pool;
	enum redis_phase phase;
	unsigned logins; /* replies that are due */
	struct websocksy_stream *stream; /* not NULL unless closed */
	struct websocksy_timer *timer; /* while a reply is due */
	struct redis_queue sent;
	struct resp resp;
};

/* The owner sets what is above the line, and keeps it. */
struct redis_pool {
	const struct websocksy_core *core;
	const char *name; /* of the server, for the log */
	const char *address; /* for connect() */
	const char *user; /* NULL: none */
	const char *password; /* NULL: none */
	const char *db; /* NULL: the first one */
	const char *prefix; /* of keys, in front of a colon; NULL: none */
	const char *from; /* the source of the token */
	uint64_t timeout_ms; /* for a reply */
	uint64_t cache_ms;
	size_t connections;
	/* ---- */
	struct redis_connection *connection[POOL_CONNECTIONS_MAX]; /* NULL: not used up to now */
	struct redis_queue waiting; /* for a connection */
	bool settled; /* the server refuses further connections */
};

/* Answers or refuses the query, later. */
void pool_query(struct redis_pool *pool, struct websocksy_query *query);

/* The query is gone. */
void pool_cancel(struct redis_pool *pool, struct websocksy_query *query);

/* Ends all connections. No query is left. */
void pool_close(struct redis_pool *pool);
#endif
