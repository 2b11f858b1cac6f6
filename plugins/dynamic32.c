/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Framing function `dynamic32`: each segment carries its length as a 32-bit number in its header.
 *
 * A segment has offset + 4 + static + value bytes; the field with the value begins at `offset`.
 *
 * Must not know: anything of the core but websocksy.h.
 * Invariants: the configuration is parsed once for each connection; a segment has at least its own
 * length field; no sum wraps.
 */
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define DYNAMIC32_FIELD 4 /* bytes of the length field */

struct dynamic32 {
	int64_t header; /* bytes up to the end of the length field */
	int64_t summand; /* `static` of the configuration, added to the value */
	bool big_endian;
};

/* One `key=value` of the configuration; slices of the string. */
struct dynamic32_option {
	const char *key, *value;
	size_t key_len, value_len;
};

struct dynamic32_key {
	const char *name;
	bool (*set)(struct dynamic32 *config, const char *value, size_t len);
	const char *error;
};

/* A decimal number with an optional minus sign and nothing else; false if it does not fit. */
static bool dynamic32_number(const char *text, size_t len, int64_t *out) {
	bool negative = len > 0 && text[0] == '-';
	int64_t value = 0;
	for(size_t at = negative; at < len; at++) {
		int digit = text[at] - '0';
		if(digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, negative ? -digit : digit, &value)) {
			return false;
		}
	}
	*out = value;
	return len > negative;
}

static bool dynamic32_set_offset(struct dynamic32 *config, const char *value, size_t len) {
	int64_t offset;
	return dynamic32_number(value, len, &offset) && value[0] != '-' &&
		!__builtin_add_overflow(offset, DYNAMIC32_FIELD, &config->header);
}

/* Below -UINT32_MAX not even the largest value gives a segment that holds its header. */
static bool dynamic32_set_static(struct dynamic32 *config, const char *value, size_t len) {
	return dynamic32_number(value, len, &config->summand) &&
		config->summand >= -(int64_t)UINT32_MAX;
}

static bool dynamic32_set_endian(struct dynamic32 *config, const char *value, size_t len) {
	config->big_endian = len == 3 && !memcmp(value, "big", 3);
	return config->big_endian || (len == 6 && !memcmp(value, "little", 6));
}

static const struct dynamic32_key dynamic32_keys[] = {
	{"offset", dynamic32_set_offset,
		"dynamic32: offset must be the number of bytes before the length field"},
	{"static", dynamic32_set_static,
		"dynamic32: static must be a decimal number, -4294967295 or more"},
	{"endian", dynamic32_set_endian, "dynamic32: endian must be little or big"},
};
#define DYNAMIC32_KEYS (sizeof(dynamic32_keys) / sizeof(*dynamic32_keys))

static void dynamic32_trim(const char **text, size_t *len) {
	while(*len > 0 && **text == ' ') {
		++*text;
		--*len;
	}
	while(*len > 0 && (*text)[*len - 1] == ' ') {
		--*len;
	}
}

/* Splits `len` bytes at their first `=`. */
static bool dynamic32_split(const char *text, size_t len, struct dynamic32_option *out) {
	const char *equals = memchr(text, '=', len);
	if(!equals) {
		return false;
	}
	out->key = text;
	out->key_len = (size_t)(equals - text);
	out->value = equals + 1;
	out->value_len = len - out->key_len - 1;
	dynamic32_trim(&out->key, &out->key_len);
	dynamic32_trim(&out->value, &out->value_len);
	return true;
}

static const struct dynamic32_key *dynamic32_find(const struct dynamic32_option *option) {
	for(size_t key = 0; key < DYNAMIC32_KEYS; key++) {
		if(strlen(dynamic32_keys[key].name) == option->key_len &&
			!memcmp(dynamic32_keys[key].name, option->key, option->key_len)) {
			return &dynamic32_keys[key];
		}
	}
	return NULL;
}

/*
 * Applies one option; `seen` has a bit for each key that has been given. NULL, or an error message.
 */
static const char *dynamic32_apply(
	struct dynamic32 *config, const char *text, size_t len, unsigned *seen) {
	struct dynamic32_option option;
	const struct dynamic32_key *key =
		dynamic32_split(text, len, &option) ? dynamic32_find(&option) : NULL;
	if(!key) {
		return "dynamic32: must be offset=N,static=N,endian=little|big";
	}
	unsigned bit = 1u << (key - dynamic32_keys);
	if(*seen & bit) {
		return "dynamic32: offset, static and endian may be given only once";
	}
	*seen |= bit;
	return key->set(config, option.value, option.value_len) ? NULL : key->error;
}

/* Parses `text` to `config`. NULL, or an error message. */
static const char *dynamic32_parse(struct dynamic32 *config, const char *text) {
	unsigned seen = 0;
	int64_t smallest;
	const char *error = NULL;
	*config = (struct dynamic32){.header = DYNAMIC32_FIELD};
	if(text[strspn(text, " ")] == '\0') {
		return NULL;
	}
	for(bool more = true; more && !error;) {
		size_t len = strcspn(text, ",");
		error = dynamic32_apply(config, text, len, &seen);
		more = text[len] == ',';
		text += len + more;
	}
	if(!error && __builtin_add_overflow(config->header, config->summand, &smallest)) {
		error = "dynamic32: the sum of offset and static is too large";
	}
	return error;
}

static const char *dynamic32_check(const char *text) {
	struct dynamic32 config;
	return dynamic32_parse(&config, text);
}

/*
 * Parses the configuration of a connection. NULL: out of memory, or the configuration is invalid.
 */
static struct dynamic32 *dynamic32_open(const char *text) {
	struct dynamic32 *config = malloc(sizeof(*config));
	if(config && dynamic32_parse(config, text ? text : "")) {
		free(config);
		return NULL;
	}
	return config;
}

static uint32_t dynamic32_value(const uint8_t *field, bool big_endian) {
	uint32_t value = 0;
	for(size_t at = 0; at < DYNAMIC32_FIELD; at++) {
		value = value << 8 | field[big_endian ? at : DYNAMIC32_FIELD - 1 - at];
	}
	return value;
}

/*
 * Length of the segment that begins at `data`, which has a complete header; -1: an invalid length.
 */
static int64_t dynamic32_segment(const struct dynamic32 *config, const uint8_t *data) {
	const uint8_t *field = data + config->header - DYNAMIC32_FIELD;
	uint32_t value = dynamic32_value(field, config->big_endian);
	int64_t segment;
	/* The first sum was checked with the configuration; the second depends on the peer. */
	if(__builtin_add_overflow(config->header, config->summand, &segment) ||
		__builtin_add_overflow(segment, value, &segment) || segment < config->header) {
		return -1;
	}
	return segment;
}

static int64_t dynamic32_frame(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *text) {
	(void)last_read;
	if(!data) {
		free(*framing_data);
		*framing_data = NULL;
		return 0;
	}
	if(!*framing_data) {
		*framing_data = dynamic32_open(text);
	}
	const struct dynamic32 *config = *framing_data;
	if(!config) {
		return -1;
	}
	*opcode = ws_frame_binary;
	if(length < (uint64_t)config->header) {
		return 0;
	}
	int64_t segment = dynamic32_segment(config, data);
	return segment > 0 && (uint64_t)segment > length ? 0 : segment;
}

__attribute__((constructor)) static void dynamic32_register(void) {
	if(core_register_framing("dynamic32", dynamic32_frame) == 0) {
		core_register_framing_check("dynamic32", dynamic32_check);
	}
}
