/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in framings separator and newline, and the cost of long messages.
 */
#include "plugin/framing_bench.h"

/* The length up to and including the first separator, or 0. */
static size_t naive_find(
	const uint8_t *at, size_t len, const char *separator, size_t separator_len) {
	for(size_t n = separator_len; n <= len; n++) {
		if(!memcmp(at + n - separator_len, separator, separator_len)) {
			return n;
		}
	}
	return 0;
}

struct separator_case {
	const char *config;
	struct input separator;
	struct input data;
};

static const struct separator_case separator_cases[] = {
	{"|", INPUT("|"), INPUT("a|bc||d")},
	{"\\r\\n", INPUT("\r\n"), INPUT("\r\none\r\r\ntwo\n\r\nthree\r")},
	{"\\0", INPUT("\0"), INPUT("a\0b\0\0")},
	{"\\x00\\xff\\x0A", INPUT("\0\xff\n"), INPUT("\0\xff\0\xff\n..\0\0\xff\n\n")},
	{"\\x411", INPUT("A1"),
		INPUT("A\x01"
		      "A1AA1")},
	{"\\t\\f\\\\", INPUT("\t\f\\"), INPUT("\t\f\\\\\t\t\f\\x")},
	{"aaab", INPUT("aaab"), INPUT("aaaaaabaaabaaaab")},
	{"abcab", INPUT("abcab"), INPUT("abcabcababcaabcab")},
	{"--end--", INPUT("--end--"), INPUT("--end-end----end-----end--")},
	{"long separator", INPUT("long separator"), INPUT("short")},
};

static void check_separator_case(const struct separator_case *c, size_t way) {
	struct stream stream = stream_run("separator", c->config, &c->data, way);
	const uint8_t *data = (const uint8_t *)c->data.data;
	size_t at = 0;
	for(size_t n = 0; n < stream.messages; n++) {
		size_t len = naive_find(
			data + at, c->data.len - at, c->separator.data, c->separator.len);
		assert_int_equal(stream.message[n].len, len ? len : c->data.len - at);
		assert_int_equal(stream.message[n].type, ws_frame_binary);
		at += stream.message[n].len;
	}
	assert_int_equal(at, c->data.len);
}

static void test_separator_every_cut(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(separator_cases); i++) {
		for(size_t way = 0; way < cut_ways(separator_cases[i].data.len); way++) {
			check_separator_case(&separator_cases[i], way);
		}
	}
}

static void assert_bad_configuration(const struct websocksy_framing *framing, const char *config) {
	uint8_t data[] = "data";
	ws_operation opcode = ws_frame_binary;
	void *framing_data = NULL;
	struct websocksy_framing_stream stream;
	assert_non_null(framing_check(framing, config));
	assert_int_equal(framing_open(&stream, framing, NULL, strdup(config)), -EINVAL);
	framing_close(&stream);
	assert_true(framings_function(framing)(data, 4, 4, &opcode, &framing_data, config) < 0);
	assert_null(framing_data);
}

static void test_separator_bad_configuration(void **unused) {
	(void)unused;
	static const char *const bad[] = {"", "\\", "a\\", "\\x", "\\x4", "\\xZZ", "\\x4g", "\\q",
		"\\N", "ok\\1", "\\X41", "\\xg4"};
	const struct websocksy_framing *framing = framings_find("separator");
	assert_non_null(framing_check(framing, NULL));
	for(size_t i = 0; i < COUNT(bad); i++) {
		/* Behind the configuration nothing may be read. */
		struct guard guard = guard_new(bad[i], strlen(bad[i]) + 1);
		const char *config = (const char *)guard.data;
		assert_bad_configuration(framing, config);
		guard_free(&guard);
	}
}

static const struct input line_inputs[] = {
	INPUT("one\r\ntwo\r\n\r\nthree"),
	INPUT("\r\n"),
	INPUT("a\rb\nc\n\rd\r\r\n\n\re\r\n"),
	INPUT("\n\n\r\r\n\n"),
	INPUT("gr\xc3\xbc\xc3\x9f"
	      "e\r\n\xff\xfe\r\nok\n\r\xe2\x82\r\n\n\r\xf0\x9f\x98\x80\n\r"),
	INPUT("\xc0\x80\nx\r\n\xed\xa0\x80\r\ny\r\n"),
	INPUT("tail \xe2\x82"),
	INPUT("\0\r\n\0\r"),
};

struct newline_case {
	const char *config;
	const char *newline;
};

static const struct newline_case newline_cases[] = {
	{"", "\r\n"},
	{"crlf", "\r\n"},
	{"lfcr", "\n\r"},
	{"lf", "\n"},
	{"cr", "\r"},
};

static void check_newline_case(
	const struct newline_case *c, const struct input *input, size_t way) {
	struct stream stream = stream_run("newline", c->config, input, way);
	const uint8_t *data = (const uint8_t *)input->data;
	size_t at = 0;
	for(size_t n = 0; n < stream.messages; n++) {
		size_t len = naive_find(data + at, input->len - at, c->newline, strlen(c->newline));
		len = len ? len : input->len - at;
		bool text = naive_is_text(data + at, len);
		assert_int_equal(stream.message[n].len, len);
		assert_int_equal(stream.message[n].type, text ? ws_frame_text : ws_frame_binary);
		at += len;
	}
	assert_int_equal(at, input->len);
}

static void test_newline_every_cut(void **unused) {
	(void)unused;
	for(size_t c = 0; c < COUNT(newline_cases); c++) {
		for(size_t i = 0; i < COUNT(line_inputs); i++) {
			for(size_t way = 0; way < cut_ways(line_inputs[i].len); way++) {
				check_newline_case(&newline_cases[c], &line_inputs[i], way);
			}
		}
	}
}

static void test_newline_bad_configuration(void **unused) {
	(void)unused;
	static const char *const bad[] = {"crlfx", "CRLF", " lf", "\\n", "nl"};
	const struct websocksy_framing *framing = framings_find("newline");
	assert_null(framing_check(framing, NULL));
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_bad_configuration(framing, bad[i]);
	}
}

#define LONG_PAGES 12

/*
 * Feeds one long message byte by byte and takes the read permission from every page that lies
 * wholly before what may still be looked at: a function that starts over crashes. No clock
 * involved.
 */
static void check_never_looks_back(const char *name, const char *config, const char *pattern) {
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = LONG_PAGES * page;
	size_t keep = strlen(config);
	const struct websocksy_framing *framing = framings_find(name);
	struct guard guard = guard_new(NULL, size);
	struct websocksy_framing_stream stream;
	size_t locked = 0;
	assert_int_equal(framing_open(&stream, framing, NULL, strdup(config)), 0);
	for(size_t len = 1; len < size; len++) {
		struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
		guard.data[len - 1] = (uint8_t)pattern[(len - 1) % strlen(pattern)];
		guard.data[len] = 0;
		struct websocksy_input input = {.data = guard.data, .len = len, .fresh = 1};
		assert_int_equal(framing->decode(&stream, &input, &message), 0);
		if(len >= locked + page + keep) {
			assert_int_equal(mprotect(guard.data + locked, page, PROT_NONE), 0);
			locked += page;
		}
	}
	assert_true(locked >= size - 2 * page);
	framing_close(&stream);
	assert_int_equal(mprotect(guard.data, size, PROT_READ | PROT_WRITE), 0);
	guard_free(&guard);
}

static void test_long_messages_are_looked_at_once(void **unused) {
	(void)unused;
	check_never_looks_back("separator", "aaab", "a");
	check_never_looks_back("separator", "\\r\\n", "\r.");
	check_never_looks_back("newline", "crlf", "text \xe2\x82\xac\r.");
	check_never_looks_back("newline", "lfcr", "\r");
	check_never_looks_back("newline", "lf", "\xff");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_separator_every_cut),
		cmocka_unit_test(test_separator_bad_configuration),
		cmocka_unit_test(test_newline_every_cut),
		cmocka_unit_test(test_newline_bad_configuration),
		cmocka_unit_test(test_long_messages_are_looked_at_once),
	};
	return cmocka_run_group_tests_name("builtins_separators", tests, setup, teardown);
}
