/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes that the peer receives before those of the client, and its reply to them.
 *
 * Must not know: what they mean.
 * Invariants: the client receives no byte of the reply, and every byte behind it.
 */
#include "bridge/prelude.h"

#include "bridge/handshake_state.h"
#include "plugin/terms.h"

#include <errno.h>
#include <string.h>

int prelude_send(struct connection *c) {
	const struct terms *terms = c->handshake->terms;
	if(!terms || !terms->prelude) {
		return 0;
	}
	/* A peer that is gone already is met by the read. */
	stream_write(&c->peer, terms->prelude, terms->prelude_len);
	c->handshake->reply = terms->reply_end && !c->peer.datagram;
	return c->handshake->reply ? -EAGAIN : 0;
}

bool prelude_is_waiting(const struct connection *c) {
	return c->handshake->reply;
}

static bool is_expected(const uint8_t *reply, size_t len, const char *has) {
	const uint8_t *end = memchr(reply, '\n', len);
	size_t line = end ? (size_t)(end - reply) : len;
	return !has || memmem(reply, line, has, strlen(has));
}

/* With a byte for the NUL that framings find behind the data. */
static int keep_rest(struct connection *c, size_t used) {
	struct dynbuf *partial = &c->partial;
	partial->len -= (uint32_t)used;
	if(partial->len == 0) {
		memory_free(c->env, partial);
		return 0;
	}
	memmove(partial->data, partial->data + used, partial->len);
	c->unseen = (uint32_t)partial->len;
	return memory_reserve(c->env, partial, 1);
}

int prelude_read(struct connection *c, const char **why) {
	const struct terms *terms = c->handshake->terms;
	struct dynbuf *partial = &c->partial;
	uint8_t *scratch = c->env->loop->scratch;
	size_t end_len = strlen(terms->reply_end);
	ssize_t got = stream_read(&c->peer, scratch, PRELUDE_REPLY_MAX);
	if(got == -EAGAIN) {
		return -EAGAIN;
	}
	*why = got == 0 ? "the peer has closed before its reply was complete"
			: stream_reason(&c->peer, (int)got);
	if(got <= 0) {
		return got == 0 ? -ECONNRESET : (int)got;
	}
	int result = memory_append(c->env, partial, scratch, (size_t)got);
	*why = "out of memory";
	if(result) {
		return result;
	}
	const uint8_t *end = memmem(partial->data, partial->len, terms->reply_end, end_len);
	size_t len = end ? (size_t)(end - partial->data) : partial->len;
	*why = "the reply of the peer is not the expected one";
	if(len > PRELUDE_REPLY_MAX || (end && !is_expected(partial->data, len, terms->reply_has))) {
		return -EPROTO;
	}
	if(!end) {
		loop_set_ready(c->env->loop, &c->peer.io, LOOP_IN);
		return -EAGAIN;
	}
	c->handshake->reply = false;
	*why = "out of memory";
	return keep_rest(c, len + end_len);
}
