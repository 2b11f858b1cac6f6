/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Incremental UTF-8 validation (RFC 3629), as RFC 6455, section 8.1, requires of text messages.
 *
 * Must not know where its bytes come from.
 *
 * Two ways to look at the same rules. The step function takes one byte: it carries the range that
 * the next byte has to be in. The block checks take 16 bytes at once: whether a byte may stand
 * where it stands depends only on the three bytes in front of it, so no state is carried between
 * blocks, and checking a byte twice does no harm. Long text goes through registers of 32 bytes where the
 * machine has them; UTF8_NARROW leaves that out (the tests compare both with a plain decoder).
 *
 * Invariants: a state other than UTF8_ACCEPT and UTF8_REJECT holds, from the low byte up, the
 * smallest and the largest value that the next byte may have, and how many bytes the character
 * still lacks (1 to 3). UTF8_REJECT reads as an empty range, so nothing leads out of it.
 */
#include "base/utf8.h"

#include <assert.h>
#include <string.h>
#if defined(__x86_64__) && !defined(UTF8_NARROW)
#define UTF8_WIDE
#include <immintrin.h>
#endif

enum {
	WORD = 8,
	BLOCK = 16, /* bytes in a vector register that every 64-bit machine has */
	STRIDE = 64, /* bytes that are looked at before the result is branched on */
	LOOK_BACK = 3, /* bytes in front of a byte that decide whether it may stand there */
	WIDE = 32, /* bytes in a vector register that newer x86 machines have */
	WIDE_MIN = 128 /* below, preparing costs what it saves */
};

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* State that waits for `missing` bytes, the first of which is in `low` to `high`. */
#define STATE(missing, low, high)                                                                  \
	((uint32_t)(missing) << 16 | (uint32_t)(high) << 8 | (uint32_t)(low))

/* The state behind the first byte of a character: RFC 3629, section 4. */
static const uint32_t first_byte[256] = {
	[0x00 ... 0x7F] = UTF8_ACCEPT,
	[0x80 ... 0xBF] = UTF8_REJECT, /* continuation bytes */
	[0xC0 ... 0xC1] = UTF8_REJECT, /* what these could say fits into one byte */
	[0xC2 ... 0xDF] = STATE(1, 0x80, 0xBF),
	[0xE0] = STATE(2, 0xA0, 0xBF), /* less would fit into two bytes */
	[0xE1 ... 0xEC] = STATE(2, 0x80, 0xBF),
	[0xED] = STATE(2, 0x80, 0x9F), /* more would be a surrogate */
	[0xEE ... 0xEF] = STATE(2, 0x80, 0xBF),
	[0xF0] = STATE(3, 0x90, 0xBF), /* less would fit into three bytes */
	[0xF1 ... 0xF3] = STATE(3, 0x80, 0xBF),
	[0xF4] = STATE(3, 0x80, 0x8F), /* more would be above U+10FFFF */
	[0xF5 ... 0xFF] = UTF8_REJECT,
};

/* Signed: the comparison that vector units have. 80..BF are then the smallest bytes. */
struct block {
	int8_t byte __attribute__((vector_size(BLOCK)));
};

static_assert(sizeof(struct block) == BLOCK, "a block is one vector and nothing else");

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

static inline struct block load_block(const uint8_t *data) {
	struct block block;
	memcpy(&block, data, sizeof(block));
	return block;
}

/* All bytes or-ed together, eight at a time. */
static inline uint64_t fold_block(struct block block) {
	uint64_t half[2];
	memcpy(half, &block, sizeof(half));
	return half[0] | half[1];
}

static inline bool has_error(struct block errors) {
	return fold_block(errors) != 0;
}

/* `len` is a multiple of BLOCK and a constant: the loop is gone after inlining. */
static inline bool is_ascii(const uint8_t *data, size_t len) {
	struct block seen = load_block(data);
	for(size_t at = BLOCK; at < len; at += BLOCK) {
		seen.byte |= load_block(data + at).byte;
	}
	return (fold_block(seen) & HIGH_BITS) == 0;
}

/* Most short texts are ASCII. Two blocks or words that overlap are all of one; false: it is not so easy. */
static inline bool is_short_ascii(const uint8_t *data, size_t len) {
	if(len >= BLOCK && len <= 2 * BLOCK) {
		struct block both = load_block(data);
		both.byte |= load_block(data + len - BLOCK).byte;
		return (fold_block(both) & HIGH_BITS) == 0;
	}
	if(len >= WORD && len < BLOCK) {
		uint64_t word[2];
		memcpy(&word[0], data, WORD);
		memcpy(&word[1], data + len - WORD, WORD);
		return ((word[0] | word[1]) & HIGH_BITS) == 0;
	}
	return false;
}

/* The byte value `value` as the signed number that the vector units compare. */
#define BYTE(value) ((int8_t)(value))

/*
 * Marks the bytes of data[0..15] that cannot stand behind data[-3..-1] and each other. Where a
 * second byte is compared with a bound, anything but a continuation byte is an error already.
 */
static inline struct block find_errors(const uint8_t *data) {
	struct block now = load_block(data);
	struct block back1 = load_block(data - 1);
	struct block back2 = load_block(data - 2);
	struct block back3 = load_block(data - 3);
	struct block errors = {(back1.byte & BYTE(0xC0)) == BYTE(0xC0)};
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

/* How many bytes in front of `at`, in valid text, begin a character that ends behind it. */
static inline size_t unfinished(const uint8_t *data, size_t at) {
	if(at == 0) {
		return 0;
	}
	assert(at >= LOOK_BACK);
	return (data[at - 1] >= 0xC0 ? 1u : 0u) + (data[at - 2] >= 0xE0 ? 2u : 0u) +
		(data[at - 3] >= 0xF0 ? 3u : 0u);
}

/* Does the block at `at` continue the valid text before it? Position 0 is a character boundary. */
static bool block_is_valid(const uint8_t *data, size_t at) {
	if(is_ascii(data + at, BLOCK)) {
		return unfinished(data, at) == 0;
	}
	if(at == 0) {
		/* There is nothing to look back at; zero bytes are ASCII. */
		uint8_t copy[LOOK_BACK + BLOCK] = {0};
		memcpy(copy + LOOK_BACK, data, BLOCK);
		return !has_error(find_errors(copy + LOOK_BACK));
	}
	return !has_error(find_errors(data + at));
}

static bool stride_is_valid(const uint8_t *data, size_t at) {
	if(is_ascii(data + at, STRIDE)) {
		return unfinished(data, at) == 0;
	}
	if(!block_is_valid(data, at)) {
		return false;
	}
	struct block errors = find_errors(data + at + BLOCK);
	for(size_t block = 2; block < STRIDE / BLOCK; block++) {
		errors.byte |= find_errors(data + at + block * BLOCK).byte;
	}
	return !has_error(errors);
}

#ifdef UTF8_WIDE
#define AVX2 __attribute__((target("avx2")))

/* What can be wrong with two bytes in a row; a bit is set while all that has been looked at agrees. */
enum pair_error {
	TOO_SHORT = 1 << 0, /* a first byte, then no continuation byte */
	TOO_LONG = 1 << 1, /* ASCII, then a continuation byte */
	OVERLONG_3 = 1 << 2, /* E0, then 80..9F */
	TOO_LARGE = 1 << 3, /* F4, then 90..BF; F5..FF, then a continuation byte above 8F */
	SURROGATE = 1 << 4, /* ED, then A0..BF */
	OVERLONG_2 = 1 << 5, /* C0 or C1, then a continuation byte */
	TOO_LARGE_OR_OVERLONG_4 = 1 << 6, /* F5..FF or F0, then 80..8F */
	TWO_CONTINUATIONS = 1 << 7, /* right where a third or fourth byte is due */
	/* these do not depend on the low half of the first byte */
	ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS,
	ABOVE_F4 = TOO_LARGE | TOO_LARGE_OR_OVERLONG_4
};

/* Which errors are possible by the high and the low half of the first byte, and by the high half of the second. */
static const uint8_t first_high[16] = {
	[0x0 ... 0x7] = TOO_LONG,
	[0x8 ... 0xB] = TWO_CONTINUATIONS,
	[0xC] = TOO_SHORT | OVERLONG_2,
	[0xD] = TOO_SHORT,
	[0xE] = TOO_SHORT | OVERLONG_3 | SURROGATE,
	[0xF] = TOO_SHORT | ABOVE_F4,
};
static const uint8_t first_low[16] = {
	[0x0] = ANY_LOW | OVERLONG_2 | OVERLONG_3 | TOO_LARGE_OR_OVERLONG_4,
	[0x1] = ANY_LOW | OVERLONG_2,
	[0x2 ... 0x3] = ANY_LOW,
	[0x4] = ANY_LOW | TOO_LARGE,
	[0x5 ... 0xC] = ANY_LOW | ABOVE_F4,
	[0xD] = ANY_LOW | ABOVE_F4 | SURROGATE,
	[0xE ... 0xF] = ANY_LOW | ABOVE_F4,
};
static const uint8_t second_high[16] = {
	[0x0 ... 0x7] = TOO_SHORT,
	[0x8] = TOO_LONG | TWO_CONTINUATIONS | OVERLONG_2 | OVERLONG_3 | TOO_LARGE_OR_OVERLONG_4,
	[0x9] = TOO_LONG | TWO_CONTINUATIONS | OVERLONG_2 | OVERLONG_3 | TOO_LARGE,
	[0xA ... 0xB] = TOO_LONG | TWO_CONTINUATIONS | OVERLONG_2 | SURROGATE | TOO_LARGE,
	[0xC ... 0xF] = TOO_SHORT,
};

AVX2 static inline __m256i load_wide(const uint8_t *data) {
	return _mm256_loadu_si256((const __m256i_u *)data);
}

/* table[half] for each byte; `half` is 0 to 15. */
AVX2 static inline __m256i look_up(const uint8_t table[16], __m256i half) {
	__m128i once = _mm_loadu_si128((const __m128i_u *)table);
	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(once), half);
}

/*
 * find_errors() for 32 bytes, by three lookups: J. Keiser and D. Lemire, "Validating UTF-8 in less than one
 * instruction per byte". Where a third or fourth byte is due, two continuation bytes in a row are no
 * error and anything else is one.
 */
AVX2 static inline __m256i find_errors_wide(const uint8_t *data) {
	const __m256i low = _mm256_set1_epi8(0x0F);
	__m256i now = load_wide(data);
	__m256i back1 = load_wide(data - 1);
	__m256i third = _mm256_subs_epu8(load_wide(data - 2), _mm256_set1_epi8(0xE0 - 0x80));
	__m256i fourth = _mm256_subs_epu8(load_wide(data - 3), _mm256_set1_epi8(0xF0 - 0x80));
	__m256i due = (third | fourth) & _mm256_set1_epi8(BYTE(TWO_CONTINUATIONS));
	__m256i errors = look_up(first_high, _mm256_srli_epi16(back1, 4) & low);
	errors &= look_up(first_low, back1 & low);
	errors &= look_up(second_high, _mm256_srli_epi16(now, 4) & low);
	return errors ^ due;
}

/*
 * Skips strides of valid text behind the first block, which is valid. That a last byte can begin no character
 * at all shows at the byte after it, which find_errors() does not look at: so that one begins a block earlier.
 */
AVX2 static size_t skip_wide(const uint8_t *data, size_t len) {
	size_t at = BLOCK;
	for(; len - at >= STRIDE; at += STRIDE) {
		if(!_mm256_movemask_epi8(load_wide(data + at) | load_wide(data + at + WIDE))) {
			if(unfinished(data, at) > 0) {
				break;
			}
			continue;
		}
		__m256i errors = find_errors_wide(data + at) | find_errors_wide(data + at + WIDE);
		if(!_mm256_testz_si256(errors, errors)) {
			break;
		}
	}
	return at - BLOCK;
}

/* 0: nothing is skipped, because the machine cannot do it or it is not worth it. */
static size_t skip_wide_strides(const uint8_t *data, size_t len) {
	bool can = len >= WIDE_MIN && __builtin_cpu_supports("avx2");
	return can && block_is_valid(data, 0) ? skip_wide(data, len) : 0;
}
#else
static size_t skip_wide_strides(const uint8_t *data, size_t len) {
	(void)data;
	(void)len;
	return 0;
}
#endif

/*
 * Length of some prefix that is complete valid text. What is left is shorter than a block, or has
 * an error within two blocks, or is a character that is cut off by the end.
 */
static size_t skip_valid(const uint8_t *data, size_t len) {
	size_t at = skip_wide_strides(data, len);
	while(len - at >= STRIDE && stride_is_valid(data, at)) {
		at += STRIDE;
	}
	while(len - at >= BLOCK && block_is_valid(data, at)) {
		at += BLOCK;
	}
	/* The rest is less than a block: look at the last block, known in part, as a whole. */
	if(at < len && len - at < BLOCK && len >= BLOCK + LOOK_BACK &&
		(is_ascii(data + len - BLOCK, BLOCK) ||
			!has_error(find_errors(data + len - BLOCK)))) {
		at = len;
	}
	return at - unfinished(data, at);
}

uint32_t utf8_feed(uint32_t state, const uint8_t *data, size_t len) {
	if(state == UTF8_ACCEPT && is_short_ascii(data, len)) {
		return UTF8_ACCEPT;
	}
	size_t at = 0;
	while(state != UTF8_ACCEPT && state != UTF8_REJECT && at < len) {
		state = step(state, data[at++]);
	}
	if(at == len || state == UTF8_REJECT) {
		return state;
	}
	at += skip_valid(data + at, len - at);
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
	size_t boundary = len > 0 ? skip_valid(data, len) : 0;
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
