/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connecting to the peer.
 *
 * Must not know: the request, the backend.
 * Invariants: `connect-timeout` covers all that is done for one peer, the TLS handshake included.
 */
#include "bridge/upstream.h"

#include "bridge/client_certificate.h"
#include "bridge/handshake_state.h"
#include "bridge/login.h"
#include "bridge/prelude.h"
#include "bridge/query_answer.h"
#include "bridge/respond.h"
#include "bridge/upgrade.h"
#include "network/proxy_protocol.h"
#include "network/tls_cache.h"
#include "network/tls_session.h"
#include "network/tls_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void try_next_peer(struct loop_task *task);

/* The answer has another peer: that one is tried in the next turn. */
static bool has_next_peer(struct connection *c) {
	if(!query_answer_next(c)) {
		return false;
	}
	c->handshake->task.fn = try_next_peer;
	handshake_yield(c);
	return true;
}

static void connect_failed(struct connection *c, int error, const char *why) {
	bool ours = error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
	connection_log_limited(
		c, LOG_KIND_PEER, LOG_WARNING, "cannot connect to %s: %s", c->peer_name, why);
	if(has_next_peer(c)) {
		return;
	}
	/* The reason is for the log: it would tell clients about the network behind the daemon. */
	respond_status(c, ours ? 503 : 502, "the peer cannot be reached");
}

/* `?proxy=`: who is calling, and where, in front of everything else. */
static void send_proxy_header(struct connection *c) {
	struct handshake *h = c->handshake;
	uint8_t header[PROXY_PROTOCOL_FORMAT_MAX];
	union address own = h->destination;
	socklen_t len = sizeof(own);
	if(h->address.proxy == PROXY_PROTOCOL_OFF) {
		return;
	}
	/* A Unix socket's path is cut off; an address that cannot be had stays unspecified. */
	if(own.any.sa_family == AF_UNSPEC) {
		getsockname(c->client.io.fd, &own.any, &len);
	}
	size_t header_len =
		proxy_protocol_format(h->address.proxy, &c->address.any, &own.any, header);
	/* A peer that is gone already is met by the first read. */
	stream_write(&c->peer, header, header_len);
}

static void peer_failed(struct connection *c, int error, const char *why) {
	char text[256];
	bool tls = tls_stream_is_active(&c->peer);
	snprintf(text, sizeof(text), "%s%s", tls ? "TLS failed: " : "", why);
	stream_close(&c->peer);
	connect_failed(c, error, text);
}

/* The stream to the peer can be used. */
static void peer_ready(struct connection *c) {
	if(prelude_send(c) == 0) {
		upgrade_accept(c);
	}
}

/* The 101 waits for the peer's reply to the prelude. */
static void peer_replies(struct connection *c) {
	const char *why;
	int result = prelude_read(c, &why);
	if(result == 0) {
		upgrade_accept(c);
	} else if(result != -EAGAIN) {
		memory_free(c->env, &c->partial);
		c->handshake->reply = false;
		stream_close(&c->peer);
		connect_failed(c, result, why);
	}
}

/* The TLS handshake with the peer goes on; the 101 waits for its end. */
static void peer_handshake(struct connection *c) {
	int result = tls_stream_handshake(&c->peer);
	if(result == 0) {
		peer_ready(c);
	} else if(result != -EAGAIN) {
		peer_failed(c, result, stream_reason(&c->peer, result));
	}
}

/* A stream to the peer is there. TLS begins behind the PROXY header, as haproxy sends it. */
static void peer_begin(struct connection *c) {
	struct handshake *h = c->handshake;
	const char *sni = h->address.tls.sni;
	send_proxy_header(c);
	if(!h->address.kind->tls) {
		peer_ready(c);
		return;
	}
	int result = tls_session_connect(&c->peer, h->tls, sni ? sni : h->address.host);
	if(result) {
		peer_failed(c, result,
			result == -EINVAL ? "TLS cannot ask for that name" : strerror(-result));
		return;
	}
	/* Not at once: the session that is set up here counts as one of the turn's handshakes. */
	loop_set_ready(c->env->loop, &c->peer.io, LOOP_IN);
}

static void peer_connected(void *ctx, int error, const char *why) {
	struct connection *c = ctx;
	struct handshake *h = c->handshake;
	if(!error) {
		error = connect_take(h->connect, &c->peer, connection_peer_event);
		why = error ? strerror(-error) : NULL;
	}
	connect_free(h->connect);
	h->connect = NULL;
	if(error) {
		connect_failed(c, error, why);
	} else {
		peer_begin(c);
	}
}

/* The credentials for TLS, before anything is connected. False: refused. */
static bool find_credentials(struct connection *c) {
	struct handshake *h = c->handshake;
	char error[TLS_ERROR_MAX];
	if(!h->address.kind->tls) {
		return true;
	}
	tls_credentials_unref(h->tls); /* of a peer that has failed */
	h->tls = NULL;
	int result = tls_cache_find(c->env->tls_cache, &h->address.tls, &h->tls, error);
	if(result) {
		connect_failed(c, result, error);
	}
	return result == 0;
}

/* Connects to h->address, which is not a loopback. */
static void try_peer(struct connection *c) {
	struct handshake *h = c->handshake;
	struct connection_env *env = c->env;
	const char *why;
	handshake_arm(c, env->settings->connect_timeout_ms);
	if(!find_credentials(c)) {
		return;
	}
	struct connect_owner owner = {
		.loop = env->loop,
		.resolver = env->resolver,
		.fn = peer_connected,
		.ctx = c,
		.announced = env->program.processes || env->shared ? &env->announced : NULL,
		.exec = {&env->processes, h->environment, env->settings->pty},
	};
	int result = connect_start(&h->connect, &h->address, &owner, &why);
	if(result == 0) {
		peer_connected(c, 0, NULL);
	} else if(result != -EINPROGRESS) {
		connect_failed(c, result, why);
	}
}

static void try_next_peer(struct loop_task *task) {
	struct connection *c = container_of(task, struct handshake, task)->connection;
	if(c->loopback) {
		upgrade_accept(c);
	} else {
		try_peer(c);
	}
}

void upstream_connect(struct connection *c) {
	if(c->loopback) {
		upgrade_accept(c);
		return;
	}
	connection_enter(c, CONNECTION_CONNECT);
	try_peer(c);
}

/* The stream is there already during the TLS handshake with the peer, and before its reply. */
void upstream_event(struct connection *c, unsigned events) {
	(void)events;
	if(prelude_is_waiting(c)) {
		peer_replies(c);
	} else {
		peer_handshake(c);
	}
}

static void connect_cancel(struct connection *c) {
	loop_task_cancel(&c->handshake->task);
	connect_free(c->handshake->connect);
	c->handshake->connect = NULL;
	c->handshake->reply = false;
	memory_free(c->env, &c->partial);
	stream_close(&c->peer);
}

void upstream_deadline(struct connection *c) {
	connection_log_limited(c, LOG_KIND_PEER, LOG_WARNING,
		"cannot connect to %s: %s in time (connect-timeout)", c->peer_name,
		prelude_is_waiting(c)              ? "no reply to the prelude"
			: stream_is_open(&c->peer) ? "TLS: the handshake has not ended"
						   : "no answer");
	connect_cancel(c);
	if(has_next_peer(c)) {
		return;
	}
	respond_status(c, 504, "the peer did not answer in time");
}

void upstream_shutdown(struct connection *c) {
	connect_cancel(c);
	respond_shutdown(c);
}

void upstream_reload(struct connection *c) {
	if(!client_certificate_is_valid(c)) {
		connection_close(c);
	} else if(!login_is_current(c)) {
		connect_cancel(c);
		login_revoke(c);
	}
}
