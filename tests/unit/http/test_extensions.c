/* SPDX-License-Identifier: BSD-2-Clause
 *
 * extensions.c: the grammar of Sec-WebSocket-Extensions.
 */
#include "support.h"

#include "http/extensions.h"

static bool is_valid(const char *first, const char *second) {
	struct request request = {.headers = second ? 2 : 1};
	request.header[0] =
		(struct request_header){text_slice("sec-websocket-extensions"), text_slice(first)};
	request.header[1] = (struct request_header){
		text_slice("Sec-WebSocket-Extensions"), text_slice(second ? second : "")};
	return extensions_are_valid(&request);
}

static void test_valid(void **state) {
	static const char *const cases[] = {"foo", "permessage-deflate; client_max_window_bits",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate",
		"foo;a=b;c;d=e", "foo ; a = b", "foo; a=\"b\"", "foo; a=\"\\b\\c\"",
		", foo,, bar ,", "foo\t;\ta"};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		assert_true(is_valid(cases[i], NULL));
	}
}

static void test_invalid(void **state) {
	static const char *const cases[] = {"", ",", ";;;", "foo bar", "foo;", "foo; =1",
		"foo; a=", "foo; a=\"b c\"", "foo; a=\"", "foo; a=b=c", "@", "foo; a=\"\"",
		"foo; a=\"b\\\"", "foo; a=\"b\"c", "foo;;a", "foo, ;a", "foo; a b", "\"foo\"",
		"foo; a=\"b,c\"", "foo; a=\"b;c\"", "foo=bar", "foo; a=\"\\\""};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		assert_false(is_valid(cases[i], NULL));
	}
}

/* Several fields are one list (RFC 9110, 5.3). */
static void test_several_fields(void **state) {
	struct request none = {.headers = 0};
	(void)state;
	assert_true(extensions_are_valid(&none));
	assert_true(is_valid("foo", "bar; a=1"));
	assert_true(is_valid("foo", ""));
	assert_false(is_valid("", ","));
	assert_false(is_valid("foo", "bar;"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_several_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
