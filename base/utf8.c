/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Incremental UTF-8 validation, as RFC 6455, section 8.1, requires of text messages.
 *
 * Must not know: where the bytes come from.
 * Invariants: a state other than UTF8_ACCEPT and UTF8_REJECT holds, from the low byte up, the
 * smallest and the largest value that the next byte may have, and how many bytes the character
 * still lacks (1 to 3). UTF8_REJECT reads as an empty range, so nothing leads out of it.
 * Implements RFC 3629, section 4: the step function is the rule; utf8_block.c checks many bytes at
 * once and leaves short and invalid text to it.
 */
#include "base/utf8.h"

#include "base/utf8_block.h"

/* State that waits for `missing` bytes, the first of which is in `low` to `high`. */
#define STATE(missing, low, high)                                                                  \
	((uint32_t)(missing) << 16 | (uint32_t)(high) << 8 | (uint32_t)(low))

/* The state behind the first byte of a character: RFC 3629, section 4. */
static const uint32_t first_byte[256] = {
	[0x00 ... 0x7F] = UTF8_ACCEPT,
	[0x80 ... 0xBF] = UTF8_REJECT, /* continuation bytes */
	[0xC0 ... 0xC1] = UTF8_REJECT, /* overlong: would fit into one byte */
	[0xC2 ... 0xDF] = STATE(1, 0x80, 0xBF),
	[0xE0] = STATE(2, 0xA0, 0xBF), /* below: overlong */
	[0xE1 ... 0xEC] = STATE(2, 0x80, 0xBF),
	[0xED] = STATE(2, 0x80, 0x9F), /* above: surrogates */
	[0xEE ... 0xEF] = STATE(2, 0x80, 0xBF),
	[0xF0] = STATE(3, 0x90, 0xBF), /* below: overlong */
	[0xF1 ... 0xF3] = STATE(3, 0x80, 0xBF),
	[0xF4] = STATE(3, 0x80, 0x8F), /* above: beyond U+10FFFF */
	[0xF5 ... 0xFF] = UTF8_REJECT,
};

static uint32_t step(uint32_t state, uint8_t byte) {
	if(state == UTF8_ACCEPT) {
		return first_byte[byte];
	}
	if(byte < (uint8_t)state || byte > (uint8_t)(state >> 8)) {
		return UTF8_REJECT;
	}
	uint32_t missing = (state >> 16) - 1;
	return missing == 0 ? UTF8_ACCEPT : STATE(missing, 0x80, 0xBF);
}

uint32_t utf8_feed(uint32_t state, const uint8_t *data, size_t len) {
	if(state == UTF8_ACCEPT && utf8_block_is_short_ascii(data, len)) {
		return UTF8_ACCEPT;
	}
	size_t at = 0;
	while(state != UTF8_ACCEPT && state != UTF8_REJECT && at < len) {
		state = step(state, data[at++]);
	}
	if(at == len || state == UTF8_REJECT) {
		return state;
	}
	at += utf8_block_skip(data + at, len - at);
	while(at < len && state != UTF8_REJECT) {
		state = step(state, data[at++]);
	}
	return state;
}

bool utf8_valid(const uint8_t *data, size_t len) {
	return utf8_feed(UTF8_ACCEPT, data, len) == UTF8_ACCEPT;
}

size_t utf8_prefix(const uint8_t *data, size_t len, bool *rest) {
	uint32_t state = UTF8_ACCEPT;
	size_t boundary = len > 0 ? utf8_block_skip(data, len) : 0;
	for(size_t at = boundary; at < len && state != UTF8_REJECT; at++) {
		state = step(state, data[at]);
		if(state == UTF8_ACCEPT) {
			boundary = at + 1;
		}
	}
	if(rest) {
		*rest = state != UTF8_ACCEPT && state != UTF8_REJECT;
	}
	return boundary;
}
