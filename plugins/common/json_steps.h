/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The states of the framing function `json`, and the function of each.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_JSON_STEPS_H
#define WEBSOCKSY_PLUGIN_COMMON_JSON_STEPS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 512
#define JSON_RECORD_SEPARATOR 0x1E /* RFC 7464 */

enum json_state {
	JSON_START, /* in front of an entity */
	JSON_VALUE,
	JSON_ELEMENT_OR_END, /* behind `[` */
	JSON_KEY_OR_END, /* behind `{` */
	JSON_KEY, /* behind `,` in an object */
	JSON_COLON,
	JSON_COMMA_OR_END,
	JSON_LITERAL,
	JSON_STRING,
	JSON_ESCAPE,
	JSON_HEX,
	JSON_UTF8,
	JSON_MINUS,
	JSON_ZERO,
	JSON_INTEGER,
	JSON_POINT,
	JSON_FRACTION,
	JSON_EXPONENT,
	JSON_EXPONENT_SIGN,
	JSON_EXPONENT_DIGITS,
	/* From here on the message is not JSON. */
	JSON_JUNK, /* outside of anything */
	JSON_SKIP, /* inside a broken object or array */
	JSON_SKIP_STRING,
	JSON_SKIP_ESCAPE,
	JSON_STATES
};

/* The result of one byte in one state. */
enum json_verdict {
	JSON_TAKE, /* part of the message */
	JSON_LAST, /* its last byte */
	JSON_BEFORE, /* the message ends in front of it */
	/* From here on: not decided yet. */
	JSON_AGAIN, /* the state has changed: its function decides */
	JSON_FAIL /* the byte is not valid here */
};

struct json {
	size_t seen; /* bytes of the message that have been taken */
	size_t depth; /* open objects and arrays */
	size_t skipped; /* bytes since the entity became invalid */
	const char *literal; /* the rest of the literal, which must follow */
	uint8_t state;
	uint8_t pending; /* hexadecimal digits or UTF-8 bytes that must follow */
	uint8_t low, high; /* range of the next UTF-8 byte */
	bool key; /* the string is the name of a member */
	bool blank; /* the message has only white space up to now */
	uint8_t objects[JSON_DEPTH_MAX / 8]; /* a bit per level: is it an object? */
};

/* Takes one byte in one state. */
typedef enum json_verdict json_step(struct json *json, uint8_t byte);

extern json_step *const json_steps[JSON_STATES];

static inline bool json_is_space(uint8_t byte) {
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline bool json_is_digit(uint8_t byte) {
	return byte >= '0' && byte <= '9';
}

static inline bool json_is_opener(uint8_t byte) {
	return byte == '{' || byte == '[';
}

/* Ends a line or a record in streams of JSON: no token contains it. */
static inline bool json_is_terminator(uint8_t byte) {
	return byte == '\n' || byte == '\0' || byte == JSON_RECORD_SEPARATOR;
}
#endif
