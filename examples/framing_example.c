/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A framing plugin in its smallest useful form: netstrings, `5:hello,`. Each one is a binary
 * message, with its length and its comma, since a framing function cuts a stream and takes nothing
 * away.
 *
 *     cc -std=c11 -Wall -Wextra -fPIC -shared -I. -o framing_example.so examples/framing_example.c
 *
 * Put the result into the plugin directory and use it with `framing=netstring`. The longer story is
 * told in docs/plugins.md.
 */
#include <websocksy.h>

#include <stddef.h>

#define DIGITS_MAX 9 /* lengths below 10^9 cannot overflow anything */

/*
 * Called after each read from the peer, with everything that no message has taken yet. The result
 * is the length of the message at the start of `data`, 0 for "not complete yet", or -1 for "this
 * cannot be".
 */
static int64_t netstring(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	size_t at = 0, body = 0;
	/* Not needed here: the header is short enough to be read anew each time. */
	(void)last_read;
	(void)framing_data;
	(void)config;
	/* Without anything in *framing_data this call is not made; being ready costs nothing. */
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
	/* No digit, something other than a colon behind the digits, or a leading zero. */
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

/* A configuration that would be ignored is better refused, and at start, not in a session. */
static const char *netstring_check(const char *config) {
	return *config ? "netstring takes no configuration" : NULL;
}

/* Runs while the daemon loads this file. */
__attribute__((constructor)) static void netstring_register(void) {
	if(core_register_framing("netstring", netstring) == 0) {
		core_register_framing_check("netstring", netstring_check);
	}
}
