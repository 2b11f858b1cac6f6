/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For the files utf8*.c alone: text in blocks of 16 bytes, the registers that every 64-bit machine
 * has. Whether a byte may stand where it stands depends only on the three bytes in front of it, so
 * no state is carried between blocks, and checking a byte twice does no harm.
 */
#ifndef WEBSOCKSY_UTF8_BLOCK_H
#define WEBSOCKSY_UTF8_BLOCK_H
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	UTF8_WORD = 8,
	UTF8_BLOCK = 16,
	UTF8_STRIDE = 64, /* bytes that are checked between two branches on the result */
	UTF8_LOOK_BACK = 3 /* bytes in front of a byte that decide whether it may stand there */
};

#define UTF8_HIGH_BITS UINT64_C(0x8080808080808080)

/* Signed: the comparison that vector units have. 80..BF are then the smallest bytes. */
struct utf8_block {
	int8_t byte __attribute__((vector_size(UTF8_BLOCK)));
};

static_assert(sizeof(struct utf8_block) == UTF8_BLOCK, "a block is one vector and nothing else");

static inline struct utf8_block utf8_block_load(const uint8_t *data) {
	struct utf8_block block;
	memcpy(&block, data, sizeof(block));
	return block;
}

/* All bytes or-ed together, eight at a time. */
static inline uint64_t utf8_block_fold(struct utf8_block block) {
	uint64_t half[2];
	memcpy(half, &block, sizeof(half));
	return half[0] | half[1];
}

static inline bool utf8_block_any(struct utf8_block errors) {
	return utf8_block_fold(errors) != 0;
}

/* `len` is a multiple of UTF8_BLOCK and a constant: the loop is gone after inlining. */
static inline bool utf8_block_is_ascii(const uint8_t *data, size_t len) {
	struct utf8_block seen = utf8_block_load(data);
	for(size_t at = UTF8_BLOCK; at < len; at += UTF8_BLOCK) {
		seen.byte |= utf8_block_load(data + at).byte;
	}
	return (utf8_block_fold(seen) & UTF8_HIGH_BITS) == 0;
}

/*
 * Most short texts are ASCII. Two blocks or words that overlap are all of one; false: it is not so
 * easy.
 */
static inline bool utf8_block_is_short_ascii(const uint8_t *data, size_t len) {
	if(len >= UTF8_BLOCK && len <= 2 * UTF8_BLOCK) {
		struct utf8_block both = utf8_block_load(data);
		both.byte |= utf8_block_load(data + len - UTF8_BLOCK).byte;
		return (utf8_block_fold(both) & UTF8_HIGH_BITS) == 0;
	}
	if(len >= UTF8_WORD && len < UTF8_BLOCK) {
		uint64_t word[2];
		memcpy(&word[0], data, UTF8_WORD);
		memcpy(&word[1], data + len - UTF8_WORD, UTF8_WORD);
		return ((word[0] | word[1]) & UTF8_HIGH_BITS) == 0;
	}
	return false;
}

/* How many bytes in front of `at`, in valid text, begin a character that ends behind it. */
static inline size_t utf8_block_unfinished(const uint8_t *data, size_t at) {
	if(at == 0) {
		return 0;
	}
	assert(at >= UTF8_LOOK_BACK);
	return (data[at - 1] >= 0xC0 ? 1u : 0u) + (data[at - 2] >= 0xE0 ? 2u : 0u) +
		(data[at - 3] >= 0xF0 ? 3u : 0u);
}

/*
 * Length of some prefix that is complete valid text. The rest is shorter than a block, or has an
 * error within two blocks, or is a character that is cut off by the end.
 */
size_t utf8_block_skip(const uint8_t *data, size_t len);
#endif
