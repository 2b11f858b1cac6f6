/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client's half of RFC 6455 for the load generator: opening request, masked headers, and a
 * parser for what servers send. Written apart from the daemon's codec, so that an error in one is
 * not hidden by the same error in the other.
 */
#ifndef BENCH_WSCLIENT_H
#define BENCH_WSCLIENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WSCLIENT_HEADER_MAX 14
#define WSCLIENT_CONTROL_MAX 125

enum wsclient_opcode {
	WSCLIENT_BINARY = 2,
	WSCLIENT_CLOSE = 8,
	WSCLIENT_PING = 9,
	WSCLIENT_PONG = 10
};

enum wsclient_result {
	WSCLIENT_MORE, /* all input is used up */
	WSCLIENT_DATA, /* payload of a message, or a part of it */
	WSCLIENT_CONTROL, /* a whole control frame */
	WSCLIENT_BAD /* the server broke a rule */
};

/* State of one server's frame stream; zero is ready. */
struct wsclient {
	uint64_t left; /* payload of the running frame that is still to come */
	uint8_t header[10];
	uint8_t have; /* bytes in `header` */
	uint8_t opcode;
	uint8_t control[WSCLIENT_CONTROL_MAX];
	uint8_t control_len;
	bool in_payload;
};

/* Input and output of one step. Payload lies in the input or in the state, until the next step. */
struct wsclient_io {
	const uint8_t *in;
	size_t in_len;
	uint8_t opcode;
	const uint8_t *payload;
	size_t payload_len;
};

enum wsclient_result wsclient_parse(struct wsclient *client, struct wsclient_io *io);

/* Writes a header with FIN and the mask; returns its length. */
size_t wsclient_put_header(
	uint8_t out[WSCLIENT_HEADER_MAX], enum wsclient_opcode opcode, uint64_t len, uint32_t mask);

/* The opening request for `host` and `path`; its length. Subprotocol NULL: none is offered. */
size_t wsclient_put_request(
	char *out, size_t cap, const char *host, const char *path, const char *protocol);

/*
 * Looks at the answer in `head`. Length of a complete and good one; 0: incomplete; -1: something
 * else than 101 with the right accept key.
 */
long wsclient_check_answer(const char *head, size_t len);
#endif
