/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UTF-8 in registers of 32 bytes.
 *
 * Must not know: machines without AVX2; the caller asks utf8_avx2_usable() first.
 * Invariants: as in utf8_block.c.
 */
#include "base/utf8_avx2.h"

#ifdef __x86_64__
#include "base/utf8_block.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define WIDE 32 /* bytes in a register */

/* Errors of two bytes in a row; a bit stays set while all tables that were consulted have it. */
enum pair_error {
	TOO_SHORT = 1 << 0, /* a first byte, then no continuation byte */
	TOO_LONG = 1 << 1, /* ASCII, then a continuation byte */
	OVERLONG_3 = 1 << 2, /* E0, then 80..9F */
	TOO_LARGE = 1 << 3, /* F4, then 90..BF; F5..FF, then a continuation byte above 8F */
	SURROGATE = 1 << 4, /* ED, then A0..BF */
	OVERLONG_2 = 1 << 5, /* C0 or C1, then a continuation byte */
	TOO_LARGE_OR_OVERLONG_4 = 1 << 6, /* F5..FF or F0, then 80..8F */
	TWO_CONTINUATIONS = 1 << 7, /* valid where a third or fourth byte is due */
	/* these do not depend on the low half of the first byte */
	ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS,
	ABOVE_F4 = TOO_LARGE | TOO_LARGE_OR_OVERLONG_4
};

/*
 * Possible errors by the high and the low half of the first byte, and by the high half of the
 * second.
 */
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
 * Marks the bytes of data[0..31] that cannot stand behind data[-3..-1] and each other, by three
 * lookups: J. Keiser and D. Lemire, "Validating UTF-8 in less than one instruction per byte". Where
 * a third or fourth byte is due, two continuation bytes in a row are not an error and anything else
 * is one.
 */
AVX2 static inline __m256i find_errors(const uint8_t *data) {
	const __m256i low = _mm256_set1_epi8(0x0F);
	__m256i now = load_wide(data);
	__m256i back1 = load_wide(data - 1);
	__m256i third = _mm256_subs_epu8(load_wide(data - 2), _mm256_set1_epi8(0xE0 - 0x80));
	__m256i fourth = _mm256_subs_epu8(load_wide(data - 3), _mm256_set1_epi8(0xF0 - 0x80));
	__m256i due = (third | fourth) & _mm256_set1_epi8((char)TWO_CONTINUATIONS);
	__m256i errors = look_up(first_high, _mm256_srli_epi16(back1, 4) & low);
	errors &= look_up(first_low, back1 & low);
	errors &= look_up(second_high, _mm256_srli_epi16(now, 4) & low);
	return errors ^ due;
}

/*
 * That no character begins with some byte shows at the byte after it, which find_errors() does not
 * look at if that is in the next stride. So the result is a block shorter than the text that has
 * been checked.
 */
AVX2 size_t utf8_avx2_skip(const uint8_t *data, size_t len) {
	size_t at = UTF8_BLOCK;
	for(; len - at >= UTF8_STRIDE; at += UTF8_STRIDE) {
		if(!_mm256_movemask_epi8(load_wide(data + at) | load_wide(data + at + WIDE))) {
			if(utf8_block_unfinished(data, at) > 0) {
				break;
			}
			continue;
		}
		__m256i errors = find_errors(data + at) | find_errors(data + at + WIDE);
		if(!_mm256_testz_si256(errors, errors)) {
			break;
		}
	}
	return at - UTF8_BLOCK;
}
#endif
