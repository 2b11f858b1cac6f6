/* SPDX-License-Identifier: BSD-2-Clause
 *
 * page_fields.c: which values are valid, and what they become.
 */
#include "support.h"

#include "http/page_fields.h"

static void test_headers(void **state) {
	static const char *const valid[] = {"X: y", "Cross-Origin-Opener-Policy:same-origin",
		"A: b: c; d=\"e\"\tf", "content-security-policy: default-src 'self'"};
	static const char *const invalid[] = {"", "X", ": y", "X :y", "X Y: z",
		"X:", "X: ", "X: a\rb", "X: a\nY: b", "content-length: 0", "Connection: close",
		"Set\x01: x", "ETag: \"x\""};
	(void)state;
	for(size_t i = 0; i < COUNT(valid); i++) {
		assert_null(page_fields_check_header(valid[i]));
	}
	for(size_t i = 0; i < COUNT(invalid); i++) {
		assert_non_null(page_fields_check_header(invalid[i]));
	}
}

static void test_sites(void **state) {
	static const char *const valid[] = {"self", "none", "*", "https://example.com",
		"https://*.example.com:8443", "http://[::1]:8123"};
	static const char *const invalid[] = {"", "same", "null", "'self'", "example.com",
		"https://a b", "https://a;script-src *", "https://a,b", "https://a/b", "https://"};
	(void)state;
	for(size_t i = 0; i < COUNT(valid); i++) {
		assert_null(page_fields_check_site(valid[i]));
	}
	for(size_t i = 0; i < COUNT(invalid); i++) {
		assert_non_null(page_fields_check_site(invalid[i]));
	}
}

static void test_texts(void **state) {
	static char *headers[] = {"A: 1", "B: 2"};
	static char *sites[] = {"self", "https://a.example", "none", "*"};
	struct page_fields fields = {0};
	(void)state;
	assert_false(page_fields_has(&fields, "A"));
	assert_int_equal(page_fields_set(&fields, (struct page_fields_values){headers, 2},
				 (struct page_fields_values){sites, 4}),
		0);
	assert_string_equal(fields.fields, "A: 1\r\nB: 2\r\n");
	assert_string_equal(fields.ancestors, "'self' https://a.example 'none' *");
	assert_true(page_fields_has(&fields, "a"));
	assert_true(page_fields_has(&fields, "B"));
	assert_false(page_fields_has(&fields, "1"));
	assert_int_equal(page_fields_set(&fields, (struct page_fields_values){0},
				 (struct page_fields_values){0}),
		0);
	assert_null(fields.fields);
	assert_null(fields.ancestors);
	page_fields_free(&fields);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
