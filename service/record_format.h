/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The formats of recordings: noVNC's list of frames, lines of JSON, and pcapng.
 */
#ifndef WEBSOCKSY_RECORD_FORMAT_H
#define WEBSOCKSY_RECORD_FORMAT_H
#include "base/address.h"
#include "base/dynbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_format {
	RECORD_NOVNC,
	RECORD_JSONL,
	RECORD_PCAPNG
};

#define RECORD_PATH_MAX 256
#define RECORD_PROTOCOL_MAX 64

/* The connection that is recorded. */
struct record_about {
	uint64_t id;
	union address client;
	union address server; /* the daemon's side of the connection */
	uint64_t begun_ns; /* time of the upgrade, since the epoch */
	char path[RECORD_PATH_MAX]; /* of the request */
	char protocol[RECORD_PROTOCOL_MAX]; /* the subprotocol; empty: none */
};

/* A complete message. */
struct record_message {
	uint64_t t_ns; /* since the upgrade */
	bool from_client;
	uint8_t opcode; /* of the message: WEBSOCKET_TEXT or WEBSOCKET_BINARY */
	const uint8_t *data;
	size_t len;
};

/* What a format keeps between two calls. Initialised by zero. */
struct record_state {
	uint32_t sequence[2]; /* pcapng: bytes of the server and of the client so far */
};

/*
 * Each function appends to `out`: the beginning of a file, a message, its end, after which the file is
 * complete. 0 or -ENOMEM.
 */
struct record_writer {
	int (*begin)(
		struct record_state *state, const struct record_about *about, struct dynbuf *out);
	int (*message)(struct record_state *state, const struct record_about *about,
		const struct record_message *message, struct dynbuf *out);
	int (*end)(struct record_state *state, const struct record_about *about, uint64_t t_ns,
		struct dynbuf *out);
};

/* The functions of a format. */
const struct record_writer *record_writer_of(enum record_format format);

/* pcapng, in a file of its own. */
extern const struct record_writer record_pcapng;
#endif
