/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `jwt`: a signed token names the peer and how long the connection may last.
 *
 * Must not know: signatures and claims of tokens (backend_jwt/).
 * Invariants: an algorithm is used only if it is configured and fits the kind of the key. Tokens
 * and keys are not logged. Options and claims: websocksy-jwt(7).
 */
#include "websocksy_plugin.h"

#include "plugins/backend_jwt/token.h"
#include "plugins/common/duration.h"
#include "plugins/common/reading.h"
#include "plugins/common/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECRET_BYTES_MIN 32 /* RFC 7518 section 3.2, of HS256 */
#define SESSION_MAX 256

struct jwt {
	const struct websocksy_core *core;
	char *from;
	char *key; /* path; NULL: `jwks` is set */
	char *jwks;
	char *issuer;
	char *audience;
	char *session;
	struct token_rules rules;
	uint64_t ttl_ms;
	struct reading_stamp stamp;
	struct keys keys;
};

static const struct websocksy_option jwt_options[] = {
	{"from", "query:token", "where the request has the token"},
	{"key", NULL, "file with a secret, a public key or a certificate"},
	{"jwks", NULL, "file with a set of keys, instead of key"},
	{"alg", NULL, "algorithm that is accepted (required, repeatable): " ALGORITHM_NAMES},
	{"issuer", NULL, "required value of the claim iss"},
	{"audience", NULL, "required value of the claim aud"},
	{"leeway", "0", "allowed difference of clocks, for exp and nbf"},
	{"session", NULL, "claim that is the session key of the connection"},
	{"ttl", "0", "how long an answer is used again"},
	{.name = NULL},
};

static int jwt_open(const struct websocksy_core *core, void **state) {
	struct jwt *jwt = calloc(1, sizeof(*jwt));
	if(!jwt) {
		return -ENOMEM;
	}
	jwt->core = core;
	*state = jwt;
	return 0;
}

/* ---- options ---- */

static int add_algorithm(struct jwt *jwt, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	const struct algorithm *algorithm = algorithm_find(value);
	if(!algorithm) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "must be one of " ALGORITHM_NAMES);
		return -EINVAL;
	}
	for(size_t i = 0; i < jwt->rules.algorithms; i++) {
		if(jwt->rules.algorithm[i] == algorithm) {
			return 0;
		}
	}
	jwt->rules.algorithm[jwt->rules.algorithms++] = algorithm;
	return 0;
}

static int set_time(
	const char *key, struct jwt *jwt, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	uint64_t ms;
	if(!duration_parse(value, &ms)) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", DURATION_FORM);
		return -EINVAL;
	}
	if(!strcmp(key, "ttl")) {
		jwt->ttl_ms = ms;
	} else {
		jwt->rules.leeway = (int64_t)(ms / 1000);
	}
	return 0;
}

static char **find_text(struct jwt *jwt, const char *key) {
	const struct {
		const char *name;
		char **field;
	} texts[] = {
		{"from", &jwt->from},
		{"key", &jwt->key},
		{"jwks", &jwt->jwks},
		{"issuer", &jwt->issuer},
		{"audience", &jwt->audience},
		{"session", &jwt->session},
	};
	for(size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if(!strcmp(key, texts[i].name)) {
			return texts[i].field;
		}
	}
	return NULL;
}

static int set_text(char **field, const char *value) {
	char *copy = strdup(value);
	if(!copy) {
		return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

static int jwt_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	struct jwt *jwt = state;
	const char *wrong = NULL;
	if(!strcmp(key, "alg")) {
		return add_algorithm(jwt, value, error);
	}
	if(!strcmp(key, "ttl") || !strcmp(key, "leeway")) {
		return set_time(key, jwt, value, error);
	}
	if(!strcmp(key, "from")) {
		wrong = jwt->core->check_source(value);
	} else if(!value[0]) {
		wrong = "must not be empty";
	}
	if(wrong) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", wrong);
		return -EINVAL;
	}
	char **field = find_text(jwt, key);
	return field ? set_text(field, value) : -EINVAL;
}

/* ---- keys ---- */

/*
 * Reads the file if it has changed. False: it cannot be used, `error` says why, and the keys are
 * those from before.
 */
static bool refresh_keys(struct jwt *jwt, char error[WEBSOCKSY_ERROR_MAX]) {
	const char *path = jwt->key ? jwt->key : jwt->jwks;
	const char *option = jwt->key ? "key" : "jwks";
	struct reading_text text;
	if(reading_is_current(&jwt->stamp, AT_FDCWD, path)) {
		return true;
	}
	int result = reading_take(AT_FDCWD, path, KEYS_FILE_MAX, &text, &jwt->stamp);
	if(result) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s: %s: %s", option, path, strerror(-result));
		return false;
	}
	struct keys *keys = calloc(1, sizeof(*keys));
	const char *wrong = "cannot be read: out of memory";
	if(keys) {
		wrong = (jwt->key ? keys_read_one : keys_read_set)(keys, text.at, text.len);
	}
	explicit_bzero(text.at, text.len);
	free(text.at);
	if(wrong) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "%s: %s %s", option, path, wrong);
	} else {
		keys_free(&jwt->keys);
		jwt->keys = *keys;
		keys->count = 0;
	}
	if(keys) {
		keys_free(keys);
	}
	free(keys);
	return !wrong;
}

/* HMAC with a key that others know, or a signature with a secret, is a mistake. */
static int check_algorithms(const struct jwt *jwt, char error[WEBSOCKSY_ERROR_MAX]) {
	bool is_secret = !jwt->keys.entry[0].key.pubkey;
	for(size_t i = 0; jwt->key && i < jwt->rules.algorithms; i++) {
		const struct algorithm *algorithm = jwt->rules.algorithm[i];
		bool needs_secret = algorithm->mac != GNUTLS_MAC_UNKNOWN;
		if(needs_secret != is_secret) {
			snprintf(error, WEBSOCKSY_ERROR_MAX,
				"alg: %s needs a %s, but the file of the option key has a %s",
				algorithm->name, needs_secret ? "secret" : "public key",
				is_secret ? "secret" : "public key");
			return -EINVAL;
		}
	}
	return 0;
}

/* One of the algorithms has to fit, not all: the key may be replaced by one of another kind. */
static bool has_usable(const struct jwt *jwt) {
	for(size_t i = 0; i < jwt->rules.algorithms; i++) {
		for(size_t j = 0; j < jwt->keys.count; j++) {
			if(algorithm_fits(jwt->rules.algorithm[i], &jwt->keys.entry[j].key)) {
				return true;
			}
		}
	}
	return false;
}

static int jwt_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	struct jwt *jwt = state;
	if(!jwt->key == !jwt->jwks) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "key: either key or jwks is required");
		return -EINVAL;
	}
	if(jwt->rules.algorithms == 0) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "alg: is required: " ALGORITHM_NAMES);
		return -EINVAL;
	}
	if(!refresh_keys(jwt, error) || check_algorithms(jwt, error)) {
		return -EINVAL;
	}
	if(!has_usable(jwt)) {
		snprintf(error, WEBSOCKSY_ERROR_MAX,
			"alg: no key is one of these algorithms (RSA needs 2048 bits)");
		return -EINVAL;
	}
	const struct algorithm_key *key = &jwt->keys.entry[0].key;
	if(jwt->key && !key->pubkey && key->secret.size < SECRET_BYTES_MIN) {
		jwt->core->log(jwt->core, WEBSOCKSY_WARNING,
			"key: %s: the secret is shorter than 32 bytes and could be guessed",
			jwt->key);
	}
	jwt->rules.issuer = jwt->issuer;
	jwt->rules.audience = jwt->audience;
	return 0;
}

/* ---- queries ---- */

/* What a valid token says. */
struct grant {
	int64_t expires;
	char peer[TARGET_MAX];
	char session[SESSION_MAX]; /* "": none */
};

/* NULL, or static text for the client. `claims` has room for TOKEN_MAX bytes. */
static const char *read_token(
	struct jwt *jwt, const char *token, char *claims, struct grant *grant, int64_t now) {
	size_t len;
	const char *wrong = token_verify(&jwt->rules, &jwt->keys, token, claims, &len);
	if(wrong) {
		return wrong;
	}
	struct json_value object = json_read(claims, len);
	wrong = token_check_claims(&jwt->rules, object, now, &grant->expires);
	if(wrong) {
		return wrong;
	}
	if(!reply_to_peer(jwt->core, claims, len, grant->peer)) {
		return "The token has no valid host and port, and no valid peer.";
	}
	if(jwt->session &&
		!json_string(json_member(object, jwt->session), grant->session, SESSION_MAX)) {
		return "The token has no claim for the session.";
	}
	return NULL;
}

static void answer(const struct jwt *jwt, struct websocksy_query *query, const char *token,
	const struct grant *grant, int64_t now) {
	const char *peer = grant->peer;
	uint64_t left_ms = grant->expires ? (uint64_t)(grant->expires - now) * 1000 : UINT64_MAX;
	const struct websocksy_answer found = {
		.size = sizeof(found),
		.peer = &peer,
		.peers = 1,
		.expires = grant->expires,
		.session = grant->session[0] ? grant->session : NULL,
		.cache_key = jwt->ttl_ms > 0 ? token : NULL,
		.cache_ms = left_ms < jwt->ttl_ms ? left_ms : jwt->ttl_ms,
	};
	jwt->core->answer(query, &found);
}

static void jwt_query(void *state, struct websocksy_query *query) {
	struct jwt *jwt = state;
	struct grant grant = {.expires = 0};
	char claims[TOKEN_MAX];
	char error[WEBSOCKSY_ERROR_MAX];
	int64_t now = time(NULL);
	const char *token = jwt->core->find(query, jwt->from ? jwt->from : "query:token");
	if(!token || !token[0]) {
		jwt->core->refuse(query, 403, "The request has no token.");
		return;
	}
	if(jwt->ttl_ms > 0 && jwt->core->cached(query, token)) {
		return;
	}
	if(!refresh_keys(jwt, error)) {
		jwt->core->log(
			jwt->core, WEBSOCKSY_ERROR, "%s; the keys from before are used", error);
	}
	const char *wrong = read_token(jwt, token, claims, &grant, now);
	if(wrong) {
		jwt->core->refuse(query, 403, wrong);
		return;
	}
	answer(jwt, query, token, &grant, now);
}

static void jwt_close(void *state) {
	struct jwt *jwt = state;
	keys_free(&jwt->keys);
	free(jwt->from);
	free(jwt->key);
	free(jwt->jwks);
	free(jwt->issuer);
	free(jwt->audience);
	free(jwt->session);
	free(jwt);
}

static const struct websocksy_backend jwt_backend = {
	.size = sizeof(jwt_backend),
	.name = "jwt",
	.description = "Peers in signed JSON Web Tokens",
	.options = jwt_options,
	.flags = WEBSOCKSY_REMOTE,
	.open = jwt_open,
	.configure = jwt_configure,
	.check = jwt_check,
	.query = jwt_query,
	.close = jwt_close,
};

static const struct websocksy_backend *const jwt_backends[] = {&jwt_backend, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "jwt",
	.version = "1.0",
	.description = "Peers in signed JSON Web Tokens",
	.backends = jwt_backends,
};
