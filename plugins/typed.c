/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `typed`: each message is preceded by its type and length, in both directions, so that
 * types, boundaries and empty messages are preserved.
 *
 * Must not know: anything of the core but websocksy_plugin.h.
 * Invariants: a header is one byte, the opcode of a text or binary message (RFC 6455, section 5.2),
 * and the length in 32 bits, most significant byte first. Only the header is written before the
 * parts of a message, which are passed on as they arrive.
 */
#include "websocksy_plugin.h"

#include <errno.h>

#define TYPED_HEADER 5

static const char *typed_check(const struct websocksy_framing *framing, const char *config) {
	(void)framing;
	return config[0] ? "must be empty: typed has no configuration" : NULL;
}

static uint32_t typed_length(const uint8_t *data) {
	return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* A message that the end cuts off, or that is not a whole datagram, is an error. */
static int64_t typed_wait(const struct websocksy_input *input) {
	return input->end ? -EPROTO : 0;
}

static int64_t typed_decode(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	(void)stream;
	if(input->len == 0) {
		return typed_wait(input);
	}
	if(input->data[0] != WEBSOCKSY_TEXT && input->data[0] != WEBSOCKSY_BINARY) {
		return -EPROTO;
	}
	if(input->len < TYPED_HEADER) {
		return typed_wait(input);
	}
	size_t len = typed_length(input->data + 1);
	if(input->len - TYPED_HEADER < len) {
		return typed_wait(input);
	}
	if(input->datagram && input->len - TYPED_HEADER > len) {
		return -EPROTO;
	}
	message->type = input->data[0] == WEBSOCKSY_TEXT ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY;
	message->data = input->data + TYPED_HEADER;
	message->len = len;
	return (int64_t)(TYPED_HEADER + len);
}

static int typed_encode(struct websocksy_framing_stream *stream, const struct websocksy_part *part,
	struct websocksy_output *output) {
	(void)stream;
	if(part->first) {
		if(part->total > UINT32_MAX) {
			return -EMSGSIZE;
		}
		uint32_t len = (uint32_t)part->total;
		uint8_t header[TYPED_HEADER] = {(uint8_t)part->type, (uint8_t)(len >> 24),
			(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
		int result = websocksy_append(output, header, sizeof(header));
		if(result) {
			return result;
		}
	}
	return websocksy_append(output, part->data, part->len);
}

static const struct websocksy_framing typed_framing = {
	.size = sizeof(typed_framing),
	.name = "typed",
	.description = "Messages with their type and length in front, in both directions",
	.flags = WEBSOCKSY_NEEDS_TOTAL,
	.check = typed_check,
	.decode = typed_decode,
	.encode = typed_encode,
};

static const struct websocksy_framing *const typed_framings[] = {&typed_framing, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "typed",
	.version = "1.0",
	.description = "Messages with type and length",
	.framings = typed_framings,
};
