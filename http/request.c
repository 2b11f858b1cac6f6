/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parsing of HTTP/1.1 request heads, and access to their header fields.
 *
 * Must not know: file descriptors, connections, WebSocket rules beyond the name of the Upgrade
 * field.
 * Invariants: bytes before `*scanned` have been examined and belong to lines that are well formed
 * so far; a line is parsed once when its CRLF arrives, and once more when the head is complete if
 * it came in several reads. The result does not depend on how the input was split into reads,
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
#define HEAD_LINE_UNKNOWN SIZE_MAX

/* A head that is being parsed. */
struct head {
	const char *data;
	size_t len;
	/*
	 * Where the line begins that is examined. HEAD_LINE_UNKNOWN: in an earlier read; that is
	 * searched for at its end only, or a long line in small reads would take quadratic time.
	 */
	size_t line;
	struct request *request; /* the lines that the same scan() has examined */
	struct slice authority;
	struct request_error *error;
};

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

/* Why the line is not a header field. */
static enum request_result fail_field(struct slice line, struct request_error *error) {
	struct slice name;
	if(text_is_blank(line.at[0])) {
		return fail(error, 400, "a header field is folded over several lines");
	}
	if(!text_split(&line, ':', &name)) {
		return fail(error, 400, "a header field has no colon");
	}
	if(name.len > 0 && text_is_blank(name.at[name.len - 1])) {
		return fail(error, 400, "there is white space before the colon of a header field");
	}
	return fail(error, 400, "the name of a header field is malformed");
}

/*
 * Control characters were already rejected by scan(). Fields behind the last place are checked as
 * well: a malformed one is reported rather than their number.
 */
static enum request_result parse_field(
	struct slice line, struct request *request, struct request_error *error) {
	size_t name_len = text_token_len(line);
	if(name_len == 0 || name_len == line.len || line.at[name_len] != ':') {
		return fail_field(line, error);
	}
	if(request->headers < REQUEST_HEADERS_MAX) {
		request->header[request->headers] =
			(struct request_header){.name = {line.at, name_len},
				.value = text_trim(text_skip(line, name_len + 1))};
	}
	request->headers++;
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

static size_t line_start(const char *data, size_t end) {
	const char *before = memrchr(data, '\n', end);
	return before ? (size_t)(before - data) + 1 : 0;
}

/*
 * Parses the line whose CRLF is at `end`. REQUEST_DONE: it is the empty line that ends the head;
 * REQUEST_MORE: it is well formed, and more lines follow.
 */
static enum request_result parse_line(struct head *head, size_t end) {
	bool known = head->line != HEAD_LINE_UNKNOWN;
	size_t start = known ? head->line : line_start(head->data, end);
	bool is_first = empty_lines(head->data, start) == start;
	struct slice line = {.at = head->data + start, .len = end - start};
	if(line.len == 0 && is_first) {
		return start / 2 < EMPTY_LINES_MAX
			? REQUEST_MORE
			: fail(head->error, 400,
				  "there are too many empty lines before the request");
	}
	if(line.len == 0) {
		return REQUEST_DONE;
	}
	enum request_result result = is_first
		? parse_request_line(line, head->request, &head->authority, head->error)
		: parse_field(line, head->request, head->error);
	return result == REQUEST_DONE ? REQUEST_MORE : REQUEST_BAD;
}

/* Number of bytes at the front that may be inside of a line: no controls but the tab. */
static size_t line_bytes(const char *data, size_t len) {
	static const bool allowed[UINT8_MAX + 1] = {
		['\t'] = true, [' ' ... '~'] = true, [0x80 ... UINT8_MAX] = true};
	size_t i = 0;
	while(i < len && allowed[(uint8_t)data[i]]) {
		i++;
	}
	return i;
}

static enum request_result fail_byte(char c, struct request_error *error) {
	return fail(error, 400,
		c == '\r'           ? "a carriage return without a line feed"
			: c == '\n' ? "a line feed without a carriage return"
				    : "a control character in the request head");
}

/*
 * Examines the bytes that have not been examined yet; REQUEST_DONE: the head is complete, its lines
 * well formed.
 */
static enum request_result scan(struct head *head, size_t *scanned, size_t *head_len) {
	const char *data = head->data;
	size_t i = *scanned;
	head->line = i > 0 ? HEAD_LINE_UNKNOWN : 0;
	head->request->headers = 0;
	for(;;) {
		i += line_bytes(data + i, head->len - i);
		*scanned = i;
		if(i == head->len || (data[i] == '\r' && i + 1 == head->len)) {
			return REQUEST_MORE; /* a CR is examined again with the next byte */
		}
		if(data[i] != '\r' || data[i + 1] != '\n') {
			return fail_byte(data[i], head->error);
		}
		enum request_result result = parse_line(head, i);
		i += 2;
		head->line = i;
		if(result != REQUEST_MORE) {
			*head_len = i;
			return result;
		}
	}
}

/*
 * RFC 9112, 3.2: exactly one Host field from HTTP/1.1 on, at most one before, with a valid value.
 * The authority of an absolute target replaces the value (3.2.2), so that callers need not know
 * both.
 */
static enum request_result check_host(
	struct request *request, struct slice authority, struct request_error *error) {
	struct request_header *host = NULL;
	size_t count = 0;
	for(size_t i = 0; i < request->headers; i++) {
		if(text_is_nocase(request->header[i].name, "Host")) {
			host = &request->header[i];
			count++;
		}
	}
	if(count == 0 && request->minor >= 1) {
		return fail(error, 400, "the request has no Host field");
	}
	if(count > 1) {
		return fail(error, 400, "the request has more than one Host field");
	}
	if(host && !target_is_authority(host->value)) {
		return fail(error, 400, "the Host field is malformed");
	}
	if(host && authority.len > 0) {
		host->value = authority;
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

/* Rules that need the whole head. */
static enum request_result check_head(const struct head *head) {
	struct request *request = head->request;
	if(request->headers > REQUEST_HEADERS_MAX) {
		return fail(head->error, 431, "the request has too many header fields");
	}
	enum request_result result = check_host(request, head->authority, head->error);
	return result == REQUEST_DONE ? check_body(request, head->error) : result;
}

enum request_result request_parse(const char *data, size_t len, size_t *scanned,
	struct request *request, size_t *head_len, struct request_error *error) {
	assert(*scanned <= len);
	struct head head = {.data = data, .len = len, .request = request, .error = error};
	bool whole = *scanned == 0;
	enum request_result result = scan(&head, scanned, head_len);
	if(result == REQUEST_DONE && !whole) {
		size_t from = 0; /* the lines of earlier reads are not in `request` */
		result = scan(&head, &from, head_len);
	}
	return result == REQUEST_DONE ? check_head(&head) : result;
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

struct slice request_path(const struct request *request) {
	size_t len = text_find(request->target, '?');
	return len > 0 ? (struct slice){.at = request->target.at, .len = len} : text_slice("/");
}

struct slice request_query(const struct request *request) {
	return text_skip(request->target, text_find(request->target, '?'));
}

const struct request_header *request_find_field(
	const struct request *request, struct slice name, size_t index) {
	for(size_t i = 0; i < request->headers; i++) {
		if(!text_equal_nocase(request->header[i].name, name)) {
			continue;
		}
		if(index == 0) {
			return &request->header[i];
		}
		index--;
	}
	return NULL;
}

size_t request_count_fields(const struct request *request, struct slice name) {
	size_t count = 0;
	for(size_t i = 0; i < request->headers; i++) {
		count += text_equal_nocase(request->header[i].name, name);
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

bool request_list_has(const struct request *request, struct slice name, struct slice token) {
	const struct request_header *header;
	for(size_t i = 0; (header = request_find_field(request, name, i)) != NULL; i++) {
		struct slice list = header->value;
		struct slice element;
		while(request_next_element(&list, &element)) {
			if(text_equal_nocase(element, token)) {
				return true;
			}
		}
	}
	return false;
}

bool request_is_persistent(const struct request *request) {
	return request->minor >= 1 && !request_has_token(request, "Connection", "close");
}
