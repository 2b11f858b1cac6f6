/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections to an HTTP server, and the lookups that wait for its responses.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_HTTP_CLIENT_H
#define WEBSOCKSY_PLUGIN_BACKEND_HTTP_CLIENT_H
#include "plugins/backend_http/response.h"
#include "plugins/backend_http/url.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_IDLE_MAX 16 /* connections that are kept */

struct http_client;
struct http_connection;

/* A request for a client. */
struct http_lookup {
	struct http_lookup *next; /* while it waits for a connection */
	struct http_lookup *previous;
	struct http_client *client;
	struct websocksy_query *query;
	struct http_connection *connection; /* NULL: it waits for one */
	struct websocksy_timer *timer;
	bool retried; /* the server had closed the first connection before */
};

struct http_connection {
	struct http_connection *next; /* in client->busy or client->idle */
	struct http_connection *previous;
	struct http_client *client;
	struct http_lookup *lookup; /* NULL: idle */
	struct websocksy_stream *stream;
	bool used; /* it has served another lookup before */
	struct response *response; /* NULL: no byte of it has come */
};

/* The owner sets what is above the line, and keeps it. */
struct http_client {
	const struct websocksy_core *core;
	const struct url *url;
	const char *address; /* for connect() */
	uint64_t timeout_ms;
	uint64_t cache_ms;
	size_t connections_max;
	/* ---- */
	struct http_connection *busy;
	struct http_connection *idle;
	size_t connections; /* in both lists */
	size_t idle_count;
	struct http_lookup *first; /* waiting for a connection */
	struct http_lookup *last;
};

/* Answers or refuses the query, later. Its request can be made. */
void client_query(struct http_client *client, struct websocksy_query *query);

/* The query is gone. */
void client_cancel(struct http_client *client, struct websocksy_query *query);

/* Ends all connections. No query is left. */
void client_close(struct http_client *client);
#endif
