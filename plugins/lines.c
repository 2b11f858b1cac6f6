/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `lines`: each line of the peer is a message without its line end, and each message of
 * the client is sent as a line.
 *
 * Must not know: anything of the core but websocksy_plugin.h.
 * Invariants: a message of the client is one line, so decode() restores it; bytes that an earlier
 * call has searched are not searched again.
 */
#include "websocksy_plugin.h"

#include <errno.h>
#include <stdlib.h>

#define LINES_CR '\r'
#define LINES_LF '\n'

/* The line of the client that is being sent. */
struct lines {
	bool ended; /* its parts so far end with a line end */
	bool cr; /* or with the first half of one */
};

static bool lines_are_crlf(const struct websocksy_framing_stream *stream) {
	return stream->config[0] == 'c';
}

static const char *lines_check(const struct websocksy_framing *framing, const char *config) {
	(void)framing;
	return !config[0] || !strcmp(config, "lf") || !strcmp(config, "crlf")
		? NULL
		: "must be lf or crlf";
}

static int lines_open(struct websocksy_framing_stream *stream, const struct websocksy_core *core) {
	(void)core;
	stream->state = calloc(1, sizeof(struct lines));
	return stream->state ? 0 : -ENOMEM;
}

/*
 * The length of the first line, without its end, and `*taken` with it; false: it is not complete.
 * The LF of a line end that was complete would have been found by an earlier call.
 */
static bool lines_find(const uint8_t *data, size_t len, size_t seen, bool crlf, size_t *taken) {
	const uint8_t *at = data + seen;
	while((at = memchr(at, LINES_LF, len - (size_t)(at - data)))) {
		*taken = (size_t)(at - data) + 1;
		if(!crlf || (at > data && at[-1] == LINES_CR)) {
			return true;
		}
		at++;
	}
	return false;
}

/* A datagram is one line, whether it has an end or not. */
static int64_t lines_decode_datagram(
	bool crlf, struct websocksy_input *input, struct websocksy_message *message) {
	size_t len = input->len;
	size_t end = crlf ? 2 : 1;
	message->data = input->data;
	message->len = len;
	if(len >= end && !memcmp(input->data + len - end, crlf ? "\r\n" : "\n", end)) {
		message->len = len - end;
	}
	return (int64_t)len;
}

/* Whether a line is UTF-8 is checked by the core, which sends it as binary otherwise. */
static int64_t lines_decode(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	bool crlf = lines_are_crlf(stream);
	size_t taken = 0;
	message->type = WEBSOCKSY_TEXT;
	if(input->datagram) {
		return lines_decode_datagram(crlf, input, message);
	}
	if(!lines_find(input->data, input->len, input->len - input->fresh, crlf, &taken)) {
		return 0;
	}
	message->data = input->data;
	message->len = taken - (crlf ? 2 : 1);
	return (int64_t)taken;
}

/*
 * A part has no line end but at its end, and only in the last part is something behind it allowed:
 * nothing. -EBADMSG: a second line begins.
 */
static int lines_take(struct lines *line, const struct websocksy_part *part, bool crlf) {
	size_t taken = 0;
	if(part->len == 0) {
		return 0;
	}
	bool straddles = crlf && line->cr && part->data[0] == LINES_LF;
	if(line->ended || (straddles && part->len > 1)) {
		return -EBADMSG;
	}
	line->ended = straddles || lines_find(part->data, part->len, 0, crlf, &taken);
	line->cr = part->data[part->len - 1] == LINES_CR;
	return !straddles && line->ended && taken < part->len ? -EBADMSG : 0;
}

/* A message that has a line end already does not get another. */
static int lines_encode(struct websocksy_framing_stream *stream, const struct websocksy_part *part,
	struct websocksy_output *output) {
	struct lines *line = stream->state;
	bool crlf = lines_are_crlf(stream);
	if(part->first) {
		*line = (struct lines){0};
	}
	int result = lines_take(line, part, crlf);
	if(result == 0) {
		result = websocksy_append(output, part->data, part->len);
	}
	if(result || !part->last || line->ended) {
		return result;
	}
	return websocksy_append(output, crlf ? "\r\n" : "\n", crlf ? 2 : 1);
}

static void lines_close(struct websocksy_framing_stream *stream) {
	free(stream->state);
	stream->state = NULL;
}

static const struct websocksy_framing lines_framing = {
	.size = sizeof(lines_framing),
	.name = "lines",
	.description = "A message for each line, in both directions",
	.config = "lf (default) or crlf",
	.check = lines_check,
	.open = lines_open,
	.decode = lines_decode,
	.encode = lines_encode,
	.close = lines_close,
};

static const struct websocksy_framing *const lines_framings[] = {&lines_framing, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "lines",
	.version = "1.0",
	.description = "Lines as messages",
	.framings = lines_framings,
};
