/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Incremental UTF-8 validation (RFC 3629): no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 */
#ifndef WEBSOCKSY_UTF8_H
#define WEBSOCKSY_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Between characters; also the value to start with. */
#define UTF8_ACCEPT 0u
/* Some byte was invalid; stays so. */
#define UTF8_REJECT 1u

/*
 * Validates `len` bytes that continue a text whose state so far is `state` and returns the new
 * state: UTF8_ACCEPT at a character boundary, UTF8_REJECT as soon as a byte cannot be part of
 * valid text, anything else inside a character that is valid so far.
 */
uint32_t utf8_feed(uint32_t state, const uint8_t *data, size_t len);

/* Is this a complete valid text? */
bool utf8_valid(const uint8_t *data, size_t len);

/*
 * Length of the longest prefix that is complete valid text (a character boundary). If `*rest`
 * (may be NULL) is set to true the bytes after it (1 to 3) are a valid character that is cut off
 * by the end; false: there is nothing after it, or something invalid.
 */
size_t utf8_prefix(const uint8_t *data, size_t len, bool *rest);
#endif
