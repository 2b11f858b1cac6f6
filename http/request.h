/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP/1.1 request heads (RFC 9112) as slices into the caller's memory, token lists (RFC 9110,
 * section 5.6.1) and response heads. No file descriptors.
 */
#ifndef WEBSOCKSY_REQUEST_H
#define WEBSOCKSY_REQUEST_H
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request_header {
	struct slice name; /* as received */
	struct slice value; /* without surrounding white space */
};

/* More fields than this: 431. The length of the head is the caller's limit. */
#define REQUEST_HEADERS_MAX 128

struct request {
	struct slice method;
	struct slice target; /* begins with '/' or is "*"; absolute forms are reduced */
	int minor; /* HTTP/1.<minor>; above 1 like 1 (RFC 9110, 2.5) */
	size_t headers;
	struct request_header header[REQUEST_HEADERS_MAX];
};

enum request_result {
	REQUEST_DONE,
	REQUEST_MORE,
	REQUEST_BAD
};

/* Filled when parsing fails: an HTTP status and one line of text; static. */
struct request_error {
	unsigned status;
	const char *message;
};

/*
 * Looks for a request head at the start of `data` (`len` bytes so far). `*scanned` is 0 at first
 * and remembers between calls how far the end has been searched for, so that a head cut into many
 * reads costs linear time. REQUEST_DONE: `request` holds slices into `data`, `*head_len` the number of
 * bytes that the head takes, its empty line included (what follows belongs to the next protocol).
 * REQUEST_MORE: not complete. REQUEST_BAD: `error` is filled (400 malformed: bad request line, bare CR or
 * LF, white space before the colon, folded line, bad name or value, no or two Host fields in
 * HTTP/1.1, body announced on GET/HEAD or a request with Upgrade; 431 too many fields; 505 not
 * HTTP/1.x). Up to four empty lines in front are skipped (RFC 9112, 2.2). A line that is malformed
 * is reported when it is complete, a bare CR or LF and other control characters at once, what
 * concerns several fields when the head is complete. The result is the same however the input is
 * cut into reads.
 *
 * An absolute target's authority takes the place of the Host field's value (RFC 9112, 3.2.2).
 * Between calls `data` may move and `request` need not be kept: it is scratch space until
 * REQUEST_DONE.
 */
enum request_result request_parse(const char *data, size_t len, size_t *scanned,
	struct request *request, size_t *head_len, struct request_error *error);

/* Methods are case-sensitive, unlike nearly everything else (RFC 9110, 9.1). */
bool request_method_is(const struct request *request, const char *method);

/* The `index`-th field (0: first) called `name` (any case), or NULL. */
const struct request_header *request_find_header(
	const struct request *request, const char *name, size_t index);

/* How many fields are called `name`. */
size_t request_count_headers(const struct request *request, const char *name);

/*
 * Steps through a comma-separated list (empty elements are skipped; a comma inside a quoted string
 * does not separate): takes the next element, trimmed, off the front of `*list`. False: there is
 * none.
 */
bool request_next_element(struct slice *list, struct slice *element);

/* Does any field `name`, taken as a list, hold the token `token` (any case)? */
bool request_has_token(const struct request *request, const char *name, const char *token);

/* Does the client leave the connection open for a further request (RFC 9112, 9.3)? */
bool request_is_persistent(const struct request *request);
#endif
