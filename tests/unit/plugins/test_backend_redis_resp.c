/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Replies of Redis: each stream whole, byte by byte, cut at every offset, and cut off.
 */
#include "support.h"

#include "plugins/backend_redis/resp.c"

/* Replies as text, such as "+OK|$5:hello|_|-ERR x|". */
struct transcript {
	const uint8_t *input;
	struct resp resp;
	char text[512];
	bool bad;
};

static void note(struct transcript *transcript, const struct resp_reply *reply) {
	static const char *const marks[] = {
		[RESP_STATUS] = "+",
		[RESP_ERROR] = "-",
		[RESP_INTEGER] = ":",
		[RESP_VALUE] = "$",
		[RESP_NULL] = "_",
		[RESP_TOO_LONG] = "!",
	};
	size_t len = strlen(transcript->text);
	snprintf(transcript->text + len, sizeof(transcript->text) - len, "%s%.*s|",
		marks[reply->kind], (int)reply->len, reply->data);
}

static void feed(void *ctx, size_t offset, size_t length) {
	struct transcript *transcript = ctx;
	struct guard guard = guard_new(transcript->input + offset, length);
	size_t at = 0;
	while(at < length && !transcript->bad) {
		struct resp_reply reply;
		size_t used;
		enum resp_result result =
			resp_take(&transcript->resp, guard.data + at, length - at, &used, &reply);
		assert_true(used > 0 && used <= length - at);
		at += used;
		transcript->bad = result == RESP_BAD;
		if(result == RESP_DONE) {
			note(transcript, &reply);
		}
	}
	guard_free(&guard);
}

static void read_stream(struct transcript *transcript, const char *input, size_t len, size_t way) {
	memset(transcript, 0, sizeof(*transcript));
	transcript->input = (const uint8_t *)input;
	cut_feed(len, way, feed, transcript);
}

struct stream_case {
	const char *input, *expected;
	bool bad;
};

static const struct stream_case streams[] = {
	{"+OK\r\n", "+OK|", false},
	{"+OK\r\n$5\r\nhello\r\n$-1\r\n:42\r\n", "+OK|$hello|_|:42|", false},
	{"$0\r\n\r\n$1\r\na\r\n", "$|$a|", false},
	{"$4\r\n\r\n$1\r\n", "$\r\n$1|", false},
	{"-WRONGTYPE no\r\n+\r\n", "-WRONGTYPE no|+|", false},
	{"$-2\r\n", "", true},
	{"$\r\n", "", true},
	{"$+1\r\na\r\n", "", true},
	{"$1a\r\n", "", true},
	{"$99999999999\r\n", "", true},
	{"$536870913\r\n", "", true},
	{"$1\r\nab\r\n", "", true},
	{"$1\r\na\n", "", true},
	{"$1\r\na\rx", "", true},
	{"+OK\n", "", true},
	{"+OK\rx", "", true},
	{"*1\r\n$1\r\na\r\n", "", true},
	{"HTTP/1.1 400 Bad Request\r\n", "", true},
	{"+OK\r\n\r\n", "+OK|", true},
	{"_\r\n", "", true},
};

static void test_streams_in_any_pieces(void **state) {
	struct transcript transcript;
	(void)state;
	for(size_t i = 0; i < COUNT(streams); i++) {
		size_t len = strlen(streams[i].input);
		for(size_t way = 0; way < cut_ways(len); way++) {
			read_stream(&transcript, streams[i].input, len, way);
			assert_string_equal(transcript.text, streams[i].expected);
			assert_int_equal(transcript.bad, streams[i].bad);
		}
	}
}

static void test_prefixes_are_incomplete(void **state) {
	static const char input[] = "$12\r\n10.0.0.1:590\r\n";
	struct transcript transcript;
	(void)state;
	for(size_t len = 0; len < sizeof(input) - 1; len++) {
		read_stream(&transcript, input, len, 0);
		assert_string_equal(transcript.text, "");
		assert_false(transcript.bad);
	}
}

static void test_any_bytes(void **state) {
	struct transcript transcript;
	char input[64];
	unsigned seed = 1;
	(void)state;
	for(size_t round = 0; round < 20000; round++) {
		for(size_t i = 0; i < sizeof(input); i++) {
			static const char likely[] = "+-:$*0123456789\r\n\r\nab";
			seed = seed * 1103515245 + 12345;
			unsigned byte = seed >> 16;
			input[i] = byte & 0x100 ? (char)byte : likely[byte % (sizeof(likely) - 1)];
		}
		input[0] = "+-:$"[round % 4];
		read_stream(&transcript, input, sizeof(input), 0);
	}
}

/* A value of `len` bytes and a status behind it. */
static void check_long_value(size_t len, const char *expected) {
	char *input = calloc(1, len + 32);
	struct transcript transcript;
	size_t head = (size_t)snprintf(input, 32, "$%zu\r\n", len);
	memset(input + head, '\r', len);
	memcpy(input + head + len, "\r\n+OK\r\n", 7);
	memset(&transcript, 0, sizeof(transcript));
	for(size_t at = 0; at < head + len + 7; at += 1000) {
		size_t left = head + len + 7 - at;
		transcript.input = (uint8_t *)input;
		feed(&transcript, at, left < 1000 ? left : 1000);
	}
	assert_string_equal(transcript.text, expected);
	assert_false(transcript.bad);
	free(input);
}

static void test_long_values_are_skipped(void **state) {
	(void)state;
	check_long_value(RESP_VALUE_MAX + 1, "!|+OK|");
	check_long_value(1 << 20, "!|+OK|");
}

static void test_the_longest_value(void **state) {
	char input[RESP_VALUE_MAX + 16];
	struct resp resp = {0};
	struct resp_reply reply;
	size_t used;
	(void)state;
	size_t head = (size_t)snprintf(input, sizeof(input), "$%d\r\n", RESP_VALUE_MAX);
	memset(input + head, 'x', RESP_VALUE_MAX);
	memcpy(input + head + RESP_VALUE_MAX, "\r\n", 2);
	size_t len = head + RESP_VALUE_MAX + 2;
	assert_int_equal(resp_take(&resp, (uint8_t *)input, len, &used, &reply), RESP_DONE);
	assert_int_equal(used, len);
	assert_int_equal(reply.kind, RESP_VALUE);
	assert_int_equal(reply.len, RESP_VALUE_MAX);
}

static void test_long_errors_are_cut(void **state) {
	char input[1024];
	struct transcript transcript;
	(void)state;
	memset(input, 'E', sizeof(input));
	input[0] = '-';
	memcpy(input + sizeof(input) - 2, "\r\n", 2);
	read_stream(&transcript, input, sizeof(input), 0);
	assert_int_equal(strlen(transcript.text), 1 + RESP_LINE_KEPT + 1);
	assert_false(transcript.bad);
}

static void test_endless_lines_are_rejected(void **state) {
	static char input[RESP_LINE_MAX + 16];
	struct transcript transcript;
	(void)state;
	memset(input, 'x', sizeof(input));
	input[0] = '+';
	read_stream(&transcript, input, sizeof(input), 0);
	assert_true(transcript.bad);
}

static void test_commands(void **state) {
	char out[RESP_COMMAND_MAX];
	const struct resp_word get[] = {{.text = "GET"}, {.prefix = "ns", .text = "a\r\nb"}};
	static const char expected[] = "*2\r\n$3\r\nGET\r\n$7\r\nns:a\r\nb\r\n";
	(void)state;
	assert_int_equal(resp_command(out, get, 2), sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
}

static void test_the_longest_command_fits(void **state) {
	struct guard out = guard_new(NULL, RESP_COMMAND_MAX);
	char text[RESP_WORD_MAX + 2];
	struct resp_word words[RESP_WORDS_MAX] = {{.text = text}, {.text = text}, {.text = text}};
	(void)state;
	memset(text, 'x', sizeof(text));
	text[RESP_WORD_MAX] = '\0';
	assert_int_not_equal(resp_command((char *)out.data, words, RESP_WORDS_MAX), 0);
	words[2].prefix = "p";
	assert_int_equal(resp_command((char *)out.data, words, RESP_WORDS_MAX), 0);
	guard_free(&out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_in_any_pieces),
		cmocka_unit_test(test_prefixes_are_incomplete),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_long_values_are_skipped),
		cmocka_unit_test(test_the_longest_value),
		cmocka_unit_test(test_long_errors_are_cut),
		cmocka_unit_test(test_endless_lines_are_rejected),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_the_longest_command_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
