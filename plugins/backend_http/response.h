/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Responses to GET requests, from a stream in any pieces (RFC 9112).
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_HTTP_RESPONSE_H
#define WEBSOCKSY_PLUGIN_BACKEND_HTTP_RESPONSE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_BODY_MAX 4096
#define RESPONSE_HEAD_MAX 16384 /* bytes of the status line and the fields, and of trailers */
#define RESPONSE_LINE_MAX 256 /* bytes of a line that are looked at */

enum response_result {
	RESPONSE_DONE,
	RESPONSE_MORE,
	RESPONSE_BAD
};

/* A response on its way. response_start() before the first byte. */
struct response {
	uint8_t state;
	uint8_t framing; /* how the end of the body is found */
	bool persistent; /* the connection can be used again behind the response */
	bool has_length;
	bool is_old; /* HTTP/1.0 */
	bool line_has_cr;
	unsigned status;
	size_t head; /* bytes of the head */
	size_t line_len; /* bytes of the current line, up to RESPONSE_LINE_MAX */
	uint64_t left; /* bytes of the body or of the chunk */
	size_t len; /* of the body */
	char *body; /* RESPONSE_BODY_MAX bytes, allocated when the body begins */
	char line[RESPONSE_LINE_MAX];
};

void response_start(struct response *response);

/* Frees the body. */
void response_free(struct response *response);

/*
 * Takes bytes of the response, `*used` of `len`. RESPONSE_DONE: the status is known, and the body
 * complete if the status is 2xx; if the response is persistent, another one may follow. RESPONSE_BAD: this is not a response, it is too
 * large, or there is no memory.
 */
enum response_result response_take(
	struct response *response, const uint8_t *data, size_t len, size_t *used);

/* The stream has ended: is the response complete? */
bool response_end(struct response *response);
#endif
