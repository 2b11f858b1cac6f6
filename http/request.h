/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP/1.1 request heads (RFC 9112) as slices into the caller's memory, and lists in their header
 * fields (RFC 9110, section 5.6.1). No file descriptors.
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

/* Requests with more fields get 431. The length of the head is limited by the caller. */
#define REQUEST_HEADERS_MAX 128

struct request {
	struct slice method;
	/*
	 * Path and query (request_path, request_query), also of an absolute form; "*" with OPTIONS.
	 * Begins with '/', or with '?' if an absolute form has a query but no path.
	 */
	struct slice target;
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
 * Parses the request head at the start of `data`, of which `len` bytes have been received so far.
 * `*scanned` is 0 for the first call and keeps the position up to which the bytes have been
 * examined, so that a head in many small reads takes linear time. REQUEST_DONE: `request` holds
 * slices into `data`, `*head_len` is the length of the head with its empty line (the bytes behind
 * it belong to the next request or protocol). REQUEST_MORE: incomplete. REQUEST_BAD: `error` is
 * filled in: 400 for malformed heads (request line, bare CR or LF, white space before the colon,
 * folded line, name or value of a field, no or several Host fields in HTTP/1.1, a body with GET,
 * HEAD or Upgrade), 431 for too many fields, 505 for versions other than HTTP/1.x. Up to four empty
 * lines in front are skipped (RFC 9112, 2.2). A bare CR or LF and other control characters are
 * reported at once, a malformed line when it is complete, violations that involve several fields
 * when the head is complete. The result does not depend on how the input was split into reads.
 *
 * The authority of an absolute target replaces the value of the Host field (RFC 9112, 3.2.2).
 * `data` may move between calls; `request` is scratch space until REQUEST_DONE.
 */
enum request_result request_parse(const char *data, size_t len, size_t *scanned,
	struct request *request, size_t *head_len, struct request_error *error);

/*
 * Has the request line at the start of `data` been received to its end? The response to a head that
 * is too long depends on it: 414 if not, otherwise 431 (RFC 9112, 3; RFC 6585, 5).
 */
bool request_line_is_complete(const char *data, size_t len);

/*
 * Is this the method of the request at the start of `data`, which is too long or malformed? The
 * response to HEAD has no content, whatever its status (RFC 9110, 9.3.2).
 */
bool request_begins_with_method(const char *data, size_t len, const char *method);

/* The path of the target, never empty; "*" with OPTIONS. */
struct slice request_path(const struct request *request);

/* The query of the target with its '?'; empty if there is none. */
struct slice request_query(const struct request *request);

/* Is this the method? Methods are case-sensitive (RFC 9110, 9.1). */
static inline bool request_method_is(const struct request *request, const char *method) {
	return text_is(request->method, method);
}

/*
 * Fields are found by their names in any case. Callers mostly have a literal, so the functions that
 * take a NUL-terminated name are inline: its length is known when they are compiled.
 */

/* The `index`-th field (0: first) called `name`, or NULL. */
const struct request_header *request_find_field(
	const struct request *request, struct slice name, size_t index);

static inline const struct request_header *request_find_header(
	const struct request *request, const char *name, size_t index) {
	return request_find_field(request, text_slice(name), index);
}

/* The number of fields called `name`. */
size_t request_count_fields(const struct request *request, struct slice name);

static inline size_t request_count_headers(const struct request *request, const char *name) {
	return request_count_fields(request, text_slice(name));
}

/*
 * Takes the next element of a comma-separated list, trimmed, off the front of `*list`. Empty
 * elements are skipped; a comma inside a quoted string does not separate. False: there are no
 * further elements.
 */
bool request_next_element(struct slice *list, struct slice *element);

/* Does any field called `name`, read as a list, contain this token (any case)? */
bool request_list_has(const struct request *request, struct slice name, struct slice token);

static inline bool request_has_token(
	const struct request *request, const char *name, const char *token) {
	return request_list_has(request, text_slice(name), text_slice(token));
}

/* May the connection be kept open for a further request (RFC 9112, 9.3)? */
bool request_is_persistent(const struct request *request);
#endif
