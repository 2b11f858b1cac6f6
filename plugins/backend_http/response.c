/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Responses to GET requests.
 *
 * Must not know: connections, what the body means.
 * Invariants: memory is bounded by the structure and RESPONSE_BODY_MAX; a body whose end is not
 * certain (RFC 9112, 6.3) is invalid; only responses whose end is marked leave the connection
 * usable.
 */
#include "plugins/backend_http/response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum response_state {
	RESPONSE_STATUS = 0,
	RESPONSE_FIELDS,
	RESPONSE_BODY,
	RESPONSE_CHUNK_SIZE,
	RESPONSE_CHUNK,
	RESPONSE_CHUNK_END,
	RESPONSE_TRAILERS
};

enum response_framing {
	RESPONSE_UNTIL_END = 0,
	RESPONSE_LENGTH,
	RESPONSE_CHUNKED
};

void response_start(struct response *response) {
	response_free(response);
	memset(response, 0, sizeof(*response));
	response->persistent = true;
}

void response_free(struct response *response) {
	free(response->body);
	response->body = NULL;
}

static enum response_result response_go(struct response *response, enum response_state state) {
	response->state = (uint8_t)state;
	return RESPONSE_MORE;
}

/* ---- lines ---- */

static bool response_is_digit(char byte) {
	return byte >= '0' && byte <= '9';
}

/* HTTP/1.x SP status, and SP reason or nothing. Behind 1xx, another head follows. */
static enum response_result response_status_line(struct response *response) {
	const char *line = response->line;
	static const char version[] = "HTTP/1.";
	size_t at = sizeof(version) - 1;
	bool valid = response->line_len >= at + 5 && memcmp(line, version, at) == 0 &&
		response_is_digit(line[at]) && line[at + 1] == ' ';
	for(size_t i = at + 2; valid && i < at + 5; i++) {
		valid = response_is_digit(line[i]);
		response->status = response->status * 10 + (unsigned)(line[i] - '0');
	}
	if(!valid || (response->line_len > at + 5 && line[at + 5] != ' ')) {
		return RESPONSE_BAD;
	}
	response->is_old = line[at] == '0';
	/* No upgrade was asked for. */
	if(response->status < 100 || response->status > 599 || response->status == 101) {
		return RESPONSE_BAD;
	}
	return response_go(response, RESPONSE_FIELDS);
}

/* The value of the field if the line has this name; NULL: another one. `*len` without blanks. */
static const char *response_field(const struct response *response, const char *name, size_t *len) {
	size_t at = strlen(name);
	size_t end = response->line_len;
	if(end <= at || strncasecmp(response->line, name, at) != 0 || response->line[at] != ':') {
		return NULL;
	}
	at++;
	while(at < end && (response->line[at] == ' ' || response->line[at] == '\t')) {
		at++;
	}
	while(end > at && (response->line[end - 1] == ' ' || response->line[end - 1] == '\t')) {
		end--;
	}
	*len = end - at;
	return response->line + at;
}

/* A length that is repeated has to be the same (RFC 9112, 6.3). */
static bool response_content_length(struct response *response, const char *value, size_t len) {
	uint64_t length = 0;
	if(len == 0 || len > 12) {
		return false;
	}
	for(size_t i = 0; i < len; i++) {
		if(!response_is_digit(value[i])) {
			return false;
		}
		length = length * 10 + (uint64_t)(value[i] - '0');
	}
	if(response->has_length && response->left != length) {
		return false;
	}
	response->has_length = true;
	response->left = length;
	return true;
}

/* Is the option `close` in the list? */
static bool response_has_close(const char *value, size_t len) {
	for(size_t at = 0; at + 5 <= len; at++) {
		if(strncasecmp(value + at, "close", 5) == 0) {
			return true;
		}
	}
	return false;
}

static enum response_result response_field_line(struct response *response) {
	size_t len;
	const char *value = response_field(response, "Transfer-Encoding", &len);
	bool cut = response->line_len == RESPONSE_LINE_MAX;
	if(value) {
		bool known = len == 7 && strncasecmp(value, "chunked", 7) == 0;
		bool again = response->framing == RESPONSE_CHUNKED;
		response->framing = RESPONSE_CHUNKED;
		return known && !again && !cut ? RESPONSE_MORE : RESPONSE_BAD;
	}
	value = response_field(response, "Content-Length", &len);
	if(value) {
		bool valid = !cut && response_content_length(response, value, len);
		return valid ? RESPONSE_MORE : RESPONSE_BAD;
	}
	value = response_field(response, "Connection", &len);
	if(value && (cut || response_has_close(value, len))) {
		response->persistent = false;
	}
	/* A name ends at a colon, without blanks; lines are not folded (RFC 9112, 5.1 and 5.2). */
	size_t name = 0;
	while(name < response->line_len && (uint8_t)response->line[name] > ' ' &&
		response->line[name] != ':') {
		name++;
	}
	bool named = name > 0 && name < response->line_len && response->line[name] == ':';
	return named ? RESPONSE_MORE : RESPONSE_BAD;
}

/* ---- the end of the head ---- */

static enum response_result response_body_start(struct response *response) {
	if(response->left > RESPONSE_BODY_MAX) {
		return RESPONSE_BAD;
	}
	response->body = malloc(RESPONSE_BODY_MAX);
	if(!response->body) {
		return RESPONSE_BAD;
	}
	if(response->framing == RESPONSE_CHUNKED) {
		return response_go(response, RESPONSE_CHUNK_SIZE);
	}
	return response_go(response, RESPONSE_BODY);
}

static enum response_result response_head_end(struct response *response) {
	if(response->status < 200) {
		size_t head = response->head;
		response_start(response);
		response->head = head;
		return RESPONSE_MORE;
	}
	/* Both would be an attempt to smuggle a response (RFC 9112, 6.3). */
	if(response->framing == RESPONSE_CHUNKED && (response->has_length || response->is_old)) {
		return RESPONSE_BAD;
	}
	if(response->status == 204 || response->status == 304) {
		return RESPONSE_DONE;
	}
	if(response->has_length) {
		response->framing = RESPONSE_LENGTH;
	}
	if(response->framing == RESPONSE_UNTIL_END || response->is_old) {
		response->persistent = false;
	}
	bool read = response->status < 300 ||
		(response->has_length && response->left <= RESPONSE_BODY_MAX);
	if(!read) {
		/* Pages about errors may be of any length. */
		response->persistent = false;
		return RESPONSE_DONE;
	}
	return response->has_length && response->left == 0 ? RESPONSE_DONE
							   : response_body_start(response);
}

/* Hexadecimal digits, and an extension or nothing (RFC 9112, 7.1). */
static enum response_result response_chunk_line(struct response *response) {
	uint64_t size = 0;
	size_t at = 0;
	for(; at < response->line_len; at++) {
		char byte = response->line[at];
		char lower = (char)(byte | 0x20);
		if(response_is_digit(byte)) {
			size = size * 16 + (uint64_t)(byte - '0');
		} else if(lower >= 'a' && lower <= 'f') {
			size = size * 16 + (uint64_t)(lower - 'a' + 10);
		} else {
			break;
		}
		if(size > RESPONSE_BODY_MAX) {
			return RESPONSE_BAD;
		}
	}
	bool ends = at == response->line_len || strchr("; \t", response->line[at]);
	if(at == 0 || !ends || size > RESPONSE_BODY_MAX - response->len) {
		return RESPONSE_BAD;
	}
	response->left = size;
	return response_go(response, size > 0 ? RESPONSE_CHUNK : RESPONSE_TRAILERS);
}

/* A line is complete, without its end. */
static enum response_result response_line(struct response *response) {
	switch(response->state) {
	case RESPONSE_STATUS:
		return response_status_line(response);
	case RESPONSE_FIELDS:
		return response->line_len == 0 ? response_head_end(response)
					       : response_field_line(response);
	case RESPONSE_CHUNK_SIZE:
		return response_chunk_line(response);
	case RESPONSE_CHUNK_END:
		return response->line_len == 0 ? response_go(response, RESPONSE_CHUNK_SIZE)
					       : RESPONSE_BAD;
	default:
		return response->line_len == 0 ? RESPONSE_DONE : RESPONSE_MORE;
	}
}

/* Lines end with CR LF or LF (RFC 9112, 2.2); a CR elsewhere, and a NUL, is invalid. */
static enum response_result response_line_byte(struct response *response, char byte) {
	response->head++;
	if(response->head > RESPONSE_HEAD_MAX || byte == '\0') {
		return RESPONSE_BAD;
	}
	if(byte == '\n') {
		enum response_result result = response_line(response);
		response->line_len = 0;
		response->line_has_cr = false;
		return result;
	}
	if(response->line_has_cr) {
		return RESPONSE_BAD;
	}
	response->line_has_cr = byte == '\r';
	if(byte != '\r' && response->line_len < RESPONSE_LINE_MAX) {
		response->line[response->line_len++] = byte;
	}
	return RESPONSE_MORE;
}

/* ---- the body ---- */

/* Takes bytes of the body or of a chunk; the number of bytes. */
static size_t response_body(
	struct response *response, const uint8_t *data, size_t len, enum response_result *result) {
	bool until_end = response->framing == RESPONSE_UNTIL_END;
	size_t room = RESPONSE_BODY_MAX - response->len;
	size_t wanted = until_end ? room : (size_t)response->left;
	size_t taken = len < wanted ? len : wanted;
	if(until_end && len > room) {
		*result = RESPONSE_BAD;
		return taken;
	}
	memcpy(response->body + response->len, data, taken);
	response->len += taken;
	if(until_end) {
		return taken;
	}
	response->left -= taken;
	if(response->left == 0) {
		*result = response->state == RESPONSE_CHUNK
			? response_go(response, RESPONSE_CHUNK_END)
			: RESPONSE_DONE;
	}
	return taken;
}

enum response_result response_take(
	struct response *response, const uint8_t *data, size_t len, size_t *used) {
	enum response_result result = RESPONSE_MORE;
	size_t at = 0;
	while(at < len && result == RESPONSE_MORE) {
		if(response->state == RESPONSE_BODY || response->state == RESPONSE_CHUNK) {
			at += response_body(response, data + at, len - at, &result);
		} else {
			result = response_line_byte(response, (char)data[at++]);
		}
	}
	*used = at;
	return result;
}

bool response_end(struct response *response) {
	return response->state == RESPONSE_BODY && response->framing == RESPONSE_UNTIL_END;
}
