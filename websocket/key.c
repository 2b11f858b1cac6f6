/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys of the opening handshake.
 *
 * Must not know: requests and responses.
 * Implements RFC 6455, sections 1.3, 4.2.1 (item 5) and 4.2.2 (item 5.4).
 */
#include "websocket/key.h"

#include "base/text.h"

#include <assert.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>

#define KEY_LEN 24 /* base64 of 16 bytes */
#define KEY_PADDING 2

/* Section 1.3; appended to the key. */
static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

bool websocket_key_valid(const char *key, size_t len) {
	if(len != KEY_LEN) {
		return false;
	}
	for(size_t i = 0; i < KEY_LEN - KEY_PADDING; i++) {
		if(!text_is_base64(key[i])) {
			return false;
		}
	}
	return key[KEY_LEN - 2] == '=' && key[KEY_LEN - 1] == '=';
}

void websocket_key_accept(const char *key, size_t len, char out[WEBSOCKET_KEY_ACCEPT_LEN + 1]) {
	static_assert(BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) == WEBSOCKET_KEY_ACCEPT_LEN,
		"the accept key is the base64 form of a digest");
	struct sha1_ctx hash;
	uint8_t digest[SHA1_DIGEST_SIZE];
	sha1_init(&hash);
	sha1_update(&hash, len, (const uint8_t *)key);
	sha1_update(&hash, sizeof(accept_guid) - 1, (const uint8_t *)accept_guid);
	sha1_digest(&hash, sizeof(digest), digest);
	base64_encode_raw(out, sizeof(digest), digest);
	out[WEBSOCKET_KEY_ACCEPT_LEN] = '\0';
}
