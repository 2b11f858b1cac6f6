/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `url`: the client names its target in the URL, and rules say which are allowed.
 *
 * Must not know: the forms of requests and rules (backend_url/).
 * Invariants: the peers of an answer are addresses that the rules allow, never names: another
 * lookup could have another result. A target that no rule can allow is not looked up. Options:
 * websocksy-url(7).
 */
#include "websocksy_plugin.h"

#include "plugins/backend_url/request.h"
#include "plugins/common/duration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 16
#define ADDRESS_TEXT (INET6_ADDRSTRLEN + sizeof("tcp://[]:65535"))
#define KEY_MAX (RULE_NAME_MAX + sizeof(":65535"))
#define URL_FORBIDDEN "The target is not allowed."

struct url {
	const struct websocksy_core *core;
	struct rules rules;
	uint64_t ttl_ms;
};

/* A client that waits for a lookup; the state of its query. */
struct waiting {
	struct url *url;
	struct websocksy_query *query;
	struct websocksy_lookup *lookup;
	struct rule_target target;
};

/* Addresses of an answer. */
struct peers {
	size_t count;
	const char *at[ADDRESSES_MAX];
	char text[ADDRESSES_MAX][ADDRESS_TEXT];
};

static const struct websocksy_option url_options[] = {
	{"allow", NULL,
		"HOST[:PORT], *.SUFFIX[:PORT] or RANGE[:PORT] that is allowed (repeatable)"},
	{"ttl", "0", "how long the addresses of a target are used again"},
	{.name = NULL},
};

static int url_open(const struct websocksy_core *core, void **state) {
	struct url *url = calloc(1, sizeof(*url));
	if(!url) {
		return -ENOMEM;
	}
	url->core = core;
	*state = url;
	return 0;
}

static int url_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	struct url *url = state;
	if(!strcmp(key, "ttl")) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", DURATION_FORM);
		return duration_parse(value, &url->ttl_ms) ? 0 : -EINVAL;
	}
	snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", RULE_FORM);
	return rules_add(&url->rules, value);
}

static int url_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	const struct url *url = state;
	if(url->rules.count == 0) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "allow: is required");
		return -EINVAL;
	}
	return 0;
}

/* ---- answers ---- */

/* An address that contains one of IPv4 is written as that one. */
static void add_peer(struct peers *peers, const struct range *address, unsigned port) {
	char host[INET6_ADDRSTRLEN];
	if(peers->count == ADDRESSES_MAX) {
		return;
	}
	inet_ntop(address->ip6 ? AF_INET6 : AF_INET, address->address, host, sizeof(host));
	snprintf(peers->text[peers->count], ADDRESS_TEXT,
		address->ip6 ? "tcp://[%s]:%u" : "tcp://%s:%u", host, port);
	peers->at[peers->count] = peers->text[peers->count];
	peers->count++;
}

static void make_key(const struct rule_target *target, char key[KEY_MAX]) {
	snprintf(key, KEY_MAX, "%s:%u", target->name, target->port);
}

static void answer(const struct url *url, struct websocksy_query *query,
	const struct rule_target *target, const struct peers *peers) {
	char key[KEY_MAX];
	make_key(target, key);
	const struct websocksy_answer found = {
		.size = sizeof(found),
		.peer = peers->at,
		.peers = peers->count,
		.cache_key = url->ttl_ms > 0 && !target->literal ? key : NULL,
		.cache_ms = url->ttl_ms,
	};
	url->core->answer(query, &found);
}

/* ---- lookups ---- */

static void looked_up(void *ctx, const struct websocksy_addresses *addresses) {
	struct waiting *waiting = ctx;
	const struct url *url = waiting->url;
	struct websocksy_query *query = waiting->query;
	struct rule_target target = waiting->target;
	struct peers peers = {.count = 0};
	free(waiting);
	query->state = NULL;
	if(addresses->error) {
		url->core->refuse(query, 502, "The host of the target has not been found.");
		return;
	}
	for(size_t i = 0; i < addresses->count; i++) {
		struct range address;
		if(range_parse_address(addresses->address[i], &address) &&
			rules_allow(&url->rules, &target, &address)) {
			add_peer(&peers, &address, target.port);
		}
	}
	if(peers.count == 0) {
		url->core->log(url->core, WEBSOCKSY_NOTICE,
			"no address of \"%s\" is allowed for port %u; the client is refused",
			target.name, target.port);
		url->core->refuse(query, 403, URL_FORBIDDEN);
		return;
	}
	answer(url, query, &target, &peers);
}

static void look_up(struct url *url, struct websocksy_query *query, struct rule_target *target) {
	struct waiting *waiting = malloc(sizeof(*waiting));
	if(waiting) {
		*waiting = (struct waiting){.url = url, .query = query, .target = *target};
		waiting->lookup = url->core->lookup(url->core, target->name, looked_up, waiting);
	}
	if(!waiting || !waiting->lookup) {
		free(waiting);
		url->core->refuse(query, 503, "There is not enough memory.");
		return;
	}
	query->state = waiting;
}

static void url_query(void *state, struct websocksy_query *query) {
	struct url *url = state;
	struct rule_target target;
	char key[KEY_MAX];
	const char *wrong = request_read(url->core, query, &target);
	if(wrong) {
		url->core->refuse(query, 400, wrong);
		return;
	}
	if(!rules_may_allow(&url->rules, &target)) {
		url->core->refuse(query, 403, URL_FORBIDDEN);
		return;
	}
	if(target.literal) {
		struct peers peers = {.count = 0};
		add_peer(&peers, &target.address, target.port);
		answer(url, query, &target, &peers);
		return;
	}
	make_key(&target, key);
	if(url->ttl_ms == 0 || !url->core->cached(query, key)) {
		look_up(url, query, &target);
	}
}

static void url_cancel(void *state, struct websocksy_query *query) {
	struct url *url = state;
	struct waiting *waiting = query->state;
	url->core->lookup_stop(waiting->lookup);
	free(waiting);
	query->state = NULL;
}

static void url_close(void *state) {
	struct url *url = state;
	rules_free(&url->rules);
	free(url);
}

static const struct websocksy_backend url_backend = {
	.size = sizeof(url_backend),
	.name = "url",
	.description = "Targets that clients name in the URL, with rules",
	.options = url_options,
	.flags = WEBSOCKSY_REMOTE,
	.open = url_open,
	.configure = url_configure,
	.check = url_check,
	.query = url_query,
	.cancel = url_cancel,
	.close = url_close,
};

static const struct websocksy_backend *const url_backends[] = {&url_backend, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "url",
	.version = "1.0",
	.description = "Targets that clients name in the URL, with rules",
	.backends = url_backends,
};
