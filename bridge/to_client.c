/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the peer to the client.
 *
 * Must not know: HTTP, the kinds of the two streams.
 * Invariants: the peer is read only while the framing has seen all that is kept of it; the peer is
 * paused exactly while the client's backlog is above the high mark and has not yet fallen to the
 * low one.
 * Implements RFC 6455 sections 5.4 and 5.6.
 */
#include "bridge/to_client.h"

#include "bridge/closing.h"
#include "bridge/messages.h"
#include "bridge/relay_state.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TO_CLIENT_READS 4 /* reads of the peer in one turn */
#define TO_CLIENT_DATAGRAMS 64 /* the same for datagrams */
#define TO_CLIENT_PARTIAL_SMALL                                                                    \
	(16 * 1024) /* an incomplete message up to this is read behind in scratch */

/* Keeps the rest of `partial` after `used` bytes of it have gone. */
static void partial_drop(struct connection *c, size_t used) {
	if(used == c->partial.len) {
		memory_free(c->env, &c->partial);
	} else if(used > 0) {
		memmove(c->partial.data, c->partial.data + used, c->partial.len - used);
		c->partial.len -= (uint32_t)used;
	}
}

/* After cutting: an incomplete message must not grow for ever. */
static enum to_client_result check_partial(struct connection *c, const struct messages_cut *cut) {
	c->unseen = (uint32_t)cut->unseen;
	if(cut->unseen > 0 || c->partial.len <= c->env->settings->max_message) {
		return cut->many ? TO_CLIENT_ENOUGH : TO_CLIENT_MORE;
	}
	connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
		"framing function %s found no message in %" PRIu32
		" bytes from %s (max-message); closed "
		"with 1009",
		c->to_client.framing.framing->name, c->partial.len, c->peer_name);
	closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "message from the peer larger than max-message");
	return TO_CLIENT_ENDED;
}

enum to_client_result to_client_partial(struct connection *c) {
	struct messages_cut cut;
	struct websocksy_input input = {.data = c->partial.data,
		.len = c->partial.len,
		.fresh = c->unseen,
		.room = &c->env->room};
	input.data[input.len] = '\0';
	if(!messages_cut(c, &input, false, &cut)) {
		return TO_CLIENT_ENDED;
	}
	partial_drop(c, cut.used);
	return check_partial(c, &cut);
}

/* `len` bytes in the scratch buffer, the last `fresh` of them new; `partial` is empty. */
static enum to_client_result scratch_frames(struct connection *c, size_t len, size_t fresh) {
	struct messages_cut cut;
	struct websocksy_input input = {
		.data = c->env->loop->scratch, .len = len, .fresh = fresh, .room = &c->env->room};
	input.data[len] = '\0';
	if(!messages_cut(c, &input, true, &cut)) {
		return TO_CLIENT_ENDED;
	}
	size_t left = len - cut.used;
	if(left == 0) {
		memory_free(c->env, &c->partial);
		c->unseen = 0;
		return cut.many ? TO_CLIENT_ENOUGH : TO_CLIENT_MORE;
	}
	/* One byte more: its NUL. */
	int result = memory_reserve(c->env, &c->partial, left + 1);
	if(result) {
		closing_no_memory(c, result);
		return TO_CLIENT_ENDED;
	}
	memory_append(c->env, &c->partial, c->env->loop->scratch + cut.used, left);
	return check_partial(c, &cut);
}

/* The peer has ended (`error` 0) or failed. */
static void peer_ends(struct connection *c, int error) {
	struct connection_env *env = c->env;
	c->peer_ended = true;
	if(error == 0) {
		error = -c->peer.error;
	}
	if(!messages_cut_tail(c)) {
		return;
	}
	if(!relay_is_whole(c)) {
		memory_free(c->env, &c->partial);
	}
	if(error) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_NOTICE,
			"%s failed: %s; closing with 1011", c->peer_name,
			stream_reason(&c->peer, error));
		closing_start(c, WEBSOCKET_CODE_INTERNAL, "the peer failed",
			env->settings->close_timeout_ms);
	} else {
		closing_start(c, WEBSOCKET_CODE_NORMAL, "the peer has closed",
			env->settings->close_timeout_ms);
	}
}

/*
 * A read brought nothing: for now, or, when writing has failed and all that came before is read,
 * for ever.
 */
static void peer_stops(struct connection *c, int result) {
	if(result != -EAGAIN) {
		peer_ends(c, result);
	} else if(c->peer.error) {
		peer_ends(c, -c->peer.error);
	}
}

/* The number of bytes; 0: none are there now, or the peer has ended and the connection with it. */
static size_t peer_read_into(struct connection *c, uint8_t *into, size_t cap) {
	ssize_t got = stream_read(&c->peer, into, cap);
	if(got <= 0) {
		peer_stops(c, (int)got);
		return 0;
	}
	c->activity.data_ms = relay_now(c);
	return (size_t)got;
}

/* A large incomplete message stays where it is and is read behind; its room doubles. */
static enum to_client_result peer_read_behind(struct connection *c) {
	bool full = c->partial.cap - c->partial.len < TO_CLIENT_PARTIAL_SMALL;
	int result = full ? memory_reserve(c->env, &c->partial, c->partial.len) : 0;
	if(result) {
		closing_no_memory(c, result);
		return TO_CLIENT_ENDED;
	}
	size_t cap = c->partial.cap - c->partial.len - 1;
	size_t got = peer_read_into(c, c->partial.data + c->partial.len, cap);
	if(got == 0) {
		return TO_CLIENT_ENOUGH;
	}
	c->partial.len += (uint32_t)got;
	c->unseen = (uint32_t)got;
	return to_client_partial(c);
}

/* One read of a byte stream. */
static enum to_client_result peer_read_bytes(struct connection *c) {
	uint8_t *scratch = c->env->loop->scratch;
	size_t had = c->partial.len;
	if(had > TO_CLIENT_PARTIAL_SMALL) {
		return peer_read_behind(c);
	}
	/* Copying a little to the front of the large buffer costs less than many small reads. */
	if(had > 0) {
		memcpy(scratch, c->partial.data, had);
	}
	size_t got = peer_read_into(c, scratch + had, LOOP_SCRATCH_SIZE - had);
	if(got == 0) {
		return TO_CLIENT_ENOUGH;
	}
	c->partial.len = 0;
	return scratch_frames(c, had + got, got);
}

static enum to_client_result peer_read_datagram(struct connection *c) {
	size_t max = c->env->settings->max_message;
	size_t cap = max < LOOP_SCRATCH_SIZE ? max : LOOP_SCRATCH_SIZE;
	ssize_t got = stream_read(&c->peer, c->env->loop->scratch, cap);
	if(got == -EMSGSIZE) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
			"datagram from %s above %zu bytes; closed with 1009", c->peer_name, cap);
		closing_fail(c, WEBSOCKET_CODE_TOO_BIG, "datagram from the peer too large");
		return TO_CLIENT_ENDED;
	}
	if(got < 0) {
		peer_stops(c, (int)got);
		return TO_CLIENT_ENOUGH;
	}
	c->activity.data_ms = relay_now(c);
	return messages_send_datagram(c, (size_t)got) ? TO_CLIENT_MORE : TO_CLIENT_ENDED;
}

void to_client_readable(struct connection *c) {
	bool datagram = c->peer.datagram;
	int budget = datagram ? TO_CLIENT_DATAGRAMS : TO_CLIENT_READS;
	enum to_client_result result = TO_CLIENT_MORE;
	for(int i = 0; i < budget && result == TO_CLIENT_MORE && stream_readable(&c->peer); i++) {
		result = datagram ? peer_read_datagram(c) : peer_read_bytes(c);
	}
}
