/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `jwt`: options, keys, all algorithms, claims, and tokens that are not valid.
 */
#include "plugins/backend_jwt.c"
#include "plugins/backend_jwt/algorithm.c"
#include "plugins/backend_jwt/base64url.c"
#include "plugins/backend_jwt/keys.c"
#include "plugins/backend_jwt/token.c"
#include "plugins/common/duration.c"
#include "plugins/common/json.c"
#include "plugins/common/json_steps.c"
#include "plugins/common/reading.c"
#include "plugins/common/reply.c"
#include "plugins/common/target.c"

#include "plugins/backend_bench.h"
#include "plugins/jwt_tokens.h"

#define TOKEN "query:token"
#define HS256 "{\"alg\":\"HS256\"}"
#define TARGET "\"host\":\"h\",\"port\":1"

/* ---- making tokens ---- */

static void encode(const char *text, size_t len, char *out) {
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	for(size_t bit = 0; bit < 8 * len; bit += 6) {
		unsigned value = 0;
		for(size_t i = bit; i < bit + 6; i++) {
			unsigned set = i < 8 * len ? (unsigned)(text[i / 8] >> (7 - i % 8)) & 1 : 0;
			value = value << 1 | set;
		}
		*out++ = digits[value];
	}
	*out = '\0';
}

/* A token with HS256 and OCT_SECRET; valid until the next call. */
static const char *make(const char *header, const char *claims) {
	static char token[8 * FAKE_TEXT];
	char mac[32];
	encode(header, strlen(header), token);
	strcat(token, ".");
	encode(claims, strlen(claims), token + strlen(token));
	assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, OCT_SECRET, strlen(OCT_SECRET), token,
				 strlen(token), mac),
		0);
	strcat(token, ".");
	encode(mac, sizeof(mac), token + strlen(token));
	return token;
}

/* ---- expectations ---- */

static void open_with(const char *kind, const char *content, const char *algorithm) {
	bench_write_text("key", content);
	bench_open();
	assert_int_equal(bench_set(kind, bench_path("key")), 0);
	assert_int_equal(bench_set("alg", algorithm), 0);
	bench.error[0] = '\0';
	int result = bench_check();
	assert_string_equal(bench.error, "");
	assert_int_equal(result, 0);
}

static void open_secret(void) {
	open_with("key", OCT_SECRET, "HS256");
}

static void expect_valid(const char *token) {
	bench_expect_peer(TOKEN, token, "tcp://h:1");
}

static void expect_refused(const char *token, const char *text) {
	struct fake_query query;
	bench_query(&query, TOKEN, token);
	assert_string_equal(query.text, text);
	assert_int_equal(query.state, FAKE_REFUSED);
	assert_int_equal(query.status, 403);
}

/* ---- options ---- */

static void expect_error(const char *text) {
	assert_int_equal(bench_check(), -EINVAL);
	if(!strstr(bench.error, text)) {
		fail_msg("\"%s\" is not in \"%s\"", text, bench.error);
	}
	bench_close();
}

static void expect_key_error(const char *content, const char *algorithm, const char *text) {
	bench_write_text("key", content);
	bench_open();
	assert_int_equal(bench_set("key", bench_path("key")), 0);
	assert_int_equal(bench_set("alg", algorithm), 0);
	expect_error(text);
}

static void test_options(void **unused) {
	(void)unused;
	static const char *const wrong[] = {"none", "HS1", "", "hs256", "ES256K", "RSA-OAEP"};
	bench_open();
	for(size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(bench_set("alg", wrong[i]), -EINVAL);
		assert_non_null(strstr(bench.error, "must be one of HS256"));
	}
	assert_int_equal(bench_set("from", "nonsense"), -EINVAL);
	assert_int_equal(bench_set("issuer", ""), -EINVAL);
	assert_int_equal(bench_set("leeway", "soon"), -EINVAL);
	assert_int_equal(bench_set("leeway", "30s"), 0);
	assert_int_equal(bench_set("ttl", "-1"), -EINVAL);
	expect_error("key: either key or jwks is required");
	bench_write_text("key", OCT_SECRET);
	bench_open();
	assert_int_equal(bench_set("key", bench_path("key")), 0);
	expect_error("alg: is required");
	bench_open();
	assert_int_equal(bench_set("key", bench_path("key")), 0);
	assert_int_equal(bench_set("jwks", bench_path("key")), 0);
	expect_error("key: either key or jwks");
	bench_open();
	assert_int_equal(bench_set("key", bench_path("missing")), 0);
	assert_int_equal(bench_set("alg", "HS256"), 0);
	for(unsigned i = 0; i < 40; i++) {
		assert_int_equal(bench_set("alg", i % 2 ? "HS256" : "HS384"), 0);
	}
	expect_error("missing: No such file");
}

static void test_wrong_keys(void **unused) {
	(void)unused;
	expect_key_error(RSA_PEM, "HS256", "alg: HS256 needs a secret");
	expect_key_error(P256_CERTIFICATE, "HS512", "alg: HS512 needs a secret");
	expect_key_error(OCT_SECRET, "RS256", "alg: RS256 needs a public key");
	expect_key_error(OCT_SECRET, "EdDSA", "alg: EdDSA needs a public key");
	expect_key_error(RSA_PEM, "ES256", "alg: no key is one of these algorithms");
	expect_key_error(P384_PEM, "ES256", "alg: no key is one of these algorithms");
	expect_key_error(SMALL_RSA_PEM, "RS256", "RSA needs 2048 bits");
	expect_key_error("", "HS256", "must not be empty");
	expect_key_error("\n", "HS256", "must not be empty");
	expect_key_error("{\"keys\": []}", "HS256", "must not be JSON");
	expect_key_error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "RS256",
		"must be a public key");
	expect_key_error("-----BEGIN CERTIFICATE-----\nAAAA\n", "RS256", "must be a public key");
}

static void expect_set_error(const char *content, const char *text) {
	bench_write_text("key", content);
	bench_open();
	assert_int_equal(bench_set("jwks", bench_path("key")), 0);
	assert_int_equal(bench_set("alg", "ES256"), 0);
	expect_error(text);
}

static void test_wrong_sets(void **unused) {
	(void)unused;
	char many[4096] = "{\"keys\":[";
	expect_set_error("", "must be a JSON object");
	expect_set_error("[]", "must be a JSON object");
	expect_set_error("{\"keys\":{}}", "must be a JSON object");
	expect_set_error("{\"keys\":[" P256_JWK, "must be a JSON object");
	expect_set_error("{\"keys\":[]}", "must have a usable key");
	expect_set_error("{\"keys\":[1,{},{\"kty\":\"EC\"},{\"kty\":\"oct\",\"k\":\"\"},"
			 "{\"kty\":\"oct\",\"k\":\"!\"},{\"kty\":\"RSA\",\"n\":\"AQ\"},"
			 "{\"kty\":\"EC\",\"crv\":\"P-1\",\"x\":\"AQ\",\"y\":\"AQ\"},"
			 "{\"kty\":\"oct\",\"k\":\"AQ\",\"use\":\"enc\"},"
			 "{\"kty\":\"oct\",\"k\":\"AQ\",\"kid\":7}]}",
		"must have a usable key");
	for(unsigned i = 0; i <= KEYS_MAX; i++) {
		strcat(many, i ? "," : "");
		strcat(many, "{\"kty\":\"oct\",\"k\":\"AQ\"}");
	}
	strcat(many, "]}");
	expect_set_error(many, "more than 32 keys");
	expect_set_error("{\"keys\":[" RSA_JWK "]}", "no key is one of these algorithms");
}

/* ---- algorithms ---- */

static const struct {
	const char *algorithm;
	const char *pem;
	const char *jwk;
	const char *token;
} signatures[] = {
	{"RS256", RSA_PEM, RSA_JWK, RSA_RS256_TOKEN},
	{"RS384", RSA_PEM, RSA_JWK, RSA_RS384_TOKEN},
	{"RS512", RSA_PEM, RSA_JWK, RSA_RS512_TOKEN},
	{"PS256", RSA_PEM, RSA_JWK, RSA_PS256_TOKEN},
	{"PS384", RSA_PEM, RSA_JWK, RSA_PS384_TOKEN},
	{"PS512", RSA_PEM, RSA_JWK, RSA_PS512_TOKEN},
	{"ES256", P256_PEM, P256_JWK, P256_ES256_TOKEN},
	{"ES256", P256_CERTIFICATE, P256_JWK, P256_ES256_TOKEN},
	{"ES384", P384_PEM, P384_JWK, P384_ES384_TOKEN},
	{"ES512", P521_PEM, P521_JWK, P521_ES512_TOKEN},
	{"EdDSA", ED25519_PEM, ED25519_JWK, ED25519_EDDSA_TOKEN},
	{"EdDSA", ED448_PEM, ED448_JWK, ED448_EDDSA_TOKEN},
	{"HS256", OCT_SECRET "\n",
		"{\"kty\":\"oct\",\"k\":"
		"\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}",
		OCT_HS256_TOKEN},
	{"HS384", OCT_SECRET,
		"{\"kty\":\"oct\",\"k\":"
		"\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}",
		OCT_HS384_TOKEN},
	{"HS512", OCT_SECRET,
		"{\"kty\":\"oct\",\"k\":"
		"\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}",
		OCT_HS512_TOKEN},
};

/* Each token with its own key, and with no other algorithm than the one that is configured. */
static void test_algorithms(void **unused) {
	(void)unused;
	char set[4096];
	for(size_t i = 0; i < COUNT(signatures); i++) {
		open_with("key", signatures[i].pem, signatures[i].algorithm);
		for(size_t j = 0; j < COUNT(signatures); j++) {
			bool same = !strcmp(signatures[i].token, signatures[j].token);
			if(same) {
				expect_valid(signatures[j].token);
			} else {
				bench_expect_status(TOKEN, signatures[j].token, 403);
			}
		}
		bench_close();
		snprintf(set, sizeof(set), "{\"keys\":[{\"kty\":\"x\"},%s]}", signatures[i].jwk);
		open_with("jwks", set, signatures[i].algorithm);
		expect_valid(signatures[i].token);
		bench_close();
	}
}

static void test_set_of_all(void **unused) {
	(void)unused;
	open_with("jwks",
		"{\"keys\":[" RSA_JWK "," P256_JWK "," P384_JWK "," P521_JWK "," ED25519_JWK
		"," ED448_JWK "," OCT_JWK "]}",
		"HS256");
	for(size_t i = 0; i < COUNT(signatures); i++) {
		assert_int_equal(bench_set("alg", signatures[i].algorithm), 0);
	}
	for(size_t i = 0; i < COUNT(signatures); i++) {
		bool other = !strcmp(signatures[i].algorithm, "HS384") ||
			!strcmp(signatures[i].algorithm, "HS512");
		/* The key has "alg": "HS256". */
		bench_expect_status(TOKEN, other ? signatures[i].token : "x", 403);
		if(!other) {
			expect_valid(signatures[i].token);
		}
	}
	expect_valid(make("{\"alg\":\"HS256\",\"kid\":\"oct\"}", "{" TARGET "}"));
	expect_refused(make("{\"alg\":\"HS256\",\"kid\":\"other\"}", "{" TARGET "}"),
		"The signature of the token is invalid.");
	bench_close();
}

static void test_attacks(void **unused) {
	(void)unused;
	open_with("key", RSA_PEM, "RS256");
	expect_refused(CONFUSED_TOKEN, "The algorithm of the token is not allowed.");
	expect_refused(OCT_HS256_TOKEN, "The algorithm of the token is not allowed.");
	expect_refused(SMALL_RSA_TOKEN, "The signature of the token is invalid.");
	bench_close();
	/* A set with both kinds: the secret is not the public key. */
	open_with("jwks", "{\"keys\":[" RSA_JWK "," OCT_JWK "]}", "RS256");
	assert_int_equal(bench_set("alg", "HS256"), 0);
	expect_refused(CONFUSED_TOKEN, "The signature of the token is invalid.");
	bench_close();
	open_secret();
	/* {"alg":"none"}, {"alg":"None"}, without a signature and with one */
	expect_refused("eyJhbGciOiJub25lIn0.eyJob3N0IjoiaCIsInBvcnQiOjF9.",
		"The algorithm of the token is not allowed.");
	expect_refused(make("{\"alg\":\"none\"}", "{" TARGET "}"),
		"The algorithm of the token is not allowed.");
	expect_refused(make("{\"alg\":\"hs256\"}", "{" TARGET "}"),
		"The algorithm of the token is not allowed.");
	expect_refused(make("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{" TARGET "}"),
		"The token is invalid.");
	expect_refused(make("{\"alg\":[\"HS256\"]}", "{" TARGET "}"), "The token is invalid.");
	expect_refused(make("{}", "{" TARGET "}"), "The token is invalid.");
	expect_refused(
		make("{\"alg\":\"HS256\",\"kid\":1}", "{" TARGET "}"), "The token is invalid.");
	/* A key in the header is not used. */
	expect_refused(make("{\"alg\":\"RS256\",\"jwk\":" RSA_JWK "}", "{" TARGET "}"),
		"The algorithm of the token is not allowed.");
	bench_close();
}

static void test_encrypted_tokens(void **unused) {
	(void)unused;
	open_secret();
	expect_refused("a.b.c.d.e", "Encrypted tokens (JWE) are not supported.");
	expect_refused("....", "Encrypted tokens (JWE) are not supported.");
	expect_refused(make("{\"alg\":\"dir\",\"enc\":\"A128GCM\"}", "{}"),
		"Encrypted tokens (JWE) are not supported.");
	bench_close();
}

/* ---- claims ---- */

static void expect_claims(const char *claims, const char *expected) {
	struct fake_query query;
	char text[2 * FAKE_TEXT];
	snprintf(text, sizeof(text), "{%s}", claims);
	bench_query(&query, TOKEN, make(HS256, text));
	assert_string_equal(query.text, expected);
	assert_true(query.state == FAKE_ANSWERED || query.status == 403);
}

static void test_targets(void **unused) {
	(void)unused;
	static const char wrong[] = "The token has no valid host and port, and no valid peer.";
	open_secret();
	expect_claims("\"host\":\"db\",\"port\":5432", "tcp://db:5432");
	expect_claims("\"host\":\"db\",\"port\":\"5432\"", "tcp://db:5432");
	expect_claims("\"host\":\"::1\",\"port\":1", "tcp://[::1]:1");
	expect_claims("\"peer\":\"tls://db:5432\"", "tls://db:5432");
	expect_claims("", wrong);
	expect_claims("\"host\":\"db\"", wrong);
	expect_claims("\"port\":5", wrong);
	expect_claims("\"host\":\"db\",\"port\":0", wrong);
	expect_claims("\"host\":\"db\",\"port\":65536", wrong);
	expect_claims("\"host\":\"db\",\"port\":true", wrong);
	expect_claims("\"host\":\"a?b\",\"port\":1", wrong);
	expect_claims("\"host\":[\"a\"],\"port\":1", wrong);
	expect_claims("\"peer\":\"\"", wrong);
	bench_close();
}

static void expect_times(int64_t exp, int64_t nbf, const char *expected, int64_t expires) {
	char text[256];
	struct fake_query query;
	snprintf(text, sizeof(text), "{" TARGET ",\"exp\":%lld.5,\"nbf\":%lld}", (long long)exp,
		(long long)nbf);
	bench_query(&query, TOKEN, make(HS256, text));
	assert_string_equal(query.text, expected);
	if(query.state == FAKE_ANSWERED) {
		assert_int_equal(query.answer.expires, expires);
	}
}

static void test_times(void **unused) {
	(void)unused;
	int64_t now = time(NULL);
	open_secret();
	expect_times(now + 100, now, "tcp://h:1", now + 100);
	expect_times(now, now, "The token has expired.", 0);
	expect_times(now - 100, 0, "The token has expired.", 0);
	expect_times(-5, 0, "The token has expired.", 0);
	expect_times(now + 1000, now + 100, "The token is not valid yet.", 0);
	assert_int_equal(bench_set("leeway", "5m"), 0);
	expect_times(now - 100, now + 100, "tcp://h:1", now + 200);
	expect_times(now - 301, 0, "The token has expired.", 0);
	expect_claims(TARGET ",\"exp\":\"1\"", "The token is invalid.");
	expect_claims(TARGET ",\"exp\":null", "The token is invalid.");
	expect_claims(TARGET ",\"exp\":1e99", "The token is invalid.");
	expect_claims(TARGET ",\"nbf\":[]", "The token is invalid.");
	struct fake_query query;
	bench_query(&query, TOKEN, make(HS256, "{" TARGET "}"));
	assert_int_equal(query.answer.expires, 0);
	bench_close();
}

static void test_issuer_and_audience(void **unused) {
	(void)unused;
	static const char other[] = "The token is not for this service.";
	static const char issuer[] = "The issuer of the token is not accepted.";
	bench_write_text("key", OCT_SECRET);
	bench_open();
	assert_int_equal(bench_set("key", bench_path("key")), 0);
	assert_int_equal(bench_set("alg", "HS256"), 0);
	assert_int_equal(bench_set("issuer", "me"), 0);
	assert_int_equal(bench_set("audience", "vnc"), 0);
	assert_int_equal(bench_check(), 0);
	expect_claims(TARGET ",\"iss\":\"me\",\"aud\":\"vnc\"", "tcp://h:1");
	expect_claims(TARGET ",\"iss\":\"me\",\"aud\":[1,\"x\",\"vnc\"]", "tcp://h:1");
	expect_claims(TARGET ",\"iss\":\"me\",\"aud\":[]", other);
	expect_claims(TARGET ",\"iss\":\"me\",\"aud\":[\"x\",[\"vnc\"]]", other);
	expect_claims(TARGET ",\"iss\":\"me\",\"aud\":\"vnc2\"", other);
	expect_claims(TARGET ",\"iss\":\"me\"", other);
	expect_claims(TARGET ",\"iss\":\"you\",\"aud\":\"vnc\"", issuer);
	expect_claims(TARGET ",\"iss\":[\"me\"],\"aud\":\"vnc\"", issuer);
	expect_claims(TARGET ",\"aud\":\"vnc\"", issuer);
	bench_close();
}

static void test_session_and_cache(void **unused) {
	(void)unused;
	char text[256];
	struct fake_query query;
	open_secret();
	assert_int_equal(bench_set("session", "sub"), 0);
	assert_int_equal(bench_set("ttl", "1h"), 0);
	snprintf(text, sizeof(text), "{" TARGET ",\"sub\":\"u7\",\"exp\":%lld}",
		(long long)time(NULL) + 60);
	bench_query(&query, TOKEN, make(HS256, text));
	assert_string_equal(query.session, "u7");
	assert_true(query.answer.cache_ms <= 60000 && query.answer.cache_ms > 0);
	assert_string_equal(query.cache_key, make(HS256, text));
	bench_query(&query, TOKEN, make(HS256, "{" TARGET ",\"sub\":\"u7\"}"));
	assert_int_equal(query.answer.cache_ms, 3600000);
	expect_claims(TARGET, "The token has no claim for the session.");
	bench_close();
}

static void test_requests_without_token(void **unused) {
	(void)unused;
	open_secret();
	expect_refused(NULL, "The request has no token.");
	expect_refused("", "The request has no token.");
	assert_int_equal(bench_set("from", "bearer"), 0);
	expect_refused(OCT_HS256_TOKEN, "The request has no token.");
	bench_expect_peer("bearer", OCT_HS256_TOKEN, "tcp://h:1");
	bench_close();
}

/* ---- files that change ---- */

static void test_new_keys(void **unused) {
	(void)unused;
	open_with("jwks", "{\"keys\":[" P256_JWK "]}", "ES256");
	assert_int_equal(bench_set("alg", "RS256"), 0);
	bench_expect_status(TOKEN, RSA_RS256_TOKEN, 403);
	bench_write_text("key", "{\"keys\":[" RSA_JWK "]}");
	expect_valid(RSA_RS256_TOKEN);
	bench_expect_status(TOKEN, P256_ES256_TOKEN, 403);
	bench_write_text("key", "{\"keys\":[");
	expect_valid(RSA_RS256_TOKEN);
	assert_non_null(strstr(FAKE.log, "the keys from before are used"));
	assert_int_equal(remove(bench_path("key")), 0);
	expect_valid(RSA_RS256_TOKEN);
	bench_close();
}

static void test_short_secret_is_reported(void **unused) {
	(void)unused;
	open_with("key", "short\n", "HS256");
	assert_non_null(strstr(FAKE.log, "shorter than 32 bytes"));
	assert_null(strstr(FAKE.log, "short\n"));
	bench_close();
	open_secret();
	assert_string_equal(FAKE.log, "");
	bench_close();
}

/* ---- every byte ---- */

/* No prefix, and no text with another byte, is valid. */
static void expect_only_valid(const char *kind, const char *key, const char *algorithm,
	const char *token, unsigned step) {
	char changed[2 * FAKE_TEXT];
	size_t len = strlen(token);
	open_with(kind, key, algorithm);
	expect_valid(token);
	for(size_t i = 0; i < len; i++) {
		snprintf(changed, i + 1, "%s", token);
		bench_expect_status(TOKEN, changed, 403);
		FAKE.log[0] = '\0';
	}
	for(size_t i = 0; i < len; i++) {
		for(unsigned byte = 1; byte < 256; byte += step) {
			snprintf(changed, sizeof(changed), "%s", token);
			changed[i] = (char)((unsigned char)changed[i] ^ byte);
			bench_expect_status(TOKEN, changed, 403);
			FAKE.log[0] = '\0';
		}
	}
	snprintf(changed, sizeof(changed), "%s=", token);
	bench_expect_status(TOKEN, changed, 403);
	snprintf(changed, sizeof(changed), "%s.", token);
	bench_expect_status(TOKEN, changed, 403);
	bench_close();
}

static void test_every_byte(void **unused) {
	(void)unused;
	expect_only_valid("key", OCT_SECRET, "HS256", OCT_HS256_TOKEN, 1);
	expect_only_valid("key", P256_PEM, "ES256", P256_ES256_TOKEN, 85);
	expect_only_valid("key", ED25519_PEM, "EdDSA", ED25519_EDDSA_TOKEN, 85);
	expect_only_valid("key", RSA_PEM, "RS256", RSA_RS256_TOKEN, 85);
}

static void test_every_byte_of_keys(void **unused) {
	(void)unused;
	static const char *const sets[] = {
		"{\"keys\":[" P256_JWK "]}", "{\"keys\":[" ED25519_JWK "]}"};
	struct keys keys;
	for(size_t i = 0; i < COUNT(sets); i++) {
		size_t len = strlen(sets[i]);
		for(size_t at = 0; at < 8 * len; at++) {
			char *changed = strdup(sets[i]);
			changed[at / 8] = (char)(changed[at / 8] ^ 1 << at % 8);
			keys.count = 0;
			(void)!keys_read_set(&keys, changed, len);
			keys_free(&keys);
			(void)!keys_read_set(&keys, sets[i], at / 8);
			keys_free(&keys);
			free(changed);
		}
	}
	for(size_t at = 0; at < 8 * strlen(P256_PEM); at += 3) {
		char changed[] = P256_PEM;
		changed[at / 8] = (char)(changed[at / 8] ^ 1 << at % 8);
		(void)!keys_read_one(&keys, changed, strlen(P256_PEM));
		keys_free(&keys);
	}
}

static void test_long_tokens(void **unused) {
	(void)unused;
	char *token = malloc(TOKEN_MAX + 2);
	open_secret();
	memset(token, 'A', TOKEN_MAX + 1);
	token[TOKEN_MAX + 1] = '\0';
	expect_refused(token, "The token is too long.");
	token[TOKEN_MAX] = '\0';
	expect_refused(token, "The token is invalid.");
	token[10] = token[20] = '.';
	expect_refused(token, "The token is invalid.");
	free(token);
	bench_close();
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, bench_make_root, bench_remove_root)

int main(void) {
	const struct CMUnitTest tests[] = {
		WITH_ROOT(test_options),
		WITH_ROOT(test_wrong_keys),
		WITH_ROOT(test_wrong_sets),
		WITH_ROOT(test_algorithms),
		WITH_ROOT(test_set_of_all),
		WITH_ROOT(test_attacks),
		WITH_ROOT(test_encrypted_tokens),
		WITH_ROOT(test_targets),
		WITH_ROOT(test_times),
		WITH_ROOT(test_issuer_and_audience),
		WITH_ROOT(test_session_and_cache),
		WITH_ROOT(test_requests_without_token),
		WITH_ROOT(test_new_keys),
		WITH_ROOT(test_short_secret_is_reported),
		WITH_ROOT(test_every_byte),
		WITH_ROOT(test_every_byte_of_keys),
		WITH_ROOT(test_long_tokens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
