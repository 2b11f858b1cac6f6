/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UTF-8 in blocks: the checks of utf8.c for 16 bytes at once, written with the vector types of the
 * compiler.
 *
 * Must not know: where the bytes come from, the state between two calls.
 * Invariants: position 0 is a character boundary; nothing in front of it is read. Text that is
 * skipped is valid by the step function of utf8.c.
 * Implements RFC 3629, section 4. Long text goes through the registers of utf8_avx2.c where the
 * machine has them; UTF8_NARROW leaves that out, so that the tests compare both with a plain
 * decoder.
 */
#include "base/utf8_block.h"

#include "base/utf8_avx2.h"

/* The byte value `value` as the signed number that the vector units compare. */
#define BYTE(value) ((int8_t)(value))

/*
 * Marks the bytes of data[0..15] that cannot stand behind data[-3..-1] and each other. Where a
 * second byte is compared with a bound, anything but a continuation byte is an error already.
 */
static inline struct utf8_block find_errors(const uint8_t *data) {
	struct utf8_block now = utf8_block_load(data);
	struct utf8_block back1 = utf8_block_load(data - 1);
	struct utf8_block back2 = utf8_block_load(data - 2);
	struct utf8_block back3 = utf8_block_load(data - 3);
	struct utf8_block errors = {(back1.byte & BYTE(0xC0)) == BYTE(0xC0)};
	errors.byte |= (back2.byte & BYTE(0xE0)) == BYTE(0xE0);
	errors.byte |= (back3.byte & BYTE(0xF0)) == BYTE(0xF0);
	errors.byte ^= now.byte < BYTE(0xC0); /* a continuation byte exactly where one is due */
	errors.byte |= (now.byte & BYTE(0xFE)) == BYTE(0xC0);
	errors.byte |= (now.byte > BYTE(0xF4)) & (now.byte < 0);
	errors.byte |= (back1.byte == BYTE(0xE0)) & (now.byte < BYTE(0xA0));
	errors.byte |= (back1.byte == BYTE(0xED)) & (now.byte > BYTE(0x9F));
	errors.byte |= (back1.byte == BYTE(0xF0)) & (now.byte < BYTE(0x90));
	errors.byte |= (back1.byte == BYTE(0xF4)) & (now.byte > BYTE(0x8F));
	return errors;
}

/* Does the block at `at` continue the valid text before it? Position 0 is a character boundary. */
static bool block_is_valid(const uint8_t *data, size_t at) {
	if(utf8_block_is_ascii(data + at, UTF8_BLOCK)) {
		return utf8_block_unfinished(data, at) == 0;
	}
	if(at == 0) {
		/* There is nothing to look back at; zero bytes are ASCII. */
		uint8_t copy[UTF8_LOOK_BACK + UTF8_BLOCK] = {0};
		memcpy(copy + UTF8_LOOK_BACK, data, UTF8_BLOCK);
		return !utf8_block_any(find_errors(copy + UTF8_LOOK_BACK));
	}
	return !utf8_block_any(find_errors(data + at));
}

static bool stride_is_valid(const uint8_t *data, size_t at) {
	if(utf8_block_is_ascii(data + at, UTF8_STRIDE)) {
		return utf8_block_unfinished(data, at) == 0;
	}
	if(!block_is_valid(data, at)) {
		return false;
	}
	struct utf8_block errors = find_errors(data + at + UTF8_BLOCK);
	for(size_t block = 2; block < UTF8_STRIDE / UTF8_BLOCK; block++) {
		errors.byte |= find_errors(data + at + block * UTF8_BLOCK).byte;
	}
	return !utf8_block_any(errors);
}

/*
 * Skips the strides that wide registers check; 0 if there are none, or if the text is too short for
 * them.
 */
static size_t skip_wide(const uint8_t *data, size_t len) {
	return utf8_avx2_usable(len) && block_is_valid(data, 0) ? utf8_avx2_skip(data, len) : 0;
}

static bool last_block_is_valid(const uint8_t *data, size_t len) {
	const uint8_t *last = data + len - UTF8_BLOCK;
	return utf8_block_is_ascii(last, UTF8_BLOCK) || !utf8_block_any(find_errors(last));
}

size_t utf8_block_skip(const uint8_t *data, size_t len) {
	size_t at = skip_wide(data, len);
	while(len - at >= UTF8_STRIDE && stride_is_valid(data, at)) {
		at += UTF8_STRIDE;
	}
	while(len - at >= UTF8_BLOCK && block_is_valid(data, at)) {
		at += UTF8_BLOCK;
	}
	/* The rest is less than a block: check the last block, known in part, as a whole. */
	if(at < len && len - at < UTF8_BLOCK && len >= UTF8_BLOCK + UTF8_LOOK_BACK &&
		last_block_is_valid(data, len)) {
		at = len;
	}
	return at - utf8_block_unfinished(data, at);
}
