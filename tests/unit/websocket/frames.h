/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams of frames as a client sends them, and the parser fed with them whole, byte by byte and
 * cut at every offset.
 */
#ifndef WEBSOCKSY_TESTS_FRAMES_H
#define WEBSOCKSY_TESTS_FRAMES_H
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

static inline void stream_add(struct stream *stream, const void *data, size_t len) {
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

static inline void stream_free(struct stream *stream) {
	free(stream->data);
	*stream = (struct stream){0};
}

/*
 * A header with the length in a form of `form` bytes (0, 2, 8), without regard to whether that is
 * right.
 */
static inline void add_header(
	struct stream *stream, unsigned first, size_t form, uint64_t len, const uint8_t mask[4]) {
	uint8_t header[WEBSOCKET_CLIENT_HEADER_MAX] = {(uint8_t)first};
	header[1] = (uint8_t)(0x80 | (form == 0 ? len : form == 2 ? 126 : 127));
	for(size_t i = 0; i < form; i++) {
		header[2 + i] = (uint8_t)(len >> 8 * (form - 1 - i));
	}
	memcpy(header + 2 + form, mask, 4);
	stream_add(stream, header, 2 + form + 4);
}

static inline size_t shortest_form(uint64_t len) {
	return len < 126 ? 0 : len < 65536 ? 2 : 8;
}

static inline void add_frame(
	struct stream *stream, unsigned first, const void *payload, size_t len) {
	const uint8_t *bytes = payload;
	add_header(stream, first, shortest_form(len), len, test_mask);
	for(size_t i = 0; i < len; i++) {
		stream_add(stream, &(uint8_t){bytes[i] ^ test_mask[i % 4]}, 1);
	}
}

static inline void add_text(struct stream *stream, unsigned first, const char *payload) {
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

static inline void put_event(struct run *run, const char *format, int number) {
	char text[32];
	int len = snprintf(text, sizeof(text), format, number);
	stream_add(&run->out, text, (size_t)len);
}

static inline void put_control(
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

static inline void feed(void *ctx, size_t offset, size_t length) {
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

static inline struct run run_new(const struct stream *in, bool whole, bool in_place) {
	struct run run = {.in = in, .parser = {.whole = whole}, .guard = guard_new(NULL, in->len)};
	run.out = spare_out;
	spare_out = (struct stream){0};
	if(!in_place) {
		run.other = guard_new(NULL, in->len);
	}
	return run;
}

static inline void run_free(struct run *run) {
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

static inline void check_out(const struct run *run, const void *expected, size_t len, size_t way) {
	if(run->out.len != len || (len > 0 && memcmp(run->out.data, expected, len) != 0)) {
		fail_msg("way %zu: got %zu bytes \"%.*s\", expected %zu bytes \"%.*s\"", way,
			run->out.len, (int)(run->out.len < 300 ? run->out.len : 300),
			(const char *)run->out.data, len, (int)(len < 300 ? len : 300),
			(const char *)expected);
	}
}

/* Feeds the stream in one way, in place and not, and compares what comes out. */
static inline void check_way(
	const struct stream *in, bool whole, const void *expected, size_t len, size_t way) {
	for(int in_place = 0; in_place < 2; in_place++) {
		struct run run = run_new(in, whole, in_place);
		cut_feed(in->len, way, feed, &run);
		check_out(&run, expected, len, way);
		run_free(&run);
	}
}

static inline void check_bytes(
	const struct stream *in, bool whole, const void *expected, size_t len) {
	for(size_t way = 0; way < cut_ways(in->len); way++) {
		check_way(in, whole, expected, len, way);
	}
}

/* Checks and frees the stream. */
static inline void check(struct stream *in, bool whole, const char *expected) {
	check_bytes(in, whole, expected, strlen(expected));
	stream_free(in);
}

/*
 * The stream must fail with `code` exactly when `bad_at` bytes are there. Output up to the frame
 * that is to blame is `expected`; of that frame's own payload, earlier calls may have let through
 * the part that was fine.
 */
static inline void check_bad(
	struct stream *in, const char *expected, uint16_t code, size_t bad_at) {
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

/* Is the first byte allowed, as section 5.2 lists it? */
static inline bool first_allowed(unsigned first, bool in_message) {
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

static inline void fill(uint8_t *data, size_t len, bool text) {
	for(size_t i = 0; i < len; i++) {
		data[i] = text ? (uint8_t)('a' + i % 23) : (uint8_t)(i * 167 + (i >> 8));
	}
}
#endif
