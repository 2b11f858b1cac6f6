/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For websocket.c alone: removes the mask from payload (RFC 6455, section 5.3) while it is moved
 * towards the front, over the headers that have been removed. All of it is inline: short frames are
 * the usual case, and a call costs as much as unmasking one.
 *
 * Must not know: frames.
 * Invariants: dst may lie in front of src at any distance, so nothing is stored behind the byte
 * that was loaded last, and nothing behind dst + len, where the next frame may be. The remainder of
 * a block is therefore covered by a last block (or word) that ends with the payload: it is loaded
 * before anything is stored, and overlaps the bytes already stored with the same values.
 */
#ifndef WEBSOCKSY_UNMASK_H
#define WEBSOCKSY_UNMASK_H
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	UNMASK_KEY_LEN = 4, /* bytes of a masking key */
	UNMASK_WORD = 8,
	UNMASK_BLOCK = 16, /* bytes in a vector register that every 64-bit machine has */
	UNMASK_PAIR = 2 * UNMASK_BLOCK,
	UNMASK_AVX2_MIN = 64 /* below, the call costs more than the wide registers save */
};

/* The bits that are set in a result of unmask_move() if some byte is above 0x7F. */
#define UNMASK_NOT_ASCII UINT64_C(0x8080808080808080)

struct unmask_block {
	uint64_t lane __attribute__((vector_size(UNMASK_BLOCK)));
};

static_assert(
	sizeof(struct unmask_block) == UNMASK_BLOCK, "a block is one vector and nothing else");

static inline uint32_t unmask_load_32(const uint8_t *at) {
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint64_t unmask_load_64(const uint8_t *at) {
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline struct unmask_block unmask_load_block(const uint8_t *at) {
	struct unmask_block value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void unmask_store_32(uint8_t *at, uint32_t value) {
	memcpy(at, &value, sizeof(value));
}

static inline void unmask_store_64(uint8_t *at, uint64_t value) {
	memcpy(at, &value, sizeof(value));
}

static inline void unmask_store_block(uint8_t *at, struct unmask_block value) {
	memcpy(at, &value, sizeof(value));
}

/* `mask` (four bytes as they lie in memory) for data that begins `bytes` later. */
static inline uint32_t unmask_rotate(uint32_t mask, size_t bytes) {
	unsigned bits = (unsigned)(bytes % UNMASK_KEY_LEN) * 8;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = 32 - bits;
#endif
	return mask >> (bits & 31) | mask << ((32 - bits) & 31);
}

static inline uint64_t unmask_double_mask(uint32_t mask) {
	return (uint64_t)mask << 32 | mask;
}

static inline struct unmask_block unmask_fill_block(uint32_t mask) {
	uint64_t twice = unmask_double_mask(mask);
	return (struct unmask_block){{twice, twice}};
}

/* These return all bytes of the payload or-ed together, as far as UNMASK_NOT_ASCII shows them. */
static inline uint64_t unmask_move_long(
	uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	const struct unmask_block key = unmask_fill_block(mask);
	struct unmask_block last = unmask_load_block(src + len - UNMASK_BLOCK);
	last.lane ^= unmask_fill_block(unmask_rotate(mask, len)).lane;
	struct unmask_block seen = last;
	size_t at = 0;
	for(; len - at > UNMASK_PAIR; at += UNMASK_PAIR) {
		struct unmask_block one = unmask_load_block(src + at);
		struct unmask_block two = unmask_load_block(src + at + UNMASK_BLOCK);
		one.lane ^= key.lane;
		two.lane ^= key.lane;
		seen.lane |= one.lane | two.lane;
		unmask_store_block(dst + at, one);
		unmask_store_block(dst + at + UNMASK_BLOCK, two);
	}
	if(len - at > UNMASK_BLOCK) {
		struct unmask_block one = unmask_load_block(src + at);
		one.lane ^= key.lane;
		seen.lane |= one.lane;
		unmask_store_block(dst + at, one);
	}
	unmask_store_block(dst + len - UNMASK_BLOCK, last);
	return seen.lane[0] | seen.lane[1];
}

static inline uint64_t unmask_move_short(
	uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	const uint32_t last_mask = unmask_rotate(mask, len);
	if(len >= UNMASK_WORD) {
		uint64_t first = unmask_load_64(src) ^ unmask_double_mask(mask);
		uint64_t last =
			unmask_load_64(src + len - UNMASK_WORD) ^ unmask_double_mask(last_mask);
		unmask_store_64(dst, first);
		unmask_store_64(dst + len - UNMASK_WORD, last);
		return first | last;
	}
	if(len >= UNMASK_KEY_LEN) {
		uint32_t first = unmask_load_32(src) ^ mask;
		uint32_t last = unmask_load_32(src + len - UNMASK_KEY_LEN) ^ last_mask;
		unmask_store_32(dst, first);
		unmask_store_32(dst + len - UNMASK_KEY_LEN, last);
		return first | last;
	}
	uint8_t key[UNMASK_KEY_LEN];
	unmask_store_32(key, mask);
	uint8_t seen = 0;
	for(size_t at = 0; at < len; at++) {
		dst[at] = src[at] ^ key[at];
		seen |= dst[at];
	}
	return seen;
}

#if defined(__x86_64__) && !defined(UNMASK_NARROW)
static inline bool unmask_avx2_usable(size_t len) {
	return len >= UNMASK_AVX2_MIN && __builtin_cpu_supports("avx2");
}

/* unmask_move_long() with registers of 32 bytes; only if unmask_avx2_usable(). */
uint64_t unmask_move_avx2(uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask);
#else
static inline bool unmask_avx2_usable(size_t len) {
	(void)len;
	return false;
}

static inline uint64_t unmask_move_avx2(
	uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	return unmask_move_long(dst, src, len, mask);
}
#endif

/*
 * Moves `len` bytes from `src` to `dst`; `mask` are the four bytes of the key, as they lie in
 * memory.
 */
static inline uint64_t unmask_move(uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	if(unmask_avx2_usable(len)) {
		return unmask_move_avx2(dst, src, len, mask);
	}
	return len >= UNMASK_BLOCK ? unmask_move_long(dst, src, len, mask)
				   : unmask_move_short(dst, src, len, mask);
}
#endif
