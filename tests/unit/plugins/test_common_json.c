/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of JSON texts: texts end at an unreadable page, and each is cut behind every byte.
 */
#include "support.h"

#include "plugins/common/json.c"
#include "plugins/common/json_steps.c"

static struct guard text_guard;

static struct json_value read_text(const char *text, size_t len) {
	if(text_guard.map) {
		guard_free(&text_guard);
	}
	text_guard = guard_new(text, len);
	return json_read((char *)text_guard.data, len);
}

static struct json_value read_whole(const char *text) {
	return read_text(text, strlen(text));
}

static const char *const valid_texts[] = {
	"{}",
	"[]",
	" {\"a\" : 1 , \"b\":[2,3 ] }\n",
	"\"\"",
	"12",
	"-0.5e+3 ",
	" true",
	"null",
	"[[[]],{\"x\":{}},\"]\"]",
	"{\"a\\\"\":\"\\u0041\\ud83d\\ude00\"}",
};

static const char *const invalid_texts[] = {
	"",
	" ",
	"{",
	"}",
	"{}{}",
	"[1,]",
	"{\"a\"}",
	"{\"a\":}",
	"{a:1}",
	"01",
	"1.",
	"-",
	"tru",
	"truex",
	"nul",
	"\"",
	"\"\\x\"",
	"\"\n\"",
	"\"\xff\"",
	"\"\xed\xa0\x80\"",
	"[1]x",
	"1 2",
	"{\"a\":1 \"b\":2}",
	"\xef\xbb\xbf{}",
	"'a'",
	"[1}",
	"1{",
	"\"a\"b",
};

static void test_texts_are_valid_or_not(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(valid_texts); i++) {
		assert_int_not_equal(read_whole(valid_texts[i]).kind, JSON_MISSING);
	}
	for(size_t i = 0; i < COUNT(invalid_texts); i++) {
		assert_int_equal(read_whole(invalid_texts[i]).kind, JSON_MISSING);
	}
	assert_int_equal(read_text("1\0", 2).kind, JSON_MISSING);
}

static void test_every_prefix_of_an_object_is_invalid(void **state) {
	(void)state;
	const char text[] = "{\"a\":{\"b\":[1,-2.5e1,\"\\u0041\xc3\xa9\",true]},\"c\":null}";
	for(size_t len = 0; len < sizeof(text) - 1; len++) {
		assert_int_equal(read_text(text, len).kind, JSON_MISSING);
	}
	assert_int_equal(read_whole(text).kind, JSON_OBJECT);
}

static void test_changed_bytes_never_read_beyond_the_text(void **state) {
	(void)state;
	const char text[] = "{\"host\":\"a\\u0041\\n\",\"port\":[1,{\"x\":\"\\\\\"}],\"port\":22}";
	char copy[sizeof(text)];
	char out[32];
	for(size_t at = 0; at < sizeof(text) - 1; at++) {
		for(unsigned byte = 0; byte < 256; byte++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = (char)byte;
			struct json_value object = read_text(copy, sizeof(text) - 1);
			int64_t number;
			json_string(json_member(object, "host"), out, sizeof(out));
			json_integer(json_member(object, "port"), &number);
		}
	}
}

static void test_nesting_is_limited(void **state) {
	(void)state;
	char text[2 * JSON_DEPTH_MAX + 2];
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(read_text(text, sizeof(text) - 2).kind, JSON_ARRAY);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(read_text(text, sizeof(text)).kind, JSON_MISSING);
}

static void test_members(void **state) {
	(void)state;
	struct json_value object = read_whole(" { \"a\" : [ 1, { \"b\" : 2 } ] , \"b\":\"}\", "
					      "\"\\u0063\" :3,\"b\": false , \"\":{}}");
	int64_t number;
	assert_int_equal(json_member(object, "a").kind, JSON_ARRAY);
	assert_int_equal(json_member(object, "").kind, JSON_OBJECT);
	assert_int_equal(json_member(object, "x").kind, JSON_MISSING);
	assert_int_equal(json_member(object, "aa").kind, JSON_MISSING);
	assert_true(json_integer(json_member(object, "c"), &number));
	assert_int_equal(number, 3);
	/* the last one */
	assert_int_equal(json_member(object, "b").kind, JSON_WORD);
	assert_int_equal(json_member(json_member(object, "a"), "b").kind, JSON_MISSING);
	assert_int_equal(json_member((struct json_value){0}, "b").kind, JSON_MISSING);
}

static void test_elements(void **state) {
	(void)state;
	struct json_value array = read_whole("[ 7 ,\"a\",[1,2], {} , -1]");
	const enum json_kind kinds[] = {
		JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT, JSON_NUMBER, JSON_MISSING};
	struct json_value element = {0};
	for(size_t i = 0; i < COUNT(kinds); i++) {
		element = json_next(array, element);
		assert_int_equal(element.kind, kinds[i]);
	}
	assert_int_equal(json_next(read_whole("[]"), element).kind, JSON_MISSING);
	assert_int_equal(json_next(read_whole("{\"a\":1}"), element).kind, JSON_MISSING);
}

struct string_case {
	const char *text, *expected; /* NULL: has no C string */
};

static const struct string_case strings[] = {
	{"\"\"", ""},
	{"\"abc\"", "abc"},
	{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
	{"\"\\u0041\\u00e9\\u20AC\\ud83D\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
	{"\"\xc3\xa9\"", "\xc3\xa9"},
	{"\"\\u0000\"", NULL},
	{"\"\\ud83d\"", NULL},
	{"\"\\ud83dx\"", NULL},
	{"\"\\ud83d\\n\"", NULL},
	{"\"\\ud83d\\u0041\"", NULL},
	{"\"\\ude00\"", NULL},
	{"1", NULL},
	{"null", NULL},
	{"", NULL},
};

static void test_strings(void **state) {
	(void)state;
	char out[32];
	for(size_t i = 0; i < COUNT(strings); i++) {
		bool found = json_string(read_whole(strings[i].text), out, sizeof(out));
		assert_int_equal(found, strings[i].expected != NULL);
		if(found) {
			assert_string_equal(out, strings[i].expected);
		}
	}
}

static void test_strings_need_room(void **state) {
	(void)state;
	struct guard out = guard_new(NULL, 4);
	assert_false(json_string(read_whole("\"\""), (char *)out.data, 0));
	assert_true(json_string(read_whole("\"abc\""), (char *)out.data, 4));
	assert_false(json_string(read_whole("\"abcd\""), (char *)out.data, 4));
	assert_false(json_string(read_whole("\"ab\\u00e9\""), (char *)out.data, 4));
	guard_free(&out);
}

struct integer_case {
	const char *text;
	int64_t expected;
	bool valid;
};

static const struct integer_case integers[] = {
	{"0", 0, true},
	{"-0", 0, true},
	{"1300819380", 1300819380, true},
	{"1300819380.9", 1300819380, true},
	{"-1.5", -2, true},
	{"1.3e9", 1300000000, true},
	{"9007199254740991", 9007199254740991, true},
	{"9007199254740993", 0, false},
	{"1e999", 0, false},
	{"-1e999", 0, false},
	{"\"1\"", 0, false},
	{"1.00000000000000000000000000000000000000000000000000000000000000000001", 0, false},
};

static void test_integers(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(integers); i++) {
		int64_t number = -1;
		assert_int_equal(
			json_integer(read_whole(integers[i].text), &number), integers[i].valid);
		if(integers[i].valid) {
			assert_int_equal(number, integers[i].expected);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_are_valid_or_not),
		cmocka_unit_test(test_every_prefix_of_an_object_is_invalid),
		cmocka_unit_test(test_changed_bytes_never_read_beyond_the_text),
		cmocka_unit_test(test_nesting_is_limited),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strings_need_room),
		cmocka_unit_test(test_integers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
