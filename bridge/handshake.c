/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The handshake: the events of its phases.
 *
 * Must not know: frames; how a request is answered; what happens after the 101.
 * Invariants: `connection->handshake` exists from the first phase until the connection opens,
 * lingers or ends.
 */
#include "bridge/handshake.h"

#include "bridge/client_address.h"
#include "bridge/early.h"
#include "bridge/handshake_state.h"
#include "bridge/head.h"
#include "bridge/head_buffer.h"
#include "bridge/login.h"
#include "bridge/query.h"
#include "bridge/respond.h"
#include "network/tls_session.h"
#include "network/tls_stream.h"
#include "plugin/terms.h"

#include <stdlib.h>

/* ---- waiting for a request ---- */

/*
 * The next layer begins here: at the first byte, or behind a PROXY header. False: no memory,
 * closed.
 */
static bool start_tls(struct connection *c) {
	const struct connection_env *env = c->env;
	bool detect = c->tls == ADDRESS_TLS_DEFAULT && env->tls_detect;
	if(c->tls == ADDRESS_TLS_NEVER || !env->tls) {
		return true;
	}
	if(tls_session_accept(&c->client, env->tls, detect)) {
		connection_close(c);
		return false;
	}
	return true;
}

static void tls_handshake_failed(struct connection *c, const char *why) {
	connection_log_limited(c, LOG_KIND_TLS, LOG_INFO, "TLS handshake failed: %s", why);
}

/*
 * Closes a connection that waits for nothing but a further request. TLS wants to hear that this is
 * the end.
 */
static void leave(struct connection *c) {
	if(c->handshake->requests > 0) {
		stream_finish(&c->client);
	}
	connection_close(c);
}

/* A client that connects and closes without sending anything, as monitors do, is not logged. */
static void log_tls_failure(struct connection *c) {
	const char *why = tls_stream_reason(&c->client);
	if(why && tls_stream_in_handshake(&c->client)) {
		tls_handshake_failed(c, why);
	} else if(why) {
		connection_log_limited(c, LOG_KIND_TLS, LOG_INFO, "TLS failed: %s", why);
	}
}

void handshake_head_client(struct connection *c, unsigned events) {
	if(!(events & STREAM_READABLE)) {
		return;
	}
	if(c->handshake->proxy_header) {
		if(client_address_read_header(c)) {
			start_tls(c);
		}
	} else if(!head_read(c)) {
		log_tls_failure(c);
		leave(c);
	}
}

/*
 * Keep-alive timeout: no 408, because the client could take it for the response to a request in
 * flight. But the kernel may still hold much of the last response.
 */
static void head_idle(struct connection *c) {
	if(stream_outstanding(&c->client) > 0 && respond_keeps_pace(c)) {
		handshake_arm(c, c->env->settings->handshake_timeout_ms);
	} else {
		leave(c);
	}
}

void handshake_head_deadline(struct connection *c) {
	struct handshake *h = c->handshake;
	if(h->proxy_header) {
		client_address_header_failed(c, "it is not complete in time (handshake-timeout)");
		return;
	}
	if(h->requests > 0 && h->input.len == 0) {
		head_idle(c);
		return;
	}
	if(tls_stream_in_handshake(&c->client)) {
		tls_handshake_failed(c, "it is not done in time (handshake-timeout)");
		connection_close(c);
		return;
	}
	head_abandon(c);
	struct error_response response = {.status = 408,
		.message = "no complete request in time (handshake-timeout)",
		/* Browsers open connections in advance. */
		.minor = h->input.len == 0};
	respond_error(c, &response);
}

void handshake_head_shutdown(struct connection *c) {
	if(c->handshake->input.len == 0 || c->handshake->proxy_header) {
		leave(c); /* nothing was asked, nothing is answered */
	} else {
		head_abandon(c);
		respond_shutdown(c);
	}
}

/* ---- while the password is verified or the peer is being connected ---- */

void handshake_auth_client(struct connection *c, unsigned events) {
	if(!early_read(c, events)) {
		connection_log_limited(c, LOG_KIND_REQUEST, LOG_INFO,
			"the client went away before its password was verified");
		connection_close(c);
	}
}

void handshake_auth_deadline(struct connection *c) {
	login_cancel(c);
	respond_busy(c, "the password was not verified in time (handshake-timeout)");
}

void handshake_auth_shutdown(struct connection *c) {
	login_cancel(c);
	respond_shutdown(c);
}

void handshake_connect_client(struct connection *c, unsigned events) {
	if(!early_read(c, events)) {
		connection_log_limited(c, LOG_KIND_REQUEST, LOG_INFO,
			"the client went away before %s was connected", c->peer_name);
		connection_close(c);
	}
}

/* ---- while an answer is on its way ---- */

void handshake_response_client(struct connection *c, unsigned events) {
	if(events & STREAM_BROKEN) {
		connection_close(c);
		return;
	}
	if((events & STREAM_READABLE) && !c->handshake->keep) {
		/*
		 * Nothing that comes behind the request matters; its end does not stop the answer.
		 */
		uint8_t *scratch = c->env->loop->scratch;
		ssize_t got = stream_read(&c->client, scratch, LOOP_SCRATCH_SIZE);
		head_buffer_wipe(c->env->loop, scratch, got > 0 && c->env->auth ? (size_t)got : 0);
	}
	if(events & STREAM_PROGRESS) {
		respond_pump(c);
		head_next(c);
	}
}

/*
 * Continues with the work that handshake_yield() has put off: requests that have arrived, or a
 * large file.
 */
static void next_turn(struct loop_task *task) {
	struct connection *c = container_of(task, struct handshake, task)->connection;
	if(c->phase == CONNECTION_RESPONSE) {
		respond_pump(c);
	} else {
		stream_want_read(&c->client, true);
		handshake_arm(c, c->env->settings->handshake_timeout_ms);
	}
	head_next(c);
}

void handshake_begin(struct connection *c, uint32_t listener) {
	c->handshake = calloc(1, sizeof(*c->handshake));
	if(!c->handshake) {
		connection_close(c);
		return;
	}
	c->handshake->listener = listener;
	c->handshake->file = -1;
	c->handshake->connection = c;
	c->handshake->task.fn = next_turn;
	c->handshake->proxy_header = c->proxied && c->env->settings->proxy_protocol;
	if(!c->handshake->proxy_header && !start_tls(c)) {
		return;
	}
	handshake_arm(c, c->env->settings->handshake_timeout_ms);
}

void handshake_leave(struct connection *c, enum connection_phase next) {
	struct handshake *h = c->handshake;
	bool goes_on =
		next != CONNECTION_OPEN && next != CONNECTION_LINGER && next != CONNECTION_DEAD;
	if(goes_on || !h) {
		return;
	}
	query_cancel(c);
	c->handshake = NULL;
	if(next == CONNECTION_OPEN) {
		c->login = h->login;
	}
	loop_task_cancel(&h->task);
	verifier_cancel(h->job);
	connect_free(h->connect);
	terms_free(h->terms);
	tls_credentials_unref(h->tls);
	peer_address_free(&h->address);
	free(h->environment);
	free(h->user);
	free(h->protocol);
	free(h->summary);
	free(h->legacy_fields);
	head_buffer_free(c->env, &h->input);
	respond_close_file(h);
	free(h);
}
