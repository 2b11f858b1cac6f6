/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The protocols before RFC 6455 that have frames of their own, without file descriptors:
 * draft-hixie-thewebsocketprotocol-75 and -76. A frame is text between the bytes 00 and FF, in both
 * directions and without a mask; there are no binary messages, pings or fragments.
 */
#ifndef WEBSOCKSY_WEBSOCKET_LEGACY_H
#define WEBSOCKSY_WEBSOCKET_LEGACY_H
#include "base/text.h"
#include "websocket.h"

#include <stddef.h>
#include <stdint.h>

enum legacy_version {
	LEGACY_NONE, /* RFC 6455 */
	LEGACY_HIXIE_75,
	LEGACY_HIXIE_76
};

#define LEGACY_KEY_LEN 8 /* bytes behind the request of version 76 */
#define LEGACY_ANSWER_LEN 16 /* bytes behind its response */
#define LEGACY_BEGIN 0x00 /* the first byte of a frame with text */
#define LEGACY_END 0xFF /* its last byte; also the first of a closing one, before 00 */
#define LEGACY_CLOSE_LEN 2

/* The keys of a request of version 76. */
struct legacy_keys {
	struct slice first; /* Sec-WebSocket-Key1 */
	struct slice second; /* Sec-WebSocket-Key2 */
	const uint8_t *third; /* the LEGACY_KEY_LEN bytes behind the request */
};

/*
 * Writes the answer to the keys (version 76, section 5.2). 0; -EINVAL: a key has no spaces, its
 * number cannot be divided by the number of spaces, or the quotient has more than 32 bits.
 */
int legacy_answer(const struct legacy_keys *keys, uint8_t out[LEGACY_ANSWER_LEN]);

/*
 * As websocket_parse(), for frames of both versions: text is validated as it passes, its bytes end
 * up contiguous, and WEBSOCKET_MESSAGE comes with `parser->whole` at the end of each message. Empty
 * messages are skipped. A closing frame is a control frame without payload. WEBSOCKET_BAD: other
 * types of frames.
 */
enum websocket_result legacy_parse(struct websocket_parser *parser, struct websocket_io *io);

/* Writes a closing frame and returns its length: version 75 has none, so that it is 0. */
size_t legacy_close_put(uint8_t out[LEGACY_CLOSE_LEN], enum legacy_version version);
#endif
