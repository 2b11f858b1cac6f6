/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections to a Redis server: commands are sent at once and without waiting for replies
 * (pipelining), which come in the same order.
 *
 * Must not know: options, how replies are read.
 * Invariants: a lookup is in one queue; one whose query was cancelled stays there, as its reply
 * still comes. A lookup is sent twice at most: the second time if its first connection was lost. A
 * connection that owes a reply has a timer. The log contains neither keys nor values.
 */
#include "plugins/backend_redis/pool.h"

#include "plugins/common/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_PIPELINE_MAX 256 /* replies that a connection owes */
#define POOL_BUSY 16 /* so many replies due: another connection is opened */
#define POOL_CODE_MAX 32 /* of an error of the server, in the log */

/* ---- queues ---- */

static void queue_put(struct redis_queue *queue, struct redis_lookup *lookup) {
	lookup->next = NULL;
	if(queue->last) {
		queue->last->next = lookup;
	} else {
		queue->first = lookup;
	}
	queue->last = lookup;
	queue->count++;
}

static struct redis_lookup *queue_take(struct redis_queue *queue) {
	struct redis_lookup *lookup = queue->first;
	if(lookup) {
		queue->first = lookup->next;
		queue->last = queue->first ? queue->last : NULL;
		queue->count--;
	}
	return lookup;
}

/* ---- lookups ---- */

static struct redis_lookup *lookup_new(struct redis_pool *pool, struct websocksy_query *query) {
	if(pool->core->account(pool->core, (ptrdiff_t)sizeof(struct redis_lookup))) {
		return NULL;
	}
	struct redis_lookup *lookup = calloc(1, sizeof(*lookup));
	if(!lookup) {
		pool->core->account(pool->core, -(ptrdiff_t)sizeof(struct redis_lookup));
		return NULL;
	}
	lookup->query = query;
	query->state = lookup;
	return lookup;
}

/* The query that it was for; NULL: cancelled. */
static struct websocksy_query *lookup_free(struct redis_pool *pool, struct redis_lookup *lookup) {
	struct websocksy_query *query = lookup->query;
	free(lookup);
	pool->core->account(pool->core, -(ptrdiff_t)sizeof(struct redis_lookup));
	return query;
}

/* True: a client has been refused. */
static bool lookup_refuse(
	struct redis_pool *pool, struct redis_lookup *lookup, unsigned status, const char *text) {
	struct websocksy_query *query = lookup_free(pool, lookup);
	if(query) {
		pool->core->refuse(query, status, text);
	}
	return query != NULL;
}

static size_t lookups_refuse(
	struct redis_pool *pool, struct redis_queue *queue, unsigned status, const char *text) {
	size_t refused = 0;
	struct redis_lookup *lookup;
	while((lookup = queue_take(queue))) {
		refused += lookup_refuse(pool, lookup, status, text);
	}
	return refused;
}

static const char text_unreachable[] = "The server that knows the peers cannot be reached.";
static const char text_invalid[] = "The server that knows the peers sent an invalid reply.";
static const char text_slow[] = "The server that knows the peers did not reply in time.";

/* ---- replies ---- */

static void pool_answer(
	struct redis_pool *pool, struct websocksy_query *query, const char *address) {
	struct websocksy_answer answer = {
		.size = sizeof(answer), .peer = &address, .peers = 1, .cache_ms = pool->cache_ms};
	if(pool->cache_ms > 0) {
		answer.cache_key = pool->core->find(query, pool->from);
	}
	pool->core->answer(query, &answer);
}

/* The first word of an error, such as WRONGTYPE: what follows may repeat the command. */
static void pool_error_code(const struct resp_reply *reply, char code[POOL_CODE_MAX]) {
	size_t len = 0;
	while(len < reply->len && len < POOL_CODE_MAX - 1 && reply->data[len] >= 'A' &&
		reply->data[len] <= 'Z') {
		code[len] = reply->data[len];
		len++;
	}
	code[len] = '\0';
}

static void pool_log_reply(struct redis_pool *pool, const struct resp_reply *reply) {
	char code[POOL_CODE_MAX];
	if(reply->kind == RESP_ERROR) {
		pool_error_code(reply, code);
		pool->core->log(pool->core, WEBSOCKSY_WARNING,
			"%s: the reply to GET is the error %s; the client is refused with 502",
			pool->name, code[0] ? code : "without code");
	} else {
		pool->core->log(pool->core, WEBSOCKSY_WARNING,
			"%s: the value of a key does not name a peer; the client is refused "
			"with 502",
			pool->name);
	}
}

static void pool_reply(
	struct redis_pool *pool, struct redis_lookup *lookup, const struct resp_reply *reply) {
	char address[TARGET_MAX];
	struct websocksy_query *query = lookup_free(pool, lookup);
	if(!query) {
		return;
	}
	if(reply->kind == RESP_NULL) {
		pool->core->refuse(query, 404, "The token is unknown.");
	} else if(reply->kind == RESP_VALUE &&
		reply_to_peer(pool->core, reply->data, reply->len, address)) {
		pool_answer(pool, query, address);
	} else {
		pool_log_reply(pool, reply);
		pool->core->refuse(query, 502, text_invalid);
	}
}

/* ---- connections ---- */

static void pool_pump(struct redis_pool *pool);
static void connection_lost(struct redis_connection *c, unsigned status, const char *reason);

static bool connection_owes(const struct redis_connection *c) {
	return c->phase == REDIS_LOGIN || (c->phase == REDIS_READY && c->sent.count > 0);
}

static void connection_timeout(void *ctx) {
	struct redis_connection *c = ctx;
	c->timer = NULL;
	connection_lost(c, 504, "no reply in time");
}

/* Starts the time for the next reply, or stops it. False: no memory. */
static bool connection_set_timer(struct redis_connection *c) {
	const struct websocksy_core *core = c->pool->core;
	if(c->timer) {
		core->timer_stop(c->timer);
		c->timer = NULL;
	}
	if(connection_owes(c)) {
		c->timer = core->timer(core, c->pool->timeout_ms, connection_timeout, c);
		return c->timer != NULL;
	}
	return true;
}

static void connection_close(struct redis_connection *c) {
	if(c->phase != REDIS_CLOSED) {
		c->phase = REDIS_CLOSED;
		c->pool->core->close(c->stream);
		c->stream = NULL;
	}
	if(c->timer) {
		c->pool->core->timer_stop(c->timer);
		c->timer = NULL;
	}
	memset(&c->resp, 0, sizeof(c->resp));
}

static bool pool_has(const struct redis_pool *pool, enum redis_phase phase) {
	for(size_t i = 0; i < pool->connections; i++) {
		if(pool->connection[i] && pool->connection[i]->phase == phase) {
			return true;
		}
	}
	return false;
}

/* Lookups that a lost connection owes: sent once more, or refused. The number of refused clients. */
static size_t pool_retry(struct redis_pool *pool, struct redis_queue *sent, unsigned status) {
	struct redis_queue failed = {0};
	struct redis_lookup *lookup;
	while((lookup = queue_take(sent))) {
		bool again = status == 502 && lookup->query && !lookup->retried;
		lookup->retried = true;
		queue_put(again ? &pool->waiting : &failed, lookup);
	}
	return lookups_refuse(pool, &failed, status, status == 504 ? text_slow : text_unreachable);
}

/* `status` for clients: 502, or 504 if it was the server that did not reply. */
static void connection_lost(struct redis_connection *c, unsigned status, const char *reason) {
	struct redis_pool *pool = c->pool;
	bool ready = c->phase == REDIS_READY;
	bool idle = ready && c->sent.count == 0;
	connection_close(c);
	size_t refused = pool_retry(pool, &c->sent, status);
	/* Further connections are not tried again until one is lost: it would be an endless loop. */
	pool->settled = !ready && pool_has(pool, REDIS_READY);
	if(!ready && !pool->settled) {
		refused += lookups_refuse(
			pool, &pool->waiting, status, status == 504 ? text_slow : text_unreachable);
	}
	pool->core->log(pool->core,
		idle                  ? WEBSOCKSY_DEBUG
			: refused > 0 ? WEBSOCKSY_WARNING
				      : WEBSOCKSY_INFO,
		"%s: %s; clients refused with %u: %zu", pool->name, reason, status, refused);
	pool_pump(pool);
}

static bool connection_write(
	struct redis_connection *c, const struct resp_word *word, size_t words) {
	char command[RESP_COMMAND_MAX];
	size_t len = resp_command(command, word, words);
	return len > 0 && !c->pool->core->write(c->stream, command, len);
}

static void connection_login(struct redis_connection *c) {
	const struct redis_pool *pool = c->pool;
	const struct resp_word auth[] = {{.text = "AUTH"}, {.text = pool->password}};
	const struct resp_word auth_user[] = {
		{.text = "AUTH"}, {.text = pool->user}, {.text = pool->password}};
	const struct resp_word select[] = {{.text = "SELECT"}, {.text = pool->db}};
	bool written = true;
	c->logins = 0;
	if(pool->password) {
		written = pool->user ? connection_write(c, auth_user, 3)
				     : connection_write(c, auth, 2);
		c->logins++;
	}
	if(pool->db && written) {
		written = connection_write(c, select, 2);
		c->logins++;
	}
	c->phase = c->logins > 0 ? REDIS_LOGIN : REDIS_READY;
	if(!written || !connection_set_timer(c)) {
		connection_lost(c, 502, "out of memory");
		return;
	}
	pool_pump(c->pool);
}

/* The reply to AUTH or SELECT. False: the connection is lost. */
static bool connection_login_reply(struct redis_connection *c, const struct resp_reply *reply) {
	char reason[POOL_CODE_MAX + 64] = "the reply to AUTH or SELECT is invalid";
	char code[POOL_CODE_MAX];
	if(reply->kind == RESP_STATUS) {
		c->logins--;
		c->phase = c->logins > 0 ? REDIS_LOGIN : REDIS_READY;
		return true;
	}
	if(reply->kind == RESP_ERROR) {
		pool_error_code(reply, code);
		snprintf(reason, sizeof(reason), "the reply to AUTH or SELECT is the error %s",
			code[0] ? code : "without code");
	}
	connection_lost(c, 502, reason);
	return false;
}

/* False: the connection is lost. */
static bool connection_reply(struct redis_connection *c, const struct resp_reply *reply) {
	if(c->phase == REDIS_LOGIN) {
		return connection_login_reply(c, reply);
	}
	bool get = reply->kind != RESP_STATUS && reply->kind != RESP_INTEGER;
	struct redis_lookup *lookup = get ? queue_take(&c->sent) : NULL;
	if(!lookup) {
		connection_lost(c, 502, "a reply that was not expected");
		return false;
	}
	pool_reply(c->pool, lookup, reply);
	return true;
}

static void connection_data(struct redis_connection *c, const uint8_t *data, size_t len) {
	while(len > 0) {
		struct resp_reply reply;
		size_t used;
		enum resp_result result = resp_take(&c->resp, data, len, &used, &reply);
		data += used;
		len -= used;
		if(result == RESP_BAD) {
			connection_lost(c, 502, "the reply is not that of a Redis server");
			return;
		}
		if(result == RESP_DONE && !connection_reply(c, &reply)) {
			return;
		}
	}
	if(!connection_set_timer(c)) {
		connection_lost(c, 502, "out of memory");
		return;
	}
	pool_pump(c->pool);
}

static void connection_event(void *ctx, const struct websocksy_event *event) {
	struct redis_connection *c = ctx;
	switch(event->kind) {
	case WEBSOCKSY_CONNECTED:
		connection_login(c);
		break;
	case WEBSOCKSY_DATA:
		connection_data(c, event->data, event->len);
		break;
	default:
		connection_lost(c, 502, event->error ? event->error : "closed by the server");
		break;
	}
}

/* False: no memory. */
static bool connection_open(struct redis_pool *pool, size_t slot) {
	struct redis_connection *c = pool->connection[slot];
	if(!c) {
		c = pool->connection[slot] = calloc(1, sizeof(*c));
		if(!c) {
			return false;
		}
		c->pool = pool;
	}
	c->stream = pool->core->connect(pool->core, pool->address, connection_event, c);
	if(!c->stream) {
		return false;
	}
	c->phase = REDIS_CONNECTING;
	return true;
}

/* ---- the pool ---- */

/* The connection that owes the fewest replies; NULL: none is ready, or all owe too many. */
static struct redis_connection *pool_best(struct redis_pool *pool) {
	struct redis_connection *best = NULL;
	for(size_t i = 0; i < pool->connections; i++) {
		struct redis_connection *c = pool->connection[i];
		if(c && c->phase == REDIS_READY && c->sent.count < POOL_PIPELINE_MAX &&
			(!best || c->sent.count < best->sent.count)) {
			best = c;
		}
	}
	return best;
}

static void pool_send(struct redis_connection *c, struct redis_lookup *lookup) {
	struct redis_pool *pool = c->pool;
	const char *token = pool->core->find(lookup->query, pool->from);
	const struct resp_word get[] = {
		{.text = "GET"}, {.prefix = pool->prefix, .text = token ? token : ""}};
	if(!connection_write(c, get, 2)) {
		lookup_refuse(pool, lookup, 502, text_unreachable);
		return;
	}
	queue_put(&c->sent, lookup);
	if(!c->timer && !connection_set_timer(c)) {
		connection_lost(c, 502, "out of memory");
	}
}

/* One connection at a time is opened: when none is ready, or all are busy. */
static void pool_grow(struct redis_pool *pool) {
	struct redis_connection *best = pool_best(pool);
	bool wanted = best ? best->sent.count >= POOL_BUSY : pool->waiting.count > 0;
	if(!wanted || pool->settled || pool_has(pool, REDIS_CONNECTING) ||
		pool_has(pool, REDIS_LOGIN)) {
		return;
	}
	for(size_t i = 0; i < pool->connections; i++) {
		if(pool->connection[i] && pool->connection[i]->phase != REDIS_CLOSED) {
			continue;
		}
		if(!connection_open(pool, i) && !pool_has(pool, REDIS_READY)) {
			lookups_refuse(pool, &pool->waiting, 502, text_unreachable);
		}
		return;
	}
}

static void pool_pump(struct redis_pool *pool) {
	struct redis_connection *c;
	while(pool->waiting.first && (c = pool_best(pool))) {
		struct redis_lookup *lookup = queue_take(&pool->waiting);
		if(lookup->query) {
			pool_send(c, lookup);
		} else {
			lookup_free(pool, lookup);
		}
	}
	pool_grow(pool);
}

void pool_query(struct redis_pool *pool, struct websocksy_query *query) {
	struct redis_lookup *lookup = lookup_new(pool, query);
	if(!lookup) {
		pool->core->refuse(query, 503, "The limit of memory is reached.");
		return;
	}
	queue_put(&pool->waiting, lookup);
	pool_pump(pool);
}

void pool_cancel(struct redis_pool *pool, struct websocksy_query *query) {
	struct redis_lookup *lookup = query->state;
	(void)pool;
	assert(lookup && lookup->query == query);
	lookup->query = NULL;
	query->state = NULL;
}

void pool_close(struct redis_pool *pool) {
	for(size_t i = 0; i < pool->connections; i++) {
		struct redis_connection *c = pool->connection[i];
		if(c) {
			connection_close(c);
			lookups_refuse(pool, &c->sent, 502, text_unreachable);
			free(c);
		}
	}
	lookups_refuse(pool, &pool->waiting, 502, text_unreachable);
}
