/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Shared objects, the registry of framing functions, and the backend that is asked for peers. What
 * the core exports to plugins is declared in websocksy.h and defined in plugin.c.
 */
#ifndef WEBSOCKSY_PLUGIN_H
#define WEBSOCKSY_PLUGIN_H
#include "plugin/framing.h"
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGIN_ERROR_MAX 512
#define PLUGIN_MESSAGE_MAX 256

/* A loaded backend with a reference count; opaque. */
struct backend;

/* What a query is about: strings that the backend may change, alive during the call. */
struct backend_request {
	int fd;
	char *endpoint;
	char *key;
	size_t protocols;
	char **protocol;
	size_t headers;
	ws_http_header *header;
};

/*
 * A backend that is part of the program. Each instance has a state of its own, so that a new
 * configuration can be tried while the old one serves.
 */
struct backend_builtin {
	const char *name;
	/* A new state with the defaults; NULL: out of memory. */
	void *(*open)(void);
	/* 0; -EINVAL for an option that there is not, or a value that cannot be; -ENOMEM. */
	int (*configure)(void *state, const char *key, const char *value);
	/* All options are given: 0, or -EINVAL with one line in `error` naming the option and what
	 * would be right. */
	int (*check)(void *state, char error[PLUGIN_ERROR_MAX]);
	/* As a plugin's query(): fills `peer` (zeroed before); host NULL: refused. 0 or -ENOMEM. */
	int (*query)(void *state, const struct backend_request *request, websocket *ws,
		ws_peer_info *peer);
	void (*close)(void *state);
};

/* What a query came to. */
struct backend_answer {
	/* Strings are the caller's, see backend_answer_free(); host NULL: refused. */
	ws_peer_info peer;
	const struct framing *framing; /* of `peer`; valid as long as the backend */
	unsigned status; /* when refused: the HTTP status */
	char message[PLUGIN_MESSAGE_MAX]; /* when refused: one line for the client */
};

/*
 * Loads every *.so in `directory` (absolute) whose name does not begin with "backend_" or a dot, in
 * sorted order; files that are loaded already are skipped. A file that cannot be loaded, or that
 * anybody could have written, is logged and skipped; a directory that is missing is a debug line
 * only. 0, -EINVAL for a relative path, -ENOMEM.
 */
int plugin_load_directory(const char *directory);

/* Makes `builtin` (static) the backend that backend_load(NULL) gives. */
void plugin_set_builtin_backend(const struct backend_builtin *builtin);

/*
 * Loads backend_<name>.so from `directory` and initialises it; `name` NULL: the built-in one. A
 * second instance of a loaded file gets memory of its own, so that a new configuration can be tried
 * while the old one serves. Result: 0 and `*out` with one reference, or negative errno with one
 * line in `error`.
 */
int backend_load(const char *directory, const char *name, struct backend **out,
	char error[PLUGIN_ERROR_MAX]);

/* Passes an option. 0; -EINVAL if the backend refuses it; -ENOTSUP if it takes no options. */
int backend_configure(struct backend *backend, const char *key, const char *value);

/* All options have been passed: is the result usable? 0, or -EINVAL with one line in `error`. */
int backend_check(struct backend *backend, char error[PLUGIN_ERROR_MAX]);

/*
 * Asks for a peer. The answer is the caller's (backend_answer_free). A call that takes longer than
 * 10 ms is logged. 0 or -ENOMEM. Must not be called from within a backend.
 */
int backend_query(struct backend *backend, const struct backend_request *request,
	struct backend_answer *answer);
void backend_answer_free(struct backend_answer *answer);

/* References: a connection keeps one, since its framing function may be the backend's own code. */
struct backend *backend_ref(struct backend *backend);
/* Drops one (NULL: nothing); the last one calls cleanup() and unloads. */
void backend_unref(struct backend *backend);

/* The name it was loaded under; "" for the built-in one. */
const char *backend_name(const struct backend *backend);

/* Frees the registry and unloads framing plugins. All backends and connections are gone by then. */
void plugin_shutdown(void);
#endif
