/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The grammar of JSON as a state machine that takes each byte once, and the states that search
 * for the end of an invalid entity.
 *
 * Must not know: messages, reads.
 * Invariants: no recursion; each function looks at one byte.
 * Implements RFC 8259 with the UTF-8 of RFC 3629.
 */
#include "plugins/common/json_steps.h"

/* The end of an invalid entity is searched for by its brackets and quotes in so many bytes. */
#define JSON_SKIP_MAX 65536

static enum json_verdict json_go(struct json *json, enum json_state state) {
	json->state = (uint8_t)state;
	return JSON_TAKE;
}

static enum json_verdict json_value_done(struct json *json) {
	return json->depth == 0 ? JSON_LAST : json_go(json, JSON_COMMA_OR_END);
}

/* ---- structure ---- */

static bool json_in_object(const struct json *json) {
	size_t level = json->depth - 1;
	return json->depth > 0 && json->objects[level / 8] >> level % 8 & 1;
}

static enum json_verdict json_push(struct json *json, bool object) {
	if(json->depth == JSON_DEPTH_MAX) {
		return JSON_FAIL;
	}
	uint8_t bit = (uint8_t)(1u << json->depth % 8);
	uint8_t *byte = &json->objects[json->depth / 8];
	*byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
	json->depth++;
	return json_go(json, object ? JSON_KEY_OR_END : JSON_ELEMENT_OR_END);
}

static enum json_verdict json_pop(struct json *json) {
	json->depth--;
	return json_value_done(json);
}

static enum json_verdict json_open_string(struct json *json, bool key) {
	json->key = key;
	return json_go(json, JSON_STRING);
}

static enum json_verdict json_open_literal(struct json *json, const char *rest) {
	json->literal = rest;
	return json_go(json, JSON_LITERAL);
}

static enum json_verdict json_step_value(struct json *json, uint8_t byte) {
	switch(byte) {
	case ' ':
	case '\t':
	case '\n':
	case '\r':
		return JSON_TAKE;
	case '{':
	case '[':
		return json_push(json, byte == '{');
	case '"':
		return json_open_string(json, false);
	case '-':
		return json_go(json, JSON_MINUS);
	case '0':
		return json_go(json, JSON_ZERO);
	case 't':
		return json_open_literal(json, "rue");
	case 'f':
		return json_open_literal(json, "alse");
	case 'n':
		return json_open_literal(json, "ull");
	default:
		return json_is_digit(byte) ? json_go(json, JSON_INTEGER) : JSON_FAIL;
	}
}

static enum json_verdict json_step_element_or_end(struct json *json, uint8_t byte) {
	return byte == ']' ? json_pop(json) : json_step_value(json, byte);
}

static enum json_verdict json_step_key(struct json *json, uint8_t byte) {
	if(json_is_space(byte)) {
		return JSON_TAKE;
	}
	return byte == '"' ? json_open_string(json, true) : JSON_FAIL;
}

static enum json_verdict json_step_key_or_end(struct json *json, uint8_t byte) {
	return byte == '}' ? json_pop(json) : json_step_key(json, byte);
}

static enum json_verdict json_step_colon(struct json *json, uint8_t byte) {
	if(json_is_space(byte)) {
		return JSON_TAKE;
	}
	return byte == ':' ? json_go(json, JSON_VALUE) : JSON_FAIL;
}

static enum json_verdict json_step_comma_or_end(struct json *json, uint8_t byte) {
	bool object = json_in_object(json);
	if(json_is_space(byte)) {
		return JSON_TAKE;
	}
	if(byte == ',') {
		return json_go(json, object ? JSON_KEY : JSON_VALUE);
	}
	return byte == (object ? '}' : ']') ? json_pop(json) : JSON_FAIL;
}

static enum json_verdict json_step_literal(struct json *json, uint8_t byte) {
	if(byte != (uint8_t)*json->literal) {
		return JSON_FAIL;
	}
	json->literal++;
	return *json->literal ? JSON_TAKE : json_value_done(json);
}

/* ---- strings ---- */

/* Expects `pending` more bytes of a character, the next of them from `low` to `high`. */
static enum json_verdict json_expect_utf8(
	struct json *json, uint8_t pending, uint8_t low, uint8_t high) {
	json->pending = pending;
	json->low = low;
	json->high = high;
	return json_go(json, JSON_UTF8);
}

/* First byte of a character above U+007F; RFC 3629 section 4: no overlong forms or surrogates. */
static enum json_verdict json_step_utf8_lead(struct json *json, uint8_t byte) {
	if(byte >= 0xC2 && byte <= 0xDF) {
		return json_expect_utf8(json, 1, 0x80, 0xBF);
	}
	if(byte >= 0xE0 && byte <= 0xEF) {
		uint8_t high = byte == 0xED ? 0x9F : 0xBF;
		return json_expect_utf8(json, 2, byte == 0xE0 ? 0xA0 : 0x80, high);
	}
	if(byte >= 0xF0 && byte <= 0xF4) {
		uint8_t high = byte == 0xF4 ? 0x8F : 0xBF;
		return json_expect_utf8(json, 3, byte == 0xF0 ? 0x90 : 0x80, high);
	}
	return JSON_FAIL;
}

static enum json_verdict json_step_utf8(struct json *json, uint8_t byte) {
	if(byte < json->low || byte > json->high) {
		return JSON_FAIL;
	}
	json->low = 0x80;
	json->high = 0xBF;
	json->pending--;
	return json->pending ? JSON_TAKE : json_go(json, JSON_STRING);
}

static enum json_verdict json_step_string(struct json *json, uint8_t byte) {
	if(byte == '"') {
		return json->key ? json_go(json, JSON_COLON) : json_value_done(json);
	}
	if(byte == '\\') {
		return json_go(json, JSON_ESCAPE);
	}
	if(byte < 0x20) {
		return JSON_FAIL;
	}
	return byte < 0x80 ? JSON_TAKE : json_step_utf8_lead(json, byte);
}

static enum json_verdict json_step_escape(struct json *json, uint8_t byte) {
	switch(byte) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return json_go(json, JSON_STRING);
	case 'u':
		json->pending = 4;
		return json_go(json, JSON_HEX);
	default:
		return JSON_FAIL;
	}
}

/* Surrogates need not be paired: neither RFC 8259 section 7 nor JSON.parse requires it. */
static enum json_verdict json_step_hex(struct json *json, uint8_t byte) {
	uint8_t lower = byte | 0x20;
	if(!json_is_digit(byte) && (lower < 'a' || lower > 'f')) {
		return JSON_FAIL;
	}
	json->pending--;
	return json->pending ? JSON_TAKE : json_go(json, JSON_STRING);
}

/* ---- numbers ---- */

/*
 * The number is complete and `byte` does not continue it. Outside of objects and arrays, only some
 * bytes can follow a number: 12:30, 1.2.3.4, 2024-01-02 and 0x1F are not numbers.
 */
static enum json_verdict json_number_done(struct json *json, uint8_t byte) {
	if(json->depth > 0) {
		json->state = JSON_COMMA_OR_END;
		return JSON_AGAIN;
	}
	bool ends = json_is_space(byte) || json_is_terminator(byte) || json_is_opener(byte) ||
		byte == '"' || byte == 't' || byte == 'f' || byte == 'n';
	return ends ? JSON_BEFORE : JSON_FAIL;
}

static enum json_verdict json_step_minus(struct json *json, uint8_t byte) {
	if(byte == '0') {
		return json_go(json, JSON_ZERO);
	}
	return json_is_digit(byte) ? json_go(json, JSON_INTEGER) : JSON_FAIL;
}

static enum json_verdict json_step_zero(struct json *json, uint8_t byte) {
	if(byte == '.') {
		return json_go(json, JSON_POINT);
	}
	return byte == 'e' || byte == 'E' ? json_go(json, JSON_EXPONENT)
					  : json_number_done(json, byte);
}

static enum json_verdict json_step_integer(struct json *json, uint8_t byte) {
	return json_is_digit(byte) ? JSON_TAKE : json_step_zero(json, byte);
}

static enum json_verdict json_step_point(struct json *json, uint8_t byte) {
	return json_is_digit(byte) ? json_go(json, JSON_FRACTION) : JSON_FAIL;
}

static enum json_verdict json_step_fraction(struct json *json, uint8_t byte) {
	if(byte == 'e' || byte == 'E') {
		return json_go(json, JSON_EXPONENT);
	}
	return json_is_digit(byte) ? JSON_TAKE : json_number_done(json, byte);
}

static enum json_verdict json_step_exponent_sign(struct json *json, uint8_t byte) {
	return json_is_digit(byte) ? json_go(json, JSON_EXPONENT_DIGITS) : JSON_FAIL;
}

static enum json_verdict json_step_exponent(struct json *json, uint8_t byte) {
	return byte == '+' || byte == '-' ? json_go(json, JSON_EXPONENT_SIGN)
					  : json_step_exponent_sign(json, byte);
}

static enum json_verdict json_step_exponent_digits(struct json *json, uint8_t byte) {
	return json_is_digit(byte) ? JSON_TAKE : json_number_done(json, byte);
}

/* ---- invalid data ---- */

static enum json_verdict json_step_junk(struct json *json, uint8_t byte) {
	(void)json;
	if(json_is_terminator(byte)) {
		return JSON_LAST;
	}
	return json_is_opener(byte) ? JSON_BEFORE : JSON_TAKE;
}

/*
 * Takes one more byte in `state`, unless the search for the end of the entity has become too long:
 * with an unpaired quote, strings and the text between them would be exchanged until the connection
 * ends.
 */
static enum json_verdict json_skip_on(struct json *json, enum json_state state) {
	json->skipped++;
	return json_go(json, json->skipped > JSON_SKIP_MAX ? JSON_JUNK : state);
}

static enum json_verdict json_step_skip(struct json *json, uint8_t byte) {
	if(json_is_terminator(byte)) {
		return JSON_LAST;
	}
	if(byte == '}' || byte == ']') {
		json->depth--;
		return json->depth == 0 ? JSON_LAST : json_skip_on(json, JSON_SKIP);
	}
	json->depth += json_is_opener(byte);
	return json_skip_on(json, byte == '"' ? JSON_SKIP_STRING : JSON_SKIP);
}

static enum json_verdict json_step_skip_string(struct json *json, uint8_t byte) {
	if(json_is_terminator(byte)) {
		return JSON_LAST;
	}
	if(byte == '"') {
		return json->depth == 0 ? JSON_LAST : json_skip_on(json, JSON_SKIP);
	}
	return json_skip_on(json, byte == '\\' ? JSON_SKIP_ESCAPE : JSON_SKIP_STRING);
}

static enum json_verdict json_step_skip_escape(struct json *json, uint8_t byte) {
	return json_is_terminator(byte) ? JSON_LAST : json_skip_on(json, JSON_SKIP_STRING);
}

json_step *const json_steps[JSON_STATES] = {
	[JSON_START] = json_step_value,
	[JSON_VALUE] = json_step_value,
	[JSON_ELEMENT_OR_END] = json_step_element_or_end,
	[JSON_KEY_OR_END] = json_step_key_or_end,
	[JSON_KEY] = json_step_key,
	[JSON_COLON] = json_step_colon,
	[JSON_COMMA_OR_END] = json_step_comma_or_end,
	[JSON_LITERAL] = json_step_literal,
	[JSON_STRING] = json_step_string,
	[JSON_ESCAPE] = json_step_escape,
	[JSON_HEX] = json_step_hex,
	[JSON_UTF8] = json_step_utf8,
	[JSON_MINUS] = json_step_minus,
	[JSON_ZERO] = json_step_zero,
	[JSON_INTEGER] = json_step_integer,
	[JSON_POINT] = json_step_point,
	[JSON_FRACTION] = json_step_fraction,
	[JSON_EXPONENT] = json_step_exponent,
	[JSON_EXPONENT_SIGN] = json_step_exponent_sign,
	[JSON_EXPONENT_DIGITS] = json_step_exponent_digits,
	[JSON_JUNK] = json_step_junk,
	[JSON_SKIP] = json_step_skip,
	[JSON_SKIP_STRING] = json_step_skip_string,
	[JSON_SKIP_ESCAPE] = json_step_skip_escape,
};
