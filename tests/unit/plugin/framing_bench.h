/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Calls a framing of the registry as the core does: a growing buffer with a NUL behind its end (and
 * an unreadable page behind that), the count of new bytes, and the rule for data that is left over.
 */
#ifndef WEBSOCKSY_TESTS_FRAMING_BENCH_H
#define WEBSOCKSY_TESTS_FRAMING_BENCH_H
#include "builtins.h"
#include "plugin.h"
#include "plugin/framings.h"
#include "support.h"

#include <errno.h>

#define MESSAGES_MAX 512

struct message {
	ws_operation type;
	size_t at; /* in the input */
	size_t len;
};

struct stream {
	struct websocksy_framing_stream framing;
	bool version1; /* called as plugins of version 1 do */
	const uint8_t *input;
	size_t start; /* of what is not sent yet */
	size_t end; /* of what has been read */
	ws_operation left;
	size_t messages;
	struct message message[MESSAGES_MAX];
};

struct input {
	const char *data;
	size_t len;
};
#define INPUT(text)                                                                                \
	{ text, sizeof(text) - 1 }
/* ---- oracles ---- */

/* One character, by the table of RFC 3629, section 4; 0: none here. */
static inline size_t naive_character(const uint8_t *at, size_t len) {
	static const uint8_t table[][4][2] = {
		{{0x00, 0x7f}},
		{{0xc2, 0xdf}, {0x80, 0xbf}},
		{{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}},
		{{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}},
		{{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}},
	};
	for(size_t row = 0; row < COUNT(table); row++) {
		size_t n = 0;
		while(n < 4 && (n == 0 || table[row][n][1] != 0)) {
			if(n >= len || at[n] < table[row][n][0] || at[n] > table[row][n][1]) {
				break;
			}
			n++;
		}
		if(n > 0 && (n == 4 || table[row][n][1] == 0)) {
			return n;
		}
	}
	return 0;
}

static inline bool naive_is_text(const uint8_t *at, size_t len) {
	while(len > 0) {
		size_t n = naive_character(at, len);
		if(n == 0) {
			return false;
		}
		at += n;
		len -= n;
	}
	return true;
}

static inline void stream_record(struct stream *stream, ws_operation type, size_t len) {
	assert_true(stream->messages < MESSAGES_MAX);
	stream->message[stream->messages++] = (struct message){type, stream->start, len};
	stream->start += len;
}

static inline int64_t stream_decode(
	struct stream *stream, struct websocksy_input *input, struct websocksy_message *message) {
	struct websocksy_framing_stream *framing = &stream->framing;
	if(stream->version1) {
		ws_operation type = ws_frame_binary;
		int64_t result = framings_function(framing->framing)(input->data, input->len,
			input->fresh, &type, &framing->state, framing->config);
		message->type = (enum websocksy_type)type;
		return result;
	}
	return framing->framing->decode(framing, input, message);
}

static inline int64_t stream_call(struct stream *stream, size_t last_read, ws_operation *opcode) {
	size_t len = stream->end - stream->start;
	struct guard guard = guard_new(NULL, len + 1);
	struct websocksy_output room = {.reserve = framing_reserve};
	memcpy(guard.data, stream->input + stream->start, len);
	guard.data[len] = 0;
	struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
	struct websocksy_input input = {
		.data = guard.data, .len = len, .fresh = last_read, .room = &room};
	int64_t result = stream_decode(stream, &input, &message);
	*opcode = (ws_operation)message.type;
	framing_output_free(&room);
	guard_free(&guard);
	return result;
}

static inline void stream_feed(void *ctx, size_t offset, size_t length) {
	struct stream *stream = ctx;
	assert_int_equal(offset, stream->end);
	stream->end += length;
	size_t last_read = length;
	while(stream->start < stream->end) {
		ws_operation opcode;
		int64_t result = stream_call(stream, last_read, &opcode);
		assert_true(result >= 0 && (size_t)result <= stream->end - stream->start);
		stream->left = opcode;
		if(result == 0) {
			break;
		}
		assert_true(opcode == ws_frame_text || opcode == ws_frame_binary);
		if((stream->framing.framing->flags & WEBSOCKSY_TEXT_IS_VALID) &&
			opcode == ws_frame_text) {
			assert_true(naive_is_text(stream->input + stream->start, (size_t)result));
		}
		stream_record(stream, opcode, (size_t)result);
		last_read = stream->end - stream->start;
	}
}

/* The peer closes: what is left is a last message. */
static inline void stream_end(struct stream *stream) {
	size_t len = stream->end - stream->start;
	if(len > 0) {
		bool text = stream->left == ws_frame_text &&
			naive_is_text(stream->input + stream->start, len);
		stream_record(stream, text ? ws_frame_text : ws_frame_binary, len);
	}
	if(stream->version1 && !stream->framing.state) {
		stream->framing.config = NULL;
	} else if(stream->version1) {
		ws_operation opcode = ws_frame_binary;
		framings_function(stream->framing.framing)(
			NULL, 0, 0, &opcode, &stream->framing.state, "");
		assert_null(stream->framing.state);
		stream->framing.config = NULL;
	}
	framing_close(&stream->framing);
}

static inline struct stream stream_start(
	const char *name, const char *config, const uint8_t *input) {
	struct stream stream = {.input = input};
	const struct websocksy_framing *framing = framings_find(name);
	assert_non_null(framing);
	assert_null(framing_check(framing, config));
	assert_int_equal(framing_open(&stream.framing, framing, NULL, strdup(config)), 0);
	return stream;
}

/* Like stream_start(), but the state is made by the first call. */
static inline struct stream stream_start_version1(
	const char *name, const char *config, const uint8_t *input) {
	struct stream stream = {.input = input, .version1 = true};
	stream.framing.framing = framings_find(name);
	stream.framing.config = config;
	return stream;
}

static inline void stream_work(struct stream *stream, const struct input *input, size_t way) {
	cut_feed(input->len, way, stream_feed, stream);
	stream_end(stream);
	assert_int_equal(stream->start, input->len);
}

/* Both ways of calling the framing lead to the same messages. */
static inline struct stream stream_run(
	const char *name, const char *config, const struct input *input, size_t way) {
	const uint8_t *data = (const uint8_t *)input->data;
	struct stream stream = stream_start(name, config, data);
	struct stream version1 = stream_start_version1(name, config, data);
	stream_work(&stream, input, way);
	stream_work(&version1, input, way);
	assert_int_equal(version1.messages, stream.messages);
	assert_memory_equal(version1.message, stream.message, sizeof(stream.message));
	return stream;
}

static inline int setup(void **unused) {
	(void)unused;
	return builtins_register();
}

static inline int teardown(void **unused) {
	(void)unused;
	plugin_shutdown();
	return 0;
}
#endif
