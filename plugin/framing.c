/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One connection's use of a framing, and the buffers to which framings append.
 *
 * It must not know connections, or where framings come from.
 */
#include "plugin/framing.h"

#include "base/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_MIN 1024

static const char no_config[] = "";

/* ---- one connection's use ---- */

/* The configuration of a stream, with room for what the core needs besides. */
struct memory {
	struct dynbuf collected;
	char config[];
};

static struct memory *memory_of(const struct websocksy_framing_stream *stream) {
	return container_of((uintptr_t)stream->config, struct memory, config);
}

static bool has_memory(const struct websocksy_framing_stream *stream) {
	return stream->config && stream->config != no_config;
}

int framing_open(struct websocksy_framing_stream *stream, const struct websocksy_framing *framing,
	const struct websocksy_core *core, char *config) {
	bool plain = (!config || !config[0]) && !(framing->flags & WEBSOCKSY_NEEDS_TOTAL);
	*stream = (struct websocksy_framing_stream){.framing = framing, .config = no_config};
	if(!plain) {
		size_t size = config ? strlen(config) + 1 : 1;
		struct memory *memory = calloc(1, sizeof(*memory) + size);
		if(!memory) {
			free(config);
			return -ENOMEM;
		}
		memcpy(memory->config, config ? config : "", size);
		stream->config = memory->config;
	}
	free(config);
	return framing->open ? framing->open(stream, core) : 0;
}

void framing_close(struct websocksy_framing_stream *stream) {
	if(stream->state && stream->framing->close) {
		stream->framing->close(stream);
	}
	if(has_memory(stream)) {
		dynbuf_free(&memory_of(stream)->collected);
		free(memory_of(stream));
	}
	*stream = (struct websocksy_framing_stream){0};
}

struct dynbuf *framing_collected(const struct websocksy_framing_stream *stream) {
	const struct websocksy_framing *framing = stream->framing;
	return framing && (framing->flags & WEBSOCKSY_NEEDS_TOTAL) && has_memory(stream)
		? &memory_of(stream)->collected
		: NULL;
}

/* ---- output ---- */

int framing_reserve(struct websocksy_output *output, size_t more) {
	size_t need;
	size_t size;
	if(output->cap - output->len >= more && output->data) {
		return 0;
	}
	if(__builtin_add_overflow(output->len, more, &need) || need > SIZE_MAX / 2 - FRAMING_ROOM) {
		return -ENOMEM;
	}
	size = need > OUTPUT_MIN ? need : OUTPUT_MIN;
	size = size > 2 * output->cap ? size : 2 * output->cap;
	uint8_t *begin =
		realloc(output->data ? output->data - FRAMING_ROOM : NULL, FRAMING_ROOM + size);
	if(!begin) {
		return -ENOMEM;
	}
	output->data = begin + FRAMING_ROOM;
	output->cap = size;
	return 0;
}

void framing_output_free(struct websocksy_output *output) {
	if(output->data) {
		free(output->data - FRAMING_ROOM);
	}
	*output = (struct websocksy_output){.reserve = output->reserve};
}

/* ---- what a framing says ---- */

const char *framing_check(const struct websocksy_framing *framing, const char *config) {
	return framing->check ? framing->check(framing, config ? config : "") : NULL;
}

const char *framing_reason(int64_t result) {
	switch(result) {
	case -ENOMEM:
		return "is out of memory";
	case -ERANGE:
		return "returned a length above that of the data";
	case -EBADMSG:
		return "found an invalid message";
	case -EINVAL:
		return "set an opcode other than text, binary and discard";
	default:
		return "returned an error";
	}
}
