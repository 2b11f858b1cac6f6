/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Header fields of a connection's responses.
 *
 * Must not know: how a response is made or sent.
 * Invariants: a login cookie follows a verified password only, never another cookie, so that its
 * lifetime has an end.
 * Implements RFC 6797 section 7.1.
 */
#include "bridge/response_fields.h"

#include "bridge/handshake_state.h"
#include "network/tls_stream.h"

#include <inttypes.h>
#include <stdio.h>

/* Plain HTTP must not have it (RFC 6797, 7.2). */
static size_t write_hsts(const struct connection *c, char *out, size_t cap) {
	uint64_t age_ms = c->env->settings->hsts_ms;
	if(age_ms == 0 || !tls_stream_is_active(&c->client)) {
		return 0;
	}
	int len = snprintf(
		out, cap, "Strict-Transport-Security: max-age=%" PRIu64 "\r\n", age_ms / 1000);
	return len > 0 && (size_t)len < cap ? (size_t)len : 0;
}

/* Upgrades need none: they are what it is for. */
static size_t write_cookie(const struct connection *c, char out[LOGIN_COOKIE_FIELD]) {
	const struct connection_env *env = c->env;
	const struct handshake *h = c->handshake;
	char name[LOGIN_COOKIE_NAME];
	const struct passwords *users = verifier_get_passwords(env->auth);
	if(env->settings->auth_cookie_ms == 0 || !users || !h->granted || h->upgrade) {
		return 0;
	}
	login_cookie_name(env->settings->port, name);
	const struct login_cookies cookies = {
		.key = verifier_cookie_key(env->auth), .users = users, .now_ms = env->loop->now_ms};
	return login_cookie_format(
		&cookies, name, h->user, env->settings->auth_cookie_ms, h->https, out);
}

size_t response_fields_write(const struct connection *c, char out[RESPONSE_FIELDS_MAX]) {
	const struct settings *settings = c->env->settings;
	if(settings->hsts_ms == 0 && settings->auth_cookie_ms == 0) {
		return 0;
	}
	size_t len = write_hsts(c, out, RESPONSE_FIELDS_MAX - LOGIN_COOKIE_FIELD);
	return len + write_cookie(c, out + len);
}
