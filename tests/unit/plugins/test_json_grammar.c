/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The grammar of the framing function `json` against a simple recursive parser.
 */
#include "plugins/json_bench.h"

/* The grammar: each of these, followed by a line feed, is one text message. */
static const char *const accepted[] = {
	/* literals and white space */
	"true", "false", "null", " true", "\t\r\n null", "false \t", "\n\n\ntrue",
	/* numbers */
	"0", "-0", "1", "9", "-1", "10", "123456789012345678901234567890", "0.0", "0.5", "-0.5",
	"1.25", "10.001", "1e1", "1E1", "1e+1", "1e-1", "0e0", "0E-0", "-0e+00", "1.5e300",
	"1.5E-300", "-1.0e01", "1e0123", "20", "1000000", "0.10", "-9.99E+99", " 7", "  -7.5 ",
	/* strings */
	"\"\"", "\"a\"", "\" \"", "\"abc def\"", "\"\\\"\"", "\"\\\\\"", "\"\\/\"", "\"\\b\"",
	"\"\\f\"", "\"\\n\"", "\"\\r\"", "\"\\t\"", "\"\\u0000\"", "\"\\u0041\"", "\"\\uABCD\"",
	"\"\\uabcd\"", "\"\\uAbCd\"", "\"\\u1a2B3\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"",
	"\"\\\\\\\"\"", "\"x\\\\\"", "\"{\"", "\"[\"", "\"}]\"", "\"/\"", "\"'\"", "\"\x7f\"",
	"\"null\"", "\"a\\u0020b\"",
	/* UTF-8: the first and the last of each length and what borders on the surrogates */
	"\"\xc2\x80\"", "\"\xdf\xbf\"", "\"\xe0\xa0\x80\"", "\"\xef\xbf\xbf\"", "\"\xed\x9f\xbf\"",
	"\"\xee\x80\x80\"", "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xf1\x80\x80\x80\"",
	"\"gr\xc3\xbc\xc3\x9f\"", "\"\xe2\x82\xac\"", "\"\xf0\x9f\x98\x80\"", "\"\xef\xbb\xbf\"",
	"\"\xe1\xbf\xbf\"", "\"\xf3\xbf\xbf\xbf\"", "\"\xec\x80\x80\"",
	/* arrays */
	"[]", "[ ]", "[\n]", "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],[]]", "[[[[[]]]]]", "[true]",
	"[null,false]", "[\"a\",\"b\"]", "[1,[2,[3]]]", "[-1.5e3]", "[0]", "[0,0]", "[{}]",
	"[{},{}]", "[\"]\"]", "[\"\\\"]\"]", " [1] ", "[1\n,\n2\n]", "[1e5,0.1]", "[\"a\\\\\"]",
	"[{\"a\":[{}]}]", "[true,1]", "[1,true]", "[\"\xc3\xbc\"]",
	/* objects */
	"{}", "{ }", "{\"a\":1}", "{\"a\":1,\"b\":2}", "{ \"a\" : 1 , \"b\" : 2 }", "{\"\":0}",
	"{\"a\":{}}", "{\"a\":{\"b\":{\"c\":{}}}}", "{\"a\":[]}", "{\"a\":[1,{\"b\":2}]}",
	"{\"a\":\"}\"}", "{\"}\":1}", "{\"a\":true,\"b\":false,\"c\":null}", "{\"a\":1,\"a\":2}",
	"{\"\\u0061\":\"\\\\\"}", "{\n\t\"a\": 1,\n\t\"b\": [\n\t\t2\n\t]\n}", "{\"a\":0}",
	"{\"a\":-0.0e-0}", "{\"\xe2\x82\xac\":\"\xf0\x9f\x98\x80\"}", "{\"a\":\"\\\"\"}",
	"{\"a\":[[],{}],\"b\":[{}]}", " {\"a\":\r\n1}", "{\"a\":1e1}", "{\"\\\"\":1}"};

/* None of these, followed by a line feed, is one text message. */
static const char *const rejected[] = {
	/* literals */
	"True", "TRUE", "nul", "nulll", "tru", "truth", "fals", "falsey", "none", "NaN", "Infinity",
	"-Infinity", "undefined", "n", "t", "f", "nUll", "yes", "tfalse",
	/* numbers */
	"00", "01", "-01", "-", "--1", "+1", ".5", "-.5", "1.", "1.e5", "1e", "1e+", "1E-", "1ee1",
	"1.2.3", "0x1F", "0b1", "1_000", "1,5", "1-", "1+1", "1e1.5", "0.", "-a", "12:30", "1;",
	"2024-01-02", "10.0.0.1", "1e1e1", "9a", "\xd9\xa1", "1\xc2\xa0", "-e1", "0e", "0.e1",
	/* strings */
	"\"", "\"a", "\"\\", "\"\\x\"", "\"\\a\"", "\"\\'\"", "\"\\0\"", "\"\\v\"", "\"\\U0041\"",
	"\"\\u\"", "\"\\u1\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"", "\"\\u 123\"",
	"\"\\uG000\"", "\"\\u-123\"", "'a'", "\"a\tb\"", "\"a\nb\"", "\"\x01\"", "\"\x1f\"",
	"\"\r\"", "a\"", "\"\\\"", "\"\\\n\"", "\"\x1e\"",
	/* UTF-8: overlong, surrogates, too large, cut short, stray */
	"\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xe0\x80\x80\"",
	"\"\xe0\x9f\xbf\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xf0\x80\x80\x80\"",
	"\"\xf0\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xff\"",
	"\"\xfe\"", "\"\xc3\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98\"", "\"\xc3(\"", "\"\xe2(\xa1\"",
	"\"\xf0\x9f(\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\xc3\xbc", "\xef\xbb\xbf{}",
	"{\"\xff\":1}", "[\"\xc3\"]", "\xe2\x80\xa8[]", "\xc2\xa0[]",
	/* arrays */
	"[", "]", "[1", "[1,", "[,]", "[,1]", "[1,]", "[1,,2]", "[1 2]", "[1:2]", "[}", "[1}",
	"[[]", "[\"a]", "[tru]", "[01]", "[1.]", "[-]", "[nulll]", "[+1]", "[.1]", "[0x1]", "['a']",
	"[a]", "[1]]", "[1],", "[1];", "[\"a\" \"b\"]", "[1e]", "[NaN]", "[1 true]", "[/**/]",
	"[1]x",
	/* objects */
	"{", "}", "{]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}",
	"{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}", "{1:1}", "{\"a\" 1}", "{\"a\"::1}",
	"{\"a\":1:2}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{\"a\",\"b\"}", "{true:1}",
	"{null:1}", "{[]:1}", "{{}:1}", "{\"a\":1]", "{\"a\":01}", "{\"a\":tru}", "{\"a\":\"\\q\"}",
	"{\"a\":1}}", "{\"a\":1}x", "{\"a\":1}//", "{\"a\":NaN}", "{\"a\":{\"b\":1}", "{\"a\":[1}",
	"{\"a\":'b'}", "{\"a\\u00zz\":1}", "{:1}", "{\"a\"=1}", "#", ",", ":", "\\", "/", "*", "x",
	"\x01", "\x7f", "<xml/>", "()"};

static void with_line_feed(const char *text, char *out, size_t cap) {
	int len = snprintf(out, cap, "%s\n", text);
	assert_true(len > 0 && (size_t)len < cap);
}

static void test_accepts(void **state) {
	(void)state;
	char input[256], expected[256];
	for(size_t at = 0; at < COUNT(accepted); at++) {
		with_line_feed(accepted[at], input, sizeof(input));
		assert_true(oracle_accepts(input, strlen(input)));
		size_t blank = strspn(input, " \t\r\n"), len = strlen(accepted[at]);
		while(strchr(" \t\r\n", accepted[at][len - 1])) {
			len--;
		}
		snprintf(expected, sizeof(expected), "T%.*s|", (int)(len - blank),
			accepted[at] + blank);
		check_stream(input, strlen(input), expected);
	}
}

static void test_rejects(void **state) {
	(void)state;
	char input[256];
	for(size_t at = 0; at < COUNT(rejected); at++) {
		with_line_feed(rejected[at], input, sizeof(input));
		size_t len = strlen(input);
		assert_false(oracle_accepts(input, len));
		struct session whole = session_run(input, len, 0, false);
		char *text = session_text(&whole);
		assert_false(
			whole.count == 1 && whole.out[0].type != 'B' && whole.out[0].type != 'b');
		check_stream(input, len, text);
		free(text);
		free(whole.out);
	}
}

/* Every prefix of what is accepted is waited for: nothing of it goes out before its last byte. */
static void test_waits(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(accepted); at++) {
		size_t len = strlen(accepted[at]);
		while(strchr(" \t\r\n", accepted[at][len - 1])) {
			len--;
		}
		for(size_t part = 1; part < len; part++) {
			struct session session = session_run(accepted[at], part, 0, false);
			bool blank = is_blank((const uint8_t *)accepted[at], part);
			assert_int_equal(session.count, !blank);
			bool text = oracle_accepts(accepted[at], part);
			assert_true(blank || session.out[0].type == (text ? 't' : 'b'));
			free(session.out);
		}
	}
}

static char *nested(size_t depth, const char *inner, const char *tail, size_t *len) {
	*len = 2 * depth + strlen(inner) + strlen(tail);
	char *text = malloc(*len + 1);
	assert_non_null(text);
	memset(text, '[', depth);
	memcpy(text + depth, inner, strlen(inner));
	memset(text + depth + strlen(inner), ']', depth);
	memcpy(text + *len - strlen(tail), tail, strlen(tail) + 1);
	return text;
}

static void check_nested(size_t depth, const char *types, size_t first_len) {
	size_t len;
	char *text = nested(depth, "", "{\"a\":1}", &len);
	for(size_t way = 0; way < 2; way++) {
		struct session session = session_run(text, len, way, false);
		assert_int_equal(session.count, strlen(types));
		for(size_t at = 0; at < session.count; at++) {
			assert_int_equal(session.out[at].type, types[at]);
		}
		assert_int_equal(session.out[0].len, first_len);
		free(session.out);
	}
	free(text);
}

static void test_nesting(void **state) {
	(void)state;
	check_nested(1, "TT", 2);
	check_nested(511, "TT", 1022);
	check_nested(512, "TT", 1024);
	check_nested(513, "BT", 1026);
	check_nested(4000, "BT", 8000);
}

/* Far too deep and never closed: still linear, and what follows on a line of its own is found. */
static void test_endless_nesting(void **state) {
	(void)state;
	size_t len = 300000;
	char *text = malloc(len);
	assert_non_null(text);
	memset(text, '[', len);
	memcpy(text + len - 9, "\n{\"a\":1}\n", 9);
	struct session session = session_run(text, len, 0, false);
	assert_int_equal(session.count, 2);
	assert_int_equal(session.out[0].type, 'B');
	assert_int_equal(session.out[1].type, 'T');
	free(session.out);
	free(text);
}

/* Objects at every level, so that the kind of each level is remembered. */
static void test_mixed_nesting(void **state) {
	(void)state;
	char text[4096];
	size_t len = 0;
	for(int level = 0; level < 256; level++) {
		len += (size_t)sprintf(text + len, "[{\"%d\":", level);
	}
	len += (size_t)sprintf(text + len, "null");
	for(int level = 0; level < 256; level++) {
		len += (size_t)sprintf(text + len, "}]");
	}
	assert_true(oracle_accepts(text, len));
	struct session session = session_run(text, len, 1, true);
	assert_int_equal(session.count, 1);
	assert_int_equal(session.out[0].type, 'T');
	free(session.out);
	text[len - 1] = '}';
	session = session_run(text, len, 0, false);
	assert_int_equal(session.count, 1);
	assert_int_equal(session.out[0].type, 'B');
	free(session.out);
}

/* Random numbers that are the same in every run. */
static uint32_t random_next(uint32_t *seed) {
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static const char *const pieces[] = {"{", "}", "[", "]", ",", ":", "\"", "\\", "\n", " ", "\"a\"",
	"\"b\":", "1", "-", "0", ".", "e", "true", "false", "null", "t", "u00", "x", "\xc3\xbc",
	"\xc3", "\xed\xa0\x80", "\x01", "{\"a\":", "[1,", "]}", "\x1e", "\\\"", "12 "};

/*
 * Random streams: the driver asserts that nothing is lost, that each text message is JSON and that
 * no message is blank; here, that the result is the same however the stream is cut.
 */
static void test_random_streams(void **state) {
	(void)state;
	uint32_t seed = 20190622;
	for(int round = 0; round < 400; round++) {
		char input[256] = "";
		size_t count = 1 + random_next(&seed) % 24;
		for(size_t at = 0; at < count; at++) {
			strcat(input, pieces[random_next(&seed) % COUNT(pieces)]);
		}
		struct session whole = session_run(input, strlen(input), 0, false);
		char *text = session_text(&whole);
		check_stream(input, strlen(input), text);
		free(text);
		free(whole.out);
	}
}

/* Appends a random value and returns the new end. */
static char *random_value(char *to, uint32_t *seed, int depth) {
	static const char *const scalars[] = {"0", "-1.5e+3", "true", "false", "null", "\"\"",
		"\"\\u00e9\xc3\xa9\"", "\"}{\"", "12", "\"\\\\\""};
	uint32_t kind = random_next(seed) % (depth > 0 ? 4 : 2);
	if(kind < 2) {
		return to + sprintf(to, "%s", scalars[random_next(seed) % 10]);
	}
	bool object = kind == 3;
	to += sprintf(to, object ? "{" : "[ ");
	for(uint32_t member = random_next(seed) % 4; member > 0; member--) {
		if(object) {
			to += sprintf(to, "\"k%u\" : ", member);
		}
		to = random_value(to, seed, depth - 1);
		to += sprintf(to, member > 1 ? "," : "\n");
	}
	return to + sprintf(to, object ? "}" : "]");
}

/* Random entities one after the other: exactly these are the messages. */
static void test_random_entities(void **state) {
	(void)state;
	uint32_t seed = 8259;
	char *input = malloc(65536), *expected = malloc(65536);
	assert_non_null(input);
	assert_non_null(expected);
	for(int round = 0; round < 60; round++) {
		char *to = input, *want = expected;
		for(int entity = 0; entity < 6; entity++) {
			char *start = to;
			to = random_value(to, &seed, 2);
			want += sprintf(want, "T%.*s|", (int)(to - start), start);
			to += sprintf(to, "\n");
		}
		for(size_t way = 0; way < cut_ways((size_t)(to - input)); way += 1 + way / 4) {
			check_way(input, (size_t)(to - input), way, expected);
		}
	}
	free(input);
	free(expected);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_random_entities),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_endless_nesting),
		cmocka_unit_test(test_mixed_nesting),
	};
	return cmocka_run_group_tests_name("json_grammar", tests, NULL, NULL);
}
