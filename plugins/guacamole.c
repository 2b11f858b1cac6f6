/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `guacamole`: messages are complete instructions of the Guacamole protocol: one for each
 * message to the client, any number in a message of the client.
 *
 * Must not know: anything of the core but websocksy_plugin.h; the meaning of instructions.
 * Invariants: an instruction is one or more elements LENGTH.VALUE, separated by commas, with a
 * semicolon behind the last one; LENGTH is a decimal number of characters, not of bytes. Bytes of
 * an incomplete instruction are not parsed again when more arrives.
 */
#include "websocksy_plugin.h"

#include <errno.h>
#include <stdlib.h>

#define GUACAMOLE_DIGITS_MAX 9
#define GUACAMOLE_WORD 8 /* bytes that are skipped at once */

enum guacamole_place {
	GUACAMOLE_BETWEEN, /* two instructions */
	GUACAMOLE_NUMBER, /* where an element begins, within an instruction */
	GUACAMOLE_DIGITS,
	GUACAMOLE_VALUE
};

struct guacamole_parser {
	enum guacamole_place place;
	unsigned digits;
	uint32_t left; /* characters of the element */
};

struct guacamole {
	struct guacamole_parser to_client;
	struct guacamole_parser to_peer;
};

/* ---- instructions ---- */

static bool guacamole_is_ascii(const uint8_t *data) {
	uint64_t word;
	memcpy(&word, data, sizeof(word));
	return !(word & 0x8080808080808080u);
}

/* Bytes that the value continues with: at most `len`. */
static size_t guacamole_skip(struct guacamole_parser *parser, const uint8_t *data, size_t len) {
	size_t at = 0;
	while(parser->left >= GUACAMOLE_WORD && len - at >= GUACAMOLE_WORD &&
		guacamole_is_ascii(data + at)) {
		parser->left -= GUACAMOLE_WORD;
		at += GUACAMOLE_WORD;
	}
	/* The last character ends only where another begins, a comma or a semicolon. */
	for(; at < len; at++) {
		bool continues = (data[at] & 0xC0) == 0x80;
		if(!continues && parser->left == 0) {
			break;
		}
		parser->left -= !continues;
	}
	return at;
}

static int guacamole_take_digit(struct guacamole_parser *parser, uint8_t byte) {
	if(byte == '.' && parser->place == GUACAMOLE_DIGITS) {
		parser->place = GUACAMOLE_VALUE;
		return 0;
	}
	if(parser->place != GUACAMOLE_DIGITS) {
		parser->digits = 0;
		parser->left = 0;
	}
	parser->place = GUACAMOLE_DIGITS;
	parser->left = parser->left * 10 + (uint32_t)(byte - '0');
	return byte >= '0' && byte <= '9' && parser->digits++ < GUACAMOLE_DIGITS_MAX ? 0 : -EPROTO;
}

/* Behind a value. */
static int guacamole_take_end(struct guacamole_parser *parser, uint8_t byte) {
	parser->place = byte == ',' ? GUACAMOLE_NUMBER : GUACAMOLE_BETWEEN;
	return byte == ',' || byte == ';' ? 0 : -EPROTO;
}

/*
 * Parses up to the end of an instruction, where the place is GUACAMOLE_BETWEEN, or of the `len`
 * bytes, at least one. The number of bytes, or -EPROTO.
 */
static int64_t guacamole_parse(struct guacamole_parser *parser, const uint8_t *data, size_t len) {
	size_t at = 0;
	do {
		if(parser->place == GUACAMOLE_VALUE) {
			at += guacamole_skip(parser, data + at, len - at);
			if(at == len) {
				break;
			}
		}
		int result = parser->place == GUACAMOLE_VALUE
			? guacamole_take_end(parser, data[at])
			: guacamole_take_digit(parser, data[at]);
		if(result) {
			return result;
		}
		at++;
	} while(at < len && parser->place != GUACAMOLE_BETWEEN);
	return (int64_t)at;
}

/* ---- messages ---- */

static const char *guacamole_check(const struct websocksy_framing *framing, const char *config) {
	(void)framing;
	return config[0] ? "must be empty: guacamole has no configuration" : NULL;
}

static int guacamole_open(
	struct websocksy_framing_stream *stream, const struct websocksy_core *core) {
	(void)core;
	stream->state = calloc(1, sizeof(struct guacamole));
	return stream->state ? 0 : -ENOMEM;
}

static void guacamole_close(struct websocksy_framing_stream *stream) {
	free(stream->state);
	stream->state = NULL;
}

/* An instruction that the end cuts off, or that is not a whole datagram, is an error. */
static int64_t guacamole_decode(struct websocksy_framing_stream *stream,
	struct websocksy_input *input, struct websocksy_message *message) {
	struct guacamole_parser *parser = &((struct guacamole *)stream->state)->to_client;
	size_t seen = input->len - input->fresh;
	int64_t used = 0;
	if(seen == 0) {
		*parser = (struct guacamole_parser){0};
	}
	if(input->fresh > 0) {
		used = guacamole_parse(parser, input->data + seen, input->fresh);
	}
	if(used < 0) {
		return used;
	}
	bool complete = used > 0 && parser->place == GUACAMOLE_BETWEEN;
	if(!complete || (input->datagram && (size_t)used < input->len)) {
		return input->end ? -EPROTO : 0;
	}
	message->type = WEBSOCKSY_TEXT;
	return (int64_t)seen + used;
}

/* Parts are passed on before the message is known to be valid; the peer sees the end then. */
static int guacamole_encode(struct websocksy_framing_stream *stream,
	const struct websocksy_part *part, struct websocksy_output *output) {
	struct guacamole_parser *parser = &((struct guacamole *)stream->state)->to_peer;
	if(part->first) {
		*parser = (struct guacamole_parser){0};
	}
	for(size_t at = 0; at < part->len;) {
		int64_t used = guacamole_parse(parser, part->data + at, part->len - at);
		if(used < 0) {
			return -EBADMSG;
		}
		at += (size_t)used;
	}
	if(part->last && parser->place != GUACAMOLE_BETWEEN) {
		return -EBADMSG;
	}
	return websocksy_append(output, part->data, part->len);
}

static const struct websocksy_framing guacamole_framing = {
	.size = sizeof(guacamole_framing),
	.name = "guacamole",
	.description = "Complete instructions of the Guacamole protocol",
	.check = guacamole_check,
	.open = guacamole_open,
	.decode = guacamole_decode,
	.encode = guacamole_encode,
	.close = guacamole_close,
};

static const struct websocksy_framing *const guacamole_framings[] = {&guacamole_framing, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "guacamole",
	.version = "1.0",
	.description = "Instructions of the Guacamole protocol",
	.framings = guacamole_framings,
};
