/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `redis`: the token of a client is a key in a Redis server, its value the peer.
 *
 * Must not know: anything of the core but websocksy_plugin.h. Options and values:
 * man/websocksy-redis.7.
 * Invariants: a token is sent as a binary string, so it cannot change the command.
 */
#include "websocksy_plugin.h"

#include "plugins/backend_redis/pool.h"
#include "plugins/common/duration.h"
#include "plugins/common/server.h"
#include "plugins/common/target.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIS_TOKEN_MAX 1024 /* longer tokens are unknown */
#define REDIS_TEXT_MAX 512 /* of the options that are sent */
#define REDIS_DB_MAX 65535
#define REDIS_PORT "6379"

static_assert(TARGET_MAX <= SERVER_MAX, "both fit into struct redis");

enum redis_text {
	REDIS_SERVER = 0,
	REDIS_PASSWORD,
	REDIS_USER,
	REDIS_DB,
	REDIS_NAMESPACE,
	REDIS_FROM,
	REDIS_TEXTS
};

struct redis {
	char *text[REDIS_TEXTS];
	char address[SERVER_MAX];
	struct redis_pool pool;
};

static const struct websocksy_option redis_options[] = {
	{"server", NULL, "host[:port], tls://host[:port][?ca=FILE], or unix:/path; required"},
	{"password", NULL, "password for AUTH"},
	{"user", NULL, "user for AUTH"},
	{"db", NULL, "number of the database"},
	{"namespace", NULL, "keys are NAMESPACE:TOKEN"},
	{"from", "query:token", "where the token is"},
	{"connections", "2", "connections to the server, up to 64"},
	{"timeout", "10s", "time for a reply"},
	{"ttl", "0", "time for which a reply is used again"},
	{0},
};

static int redis_open(const struct websocksy_core *core, void **state) {
	struct redis *redis = calloc(1, sizeof(*redis));
	if(!redis) {
		return -ENOMEM;
	}
	redis->pool.core = core;
	redis->pool.connections = 2;
	redis->pool.timeout_ms = 10 * 1000;
	*state = redis;
	return 0;
}

/* ---- options ---- */

static int redis_invalid(char error[WEBSOCKSY_ERROR_MAX], const char *form) {
	snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", form);
	return -EINVAL;
}

static bool redis_number(const char *value, unsigned long max, unsigned long *out) {
	size_t digits = strspn(value, "0123456789");
	if(digits == 0 || digits > 5 || value[digits]) {
		return false;
	}
	*out = strtoul(value, NULL, 10);
	return *out <= max;
}

/* Writes the address for connect(): false if the value has another form. */
static bool redis_address(char out[SERVER_MAX], const char *value) {
	const char *scheme = "tcp";
	if(strncmp(value, "unix:", 5) == 0) {
		value += strncmp(value + 5, "//", 2) == 0 ? 7 : 5;
		return value[0] == '/' && target_from_path(value, strlen(value), out);
	}
	if(strncmp(value, "tls://", 6) == 0 || strncmp(value, "tcp://", 6) == 0) {
		scheme = value[1] == 'l' ? "tls" : "tcp";
		value += 6;
	}
	size_t host = strcspn(value, "?");
	if(!server_address(out, scheme, value, host, REDIS_PORT)) {
		return false;
	}
	size_t len = strlen(out);
	return snprintf(out + len, SERVER_MAX - len, "%s", value + host) < (int)(SERVER_MAX - len);
}

static int redis_set_text(struct redis *redis, enum redis_text text, const char *value) {
	char *copy = strdup(value);
	if(!copy) {
		return -ENOMEM;
	}
	free(redis->text[text]);
	redis->text[text] = copy;
	return 0;
}

static int redis_set_server(
	struct redis *redis, enum redis_text text, const char *value, char *error) {
	if(!redis_address(redis->address, value) ||
		redis->pool.core->check_address(redis->address)) {
		return redis_invalid(error, "must be host[:port], tls://host[:port] or unix:/path");
	}
	return redis_set_text(redis, text, value);
}

static int redis_set_sent(
	struct redis *redis, enum redis_text text, const char *value, char *error) {
	if(!value[0] || strlen(value) > REDIS_TEXT_MAX) {
		return redis_invalid(error, "must have 1 to 512 bytes");
	}
	return redis_set_text(redis, text, value);
}

static int redis_set_db(struct redis *redis, enum redis_text text, const char *value, char *error) {
	unsigned long number;
	if(!redis_number(value, REDIS_DB_MAX, &number)) {
		return redis_invalid(error, "must be a number from 0 to 65535");
	}
	return redis_set_text(redis, text, value);
}

static int redis_set_from(
	struct redis *redis, enum redis_text text, const char *value, char *error) {
	const char *form = redis->pool.core->check_source(value);
	return form ? redis_invalid(error, form) : redis_set_text(redis, text, value);
}

static int redis_set_connections(
	struct redis *redis, enum redis_text text, const char *value, char *error) {
	unsigned long number;
	(void)text;
	if(!redis_number(value, POOL_CONNECTIONS_MAX, &number) || number == 0) {
		return redis_invalid(error, "must be a number from 1 to 64");
	}
	redis->pool.connections = number;
	return 0;
}

static int redis_set_timeout(
	struct redis *redis, enum redis_text text, const char *value, char *error) {
	(void)text;
	if(!duration_parse(value, &redis->pool.timeout_ms) || redis->pool.timeout_ms == 0) {
		return redis_invalid(error, DURATION_FORM ", and not 0");
	}
	return 0;
}

static int redis_set_ttl(
	struct redis *redis, enum redis_text text, const char *value, char *error) {
	(void)text;
	return duration_parse(value, &redis->pool.cache_ms) ? 0
							    : redis_invalid(error, DURATION_FORM);
}

static const struct redis_setter {
	const char *name;
	int (*set)(struct redis *redis, enum redis_text text, const char *value, char *error);
	enum redis_text text;
} redis_setters[] = {
	{"server", redis_set_server, REDIS_SERVER},
	{"password", redis_set_sent, REDIS_PASSWORD},
	{"user", redis_set_sent, REDIS_USER},
	{"db", redis_set_db, REDIS_DB},
	{"namespace", redis_set_sent, REDIS_NAMESPACE},
	{"from", redis_set_from, REDIS_FROM},
	{"connections", redis_set_connections, REDIS_TEXTS},
	{"timeout", redis_set_timeout, REDIS_TEXTS},
	{"ttl", redis_set_ttl, REDIS_TEXTS},
};

static int redis_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	for(size_t i = 0; i < sizeof(redis_setters) / sizeof(redis_setters[0]); i++) {
		const struct redis_setter *setter = &redis_setters[i];
		if(strcmp(key, setter->name) == 0) {
			return setter->set(state, setter->text, value, error);
		}
	}
	return redis_invalid(error, "is not an option of this backend");
}

static int redis_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	struct redis *redis = state;
	struct redis_pool *pool = &redis->pool;
	if(!redis->text[REDIS_SERVER]) {
		return redis_invalid(error, "server is missing, as in server=localhost:6379");
	}
	if(redis->text[REDIS_USER] && !redis->text[REDIS_PASSWORD]) {
		return redis_invalid(error, "user needs a password");
	}
	pool->name = redis->text[REDIS_SERVER];
	pool->address = redis->address;
	pool->user = redis->text[REDIS_USER];
	pool->password = redis->text[REDIS_PASSWORD];
	pool->db = redis->text[REDIS_DB];
	pool->prefix = redis->text[REDIS_NAMESPACE];
	pool->from = redis->text[REDIS_FROM] ? redis->text[REDIS_FROM] : "query:token";
	return 0;
}

/* ---- clients ---- */

static void redis_query(void *state, struct websocksy_query *query) {
	struct redis_pool *pool = &((struct redis *)state)->pool;
	const struct websocksy_core *core = pool->core;
	const char *token = core->find(query, pool->from);
	if(!token || !token[0]) {
		core->refuse(query, 404, "The request has no token.");
	} else if(strlen(token) > REDIS_TOKEN_MAX) {
		core->refuse(query, 404, "The token is unknown.");
	} else if(pool->cache_ms == 0 || !core->cached(query, token)) {
		pool_query(pool, query);
	}
}

static void redis_cancel(void *state, struct websocksy_query *query) {
	pool_cancel(&((struct redis *)state)->pool, query);
}

static void redis_close(void *state) {
	struct redis *redis = state;
	pool_close(&redis->pool);
	for(size_t i = 0; i < REDIS_TEXTS; i++) {
		free(redis->text[i]);
	}
	free(redis);
}

static const struct websocksy_backend redis_backend = {
	.size = sizeof(redis_backend),
	.name = "redis",
	.description = "Looks up the peer of a token in a Redis server",
	.options = redis_options,
	.flags = WEBSOCKSY_REMOTE,
	.open = redis_open,
	.configure = redis_configure,
	.check = redis_check,
	.query = redis_query,
	.cancel = redis_cancel,
	.close = redis_close,
};

static const struct websocksy_backend *const redis_backends[] = {&redis_backend, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "redis",
	.version = "1.0",
	.description = "Peers in a Redis server",
	.backends = redis_backends,
};
