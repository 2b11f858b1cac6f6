/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Base64 (RFC 4648, section 4) at the speed of memory: encoding at once, decoding of a text that
 * comes in parts.
 */
#ifndef WEBSOCKSY_BASE64_H
#define WEBSOCKSY_BASE64_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The number of characters for `len` bytes, padding included; `len` is at most SIZE_MAX / 2. */
#define BASE64_ENCODED_LEN(len) (((len) + 2) / 3 * 4)

/* The most bytes that a call of base64_decode() with `len` characters returns. */
#define BASE64_DECODED_MAX(len) ((len) / 4 * 3 + 3)

/* Encodes to `out`, which does not overlap `data`, and returns BASE64_ENCODED_LEN(len). */
size_t base64_encode(uint8_t *out, const uint8_t *data, size_t len);

/* A text that is being decoded. Initialised by zero, which is the beginning of one. */
struct base64_decoder {
	uint32_t bits; /* of the characters of an incomplete group */
	uint8_t characters; /* of an incomplete group, at most three; padding included */
	uint8_t padding; /* in that group */
	uint8_t ended; /* behind a group with padding nothing may follow */
};

/*
 * Decodes the next part of a text to `out`, which has room for BASE64_DECODED_MAX(len) bytes and
 * does not overlap `text`. The number of bytes; -EBADMSG: not base64 (there is nothing but the
 * alphabet and, at the end, the padding; the bits of the last character that belong to no byte are
 * not looked at).
 */
ssize_t base64_decode(
	struct base64_decoder *decoder, uint8_t *out, const uint8_t *text, size_t len);

/*
 * The text has ended: 0, or -EBADMSG if its last group is not complete. Afterwards another one may
 * begin.
 */
int base64_decode_end(struct base64_decoder *decoder);
#endif
