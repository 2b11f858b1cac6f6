/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parser: messages, fragments, control frames, rules for headers and lengths.
 */
#include "websocket/frames.h"

static void test_simple_messages(void **state) {
	(void)state;
	struct stream in = {0};
	add_text(&in, FIN | TEXT, "Hello");
	check(&in, false, "Hello");
	add_text(&in, FIN | TEXT, "Hello");
	add_text(&in, FIN | BINARY, "");
	add_text(&in, FIN | BINARY, " World, this is more than a block");
	add_text(&in, FIN | TEXT, "!");
	check(&in, false, "Hello World, this is more than a block!");
	add_text(&in, FIN | TEXT, "Hello");
	add_text(&in, FIN | BINARY, "");
	add_text(&in, FIN | TEXT, "");
	add_text(&in, FIN | BINARY, "World");
	check(&in, true, "Hello|1;|2;|1;World|2;");
}

static void test_fragments(void **state) {
	(void)state;
	for(int whole = 0; whole < 2; whole++) {
		struct stream in = {0};
		add_text(&in, TEXT, "one");
		add_text(&in, CONT, "two");
		add_text(&in, LAST, "three");
		add_text(&in, BINARY, "");
		add_text(&in, CONT, "");
		add_text(&in, LAST, "");
		add_text(&in, BINARY, "a");
		add_text(&in, LAST, "b");
		add_text(&in, FIN | TEXT, "c");
		check(&in, whole, whole ? "onetwothree|1;|2;ab|2;c|1;" : "onetwothreeabc");
	}
}

static void test_control_frames(void **state) {
	(void)state;
	struct stream in = {0};
	add_text(&in, FIN | PING, "");
	add_text(&in, FIN | PONG, "here I am");
	add_text(&in, TEXT, "first");
	add_text(&in, FIN | PING, "between fragments");
	add_text(&in, LAST, "second");
	add_text(&in, FIN | CLOSE,
		"\x03\xE8"
		"bye");
	check(&in, true,
		"[9:][10:here I am]first[9:between fragments]second|1;[8:\x03\xE8"
		"bye]");
	char longest[WEBSOCKET_CONTROL_MAX + 1];
	memset(longest, 'p', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	add_text(&in, FIN | PING, longest);
	add_text(&in, FIN | BINARY, "x");
	char expected[sizeof(longest) + 8];
	snprintf(expected, sizeof(expected), "[9:%s]x", longest);
	check(&in, false, expected);
}

/*
 * A control frame that is not cut inside its payload needs no memory, and no memory is kept for
 * long.
 */
static void test_control_memory(void **state) {
	(void)state;
	struct stream in = {0};
	add_text(&in, FIN | PING, "abcdef");
	for(size_t cut = 0; cut < in.len; cut++) {
		struct websocket_parser parser = {0};
		struct websocket_io io = {.in = in.data, .in_len = cut};
		struct guard guard = guard_new(in.data, in.len);
		io.in = guard.data;
		assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MORE);
		assert_int_equal(parser.control != NULL, cut > 6);
		io.in_len = in.len - cut;
		assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_CONTROL);
		memset(guard.data, 0, cut > 6 ? in.len : 0);
		assert_int_equal(io.payload_len, 6);
		assert_memory_equal(io.payload, "abcdef", 6);
		assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MORE);
		assert_null(parser.control);
		guard_free(&guard);
	}
	/* Freed in the middle of a frame. */
	struct websocket_parser parser = {0};
	struct websocket_io io = {.in = in.data, .in_len = 8};
	assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MORE);
	assert_non_null(parser.control);
	websocket_parser_free(&parser);
	assert_null(parser.control);
	stream_free(&in);
}

static void check_first_bytes(unsigned first, bool masked, bool in_message) {
	struct stream in = {0};
	if(in_message) {
		add_text(&in, BINARY, "begun");
	}
	size_t before = in.len;
	const char *expected = in_message ? "begun" : "";
	add_text(&in, first, "\x03\xE8xyz");
	if(!masked) {
		in.data[before + 1] &= 0x7F;
	}
	if(!first_allowed(first, in_message)) {
		check_bad(&in, expected, WEBSOCKET_CODE_PROTOCOL, before + 1);
	} else if(!masked) {
		check_bad(&in, expected, WEBSOCKET_CODE_PROTOCOL, before + 2);
	} else {
		char out[64];
		bool control = first & 8;
		snprintf(out, sizeof(out), control ? "%s[%u:\x03\xE8xyz]" : "%s\x03\xE8xyz",
			expected, first & 15);
		if(first == (FIN | TEXT) || first == TEXT) {
			check_bad(&in, "", WEBSOCKET_CODE_INVALID_DATA, before + 9);
		} else {
			check(&in, false, out);
		}
	}
}

static void test_every_first_byte(void **state) {
	(void)state;
	for(unsigned first = 0; first < 256; first++) {
		for(unsigned i = 0; i < 4; i++) {
			check_first_bytes(first, i & 1, i & 2);
		}
	}
}

static void test_long_control_frames(void **state) {
	(void)state;
	static const unsigned opcodes[] = {CLOSE, PING, PONG};
	uint8_t payload[300] = {0};
	for(size_t i = 0; i < 3; i++) {
		struct stream in = {0};
		add_frame(&in, FIN | opcodes[i], payload, 126);
		check_bad(&in, "", WEBSOCKET_CODE_PROTOCOL, 2);
		add_frame(&in, FIN | opcodes[i], payload, 300);
		check_bad(&in, "", WEBSOCKET_CODE_PROTOCOL, 2);
		add_header(&in, FIN | opcodes[i], 2, 5, test_mask);
		check_bad(&in, "", WEBSOCKET_CODE_PROTOCOL, 2);
		add_header(&in, FIN | opcodes[i], 8, 5, test_mask);
		check_bad(&in, "", WEBSOCKET_CODE_PROTOCOL, 2);
	}
}

/* Lengths in forms that are longer than needed, or that no length may have. */
static void test_bad_lengths(void **state) {
	(void)state;
	static const struct {
		size_t form;
		uint64_t len;
		size_t bad_at;
	} cases[] = {{2, 0, 4}, {2, 1, 4}, {2, 125, 4}, {8, 0, 8}, {8, 1, 8}, {8, 125, 8},
		{8, 126, 8}, {8, 65535, 8}, {8, UINT64_C(1) << 63, 3}, {8, UINT64_MAX, 3},
		{8, UINT64_C(0xFFFFFFFFFFFFFFF8), 3}, {8, UINT64_C(0x8000000000000005), 3},
		{8, UINT64_C(0xFFFFFFFFFFFFFFF2), 3}};
	static const unsigned firsts[] = {FIN | TEXT, TEXT, FIN | BINARY, BINARY};
	for(size_t i = 0; i < COUNT(cases); i++) {
		for(size_t first = 0; first < COUNT(firsts); first++) {
			struct stream in = {0};
			add_text(&in, FIN | TEXT, "ok");
			size_t before = in.len;
			add_header(&in, firsts[first], cases[i].form, cases[i].len, test_mask);
			stream_add(&in, "0123456789ABCDEF", 16);
			check_bad(&in, "ok", WEBSOCKET_CODE_PROTOCOL, before + cases[i].bad_at);
		}
	}
}

/* The beginning of frames whose end never comes: the payload so far is delivered. */
static void test_huge_lengths(void **state) {
	(void)state;
	static const uint64_t lengths[] = {65536, UINT64_C(0xFFFFFFFF), UINT64_C(0x100000000),
		UINT64_C(0x7FFFFFFFFFFFFFF8), UINT64_C(0x7FFFFFFFFFFFFFFF)};
	for(size_t i = 0; i < COUNT(lengths); i++) {
		struct stream in = {0};
		add_header(&in, FIN | BINARY, 8, lengths[i], (const uint8_t[4]){0});
		stream_add(&in, "as it arrives", 13);
		check(&in, true, "as it arrives");
	}
}

static void check_length(size_t len, unsigned opcode) {
	uint8_t *payload = malloc(len + 1);
	assert_non_null(payload);
	fill(payload, len, opcode == TEXT);
	struct stream in = {0};
	struct stream expected = {0};
	for(int i = 0; i < 2; i++) {
		add_frame(&in, FIN | opcode, payload, len);
		stream_add(&expected, payload, len);
		stream_add(&expected, opcode == TEXT ? "|1;" : "|2;", 3);
	}
	size_t ways = cut_ways(in.len);
	for(size_t way = 0; way < ways;
		way += ways < 1000 || way < 40 || way > ways - 40 ? 1 : ways / 20) {
		check_way(&in, true, expected.data, expected.len, way);
	}
	stream_free(&expected);
	stream_free(&in);
	free(payload);
}

static void test_lengths(void **state) {
	(void)state;
	static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48,
		49, 63, 64, 65, 125, 126, 127, 128, 255, 256, 8191, 8192, 8193, 65535, 65536, 65537,
		200000};
	for(size_t i = 0; i < COUNT(lengths); i++) {
		check_length(lengths[i], BINARY);
		check_length(lengths[i], TEXT);
	}
}

/* Many frames in one input become one contiguous block in the same memory. */
static void test_compaction(void **state) {
	(void)state;
	struct stream in = {0};
	struct stream expected = {0};
	for(unsigned i = 0; i < 3000; i++) {
		uint8_t payload[400];
		size_t len = i * 7 % (i % 50 == 0 ? sizeof(payload) : 80);
		fill(payload, len, i % 2);
		add_frame(&in, FIN | (i % 2 ? TEXT : BINARY), payload, len);
		stream_add(&expected, payload, len);
	}
	struct guard guard = guard_new(in.data, in.len);
	struct websocket_parser parser = {0};
	struct websocket_io io = {.in = guard.data, .in_len = in.len, .out = guard.data};
	assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MORE);
	assert_int_equal(io.out - guard.data, expected.len);
	assert_memory_equal(guard.data, expected.data, expected.len);
	guard_free(&guard);
	check_way(&in, false, expected.data, expected.len, 1);
	stream_free(&in);
	stream_free(&expected);
}

/* `whole` stops at the end of each message and leaves the rest alone. */
static void test_whole_leaves_the_rest(void **state) {
	(void)state;
	struct stream in = {0};
	add_text(&in, FIN | TEXT, "one");
	add_text(&in, FIN | BINARY, "two");
	struct websocket_parser parser = {.whole = true};
	struct websocket_io io = {.in = in.data, .in_len = in.len, .out = in.data};
	assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MESSAGE);
	assert_int_equal(parser.message, TEXT);
	assert_ptr_equal(io.in, in.data + 9);
	assert_ptr_equal(io.out, in.data + 3);
	assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MESSAGE);
	assert_int_equal(parser.message, BINARY);
	assert_int_equal(io.in_len, 0);
	assert_memory_equal(in.data, "onetwo", 6);
	assert_int_equal(websocket_parse(&parser, &io), WEBSOCKET_MORE);
	stream_free(&in);
}

static void test_put_header(void **state) {
	(void)state;
	static const struct {
		uint64_t len;
		size_t size;
		const char *bytes; /* behind the first */
	} cases[] = {{0, 2, "\x00"}, {1, 2, "\x01"}, {125, 2, "\x7D"}, {126, 4, "\x7E\x00\x7E"},
		{127, 4, "\x7E\x00\x7F"}, {65535, 4, "\x7E\xFF\xFF"},
		{65536, 10, "\x7F\x00\x00\x00\x00\x00\x01\x00\x00"},
		{UINT64_C(0x0123456789ABCDEF), 10, "\x7F\x01\x23\x45\x67\x89\xAB\xCD\xEF"},
		{INT64_MAX, 10, "\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"}};
	static const enum websocket_opcode opcodes[] = {WEBSOCKET_CONTINUATION, WEBSOCKET_TEXT,
		WEBSOCKET_BINARY, WEBSOCKET_CLOSE, WEBSOCKET_PING, WEBSOCKET_PONG};
	for(size_t i = 0; i < COUNT(cases); i++) {
		for(size_t opcode = 0; opcode < 12; opcode++) {
			struct guard guard = guard_new(NULL, cases[i].size);
			bool fin = opcode % 2;
			size_t size = websocket_put_header(
				guard.data, fin, opcodes[opcode / 2], cases[i].len);
			assert_int_equal(size, cases[i].size);
			assert_int_equal(websocket_header_len(cases[i].len), size);
			assert_int_equal(
				guard.data[0], (fin ? 0x80 : 0) | (int)opcodes[opcode / 2]);
			assert_memory_equal(guard.data + 1, cases[i].bytes, size - 1);
			guard_free(&guard);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple_messages),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_control_frames),
		cmocka_unit_test(test_control_memory),
		cmocka_unit_test(test_every_first_byte),
		cmocka_unit_test(test_long_control_frames),
		cmocka_unit_test(test_bad_lengths),
		cmocka_unit_test(test_huge_lengths),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_whole_leaves_the_rest),
		cmocka_unit_test(test_put_header),
	};
	return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
