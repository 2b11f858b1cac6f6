/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base64url without padding.
 *
 * Must not know: tokens.
 * Invariant: each sequence of bytes has one accepted form, so that a client cannot make several
 * tokens of one (for example to get around a list of revoked ones).
 */
#include "plugins/backend_jwt/base64url.h"

static int base64url_value(char byte) {
	if(byte >= 'A' && byte <= 'Z') {
		return byte - 'A';
	}
	if(byte >= 'a' && byte <= 'z') {
		return byte - 'a' + 26;
	}
	if(byte >= '0' && byte <= '9') {
		return byte - '0' + 52;
	}
	return byte == '-' ? 62 : byte == '_' ? 63 : -1;
}

bool base64url_decode(const char *text, size_t len, uint8_t *out, size_t *out_len) {
	uint32_t bits = 0;
	unsigned count = 0; /* of the bits that have not been written */
	size_t used = 0;
	if(len % 4 == 1) {
		return false;
	}
	for(size_t i = 0; i < len; i++) {
		int value = base64url_value(text[i]);
		if(value < 0) {
			return false;
		}
		bits = (bits << 6 | (uint32_t)value) & 0xffffu;
		count += 6;
		if(count >= 8) {
			count -= 8;
			out[used++] = (uint8_t)(bits >> count);
		}
	}
	*out_len = used;
	return (bits & ((1u << count) - 1)) == 0;
}
