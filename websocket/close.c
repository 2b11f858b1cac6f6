/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes and reads close frames.
 *
 * Must not know: the state of the closing handshake.
 * Invariants: no reason is written that is not UTF-8, and no code is accepted that must not be
 * sent.
 * Implements RFC 6455, sections 5.5.1 and 7.4.
 */
#include "websocket/close.h"

#include "base/utf8.h"

#include <errno.h>
#include <string.h>

#define REASON_MAX (WEBSOCKET_CONTROL_MAX - 2) /* behind the code */

/*
 * Close codes that may come in a frame: section 7.4.1, without those that only stand for the
 * absence of a code; 1012 to 1014 are the ones that IANA added; from 3000 on they belong to
 * libraries and applications.
 */
static const struct code_range {
	uint16_t first;
	uint16_t last;
} code_ranges[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};

size_t websocket_close_put(
	uint8_t out[WEBSOCKET_CLOSE_FRAME_MAX], uint16_t code, const char *reason) {
	size_t text = 0;
	if(code == WEBSOCKET_CODE_NONE) {
		return websocket_put_header(out, true, WEBSOCKET_CLOSE, 0);
	}
	if(reason) {
		/* Cuts at a character boundary and lets out nothing but UTF-8. */
		text = utf8_prefix((const uint8_t *)reason, strnlen(reason, REASON_MAX), NULL);
	}
	size_t header = websocket_put_header(out, true, WEBSOCKET_CLOSE, 2 + text);
	out[header] = (uint8_t)(code >> 8);
	out[header + 1] = (uint8_t)code;
	if(text > 0) {
		memcpy(out + header + 2, reason, text);
	}
	return header + 2 + text;
}

static bool is_close_code(uint16_t code) {
	for(size_t i = 0; i < sizeof(code_ranges) / sizeof(code_ranges[0]); i++) {
		if(code >= code_ranges[i].first && code <= code_ranges[i].last) {
			return true;
		}
	}
	return false;
}

int websocket_close_parse(const uint8_t *payload, size_t len, uint16_t *code) {
	*code = WEBSOCKET_CODE_NONE;
	if(len == 0) {
		return 0;
	}
	*code = WEBSOCKET_CODE_PROTOCOL;
	if(len < 2) {
		return -EPROTO;
	}
	uint16_t received = (uint16_t)(payload[0] << 8 | payload[1]);
	if(!is_close_code(received)) {
		return -EPROTO;
	}
	if(!utf8_valid(payload + 2, len - 2)) {
		*code = WEBSOCKET_CODE_INVALID_DATA;
		return -EPROTO;
	}
	*code = received;
	return 0;
}
