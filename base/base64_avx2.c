/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Base64 in registers of 32 bytes, by the method of Wojciech Mula and Daniel Lemire (Faster Base64
 * Encoding and Decoding Using AVX2 Instructions, ACM Transactions on the Web 12, 2018).
 *
 * Must not know: machines without AVX2; the caller asks base64_avx2_usable() first.
 * Invariants: as in base64_block.c.
 */
#include "base/base64_block.h"

#if defined(__x86_64__) && !defined(BASE64_NARROW)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define WIDE 32 /* bytes in a register */
#define LANE 12 /* bytes of which a half of it becomes characters */
#define ENCODE_REACH (LANE + WIDE / 2) /* bytes that are loaded */
#define DECODE_REACH ((WIDE + 2) / 3 * 4) /* characters that stand for the bytes that are stored */

/* A table of 16 bytes for both halves of a register. */
#define BOTH(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

/* Three bytes in each 32-bit element become four numbers of six bits, one in each byte. */
static inline AVX2 __m256i spread(__m256i in) {
	const __m256i order = BOTH(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
	in = _mm256_shuffle_epi8(in, order);
	/* Products shift each 16-bit element by its own distance. */
	__m256i even = _mm256_mulhi_epu16(
		_mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
	__m256i odd = _mm256_mullo_epi16(
		_mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
	return _mm256_or_si256(even, odd);
}

/* 0: letters from a on; 1 to 10: digits; 11, 12: + and /; 13: letters from A on. */
static inline AVX2 __m256i to_characters(__m256i value) {
	const __m256i distance = BOTH('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
		'0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
	__m256i kind = _mm256_subs_epu8(value, _mm256_set1_epi8(51));
	__m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), value);
	kind = _mm256_or_si256(kind, _mm256_and_si256(upper, _mm256_set1_epi8(13)));
	return _mm256_add_epi8(value, _mm256_shuffle_epi8(distance, kind));
}

AVX2 size_t base64_avx2_encode(uint8_t *out, const uint8_t *data, size_t len) {
	size_t at = 0;
	for(; len - at >= ENCODE_REACH; at += 2 * LANE, out += WIDE) {
		__m128i low = _mm_loadu_si128((const __m128i_u *)(data + at));
		__m128i high = _mm_loadu_si128((const __m128i_u *)(data + at + LANE));
		__m256i in = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
		_mm256_storeu_si256((__m256i_u *)out, to_characters(spread(in)));
	}
	return at;
}

/*
 * The distance from characters to values, by the high half of a character ('/' shares that of '+'
 * and has an entry in front). `wrong` gets bits where a character is not in the alphabet: a bit of
 * the first table stands for the high halves that the low half must not have.
 */
static inline AVX2 __m256i to_values(__m256i text, __m256i *wrong) {
	const __m256i by_low = BOTH(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
		0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A);
	const __m256i by_high = BOTH(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10,
		0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
	const __m256i distance = BOTH(0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a',
		26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0);
	const __m256i half = _mm256_set1_epi8(0x0F);
	__m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), half);
	__m256i low = _mm256_and_si256(text, half);
	*wrong = _mm256_and_si256(
		_mm256_shuffle_epi8(by_low, low), _mm256_shuffle_epi8(by_high, high));
	__m256i slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/'));
	return _mm256_add_epi8(text, _mm256_shuffle_epi8(distance, _mm256_add_epi8(high, slash)));
}

/* 24 bytes at the front, then zero bytes. */
static inline AVX2 __m256i gather(__m256i values) {
	const __m256i order = BOTH(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
	__m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
	__m256i all = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
	all = _mm256_shuffle_epi8(all, order);
	return _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
}

AVX2 size_t base64_avx2_decode(uint8_t *out, const uint8_t *text, size_t len) {
	size_t at = 0;
	for(; len - at >= DECODE_REACH; at += WIDE, out += 2 * LANE) {
		__m256i wrong;
		__m256i values =
			to_values(_mm256_loadu_si256((const __m256i_u *)(text + at)), &wrong);
		if(!_mm256_testz_si256(wrong, wrong)) {
			break;
		}
		_mm256_storeu_si256((__m256i_u *)out, gather(values));
	}
	return at;
}
#endif
