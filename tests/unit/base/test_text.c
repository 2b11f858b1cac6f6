/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Slices of text. Each input ends at an unreadable page.
 */
#include "support.h"

#include "base/text.h"

#include <errno.h>

#define TEXT(literal) (literal), sizeof(literal) - 1

/* A copy whose end is the end of the readable memory. */
static struct slice guarded(struct guard *guard, const char *text) {
	*guard = guard_new(text, strlen(text));
	return (struct slice){(const char *)guard->data, strlen(text)};
}

static void check_slice(struct slice slice, const char *expected) {
	if(slice.len != strlen(expected) || memcmp(slice.at, expected, slice.len) != 0) {
		fail_msg("\"%.*s\" instead of \"%s\"", (int)slice.len, slice.at, expected);
	}
}

static void test_characters(void **state) {
	(void)state;
	for(int i = 0; i < 256; i++) {
		char c = (char)i;
		bool digit = c >= '0' && c <= '9';
		bool letter = (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
		assert_int_equal(text_is_digit(c), digit);
		assert_int_equal(text_is_letter(c), letter);
		assert_int_equal(text_is_alphanumeric(c), digit || letter);
		assert_int_equal(text_is_blank(c), i == ' ' || i == '\t');
		assert_int_equal(text_is_control(c), i < 32 || i == 127);
		assert_int_equal(text_is_base64(c), digit || letter || i == '+' || i == '/');
		assert_int_equal((uint8_t)text_lower(c), i >= 'A' && i <= 'Z' ? i + 32 : i);
		bool hex = digit || (i >= 'a' && i <= 'f') || (i >= 'A' && i <= 'F');
		char text[] = {c, '\0'};
		assert_int_equal(text_hex_value(c), hex ? (int)strtol(text, NULL, 16) : -1);
	}
	assert_true(text_is_one_of('b', "abc"));
	assert_false(text_is_one_of('d', "abc"));
	assert_false(text_is_one_of('\0', "abc"));
}

static void test_trim(void **state) {
	(void)state;
	static const char *const cases[][2] = {{"", ""}, {" ", ""}, {" \t ", ""}, {"a", "a"},
		{" a", "a"}, {"a\t", "a"}, {"\t a b  ", "a b"}, {"\ra\n", "\ra\n"}};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct guard guard;
		check_slice(text_trim(guarded(&guard, cases[i][0])), cases[i][1]);
		guard_free(&guard);
	}
	assert_int_equal(text_trim((struct slice){0}).len, 0);
}

static void test_split(void **state) {
	(void)state;
	struct guard guard;
	struct slice front;
	struct slice rest = guarded(&guard, "a,,bc");
	assert_true(text_split(&rest, ',', &front));
	check_slice(front, "a");
	assert_true(text_split(&rest, ',', &front));
	check_slice(front, "");
	check_slice(rest, "bc");
	assert_false(text_split(&rest, ',', &front));
	check_slice(rest, "bc");
	check_slice(text_take(&rest, ','), "bc");
	check_slice(rest, "");
	check_slice(text_take(&rest, ','), "");
	guard_free(&guard);
	rest = (struct slice){0};
	assert_false(text_split(&rest, ',', &front));
	assert_int_equal(text_take(&rest, ',').len, 0);
	assert_int_equal(text_find(rest, 'x'), 0);
}

static void test_take_char(void **state) {
	(void)state;
	struct slice rest = text_slice("[]");
	assert_false(text_take_char(&rest, ']'));
	assert_true(text_take_char(&rest, '['));
	assert_true(text_take_char(&rest, ']'));
	assert_false(text_take_char(&rest, '\0'));
}

static void test_copy(void **state) {
	(void)state;
	char out[4];
	assert_int_equal(text_copy(text_slice("abc"), out, sizeof(out)), 0);
	assert_string_equal(out, "abc");
	assert_int_equal(text_copy((struct slice){0}, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(text_copy(text_slice("abcd"), out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(text_copy((struct slice){"a\0b", 3}, out, sizeof(out)), -EINVAL);
	assert_int_equal(text_copy((struct slice){0}, out, 0), -ENAMETOOLONG);
}

static void test_comparing(void **state) {
	(void)state;
	struct guard guard;
	struct slice text = guarded(&guard, "Ab-1");
	assert_true(text_is(text, "Ab-1"));
	assert_false(text_is(text, "ab-1"));
	assert_false(text_is(text, "Ab-"));
	assert_false(text_is(text, "Ab-1x"));
	assert_true(text_is_nocase(text, "aB-1"));
	assert_false(text_is_nocase(text, "aB-2"));
	assert_true(text_begins(text, "Ab"));
	assert_true(text_begins(text, ""));
	assert_false(text_begins(text, "ab"));
	assert_false(text_begins(text, "Ab-1x"));
	assert_true(text_begins_nocase(text, "aB"));
	assert_false(text_begins_nocase(text, "aB-1x"));
	guard_free(&guard);
	/* Only letters have two cases: '[' and '{' differ by the same bit. */
	assert_false(text_is_nocase(text_slice("["), "{"));
	assert_false(text_is_nocase(text_slice("\xc4"), "\xe4"));
	assert_true(text_is((struct slice){0}, ""));
	assert_true(text_is_nocase((struct slice){0}, ""));
	assert_true(text_begins((struct slice){0}, ""));
}

static void test_token(void **state) {
	(void)state;
	for(int i = 0; i < 256; i++) {
		char c = (char)i;
		bool expected = text_is_alphanumeric(c) || text_is_one_of(c, "!#$%&'*+-.^_`|~");
		assert_int_equal(text_is_token((struct slice){&c, 1}), expected);
		bool name = text_is_alphanumeric(c) || c == '_' || c == '-';
		assert_int_equal(text_is_name((struct slice){&c, 1}), name);
	}
	assert_true(text_is_token(text_slice("Sec-WebSocket-Key")));
	assert_false(text_is_token(text_slice("a b")));
	assert_false(text_is_token((struct slice){0}));
	assert_false(text_is_name((struct slice){0}));
}

static void test_host_name(void **state) {
	(void)state;
	static const char *const good[] = {
		"a", "localhost", "a.b", "a.b.", "x-1_y", "1.example", "1a"};
	static const char *const bad[] = {
		"", ".", ".a", "-a", "a..b", "a b", "1.2.3", "1", "a/b", "\xe4"};
	char name[256];
	for(size_t i = 0; i < COUNT(good); i++) {
		assert_true(text_is_host_name(text_slice(good[i])));
	}
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_false(text_is_host_name(text_slice(bad[i])));
	}
	memset(name, 'a', sizeof(name));
	assert_true(text_is_host_name((struct slice){name, 253}));
	assert_false(text_is_host_name((struct slice){name, 254}));
}

static void check_decimal(const char *text, uint64_t max, int result, uint64_t expected) {
	struct guard guard;
	uint64_t number = 0;
	int got = text_read_decimal(guarded(&guard, text), max, &number);
	if(got != result || (result == 0 && number != expected)) {
		fail_msg("\"%s\": %d, %ju", text, got, (uintmax_t)number);
	}
	guard_free(&guard);
}

static void test_decimal(void **state) {
	(void)state;
	check_decimal("0", 0, 0, 0);
	check_decimal("65535", 65535, 0, 65535);
	check_decimal("0000065535", 65535, 0, 65535);
	check_decimal("65536", 65535, -ERANGE, 0);
	check_decimal("18446744073709551615", UINT64_MAX, 0, UINT64_MAX);
	check_decimal("18446744073709551616", UINT64_MAX, -ERANGE, 0);
	check_decimal("99999999999999999999999", UINT64_MAX, -ERANGE, 0);
	static const char *const wrong[] = {"", " 1", "1 ", "+1", "-1", "1a", "0x1"};
	for(size_t i = 0; i < COUNT(wrong); i++) {
		check_decimal(wrong[i], UINT64_MAX, -EINVAL, 0);
	}
	assert_int_equal(text_digits(text_slice("12a3")), 2);
	assert_int_equal(text_digits((struct slice){0}), 0);
}

static void test_url_path(void **state) {
	(void)state;
	assert_null(text_check_url_path(""));
	assert_null(text_check_url_path("/a%20b/~c"));
	static const char *const bad[] = {"a", "/a b", "/a?", "/#", "/\x7f", "/\xc3\xa4", "/\n"};
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_non_null(text_check_url_path(bad[i]));
	}
}

static void check_percent(const char *text, size_t cap, int result, const char *expected) {
	struct guard guard;
	struct guard out = guard_new(NULL, cap);
	int got = text_percent_decode(guarded(&guard, text), (char *)out.data, cap);
	if(got != result || (got >= 0 && memcmp(out.data, expected, (size_t)got + 1) != 0)) {
		fail_msg("\"%s\" in %zu bytes: %d", text, cap, got);
	}
	guard_free(&out);
	guard_free(&guard);
}

static void test_percent(void **state) {
	(void)state;
	check_percent("", 1, 0, "");
	check_percent("", 0, -ENOSPC, NULL);
	check_percent("abc", 4, 3, "abc");
	check_percent("abc", 3, -ENOSPC, NULL);
	check_percent("a%2Fb%2f%00", 6, 5, "a/b/\0");
	check_percent("%2", 8, -EINVAL, NULL);
	check_percent("%", 8, -EINVAL, NULL);
	check_percent("%2g", 8, -EINVAL, NULL);
	check_percent("%g2", 8, -EINVAL, NULL);
	check_percent("%%41", 8, -EINVAL, NULL);
	check_percent("%2541", 8, 3, "%41");
}

static void test_slice_is(void **state) {
	(void)state;
	assert_true(text_is_nocase((struct slice){TEXT("WebSocket")}, "websocket"));
	assert_true(text_is_nocase((struct slice){TEXT("")}, ""));
	assert_false(text_is_nocase((struct slice){TEXT("websocke")}, "websocket"));
	assert_false(text_is_nocase((struct slice){TEXT("websockets")}, "websocket"));
	assert_false(text_is_nocase((struct slice){TEXT("websocket\0")}, "websocket"));
	assert_false(text_is_nocase(
		(struct slice){TEXT("@")}, "`")); /* differ only in the bit of the case */
	assert_false(text_is_nocase((struct slice){TEXT("[")}, "{"));
}

static void test_tokens(void **state) {
	(void)state;
	for(unsigned c = 0; c < 256; c++) {
		char text[3] = {'a', (char)c, 'b'};
		bool expected = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || c == '!' || c == '#' || c == '$' || c == '%' ||
			c == '&' || c == '\'' || c == '*' || c == '+' || c == '-' || c == '.' ||
			c == '^' || c == '_' || c == '`' || c == '|' || c == '~';
		assert_int_equal(text_is_token((struct slice){.at = text, .len = 3}), expected);
	}
	assert_false(text_is_token((struct slice){TEXT("")}));
}

static const struct {
	const char *in;
	size_t len;
	const char *out;
	int result;
} escapes[] = {
	{TEXT(""), "", 0},
	{TEXT("abc"), "abc", 3},
	{TEXT("%41%62%63"), "Abc", 3},
	{TEXT("%2f%2F"), "//", 2},
	{TEXT("%252e"), "%2e", 3},
	{TEXT("a+b"), "a+b", 3},
	{TEXT("%00"), "\0", 1},
	{TEXT("a%00b"), "a\0b", 3},
	{TEXT("%ff%FE"), "\xff\xfe", 2},
	{TEXT("%"), NULL, -EINVAL},
	{TEXT("a%"), NULL, -EINVAL},
	{TEXT("%4"), NULL, -EINVAL},
	{TEXT("%g0"), NULL, -EINVAL},
	{TEXT("%0g"), NULL, -EINVAL},
	{TEXT("%-1"), NULL, -EINVAL},
	{TEXT("% 1"), NULL, -EINVAL},
	{TEXT("%%41"), NULL, -EINVAL},
	{TEXT("%u0041"), NULL, -EINVAL},
	{TEXT("%\0"
	      "41"),
		NULL, -EINVAL},
};

static void test_percent_decoding(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(escapes); at++) {
		struct guard in = guard_new(escapes[at].in, escapes[at].len);
		size_t room = escapes[at].result < 0 ? escapes[at].len + 1
						     : (size_t)escapes[at].result + 1;
		for(size_t cap = 0; cap <= room; cap++) {
			struct guard out = guard_new(NULL, cap);
			struct slice text = {.at = (char *)in.data, .len = escapes[at].len};
			int result = text_percent_decode(text, (char *)out.data, cap);
			if(cap == room) {
				assert_int_equal(result, escapes[at].result);
			} else if(escapes[at].result >= 0) {
				assert_int_equal(result, -ENOSPC);
			} else {
				assert_true(result < 0);
			}
			if(result >= 0) {
				assert_memory_equal(out.data, escapes[at].out, (size_t)result + 1);
			}
			guard_free(&out);
		}
		guard_free(&in);
	}
}

/* Every byte is itself or an escape that decodes to it, and none can end an attribute or a line. */
static void test_percent_encoding(void **state) {
	char path[256];
	char encoded[800];
	char decoded[256];
	(void)state;
	for(int byte = 1; byte < 256; byte++) {
		path[byte - 1] = (char)byte;
	}
	path[255] = '\0';
	int len = text_percent_encode(path, encoded, sizeof(encoded));
	assert_int_equal(len, strlen(encoded));
	assert_int_equal(strcspn(encoded, " \"'&<>?#:\\\r\n\t;"), len);
	assert_int_equal(text_percent_decode(text_slice(encoded), decoded, sizeof(decoded)), 255);
	assert_string_equal(decoded, path);
	assert_int_equal(text_percent_encode("a/b", encoded, sizeof(encoded)), 3);
	assert_string_equal(encoded, "a/b");
	for(size_t cap = 0; cap < (size_t)len; cap++) {
		assert_int_equal(text_percent_encode(path, encoded, cap), -ENOSPC);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_take_char),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_comparing),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_host_name),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_url_path),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_slice_is),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_percent_decoding),
		cmocka_unit_test(test_percent_encoding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
