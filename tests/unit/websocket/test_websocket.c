/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The WebSocket codec: every rule of RFC 6455, section 5, as a stream that is fed whole, byte by
 * byte and cut at every offset, always from memory that ends at an unreadable page, in place and
 * into other memory. Random streams are compared with a parser that does one byte at a time.
 */
#include "websocket.h"

#include "base/utf8.h"

#include "support.h"

#include <assert.h>
#include <errno.h>

static_assert(sizeof(struct websocket_parser) <= 64, "one lives in every connection");

enum {
	FIN = 0x80,
	LAST = FIN, /* the last continuation of a message */
	CONT = WEBSOCKET_CONTINUATION,
	TEXT = WEBSOCKET_TEXT,
	BINARY = WEBSOCKET_BINARY,
	CLOSE = WEBSOCKET_CLOSE,
	PING = WEBSOCKET_PING,
	PONG = WEBSOCKET_PONG
};

static const uint8_t test_mask[4] = {0x37, 0xFA, 0x21, 0x3D};

/* What a client sends, and what is to come of it. Grows as frames are added. */
struct stream {
	uint8_t *data;
	size_t len;
	size_t cap;
};

static void stream_add(struct stream *stream, const void *data, size_t len) {
	if(stream->cap - stream->len < len) {
		stream->cap = (stream->cap + len) * 2;
		stream->data = realloc(stream->data, stream->cap);
		assert_non_null(stream->data);
	}
	if(len > 0) {
		memcpy(stream->data + stream->len, data, len);
	}
	stream->len += len;
}

static void stream_free(struct stream *stream) {
	free(stream->data);
	*stream = (struct stream){0};
}

/*
 * A header with the length in a form of `form` bytes (0, 2, 8), without regard to whether that is
 * right.
 */
static void add_header(
	struct stream *stream, unsigned first, size_t form, uint64_t len, const uint8_t mask[4]) {
	uint8_t header[WEBSOCKET_CLIENT_HEADER_MAX] = {(uint8_t)first};
	header[1] = (uint8_t)(0x80 | (form == 0 ? len : form == 2 ? 126 : 127));
	for(size_t i = 0; i < form; i++) {
		header[2 + i] = (uint8_t)(len >> 8 * (form - 1 - i));
	}
	memcpy(header + 2 + form, mask, 4);
	stream_add(stream, header, 2 + form + 4);
}

static size_t shortest_form(uint64_t len) {
	return len < 126 ? 0 : len < 65536 ? 2 : 8;
}

static void add_frame(struct stream *stream, unsigned first, const void *payload, size_t len) {
	const uint8_t *bytes = payload;
	add_header(stream, first, shortest_form(len), len, test_mask);
	for(size_t i = 0; i < len; i++) {
		stream_add(stream, &(uint8_t){bytes[i] ^ test_mask[i % 4]}, 1);
	}
}

static void add_text(struct stream *stream, unsigned first, const char *payload) {
	add_frame(stream, first, payload, strlen(payload));
}

/*
 * What came out: data bytes as they are, a control frame as "[opcode:payload]", the end of a
 * message in `whole` mode as "|type;", a broken rule as "!code".
 */
struct run {
	const struct stream *in;
	struct websocket_parser parser;
	struct guard guard;
	struct guard other; /* output goes here; without data: in place */
	struct stream out;
	size_t data; /* data bytes in `out` */
	size_t bad_at; /* with BAD: how many bytes were fed until then */
	enum websocket_result result;
};

static void put_event(struct run *run, const char *format, int number) {
	char text[32];
	int len = snprintf(text, sizeof(text), format, number);
	stream_add(&run->out, text, (size_t)len);
}

static void put_control(
	struct run *run, const struct websocket_io *io, uint8_t *piece, size_t len) {
	assert_true(io->payload_len <= WEBSOCKET_CONTROL_MAX);
	if(io->payload < piece || io->payload > piece + len) {
		/* Payload that had to be collected does not depend on the input any more. */
		memset(piece, 0xEE, (size_t)(io->in - piece));
	}
	put_event(run, "[%d:", (int)io->opcode);
	stream_add(&run->out, io->payload, io->payload_len);
	put_event(run, "]", 0);
}

static void feed(void *ctx, size_t offset, size_t length) {
	struct run *run = ctx;
	if(run->result == WEBSOCKET_BAD) {
		return;
	}
	/* The piece lies in front of the unreadable page; the parser may not look behind it. */
	uint8_t *piece = run->guard.data + run->in->len - length;
	memcpy(piece, run->in->data + offset, length);
	struct websocket_io io = {.in = piece, .in_len = length};
	io.out = run->other.data ? run->other.data : piece;
	do {
		uint8_t *out = io.out;
		run->result = websocket_parse(&run->parser, &io);
		assert_true(io.out >= out);
		assert_ptr_equal(io.in + io.in_len, piece + length);
		stream_add(&run->out, out, (size_t)(io.out - out));
		run->data += (size_t)(io.out - out);
		if(run->result == WEBSOCKET_CONTROL) {
			put_control(run, &io, piece, length);
		} else if(run->result == WEBSOCKET_MESSAGE) {
			assert_true(run->parser.whole);
			put_event(run, "|%d;", run->parser.message);
		}
	} while(run->result == WEBSOCKET_MESSAGE || run->result == WEBSOCKET_CONTROL);
	if(run->result == WEBSOCKET_BAD) {
		assert_non_null(run->parser.error);
		put_event(run, "!%d", run->parser.code);
		run->bad_at = offset + length;
	} else {
		assert_int_equal(io.in_len, 0);
	}
}

/* The memory for the output of the last run, for the next one. */
static struct stream spare_out;

static struct run run_new(const struct stream *in, bool whole, bool in_place) {
	struct run run = {.in = in, .parser = {.whole = whole}, .guard = guard_new(NULL, in->len)};
	run.out = spare_out;
	spare_out = (struct stream){0};
	if(!in_place) {
		run.other = guard_new(NULL, in->len);
	}
	return run;
}

static void run_free(struct run *run) {
	websocket_parser_free(&run->parser);
	assert_null(run->parser.control);
	stream_free(&spare_out);
	spare_out = run->out;
	spare_out.len = 0;
	guard_free(&run->guard);
	if(run->other.data) {
		guard_free(&run->other);
	}
}

static void check_out(const struct run *run, const void *expected, size_t len, size_t way) {
	if(run->out.len != len || (len > 0 && memcmp(run->out.data, expected, len) != 0)) {
		fail_msg("way %zu: got %zu bytes \"%.*s\", expected %zu bytes \"%.*s\"", way,
			run->out.len, (int)(run->out.len < 300 ? run->out.len : 300),
			(const char *)run->out.data, len, (int)(len < 300 ? len : 300),
			(const char *)expected);
	}
}

/* Feeds the stream in one way, in place and not, and compares what comes out. */
static void check_way(
	const struct stream *in, bool whole, const void *expected, size_t len, size_t way) {
	for(int in_place = 0; in_place < 2; in_place++) {
		struct run run = run_new(in, whole, in_place);
		cut_feed(in->len, way, feed, &run);
		check_out(&run, expected, len, way);
		run_free(&run);
	}
}

static void check_bytes(const struct stream *in, bool whole, const void *expected, size_t len) {
	for(size_t way = 0; way < cut_ways(in->len); way++) {
		check_way(in, whole, expected, len, way);
	}
}

/* Checks and frees the stream. */
static void check(struct stream *in, bool whole, const char *expected) {
	check_bytes(in, whole, expected, strlen(expected));
	stream_free(in);
}

/*
 * The stream must fail with `code` exactly when `bad_at` bytes are there. Output up to the frame
 * that is to blame is `expected`; of that frame's own payload, earlier calls may have let through
 * the part that was fine.
 */
static void check_bad(struct stream *in, const char *expected, uint16_t code, size_t bad_at) {
	for(size_t way = 0; way < cut_ways(in->len); way++) {
		for(int in_place = 0; in_place < 2; in_place++) {
			struct run run = run_new(in, false, in_place);
			cut_feed(in->len, way, feed, &run);
			assert_int_equal(run.result, WEBSOCKET_BAD);
			assert_int_equal(run.parser.code, code);
			assert_true(run.out.len >= strlen(expected));
			assert_memory_equal(run.out.data, expected, strlen(expected));
			if(way == 0 || code == WEBSOCKET_CODE_PROTOCOL) {
				assert_int_equal(run.out.len, strlen(expected) + 5);
			}
			if(way == 1) {
				assert_int_equal(run.bad_at, bad_at);
			}
			run_free(&run);
		}
	}
	stream_free(in);
}

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

/*
 * A header that continues with bytes that would be frames on their own must not be taken for
 * them.
 */
static void test_mask_that_looks_like_frames(void **state) {
	(void)state;
	static const uint8_t mask[4] = {0x82, 0x80, 0x81, 0x80};
	static const size_t lengths[] = {0, 3, 100, 0x8180};
	for(size_t i = 0; i < COUNT(lengths); i++) {
		struct stream in = {0};
		struct stream expected = {0};
		add_header(&in, FIN | BINARY, shortest_form(lengths[i]), lengths[i], mask);
		for(size_t at = 0; at < lengths[i]; at++) {
			uint8_t byte = at % 2 ? 0x80 : 0x81;
			stream_add(&in, &byte, 1);
			byte ^= mask[at % 4];
			stream_add(&expected, &byte, 1);
		}
		stream_add(&expected, "|2;", 3);
		for(size_t way = 0; way < 20 && way < cut_ways(in.len); way++) {
			check_way(&in, true, expected.data, expected.len, way);
		}
		stream_free(&in);
		stream_free(&expected);
	}
}

/* Is the first byte allowed, as section 5.2 lists it? */
static bool first_allowed(unsigned first, bool in_message) {
	unsigned opcode = first & 0x0F;
	bool fin = first & 0x80;
	if(first & 0x70) {
		return false;
	}
	return opcode == 0                                   ? in_message
		: opcode == 1 || opcode == 2                 ? !in_message
		: opcode == 8 || opcode == 9 || opcode == 10 ? fin
							     : false;
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

/* The start of frames that nobody has the end of: what is there passes. */
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

static void fill(uint8_t *data, size_t len, bool text) {
	for(size_t i = 0; i < len; i++) {
		data[i] = text ? (uint8_t)('a' + i % 23) : (uint8_t)(i * 167 + (i >> 8));
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

/* A text message of two fragments, cut in front of byte `cut` of `text`. */
static void add_cut_text(struct stream *in, const char *text, size_t cut, bool ping) {
	add_frame(in, TEXT, text, cut);
	if(ping) {
		add_text(in, FIN | PING, "\xFF");
	}
	add_frame(in, CONT, "", 0);
	add_frame(in, LAST, text + cut, strlen(text) - cut);
}

static void test_text_cut_by_fragments(void **state) {
	(void)state;
	const char *text = "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 \xED\x9F\xBF\xF4\x8F\xBF\xBF";
	for(size_t cut = 0; cut <= strlen(text); cut++) {
		for(int ping = 0; ping < 2; ping++) {
			char expected[128];
			struct stream in = {0};
			add_cut_text(&in, text, cut, ping);
			add_text(&in, FIN | TEXT, "next");
			snprintf(expected, sizeof(expected),
				ping ? "%.*s[9:\xFF]%s|1;next|1;" : "%.*s%s|1;next|1;", (int)cut,
				text, text + cut);
			check(&in, true, expected);
		}
	}
}

static void test_invalid_text(void **state) {
	(void)state;
	static const struct {
		const char *text;
		size_t bad_at; /* the byte that cannot be; strlen: the end of the message */
	} cases[] = {{"\x80", 0}, {"ab\xFF", 2}, {"\xC0\xAF", 0}, {"a\xC3(", 2},
		{"\xE0\x80\x80", 1}, {"\xED\xA0\x80", 1}, {"\xF4\x90\x80\x80", 1}, {"\xF5", 0},
		{"0123456789abcdef0123456789\xC3x", 27}, {"\xE2\x82", 2}, {"\xF0\x9F\x98", 3},
		{"ok\xC3", 3}, {"\xF0\x9F\x98\x80\xF0", 5}};
	for(size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);
		/*
		 * The last byte of the frame tells both that it is there and that nothing
		 * follows.
		 */
		size_t bad_at = cases[i].bad_at < len ? cases[i].bad_at + 1 : len;
		struct stream in = {0};
		add_text(&in, FIN | BINARY, "\xFF");
		add_text(&in, FIN | TEXT, cases[i].text);
		check_bad(&in, "\xFF", WEBSOCKET_CODE_INVALID_DATA, 7 + 6 + bad_at);
		/*
		 * A fragment may end inside a character, the message may not; its header says so.
		 */
		add_text(&in, TEXT, cases[i].text);
		add_text(&in, LAST, "");
		bad_at = 6 + bad_at + (cases[i].bad_at < len ? 0 : 6);
		char expected[64];
		snprintf(expected, sizeof(expected), "%s",
			cases[i].bad_at < len ? "" : cases[i].text);
		check_bad(&in, expected, WEBSOCKET_CODE_INVALID_DATA, bad_at);
	}
}

/* A new message does not inherit the state of the one before; binary is not validated. */
static void test_binary_is_not_text(void **state) {
	(void)state;
	struct stream in = {0};
	add_text(&in, BINARY, "\xC3");
	add_text(&in, LAST, "\xFF\xFE");
	add_text(&in, FIN | TEXT, "text");
	add_text(&in, FIN | BINARY, "\xE2\x82");
	add_text(&in, TEXT, "\xE2\x82");
	add_text(&in, LAST, "\xAC");
	check(&in, true, "\xC3\xFF\xFE|2;text|1;\xE2\x82|2;\xE2\x82\xAC|1;");
}

/*
 * Invalid text far behind the start of a long frame, around the pieces in which text is
 * validated.
 */
static void test_invalid_text_far_behind(void **state) {
	(void)state;
	enum {
		LEN = 20000
	};
	uint8_t *payload = malloc(LEN);
	assert_non_null(payload);
	for(size_t at = 8150; at < 8230; at++) {
		struct stream in = {0};
		fill(payload, LEN, true);
		payload[at] = 0xC3;
		add_frame(&in, FIN | TEXT, payload, LEN);
		check_way(&in, false, "!1007", 5, 0);
		stream_free(&in);
		payload[at + 1] = 0xA4;
		add_frame(&in, FIN | TEXT, payload, LEN);
		check_way(&in, false, payload, LEN, 0);
		check_way(&in, false, payload, LEN, at + 8);
		stream_free(&in);
	}
	free(payload);
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

/* xorshift; the seed is fixed, so every run sees the same. */
static uint32_t next_random(uint32_t *seed) {
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* The plain parser that the codec is compared with. It has the whole stream and no hurry. */
struct oracle {
	const struct stream *in;
	size_t at;
	bool in_message;
	uint8_t type;
	uint32_t utf8;
	struct run out; /* for its writing functions only */
};

/* Do the bytes of a header that are there break a rule? */
static bool oracle_header_bad(const struct oracle *oracle, const uint8_t *header, size_t have) {
	if(have >= 1 && !first_allowed(header[0], oracle->in_message)) {
		return true;
	}
	if(have >= 2 && (header[1] < 0x80 || ((header[0] & 8) && header[1] > 0x80 + 125))) {
		return true;
	}
	if(have >= 4 && header[1] == 0xFE) {
		return header[2] == 0 && header[3] < 126;
	}
	if(have >= 3 && header[1] == 0xFF && header[2] >= 0x80) {
		return true;
	}
	if(have >= 8 && header[1] == 0xFF) {
		static const uint8_t zero[6];
		return memcmp(header + 2, zero, 6) == 0;
	}
	return false;
}

static void oracle_end(struct oracle *oracle, bool control, uint8_t first) {
	if(control) {
		put_event(&oracle->out, "]", 0);
	} else if(first & FIN) {
		put_event(&oracle->out, "|%d;", oracle->type);
		oracle->in_message = false;
	}
}

/* Payload byte by byte. False: bad, or the stream ended. */
static bool oracle_payload(
	struct oracle *oracle, uint8_t first, uint64_t len, const uint8_t *mask) {
	bool control = first & 8;
	for(uint64_t i = 0; i < len; i++) {
		if(oracle->at == oracle->in->len) {
			return false;
		}
		uint8_t byte = oracle->in->data[oracle->at++] ^ mask[i % 4];
		stream_add(&oracle->out.out, &byte, 1);
		if(!control && oracle->type == TEXT) {
			oracle->utf8 = utf8_feed(oracle->utf8, &byte, 1);
		}
	}
	return true;
}

static bool oracle_data(struct oracle *oracle, uint8_t first, uint64_t len, const uint8_t *mask) {
	struct run *out = &oracle->out;
	size_t kept = out->out.len;
	if(first & 15) {
		oracle->utf8 = UTF8_ACCEPT;
		oracle->type = first & 15;
	}
	oracle->in_message = true;
	bool complete = oracle_payload(oracle, first, len, mask);
	bool ends = complete && (first & FIN);
	if(oracle->type == TEXT &&
		(oracle->utf8 == UTF8_REJECT || (ends && oracle->utf8 != UTF8_ACCEPT))) {
		out->out.len = kept;
		put_event(out, "!%d", 1007);
		return false;
	}
	return complete;
}

/* One frame. False: the end, one way or the other. */
static bool oracle_frame(struct oracle *oracle) {
	const uint8_t *header = oracle->in->data + oracle->at;
	size_t have = oracle->in->len - oracle->at;
	struct run *out = &oracle->out;
	if(oracle_header_bad(oracle, header, have)) {
		put_event(out, "!%d", 1002);
		return false;
	}
	size_t form = have < 2 ? 0 : header[1] == 0xFE ? 2 : header[1] == 0xFF ? 8 : 0;
	if(have < 6 + form) {
		return false;
	}
	uint64_t len = form ? 0 : header[1] & 0x7F;
	for(size_t i = 0; i < form; i++) {
		len = len << 8 | header[2 + i];
	}
	oracle->at += 6 + form;
	bool control = header[0] & 8;
	if(control) {
		size_t kept = out->out.len;
		put_event(out, "[%d:", header[0] & 15);
		if(!oracle_payload(oracle, header[0], len, header + 2 + form)) {
			out->out.len = kept;
			return false;
		}
	} else if(!oracle_data(oracle, header[0], len, header + 2 + form)) {
		return false;
	}
	oracle_end(oracle, control, header[0]);
	return true;
}

static void add_random_frame(struct stream *in, uint32_t *seed, bool *in_message) {
	uint8_t payload[600];
	static const unsigned controls[] = {CLOSE, PING, PONG};
	uint32_t kind = next_random(seed) % 8;
	size_t len = next_random(seed) % (kind == 7 ? sizeof(payload) : 70);
	fill(payload, len, true);
	for(size_t i = 0; i + 2 < len && kind < 3; i += 2 + next_random(seed) % 20) {
		memcpy(payload + i, "\xC3\xA4", 2);
	}
	if(kind == 0) {
		add_frame(in, FIN | controls[next_random(seed) % 3], payload, len);
		return;
	}
	bool fin = next_random(seed) % 4 > 0;
	unsigned opcode = *in_message ? CONT : next_random(seed) % 2 ? TEXT : BINARY;
	add_frame(in, (fin ? FIN : 0) | opcode, payload, len);
	*in_message = !fin;
}

static void check_random_stream(uint32_t *seed) {
	struct stream in = {0};
	bool in_message = false;
	for(uint32_t frames = next_random(seed) % 12 + 1; frames > 0; frames--) {
		add_random_frame(&in, seed, &in_message);
	}
	if(next_random(seed) % 2) {
		in.data[next_random(seed) % in.len] ^= (uint8_t)(1 << next_random(seed) % 8);
	}
	struct oracle oracle = {.in = &in};
	while(oracle.at < in.len && oracle_frame(&oracle)) {
	}
	check_way(&in, true, oracle.out.out.data, oracle.out.out.len, 0);
	for(int i = 0; i < 20; i++) {
		struct run run = run_new(&in, true, i % 2);
		for(size_t at = 0; at < in.len;) {
			size_t piece = next_random(seed) % (i < 10 ? 12 : 200);
			piece = piece < in.len - at ? piece : in.len - at;
			feed(&run, at, piece);
			at += piece;
		}
		if(run.result != WEBSOCKET_BAD || run.parser.code != WEBSOCKET_CODE_INVALID_DATA) {
			check_out(&run, oracle.out.out.data, oracle.out.out.len, 1000);
		} else {
			assert_memory_equal(
				oracle.out.out.data + oracle.out.out.len - 5, "!1007", 5);
		}
		run_free(&run);
	}
	stream_free(&oracle.out.out);
	stream_free(&in);
}

static void test_random_streams(void **state) {
	(void)state;
	uint32_t seed = 2463534242;
	for(unsigned round = 0; round < 3000; round++) {
		check_random_stream(&seed);
	}
}

/* Unmasks at all lengths, distances and rotations; bytes around the output stay as they are. */
static void check_unmask(size_t len, size_t distance, size_t rotation) {
	uint8_t plain[400];
	uint8_t mask[4];
	uint8_t expected_mask[4];
	struct guard guard = guard_new(NULL, distance + len);
	uint8_t *src = guard.data + distance;
	fill(plain, sizeof(plain), false);
	memset(guard.data, 0xA5, distance);
	for(size_t i = 0; i < 4; i++) {
		mask[i] = test_mask[(i + rotation) % 4];
		expected_mask[i] = test_mask[(i + rotation + len) % 4];
	}
	for(size_t i = 0; i < len; i++) {
		src[i] = plain[i] ^ mask[i % 4];
	}
	websocket_unmask(guard.data, src, len, mask);
	assert_memory_equal(guard.data, plain, len);
	assert_memory_equal(mask, expected_mask, 4);
	for(size_t i = len; i < distance; i++) {
		assert_int_equal(guard.data[i], 0xA5);
	}
	guard_free(&guard);
}

static void test_unmask(void **state) {
	(void)state;
	for(size_t len = 0; len < 200; len++) {
		for(size_t distance = 0; distance < 40; distance++) {
			check_unmask(len, distance, (len + distance) % 4);
		}
		check_unmask(len + 180, len % 40, len % 4);
		check_unmask(len, 300, len % 3);
		check_unmask(len, 6, 0);
		check_unmask(len, 6, 1);
		check_unmask(len, 6, 2);
		check_unmask(len, 6, 3);
	}
}

static void test_unmask_in_pieces(void **state) {
	(void)state;
	uint8_t plain[350];
	fill(plain, sizeof(plain), false);
	for(size_t cut = 0; cut <= sizeof(plain); cut++) {
		uint8_t data[sizeof(plain)];
		uint8_t mask[4];
		memcpy(mask, test_mask, 4);
		for(size_t i = 0; i < sizeof(plain); i++) {
			data[i] = plain[i] ^ test_mask[i % 4];
		}
		websocket_unmask(data, data, cut, mask);
		websocket_unmask(data + cut, data + cut, sizeof(plain) - cut, mask);
		assert_memory_equal(data, plain, sizeof(plain));
	}
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
		cmocka_unit_test(test_mask_that_looks_like_frames),
		cmocka_unit_test(test_every_first_byte),
		cmocka_unit_test(test_long_control_frames),
		cmocka_unit_test(test_bad_lengths),
		cmocka_unit_test(test_huge_lengths),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_text_cut_by_fragments),
		cmocka_unit_test(test_invalid_text),
		cmocka_unit_test(test_binary_is_not_text),
		cmocka_unit_test(test_invalid_text_far_behind),
		cmocka_unit_test(test_whole_leaves_the_rest),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_unmask),
		cmocka_unit_test(test_unmask_in_pieces),
		cmocka_unit_test(test_put_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
