/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asking the backend for a peer, and waiting for its answer.
 *
 * Must not know: the request as the backend receives it, the meaning of its answer.
 * Invariants: the backend is asked once for a request; `handshake->pending` is set exactly while
 * its answer is awaited, and then `handshake->head` is the request.
 */
#include "bridge/query.h"

#include "bridge/client_certificate.h"
#include "bridge/early.h"
#include "bridge/handshake_state.h"
#include "bridge/head_buffer.h"
#include "bridge/login.h"
#include "bridge/query_answer.h"
#include "bridge/query_request.h"
#include "bridge/respond.h"
#include "bridge/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The answer is there, or `result` is -ENOMEM. */
static void use_answer(struct connection *c, const struct request *request,
	struct backend_answer *answer, int result) {
	struct error_response response;
	bool fine = result == 0 ? query_answer_take(c, request, answer, &response)
				: error_response_set(&response, 503, "out of memory", NULL);
	if(fine) {
		upstream_connect(c);
	} else {
		respond_error(c, &response);
	}
	backend_answer_free(answer);
}

/* The request is parsed again: it is the one that has been asked about. */
static void answered(void *ctx, struct backend_answer *answer) {
	struct connection *c = ctx;
	struct handshake *h = c->handshake;
	struct request request;
	struct request_error error;
	size_t scanned = 0;
	size_t head_len = 0;
	struct dynbuf head = h->head;
	h->head = (struct dynbuf){0};
	h->pending = NULL;
	loop_timer_cancel(c->env->loop, &c->timer);
	enum request_result result = request_parse(
		(const char *)head.data, head.len, &scanned, &request, &head_len, &error);
	assert(result == REQUEST_DONE);
	(void)result;
	use_answer(c, &request, answer, 0);
	head_buffer_free(c->env, &head);
}

void query_start(struct connection *c, const struct request *request) {
	struct handshake *h = c->handshake;
	struct backend_request asked;
	struct backend_answer answer = {0};
	if(h->granted) {
		connection_log_limited(
			c, LOG_KIND_PEER, LOG_INFO, "user \"%s\" authenticated", h->user);
	}
	h->asked_ms = c->env->loop->now_ms;
	connection_enter(c, CONNECTION_QUERY);
	c->backend = backend_ref(c->env->backend);
	int result = query_request_copy(c, request, backend_reads_request(c->backend), &asked);
	if(result) {
		use_answer(c, request, &answer, result);
		return;
	}
	asked.answered = answered;
	asked.ctx = c;
	result = backend_query(c->backend, &asked, &answer, &h->pending);
	if(result != -EINPROGRESS) {
		use_answer(c, request, &answer, result);
	}
	free(asked.memory);
}

static uint64_t timeout_of(const struct settings *settings) {
	return settings->query_timeout_ms == SETTINGS_QUERY_AS_CONNECT
		? settings->connect_timeout_ms
		: settings->query_timeout_ms;
}

void query_wait(struct connection *c, const uint8_t *head, size_t len) {
	struct handshake *h = c->handshake;
	if(c->phase != CONNECTION_QUERY) {
		return;
	}
	if(head_buffer_append(c->env, &h->head, head, len)) {
		query_cancel(c);
		respond_status(c, 503, "out of memory");
		return;
	}
	handshake_arm(c, timeout_of(c->env->settings));
}

void query_cancel(struct connection *c) {
	struct handshake *h = c->handshake;
	if(h->pending) {
		backend_cancel(h->pending);
		h->pending = NULL;
	}
	head_buffer_free(c->env, &h->head);
}

/* ---- events while the answer is awaited ---- */

/* A client that ends its side cannot use a connection any more: the backend need not go on. */
void query_client(struct connection *c, unsigned events) {
	bool reads = events & STREAM_READABLE;
	if(early_read(c, events) && !(reads && early_has_ended(c))) {
		return;
	}
	connection_log_limited(c, LOG_KIND_REQUEST, LOG_INFO,
		"the client went away before the backend had answered");
	connection_close(c);
}

void query_deadline(struct connection *c) {
	const char *name = backend_name(c->backend);
	connection_log_limited(c, LOG_KIND_PEER, LOG_WARNING,
		"backend %s did not answer in time (query-timeout)", name);
	query_cancel(c);
	respond_status(c, 504, "the backend did not answer in time");
}

void query_shutdown(struct connection *c) {
	query_cancel(c);
	respond_shutdown(c);
}

void query_reload(struct connection *c) {
	if(!client_certificate_is_valid(c)) {
		connection_close(c);
	} else if(!login_is_current(c)) {
		query_cancel(c);
		login_revoke(c);
	}
}
