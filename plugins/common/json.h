/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of a JSON text (RFC 8259) that is in memory: members of objects, elements of arrays,
 * strings and integers. Nothing is allocated; values are parts of the text.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_JSON_H
#define WEBSOCKSY_PLUGIN_COMMON_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind {
	JSON_MISSING = 0,
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_TEXT, /* a string */
	JSON_NUMBER,
	JSON_WORD /* true, false, null */
};

/* Part of a valid text, which belongs to the caller; zero: there is no such value. */
struct json_value {
	const char *at;
	size_t len;
	enum json_kind kind;
};

/*
 * The value that `text` consists of, with white space around it; it is missing if the text is not
 * valid JSON, or nested more than JSON_DEPTH_MAX times.
 */
struct json_value json_read(const char *text, size_t len);

/* Member `name` of an object: the last one (RFC 7519 section 4). Missing: no object, no member. */
struct json_value json_member(struct json_value object, const char *name);

/* The element of `array` behind `element`, the first one behind a missing one. */
struct json_value json_next(struct json_value array, struct json_value element);

/*
 * Writes the characters of a string and a NUL. False: it is not a string, does not fit, contains a
 * NUL, or is not Unicode (an unpaired surrogate).
 */
bool json_string(struct json_value value, char *out, size_t cap);

/* The integer part of a number, rounded down. False: not a number, or not within 53 bits. */
bool json_integer(struct json_value value, int64_t *out);
#endif
