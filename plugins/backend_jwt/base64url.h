/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base64url without padding (RFC 7515 section 2).
 */
#ifndef WEBSOCKSY_PLUGIN_JWT_BASE64URL_H
#define WEBSOCKSY_PLUGIN_JWT_BASE64URL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64URL_DECODED(len) ((len) / 4 * 3 + 2)

/*
 * Decodes `len` characters to at most BASE64URL_DECODED(len) bytes. False: there is a character
 * that does not belong to it, or the form is not the only one of these bytes.
 */
bool base64url_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);
#endif
