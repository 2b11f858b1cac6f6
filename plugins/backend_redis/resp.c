/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The protocol of Redis, version 2 (RESP2).
 *
 * Must not know: connections, what the commands mean.
 * Invariants: memory is bounded by the structure, whatever lengths the server names; each call
 * takes at least one byte, or is RESP_BAD.
 */
#include "plugins/backend_redis/resp.h"

#include <stdio.h>
#include <string.h>

#define RESP_LINE_KEPT 128 /* of a status or an error */
#define RESP_LINE_MAX 65536
#define RESP_DIGITS_MAX 10
#define RESP_LENGTH_MAX ((size_t)512 << 20) /* proto-max-bulk-len of Redis */

enum resp_state {
	RESP_TYPE = 0,
	RESP_LINE,
	RESP_LINE_LF,
	RESP_BULK,
	RESP_BULK_CR,
	RESP_BULK_LF
};

static enum resp_result resp_go(struct resp *resp, enum resp_state state) {
	resp->state = (uint8_t)state;
	return RESP_MORE;
}

static enum resp_result resp_done(
	struct resp *resp, enum resp_kind kind, struct resp_reply *reply) {
	*reply = (struct resp_reply){.kind = kind, .data = resp->data, .len = resp->len};
	resp->state = RESP_TYPE;
	return RESP_DONE;
}

static enum resp_result resp_begin(struct resp *resp, uint8_t byte) {
	if(byte == 0 || !strchr("+-:$", byte)) {
		return RESP_BAD;
	}
	resp->type = (char)byte;
	resp->seen = 0;
	resp->len = 0;
	resp->too_long = false;
	return resp_go(resp, RESP_LINE);
}

static enum resp_result resp_line(struct resp *resp, uint8_t byte) {
	bool text = resp->type == '+' || resp->type == '-';
	if(byte == '\r') {
		return resp_go(resp, RESP_LINE_LF);
	}
	if(byte == '\n' || resp->seen == RESP_LINE_MAX) {
		return RESP_BAD;
	}
	resp->seen++;
	if(resp->len < RESP_LINE_KEPT) {
		resp->data[resp->len++] = (char)byte;
		return RESP_MORE;
	}
	return text ? RESP_MORE : RESP_BAD;
}

/* The length of a value, or -1. */
static enum resp_result resp_length(struct resp *resp, struct resp_reply *reply) {
	size_t value = 0;
	if(resp->len == 2 && memcmp(resp->data, "-1", 2) == 0) {
		resp->len = 0;
		return resp_done(resp, RESP_NULL, reply);
	}
	if(resp->len == 0 || resp->len > RESP_DIGITS_MAX) {
		return RESP_BAD;
	}
	for(size_t i = 0; i < resp->len; i++) {
		if(resp->data[i] < '0' || resp->data[i] > '9') {
			return RESP_BAD;
		}
		value = value * 10 + (size_t)(resp->data[i] - '0');
	}
	if(value > RESP_LENGTH_MAX) {
		return RESP_BAD;
	}
	resp->too_long = value > RESP_VALUE_MAX;
	resp->left = value;
	resp->len = 0;
	return resp_go(resp, value > 0 ? RESP_BULK : RESP_BULK_CR);
}

static enum resp_result resp_line_end(struct resp *resp, uint8_t byte, struct resp_reply *reply) {
	if(byte != '\n') {
		return RESP_BAD;
	}
	switch(resp->type) {
	case '+':
		return resp_done(resp, RESP_STATUS, reply);
	case '-':
		return resp_done(resp, RESP_ERROR, reply);
	case ':':
		return resp_done(resp, RESP_INTEGER, reply);
	default:
		return resp_length(resp, reply);
	}
}

/* Takes as much of the value as there is; the number of bytes. */
static size_t resp_bulk(struct resp *resp, const uint8_t *data, size_t len) {
	size_t taken = len < resp->left ? len : resp->left;
	if(!resp->too_long) {
		memcpy(resp->data + resp->len, data, taken);
		resp->len += taken;
	}
	resp->left -= taken;
	if(resp->left == 0) {
		resp_go(resp, RESP_BULK_CR);
	}
	return taken;
}

static enum resp_result resp_byte(struct resp *resp, uint8_t byte, struct resp_reply *reply) {
	switch(resp->state) {
	case RESP_TYPE:
		return resp_begin(resp, byte);
	case RESP_LINE:
		return resp_line(resp, byte);
	case RESP_LINE_LF:
		return resp_line_end(resp, byte, reply);
	case RESP_BULK_CR:
		return byte == '\r' ? resp_go(resp, RESP_BULK_LF) : RESP_BAD;
	default:
		if(byte != '\n') {
			return RESP_BAD;
		}
		return resp_done(resp, resp->too_long ? RESP_TOO_LONG : RESP_VALUE, reply);
	}
}

enum resp_result resp_take(struct resp *resp, const uint8_t *data, size_t len, size_t *used,
	struct resp_reply *reply) {
	enum resp_result result = RESP_MORE;
	size_t at = 0;
	while(at < len && result == RESP_MORE) {
		if(resp->state == RESP_BULK) {
			at += resp_bulk(resp, data + at, len - at);
			continue;
		}
		result = resp_byte(resp, data[at++], reply);
	}
	*used = at;
	return result;
}

size_t resp_command(char out[RESP_COMMAND_MAX], const struct resp_word *word, size_t words) {
	size_t len = (size_t)snprintf(out, RESP_COMMAND_MAX, "*%zu\r\n", words);
	for(size_t i = 0; i < words; i++) {
		size_t prefix = word[i].prefix ? strlen(word[i].prefix) + 1 : 0;
		size_t text = strlen(word[i].text);
		if(text > RESP_WORD_MAX || prefix > RESP_WORD_MAX - text) {
			return 0;
		}
		len += (size_t)snprintf(out + len, RESP_COMMAND_MAX - len, "$%zu\r\n%s%s%s\r\n",
			prefix + text, prefix ? word[i].prefix : "", prefix ? ":" : "",
			word[i].text);
	}
	return len;
}
