/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames for the client that go out with one write. All of it is inline: it runs for each message.
 */
#ifndef WEBSOCKSY_BATCH_H
#define WEBSOCKSY_BATCH_H
#include "bridge/connection.h"
#include "websocket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	BATCH_PIECES = 64, /* of one gathered write */
	BATCH_BYTES = 16 * 1024, /* headers and small payloads in it */
	BATCH_COPY = 512 /* payloads up to this are copied into it */
};

/*
 * Headers and small payloads are gathered in `small`, where neighbours share an entry of `iov`: for
 * many tiny messages a copy costs less than an entry each. Payload that is not copied has to stay
 * where it is until the batch is sent.
 */
struct batch {
	int count; /* entries of iov */
	size_t used; /* bytes of small */
	struct iovec iov[BATCH_PIECES];
	uint8_t small[BATCH_BYTES];
};

static inline void batch_begin(struct batch *batch) {
	batch->count = 0;
	batch->used = 0;
}

static inline void batch_send(struct connection *c, struct batch *batch) {
	if(batch->count > 0) {
		stream_writev(&c->client, batch->iov, batch->count);
	}
	batch_begin(batch);
}

/* There may be no room for another frame. */
static inline bool batch_is_full(const struct batch *batch) {
	return batch->count > BATCH_PIECES - 2 ||
		batch->used > BATCH_BYTES - BATCH_COPY - WEBSOCKET_HEADER_MAX;
}

static inline void batch_add_bytes(struct batch *batch, uint8_t *data, size_t len) {
	struct iovec *last = batch->count > 0 ? &batch->iov[batch->count - 1] : NULL;
	if(last && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
	} else {
		batch->iov[batch->count++] = (struct iovec){data, len};
	}
}

/* `room`: there are WEBSOCKET_HEADER_MAX writable bytes in front of the payload. */
static inline __attribute__((always_inline)) void batch_add(struct batch *batch,
	enum websocket_opcode opcode, uint8_t *payload, size_t len, bool room) {
	uint8_t *header = room ? payload - websocket_header_len(len) : batch->small + batch->used;
	size_t header_len = websocket_put_header(header, true, opcode, len);
	if(room) {
		batch_add_bytes(batch, header, header_len + len);
		return;
	}
	batch->used += header_len;
	if(len > BATCH_COPY) {
		batch_add_bytes(batch, header, header_len);
		batch_add_bytes(batch, payload, len);
		return;
	}
	memcpy(header + header_len, payload, len);
	batch->used += len;
	batch_add_bytes(batch, header, header_len + len);
}
#endif
