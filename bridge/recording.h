/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The recording of an open connection (`record`).
 */
#ifndef WEBSOCKSY_RECORDING_H
#define WEBSOCKSY_RECORDING_H
#include "bridge/connection.h"
#include "service/record.h"

#include <stdbool.h>
#include <stddef.h>

/* A recorder_failed_fn for the environment of all connections. */
void recording_failed(void *ctx, const struct record_about *about, int error);

/* The client is about to be upgraded, and its handshake is still there: begins, if that is asked for. */
void recording_begin(struct connection *c);

/*
 * Adds a part of a message of the client, or a message to it, while it is recorded. An error ends the
 * recording, not the connection.
 */
void recording_from_client(struct connection *c, const void *data, size_t len, bool last);
void recording_to_client(
	struct connection *c, enum websocket_opcode opcode, const void *data, size_t len);

/* The connection, which is recorded, ends. */
void recording_end(struct connection *c);
#endif
