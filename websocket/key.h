/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys of the opening handshake (RFC 6455, section 4).
 */
#ifndef WEBSOCKSY_WEBSOCKET_KEY_H
#define WEBSOCKSY_WEBSOCKET_KEY_H
#include <stdbool.h>
#include <stddef.h>

#define WEBSOCKET_KEY_ACCEPT_LEN 28 /* base64 of a SHA-1 digest, without NUL */

/*
 * Is `key` (Sec-WebSocket-Key, `len` characters) the base64 form of exactly 16 bytes? Section
 * 4.2.1. The four bits of the last character that belong to no byte may have any value: clients
 * that draw random characters instead of encoding random bytes work with other servers.
 */
bool websocket_key_valid(const char *key, size_t len);

/* Computes Sec-WebSocket-Accept for a valid key, with a NUL behind it. Section 4.2.2. */
void websocket_key_accept(const char *key, size_t len, char out[WEBSOCKET_KEY_ACCEPT_LEN + 1]);
#endif
