/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unmasking with registers of 32 bytes.
 *
 * Must not know: machines without AVX2; the caller asks unmask_avx2_usable() first.
 * Invariants: those of unmask.h, whose unmask_move_long() this repeats.
 */
#include "websocket/unmask.h"

#ifdef __x86_64__
#include <immintrin.h>

#define WIDE 32 /* bytes in a register */

__attribute__((target("avx2"))) uint64_t unmask_move_avx2(
	uint8_t *dst, const uint8_t *src, size_t len, uint32_t mask) {
	const __m256i key = _mm256_set1_epi32((int)mask);
	const __m256i last_key = _mm256_set1_epi32((int)unmask_rotate(mask, len));
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
	return _mm256_movemask_epi8(seen) ? UNMASK_NOT_ASCII : 0;
}
#endif
