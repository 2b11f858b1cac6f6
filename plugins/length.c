/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `length`: each binary message is preceded by its length, in both directions.
 *
 * Must not know: anything of the core but websocksy_plugin.h.
 * Invariants: the configuration is parsed once for each connection; a length is compared with
 * `max`, which all sums have room for, before it is added to. Only the prefix is written before the
 * parts of a message, which are passed on as they arrive. The prefix `varint` is that of Protocol
 * Buffers: seven bits in each byte, the lowest first.
 */
#include "websocksy_plugin.h"

#include <errno.h>
#include <stdlib.h>

#define LENGTH_VARINT 0 /* as a width */
#define LENGTH_PREFIX_MAX 10
#define LENGTH_MAX ((uint64_t)INT64_MAX - LENGTH_PREFIX_MAX)

struct length {
	unsigned width; /* bytes of the prefix */
	bool little;
	uint64_t max; /* of the length of a message */
};

/* ---- configuration ---- */

static bool length_is(const char *text, size_t len, const char *word) {
	return strlen(word) == len && !memcmp(text, word, len);
}

static bool length_set_width(struct length *length, const char *value, size_t len) {
	bool varint = length_is(value, len, "varint");
	static const char widths[] = "1248";
	if(!varint && (len != 1 || !memchr(widths, value[0], sizeof(widths) - 1))) {
		return false;
	}
	length->width = varint ? LENGTH_VARINT : (unsigned)(value[0] - '0');
	return true;
}

static bool length_set_endian(struct length *length, const char *value, size_t len) {
	length->little = length_is(value, len, "little");
	return length->little || length_is(value, len, "big");
}

/* A number of bytes, with K, M or G for powers of 1024. */
static bool length_set_max(struct length *length, const char *value, size_t len) {
	static const char units[] = "KMG";
	const char *unit = len > 1 ? memchr(units, value[len - 1], sizeof(units) - 1) : NULL;
	uint64_t number = 0;
	for(size_t at = 0; at < len - (unit != NULL); at++) {
		unsigned digit = (unsigned)(value[at] - '0');
		if(digit > 9 || number > (LENGTH_MAX - digit) / 10) {
			return false;
		}
		number = number * 10 + digit;
	}
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	length->max = number << shift;
	return number > 0 && number <= LENGTH_MAX >> shift;
}

static const struct length_key {
	const char *name;
	bool (*set)(struct length *length, const char *value, size_t len);
	const char *error;
} length_keys[] = {
	{"width", length_set_width, "width must be 1, 2, 4, 8 or varint"},
	{"endian", length_set_endian, "endian must be big or little"},
	{"max", length_set_max, "max must be a number of bytes above 0, as in 65536 or 64K"},
};
#define LENGTH_KEYS (sizeof(length_keys) / sizeof(length_keys[0]))

static const char *length_trim(const char *text, size_t *len) {
	while(*len > 0 && *text == ' ') {
		text++;
		--*len;
	}
	while(*len > 0 && text[*len - 1] == ' ') {
		--*len;
	}
	return text;
}

/* Applies one KEY=VALUE; `*seen` has a bit for each key that was given. NULL, or the error. */
static const char *length_apply(
	struct length *length, const char *text, size_t len, unsigned *seen) {
	const char *equals = memchr(text, '=', len);
	size_t key_len = equals ? (size_t)(equals - text) : 0;
	size_t value_len = equals ? len - key_len - 1 : 0;
	const char *name = length_trim(text, &key_len);
	const char *value = equals ? length_trim(equals + 1, &value_len) : "";
	for(size_t i = 0; i < LENGTH_KEYS; i++) {
		if(!length_is(name, key_len, length_keys[i].name)) {
			continue;
		}
		if(*seen & 1u << i) {
			return "must not have a key twice";
		}
		*seen |= 1u << i;
		return length_keys[i].set(length, value, value_len) ? NULL : length_keys[i].error;
	}
	return "must be width=1|2|4|8|varint,endian=big|little,max=BYTES or a part of it";
}

/* Parses `text` to `length`. NULL, or the error. */
static const char *length_parse(struct length *length, const char *text) {
	unsigned seen = 0;
	const char *error = NULL;
	*length = (struct length){.width = 4, .max = LENGTH_MAX};
	for(bool more = text[strspn(text, " ")] != '\0'; more && !error;) {
		size_t len = strcspn(text, ",");
		error = length_apply(length, text, len, &seen);
		more = text[len] == ',';
		text += len + more;
	}
	if(!error && length->width == LENGTH_VARINT && (seen & 1u << 1)) {
		error = "must not have endian together with width=varint";
	}
	if(!error && length->width != LENGTH_VARINT && length->width < 8) {
		uint64_t most = ((uint64_t)1 << 8 * length->width) - 1;
		length->max = length->max < most ? length->max : most;
	}
	return error;
}

static const char *length_check(const struct websocksy_framing *framing, const char *config) {
	struct length length;
	(void)framing;
	return length_parse(&length, config);
}

static int length_open(struct websocksy_framing_stream *stream, const struct websocksy_core *core) {
	struct length *length = malloc(sizeof(*length));
	(void)core;
	if(!length) {
		return -ENOMEM;
	}
	if(length_parse(length, stream->config)) {
		free(length);
		return -EINVAL;
	}
	stream->state = length;
	return 0;
}

static void length_close(struct websocksy_framing_stream *stream) {
	free(stream->state);
	stream->state = NULL;
}

/* ---- prefixes ---- */

/* Reads a prefix: its length; 0: it is not complete; -EPROTO: a varint of more than 64 bits. */
static int length_get(
	const struct length *length, const uint8_t *data, size_t len, uint64_t *value) {
	*value = 0;
	if(length->width != LENGTH_VARINT) {
		for(unsigned at = 0; at < length->width && len >= length->width; at++) {
			uint8_t byte = data[length->little ? length->width - 1 - at : at];
			*value = *value << 8 | byte;
		}
		return len >= length->width ? (int)length->width : 0;
	}
	for(unsigned at = 0; at < len && at < LENGTH_PREFIX_MAX; at++) {
		if(at == LENGTH_PREFIX_MAX - 1 && data[at] > 1) {
			return -EPROTO;
		}
		*value |= (uint64_t)(data[at] & 0x7F) << 7 * at;
		if(data[at] < 0x80) {
			return (int)at + 1;
		}
	}
	return 0;
}

/* Writes a prefix and returns its length. */
static size_t length_put(const struct length *length, uint64_t value, uint8_t *out) {
	size_t len = 0;
	if(length->width == LENGTH_VARINT) {
		for(; value >= 0x80; value >>= 7) {
			out[len++] = (uint8_t)(value | 0x80);
		}
		out[len++] = (uint8_t)value;
		return len;
	}
	for(; len < length->width; len++, value >>= 8) {
		out[length->little ? len : length->width - 1 - len] = (uint8_t)value;
	}
	return len;
}

/* ---- messages ---- */

/* A message that the end cuts off, or that is not a whole datagram, is an error. */
static int64_t length_decode(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	const struct length *length = stream->state;
	uint64_t value;
	int prefix = length_get(length, input->data, input->len, &value);
	if(prefix < 0) {
		return prefix;
	}
	if(prefix > 0 && value > length->max) {
		return -EMSGSIZE;
	}
	if(prefix == 0 || input->len - (size_t)prefix < value) {
		return input->end ? -EPROTO : 0;
	}
	if(input->datagram && input->len - (size_t)prefix > value) {
		return -EPROTO;
	}
	message->data = input->data + prefix;
	message->len = (size_t)value;
	return prefix + (int64_t)value;
}

static int length_encode(struct websocksy_framing_stream *stream, const struct websocksy_part *part,
	struct websocksy_output *output) {
	const struct length *length = stream->state;
	if(part->first) {
		uint8_t prefix[LENGTH_PREFIX_MAX];
		if(part->total > length->max) {
			return -EMSGSIZE;
		}
		int result =
			websocksy_append(output, prefix, length_put(length, part->total, prefix));
		if(result) {
			return result;
		}
	}
	return websocksy_append(output, part->data, part->len);
}

static const struct websocksy_framing length_framing = {
	.size = sizeof(length_framing),
	.name = "length",
	.description = "Binary messages with their length in front, in both directions",
	.config = "width=1|2|4|8|varint,endian=big|little,max=BYTES; the default is 4, big",
	.flags = WEBSOCKSY_NEEDS_TOTAL,
	.check = length_check,
	.open = length_open,
	.decode = length_decode,
	.encode = length_encode,
	.close = length_close,
};

static const struct websocksy_framing *const length_framings[] = {&length_framing, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "length",
	.version = "1.0",
	.description = "Messages with a length prefix",
	.framings = length_framings,
};
