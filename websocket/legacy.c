/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames and keys of the protocols before RFC 6455.
 *
 * Must not know: file descriptors, connections, HTTP.
 * Invariants: in_payload is true inside of a frame with text, and header_len is 1 between the two
 * bytes of a closing frame; in_message is true if that text is not empty so far. utf8 is
 * UTF8_ACCEPT between frames. Output never passes the input: each frame loses its first byte.
 * Implements draft-hixie-thewebsocketprotocol-76, sections 4.2, 5.2 and 5.3, and -75, section 4.
 */
#include "websocket/legacy.h"

#include "base/passes.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <nettle/md5.h>
#include <string.h>

static_assert(LEGACY_ANSWER_LEN == MD5_DIGEST_SIZE, "the answer is an MD5 digest");

/* ---- keys ---- */

/* The digits of a key, as one number, divided by its spaces. */
static int key_number(struct slice key, uint32_t *out) {
	uint64_t number = 0;
	uint64_t spaces = 0;
	for(size_t i = 0; i < key.len; i++) {
		if(key.at[i] == ' ') {
			spaces++;
		} else if(text_is_digit(key.at[i]) &&
			(__builtin_mul_overflow(number, 10, &number) ||
				__builtin_add_overflow(
					number, (uint64_t)(key.at[i] - '0'), &number))) {
			return -EINVAL;
		}
	}
	if(spaces == 0 || number % spaces != 0 || number / spaces > UINT32_MAX) {
		return -EINVAL;
	}
	*out = (uint32_t)(number / spaces);
	return 0;
}

static void write_number(uint8_t out[4], uint32_t number) {
	for(size_t i = 0; i < 4; i++) {
		out[i] = (uint8_t)(number >> (24 - 8 * i));
	}
}

int legacy_answer(const struct legacy_keys *keys, uint8_t out[LEGACY_ANSWER_LEN]) {
	uint32_t first;
	uint32_t second;
	uint8_t challenge[8 + LEGACY_KEY_LEN];
	struct md5_ctx hash;
	if(key_number(keys->first, &first) || key_number(keys->second, &second)) {
		return -EINVAL;
	}
	write_number(challenge, first);
	write_number(challenge + 4, second);
	memcpy(challenge + 8, keys->third, LEGACY_KEY_LEN);
	md5_init(&hash);
	md5_update(&hash, sizeof(challenge), challenge);
	md5_digest(&hash, LEGACY_ANSWER_LEN, out);
	return 0;
}

/* ---- frames ---- */

static enum websocket_result fail(
	struct websocket_parser *parser, uint16_t code, const char *error) {
	parser->code = code;
	parser->error = error;
	return WEBSOCKET_BAD;
}

static inline void advance(struct websocket_io *io, size_t len) {
	io->in += len;
	io->in_len -= len;
}

/* The first byte of a frame, or the second of a closing one. */
static enum websocket_result take_type(struct websocket_parser *parser, struct websocket_io *io) {
	uint8_t byte = io->in[0];
	bool closing = parser->header_len > 0;
	advance(io, 1);
	if(!closing && byte == LEGACY_END) {
		parser->header_len = 1;
		return WEBSOCKET_MORE;
	}
	if(byte != LEGACY_BEGIN) {
		/* The drafts have others, with a length in front; nothing ever sent them. */
		return fail(parser, WEBSOCKET_CODE_PROTOCOL, "frame of an unknown type");
	}
	parser->header_len = 0;
	if(closing) {
		io->opcode = WEBSOCKET_CLOSE;
		io->payload = NULL;
		io->payload_len = 0;
		return WEBSOCKET_CONTROL;
	}
	parser->in_payload = true;
	parser->message = WEBSOCKET_TEXT;
	return WEBSOCKET_MORE;
}

/* A frame has ended. */
static enum websocket_result end_text(struct websocket_parser *parser) {
	bool is_message = parser->in_message;
	parser->in_payload = false;
	parser->in_message = false;
	return is_message && parser->whole ? WEBSOCKET_MESSAGE : WEBSOCKET_MORE;
}

/* Text up to the end of the frame, or as much as there is. */
static enum websocket_result take_text(struct websocket_parser *parser, struct websocket_io *io) {
	const uint8_t *end = memchr(io->in, LEGACY_END, io->in_len);
	size_t len = end ? (size_t)(end - io->in) : io->in_len;
	parser->utf8 = utf8_feed(parser->utf8, io->in, len);
	if(parser->utf8 == UTF8_REJECT || (end && parser->utf8 != UTF8_ACCEPT)) {
		return fail(parser, WEBSOCKET_CODE_INVALID_DATA, "text that is not valid UTF-8");
	}
	memmove(io->out, io->in, len);
	io->out += len;
	parser->in_message = parser->in_message || len > 0;
	advance(io, end ? len + 1 : len);
	return end ? end_text(parser) : WEBSOCKET_MORE;
}

enum websocket_result legacy_parse(struct websocket_parser *parser, struct websocket_io *io) {
	enum websocket_result result = WEBSOCKET_MORE;
	assert(parser->code == 0);
	PASSES(pieces, io->in_len);
	while(result == WEBSOCKET_MORE && io->in_len > 0) {
		PASS(pieces);
		result = parser->in_payload ? take_text(parser, io) : take_type(parser, io);
	}
	return result;
}

size_t legacy_close_put(uint8_t out[LEGACY_CLOSE_LEN], enum legacy_version version) {
	out[0] = LEGACY_END;
	out[1] = LEGACY_BEGIN;
	return version == LEGACY_HIXIE_76 ? LEGACY_CLOSE_LEN : 0;
}
