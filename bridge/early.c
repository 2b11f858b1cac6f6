/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Input of a client that does not wait for the response.
 *
 * Must not know: the reason for waiting.
 * Invariants: the bytes are kept in their order, up to HANDSHAKE_EARLY_MAX; the end of the input is
 * not the end of the connection.
 */
#include "bridge/early.h"

#include "bridge/handshake.h"
#include "bridge/handshake_state.h"
#include "bridge/head_buffer.h"

#include <errno.h>

#define EARLY_READ (16 * 1024) /* in one turn */

bool early_read(struct connection *c, unsigned events) {
	struct handshake *h = c->handshake;
	uint8_t *scratch = c->env->loop->scratch;
	if(events & STREAM_BROKEN) {
		return false;
	}
	if(!(events & STREAM_READABLE)) {
		return true;
	}
	ssize_t got = stream_read(&c->client, scratch, EARLY_READ);
	if(got == -EAGAIN) {
		return true;
	}
	if(got == 0) {
		/* No further request (RFC 9112, 9.6); the client may wait for the response. */
		stream_put_end_back(&c->client);
		return true;
	}
	if(got < 0 || head_buffer_append(c->env, &h->input, scratch, (size_t)got)) {
		return false;
	}
	/* It may be a request with a password. */
	head_buffer_wipe(c->env->loop, scratch, c->env->auth ? (size_t)got : 0);
	if(h->input.len - h->head_len >= HANDSHAKE_EARLY_MAX) {
		stream_want_read(&c->client, false);
	}
	return true;
}

bool early_has_ended(const struct connection *c) {
	const struct handshake *h = c->handshake;
	bool full = h->input.len - h->head_len >= HANDSHAKE_EARLY_MAX;
	return !full && !(c->client.io.want & LOOP_IN);
}
