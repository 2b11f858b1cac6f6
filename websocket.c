/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The WebSocket codec: frames of clients are parsed, checked and unmasked; frames of the server get
 * their header.
 *
 * Must not know: file descriptors, connections, the owner of the memory.
 * Invariants: header_len > 0 only between frames, while in_payload is false. payload_left has been
 * checked only against its own limit of 63 bits, so it is only compared with the input at hand.
 * utf8 is UTF8_ACCEPT between messages. Every rule is checked as soon as the byte that breaks it
 * arrives, so a client cannot make the server wait for the rest of a frame that is refused anyway.
 * Output never passes the input: each frame loses at least its header of six bytes.
 * Implements RFC 6455, sections 5 (framing) and 8.1 (UTF-8).
 */
#include "websocket.h"

#include "base/passes.h"
#include "base/utf8.h"
#include "websocket/unmask.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIN = 0x80, /* first byte of a header */
	RSV = 0x70,
	OPCODE = 0x0F,
	CONTROL = 0x08, /* the bit that all opcodes of control frames have, section 5.5 */
	MASK = 0x80, /* second byte of a header */
	LENGTH = 0x7F,
	LENGTH_16 = 126, /* the length follows in two bytes */
	LENGTH_64 = 127, /* in eight */
	SHORT_HEADER = 2 + UNMASK_KEY_LEN,
	TEXT_PIECE = 8192 /* text is validated in such pieces, while they are in the L1 cache */
};

enum opcode_kind {
	KIND_RESERVED = 0,
	KIND_CONTINUATION,
	KIND_MESSAGE,
	KIND_CONTROL
};

static const uint8_t opcode_kinds[] = {
	[WEBSOCKET_CONTINUATION] = KIND_CONTINUATION,
	[WEBSOCKET_TEXT] = KIND_MESSAGE,
	[WEBSOCKET_BINARY] = KIND_MESSAGE,
	[WEBSOCKET_CLOSE] = KIND_CONTROL,
	[WEBSOCKET_PING] = KIND_CONTROL,
	[WEBSOCKET_PONG] = KIND_CONTROL,
	[OPCODE] = KIND_RESERVED,
};

static_assert(sizeof(opcode_kinds) == OPCODE + 1, "every value of four bits has its kind");

/* A number of `bytes` bytes in network order. */
static uint64_t read_number(const uint8_t *at, size_t bytes) {
	uint64_t value = 0;
	for(size_t i = 0; i < bytes; i++) {
		value = value << 8 | at[i];
	}
	return value;
}

static void write_number(uint8_t *at, uint64_t value, size_t bytes) {
	for(size_t i = bytes; i > 0; i--) {
		at[i - 1] = (uint8_t)value;
		value >>= 8;
	}
}

void websocket_unmask(uint8_t *dst, const uint8_t *src, size_t len, uint8_t mask[4]) {
	uint32_t key = unmask_load_32(mask);
	unmask_move(dst, src, len, key);
	unmask_store_32(mask, unmask_rotate(key, len));
}

static enum websocket_result fail(
	struct websocket_parser *parser, uint16_t code, const char *error) {
	parser->code = code;
	parser->error = error;
	return WEBSOCKET_BAD;
}

static enum websocket_result fail_protocol(struct websocket_parser *parser, const char *error) {
	return fail(parser, WEBSOCKET_CODE_PROTOCOL, error);
}

static enum websocket_result fail_text(struct websocket_parser *parser) {
	return fail(parser, WEBSOCKET_CODE_INVALID_DATA, "text that is not valid UTF-8");
}

static bool is_control(uint8_t opcode) {
	return (opcode & CONTROL) != 0;
}

static inline void advance(struct websocket_io *io, size_t len) {
	io->in += len;
	io->in_len -= len;
}

/* FIN, RSV and opcode: sections 5.2, 5.4 and 5.5. */
static enum websocket_result check_first(struct websocket_parser *parser, uint8_t first) {
	if(first & RSV) {
		return fail_protocol(parser, "reserved bit set");
	}
	switch(opcode_kinds[first & OPCODE]) {
	case KIND_CONTINUATION:
		return parser->in_message ? WEBSOCKET_MORE
					  : fail_protocol(parser, "continuation without a message");
	case KIND_MESSAGE:
		return !parser->in_message ? WEBSOCKET_MORE
					   : fail_protocol(parser, "new message inside a message");
	case KIND_CONTROL:
		return first & FIN ? WEBSOCKET_MORE
				   : fail_protocol(parser, "fragmented control frame");
	default:
		return fail_protocol(parser, "reserved opcode");
	}
}

/* MASK and the short length: sections 5.1 and 5.5. */
static enum websocket_result check_second(
	struct websocket_parser *parser, uint8_t first, uint8_t second) {
	if(!(second & MASK)) {
		return fail_protocol(parser, "frame without a mask");
	}
	if(is_control(first & OPCODE) && (second & LENGTH) > WEBSOCKET_CONTROL_MAX) {
		return fail_protocol(parser, "control frame too long");
	}
	return WEBSOCKET_MORE;
}

/*
 * A length in two or eight bytes must not fit into fewer, and its 64th bit must be 0, section 5.2.
 */
static enum websocket_result check_length(
	struct websocket_parser *parser, const uint8_t *header, size_t have) {
	uint8_t form = header[1] & LENGTH;
	if(form == LENGTH_64 && have >= 3 && (header[2] & 0x80)) {
		return fail_protocol(parser, "frame length of 2^63 or more");
	}
	if((form == LENGTH_64 && have >= 8 && read_number(header + 2, 6) == 0) ||
		(form == LENGTH_16 && have >= 4 && read_number(header + 2, 2) < LENGTH_16)) {
		return fail_protocol(parser, "frame length not in its shortest form");
	}
	return WEBSOCKET_MORE;
}

/* Checks as much of a header as is there, at least one byte. */
static enum websocket_result check_header(
	struct websocket_parser *parser, const uint8_t *header, size_t have) {
	enum websocket_result result = check_first(parser, header[0]);
	if(result == WEBSOCKET_MORE && have >= 2) {
		result = check_second(parser, header[0], header[1]);
	}
	if(result == WEBSOCKET_MORE && have > 2) {
		result = check_length(parser, header, have);
	}
	return result;
}

/* Bytes between the second byte of a header and the mask. */
static size_t length_size(uint8_t second) {
	uint8_t form = second & LENGTH;
	return form == LENGTH_64 ? 8 : form == LENGTH_16 ? 2 : 0;
}

/* A header is complete and checked. */
static void begin_payload(struct websocket_parser *parser, const uint8_t *header) {
	size_t extended = length_size(header[1]);
	parser->payload_left = extended ? read_number(header + 2, extended) : header[1] & LENGTH;
	memcpy(parser->mask, header + 2 + extended, UNMASK_KEY_LEN);
	parser->opcode = header[0] & OPCODE;
	parser->fin = (header[0] & FIN) != 0;
	parser->in_payload = true;
	parser->header_len = 0;
	if(opcode_kinds[parser->opcode] == KIND_MESSAGE) {
		parser->in_message = true;
		parser->message = parser->opcode;
	}
}

/*
 * Takes a header, or the part of it that has arrived, off the input. A header that was cut before
 * is continued in parser->header; otherwise it is read where it lies.
 */
static enum websocket_result take_header(struct websocket_parser *parser, struct websocket_io *io) {
	const uint8_t *header = io->in;
	size_t had = parser->header_len;
	size_t have = io->in_len;
	if(had > 0) {
		size_t room = sizeof(parser->header) - had;
		size_t more = io->in_len < room ? io->in_len : room;
		memcpy(parser->header + had, io->in, more);
		header = parser->header;
		have = had + more;
	}
	if(check_header(parser, header, have) != WEBSOCKET_MORE) {
		return WEBSOCKET_BAD;
	}
	size_t need = have < 2 ? SHORT_HEADER : SHORT_HEADER + length_size(header[1]);
	if(have >= need) {
		begin_payload(parser, header);
		advance(io, need - had);
		return WEBSOCKET_MORE;
	}
	if(had == 0) {
		memcpy(parser->header, header, have);
	}
	parser->header_len = (uint8_t)have;
	advance(io, io->in_len);
	return WEBSOCKET_MORE;
}

/* A data frame has arrived whole. */
static enum websocket_result end_data(struct websocket_parser *parser) {
	parser->in_payload = false;
	if(!parser->fin) {
		return WEBSOCKET_MORE;
	}
	parser->in_message = false;
	parser->messages++;
	return parser->whole ? WEBSOCKET_MESSAGE : WEBSOCKET_MORE;
}

/* Unmasks and validates a piece of text; false: it is not UTF-8. */
static bool take_text(struct websocket_parser *parser, struct websocket_io *io, size_t len) {
	while(len > 0) {
		size_t piece = len < TEXT_PIECE ? len : TEXT_PIECE;
		uint32_t mask = unmask_load_32(parser->mask);
		uint64_t seen = unmask_move(io->out, io->in, piece, mask);
		if((seen & UNMASK_NOT_ASCII) || parser->utf8 != UTF8_ACCEPT) {
			parser->utf8 = utf8_feed(parser->utf8, io->out, piece);
		}
		unmask_store_32(parser->mask, unmask_rotate(mask, piece));
		advance(io, piece);
		io->out += piece;
		len -= piece;
		if(parser->utf8 == UTF8_REJECT) {
			return false;
		}
	}
	return true;
}

/* Takes payload of a data frame, as much as there is. */
static enum websocket_result take_data(struct websocket_parser *parser, struct websocket_io *io) {
	uint8_t *start = io->out;
	size_t len = parser->payload_left < io->in_len ? (size_t)parser->payload_left : io->in_len;
	parser->payload_left -= len;
	bool ends = parser->fin && parser->payload_left == 0;
	bool valid = true;
	if(parser->message == WEBSOCKET_TEXT) {
		valid = take_text(parser, io, len) && (!ends || parser->utf8 == UTF8_ACCEPT);
	} else {
		websocket_unmask(io->out, io->in, len, parser->mask);
		advance(io, len);
		io->out += len;
	}
	if(!valid) {
		io->out = start;
		return fail_text(parser);
	}
	return parser->payload_left == 0 ? end_data(parser) : WEBSOCKET_MORE;
}

static enum websocket_result deliver_control(struct websocket_parser *parser,
	struct websocket_io *io, const uint8_t *payload, size_t len) {
	parser->in_payload = false;
	parser->control_len = 0;
	io->opcode = (enum websocket_opcode)parser->opcode;
	io->payload = payload;
	io->payload_len = len;
	return WEBSOCKET_CONTROL;
}

/* Keeps the payload of a control frame that the input cuts, until it is complete. */
static enum websocket_result collect_control(
	struct websocket_parser *parser, struct websocket_io *io) {
	if(io->in_len == 0) {
		return WEBSOCKET_MORE;
	}
	if(!parser->control) {
		parser->control = malloc(WEBSOCKET_CONTROL_MAX);
		if(!parser->control) {
			return fail(parser, WEBSOCKET_CODE_INTERNAL, "out of memory");
		}
	}
	size_t len = parser->payload_left < io->in_len ? (size_t)parser->payload_left : io->in_len;
	assert(len <= (size_t)WEBSOCKET_CONTROL_MAX - parser->control_len);
	websocket_unmask(parser->control + parser->control_len, io->in, len, parser->mask);
	advance(io, len);
	parser->control_len = (uint8_t)(parser->control_len + len);
	parser->payload_left -= len;
	if(parser->payload_left > 0) {
		return WEBSOCKET_MORE;
	}
	return deliver_control(parser, io, parser->control, parser->control_len);
}

/* Takes payload of a control frame; one that lies in the input is unmasked there. */
static enum websocket_result take_control(
	struct websocket_parser *parser, struct websocket_io *io) {
	if(parser->control_len > 0 || parser->payload_left > io->in_len) {
		return collect_control(parser, io);
	}
	size_t len = (size_t)parser->payload_left;
	uint8_t *payload = io->in;
	websocket_unmask(payload, payload, len, parser->mask);
	parser->payload_left = 0;
	advance(io, len);
	return deliver_control(parser, io, payload, len);
}

/*
 * The fast path: data messages of one short frame that are complete in the input, the usual case
 * when many messages arrive at once. Everything is kept in registers until the run ends. All other
 * frames, invalid ones included, are left to the general path, except text that is not UTF-8.
 */
static enum websocket_result take_short_messages(
	struct websocket_parser *parser, struct websocket_io *io) {
	enum websocket_result result = WEBSOCKET_MORE;
	uint8_t *in = io->in;
	uint8_t *out = io->out;
	size_t left = io->in_len;
	uint8_t message = parser->message;
	size_t messages = 0;
	const bool whole = parser->whole;
	while(left >= SHORT_HEADER) {
		uint8_t opcode = in[0] ^ FIN;
		size_t len = in[1] ^ MASK; /* above 127 if there is no mask */
		size_t head = SHORT_HEADER;
		if(len == LENGTH_16 && left >= SHORT_HEADER + 2) {
			len = (size_t)in[2] << 8 | in[3];
			head = SHORT_HEADER + 2;
			if(len < LENGTH_16) {
				break;
			}
		} else if(len >= LENGTH_16) {
			break;
		}
		if((opcode != WEBSOCKET_TEXT && opcode != WEBSOCKET_BINARY) || len > left - head) {
			break;
		}
		message = opcode;
		uint64_t seen = unmask_move(
			out, in + head, len, unmask_load_32(in + head - UNMASK_KEY_LEN));
		if(opcode == WEBSOCKET_TEXT && (seen & UNMASK_NOT_ASCII) && !utf8_valid(out, len)) {
			result = fail_text(parser);
			break;
		}
		out += len;
		in += head + len;
		left -= head + len;
		messages++;
		if(whole) {
			result = WEBSOCKET_MESSAGE;
			break;
		}
	}
	parser->message = message;
	parser->messages += messages;
	io->in = in;
	io->out = out;
	io->in_len = left;
	return result;
}

/*
 * Between frames: takes the headers and short messages there, up to the first payload that the
 * general path has to move.
 */
static enum websocket_result take_frame_start(
	struct websocket_parser *parser, struct websocket_io *io) {
	if(parser->header_len == 0 && !parser->in_message) {
		enum websocket_result result = take_short_messages(parser, io);
		if(result != WEBSOCKET_MORE || io->in_len == 0) {
			return result;
		}
	}
	return take_header(parser, io);
}

enum websocket_result websocket_parse(struct websocket_parser *parser, struct websocket_io *io) {
	assert(parser->code == 0);
	if(parser->control && parser->control_len == 0) {
		/* Delivered by the call before this one. */
		websocket_parser_free(parser);
	}
	enum websocket_result result = WEBSOCKET_MORE;
	PASSES(pieces, io->in_len);
	while(result == WEBSOCKET_MORE && io->in_len > 0) {
		PASS(pieces);
		if(!parser->in_payload) {
			result = take_frame_start(parser, io);
		}
		/* An empty payload is complete even if there is no more input. */
		if(result == WEBSOCKET_MORE && parser->in_payload) {
			result = is_control(parser->opcode) ? take_control(parser, io)
							    : take_data(parser, io);
		}
	}
	return result;
}

void websocket_parser_free(struct websocket_parser *parser) {
	free(parser->control);
	parser->control = NULL;
	parser->control_len = 0;
}

size_t websocket_header_len(uint64_t len) {
	return len < LENGTH_16 ? 2 : len <= UINT16_MAX ? 4 : WEBSOCKET_HEADER_MAX;
}

size_t websocket_put_header(
	uint8_t out[WEBSOCKET_HEADER_MAX], bool fin, enum websocket_opcode opcode, uint64_t len) {
	assert(len >> 63 == 0);
	size_t size = websocket_header_len(len);
	out[0] = (uint8_t)((fin ? FIN : 0) | (int)opcode);
	if(size == 2) {
		out[1] = (uint8_t)len;
		return size;
	}
	out[1] = size == 4 ? LENGTH_16 : LENGTH_64;
	write_number(out + 2, len, size - 2);
	return size;
}
