/* SPDX-License-Identifier: BSD-2-Clause
 *
 * origin.c: patterns and what they match, each value in memory that ends at an unreadable page.
 */
#include "support.h"

#include "http/origin.h"

#include <errno.h>

static const struct {
	const char *pattern;
	const char *value;
	bool match;
} cases[] = {
	/* Exact: scheme, host, port. */
	{"https://example.com", "https://example.com", true},
	{"https://example.com", "https://EXAMPLE.com", true},
	{"HTTPS://Example.COM", "https://example.com", true},
	{"https://example.com", "HTTPS://example.com", true},
	{"https://example.com", "https://example.com:443", true},
	{"https://example.com:443", "https://example.com", true},
	{"http://example.com", "http://example.com:80", true},
	{"http://example.com:8001", "http://example.com:8001", true},
	{"ws://example.com", "ws://example.com:80", true},
	{"wss://example.com:443", "wss://example.com", true},
	{"https://example.com", "http://example.com", false},
	{"http://example.com", "https://example.com", false},
	{"http://example.com", "ws://example.com", false},
	{"https://example.com", "wss://example.com", false},
	{"http://example.com:443", "https://example.com", false},
	{"https://example.com", "https://example.com:80", false},
	{"https://example.com", "https://example.com:4430", false},
	{"https://example.com:8443", "https://example.com", false},
	{"http://example.com:8001", "http://example.com:80", false},
	{"http://example.com:8001", "http://example.com:8002", false},
	{"https://example.com", "https://www.example.com", false},
	{"https://example.com", "https://evilexample.com", false},
	{"https://example.com", "https://example.com.evil.net", false},
	{"https://example.com", "https://example.co", false},
	{"https://example.com", "https://example.comm", false},
	{"https://example.com", "https://example.com.", false},
	{"https://example.com.", "https://example.com.", true},
	{"https://example.com", "https://example-com", false},
	{"https://xn--bcher-kva.example", "https://XN--bcher-kva.example", true},
	/* Paths, user names, values that are not origins. */
	{"https://example.com", "https://example.com/", false},
	{"https://example.com", "https://example.com/x", false},
	{"https://example.com", "https://example.com?x", false},
	{"https://example.com", "https://example.com#x", false},
	{"https://example.com", "https://example.com ", false},
	{"https://example.com", " https://example.com", false},
	{"https://example.com", "https://example.com\t", false},
	{"https://example.com", "https://example.com https://evil.net", false},
	{"https://example.com", "https://evil.net https://example.com", false},
	{"https://example.com", "https://example.com,https://evil.net", false},
	{"https://example.com", "https://example.com@evil.net", false},
	{"https://example.com", "https://evil.net@example.com", false},
	{"https://example.com", "https://user:pass@example.com", false},
	{"https://example.com", "https://example.com:443@evil.net", false},
	{"https://example.com", "https://@example.com", false},
	{"https://example.com", "https://example.com\\@evil.net", false},
	{"https://example.com", "https://example.com:", false},
	{"https://example.com", "https://example.com:x", false},
	{"https://example.com", "https://example.com:443x", false},
	{"https://example.com", "https://example.com:0", false},
	{"https://example.com", "https://example.com:65979", false}, /* 443 modulo 65536 */
	{"https://example.com", "https://example.com:4294967739", false}, /* 443 modulo 2^32 */
	{"https://example.com", "https://example.com:-443", false},
	{"https://example.com", "https://example.com:443:443", false},
	{"https://example.com", "https:example.com", false},
	{"https://example.com", "https:/example.com", false},
	{"https://example.com", "https:///example.com", false},
	{"https://example.com", "//example.com", false},
	{"https://example.com", "example.com", false},
	{"https://example.com", "https://", false},
	{"https://example.com", "https", false},
	{"https://example.com", "", false},
	{"https://example.com", "null", false},
	{"https://example.com", "same", false},
	{"https://example.com", "https://ex%61mple.com", false},
	{"https://example.com", "https://example..com", false},
	{"https://example.com", "https://.example.com", false},
	{"https://example.com", "https://*.example.com", false},
	{"https://example.com", "https://*", false},
	{"https://example.com", "*", false},
	/* Addresses. */
	{"http://127.0.0.1:8001", "http://127.0.0.1:8001", true},
	{"http://127.0.0.1", "http://127.0.0.10", false},
	{"http://127.0.0.1", "http://1127.0.0.1", false},
	{"http://[::1]", "http://[::1]", true},
	{"http://[::1]", "http://[::1]:80", true},
	{"http://[::1]:8001", "http://[::1]:8001", true},
	{"http://[::1]", "http://[0:0:0:0:0:0:0:1]", true},
	{"http://[2001:DB8::A]", "http://[2001:db8::a]", true},
	{"http://[::1]", "http://[::2]", false},
	{"http://[::1]", "http://[::1]:8001", false},
	{"http://[::1]", "http://[::1", false},
	{"http://[::1]", "http://::1", false},
	{"http://[::1]", "http://[::1]x", false},
	{"http://[::1]", "http://[::1]:80x", false},
	{"http://[::1]", "http://[::1%25lo]", false},
	{"http://[::1]", "http://[]", false},
	{"http://[::1]", "http://localhost", false},
	/* Subdomains: on the border of a label, not the name itself. */
	{"https://*.example.com", "https://www.example.com", true},
	{"https://*.example.com", "https://a.b.example.com", true},
	{"https://*.example.com", "https://WWW.Example.Com", true},
	{"https://*.example.com", "https://www.example.com:443", true},
	{"https://*.Example.com:8443", "https://www.example.com:8443", true},
	{"https://*.com", "https://example.com", true},
	{"https://*.example.com", "https://example.com", false},
	{"https://*.example.com", "https://evilexample.com", false},
	{"https://*.example.com", "https://.example.com", false},
	{"https://*.example.com", "https://a..example.com", false},
	{"https://*.example.com", "https://www.example.com.evil.net", false},
	{"https://*.example.com", "https://www.example.com.", false},
	{"https://*.example.com", "https://wwwexample.com", false},
	{"https://*.example.com", "https://www-example.com", false},
	{"https://*.example.com", "http://www.example.com", false},
	{"https://*.example.com", "https://www.example.com:8443", false},
	{"https://*.example.com", "https://evil.net/.example.com", false},
	{"https://*.example.com", "https://evil.net#.example.com", false},
	{"https://*.example.com", "https://evil.net:443.example.com", false},
	{"https://*.example.com", "https://u@www.example.com", false},
	{"https://*.example.com", "https://*.example.com", false},
	{"https://*.example.com", "null", false},
	{"https://*.example.com", "", false},
	/* Unknown schemes have no default port. */
	{"chrome-extension://abcdef", "chrome-extension://abcdef", true},
	{"chrome-extension://abcdef", "chrome-extension://abcdeg", false},
	{"chrome-extension://abcdef", "moz-extension://abcdef", false},
	{"app+x.1-y://h:5", "app+x.1-y://h:5", true},
	{"app://h:5", "app://h", false},
	{"app://h", "app://h:5", false},
	/* The opaque origin, literally. */
	{"null", "null", true},
	{"null", "NULL", false},
	{"null", "null ", false},
	{"null", "nul", false},
	{"null", "nullx", false},
	{"null", "", false},
	{"null", "https://null", false},
	/* Pages of files in embedded browsers, literally. */
	{"file://", "file://", true},
	{"file://", "file:///", false},
	{"file://", "null", false},
	{"null", "file://", false},
};

static void parse(struct origin *origin, const char *pattern) {
	const char *error = NULL;
	int result = origin_parse(pattern, origin, &error);
	if(result < 0) {
		fail_msg("%s: %s", pattern, error);
	}
}

/* Both texts end at an unreadable page, and each may be the empty one. */
static bool matches_at(const struct origin *origin, const char *value, const char *host,
	unsigned port, bool https) {
	struct guard first = guard_new(value, strlen(value));
	struct guard second = guard_new(host, strlen(host));
	struct origin_self self = {
		.host = {(const char *)second.data, strlen(host)}, .port = port, .https = https};
	struct slice text = {(const char *)first.data, strlen(value)};
	bool match = origin_matches(origin, text, &self);
	guard_free(&first);
	guard_free(&second);
	return match;
}

static bool matches(const struct origin *origin, const char *value, const char *host) {
	return matches_at(origin, value, host, 0, false);
}

/* A value that need not end at its NUL, of a request without Host. */
static bool matches_bytes(const struct origin *origin, const char *value, size_t len) {
	struct origin_self self = {0};
	return origin_matches(origin, (struct slice){value, len}, &self);
}

static void test_matches(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct origin origin;
		parse(&origin, cases[i].pattern);
		/* The Host field does not matter here. */
		if(matches(&origin, cases[i].value, "example.com") != cases[i].match ||
			matches(&origin, cases[i].value, "") != cases[i].match) {
			fail_msg("%s and %s: expected %d", cases[i].pattern, cases[i].value,
				cases[i].match);
		}
		origin_free(&origin);
	}
}

static const struct {
	const char *value;
	const char *host;
	unsigned port; /* 0: none in Host */
	bool https;
	bool match;
} same[] = {
	{"http://example.com", "example.com", 0, false, true},
	{"https://example.com", "example.com", 0, false, true},
	{"https://EXAMPLE.com", "Example.COM", 0, false, true},
	{"http://example.com", "example.com", 80, false, true},
	{"https://example.com", "example.com", 443, false, true},
	{"https://example.com:443", "example.com", 0, false, true},
	{"http://example.com:8001", "example.com", 8001, false, true},
	{"http://[::1]:8001", "[::1]", 8001, false, true},
	{"http://[::1]", "[0::1]", 0, false, true},
	{"http://a_b.example", "a_b.example", 0, false, true},
	{"https://example.com", "example.com", 80, false, false},
	{"http://example.com", "example.com", 443, false, false},
	{"http://example.com:8001", "example.com", 0, false, false},
	{"http://example.com", "example.com", 8001, false, false},
	{"http://example.com:8001", "example.com", 8002, false, false},
	{"http://example.com", "www.example.com", 0, false, false},
	{"http://www.example.com", "example.com", 0, false, false},
	{"http://evilexample.com", "example.com", 0, false, false},
	{"http://example.com", "example.com.", 0, false, false},
	{"http://example.com", "", 0, false, false},
	{"http://example.com", "example.com/", 0, false, false},
	{"http://example.com", "u@example.com", 0, false, false},
	{"http://example.com", "example.com,example.com", 0, false, false},
	{"http://u@example.com", "example.com", 0, false, false},
	{"http://example.com/", "example.com", 0, false, false},
	{"http://[::1]", "::1", 0, false, false},
	{"http://[::1]", "[::2]", 0, false, false},
	{"app://example.com", "example.com", 0, false, false},
	{"app://example.com:80", "example.com", 80, false, false},
	{"null", "null", 0, false, false},
	{"", "", 0, false, false},
	{"same", "same", 0, false, false},
	/* Where the client uses TLS, a page that was not loaded with TLS is another origin. */
	{"https://example.com", "example.com", 0, true, true},
	{"wss://example.com:8001", "example.com", 8001, true, true},
	{"http://example.com", "example.com", 0, true, false},
	{"http://example.com:443", "example.com", 443, true, false},
	{"ws://example.com:8001", "example.com", 8001, true, false},
};

static void test_same(void **state) {
	struct origin origin;
	(void)state;
	parse(&origin, "same");
	assert_int_equal(origin.kind, ORIGIN_SAME);
	for(size_t i = 0; i < COUNT(same); i++) {
		if(matches_at(&origin, same[i].value, same[i].host, same[i].port, same[i].https) !=
			same[i].match) {
			fail_msg("%s at %s: expected %d", same[i].value, same[i].host,
				same[i].match);
		}
	}
	assert_false(matches_bytes(&origin, "http://a", 8));
	origin_free(&origin);
}

/* A value that holds a NUL is compared to its end. */
static void test_nul_in_value(void **state) {
	static const char value[] = "https://example.com\0.evil.net";
	struct origin origin;
	(void)state;
	parse(&origin, "https://example.com");
	assert_true(matches_bytes(&origin, value, strlen(value)));
	assert_false(matches_bytes(&origin, value, strlen(value) + 1));
	assert_false(matches_bytes(&origin, value, sizeof(value) - 1));
	origin_free(&origin);
	parse(&origin, "http://[::1]");
	assert_false(matches_bytes(&origin, "http://[::1\0]", 13));
	origin_free(&origin);
	parse(&origin, "null");
	assert_false(matches_bytes(&origin, "null\0", 5));
	origin_free(&origin);
}

/* Every way to cut a value short, and every byte changed, makes it another origin. */
static void test_near_misses(void **state) {
	static const char value[] = "https://www.example.com:8443";
	char changed[sizeof(value)];
	struct origin origin;
	(void)state;
	parse(&origin, value);
	for(size_t len = 0; len < sizeof(value) - 1; len++) {
		assert_false(matches_bytes(&origin, value, len));
		memcpy(changed, value, sizeof(value));
		for(unsigned c = 0; c < 256; c++) {
			changed[len] = (char)c;
			bool expected = strcasecmp(changed, value) == 0;
			assert_int_equal(matches(&origin, changed, ""), expected);
		}
	}
	origin_free(&origin);
}

static void test_parse(void **state) {
	struct origin origin;
	(void)state;
	parse(&origin, "HTTPS://Example.COM");
	assert_int_equal(origin.kind, ORIGIN_EXACT);
	assert_string_equal(origin.scheme, "https");
	assert_string_equal(origin.host, "example.com");
	assert_int_equal(origin.port, 443);
	origin_free(&origin);
	assert_null(origin.scheme);
	origin_free(&origin);
	parse(&origin, "ws://*.Example.com:8001");
	assert_int_equal(origin.kind, ORIGIN_SUBDOMAIN);
	assert_string_equal(origin.host, "example.com");
	assert_int_equal(origin.port, 8001);
	origin_free(&origin);
	parse(&origin, "http://[2001:DB8::1]");
	assert_string_equal(origin.host, "[2001:db8::1]");
	assert_int_equal(origin.port, 80);
	origin_free(&origin);
	parse(&origin, "app://h");
	assert_int_equal(origin.port, 0);
	origin_free(&origin);
	parse(&origin, "null");
	assert_int_equal(origin.kind, ORIGIN_NULL);
	origin_free(&origin);
}

static void test_parse_errors(void **state) {
	static const char *const patterns[] = {"", "*", "Same", "NULL", "same ", "example.com",
		"http:example.com", "http:/example.com", "//example.com", "://example.com",
		"1http://example.com", "ht tp://example.com", "http://", "http:///",
		"http://example.com/", "http://example.com/x", "http://example.com?",
		"http://u@example.com", "http://example.com:", "http://example.com:0",
		"http://example.com:65536", "http://example.com:x", "http://example.com:80x",
		"http://example.com:80/", "http://example.com:+80", "http://example.com:080000",
		"http://exa mple.com", " http://example.com", "http://example.com ", "http://*",
		"http://*.", "http://*example.com", "http://a.*.com", "http://**.example.com",
		"http://*.*.com", "http://*.[::1]", "*://example.com", "http://.example.com",
		"http://a..b", "http://\xc3\xbcx.example", "http://::1", "http://[::1",
		"http://[::g]", "http://[]", "http://[::1]x", "http://[1.2.3.4]",
		"http://example.com,http://b"};
	(void)state;
	for(size_t i = 0; i < COUNT(patterns); i++) {
		struct origin origin;
		const char *error = NULL;
		if(origin_parse(patterns[i], &origin, &error) != -EINVAL) {
			fail_msg("\"%s\" was taken", patterns[i]);
		}
		assert_non_null(error);
		assert_null(origin.scheme);
		assert_null(origin.host);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_nul_in_value),
		cmocka_unit_test(test_near_misses),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
