/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in backend: one peer for all clients, from options.
 *
 * It must not know connections or sockets: it returns strings. The core handles the options framing,
 * framing-config and protocol.
 */
#include "plugin/defaultpeer.h"

#include "network/exec.h"
#include "network/peer.h"
#include "network/tls_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOST "tcp://localhost"
#define DEFAULT_PORT "5900"

struct defaultpeer {
	const struct websocksy_core *core;
	const char *host; /* of the core; NULL: not checked yet */
	const char *port;
	bool has_host; /* given, not the default */
	bool has_port;
};

static const struct websocksy_option options[] = {
	{"host", DEFAULT_HOST, "address of the peer"},
	{"port", DEFAULT_PORT, "its port, if the address names none"},
	{NULL, NULL, NULL},
};

static int defaultpeer_open(const struct websocksy_core *core, void **state) {
	struct defaultpeer *defaultpeer = calloc(1, sizeof(*defaultpeer));
	if(!defaultpeer) {
		return -ENOMEM;
	}
	defaultpeer->core = core;
	*state = defaultpeer;
	return 0;
}

static void defaultpeer_close(void *state) {
	free(state);
}

static int defaultpeer_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	struct defaultpeer *defaultpeer = state;
	(void)value;
	(void)error;
	*(strcmp(key, "host") ? &defaultpeer->has_port : &defaultpeer->has_host) = true;
	return 0;
}

static const char *option(const struct defaultpeer *defaultpeer, const char *name) {
	return defaultpeer->core->option(defaultpeer->core, name);
}

/*
 * The files of a TLS peer, or a program. 0, or negative errno with `*why`, which may be in `error`.
 */
static int check_files(
	const struct peer_address *address, char error[TLS_ERROR_MAX], const char **why) {
	if(address->kind->program) {
		return exec_check(address, why);
	}
	*why = error;
	return address->kind->tls ? tls_cache_check(&address->tls, error) : 0;
}

/* With an unusable host each client gets 502, as with that of any backend; this tells earlier. */
static int check_peer(const char *host, const char *port, char error[WEBSOCKSY_ERROR_MAX]) {
	struct peer_address address;
	const char *why;
	int result = peer_parse(peer_transport_detect, DEFAULT_HOST, port, &address, &why);
	peer_address_free(&address);
	if(result == -EINVAL) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "port: \"%s\": %s", port, why);
		return result;
	}
	char trouble[TLS_ERROR_MAX];
	result = peer_parse(peer_transport_detect, host, port, &address, &why);
	if(result == 0) {
		result = check_files(&address, trouble, &why);
	}
	peer_address_free(&address);
	if(result && result != -ENOMEM) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "host: \"%s\": %s; clients will get 502", host,
			why);
		return WEBSOCKSY_REFUSES_ALL;
	}
	return result;
}

static int defaultpeer_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	struct defaultpeer *defaultpeer = state;
	const char *host = option(defaultpeer, "host");
	defaultpeer->host = host;
	defaultpeer->port = option(defaultpeer, "port");
	if(!*host) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "host: must be an address such as %s:%s",
			DEFAULT_HOST, DEFAULT_PORT);
		return -EINVAL;
	}
	return check_peer(host, defaultpeer->port, error);
}

static void defaultpeer_query(void *state, struct websocksy_query *query) {
	const struct defaultpeer *defaultpeer = state;
	bool checked = defaultpeer->host;
	const char *host = checked ? defaultpeer->host : option(defaultpeer, "host");
	const char *port = checked ? defaultpeer->port : option(defaultpeer, "port");
	const struct websocksy_answer answer = {
		.size = sizeof(answer), .peer = &host, .peers = 1, .port = port};
	query->core->answer(query, &answer);
}

/* As it is configured: it has been checked, or the error is reported for each client. */
static void defaultpeer_describe(void *state, char *out, size_t cap) {
	const struct defaultpeer *defaultpeer = state;
	const char *host = option(defaultpeer, "host");
	bool names_port = defaultpeer->has_port || !defaultpeer->has_host;
	snprintf(out, cap, "%s%s%s", host, names_port ? ":" : "",
		names_port ? option(defaultpeer, "port") : "");
}

static const struct websocksy_backend backend = {
	.size = sizeof(backend),
	.name = "defaultpeer",
	.description = "one peer for all clients",
	.options = options,
	.open = defaultpeer_open,
	.configure = defaultpeer_configure,
	.check = defaultpeer_check,
	.query = defaultpeer_query,
	.close = defaultpeer_close,
	.protocol = "",
};

const struct backend_builtin defaultpeer_backend = {&backend, defaultpeer_describe};
