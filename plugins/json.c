/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Framing function `json`: each complete JSON entity (object, array, string, number, literal) of
 * the peer's stream is one text message; what is no JSON goes out as binary.
 *
 * Implements the grammar of RFC 8259 with the UTF-8 of RFC 3629 as a state machine that takes each
 * byte once, however reads cut the stream. Knows nothing but websocksy.h. Invariants: a text
 * message is exactly one JSON text, white space around it included; white space alone is never cut
 * off as a message; bytes that cannot become JSON any more are not held back; no recursion.
 *
 * Where to start over after a mistake is the delicate part, see json_fail() and plugins/json.md.
 */
#include "websocksy.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 512
/* How long the end of a broken entity is looked for by its brackets and quotes, in bytes. */
#define JSON_SKIP_MAX 65536
#define JSON_STEPS_MAX 8 /* for one byte: the end of a number, a failure, and where it leads */
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
	/* From here on the message is no JSON. */
	JSON_JUNK, /* outside of anything */
	JSON_SKIP, /* inside a broken object or array */
	JSON_SKIP_STRING,
	JSON_SKIP_ESCAPE,
	JSON_STATES
};

/* What a state makes of a byte. */
enum json_verdict {
	JSON_TAKE, /* part of the message */
	JSON_LAST, /* its last byte */
	JSON_BEFORE, /* the message ends in front of it */
	/* From here on there is no decision yet. */
	JSON_AGAIN, /* the state has changed: ask that one */
	JSON_FAIL /* no JSON */
};

struct json {
	size_t seen; /* bytes of the message that have been taken */
	size_t depth; /* open objects and arrays */
	size_t skipped; /* bytes since the entity broke */
	const char *literal; /* what must follow of a literal */
	uint8_t state;
	uint8_t pending; /* hexadecimal digits or UTF-8 bytes that must follow */
	uint8_t low, high; /* range of the next UTF-8 byte */
	bool key; /* the string is the name of a member */
	bool blank; /* the message is nothing but white space up to now */
	uint8_t objects[JSON_DEPTH_MAX / 8]; /* a bit per level: is it an object? */
};

typedef enum json_verdict (*json_step)(struct json *json, uint8_t byte);

static bool json_is_space(uint8_t byte) {
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool json_is_digit(uint8_t byte) {
	return byte >= '0' && byte <= '9';
}

static bool json_is_opener(uint8_t byte) {
	return byte == '{' || byte == '[';
}

/* Ends a line or a record in streams of JSON: no token of JSON goes across. */
static bool json_is_terminator(uint8_t byte) {
	return byte == '\n' || byte == '\0' || byte == JSON_RECORD_SEPARATOR;
}

static bool json_is_broken(const struct json *json) {
	return json->state >= JSON_JUNK;
}

static enum json_verdict json_go(struct json *json, enum json_state state) {
	json->state = (uint8_t)state;
	return JSON_TAKE;
}

static enum json_verdict json_value_done(struct json *json) {
	return json->depth == 0 ? JSON_LAST : json_go(json, JSON_COMMA_OR_END);
}

/* Structure */

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

/* Strings */

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

/* Surrogate pairs are not matched up: neither RFC 8259 section 7 nor JSON.parse asks for it. */
static enum json_verdict json_step_hex(struct json *json, uint8_t byte) {
	uint8_t lower = byte | 0x20;
	if(!json_is_digit(byte) && (lower < 'a' || lower > 'f')) {
		return JSON_FAIL;
	}
	json->pending--;
	return json->pending ? JSON_TAKE : json_go(json, JSON_STRING);
}

/* Numbers */

static bool json_is_complete_number(const struct json *json) {
	return json->state == JSON_ZERO || json->state == JSON_INTEGER ||
		json->state == JSON_FRACTION || json->state == JSON_EXPONENT_DIGITS;
}

/*
 * The number is complete and `byte` does not continue it. Outside of anything it must be something
 * that can stand behind a number: 12:30, 1.2.3.4, 2024-01-02 and 0x1F are not the numbers they
 * begin with.
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

/* What is no JSON */

static enum json_verdict json_step_junk(struct json *json, uint8_t byte) {
	(void)json;
	if(json_is_terminator(byte)) {
		return JSON_LAST;
	}
	return json_is_opener(byte) ? JSON_BEFORE : JSON_TAKE;
}

/*
 * Takes one more byte in `state`, unless the end of the entity has been looked for too long: an odd
 * quote would otherwise turn strings inside out until the connection ends.
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

static const json_step json_steps[] = {
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
_Static_assert(sizeof(json_steps) / sizeof(*json_steps) == JSON_STATES, "a step per state");

/*
 * `byte` cannot stand where it stands. If it opens an object or array, the entity before it was
 * most likely cut short: start over with it. Otherwise the end of the broken entity is looked for,
 * so that parts of it are not taken for entities of their own.
 */
static enum json_verdict json_fail(struct json *json, uint8_t byte) {
	bool string = json->state >= JSON_STRING && json->state <= JSON_UTF8;
	bool too_deep = json->depth == JSON_DEPTH_MAX &&
		(json->state == JSON_VALUE || json->state == JSON_ELEMENT_OR_END);
	if(json_is_opener(byte) && !string && !too_deep) {
		json->state = JSON_JUNK;
		return JSON_BEFORE;
	}
	json->skipped = 0;
	json->state = JSON_JUNK;
	if(string) {
		json->state = JSON_SKIP_STRING;
	} else if(json->depth > 0) {
		json->state = JSON_SKIP;
	}
	return JSON_AGAIN;
}

static enum json_verdict json_take(struct json *json, uint8_t byte) {
	enum json_verdict verdict = JSON_AGAIN;
	for(int steps = 0; steps < JSON_STEPS_MAX && verdict >= JSON_AGAIN; steps++) {
		verdict = verdict == JSON_FAIL ? json_fail(json, byte)
					       : json_steps[json->state](json, byte);
	}
	assert(verdict < JSON_AGAIN);
	return verdict;
}

static void json_reset(struct json *json) {
	json->seen = 0;
	json->depth = 0;
	json->state = JSON_START;
	json->blank = true;
}

/* A message ends at `end`; white space that is there already goes along, see plugins/json.md. */
static int64_t json_cut(
	struct json *json, const uint8_t *data, size_t length, size_t end, ws_operation *opcode) {
	*opcode = json_is_broken(json) ? ws_frame_binary : ws_frame_text;
	while(end < length && json_is_space(data[end])) {
		end++;
	}
	json_reset(json);
	return (int64_t)end;
}

/* Everything has been taken and no message has ended. */
static int64_t json_pause(struct json *json, size_t length, ws_operation *opcode) {
	bool number = json->depth == 0 && json_is_complete_number(json);
	*opcode = number ? ws_frame_text : ws_frame_binary;
	json->seen = length;
	if(!json_is_broken(json) || json->blank) {
		return 0;
	}
	json->seen = 0;
	json->blank = true;
	return (int64_t)length;
}

/* The bulk of most streams: characters of strings that need no decision. */
static size_t json_plain_run(const struct json *json, const uint8_t *data, size_t length) {
	size_t at = 0;
	if(json->state == JSON_STRING) {
		while(at < length && data[at] >= 0x20 && data[at] < 0x80 && data[at] != '"' &&
			data[at] != '\\') {
			at++;
		}
	}
	return at;
}

static int64_t json_scan(
	struct json *json, const uint8_t *data, size_t length, ws_operation *opcode) {
	size_t at = json->seen;
	while(at < length) {
		at += json_plain_run(json, data + at, length - at);
		if(at == length) {
			break;
		}
		uint8_t byte = data[at];
		enum json_verdict verdict = json_take(json, byte);
		bool blank = json->blank && (verdict == JSON_BEFORE || json_is_space(byte));
		if(verdict != JSON_TAKE && !blank) {
			return json_cut(json, data, length, at + (verdict == JSON_LAST), opcode);
		}
		if(verdict != JSON_TAKE) {
			/* The byte is looked at again then: one that opens something, which is taken at once. */
			assert(verdict != JSON_BEFORE || json_is_opener(byte));
			/* Only white space is left over from junk: it belongs to what follows. */
			json_reset(json);
		}
		json->blank = blank;
		at += verdict != JSON_BEFORE;
	}
	return json_pause(json, length, opcode);
}

static int64_t json_frame(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	/* What is new is counted here, message by message; the core's count comes to the same. */
	(void)last_read;
	(void)config;
	if(!data) {
		free(*framing_data);
		*framing_data = NULL;
		return 0;
	}
	struct json *json = *framing_data;
	if(!json) {
		json = *framing_data = calloc(1, sizeof(*json));
		if(!json) {
			return -1;
		}
		json_reset(json);
	}
	if(json->seen > length) {
		return -1; /* not the message that was looked at: the state does not fit it */
	}
	return json_scan(json, data, length, opcode);
}

static const char *json_check(const char *config) {
	return *config ? "json takes no configuration" : NULL;
}

__attribute__((constructor)) static void json_register(void) {
	if(core_register_framing("json", json_frame) == 0) {
		core_register_framing_check("json", json_check);
	}
}
