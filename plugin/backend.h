/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Backends: the code that chooses the peer of each connection. It is built in, or a shared object
 * with the functions of plugin API version 1.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_H
#define WEBSOCKSY_PLUGIN_BACKEND_H
#include "base/address.h"
#include "plugin/framings.h"
#include "plugin/object.h"
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>

#define BACKEND_ERROR_MAX OBJECT_ERROR_MAX
#define BACKEND_MESSAGE_MAX 256

/* A loaded backend with a reference count; opaque. */
struct backend;

struct backend_answer;
struct pending;
struct plugin_host;
struct terms;

/* A query has been answered that was waiting for it. */
typedef void backend_answered_fn(void *ctx, struct backend_answer *answer);

/* The request that a query is about. The backend may change the strings; valid during the call. */
struct backend_request {
	int fd;
	union address client; /* for the log */
	char *endpoint;
	char *key;
	size_t protocols;
	char **protocol;
	size_t headers;
	ws_http_header *header;
	/*
	 * For an answer that comes later: the memory of the strings, from malloc, which the query
	 * then owns, and the function that is told. The answer is that function's.
	 */
	char *memory;
	backend_answered_fn *answered;
	void *ctx;
};

/*
 * A backend that is part of the program. It has the interface of plugins, but sees nothing of a
 * request but its subprotocols, and its peers, which are options, are not checked for each answer.
 */
struct backend_builtin {
	const struct websocksy_backend *api;
	/* Writes to which peer clients are connected, for the log. */
	void (*describe)(void *state, char *out, size_t cap);
};

/* The result of a query. */
struct backend_answer {
	/* Strings are the caller's, see backend_answer_free(); host NULL: refused. */
	ws_peer_info peer;
	const struct websocksy_framing *framing; /* of `peer`; valid as long as the backend */
	struct terms *terms; /* further parts; NULL: there are none */
	unsigned status; /* when refused: the HTTP status */
	char message[BACKEND_MESSAGE_MAX]; /* when refused: one line for the client */
};

/* Makes `builtin` (static) the backend that backend_load() gives for the name NULL. */
void backend_set_builtin(const struct backend_builtin *builtin);

/*
 * Loads backend_<name>.so from `directory` and initialises it; `name` NULL: the built-in one. A
 * second instance of a loaded file gets memory of its own, so that a new configuration can be tried
 * while the old one serves. Result: 0 and `*out` with one reference, or negative errno with one
 * line in `error`.
 */
int backend_load(const char *directory, const char *name, struct backend **out,
	char error[BACKEND_ERROR_MAX]);

/*
 * Passes an option. 0; -ENOENT if there is none of that name, as far as the backend tells; -EINVAL
 * if it refuses it; -ENOTSUP if it takes no options.
 */
int backend_configure(struct backend *backend, const char *key, const char *value);

/*
 * The option `i` (from 0) in effect: its name, and its value (NULL: not given, and no default).
 * False: there are no more, or the backend has version 1 and does not tell.
 */
bool backend_option(const struct backend *backend, size_t i, const char **name, const char **value);

/* The built-in one looks at nothing but the subprotocols of a request. */
bool backend_reads_request(const struct backend *backend);

/* A result of backend_check(): usable, but every client would be refused. */
#define BACKEND_REFUSES_ALL 1

/*
 * All options have been passed: is the result usable? 0; BACKEND_REFUSES_ALL or -EINVAL with one
 * line in `error` that names the option and the correct form.
 */
int backend_check(struct backend *backend, char error[BACKEND_ERROR_MAX]);

/*
 * Asks for a peer. The answer is the caller's (backend_answer_free). A call that takes longer than
 * 10 ms is logged. 0; -EINPROGRESS: the answer comes later, and `*out` is what backend_cancel()
 * takes until then; -ENOMEM. Must not be called from within a backend.
 */
int backend_query(struct backend *backend, struct backend_request *request,
	struct backend_answer *answer, struct pending **out);
void backend_answer_free(struct backend_answer *answer);

/* Makes it a refusal: `status` 400 to 599, otherwise 403; `message` is made one line of ASCII. */
void backend_answer_refuse(struct backend_answer *answer, unsigned status, const char *message);

/* Ends a query that has not been answered: its function is not called. */
void backend_cancel(struct pending *pending);

/* The loop runs: the backend can use the services of `host`, which outlives it. */
void backend_start(struct backend *backend, struct plugin_host *host);

/* Text about the option that backend_configure() has refused last; "": the backend tells nothing. */
const char *backend_reason(const struct backend *backend);

/* References: a connection keeps one, since its framing function may be the backend's own code. */
struct backend *backend_ref(struct backend *backend);
/* Drops one (NULL: nothing); the last one calls cleanup() and unloads. */
void backend_unref(struct backend *backend);

/* The name it was loaded under; "" for the built-in one. */
const char *backend_name(const struct backend *backend);

/* Writes for the log which backend it is, and which peer if that is always the same one. */
void backend_describe(const struct backend *backend, char *out, size_t cap);

/* The client of the running query; AF_UNSPEC: there is none. */
union address backend_client(void);

/* core_refuse() without its log line. False: `ws` is not the view of the running query. */
bool backend_refuse(websocket *ws, unsigned status, const char *message);

/* Forgets the built-in backend. All instances are gone by then. */
void backend_shutdown(void);
#endif
