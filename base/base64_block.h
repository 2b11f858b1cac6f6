/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For the files base64*.c alone: base64 in blocks, without padding and without a state.
 */
#ifndef WEBSOCKSY_BASE64_BLOCK_H
#define WEBSOCKSY_BASE64_BLOCK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Encodes some multiple of three bytes from the front of `data`, and returns that number. */
size_t base64_block_encode(uint8_t *out, const uint8_t *data, size_t len);

/*
 * Decodes some multiple of four characters from the front of `text`, and returns that number. It
 * stops in front of a block in which there is something other than the alphabet. `out` has room for
 * len / 4 * 3 bytes, which may all be written to.
 */
size_t base64_block_decode(uint8_t *out, const uint8_t *text, size_t len);

#if defined(__x86_64__) && !defined(BASE64_NARROW)
#define BASE64_AVX2_MIN 64 /* bytes; below, the preparation costs more than it saves */

static inline bool base64_avx2_usable(size_t len) {
	return len >= BASE64_AVX2_MIN && __builtin_cpu_supports("avx2");
}

/* The same with registers of 32 bytes; only if base64_avx2_usable(). */
size_t base64_avx2_encode(uint8_t *out, const uint8_t *data, size_t len);
size_t base64_avx2_decode(uint8_t *out, const uint8_t *text, size_t len);
#else
static inline bool base64_avx2_usable(size_t len) {
	(void)len;
	return false;
}

static inline size_t base64_avx2_encode(uint8_t *out, const uint8_t *data, size_t len) {
	(void)out;
	(void)data;
	(void)len;
	return 0;
}

static inline size_t base64_avx2_decode(uint8_t *out, const uint8_t *text, size_t len) {
	return base64_avx2_encode(out, text, len);
}
#endif
#endif
