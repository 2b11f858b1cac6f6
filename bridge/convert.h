/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages for the client that are not sent as the peer has sent them: the framing converts them,
 * or the client's version of WebSocket has frames of its own.
 */
#ifndef WEBSOCKSY_CONVERT_H
#define WEBSOCKSY_CONVERT_H
#include "bridge/batch.h"
#include "bridge/connection.h"
#include "plugin/framing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Adds a message whose payload is set to a batch that is not full; what is not copied is sent.
 * `valid`: if it is called text, it is valid UTF-8. 0, or -EILSEQ: the client's version has no
 * messages but text.
 */
int convert_add(struct connection *c, struct batch *batch, const struct websocksy_message *message,
	bool valid);

/* Adds a frame of the versions before HyBi; what is not copied is sent. */
void convert_add_legacy(struct connection *c, struct batch *batch, uint8_t *text, size_t len);
#endif
