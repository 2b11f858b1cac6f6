/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in backend: one peer for all clients, from options.
 *
 * It must not know connections or sockets: it returns strings.
 */
#include "plugin/defaultpeer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "network/exec.h"
#include "network/peer.h"
#include "network/tls_cache.h"
#include "plugin/framings.h"
#include "plugin/protocols.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_HOST "tcp://localhost"
#define DEFAULT_PORT "5900"

enum option {
	OPTION_HOST,
	OPTION_PORT,
	OPTION_FRAMING,
	OPTION_FRAMING_CONFIG,
	OPTION_PROTOCOL,
	OPTIONS
};

static const char *const option_names[] = {
	[OPTION_HOST] = "host",
	[OPTION_PORT] = "port",
	[OPTION_FRAMING] = "framing",
	[OPTION_FRAMING_CONFIG] = "framing-config",
	[OPTION_PROTOCOL] = "protocol",
};
static_assert(sizeof(option_names) / sizeof(option_names[0]) == OPTIONS, "every option has a name");

/* The values; NULL: not given. */
struct defaultpeer {
	char *value[OPTIONS];
	struct log_limit limit;
};

static void *defaultpeer_open(void) {
	return calloc(1, sizeof(struct defaultpeer));
}

static void defaultpeer_close(void *state) {
	struct defaultpeer *defaultpeer = state;
	for(size_t i = 0; i < OPTIONS; i++) {
		free(defaultpeer->value[i]);
	}
	free(defaultpeer);
}

static int defaultpeer_configure(void *state, const char *key, const char *value) {
	struct defaultpeer *defaultpeer = state;
	for(size_t i = 0; i < OPTIONS; i++) {
		if(!strcmp(option_names[i], key)) {
			char *copy = strdup(value);
			if(!copy) {
				return -ENOMEM;
			}
			free(defaultpeer->value[i]);
			defaultpeer->value[i] = copy;
			return 0;
		}
	}
	return -ENOENT;
}

/* An empty framing is the default, which depends on the subprotocol. */
static bool defaultpeer_option(const void *state, size_t i, const char **name, const char **value) {
	static const char *const presets[OPTIONS] = {
		[OPTION_HOST] = DEFAULT_HOST, [OPTION_PORT] = DEFAULT_PORT};
	const struct defaultpeer *defaultpeer = state;
	if(i >= OPTIONS) {
		return false;
	}
	const char *preset = presets[i] ? presets[i] : "";
	*name = option_names[i];
	*value = defaultpeer->value[i] ? defaultpeer->value[i] : preset;
	return true;
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
static int check_peer(const char *host, const char *port, char error[BACKEND_ERROR_MAX]) {
	struct peer_address address;
	const char *why;
	int result = peer_parse(peer_transport_detect, DEFAULT_HOST, port, &address, &why);
	peer_address_free(&address);
	if(result == -EINVAL) {
		snprintf(error, BACKEND_ERROR_MAX, "port: \"%s\": %s", port, why);
		return result;
	}
	char trouble[TLS_ERROR_MAX];
	result = peer_parse(peer_transport_detect, host, port, &address, &why);
	if(result == 0) {
		result = check_files(&address, trouble, &why);
	}
	peer_address_free(&address);
	if(result && result != -ENOMEM) {
		snprintf(error, BACKEND_ERROR_MAX, "host: \"%s\": %s; clients will get 502", host,
			why);
		return BACKEND_REFUSES_ALL;
	}
	return result;
}

/* NULL: the default. */
static const char *framing_name(char *const *value) {
	return value[OPTION_FRAMING] && value[OPTION_FRAMING][0] ? value[OPTION_FRAMING] : NULL;
}

static int check_framing(char *const *value, char error[BACKEND_ERROR_MAX]) {
	const char *name = framing_name(value);
	const char *config = value[OPTION_FRAMING_CONFIG];
	const struct websocksy_framing *framing = framings_find(name);
	if(!framing) {
		snprintf(error, BACKEND_ERROR_MAX,
			"framing: there is no framing function \"%s\" (built in: auto, base64, "
			"binary, newline, separator, text)",
			name ? name : "auto");
		return -EINVAL;
	}
	const char *wrong = framing_check(framing, config);
	if(wrong) {
		snprintf(error, BACKEND_ERROR_MAX,
			"framing-config: \"%s\" is not usable with framing %s: %s",
			config ? config : "", framing->name, wrong);
		return -EINVAL;
	}
	return 0;
}

/* Names that no client can offer, such as "a b", which looks like two. */
static void check_protocols(const char *list) {
	while(*list) {
		size_t len = strcspn(list, ",");
		struct slice name = text_trim((struct slice){list, len});
		if(name.len > 0 && !text_is_token(name)) {
			log_write(LOG_WARNING,
				"protocol: \"%.*s\" is not the name of a subprotocol (names are "
				"separated by commas)",
				(int)name.len, name.at);
		}
		list += len + (list[len] == ',');
	}
}

static int defaultpeer_check(void *state, char error[BACKEND_ERROR_MAX]) {
	const struct defaultpeer *defaultpeer = state;
	char *const *value = defaultpeer->value;
	const char *host = value[OPTION_HOST] ? value[OPTION_HOST] : DEFAULT_HOST;
	const char *port = value[OPTION_PORT] ? value[OPTION_PORT] : DEFAULT_PORT;
	if(!*host) {
		snprintf(error, BACKEND_ERROR_MAX, "host: must be an address such as %s:%s",
			DEFAULT_HOST, DEFAULT_PORT);
		return -EINVAL;
	}
	check_protocols(value[OPTION_PROTOCOL] ? value[OPTION_PROTOCOL] : "");
	char unusable[BACKEND_ERROR_MAX];
	int framing = check_framing(value, unusable);
	int result = check_peer(host, port, error);
	if(framing && result >= 0) {
		memcpy(error, unusable, sizeof(unusable));
		return framing;
	}
	return result;
}

static void log_refused(struct defaultpeer *defaultpeer, const char *offer, bool configured) {
	if(!log_limit_pass(&defaultpeer->limit, "refused subprotocols", clock_ms())) {
		return;
	}
	if(configured) {
		log_write(LOG_WARNING,
			"a client that offers subprotocol \"%.64s\" is refused: backend option "
			"protocol accepts "
			"only \"%s\"",
			offer, defaultpeer->value[OPTION_PROTOCOL]);
	} else {
		log_write(LOG_WARNING,
			"a client that offers subprotocol \"%.64s\" is refused: backend option "
			"protocol is not "
			"set (protocol=* accepts any)",
			offer);
	}
}

/* The index to answer, request->protocols for none, or -1 when the client was refused. */
static int64_t negotiate(
	struct defaultpeer *defaultpeer, const struct backend_request *request, websocket *ws) {
	if(request->protocols == 0) {
		return 0;
	}
	const char *list = defaultpeer->value[OPTION_PROTOCOL];
	int64_t index = protocols_choose(list ? list : "", request);
	if(index < 0) {
		bool configured = index == PROTOCOLS_NONE_OFFERED;
		log_refused(defaultpeer, request->protocol[0], configured);
		core_refuse(ws, 400,
			configured ? "none of the offered subprotocols is accepted here"
				   : "the offered subprotocols are not accepted, because none is "
				     "configured here");
		return -1;
	}
	return index;
}

/* A copy of the value, or of `preset` (NULL: none). False: out of memory. */
static bool copy_value(char **out, const char *value, const char *preset) {
	const char *from = value ? value : preset;
	*out = from ? strdup(from) : NULL;
	return *out || !from;
}

static int defaultpeer_query(void *state, const struct backend_request *request, websocket *ws,
	struct backend_answer *answer) {
	ws_peer_info *peer = &answer->peer;
	struct defaultpeer *defaultpeer = state;
	char *const *value = defaultpeer->value;
	int64_t index = negotiate(defaultpeer, request, ws);
	if(index < 0) {
		return 0;
	}
	const char *protocol = (size_t)index < request->protocols ? request->protocol[index] : NULL;
	const struct websocksy_framing *framing = protocols_framing(framing_name(value), protocol);
	if(!framing) {
		core_refuse(ws, 500, "the framing function of this service is not there");
		return 0;
	}
	answer->framing = framing;
	peer->framing = framings_function(framing);
	peer->protocol = (size_t)index;
	bool copied = copy_value(&peer->host, value[OPTION_HOST], DEFAULT_HOST) &&
		copy_value(&peer->port, value[OPTION_PORT], DEFAULT_PORT) &&
		copy_value(&peer->framing_config, value[OPTION_FRAMING_CONFIG], NULL);
	return copied ? 0 : -ENOMEM;
}

/* As it is configured: it has been checked, or the error is reported for each client. */
static void defaultpeer_describe(const void *state, char *out, size_t cap) {
	const struct defaultpeer *defaultpeer = state;
	const char *host = defaultpeer->value[OPTION_HOST];
	const char *port = defaultpeer->value[OPTION_PORT];
	const char *assumed = host ? NULL : DEFAULT_PORT;
	port = port ? port : assumed;
	snprintf(out, cap, "%s%s%s", host ? host : DEFAULT_HOST, port ? ":" : "", port ? port : "");
}

const struct backend_builtin defaultpeer_backend = {
	.name = "defaultpeer",
	.open = defaultpeer_open,
	.option = defaultpeer_option,
	.configure = defaultpeer_configure,
	.check = defaultpeer_check,
	.query = defaultpeer_query,
	.describe = defaultpeer_describe,
	.close = defaultpeer_close,
};
