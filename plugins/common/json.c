/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of a JSON text that is in memory.
 *
 * Must not know: plugins, where texts come from.
 * Invariants: the grammar (json_steps.c) has accepted the whole text before any of it is taken
 * apart, so that ends of values are found by brackets and quotes alone; no recursion.
 */
#include "plugins/common/json.h"

#include "plugins/common/json_steps.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JSON_INTEGER_MAX 9007199254740991.0 /* 2^53 - 1: exact in a double */
#define JSON_DIGITS_MAX 64

static const char *json_skip_space(const char *at, const char *end) {
	while(at < end && json_is_space((uint8_t)*at)) {
		at++;
	}
	return at;
}

/* ---- validation ---- */

/* True: the text goes on behind `byte`, or the value is complete (`*done`). */
static bool json_accept(struct json *json, uint8_t byte, bool *done) {
	enum json_verdict verdict = JSON_AGAIN;
	if(*done) {
		return json_is_space(byte);
	}
	/* The end of a number in an object takes two steps. */
	for(int steps = 0; steps < 2 && verdict == JSON_AGAIN; steps++) {
		verdict = json_steps[json->state](json, byte);
	}
	*done = verdict == JSON_LAST || (verdict == JSON_BEFORE && json_is_space(byte));
	return verdict == JSON_TAKE || *done;
}

static bool json_ends_number(const struct json *json) {
	return json->depth == 0 &&
		(json->state == JSON_ZERO || json->state == JSON_INTEGER ||
			json->state == JSON_FRACTION || json->state == JSON_EXPONENT_DIGITS);
}

static bool json_is_valid(const char *text, size_t len) {
	struct json json = {.state = JSON_VALUE};
	bool done = false;
	for(size_t i = 0; i < len; i++) {
		if(!json_accept(&json, (uint8_t)text[i], &done)) {
			return false;
		}
	}
	return done || json_ends_number(&json);
}

/* ---- parts of valid texts ---- */

/* The end of the string that begins at `at`. */
static const char *json_string_end(const char *at) {
	at++;
	while(*at != '"') {
		at += *at == '\\' ? 2 : 1;
	}
	return at + 1;
}

/* The end of the object or array that begins at `at`. */
static const char *json_brackets_end(const char *at) {
	size_t depth = 0;
	do {
		if(*at == '"') {
			at = json_string_end(at);
			continue;
		}
		if(*at == '{' || *at == '[') {
			depth++;
		} else if(*at == '}' || *at == ']') {
			depth--;
		}
		at++;
	} while(depth > 0);
	return at;
}

/* The value at `at`, which is in a text up to `end`. */
static struct json_value json_value_at(const char *at, const char *end) {
	struct json_value value = {.at = at};
	const char *last = at;
	if(*at == '{' || *at == '[') {
		value.kind = *at == '{' ? JSON_OBJECT : JSON_ARRAY;
		last = json_brackets_end(at);
	} else if(*at == '"') {
		value.kind = JSON_TEXT;
		last = json_string_end(at);
	} else {
		value.kind = *at == '-' || json_is_digit((uint8_t)*at) ? JSON_NUMBER : JSON_WORD;
		while(last < end && !json_is_space((uint8_t)*last) && *last != ',' &&
			*last != '}' && *last != ']') {
			last++;
		}
	}
	value.len = (size_t)(last - at);
	return value;
}

struct json_value json_read(const char *text, size_t len) {
	if(!json_is_valid(text, len)) {
		return (struct json_value){0};
	}
	return json_value_at(json_skip_space(text, text + len), text + len);
}

/*
 * The value behind `at`, which is behind an opening bracket or another value; missing: the closing
 * bracket is next.
 */
static struct json_value json_following(const char *at, const char *end) {
	at = json_skip_space(at, end);
	if(*at == ',' || *at == ':') {
		at = json_skip_space(at + 1, end);
	}
	if(*at == '}' || *at == ']') {
		return (struct json_value){0};
	}
	return json_value_at(at, end);
}

struct json_value json_next(struct json_value array, struct json_value element) {
	if(array.kind != JSON_ARRAY) {
		return (struct json_value){0};
	}
	const char *at = element.kind ? element.at + element.len : array.at + 1;
	return json_following(at, array.at + array.len);
}

/* ---- strings ---- */

/* The four hexadecimal digits at `at`. */
static unsigned json_hex(const char *at) {
	unsigned code = 0;
	for(int i = 0; i < 4; i++) {
		unsigned byte = (uint8_t)at[i];
		code = code << 4 |
			(json_is_digit((uint8_t)byte) ? byte - '0' : (byte | 0x20) - 'a' + 10);
	}
	return code;
}

/* The character written as \uXXXX at `*at`, which is moved behind it. 0: NUL, half a pair. */
static unsigned json_escaped_character(const char **at) {
	unsigned code = json_hex(*at + 2);
	*at += 6;
	if(code < 0xD800 || code > 0xDFFF) {
		return code;
	}
	if(code > 0xDBFF || (*at)[0] != '\\' || (*at)[1] != 'u') {
		return 0;
	}
	unsigned low = json_hex(*at + 2);
	*at += 6;
	bool pair = low >= 0xDC00 && low <= 0xDFFF;
	return pair ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0;
}

/* Writes a character in UTF-8; the number of bytes. */
static size_t json_put_utf8(char out[4], unsigned code) {
	if(code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for(size_t i = len - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3F));
		code >>= 6;
	}
	out[0] = (char)((0xF00u >> len & 0xF0) | code);
	return len;
}

/* Writes the next character of a string to `out` and moves `*at`; 0: it has none in a C string. */
static size_t json_take_character(const char **at, char out[4]) {
	static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	if(**at != '\\') {
		out[0] = *(*at)++;
		return 1;
	}
	if((*at)[1] == 'u') {
		unsigned code = json_escaped_character(at);
		return code ? json_put_utf8(out, code) : 0;
	}
	for(size_t i = 0; i + 1 < sizeof(escapes); i += 2) {
		if(escapes[i] == (*at)[1]) {
			out[0] = escapes[i + 1];
			break;
		}
	}
	*at += 2;
	return 1;
}

bool json_string(struct json_value value, char *out, size_t cap) {
	if(value.kind != JSON_TEXT) {
		return false;
	}
	const char *at = value.at + 1;
	const char *end = value.at + value.len - 1;
	size_t written = 0;
	while(at < end) {
		char character[4];
		size_t len = json_take_character(&at, character);
		if(len == 0 || cap - written <= len) {
			return false;
		}
		memcpy(out + written, character, len);
		written += len;
	}
	if(written == cap) {
		return false;
	}
	out[written] = '\0';
	return true;
}

/* Is it the string `name`? Compared without room for it, as names may have any length. */
static bool json_is_text(struct json_value value, const char *name) {
	const char *at = value.at + 1;
	const char *end = value.at + value.len - 1;
	while(at < end) {
		char character[4];
		size_t len = json_take_character(&at, character);
		if(len == 0 || strncmp(name, character, len) != 0) {
			return false;
		}
		name += len;
	}
	return *name == '\0';
}

struct json_value json_member(struct json_value object, const char *name) {
	struct json_value found = {0};
	if(object.kind != JSON_OBJECT) {
		return found;
	}
	const char *end = object.at + object.len;
	struct json_value key = json_following(object.at + 1, end);
	while(key.kind) {
		struct json_value value = json_following(key.at + key.len, end);
		assert(value.kind);
		if(json_is_text(key, name)) {
			found = value;
		}
		key = json_following(value.at + value.len, end);
	}
	return found;
}

/* ---- numbers ---- */

bool json_integer(struct json_value value, int64_t *out) {
	char digits[JSON_DIGITS_MAX];
	if(value.kind != JSON_NUMBER || value.len >= sizeof(digits)) {
		return false;
	}
	memcpy(digits, value.at, value.len);
	digits[value.len] = '\0';
	double number = strtod(digits, NULL);
	if(number > JSON_INTEGER_MAX || number < -JSON_INTEGER_MAX) {
		return false;
	}
	*out = (int64_t)number;
	*out -= (double)*out > number;
	return true;
}
