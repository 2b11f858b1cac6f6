/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parsing of HTTP/1.1 request heads, and access to their header fields.
 *
 * Must not know: file descriptors, connections, WebSocket rules beyond the name of the Upgrade
 * field.
 * Invariants: bytes before `*scanned` have been examined and belong to lines that are well formed
 * so far, so no byte is scanned twice; a line is parsed once when its CRLF arrives and once more
 * when the head is complete. The result does not depend on how the input was split into reads,
 * because lines are checked in their order, and rules about several fields only at the end of the
 * head.
 * Implements RFC 9112 sections 2.2, 3, 5, 6 and 9.3; RFC 9110 sections 5.5, 5.6.1, 5.6.4, 7.2 and
 * 8.6.
 */
#include "http/request.h"

#include "http/target.h"

#include <assert.h>
#include <string.h>

/* RFC 9112, 2.2: at least one empty line before the request line should be ignored. */
#define EMPTY_LINES_MAX 4

static enum request_result fail(struct request_error *error, unsigned status, const char *message) {
	*error = (struct request_error){.status = status, .message = message};
	return REQUEST_BAD;
}

static enum request_result parse_version(
	struct slice version, struct request *request, struct request_error *error) {
	static const char prefix[] = "HTTP/";
	const size_t major = sizeof(prefix) - 1;
	if(version.len != major + 3 || memcmp(version.at, prefix, major) != 0 ||
		!text_is_digit(version.at[major]) || version.at[major + 1] != '.' ||
		!text_is_digit(version.at[major + 2])) {
		return fail(error, 400, "the request line does not end in an HTTP version");
	}
	if(version.at[major] != '1') {
		return fail(error, 505, "only HTTP/1.x is supported");
	}
	request->minor = version.at[major + 2] - '0';
	return REQUEST_DONE;
}

/* `*authority` is empty unless the target was in absolute form. */
static enum request_result parse_request_line(struct slice line, struct request *request,
	struct slice *authority, struct request_error *error) {
	if(!text_split(&line, ' ', &request->method) || !text_is_token(request->method)) {
		return fail(error, 400, "this is not an HTTP request");
	}
	if(!text_split(&line, ' ', &request->target)) {
		return fail(error, 400, "the request line has no target or no HTTP version");
	}
	if(parse_version(line, request, error) != REQUEST_DONE) {
		return REQUEST_BAD;
	}
	if(!target_reduce(&request->target, request_method_is(request, "OPTIONS"), authority)) {
		return fail(error, 400, "the request target is malformed");
	}
	return REQUEST_DONE;
}

/* Control characters were already rejected by scan(). */
static enum request_result parse_field(
	struct slice line, struct request_header *header, struct request_error *error) {
	if(text_is_blank(line.at[0])) {
		return fail(error, 400, "a header field is folded over several lines");
	}
	if(!text_split(&line, ':', &header->name)) {
		return fail(error, 400, "a header field has no colon");
	}
	if(header->name.len > 0 && text_is_blank(header->name.at[header->name.len - 1])) {
		return fail(error, 400, "there is white space before the colon of a header field");
	}
	if(!text_is_token(header->name)) {
		return fail(error, 400, "the name of a header field is malformed");
	}
	header->value = text_trim(line);
	return REQUEST_DONE;
}

/* Length of the empty lines in front of the request line. */
static size_t empty_lines(const char *data, size_t len) {
	size_t i = 0;
	while(len - i >= 2 && data[i] == '\r' && data[i + 1] == '\n') {
		i += 2;
	}
	return i;
}

/*
 * Checks the line whose CRLF is at `end`. REQUEST_DONE: it is the empty line that ends the head;
 * REQUEST_MORE: it is well formed, and more lines follow. `request` is used as scratch space.
 */
static enum request_result check_line(
	const char *data, size_t end, struct request *request, struct request_error *error) {
	const char *before = end > 0 ? memrchr(data, '\n', end) : NULL;
	size_t start = before ? (size_t)(before - data) + 1 : 0;
	bool is_first = empty_lines(data, start) == start;
	struct slice line = {.at = data + start, .len = end - start};
	struct slice authority;
	if(line.len == 0 && is_first) {
		return start / 2 < EMPTY_LINES_MAX
			? REQUEST_MORE
			: fail(error, 400, "there are too many empty lines before the request");
	}
	if(line.len == 0) {
		return REQUEST_DONE;
	}
	enum request_result result = is_first ? parse_request_line(line, request, &authority, error)
					      : parse_field(line, &request->header[0], error);
	return result == REQUEST_DONE ? REQUEST_MORE : REQUEST_BAD;
}

/*
 * Examines the bytes that have not been examined yet; REQUEST_DONE: the head is complete, its lines
 * well formed.
 */
static enum request_result scan(const char *data, size_t len, size_t *scanned, size_t *head_len,
	struct request *request, struct request_error *error) {
	for(size_t i = *scanned; i < len; i++) {
		*scanned = i;
		if(data[i] == '\r') {
			if(i + 1 == len) {
				return REQUEST_MORE; /* this byte is examined again with the next */
			}
			if(data[i + 1] != '\n') {
				return fail(error, 400, "a carriage return without a line feed");
			}
			enum request_result result = check_line(data, i, request, error);
			if(result != REQUEST_MORE) {
				*head_len = i + 2;
				return result;
			}
			i++;
		} else if(data[i] == '\n') {
			return fail(error, 400, "a line feed without a carriage return");
		} else if(text_is_control(data[i]) && data[i] != '\t') {
			return fail(error, 400, "a control character in the request head");
		}
	}
	*scanned = len;
	return REQUEST_MORE;
}

/* The next line of a complete head; scan() has checked that it ends in CRLF. */
static struct slice next_line(const char *data, size_t len, size_t *offset) {
	struct slice line;
	struct slice rest = {.at = data + *offset, .len = len - *offset};
	bool found = text_split(&rest, '\n', &line);
	assert(found && line.len > 0);
	(void)found;
	*offset += line.len + 1;
	line.len--;
	return line;
}

static enum request_result read_lines(const char *data, size_t head_len, struct request *request,
	struct slice *authority, struct request_error *error) {
	size_t i = empty_lines(data, head_len);
	if(parse_request_line(next_line(data, head_len, &i), request, authority, error) !=
		REQUEST_DONE) {
		return REQUEST_BAD;
	}
	request->headers = 0;
	for(struct slice line = next_line(data, head_len, &i); line.len > 0;
		line = next_line(data, head_len, &i)) {
		if(request->headers == REQUEST_HEADERS_MAX) {
			return fail(error, 431, "the request has too many header fields");
		}
		if(parse_field(line, &request->header[request->headers], error) != REQUEST_DONE) {
			return REQUEST_BAD;
		}
		request->headers++;
	}
	return REQUEST_DONE;
}

/*
 * RFC 9112, 3.2: exactly one Host field from HTTP/1.1 on, at most one before, with a valid value.
 * The authority of an absolute target replaces the value (3.2.2), so that callers need not know
 * both.
 */
static enum request_result check_host(
	struct request *request, struct slice authority, struct request_error *error) {
	size_t count = request_count_headers(request, "Host");
	if(count == 0 && request->minor >= 1) {
		return fail(error, 400, "the request has no Host field");
	}
	if(count > 1) {
		return fail(error, 400, "the request has more than one Host field");
	}
	for(size_t i = 0; i < request->headers; i++) {
		struct request_header *header = &request->header[i];
		if(!text_is_nocase(header->name, "Host")) {
			continue;
		}
		if(!target_is_authority(header->value)) {
			return fail(error, 400, "the Host field is malformed");
		}
		if(authority.len > 0) {
			header->value = authority;
		}
	}
	return REQUEST_DONE;
}

/* Only zero; a list of equal values is valid (RFC 9110, 8.6). */
static enum request_result check_content_length(struct slice value, struct request_error *error) {
	struct slice element;
	if(!request_next_element(&value, &element)) {
		return fail(error, 400, "the Content-Length field is malformed");
	}
	do {
		bool zero = true;
		for(size_t i = 0; i < element.len; i++) {
			if(!text_is_digit(element.at[i])) {
				return fail(error, 400, "the Content-Length field is malformed");
			}
			zero = zero && element.at[i] == '0';
		}
		if(!zero) {
			return fail(error, 400, "requests with a body are not supported");
		}
	} while(request_next_element(&value, &element));
	return REQUEST_DONE;
}

/*
 * Against request smuggling: these bytes would be a body to a proxy in front of us, and WebSocket
 * frames or the next request to us. Rejecting them leaves only one interpretation. Other methods
 * are rejected by the caller.
 */
static enum request_result check_body(const struct request *request, struct request_error *error) {
	bool concerned = request_method_is(request, "GET") || request_method_is(request, "HEAD") ||
		request_count_headers(request, "Upgrade") > 0;
	if(!concerned) {
		return REQUEST_DONE;
	}
	if(request_count_headers(request, "Transfer-Encoding") > 0) {
		return fail(error, 400, "requests with a body are not supported");
	}
	const struct request_header *header;
	for(size_t i = 0; (header = request_find_header(request, "Content-Length", i)) != NULL;
		i++) {
		if(check_content_length(header->value, error) != REQUEST_DONE) {
			return REQUEST_BAD;
		}
	}
	return REQUEST_DONE;
}

enum request_result request_parse(const char *data, size_t len, size_t *scanned,
	struct request *request, size_t *head_len, struct request_error *error) {
	assert(*scanned <= len);
	struct slice authority;
	enum request_result result = scan(data, len, scanned, head_len, request, error);
	if(result != REQUEST_DONE) {
		return result;
	}
	result = read_lines(data, *head_len, request, &authority, error);
	if(result == REQUEST_DONE) {
		result = check_host(request, authority, error);
	}
	if(result == REQUEST_DONE) {
		result = check_body(request, error);
	}
	return result;
}

/* The input behind the empty lines in front of the request line. */
static struct slice skip_empty_lines(const char *data, size_t len) {
	return text_skip((struct slice){.at = data, .len = len}, empty_lines(data, len));
}

bool request_line_is_complete(const char *data, size_t len) {
	struct slice rest = skip_empty_lines(data, len);
	return text_find(rest, '\n') < rest.len;
}

bool request_begins_with_method(const char *data, size_t len, const char *method) {
	struct slice rest = skip_empty_lines(data, len);
	struct slice found;
	return text_split(&rest, ' ', &found) && text_is(found, method);
}

bool request_method_is(const struct request *request, const char *method) {
	return text_is(request->method, method);
}

struct slice request_path(const struct request *request) {
	size_t len = text_find(request->target, '?');
	return len > 0 ? (struct slice){.at = request->target.at, .len = len} : text_slice("/");
}

struct slice request_query(const struct request *request) {
	return text_skip(request->target, text_find(request->target, '?'));
}

const struct request_header *request_find_header(
	const struct request *request, const char *name, size_t index) {
	struct slice wanted = text_slice(name);
	for(size_t i = 0; i < request->headers; i++) {
		if(!text_equal_nocase(request->header[i].name, wanted)) {
			continue;
		}
		if(index == 0) {
			return &request->header[i];
		}
		index--;
	}
	return NULL;
}

size_t request_count_headers(const struct request *request, const char *name) {
	struct slice wanted = text_slice(name);
	size_t count = 0;
	for(size_t i = 0; i < request->headers; i++) {
		count += text_equal_nocase(request->header[i].name, wanted);
	}
	return count;
}

/* Length up to the first comma that is not inside a quoted string (RFC 9110, 5.6.4). */
static size_t element_len(struct slice list) {
	bool quoted = false;
	for(size_t i = 0; i < list.len; i++) {
		if(list.at[i] == '"') {
			quoted = !quoted;
		} else if(quoted && list.at[i] == '\\' && i + 1 < list.len) {
			i++;
		} else if(!quoted && list.at[i] == ',') {
			return i;
		}
	}
	return list.len;
}

bool request_next_element(struct slice *list, struct slice *element) {
	while(list->len > 0) {
		size_t len = element_len(*list);
		*element = text_trim((struct slice){.at = list->at, .len = len});
		*list = text_skip(*list, len < list->len ? len + 1 : len);
		if(element->len > 0) {
			return true;
		}
	}
	return false;
}

bool request_has_token(const struct request *request, const char *name, const char *token) {
	const struct request_header *header;
	for(size_t i = 0; (header = request_find_header(request, name, i)) != NULL; i++) {
		struct slice list = header->value;
		struct slice element;
		while(request_next_element(&list, &element)) {
			if(text_is_nocase(element, token)) {
				return true;
			}
		}
	}
	return false;
}

bool request_is_persistent(const struct request *request) {
	return request->minor >= 1 && !request_has_token(request, "Connection", "close");
}
