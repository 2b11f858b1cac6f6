/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections to an HTTP server: one request at a time on each, and kept for further requests if
 * the server allows it.
 *
 * Must not know: options, how requests are made and responses read.
 * Invariants: a lookup waits in the queue or has a connection; a connection is busy with one lookup
 * or idle. A request is sent twice at most: the second time on a new connection, if the server has
 * closed a used one meanwhile. The log contains neither requests nor bodies.
 */
#include "plugins/backend_http/client.h"

#include "plugins/common/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_KEY_MAX 2048 /* longer requests are not cached */
#define LOOKUP_MEMORY ((ptrdiff_t)sizeof(struct http_lookup))
#define CONNECTION_MEMORY                                                                          \
	((ptrdiff_t)(sizeof(struct http_connection) + sizeof(struct response) + RESPONSE_BODY_MAX))

static const char text_unreachable[] = "The server that knows the peers cannot be reached.";
static const char text_invalid[] = "The server that knows the peers sent an invalid reply.";
static const char text_slow[] = "The server that knows the peers did not reply in time.";
static const char text_memory[] = "The limit of memory is reached.";

static void client_log(const struct http_client *client, const char *reason, unsigned status) {
	client->core->log(client->core, WEBSOCKSY_WARNING,
		"%s%.*s: %s; the client is refused with %u",
		client->url->tls ? "https://" : "http://", (int)client->url->host_len,
		client->url->host, reason, status);
}

/* ---- lists ---- */

static void list_add(struct http_connection **list, struct http_connection *c) {
	c->previous = NULL;
	c->next = *list;
	if(c->next) {
		c->next->previous = c;
	}
	*list = c;
}

static void list_remove(struct http_connection **list, struct http_connection *c) {
	assert((c == *list) == !c->previous);
	if(c->previous) {
		c->previous->next = c->next;
	} else {
		*list = c->next;
	}
	if(c->next) {
		c->next->previous = c->previous;
	}
}

static void queue_put(struct http_client *client, struct http_lookup *lookup) {
	lookup->next = NULL;
	lookup->previous = client->last;
	if(client->last) {
		client->last->next = lookup;
	} else {
		client->first = lookup;
	}
	client->last = lookup;
}

static void queue_remove(struct http_client *client, struct http_lookup *lookup) {
	if(lookup->previous) {
		lookup->previous->next = lookup->next;
	} else {
		client->first = lookup->next;
	}
	if(lookup->next) {
		lookup->next->previous = lookup->previous;
	} else {
		client->last = lookup->previous;
	}
}

/* ---- lookups ---- */

static struct http_lookup *lookup_new(struct http_client *client, struct websocksy_query *query) {
	if(client->core->account(client->core, LOOKUP_MEMORY)) {
		return NULL;
	}
	struct http_lookup *lookup = calloc(1, sizeof(*lookup));
	if(!lookup) {
		client->core->account(client->core, -LOOKUP_MEMORY);
		return NULL;
	}
	lookup->client = client;
	lookup->query = query;
	query->state = lookup;
	return lookup;
}

/* It has no connection and does not wait for one. The query that it was for. */
static struct websocksy_query *lookup_free(struct http_client *client, struct http_lookup *lookup) {
	struct websocksy_query *query = lookup->query;
	if(lookup->timer) {
		client->core->timer_stop(lookup->timer);
	}
	free(lookup);
	client->core->account(client->core, -LOOKUP_MEMORY);
	return query;
}

/* ---- connections ---- */

static void client_start(struct http_client *client);
static void connection_event(void *ctx, const struct websocksy_event *event);

/* Frees the response. */
static void connection_forget(struct http_connection *c) {
	if(c->response) {
		response_free(c->response);
		free(c->response);
		c->response = NULL;
	}
}

/* Closes and frees it; the lookup that it served, which then has no connection. */
static struct http_lookup *connection_free(struct http_connection *c) {
	struct http_client *client = c->client;
	struct http_lookup *lookup = c->lookup;
	list_remove(lookup ? &client->busy : &client->idle, c);
	client->idle_count -= !lookup;
	client->connections--;
	if(lookup) {
		lookup->connection = NULL;
	}
	if(c->stream) {
		client->core->close(c->stream);
	}
	connection_forget(c);
	free(c);
	client->core->account(client->core, -CONNECTION_MEMORY);
	return lookup;
}

/* Opens a connection for a lookup. False: no memory. */
static bool connection_open(struct http_client *client, struct http_lookup *lookup) {
	if(client->core->account(client->core, CONNECTION_MEMORY)) {
		return false;
	}
	struct http_connection *c = calloc(1, sizeof(*c));
	if(!c) {
		client->core->account(client->core, -CONNECTION_MEMORY);
		return false;
	}
	c->client = client;
	c->lookup = lookup;
	lookup->connection = c;
	list_add(&client->busy, c);
	client->connections++;
	c->stream = client->core->connect(client->core, client->address, connection_event, c);
	if(!c->stream) {
		connection_free(c);
		return false;
	}
	return true;
}

static void connection_refuse(struct http_connection *c, unsigned status, const char *text) {
	struct http_client *client = c->client;
	struct websocksy_query *query = lookup_free(client, connection_free(c));
	client->core->refuse(query, status, text);
	client_start(client);
}

static void connection_failed(struct http_connection *c, const char *reason, const char *text) {
	client_log(c->client, reason, 502);
	connection_refuse(c, 502, text);
}

static void connection_send(struct http_connection *c) {
	struct http_client *client = c->client;
	struct url_request request;
	if(url_request(client->url, client->core, c->lookup->query, &request) != URL_OK ||
		client->core->write(c->stream, request.text, request.len)) {
		connection_failed(c, "out of memory", text_unreachable);
	}
}

/* Takes an idle connection for a lookup. */
static void connection_reuse(struct http_client *client, struct http_lookup *lookup) {
	struct http_connection *c = client->idle;
	list_remove(&client->idle, c);
	client->idle_count--;
	list_add(&client->busy, c);
	c->lookup = lookup;
	lookup->connection = c;
	connection_send(c);
}

/* The lookup is done: keeps the connection, or ends it. */
static struct http_lookup *connection_release(struct http_connection *c, bool keep) {
	struct http_client *client = c->client;
	struct http_lookup *lookup = c->lookup;
	if(!keep || !c->response->persistent || client->idle_count == CLIENT_IDLE_MAX) {
		return connection_free(c);
	}
	lookup->connection = NULL;
	list_remove(&client->busy, c);
	c->lookup = NULL;
	c->used = true;
	connection_forget(c);
	list_add(&client->idle, c);
	client->idle_count++;
	return lookup;
}

/* ---- responses ---- */

static void client_answer(
	struct http_client *client, struct websocksy_query *query, const char *address) {
	struct websocksy_answer answer = {.size = sizeof(answer), .peer = &address, .peers = 1};
	struct url_request request;
	if(client->cache_ms > 0 &&
		url_request(client->url, client->core, query, &request) == URL_OK &&
		request.len <= CLIENT_KEY_MAX) {
		answer.cache_key = request.text;
		answer.cache_ms = client->cache_ms;
	}
	client->core->answer(query, &answer);
}

/* The response is complete; `keep`: nothing has come behind it. */
static void connection_done(struct http_connection *c, bool keep) {
	struct http_client *client = c->client;
	unsigned status = c->response->status;
	char address[TARGET_MAX];
	bool found = status < 300 && c->response->body &&
		reply_to_peer(client->core, c->response->body, c->response->len, address);
	struct websocksy_query *query = lookup_free(client, connection_release(c, keep));
	if(found) {
		client_answer(client, query, address);
	} else if(status == 401 || status == 403 || status == 404) {
		client->core->refuse(
			query, status, "The server that knows the peers refuses the client.");
	} else {
		char reason[64];
		snprintf(reason, sizeof(reason), "the response %u does not name a peer", status);
		client_log(client, reason, 502);
		client->core->refuse(query, 502, text_invalid);
	}
	client_start(client);
}

static void connection_data(struct http_connection *c, const uint8_t *data, size_t len) {
	size_t used;
	if(!c->lookup) {
		/* Nothing was asked for. */
		connection_free(c);
		return;
	}
	if(!c->response) {
		c->response = calloc(1, sizeof(*c->response));
		if(!c->response) {
			connection_failed(c, "out of memory", text_unreachable);
			return;
		}
		response_start(c->response);
	}
	enum response_result result = response_take(c->response, data, len, &used);
	if(result == RESPONSE_DONE) {
		connection_done(c, used == len);
	} else if(result == RESPONSE_BAD) {
		connection_failed(c, "the response is invalid or too long", text_invalid);
	}
}

static void connection_ended(struct http_connection *c, const char *error) {
	struct http_client *client = c->client;
	bool again = c->used && !c->response && c->lookup && !c->lookup->retried;
	if(!c->lookup) {
		connection_free(c);
	} else if(again) {
		struct http_lookup *lookup = connection_free(c);
		lookup->retried = true;
		queue_put(client, lookup);
		client_start(client);
	} else if(!error && c->response && response_end(c->response)) {
		connection_done(c, false);
	} else {
		bool cut = c->response != NULL;
		connection_failed(c,
			error         ? error
				: cut ? "the response is cut off"
				      : "no response",
			cut ? text_invalid : text_unreachable);
	}
}

static void connection_event(void *ctx, const struct websocksy_event *event) {
	struct http_connection *c = ctx;
	switch(event->kind) {
	case WEBSOCKSY_CONNECTED:
		connection_send(c);
		break;
	case WEBSOCKSY_DATA:
		connection_data(c, event->data, event->len);
		break;
	default:
		connection_ended(c, event->error);
		break;
	}
}

/* ---- the client ---- */

static void lookup_fail(struct http_client *client, struct http_lookup *lookup) {
	client->core->refuse(lookup_free(client, lookup), 503, text_memory);
}

/* Gives connections to lookups that wait. */
static void client_start(struct http_client *client) {
	while(client->first) {
		struct http_lookup *lookup = client->first;
		bool reuse = client->idle && !lookup->retried;
		bool full = client->connections >= client->connections_max;
		if(full && !client->idle) {
			return;
		}
		queue_remove(client, lookup);
		if(reuse) {
			connection_reuse(client, lookup);
			continue;
		}
		if(full) {
			connection_free(client->idle);
		}
		if(!connection_open(client, lookup)) {
			lookup_fail(client, lookup);
		}
	}
}

static void lookup_timeout(void *ctx) {
	struct http_lookup *lookup = ctx;
	struct http_client *client = lookup->client;
	lookup->timer = NULL;
	client_log(client, "no response in time", 504);
	if(lookup->connection) {
		connection_refuse(lookup->connection, 504, text_slow);
		return;
	}
	queue_remove(client, lookup);
	client->core->refuse(lookup_free(client, lookup), 504, text_slow);
}

void client_query(struct http_client *client, struct websocksy_query *query) {
	struct http_lookup *lookup = lookup_new(client, query);
	if(!lookup) {
		client->core->refuse(query, 503, text_memory);
		return;
	}
	lookup->timer =
		client->core->timer(client->core, client->timeout_ms, lookup_timeout, lookup);
	if(!lookup->timer) {
		lookup_fail(client, lookup);
		return;
	}
	queue_put(client, lookup);
	client_start(client);
}

void client_cancel(struct http_client *client, struct websocksy_query *query) {
	struct http_lookup *lookup = query->state;
	if(lookup->connection) {
		connection_free(lookup->connection);
	} else {
		queue_remove(client, lookup);
	}
	lookup_free(client, lookup);
	client_start(client);
}

void client_close(struct http_client *client) {
	struct http_connection *next;
	for(struct http_connection *c = client->idle; c; c = next) {
		next = c->next;
		connection_free(c);
	}
}
