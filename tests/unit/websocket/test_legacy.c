/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The codec of the versions before HyBi: the vectors of the drafts, and frames that are cut everywhere.
 */
#include "websocket/legacy.h"

#include "support.h"

#include <errno.h>

#define EVENTS_MAX 16
#define PAYLOAD_MAX 64

/* ---- keys ---- */

static void test_answers_of_the_drafts(void **unused) {
	static const struct {
		const char *first;
		const char *second;
		const char *third;
		const char *answer;
	} cases[] = {
		{"4 @1  46546xW%0l 1 5", "12998 5 Y3 1  .P00", "^n:ds[4U", "8jKS'y:G*Co,Wxa-"},
		{"18x 6]8vM;54 *(5:  {   U1]8  z [  8", "1_ tx7X d  <  nw  334J702) 7]o}` 0",
			"Tm[K T2u", "fQJ,fN/4F4!~K~MH"},
	};
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		uint8_t answer[LEGACY_ANSWER_LEN];
		const struct legacy_keys keys = {text_slice(cases[i].first),
			text_slice(cases[i].second), (const uint8_t *)cases[i].third};
		assert_int_equal(legacy_answer(&keys, answer), 0);
		assert_memory_equal(answer, cases[i].answer, sizeof(answer));
	}
}

static void test_keys_that_are_not_valid(void **unused) {
	static const char good[] = "4 @1  46546xW%0l 1 5";
	static const char *const bad[] = {
		"",
		"123", /* no spaces */
		"1 3", /* fine, see below */
		"1 1  1", /* 111 / 3 is fine, too */
		"1  1", /* a remainder */
		"42 94967296", /* 2^32 */
		"85899 345 92", /* 2^33 / 2 */
		"4294967 29500000000000000000000", /* above 64 bits */
		"   ",
	};
	static const bool fine[] = {[2] = true, [3] = true, [8] = true};
	(void)unused;
	for(size_t i = 0; i < COUNT(bad); i++) {
		uint8_t answer[LEGACY_ANSWER_LEN];
		struct legacy_keys keys = {
			text_slice(bad[i]), text_slice(good), (const uint8_t *)"12345678"};
		int expected = fine[i] ? 0 : -EINVAL;
		assert_int_equal(legacy_answer(&keys, answer), expected);
		keys.second = keys.first;
		keys.first = text_slice(good);
		assert_int_equal(legacy_answer(&keys, answer), expected);
	}
}

/* ---- frames ---- */

struct parsing {
	struct websocket_parser parser;
	const uint8_t *input;
	size_t ends[EVENTS_MAX]; /* where in `payload` messages have ended */
	size_t messages;
	size_t closes;
	bool bad;
	size_t len;
	uint8_t payload[PAYLOAD_MAX];
};

static void parse_piece(void *ctx, size_t offset, size_t length) {
	struct parsing *parsing = ctx;
	struct guard guard = guard_new(parsing->input + offset, length);
	struct websocket_io io = {.in = guard.data, .in_len = length, .out = guard.data};
	enum websocket_result result = WEBSOCKET_MESSAGE;
	while(result != WEBSOCKET_MORE && !parsing->bad && parsing->closes == 0) {
		uint8_t *block = io.out;
		result = legacy_parse(&parsing->parser, &io);
		assert_true(io.out <= io.in);
		memcpy(parsing->payload + parsing->len, block, (size_t)(io.out - block));
		parsing->len += (size_t)(io.out - block);
		parsing->bad = result == WEBSOCKET_BAD;
		if(result == WEBSOCKET_MESSAGE) {
			assert_int_equal(parsing->parser.message, WEBSOCKET_TEXT);
			parsing->ends[parsing->messages++] = parsing->len;
		} else if(result == WEBSOCKET_CONTROL) {
			assert_int_equal(io.opcode, WEBSOCKET_CLOSE);
			assert_int_equal(io.payload_len, 0);
			parsing->closes++;
		}
	}
	guard_free(&guard);
}

struct frames_case {
	const char *input;
	size_t len;
	const char *payload; /* of all messages */
	size_t messages;
	size_t closes;
	uint16_t code; /* 0: none */
};
#define FRAMES(text, ...) {text, sizeof(text) - 1, __VA_ARGS__}

static const struct frames_case cases[] = {
	FRAMES("\x00hello\xff", "hello", 1, 0, 0),
	FRAMES("\x00one\xff\x00two\xff", "onetwo", 2, 0, 0),
	FRAMES("\x00\xff", "", 0, 0, 0),
	FRAMES("\x00\xff\x00" "a\xff\x00\xff", "a", 1, 0, 0),
	FRAMES("\x00gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xff", "gr\xc3\xbc\xc3\x9f\xe2\x82\xac", 1, 0, 0),
	FRAMES("\xff\x00", "", 0, 1, 0),
	FRAMES("\x00" "bye\xff\xff\x00\x00more\xff", "bye", 1, 1, 0),
	FRAMES("\x00incomplete", "incomplete", 0, 0, 0),
	FRAMES("\x00\x00\xff", "\0", 1, 0, 0), /* a NUL is a character */
	FRAMES("\x01" "a\xff", "", 0, 0, WEBSOCKET_CODE_PROTOCOL),
	FRAMES("\x80\x02xx", "", 0, 0, WEBSOCKET_CODE_PROTOCOL),
	FRAMES("\xff\xff", "", 0, 0, WEBSOCKET_CODE_PROTOCOL),
	FRAMES("\xff\x01", "", 0, 0, WEBSOCKET_CODE_PROTOCOL),
	FRAMES("\x00" "a\xff" "GET / HTTP/1.1", "a", 1, 0, WEBSOCKET_CODE_PROTOCOL),
	FRAMES("\x81\x85\x37\xfa\x21\x3d", "", 0, 0, WEBSOCKET_CODE_PROTOCOL), /* RFC 6455 */
};

static void check_case(const struct frames_case *c, bool whole) {
	for(size_t way = 0; way < cut_ways(c->len); way++) {
		struct parsing parsing = {.input = (const uint8_t *)c->input};
		parsing.parser.whole = whole;
		cut_feed(c->len, way, parse_piece, &parsing);
		assert_int_equal(parsing.messages, whole ? c->messages : 0);
		assert_int_equal(parsing.closes, c->closes);
		assert_int_equal(parsing.bad ? parsing.parser.code : 0, c->code);
		if(parsing.len > 0) {
			assert_memory_equal(parsing.payload, c->payload, parsing.len);
		}
		assert_int_equal(parsing.len, c->payload[0] ? strlen(c->payload) : parsing.len);
	}
}

static void test_frames(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		check_case(&cases[i], true);
		check_case(&cases[i], false);
	}
}

/* How much of it has been delivered before depends on the cuts; that it is refused does not. */
static void test_text_that_is_not_valid(void **unused) {
	static const struct {
		const char *input;
		size_t len;
	} texts[] = {
		{"\x00" "a\xc0\x80\xff", 5},
		{"\x00\xed\xa0\x80\xff", 5},
		{"\x00ok\xff\x00\xe2\x82\xff", 8},
		{"\x00\xfe", 2},
	};
	(void)unused;
	for(size_t i = 0; i < COUNT(texts); i++) {
		for(size_t way = 0; way < cut_ways(texts[i].len); way++) {
			struct parsing parsing = {.input = (const uint8_t *)texts[i].input};
			cut_feed(texts[i].len, way, parse_piece, &parsing);
			assert_true(parsing.bad);
			assert_int_equal(parsing.parser.code, WEBSOCKET_CODE_INVALID_DATA);
		}
	}
}

static void test_messages_end_where_frames_end(void **unused) {
	static const char input[] = "\x00one\xff\x00\xff\x00three\xff";
	(void)unused;
	for(size_t way = 0; way < cut_ways(sizeof(input) - 1); way++) {
		struct parsing parsing = {.input = (const uint8_t *)input};
		parsing.parser.whole = true;
		cut_feed(sizeof(input) - 1, way, parse_piece, &parsing);
		assert_int_equal(parsing.messages, 2);
		assert_int_equal(parsing.ends[0], 3);
		assert_int_equal(parsing.ends[1], 8);
	}
}

static void test_closing_frames(void **unused) {
	uint8_t out[LEGACY_CLOSE_LEN];
	(void)unused;
	assert_int_equal(legacy_close_put(out, LEGACY_HIXIE_75), 0);
	assert_int_equal(legacy_close_put(out, LEGACY_HIXIE_76), 2);
	assert_memory_equal(out, "\xff\x00", 2);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_of_the_drafts),
		cmocka_unit_test(test_keys_that_are_not_valid),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_text_that_is_not_valid),
		cmocka_unit_test(test_messages_end_where_frames_end),
		cmocka_unit_test(test_closing_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
