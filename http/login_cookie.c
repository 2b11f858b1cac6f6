/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Login cookies: "USER.EXPIRY.SIGNATURE", with user and signature in base64.
 *
 * Must not know: requests, connections, the clock (callers pass the time).
 * Invariants: the signature covers the user, the expiry and the hash of the user's password, so
 * that a cookie ends with any of them; signatures are compared in constant time.
 * Implements RFC 6265 section 4.1, RFC 2104.
 */
#include "http/login_cookie.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>

#define SIGNATURE BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE)
#define EXPIRY_DIGITS 16

void login_cookie_name(uint16_t port, char out[LOGIN_COOKIE_NAME]) {
	snprintf(out, LOGIN_COOKIE_NAME, "websocksy-login-%u", port);
}

/* All parts but the user have a fixed length. False: there is no such user. */
static bool make_signature(const struct login_cookies *cookies, const char *user, uint64_t until_ms,
	char out[SIGNATURE]) {
	uint64_t fixed[2] = {until_ms, passwords_fingerprint(cookies->users, user)};
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct hmac_sha256_ctx hmac;
	hmac_sha256_set_key(&hmac, LOGIN_COOKIE_KEY, cookies->key);
	hmac_sha256_update(&hmac, sizeof(fixed), (const uint8_t *)fixed);
	hmac_sha256_update(&hmac, strlen(user), (const uint8_t *)user);
	hmac_sha256_digest(&hmac, sizeof(digest), digest);
	base64_encode_raw(out, sizeof(digest), digest);
	explicit_bzero(&hmac, sizeof(hmac));
	return fixed[1] != 0;
}

size_t login_cookie_format(const struct login_cookies *cookies, const char *name, const char *user,
	uint64_t life_ms, bool secure, char out[LOGIN_COOKIE_FIELD]) {
	char text[BASE64_ENCODE_RAW_LENGTH(BASIC_USER_MAX) + 1] = "";
	char signature[SIGNATURE];
	uint64_t until_ms = cookies->now_ms + life_ms;
	if(!make_signature(cookies, user, until_ms, signature)) {
		return 0;
	}
	base64_encode_raw(text, strlen(user), (const uint8_t *)user);
	int len = snprintf(out, LOGIN_COOKIE_FIELD,
		"Set-Cookie: %s=%s.%" PRIu64 ".%.*s; Path=/; Max-Age=%" PRIu64
		"; HttpOnly; SameSite=Strict%s\r\n",
		name, text, until_ms, (int)SIGNATURE, signature, (life_ms + 999) / 1000,
		secure ? "; Secure" : "");
	return len > 0 && len < LOGIN_COOKIE_FIELD ? (size_t)len : 0;
}

/* The first part of the value up to a dot. False: there is none. */
static bool take_part(struct slice *rest, struct slice *part) {
	const char *dot = memchr(rest->at, '.', rest->len);
	if(!dot) {
		return false;
	}
	*part = (struct slice){.at = rest->at, .len = (size_t)(dot - rest->at)};
	rest->at += part->len + 1;
	rest->len -= part->len + 1;
	return true;
}

static bool decode_user(struct slice part, char user[BASIC_USER_MAX + 1]) {
	uint8_t text[BASE64_DECODE_LENGTH(BASE64_ENCODE_RAW_LENGTH(BASIC_USER_MAX))];
	size_t len = sizeof(text);
	struct base64_decode_ctx ctx;
	base64_decode_init(&ctx);
	if(part.len > BASE64_ENCODE_RAW_LENGTH(BASIC_USER_MAX) ||
		!base64_decode_update(&ctx, &len, text, part.len, part.at) ||
		!base64_decode_final(&ctx) || len > BASIC_USER_MAX || memchr(text, 0, len)) {
		return false;
	}
	memcpy(user, text, len);
	user[len] = '\0';
	return true;
}

static bool read_expiry(struct slice part, uint64_t *until_ms) {
	*until_ms = 0;
	for(size_t i = 0; i < part.len; i++) {
		if(!text_is_digit(part.at[i])) {
			return false;
		}
		*until_ms = *until_ms * 10 + (uint64_t)(part.at[i] - '0');
	}
	return part.len > 0 && part.len <= EXPIRY_DIGITS;
}

static bool check_value(
	const struct login_cookies *cookies, struct slice value, char user[BASIC_USER_MAX + 1]) {
	struct slice part;
	char signature[SIGNATURE];
	uint64_t until_ms;
	return take_part(&value, &part) && decode_user(part, user) && take_part(&value, &part) &&
		read_expiry(part, &until_ms) && value.len == SIGNATURE &&
		make_signature(cookies, user, until_ms, signature) &&
		memeql_sec(signature, value.at, SIGNATURE) && until_ms > cookies->now_ms;
}

/* Takes a pair off the front of a Cookie field (RFC 6265, 4.2.1). False: the end. */
static bool next_pair(struct slice *rest, struct slice *pair) {
	while(rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t' || rest->at[0] == ';')) {
		rest->at++;
		rest->len--;
	}
	const char *end = rest->len > 0 ? memchr(rest->at, ';', rest->len) : NULL;
	*pair = *rest;
	pair->len = end ? (size_t)(end - rest->at) : rest->len;
	rest->at += pair->len;
	rest->len -= pair->len;
	return pair->len > 0;
}

static bool has_name(struct slice pair, const char *name) {
	size_t len = strlen(name);
	return pair.len > len && memcmp(pair.at, name, len) == 0 && pair.at[len] == '=';
}

bool login_cookie_check(const struct login_cookies *cookies, struct slice field, const char *name,
	char user[BASIC_USER_MAX + 1]) {
	struct slice pair;
	while(next_pair(&field, &pair)) {
		if(has_name(pair, name)) {
			pair.at += strlen(name) + 1;
			pair.len -= strlen(name) + 1;
			return check_value(cookies, pair, user);
		}
	}
	return false;
}

size_t login_cookie_strip(struct slice field, const char *name, char *out) {
	struct slice pair;
	size_t len = 0;
	while(next_pair(&field, &pair)) {
		if(has_name(pair, name)) {
			continue;
		}
		if(len > 0) {
			out[len++] = ';';
			out[len++] = ' ';
		}
		memcpy(out + len, pair.at, pair.len);
		len += pair.len;
	}
	return len;
}
