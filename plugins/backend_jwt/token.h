/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signed JSON Web Tokens (RFC 7515, RFC 7519): the signature and the claims about their validity.
 */
#ifndef WEBSOCKSY_PLUGIN_JWT_TOKEN_H
#define WEBSOCKSY_PLUGIN_JWT_TOKEN_H
#include "plugins/backend_jwt/keys.h"
#include "plugins/common/json.h"

#include <stdint.h>

#define TOKEN_MAX 16384 /* characters of a token */
#define TOKEN_ALGORITHMS_MAX 13
#define TOKEN_ENCRYPTED "Encrypted tokens (JWE) are not supported."

/* Which tokens are valid. */
struct token_rules {
	const struct algorithm *algorithm[TOKEN_ALGORITHMS_MAX];
	size_t algorithms;
	const char *issuer; /* NULL: any */
	const char *audience; /* NULL: any */
	int64_t leeway; /* seconds */
};

/*
 * Verifies the form and the signature. Writes the claims, a JSON object with a NUL behind it, to
 * `claims` of at least TOKEN_MAX bytes. NULL, or static text about the error for the client.
 */
const char *token_verify(const struct token_rules *rules, const struct keys *keys,
	const char *token, char *claims, size_t *len);

/*
 * Checks exp, nbf, iss and aud at the Unix time `now`. NULL and the time at which the token ends, 0:
 * never; or static text about the error for the client.
 */
const char *token_check_claims(
	const struct token_rules *rules, struct json_value claims, int64_t now, int64_t *expires);
#endif
