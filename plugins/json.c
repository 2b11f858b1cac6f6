/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Framing function `json`: each complete JSON entity (object, array, string, number, literal) in
 * the peer's stream is sent as one text message; data that is not JSON is sent as binary messages.
 *
 * Must not know: anything of the core but websocksy.h.
 * Invariants: a text message is exactly one JSON text, white space around it included; white space
 * alone is not sent as a message while the connection is open; bytes that cannot become JSON any
 * more are not held back.
 * The position at which parsing continues after invalid data is explained in plugins/json.md.
 */
#include "websocksy.h"

#include "plugins/common/json_steps.h"

#include <assert.h>

#define JSON_STEPS_MAX 8 /* for one byte: the end of a number, a failure, and the state after it */

static bool json_is_broken(const struct json *json) {
	return json->state >= JSON_JUNK;
}

static bool json_is_complete_number(const struct json *json) {
	return json->state == JSON_ZERO || json->state == JSON_INTEGER ||
		json->state == JSON_FRACTION || json->state == JSON_EXPONENT_DIGITS;
}

/*
 * `byte` is not valid here. If it opens an object or array, the entity before it was most likely
 * truncated, and parsing starts again with the byte. Otherwise the end of the invalid entity is
 * searched for, so that parts of it are not sent as entities of their own.
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

/*
 * A message ends at `end`; white space that has been received already is part of it, see
 * plugins/json.md.
 */
static int64_t json_cut(
	struct json *json, const uint8_t *data, size_t length, size_t end, ws_operation *opcode) {
	*opcode = json_is_broken(json) ? ws_frame_binary : ws_frame_text;
	while(end < length && json_is_space(data[end])) {
		end++;
	}
	json_reset(json);
	return (int64_t)end;
}

/* All bytes have been taken, and no message has ended. */
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

/* Number of bytes that a string simply continues with: the largest part of most streams. */
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
			/* The byte is processed again: it opens something, so it is taken then. */
			assert(verdict != JSON_BEFORE || json_is_opener(byte));
			/*
			 * Only white space is left over from invalid data: it belongs to the next
			 * entity.
			 */
			json_reset(json);
		}
		json->blank = blank;
		at += verdict != JSON_BEFORE;
	}
	return json_pause(json, length, opcode);
}

static int64_t json_frame(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	/* The new bytes are known from json->seen, which gives the same number. */
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
		return -1; /* not the message of the last call: the state does not fit it */
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
