/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Base64 in blocks of 12 bytes and 16 characters, written with the vector types of the compiler.
 *
 * Must not know: padding, the state between two calls.
 * Invariants: a block is loaded before anything of it is stored; nothing is read or written outside
 * of the buffers, so the loops end while there is room for the whole words that they load and
 * store.
 * Implements RFC 4648, section 4. Long data goes through the registers of base64_avx2.c where the
 * machine has them; BASE64_NARROW leaves that out, so that the tests compare both with a plain
 * codec.
 */
#include "base/base64_block.h"

#include <assert.h>
#include <string.h>

enum {
	WORD = 8, /* bytes of a word, characters in it */
	WORD_BYTES = 6, /* bytes that they stand for */
	BLOCK = 2 * WORD,
	BLOCK_BYTES = 2 * WORD_BYTES,
	/* what a block loads (encoding) or stores (decoding): its second word is a whole one */
	BLOCK_REACH = WORD_BYTES + WORD
};

/* A block: its characters or their values, or two words in network order. */
struct block {
	uint8_t byte __attribute__((vector_size(BLOCK)));
};

struct words {
	uint64_t word __attribute__((vector_size(BLOCK)));
};

static_assert(sizeof(struct block) == BLOCK && sizeof(struct words) == BLOCK,
	"a block is one vector and nothing else");

/* `value` is in network order in memory. */
static inline uint64_t swap_word(uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

static inline uint64_t load_word(const uint8_t *at) {
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return swap_word(value);
}

static inline void store_word(uint8_t *at, uint64_t value) {
	value = swap_word(value);
	memcpy(at, &value, sizeof(value));
}

/* Spreads 48 bits over eight bytes, six in each: halves them three times. */
static inline uint64_t spread(uint64_t bits) {
	bits = (bits & UINT64_C(0xFFFFFF000000)) << 8 | (bits & UINT64_C(0xFFFFFF));
	bits = (bits & UINT64_C(0x00FFF00000FFF000)) << 4 | (bits & UINT64_C(0x00000FFF00000FFF));
	return (bits & UINT64_C(0x0FC00FC00FC00FC0)) << 2 | (bits & UINT64_C(0x003F003F003F003F));
}

/* The opposite. */
static inline uint64_t gather(uint64_t bits) {
	bits = (bits >> 2 & UINT64_C(0x0FC00FC00FC00FC0)) | (bits & UINT64_C(0x003F003F003F003F));
	bits = (bits >> 4 & UINT64_C(0x00FFF00000FFF000)) | (bits & UINT64_C(0x00000FFF00000FFF));
	return (bits >> 8 & UINT64_C(0xFFFFFF000000)) | (bits & UINT64_C(0xFFFFFF));
}

static inline struct words words_of(struct block block) {
	struct words words;
	memcpy(&words, &block, sizeof(words));
	return words;
}

static inline struct block block_of(uint64_t first, uint64_t second) {
	struct words words = {{swap_word(first), swap_word(second)}};
	struct block block;
	memcpy(&block, &words, sizeof(block));
	return block;
}

/* The distance from the values of a block to their characters changes at four values. */
static inline struct block to_characters(struct block value) {
	struct block step = {(value.byte > 25) & ('a' - 'Z' - 1)};
	step.byte -= (value.byte > 51) & ('z' + 1 - '0');
	step.byte -= (value.byte > 61) & ('9' + 1 - '+');
	step.byte += (value.byte > 62) & ('/' - '+' - 1);
	return (struct block){value.byte + step.byte + 'A'};
}

/* The values of characters, and all bits of those bytes that are characters of the alphabet. */
static inline struct block to_values(struct block text, struct block *known) {
	struct block upper = {text.byte - 'A' < 26};
	struct block lower = {text.byte - 'a' < 26};
	struct block digit = {text.byte - '0' < 10};
	struct block plus = {text.byte == '+'};
	struct block slash = {text.byte == '/'};
	known->byte = upper.byte | lower.byte | digit.byte | plus.byte | slash.byte;
	return (struct block){(upper.byte & (text.byte - 'A')) |
		(lower.byte & (text.byte - ('a' - 26))) | (digit.byte & (text.byte + (52 - '0'))) |
		(plus.byte & 62) | (slash.byte & 63)};
}

static inline bool is_all(struct block known) {
	struct words words = words_of(known);
	return (words.word[0] & words.word[1]) == UINT64_MAX;
}

size_t base64_block_encode(uint8_t *out, const uint8_t *data, size_t len) {
	size_t at = base64_avx2_usable(len) ? base64_avx2_encode(out, data, len) : 0;
	for(out += at / 3 * 4; len - at >= BLOCK_REACH; at += BLOCK_BYTES, out += BLOCK) {
		struct block block = block_of(spread(load_word(data + at) >> 16),
			spread(load_word(data + at + WORD_BYTES) >> 16));
		block = to_characters(block);
		memcpy(out, &block, sizeof(block));
	}
	return at;
}

size_t base64_block_decode(uint8_t *out, const uint8_t *text, size_t len) {
	/* As many characters stand for what the last block stores. */
	const size_t reach = (BLOCK_REACH + 2) / 3 * 4;
	size_t at = base64_avx2_usable(len) ? base64_avx2_decode(out, text, len) : 0;
	for(out += at / 4 * 3; len - at >= reach; at += BLOCK, out += BLOCK_BYTES) {
		struct block block;
		struct block known;
		memcpy(&block, text + at, sizeof(block));
		struct words words = words_of(to_values(block, &known));
		if(!is_all(known)) {
			break;
		}
		store_word(out, gather(swap_word(words.word[0])) << 16);
		store_word(out + WORD_BYTES, gather(swap_word(words.word[1])) << 16);
	}
	return at;
}
