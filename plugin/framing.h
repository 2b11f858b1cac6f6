/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One connection's use of a framing: it cuts the byte stream of a peer into WebSocket messages, and
 * may convert messages in both directions. All framings are objects of plugin API version 2.
 */
#ifndef WEBSOCKSY_PLUGIN_FRAMING_H
#define WEBSOCKSY_PLUGIN_FRAMING_H
#include "base/dynbuf.h"
#include "websocket.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are free in front of the data of an output, for a frame header. */
#define FRAMING_ROOM WEBSOCKET_HEADER_MAX

/*
 * Begins a connection's use of `framing` with `config` (from malloc, NULL: ""; owned by the stream
 * in every case). 0, -ENOMEM or -EINVAL; framing_close() is due either way.
 */
int framing_open(struct websocksy_framing_stream *stream, const struct websocksy_framing *framing,
	const struct websocksy_core *core, char *config);

/* Ends it and frees its memory. Does nothing to a stream that is not in use. */
void framing_close(struct websocksy_framing_stream *stream);

/* Is `config` (NULL: "") usable? NULL, or a static text that describes the correct form. */
const char *framing_check(const struct websocksy_framing *framing, const char *config);

/*
 * Messages of the client that are collected for encode() because it needs their length; NULL: it
 * does not.
 */
struct dynbuf *framing_collected(const struct websocksy_framing_stream *stream);

/* The `reserve` of outputs of the core: keeps FRAMING_ROOM in front. */
int framing_reserve(struct websocksy_output *output, size_t more);

/* Empties an output and frees its memory. */
void framing_output_free(struct websocksy_output *output);

/* A static text for a negative result of decode(), to follow the framing's name. */
const char *framing_reason(int64_t result);
#endif
