/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Close frames (RFC 6455, sections 5.5.1 and 7.4).
 */
#ifndef WEBSOCKSY_WEBSOCKET_CLOSE_H
#define WEBSOCKSY_WEBSOCKET_CLOSE_H
#include "websocket.h"

#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_CLOSE_FRAME_MAX (2 + WEBSOCKET_CONTROL_MAX)

/*
 * Writes a whole close frame to `out` and returns its length. `code` WEBSOCKET_CODE_NONE: without a
 * payload. `reason` (UTF-8; NULL: none) is cut at a character boundary if it is too long.
 */
size_t websocket_close_put(
	uint8_t out[WEBSOCKET_CLOSE_FRAME_MAX], uint16_t code, const char *reason);

/*
 * Reads the payload of a client's close frame. 0 with its code (WEBSOCKET_CODE_NONE if the payload
 * is empty); -EPROTO with the code for the response: 1002 for a single byte or a code that must not
 * be sent, 1007 for a reason that is not UTF-8.
 */
int websocket_close_parse(const uint8_t *payload, size_t len, uint16_t *code);
#endif
