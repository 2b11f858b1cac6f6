/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The WebSocket codec: what clients send is parsed, checked and unmasked, what the server sends
 * gets its header. RFC 6455, sections 4.2.2 (accept key), 5 (framing), 7.4 (close codes), 8.1
 * (UTF-8).
 *
 * Must not know file descriptors, connections, or who provides the memory it works on.
 *
 * Invariants of the parser: header_len > 0 only between frames, while in_payload is false.
 * payload_left has been checked against nothing but its own limit of 63 bits: it is only ever
 * compared with the input that is there. utf8 is UTF8_ACCEPT between messages. Every rule is
 * checked as soon as the byte that breaks it is there, so a client cannot make the server wait
 * for the rest of something that is refused anyway. Output never passes the input: each frame
 * loses at least its header of six bytes.
 */
#include "websocket.h"

#include "base/passes.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && !defined(WEBSOCKET_NARROW)
#define WEBSOCKET_WIDE
#include <immintrin.h>
#endif

enum {
	FIN = 0x80, /* first byte of a header */
	RSV = 0x70,
	OPCODE = 0x0F,
	CONTROL = 0x08, /* the bit that all opcodes of control frames have, section 5.5 */
	MASK = 0x80, /* second byte of a header */
	LENGTH = 0x7F,
	LENGTH_16 = 126, /* the length follows in two bytes */
	LENGTH_64 = 127, /* in eight */
	MASK_LEN = 4,
	SHORT_HEADER = 2 + MASK_LEN,
	BLOCK = 16, /* bytes in a vector register that every 64-bit machine has */
	PAIR = 2 * BLOCK,
	WIDE = 32, /* bytes in a vector register that newer x86 machines have */
	WIDE_MIN = 2 * WIDE, /* below, the call costs what it saves */
	WORD = 8,
	TEXT_PIECE = 8192, /* text is validated in such pieces, while they are in the L1 cache */
	KEY_LEN = 24, /* base64 of 16 bytes */
	KEY_PADDING = 2,
	REASON_MAX = WEBSOCKET_CONTROL_MAX - 2 /* of a close frame: behind the code */
};

/* A bit pattern that finds bytes above 0x7F in a word. */
#define NOT_ASCII UINT64_C(0x8080808080808080)

/* Section 1.3; appended to the key. */
static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

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

/*
 * Close codes that may come in a frame: section 7.4.1, without those that only stand for the
 * absence of a code; 1012 to 1014 are the ones that IANA added; from 3000 on they belong to
 * libraries and applications.
 */
static const struct code_range {
	uint16_t first;
	uint16_t last;
} code_ranges[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};

struct block {
	uint64_t lane __attribute__((vector_size(BLOCK)));
};

static_assert(sizeof(struct block) == BLOCK, "a block is one vector and nothing else");

static inline uint32_t load_32(const uint8_t *at) {
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint64_t load_64(const uint8_t *at) {
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline struct block load_block(const uint8_t *at) {
	struct block value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void store_32(uint8_t *at, uint32_t value) {
	memcpy(at, &value, sizeof(value));
}

static inline void store_64(uint8_t *at, uint64_t value) {
	memcpy(at, &value, sizeof(value));
}

static inline void store_block(uint8_t *at, struct block value) {
	memcpy(at, &value, sizeof(value));
}

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

/* `mask` (four bytes as they lie in memory) for data that begins `bytes` later. */
static inline uint32_t rotate_mask(uint32_t mask, size_t bytes) {
	unsigned bits = (unsigned)(bytes % MASK_LEN) * 8;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = 32 - bits;
#endif
	return mask >> (bits & 31) | mask << ((32 - bits) & 31);
}

static inline uint64_t double_mask(uint32_t mask) {
	return (uint64_t)mask << 32 | mask;
}

static inline struct block fill_block(uint32_t mask) {
	uint64_t twice = double_mask(mask);
	return (struct block){{twice, twice}};
}

/*
 * The mover. Since dst may lie in front of src with any distance, nothing may be stored behind
 * the byte that has been loaded last, and nothing behind dst + len: the next frame may be there.
 * Whatever does not fill a block is therefore covered by a last block (or word) that ends with
 * the payload; it is loaded before anything is stored, and overlaps what has been stored with the
 * same bytes. These return the payload bytes or-ed together; the interesting thing about them is
 * NOT_ASCII.
 */
static inline uint64_t move_long(uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	const struct block key = fill_block(mask);
	struct block last = load_block(src + len - BLOCK);
	last.lane ^= fill_block(rotate_mask(mask, len)).lane;
	struct block seen = last;
	size_t at = 0;
	for(; len - at > PAIR; at += PAIR) {
		struct block one = load_block(src + at);
		struct block two = load_block(src + at + BLOCK);
		one.lane ^= key.lane;
		two.lane ^= key.lane;
		seen.lane |= one.lane | two.lane;
		store_block(dst + at, one);
		store_block(dst + at + BLOCK, two);
	}
	if(len - at > BLOCK) {
		struct block one = load_block(src + at);
		one.lane ^= key.lane;
		seen.lane |= one.lane;
		store_block(dst + at, one);
	}
	store_block(dst + len - BLOCK, last);
	return seen.lane[0] | seen.lane[1];
}

#ifdef WEBSOCKET_WIDE
/*
 * move_long() with wide registers, for processors that have them. WEBSOCKET_NARROW leaves it out; both pass
 * the same tests.
 */
__attribute__((target("avx2"))) static uint64_t move_wide(
	uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	const __m256i key = _mm256_set1_epi32((int)mask);
	const __m256i last_key = _mm256_set1_epi32((int)rotate_mask(mask, len));
	const __m256i last = _mm256_loadu_si256((const __m256i_u *)(src + len - WIDE)) ^ last_key;
	__m256i seen = last;
	size_t at = 0;
	for(; len - at > 2 * WIDE; at += 2 * WIDE) {
		__m256i one = _mm256_loadu_si256((const __m256i_u *)(src + at)) ^ key;
		__m256i two = _mm256_loadu_si256((const __m256i_u *)(src + at + WIDE)) ^ key;
		seen |= one | two;
		_mm256_storeu_si256((__m256i_u *)(dst + at), one);
		_mm256_storeu_si256((__m256i_u *)(dst + at + WIDE), two);
	}
	if(len - at > WIDE) {
		__m256i one = _mm256_loadu_si256((const __m256i_u *)(src + at)) ^ key;
		seen |= one;
		_mm256_storeu_si256((__m256i_u *)(dst + at), one);
	}
	_mm256_storeu_si256((__m256i_u *)(dst + len - WIDE), last);
	return _mm256_movemask_epi8(seen) ? NOT_ASCII : 0;
}

static inline bool use_wide(size_t len) {
	return len >= WIDE_MIN && __builtin_cpu_supports("avx2");
}
#else
static uint64_t move_wide(uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	return move_long(dst, src, len, mask);
}

static inline bool use_wide(size_t len) {
	(void)len;
	return false;
}
#endif

static inline uint64_t move_short(uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	const uint32_t last_mask = rotate_mask(mask, len);
	if(len >= WORD) {
		uint64_t first = load_64(src) ^ double_mask(mask);
		uint64_t last = load_64(src + len - WORD) ^ double_mask(last_mask);
		store_64(dst, first);
		store_64(dst + len - WORD, last);
		return first | last;
	}
	if(len >= MASK_LEN) {
		uint32_t first = load_32(src) ^ mask;
		uint32_t last = load_32(src + len - MASK_LEN) ^ last_mask;
		store_32(dst, first);
		store_32(dst + len - MASK_LEN, last);
		return first | last;
	}
	uint8_t key[MASK_LEN];
	store_32(key, mask);
	uint8_t seen = 0;
	for(size_t at = 0; at < len; at++) {
		dst[at] = src[at] ^ key[at];
		seen |= dst[at];
	}
	return seen;
}

static inline uint64_t move_unmasked(uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	if(use_wide(len)) {
		return move_wide(dst, src, len, mask);
	}
	return len >= BLOCK ? move_long(dst, src, len, mask) : move_short(dst, src, len, mask);
}

void websocket_unmask(uint8_t *dst, const uint8_t *src, size_t len, uint8_t mask[4]) {
	uint32_t key = load_32(mask);
	move_unmasked(dst, src, len, key);
	store_32(mask, rotate_mask(key, len));
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
 * A length that follows in more bytes: it must need them, and its 64th bit is no part of it,
 * section 5.2.
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
	memcpy(parser->mask, header + 2 + extended, MASK_LEN);
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
 * Takes a header, or what there is of it, off the input. A header that was cut before is
 * continued in parser->header; otherwise it is read where it lies.
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
	return parser->whole ? WEBSOCKET_MESSAGE : WEBSOCKET_MORE;
}

/* Unmasks and validates a piece of text; false: it is none. */
static bool take_text(struct websocket_parser *parser, struct websocket_io *io, size_t len) {
	while(len > 0) {
		size_t piece = len < TEXT_PIECE ? len : TEXT_PIECE;
		uint32_t mask = load_32(parser->mask);
		uint64_t seen = move_unmasked(io->out, io->in, piece, mask);
		if((seen & NOT_ASCII) || parser->utf8 != UTF8_ACCEPT) {
			parser->utf8 = utf8_feed(parser->utf8, io->out, piece);
		}
		store_32(parser->mask, rotate_mask(mask, piece));
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
 * when many messages arrive at once. Everything lives in registers until the run ends. Whatever
 * is not of this kind, broken rules included, is left to the general path, except text that turns
 * out to be none.
 */
static enum websocket_result take_short_messages(
	struct websocket_parser *parser, struct websocket_io *io) {
	enum websocket_result result = WEBSOCKET_MORE;
	uint8_t *in = io->in;
	uint8_t *out = io->out;
	size_t left = io->in_len;
	uint8_t message = parser->message;
	while(left >= SHORT_HEADER && result == WEBSOCKET_MORE) {
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
		uint64_t seen = move_unmasked(out, in + head, len, load_32(in + head - MASK_LEN));
		if(opcode == WEBSOCKET_TEXT && (seen & NOT_ASCII) && !utf8_valid(out, len)) {
			result = fail_text(parser);
			break;
		}
		out += len;
		in += head + len;
		left -= head + len;
		result = parser->whole ? WEBSOCKET_MESSAGE : WEBSOCKET_MORE;
	}
	parser->message = message;
	io->in = in;
	io->out = out;
	io->in_len = left;
	return result;
}

/*
 * Between frames: takes what begins there, up to the first payload that the general path has to
 * move.
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

size_t websocket_put_close(
	uint8_t out[WEBSOCKET_CLOSE_FRAME_MAX], uint16_t code, const char *reason) {
	size_t text = 0;
	if(code == WEBSOCKET_CODE_NONE) {
		return websocket_put_header(out, true, WEBSOCKET_CLOSE, 0);
	}
	if(reason) {
		/* Cuts at a character boundary and lets out nothing but UTF-8. */
		text = utf8_prefix((const uint8_t *)reason, strnlen(reason, REASON_MAX), NULL);
	}
	size_t header = websocket_put_header(out, true, WEBSOCKET_CLOSE, 2 + text);
	write_number(out + header, code, 2);
	if(text > 0) {
		memcpy(out + header + 2, reason, text);
	}
	return header + 2 + text;
}

static bool is_close_code(uint16_t code) {
	for(size_t i = 0; i < sizeof(code_ranges) / sizeof(code_ranges[0]); i++) {
		if(code >= code_ranges[i].first && code <= code_ranges[i].last) {
			return true;
		}
	}
	return false;
}

int websocket_parse_close(const uint8_t *payload, size_t len, uint16_t *code) {
	*code = WEBSOCKET_CODE_NONE;
	if(len == 0) {
		return 0;
	}
	*code = WEBSOCKET_CODE_PROTOCOL;
	if(len < 2) {
		return -EPROTO;
	}
	uint16_t received = (uint16_t)read_number(payload, 2);
	if(!is_close_code(received)) {
		return -EPROTO;
	}
	if(!utf8_valid(payload + 2, len - 2)) {
		*code = WEBSOCKET_CODE_INVALID_DATA;
		return -EPROTO;
	}
	*code = received;
	return 0;
}

static bool is_base64(char c) {
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		c == '+' || c == '/';
}

bool websocket_key_valid(const char *key, size_t len) {
	if(len != KEY_LEN) {
		return false;
	}
	for(size_t i = 0; i < KEY_LEN - KEY_PADDING; i++) {
		if(!is_base64(key[i])) {
			return false;
		}
	}
	return key[KEY_LEN - 2] == '=' && key[KEY_LEN - 1] == '=';
}

void websocket_accept_key(const char *key, size_t len, char out[WEBSOCKET_ACCEPT_LEN + 1]) {
	static_assert(BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) == WEBSOCKET_ACCEPT_LEN,
		"the accept key is the base64 form of a digest");
	struct sha1_ctx hash;
	uint8_t digest[SHA1_DIGEST_SIZE];
	sha1_init(&hash);
	sha1_update(&hash, len, (const uint8_t *)key);
	sha1_update(&hash, sizeof(accept_guid) - 1, (const uint8_t *)accept_guid);
	sha1_digest(&hash, sizeof(digest), digest);
	base64_encode_raw(out, sizeof(digest), digest);
	out[WEBSOCKET_ACCEPT_LEN] = '\0';
}
