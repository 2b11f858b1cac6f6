/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A minimal framing plugin: netstrings, `5:hello,`. Each one is a binary message, including its
 * length and its comma, because a framing function splits a stream and removes nothing.
 *
 *     cc -std=c11 -Wall -Wextra -fPIC -shared -I. -o framing_example.so examples/framing_example.c
 *
 * Copy the result into the plugin directory and use it with `framing=netstring`. See
 * docs/plugins.md for details.
 */
#include <websocksy.h>

#include <stddef.h>

#define DIGITS_MAX 9 /* lengths below 10^9 cannot overflow anything */

/*
 * Called after each read from the peer, with all data that is not part of a message yet. The
 * result is the length of the message at the start of `data`, 0 if it is incomplete, or -1 if the
 * data is invalid.
 */
static int64_t netstring(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	size_t at = 0, body = 0;
	/* Not needed here: the header is short enough to be parsed again each time. */
	(void)last_read;
	(void)framing_data;
	(void)config;
	/* The end of the connection; only called if *framing_data is not NULL. */
	if(!data) {
		return 0;
	}
	while(at < length && data[at] >= '0' && data[at] <= '9' && at < DIGITS_MAX) {
		body = body * 10 + (size_t)(data[at] - '0');
		at++;
	}
	if(at == length) {
		return 0;
	}
	/* No digits, no colon after them, or a leading zero. */
	if(at == 0 || data[at] != ':' || (at > 1 && data[0] == '0')) {
		return -1;
	}
	/* at + 1 bytes of header, the body, the comma. */
	size_t segment = at + 1 + body + 1;
	if(segment > length) {
		return 0;
	}
	if(data[segment - 1] != ',') {
		return -1;
	}
	*opcode = ws_frame_binary;
	return (int64_t)segment;
}

/* Rejects a configuration at start, because it would have no effect. */
static const char *netstring_check(const char *config) {
	return *config ? "netstring takes no configuration" : NULL;
}

/* Runs when the daemon loads this file. */
__attribute__((constructor)) static void netstring_register(void) {
	if(core_register_framing("netstring", netstring) == 0) {
		core_register_framing_check("netstring", netstring_check);
	}
}
