/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framings auto, binary, text, separator, newline and base64.
 *
 * Must not know: connections, sockets.
 * Invariants: the time is linear in the number of bytes, however they arrive: bytes that an earlier
 * call has examined are not examined again, except the few that a separator may straddle. The type
 * of a message does not depend on the reads, except for framings that send all bytes at once. Text
 * is UTF-8 as defined by RFC 3629 (RFC 6455, section 5.6), base64 that of RFC 4648, section 4.
 */
#include "builtins.h"

#include "base/base64.h"
#include "base/text.h"
#include "base/utf8.h"
#include "plugin/defaultpeer.h"
#include "plugin/framings.h"

#include <errno.h>
#include <string.h>

/*
 * The functions by which plugins of API version 1 call these framings. Version 1 has no argument
 * for the object, so each framing has its own function.
 */
#define VERSION1(function, framing)                                                                \
	static int64_t function(uint8_t *data, size_t length, size_t last_read,                    \
		ws_operation *opcode, void **framing_data, const char *config) {                   \
		struct framings_call call = {                                                      \
			data, length, last_read, opcode, framing_data, config};                    \
		return framings_call(&(framing), &call);                                           \
	}

/* ---- auto, binary, text ---- */

/* Sends all bytes at once. It never holds a byte back, because a binary protocol could stall. */
static int64_t auto_decode(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	(void)stream;
	message->type = utf8_valid(input->data, input->len) ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY;
	return (int64_t)input->len;
}

static int64_t binary_decode(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	(void)stream;
	(void)message;
	return (int64_t)input->len;
}

/* At most three bytes are held back, so validating the whole buffer again is linear. */
static int64_t text_decode(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	bool cut = false;
	size_t valid = utf8_prefix(input->data, input->len, &cut);
	(void)stream;
	bool text = valid == input->len || cut;
	message->type = text ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY;
	return (int64_t)(text ? valid : input->len);
}

static const struct websocksy_framing auto_framing = {
	.size = sizeof(struct websocksy_framing),
	.name = "auto",
	.flags = WEBSOCKSY_NEVER_WAITS | WEBSOCKSY_TEXT_IS_VALID,
	.decode = auto_decode,
};
static const struct websocksy_framing binary_framing = {
	.size = sizeof(struct websocksy_framing),
	.name = "binary",
	.flags = WEBSOCKSY_NEVER_WAITS,
	.decode = binary_decode,
};
static const struct websocksy_framing text_framing = {
	.size = sizeof(struct websocksy_framing),
	.name = "text",
	.flags = WEBSOCKSY_NEVER_WAITS | WEBSOCKSY_TEXT_IS_VALID,
	.decode = text_decode,
};

VERSION1(frame_auto, auto_framing)
VERSION1(frame_binary, binary_framing)
VERSION1(frame_text, text_framing)

/* ---- separator ---- */

struct separator {
	size_t len;
	uint8_t bytes[];
};

/* Reads one byte, escaped or not, at `*at`; -1: an invalid escape. */
static int take_byte(const char **at) {
	static const char letters[] = "rtnf0\\";
	static const char bytes[] = "\r\t\n\f\0\\";
	const char *from = *at;
	if(from[0] != '\\') {
		*at = from + 1;
		return (uint8_t)from[0];
	}
	if(from[1] == 'x') {
		int high = text_hex_value(from[2]);
		int low = high < 0 ? -1 : text_hex_value(from[3]);
		*at = from + 4;
		return low < 0 ? -1 : high * 16 + low;
	}
	const char *letter = from[1] ? strchr(letters, from[1]) : NULL;
	*at = from + 2;
	return letter ? bytes[letter - letters] : -1;
}

/* Decodes to `out` (strlen(config) bytes are enough). The length, or -EINVAL. */
static int64_t parse_separator(const char *config, uint8_t *out) {
	int64_t len = 0;
	while(*config) {
		int byte = take_byte(&config);
		if(byte < 0) {
			return -EINVAL;
		}
		out[len++] = (uint8_t)byte;
	}
	return len > 0 ? len : -EINVAL;
}

static int separator_open(
	struct websocksy_framing_stream *stream, const struct websocksy_core *core) {
	const char *config = stream->config;
	(void)core;
	struct separator *separator = malloc(sizeof(*separator) + strlen(config) + 1);
	int64_t len = separator ? parse_separator(config, separator->bytes) : -ENOMEM;
	if(len < 0) {
		free(separator);
		return (int)len;
	}
	separator->len = (size_t)len;
	stream->state = separator;
	return 0;
}

static const char *separator_check(const struct websocksy_framing *framing, const char *config) {
	const char *at = config;
	(void)framing;
	while(*at) {
		if(take_byte(&at) < 0) {
			return "a backslash must be followed by one of r t n f 0 \\ or by x and "
			       "two hexadecimal digits";
		}
	}
	return at > config ? NULL
			   : "must be the separator, at least one byte, such as \\r\\n or \\x00";
}

/*
 * Binary messages, up to and including the separator. The search continues where the last one
 * ended; a separator may straddle that point.
 */
static int64_t separator_decode(struct websocksy_framing_stream *stream,
	struct websocksy_input *input, struct websocksy_message *message) {
	const struct separator *separator = stream->state;
	size_t seen = input->len - input->fresh;
	size_t from = seen < separator->len ? 0 : seen - (separator->len - 1);
	const uint8_t *found =
		memmem(input->data + from, input->len - from, separator->bytes, separator->len);
	(void)message;
	return found ? found - input->data + (int64_t)separator->len : 0;
}

static void free_state(struct websocksy_framing_stream *stream) {
	free(stream->state);
	stream->state = NULL;
}

static const struct websocksy_framing separator_framing = {
	.size = sizeof(struct websocksy_framing),
	.name = "separator",
	.check = separator_check,
	.open = separator_open,
	.decode = separator_decode,
	.close = free_state,
};

VERSION1(frame_separator, separator_framing)

/* ---- newline ---- */

struct newline {
	const char *name;
	const char *bytes;
};

static const struct newline newlines[] = {
	{"", "\r\n"},
	{"crlf", "\r\n"},
	{"lfcr", "\n\r"},
	{"lf", "\n"},
	{"cr", "\r"},
};

/* The line that is being received. */
struct line {
	const char *newline; /* one or two bytes */
	uint32_t utf8; /* of the bytes seen so far */
};

static const char *find_newline(const char *config) {
	for(size_t i = 0; i < sizeof(newlines) / sizeof(newlines[0]); i++) {
		if(!strcmp(newlines[i].name, config)) {
			return newlines[i].bytes;
		}
	}
	return NULL;
}

static const char *newline_check(const struct websocksy_framing *framing, const char *config) {
	(void)framing;
	return find_newline(config) ? NULL : "must be one of crlf, lfcr, lf, cr";
}

static int newline_open(
	struct websocksy_framing_stream *stream, const struct websocksy_core *core) {
	const char *newline = find_newline(stream->config);
	(void)core;
	if(!newline) {
		return -EINVAL;
	}
	struct line *line = malloc(sizeof(*line));
	if(!line) {
		return -ENOMEM;
	}
	*line = (struct line){.newline = newline, .utf8 = UTF8_ACCEPT};
	stream->state = line;
	return 0;
}

/*
 * The end of the line (behind its newline), or 0. A newline that was complete would have been found
 * by the call before: so its last byte is new, and memchr() finds that fast.
 */
static size_t find_line_end(const char *newline, const uint8_t *data, size_t length, size_t seen) {
	bool pair = newline[1] != 0;
	int last = pair ? newline[1] : newline[0];
	const uint8_t *at = data + seen;
	while((at = memchr(at, last, length - (size_t)(at - data)))) {
		if(!pair || (at > data && at[-1] == (uint8_t)newline[0])) {
			return (size_t)(at - data) + 1;
		}
		at++;
	}
	return 0;
}

/* The text of a line is validated as it arrives, so that a long one in many reads stays linear. */
static int64_t newline_decode(struct websocksy_framing_stream *stream,
	struct websocksy_input *input, struct websocksy_message *message) {
	struct line *line = stream->state;
	size_t seen = input->len - input->fresh;
	if(seen == 0) {
		line->utf8 = UTF8_ACCEPT;
	}
	size_t end = find_line_end(line->newline, input->data, input->len, seen);
	line->utf8 = utf8_feed(line->utf8, input->data + seen, (end ? end : input->len) - seen);
	/* Without the end of a line: the type of the rest if the peer closes now. */
	message->type = line->utf8 == UTF8_ACCEPT ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY;
	return (int64_t)end;
}

static const struct websocksy_framing newline_framing = {
	.size = sizeof(struct websocksy_framing),
	.name = "newline",
	.flags = WEBSOCKSY_TEXT_IS_VALID,
	.check = newline_check,
	.open = newline_open,
	.decode = newline_decode,
	.close = free_state,
};

VERSION1(frame_newline, newline_framing)

/* ---- base64 ---- */

/*
 * The most bytes in a message, whose characters then have a length of 16 bits: old clients expect
 * no more.
 */
#define BASE64_MESSAGE_MAX 49149

/* As binary, but what comes at once may be several messages. */
static int64_t base64_framing_decode(struct websocksy_framing_stream *stream,
	struct websocksy_input *input, struct websocksy_message *message) {
	struct websocksy_output *room = input->room;
	bool whole = input->datagram || input->len < BASE64_MESSAGE_MAX;
	size_t len = whole ? input->len : BASE64_MESSAGE_MAX;
	(void)stream;
	if(room->reserve(room, BASE64_ENCODED_LEN(len))) {
		return -ENOMEM;
	}
	message->data = room->data;
	message->len = base64_encode(room->data, input->data, len);
	message->type = WEBSOCKSY_TEXT;
	return (int64_t)len;
}

static int base64_framing_open(
	struct websocksy_framing_stream *stream, const struct websocksy_core *core) {
	(void)core;
	stream->state = calloc(1, sizeof(struct base64_decoder));
	return stream->state ? 0 : -ENOMEM;
}

/* Each message of the client is one text, whatever its type. */
static int base64_framing_encode(struct websocksy_framing_stream *stream,
	const struct websocksy_part *part, struct websocksy_output *output) {
	struct base64_decoder *decoder = stream->state;
	if(output->reserve(output, BASE64_DECODED_MAX(part->len))) {
		return -ENOMEM;
	}
	ssize_t len = base64_decode(decoder, output->data + output->len, part->data, part->len);
	if(len < 0) {
		return (int)len;
	}
	output->len += (size_t)len;
	return part->last ? base64_decode_end(decoder) : 0;
}

static const struct websocksy_framing base64_framing = {
	.size = sizeof(struct websocksy_framing),
	.name = "base64",
	.flags = WEBSOCKSY_NEVER_WAITS | WEBSOCKSY_TEXT_IS_VALID,
	.open = base64_framing_open,
	.decode = base64_framing_decode,
	.encode = base64_framing_encode,
	.close = free_state,
};

VERSION1(frame_base64, base64_framing)

/* ---- registration ---- */

struct builtin {
	const struct websocksy_framing *framing;
	ws_framing function;
};

static const struct builtin builtins[] = {
	{&auto_framing, frame_auto},
	{&binary_framing, frame_binary},
	{&text_framing, frame_text},
	{&separator_framing, frame_separator},
	{&newline_framing, frame_newline},
	{&base64_framing, frame_base64},
};

int builtins_register(void) {
	for(size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
		if(framings_register(builtins[i].framing, builtins[i].function)) {
			return -ENOMEM;
		}
	}
	backend_set_builtin(&defaultpeer_backend);
	return 0;
}
