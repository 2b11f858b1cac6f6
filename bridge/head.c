/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request head: reading it, admitting the request, and the requests that are already behind it.
 *
 * Must not know: phases other than HEAD and AUTH; how a request is answered.
 * Invariants: the backend is not asked, and no file is opened, before the client has been
 * authenticated, for each request anew; data that the client sends behind its request is kept, in
 * order.
 * Implements RFC 9112 sections 3 and 9.3.
 */
#include "bridge/head.h"

#include "bridge/client_address.h"
#include "bridge/flash_policy.h"
#include "bridge/handshake.h"
#include "bridge/handshake_state.h"
#include "bridge/head_buffer.h"
#include "bridge/hixie.h"
#include "bridge/login.h"
#include "bridge/own_name.h"
#include "bridge/query.h"
#include "bridge/respond.h"
#include "bridge/summary.h"
#include "bridge/upgrade.h"
#include "network/tls_session.h"
#include "network/tls_stream.h"

#include <errno.h>

#define HEAD_READ (16 * 1024) /* one read behind an incomplete head */
#define HEAD_REQUESTS_TURN 16 /* in one turn */

/* ---- authentication ---- */

/* See below: a request that has waited begins anew, and others may be behind it. */
static bool head_bytes(struct connection *c, const uint8_t *data, size_t len);

/* The request is processed again, from the bytes that have been kept. */
static void auth_resume(struct connection *c) {
	struct handshake *h = c->handshake;
	h->scanned = 0;
	if(head_bytes(c, h->input.data, h->input.len)) {
		head_next(c);
	}
}

static void auth_done(void *ctx, enum verifier_result result) {
	struct connection *c = ctx;
	if(login_finish(c, result)) {
		auth_resume(c);
	}
}

/* Keeps the head and the bytes behind it; the head is parsed once more afterwards. */
static void auth_wait(struct connection *c, const uint8_t *data, size_t len, size_t head_len) {
	struct handshake *h = c->handshake;
	if(data != h->input.data && memory_append(c->env, &h->input, data, len)) {
		connection_close(c);
		return;
	}
	h->head_len = head_len;
	if(c->phase == CONNECTION_AUTH) {
		return; /* the users have changed; the deadline runs */
	}
	connection_enter(c, CONNECTION_AUTH);
	handshake_arm(c, c->env->settings->handshake_timeout_ms);
}

/* ---- the request head ---- */

static void handle_request(struct connection *c, const struct request *request) {
	if(c->handshake->upgrade) {
		query_start(c, request);
	} else {
		respond_web(c, request);
	}
}

/*
 * The rules of the upgrade and the limits come before authentication, so that a request that is
 * refused anyway costs no password hash. False: it has been refused.
 */
static bool check_request(struct connection *c, const struct request *request) {
	struct error_response response;
	bool fine = c->handshake->upgrade ? upgrade_check(c, request, &response)
					  : upgrade_check_plain(request, &response);
	fine = fine && respond_check_admission(c, &response);
	if(!fine) {
		respond_error(c, &response);
	}
	return fine;
}

static bool is_identified(struct connection *c, const struct request *request) {
	struct error_response response;
	if(client_address_identify(c, request, &response)) {
		return true;
	}
	if(response.status) {
		respond_error(c, &response);
	} else {
		connection_close(c); /* far above the limit: without a response */
	}
	return false;
}

/* Whether `data` has been admitted: false, it has been refused, or waits in h->input. */
static bool head_admitted(struct connection *c, const struct request *request, const uint8_t *data,
	size_t len, size_t head_len) {
	if(!check_request(c, request)) {
		return false;
	}
	enum login_decision decision =
		c->handshake->challenge ? LOGIN_GRANTED : login_check(c, request, auth_done);
	if(decision == LOGIN_PENDING) {
		auth_wait(c, data, len, head_len);
	}
	return decision == LOGIN_GRANTED;
}

/* `data` is in the scratch buffer or all of h->input: a complete head and the bytes behind it. */
static void head_complete(struct connection *c, const struct request *request, const uint8_t *data,
	size_t len, size_t head_len) {
	struct handshake *h = c->handshake;
	struct dynbuf rest = {0};
	struct error_response response;
	h->head_only = request_method_is(request, "HEAD");
	h->upgrade = request_has_token(request, "Upgrade", "websocket");
	summary_begin(c, request);
	if(!is_identified(c, request)) {
		return;
	}
	/*
	 * A health check needs neither room, nor a password, nor TLS: load balancers use plain
	 * HTTP.
	 */
	bool health = respond_is_health(c, request);
	if(!health && !own_name_check(c, request, &response)) {
		respond_error(c, &response);
		return;
	}
	h->challenge = respond_is_challenge(c, request);
	if(!health && !h->challenge && respond_must_redirect(c, request)) {
		respond_redirect(c, request);
		return;
	}
	if(!health && !head_admitted(c, request, data, len, head_len)) {
		return;
	}
	if(memory_append(c->env, &rest, data + head_len, len - head_len)) {
		connection_close(c);
		return;
	}
	struct dynbuf head = h->input; /* the request points into it */
	h->input = rest;
	h->head_len = 0;
	h->requests++;
	if(health) {
		respond_health(c, request);
	} else {
		handle_request(c, request);
		query_wait(c, data, head_len);
	}
	head_buffer_free(c->env, &head);
}

/* TLS to a port that is for plain HTTP, which has refused this byte. */
static bool is_tls(const struct connection *c, uint8_t first) {
	return first == TLS_RECORD_HANDSHAKE && c->handshake->requests == 0 &&
		!tls_stream_is_active(&c->client);
}

/* For a head that is not handled as a request; the response to HEAD has no content even so. */
static void note_method(struct connection *c, struct slice head) {
	c->handshake->head_only = request_begins_with_method(head.at, head.len, "HEAD");
}

void head_abandon(struct connection *c) {
	const struct dynbuf *input = &c->handshake->input;
	if(input->len > 0) {
		note_method(c, (struct slice){(const char *)input->data, input->len});
	}
}

static void refuse_head(
	struct connection *c, struct slice head, unsigned status, const char *message) {
	note_method(c, head);
	respond_status(c, status, message);
}

/* RFC 9112, 3: 414 if it is the target that is too long. More than HANDSHAKE_HEAD_MAX is there. */
static void refuse_long_head(struct connection *c, struct slice head) {
	bool is_head = request_line_is_complete(head.at, HANDSHAKE_HEAD_MAX);
	refuse_head(c, head, is_head ? 431 : 414,
		is_head ? "the request head is too large" : "the request target is too long");
}

/*
 * `len` bytes of input at `data`, in the scratch buffer or in h->input: a complete head, or a part
 * of one. `request` points into them while it is handled. True: a request has been handled, and
 * others may follow if the phase is CONNECTION_HEAD again.
 */
static bool take_bytes(struct connection *c, const uint8_t *data, size_t len) {
	struct handshake *h = c->handshake;
	struct request request;
	struct request_error error;
	size_t head_len = 0;
	struct slice input = {.at = (const char *)data, .len = len};
	if(flash_policy_is_request(c, data, len)) {
		flash_policy_answer(c);
		return true;
	}
	enum request_result result =
		request_parse(input.at, len, &h->scanned, &request, &head_len, &error);
	if(result == REQUEST_BAD) {
		refuse_head(c, input, error.status,
			is_tls(c, data[0]) ? "TLS handshake on a port without TLS" : error.message);
		return true;
	}
	if((result == REQUEST_MORE ? len : head_len) > HANDSHAKE_HEAD_MAX) {
		refuse_long_head(c, input);
		return true;
	}
	if(result == REQUEST_DONE && !hixie_begin(c, &request, text_skip(input, head_len))) {
		h->scanned = 0; /* it is read once more with what it lacks */
		result = REQUEST_MORE;
	}
	if(result == REQUEST_DONE) {
		head_len += hixie_body_len(h);
		head_complete(c, &request, data, len, head_len);
		return true;
	}
	if(data != h->input.data && memory_append(c->env, &h->input, data, len)) {
		connection_close(c);
	}
	return false;
}

/* There may be a password in it, or in the part of it that is there. */
static bool head_bytes(struct connection *c, const uint8_t *data, size_t len) {
	struct connection_env *env = c->env;
	bool handled = take_bytes(c, data, len);
	head_buffer_wipe(env->loop, data, env->auth ? len : 0);
	return handled;
}

/*
 * Handles requests that the client has sent without waiting for responses: in a loop, not by
 * recursion, and a few per turn, so that other connections have their turns.
 */
void head_next(struct connection *c) {
	bool handled = true;
	for(int i = 0; handled && c->phase == CONNECTION_HEAD && c->handshake->input.len > 0; i++) {
		struct handshake *h = c->handshake;
		if(i == HEAD_REQUESTS_TURN || h->costly) {
			h->costly = false;
			stream_want_read(&c->client, false);
			handshake_yield(c);
			return;
		}
		handled = head_bytes(c, h->input.data, h->input.len);
	}
}

/* False: the client has ended its side, or reading has failed. */
bool head_read(struct connection *c) {
	struct handshake *h = c->handshake;
	uint8_t *into = c->env->loop->scratch;
	size_t cap = LOOP_SCRATCH_SIZE;
	if(h->input.len > 0) {
		if(head_buffer_reserve(c->env, &h->input, HEAD_READ)) {
			connection_close(c);
			return true;
		}
		into = h->input.data + h->input.len;
		cap = h->input.cap - h->input.len;
	}
	ssize_t got = stream_read(&c->client, into, cap);
	if(got <= 0) {
		return got == -EAGAIN;
	}
	if(h->input.len > 0) {
		h->input.len += (uint32_t)got;
		into = h->input.data;
		got = (ssize_t)h->input.len;
	} else if(h->requests > 0) {
		handshake_arm(
			c, c->env->settings->handshake_timeout_ms); /* counts from the first byte */
	}
	if(head_bytes(c, into, (size_t)got)) {
		head_next(c);
	}
	return true;
}
