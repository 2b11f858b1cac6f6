/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `token`: the request has a token, and files have the peer of each token.
 *
 * Must not know: the formats of the files (backend_token/).
 * Invariants: the first source that knows the token decides; if one before it cannot be read, the
 * client is refused. Tokens are not logged. Options and formats: websocksy-token(7).
 */
#include "websocksy_plugin.h"

#include "plugins/backend_token/source.h"
#include "plugins/common/duration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct token {
	const struct websocksy_core *core;
	char *from; /* NULL: the default */
	uint64_t ttl_ms;
	struct source *sources;
	size_t count;
};

static const struct websocksy_option token_options[] = {
	{"from", "query:token", "where the request has the token"},
	{"file", NULL, "file with lines TOKEN: HOST:PORT (repeatable)"},
	{"directory", NULL, "directory of such files (repeatable)"},
	{"names", NULL, "directory of files named as tokens, with HOST:PORT in them (repeatable)"},
	{"sockets", NULL, "directory of Unix sockets named as tokens (repeatable)"},
	{"ttl", "0", "how long an answer is used again"},
	{.name = NULL},
};

static int token_open(const struct websocksy_core *core, void **state) {
	struct token *token = calloc(1, sizeof(*token));
	if(!token) {
		return -ENOMEM;
	}
	token->core = core;
	*state = token;
	return 0;
}

/* ---- options ---- */

static int set_from(struct token *token, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	const char *wrong = token->core->check_source(value);
	if(wrong) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", wrong);
		return -EINVAL;
	}
	char *copy = strdup(value);
	if(!copy) {
		return -ENOMEM;
	}
	free(token->from);
	token->from = copy;
	return 0;
}

static int add_source(struct token *token, const char *kind, const char *path) {
	struct source *grown =
		realloc(token->sources, (token->count + 1) * sizeof(*token->sources));
	if(!grown) {
		return -ENOMEM;
	}
	token->sources = grown;
	int result = source_open(&grown[token->count], token->core, kind, path);
	token->count += result == 0;
	return result;
}

static int token_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	struct token *token = state;
	if(!strcmp(key, "from")) {
		return set_from(token, value, error);
	}
	if(!strcmp(key, "ttl")) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", DURATION_FORM);
		return duration_parse(value, &token->ttl_ms) ? 0 : -EINVAL;
	}
	if(!value[0]) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "must be a path");
		return -EINVAL;
	}
	return add_source(token, key, value);
}

static int token_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	struct token *token = state;
	if(token->count == 0) {
		snprintf(error, WEBSOCKSY_ERROR_MAX,
			"file: one of the options file, directory, names and sockets is required");
		return -EINVAL;
	}
	for(size_t i = 0; i < token->count; i++) {
		struct source *source = &token->sources[i];
		int result = source_check(source);
		if(result) {
			snprintf(error, WEBSOCKSY_ERROR_MAX, "%s: %s: %s", source_kind(source),
				source->path, strerror(-result));
			return result == -ENOMEM ? result : -EINVAL;
		}
	}
	return 0;
}

/* ---- queries ---- */

static void answer(
	struct token *token, struct websocksy_query *query, const char *text, const char *peer) {
	const struct websocksy_answer found = {
		.size = sizeof(found),
		.peer = &peer,
		.peers = 1,
		.cache_key = token->ttl_ms > 0 ? text : NULL,
		.cache_ms = token->ttl_ms,
	};
	token->core->answer(query, &found);
}

static void refuse(struct token *token, struct websocksy_query *query, int result) {
	if(result == -ENOKEY) {
		token->core->refuse(query, 404, "The token is unknown.");
	} else if(result == -EBADMSG) {
		token->core->refuse(query, 502, "The target of the token is invalid.");
	} else {
		token->core->refuse(query, 503, "The tokens cannot be read.");
	}
}

static void token_query(void *state, struct websocksy_query *query) {
	struct token *token = state;
	char peer[TARGET_MAX];
	int result = -ENOKEY;
	const char *text = token->core->find(query, token->from ? token->from : "query:token");
	if(!text || !text[0]) {
		token->core->refuse(query, 404, "The request has no token.");
		return;
	}
	if(token->ttl_ms > 0 && token->core->cached(query, text)) {
		return;
	}
	for(size_t i = 0; i < token->count && result == -ENOKEY; i++) {
		result = source_find(&token->sources[i], text, peer);
	}
	if(result == 0) {
		answer(token, query, text, peer);
	} else {
		refuse(token, query, result);
	}
}

static void token_close(void *state) {
	struct token *token = state;
	for(size_t i = 0; i < token->count; i++) {
		source_free(&token->sources[i]);
	}
	free(token->sources);
	free(token->from);
	free(token);
}

static const struct websocksy_backend token_backend = {
	.size = sizeof(token_backend),
	.name = "token",
	.description = "Peers of tokens, from files",
	.options = token_options,
	.open = token_open,
	.configure = token_configure,
	.check = token_check,
	.query = token_query,
	.close = token_close,
};

static const struct websocksy_backend *const token_backends[] = {&token_backend, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "token",
	.version = "1.0",
	.description = "Peers of tokens, from files",
	.backends = token_backends,
};
