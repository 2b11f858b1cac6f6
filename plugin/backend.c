/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads backends and asks them for peers.
 *
 * It must not know connections, HTTP or how a peer is reached: requests come in and answers go out
 * as plain data.
 *
 * The running query is a mutable global, because core_refuse() of plugin API version 1 may be
 * called with any pointer.
 *
 * Invariants: while code of a backend runs, it is the owner of what is registered; `view` is set
 * only during its query().
 */
#include "plugin/backend.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/text.h"
#include "plugin/core_table.h"
#include "plugin/descriptor.h"
#include "plugin/instance.h"
#include "plugin/object.h"
#include "plugin/pending.h"
#include "plugin/terms.h"
#include "plugin/trust.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A query blocks all connections of the daemon: a longer one is logged. */
#define SLOW_QUERY_MS 10

#define REFUSED_STATUS 403
#define REFUSED_MESSAGE "refused by the backend"

/* The view that a backend gets, and the arguments of core_refuse(). */
struct query_view {
	websocket ws;
	unsigned status;
	char message[BACKEND_MESSAGE_MAX];
};

struct backend {
	struct framings_owner owner;
	size_t references;
	char *name;
	const struct backend_builtin *builtin; /* NULL: a shared object */
	struct instance *instance; /* of version 2; NULL: it has another version */
	struct object object;
	ws_backend api;
	ws_backend_check check; /* NULL: none */
	bool initialised; /* cleanup() is due */
	struct query_view view;
};

static struct {
	const struct backend_builtin *builtin;
	struct query_view *view;
	union address client; /* of the running query */
	size_t backends;
	struct log_limit limit;
} registry;

static int __attribute__((format(printf, 3, 4)))
fail(char error[BACKEND_ERROR_MAX], int result, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, BACKEND_ERROR_MAX, format, arguments);
	va_end(arguments);
	return result;
}

static int start_instance(struct backend *backend, const struct websocksy_backend *found,
	char error[BACKEND_ERROR_MAX]) {
	backend->instance = malloc(sizeof(*backend->instance));
	if(!backend->instance) {
		return fail(error, -ENOMEM, "out of memory");
	}
	int result = instance_open(backend->instance, found, &core_table,
		backend->builtin ? found->name : backend->name);
	backend->instance->owner = &backend->owner;
	backend->owner.core = &backend->instance->services.core;
	return result ? fail(error, result, "backend %s: %s", backend->name, strerror(-result)) : 0;
}

/* A descriptor of version 2: its framings are those of the backend. */
static int start_descriptor(struct backend *backend, const struct websocksy_plugin *plugin,
	const char *path, char error[BACKEND_ERROR_MAX]) {
	const char *why = descriptor_check(plugin);
	if(why) {
		return fail(error, -ENOEXEC, "%s: %s", path, why);
	}
	const struct websocksy_backend *found = descriptor_backend(plugin, backend->name);
	if(!found) {
		return fail(error, -ENOENT, "%s: has no backend \"%s\"", path, backend->name);
	}
	int result = descriptor_register(plugin, path);
	return result ? fail(error, result, "out of memory")
		      : start_instance(backend, found, error);
}

static int start_object(struct backend *backend, const char *path, char error[BACKEND_ERROR_MAX]) {
	const struct websocksy_plugin *plugin;
	if(object_find(&backend->object, "websocksy_plugin", &plugin)) {
		return start_descriptor(backend, plugin, path, error);
	}
	ws_backend *api = &backend->api;
	bool has_init = object_find(&backend->object, "init", &api->init);
	if(!has_init || !object_find(&backend->object, "query", &api->query)) {
		return fail(error, -ENOEXEC,
			"%s: not a backend: it does not export a function \"%s\"", path,
			has_init ? "query" : "init");
	}
	object_find(&backend->object, "configure", &api->config);
	object_find(&backend->object, "cleanup", &api->cleanup);
	object_find(&backend->object, "websocksy_check", &backend->check);
	uint64_t version = api->init();
	if(version != WEBSOCKSY_API_VERSION) {
		return fail(error, -ENOEXEC,
			"%s: was built for plugin API version %llu, this program has version %d; "
			"rebuild it",
			path, (unsigned long long)version, WEBSOCKSY_API_VERSION);
	}
	backend->initialised = true;
	return 0;
}

static int load_backend(
	struct backend *backend, const char *directory, char error[BACKEND_ERROR_MAX]) {
	if(!text_is_name(text_slice(backend->name))) {
		return fail(error, -EINVAL,
			"backend \"%s\": a name has letters, digits, _ and - only", backend->name);
	}
	if(directory[0] != '/') {
		return fail(
			error, -EINVAL, "plugin directory %s: must be an absolute path", directory);
	}
	char *path;
	if(asprintf(&path, "%s/backend_%s.so", directory, backend->name) < 0) {
		return fail(error, -ENOMEM, "out of memory");
	}
	char why[TRUST_ERROR_MAX];
	struct stat file;
	int result = trust_check(path, &file, why);
	if(result < 0) {
		fail(error, result, "backend \"%s\": %s: %s", backend->name, path, why);
	} else {
		result = object_open(&backend->object, path, error);
	}
	if(!result) {
		result = start_object(backend, path, error);
	}
	free(path);
	return result;
}

static int open_builtin(struct backend *backend, char error[BACKEND_ERROR_MAX]) {
	backend->builtin = registry.builtin;
	if(!backend->builtin) {
		return fail(error, -ENOENT, "no built-in backend is set");
	}
	int result = start_instance(backend, backend->builtin->api, error);
	if(result == 0) {
		backend->instance->is_builtin = true;
	}
	return result;
}

static void clean_up(struct backend *backend) {
	if(backend->instance) {
		instance_free(backend->instance);
		pending_clear(backend->instance);
		free(backend->instance);
		return;
	}
	if(backend->initialised && backend->api.cleanup) {
		framings_set_owner(&backend->owner);
		backend->api.cleanup();
		framings_set_owner(NULL);
	}
}

static void destroy(struct backend *backend) {
	clean_up(backend);
	framings_drop(&backend->owner);
	object_close(&backend->object);
	free(backend->name);
	free(backend);
	registry.backends--;
}

int backend_load(const char *directory, const char *name, struct backend **out,
	char error[BACKEND_ERROR_MAX]) {
	struct backend *backend = calloc(1, sizeof(*backend));
	char *copy = strdup(name ? name : "");
	if(!backend || !copy) {
		free(backend);
		free(copy);
		return fail(error, -ENOMEM, "out of memory");
	}
	backend->owner.is_backend = true;
	backend->references = 1;
	backend->name = copy;
	registry.backends++;
	framings_set_owner(name ? &backend->owner : NULL);
	int result = name ? load_backend(backend, directory, error) : open_builtin(backend, error);
	framings_set_owner(NULL);
	if(result < 0) {
		destroy(backend);
		return result;
	}
	*out = backend;
	return 0;
}

/* The v1 function takes writable strings. */
static int configure_object(struct backend *backend, const char *key, const char *value) {
	if(!backend->api.config) {
		return -ENOTSUP;
	}
	char *key_copy = strdup(key);
	char *value_copy = strdup(value);
	int result = -ENOMEM;
	if(key_copy && value_copy) {
		framings_set_owner(&backend->owner);
		result = backend->api.config(key_copy, value_copy) ? -EINVAL : 0;
		framings_set_owner(NULL);
	}
	free(key_copy);
	free(value_copy);
	return result;
}

int backend_configure(struct backend *backend, const char *key, const char *value) {
	if(backend->instance) {
		return instance_configure(backend->instance, key, value);
	}
	return configure_object(backend, key, value);
}

bool backend_option(
	const struct backend *backend, size_t i, const char **name, const char **value) {
	return backend->instance && instance_option(backend->instance, i, name, value);
}

bool backend_reads_request(const struct backend *backend) {
	return !backend->builtin;
}

int backend_check(struct backend *backend, char error[BACKEND_ERROR_MAX]) {
	if(backend->instance) {
		framings_set_owner(&backend->owner);
		int result = instance_check(backend->instance, error);
		framings_set_owner(NULL);
		return result;
	}
	framings_set_owner(&backend->owner);
	const char *wrong = backend->check ? backend->check() : NULL;
	framings_set_owner(NULL);
	return wrong ? fail(error, BACKEND_REFUSES_ALL, "%s", wrong) : 0;
}

static void fill_view(struct backend *backend, const struct backend_request *request) {
	struct query_view *view = &backend->view;
	websocket *ws = &view->ws;
	view->status = 0;
	view->message[0] = '\0';
	memset(ws, 0, sizeof(*ws));
	ws->ws_fd = request->fd;
	ws->state = ws_http;
	ws->headers = request->headers < WS_HEADER_LIMIT ? request->headers : WS_HEADER_LIMIT;
	for(size_t i = 0; i < ws->headers; i++) {
		ws->header[i] = request->header[i];
	}
	ws->request_path = request->endpoint;
	ws->websocket_version = 13;
	ws->socket_key = request->key;
	ws->want_upgrade = 1;
	ws->protocols = request->protocols;
	ws->protocol = request->protocol;
	ws->peer_fd = -1;
}

static ws_peer_info ask(struct backend *backend, const struct backend_request *request) {
	registry.view = &backend->view;
	registry.client = request->client;
	framings_set_owner(&backend->owner);
	ws_peer_info peer = backend->api.query(request->endpoint, request->protocols,
		request->protocol, request->headers, request->header, &backend->view.ws);
	framings_set_owner(NULL);
	registry.view = NULL;
	registry.client = (union address){0};
	return peer;
}

static void report_duration(const struct backend *backend, uint64_t start_ms) {
	uint64_t end_ms = clock_ms();
	uint64_t took_ms = end_ms - start_ms;
	if(took_ms > SLOW_QUERY_MS && log_limit_pass(&registry.limit, "slow queries", end_ms)) {
		log_write(LOG_WARNING,
			"backend %s: query took %llu ms, which delayed all connections",
			backend->builtin ? backend->builtin->api->name : backend->name,
			(unsigned long long)took_ms);
	}
}

/* Version 1. */
static int ask_at_once(struct backend *backend, const struct backend_request *request,
	struct backend_answer *answer) {
	int result = 0;
	fill_view(backend, request);
	answer->peer = ask(backend, request);
	if(answer->peer.host) {
		answer->framing = framings_of_function(answer->peer.framing, &backend->owner);
		result = answer->framing ? 0 : -ENOMEM;
	}
	if(result < 0 || !answer->peer.host) {
		const struct query_view *view = &backend->view;
		backend_answer_free(answer);
		answer->status = view->status ? view->status : REFUSED_STATUS;
		snprintf(answer->message, sizeof(answer->message), "%s",
			view->message[0] ? view->message : REFUSED_MESSAGE);
	}
	return result;
}

int backend_query(struct backend *backend, struct backend_request *request,
	struct backend_answer *answer, struct pending **out) {
	assert(!registry.view);
	memset(answer, 0, sizeof(*answer));
	uint64_t start_ms = clock_ms();
	int result = backend->instance ? pending_start(backend->instance, request, answer, out)
				       : ask_at_once(backend, request, answer);
	report_duration(backend, start_ms);
	return result;
}

void backend_cancel(struct pending *pending) {
	pending_cancel(pending);
}

void backend_start(struct backend *backend, struct plugin_host *host) {
	if(backend->instance) {
		backend->instance->services.host = host;
	}
}

const char *backend_reason(const struct backend *backend) {
	return backend->instance ? backend->instance->error : "";
}

struct backend *backend_ref(struct backend *backend) {
	backend->references++;
	return backend;
}

void backend_unref(struct backend *backend) {
	if(!backend) {
		return;
	}
	assert(backend->references > 0);
	if(--backend->references == 0) {
		destroy(backend);
	}
}

const char *backend_name(const struct backend *backend) {
	return backend->name;
}

void backend_describe(const struct backend *backend, char *out, size_t cap) {
	if(backend->builtin) {
		backend->builtin->describe(backend->instance->state, out, cap);
	} else {
		snprintf(out, cap, "those of backend %s", backend->name);
	}
}

union address backend_client(void) {
	return registry.client;
}

bool backend_refuse(websocket *ws, unsigned status, const char *message) {
	struct query_view *view = registry.view;
	if(!view || ws != &view->ws) {
		return false;
	}
	struct backend_answer answer;
	backend_answer_refuse(&answer, status, message);
	view->status = answer.status;
	memcpy(view->message, answer.message, sizeof(view->message));
	return true;
}

void backend_set_builtin(const struct backend_builtin *builtin) {
	registry.builtin = builtin;
}

void backend_shutdown(void) {
	assert(registry.backends == 0);
	registry.builtin = NULL;
}
