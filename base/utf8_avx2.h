/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For utf8_block.c alone: UTF-8 in registers of 32 bytes, on x86 machines that have AVX2.
 */
#ifndef WEBSOCKSY_UTF8_AVX2_H
#define WEBSOCKSY_UTF8_AVX2_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(UTF8_NARROW)
#define UTF8_AVX2_MIN 128 /* below, the preparation costs more than it saves */

/* May utf8_avx2_skip() be called, and is it worth the call? */
static inline bool utf8_avx2_usable(size_t len) {
	return len >= UTF8_AVX2_MIN && __builtin_cpu_supports("avx2");
}

/*
 * Length of some prefix that is valid text up to a character that it may cut off. The first
 * UTF8_BLOCK bytes are valid as far as they go.
 */
size_t utf8_avx2_skip(const uint8_t *data, size_t len);
#else
static inline bool utf8_avx2_usable(size_t len) {
	(void)len;
	return false;
}

static inline size_t utf8_avx2_skip(const uint8_t *data, size_t len) {
	(void)data;
	(void)len;
	return 0;
}
#endif
#endif
