/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asking the backend for a peer.
 *
 * Must not know: how a peer is connected.
 * Invariants: the backend is asked once for a request; a request's header fields called Websocksy-*
 * are the daemon's own.
 */
#include "bridge/query.h"

#include "bridge/client_address.h"
#include "bridge/handshake_state.h"
#include "bridge/respond.h"
#include "bridge/upstream.h"
#include "http/cgi.h"
#include "http/login_cookie.h"
#include "network/peer.h"
#include "network/peer_address.h"
#include "network/tls_session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUERY_PEER_TEXT 512 /* a peer's address in the log */
#define QUERY_TERMINAL "xterm-256color" /* that most terminals in pages are compatible with */

/*
 * An upgrade request on its way to the backend: the strings of `request` are private copies in
 * `memory`.
 */
struct query {
	struct connection *c;
	const struct request *head;
	struct error_response response; /* when it is refused */
	char *memory;
	struct backend_request request;
};

static bool refused(struct query *q, unsigned status, const char *message, const char *extra) {
	return error_response_set(&q->response, status, message, extra);
}

/* ---- header fields about the client ---- */

/*
 * Header fields that are added to the request. A value is NULL if there is none, or lives as long
 * as the handshake or in `buf`. A client's own fields with this prefix are dropped, so a backend
 * can trust them.
 */
#define INJECTED_WORD "Websocksy"
#define INJECTED_PREFIX INJECTED_WORD "-"
#define INJECTED_TEXT TLS_SUBJECT_MAX

static const char *injected_user(const struct connection *c, char buf[INJECTED_TEXT]) {
	(void)buf;
	return c->handshake->granted ? c->handshake->user : NULL;
}

/*
 * GnuTLS leaves the control characters of a name as they are: a line end would begin another field.
 */
static const char *escape_name(const char *name, char buf[INJECTED_TEXT]) {
	size_t used = 0;
	for(const char *at = name; *at; at++) {
		unsigned byte = (unsigned char)*at;
		bool is_control = byte < 0x20 || byte == 0x7f; /* RFC 4514, 2.4 */
		int len = snprintf(
			buf + used, INJECTED_TEXT - used, is_control ? "\\%02X" : "%c", byte);
		if(len < 0 || (size_t)len >= INJECTED_TEXT - used) {
			return NULL;
		}
		used += (size_t)len;
	}
	return buf;
}

static const char *injected_subject(const struct connection *c, char buf[INJECTED_TEXT]) {
	char name[TLS_SUBJECT_MAX];
	return tls_session_client_subject(&c->client, name) > 0 ? escape_name(name, buf) : NULL;
}

static const char *injected_issuer(const struct connection *c, char buf[INJECTED_TEXT]) {
	char name[TLS_SUBJECT_MAX];
	return tls_session_client_issuer(&c->client, name) > 0 ? escape_name(name, buf) : NULL;
}

static const char *injected_client_address(const struct connection *c, char buf[INJECTED_TEXT]) {
	address_format_host(&c->address.any, buf);
	return buf;
}

static const struct injected_header {
	const char *name;
	const char *(*value)(const struct connection *c, char buf[INJECTED_TEXT]);
} injected_headers[] = {
	{INJECTED_PREFIX "User", injected_user},
	{INJECTED_PREFIX "Client-Subject", injected_subject},
	{INJECTED_PREFIX "Client-Issuer", injected_issuer},
	{INJECTED_PREFIX "Client-Address", injected_client_address},
};
#define INJECTED_HEADERS (sizeof(injected_headers) / sizeof(injected_headers[0]))

/*
 * Does a client claim to be us? With Websocksy_User, too: who makes variables of fields, as CGI
 * does (RFC 3875, 4.1.18), cannot tell the one from the other.
 */
static bool is_forged(struct slice name) {
	size_t word = strlen(INJECTED_WORD);
	struct slice start = {.at = name.at, .len = word};
	return name.len > word && text_is_nocase(start, INJECTED_WORD) &&
		(name.at[word] == '-' || name.at[word] == '_');
}

/* Their values for one request. */
struct injected_values {
	const char *value[INJECTED_HEADERS];
	char buf[INJECTED_HEADERS][INJECTED_TEXT];
};

static void find_injected_values(const struct connection *c, struct injected_values *out) {
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		out->value[i] = injected_headers[i].value(c, out->buf[i]);
	}
}

/* A password that has been verified here is not passed on. */
static bool is_passed_on(const struct connection *c, const struct request_header *header) {
	bool is_secret = c->handshake->granted && text_is_nocase(header->name, "Authorization");
	return !is_secret && !is_forged(header->name);
}

/* ---- the question to the backend ---- */

static char *copy_slice(char **at, struct slice slice) {
	char *start = *at;
	if(slice.len > 0) {
		memcpy(start, slice.at, slice.len);
	}
	start[slice.len] = '\0';
	*at += slice.len + 1;
	return start;
}

/* The path of an absolute form may be empty (RFC 9110, 4.2.3). */
static char *copy_target(char **at, const struct request *request) {
	char *target = *at;
	copy_slice(at, request_path(request));
	(*at)--; /* the query follows in place of the NUL */
	copy_slice(at, request_query(request));
	return target;
}

static size_t copies_size(const struct query *q, const struct injected_values *injected) {
	const struct request *request = q->head;
	size_t size = (request->headers + INJECTED_HEADERS) * sizeof(ws_http_header) +
		q->c->handshake->protocols * sizeof(char *);
	size += request->target.len + 2;
	for(size_t i = 0; i < request->headers; i++) {
		/* Subprotocols and the key are copied a second time; a cookie may get spaces. */
		size += request->header[i].name.len + 2 * request->header[i].value.len + 4;
	}
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		const char *value = injected->value[i];
		size += value ? strlen(injected_headers[i].name) + strlen(value) + 2 : 0;
	}
	return size;
}

static void copy_protocols(struct query *q, char **at) {
	const struct request_header *header;
	size_t count = 0;
	const char *field = handshake_protocol_field(q->c->handshake);
	for(size_t i = 0; (header = request_find_header(q->head, field, i)); i++) {
		struct slice list = header->value;
		struct slice name;
		while(request_next_element(&list, &name)) {
			q->request.protocol[count++] = copy_slice(at, name);
		}
	}
	assert(count == q->c->handshake->protocols);
}

static char *copy_text(char **at, const char *text) {
	return copy_slice(at, (struct slice){.at = text, .len = strlen(text)});
}

/* A login cookie is as good as a password for its lifetime. */
static char *copy_value(
	const struct connection *c, const struct request_header *header, char **at) {
	char name[LOGIN_COOKIE_NAME];
	if(c->env->settings->auth_cookie_ms == 0 || !text_is_nocase(header->name, "Cookie")) {
		return copy_slice(at, header->value);
	}
	char *start = *at;
	login_cookie_name(c->env->settings->port, name);
	size_t len = login_cookie_strip(header->value, name, start);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

static void copy_headers(struct query *q, const struct injected_values *injected, char **at) {
	ws_http_header *next = q->request.header;
	for(size_t i = 0; i < q->head->headers; i++) {
		const struct request_header *header = &q->head->header[i];
		if(is_passed_on(q->c, header)) {
			next->tag = copy_slice(at, header->name);
			next++->value = copy_value(q->c, header, at);
		}
	}
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		if(injected->value[i]) {
			next->tag = copy_text(at, injected_headers[i].name);
			next++->value = copy_text(at, injected->value[i]);
		}
	}
	q->request.headers = (size_t)(next - q->request.header);
}

/* A backend may change its arguments, so it gets copies. */
static int copy_request(struct query *q) {
	const struct request *request = q->head;
	struct injected_values injected;
	find_injected_values(q->c, &injected);
	q->memory = malloc(copies_size(q, &injected));
	if(!q->memory) {
		return -ENOMEM;
	}
	ws_http_header *headers = (ws_http_header *)(void *)q->memory;
	char **protocols = (char **)(void *)(headers + request->headers + INJECTED_HEADERS);
	char *at = (char *)(protocols + q->c->handshake->protocols);
	q->request = (struct backend_request){
		.fd = q->c->client.io.fd,
		.client = q->c->address,
		.protocols = q->c->handshake->protocols,
		.protocol = protocols,
		.header = headers,
	};
	q->request.endpoint = copy_target(&at, request);
	q->request.key = copy_slice(&at, header_value(request, "Sec-WebSocket-Key"));
	copy_headers(q, &injected, &at);
	copy_protocols(q, &at);
	return 0;
}

static bool take_framing(struct query *q, struct backend_answer *answer) {
	struct connection *c = q->c;
	const struct websocksy_framing *framing = answer->framing;
	char *config = answer->peer.framing_config;
	if(c->handshake->legacy && framing == framings_find(NULL)) {
		/* There are no binary messages, so that no character may be cut. */
		framing = framings_find("text");
	}
	const char *wrong = framing_check(framing, config);
	if(wrong) {
		connection_log_limited(c, LOG_KIND_PEER, LOG_ERROR,
			"framing-config \"%s\" of framing function %s: %s", config ? config : "",
			framing->name, wrong);
		return refused(q, 500, "the framing of this peer is configured wrongly", NULL);
	}
	answer->peer.framing_config = NULL;
	c->backend = backend_ref(c->env->backend);
	return framing_open(&c->to_client.framing, framing, framings_core(framing), config) == 0 ||
		refused(q, 503, "out of memory", NULL);
}

/* A program is started only if the configuration allows it, whatever a backend returns. */
static bool take_program(struct query *q) {
	struct connection *c = q->c;
	struct handshake *h = c->handshake;
	struct client_view view;
	if(!c->env->settings->exec) {
		connection_log_limited(c, LOG_KIND_PEER, LOG_ERROR,
			"peer address \"%s\": programs are started only with exec = yes",
			c->peer_name);
		return refused(q, 502, "the peer is not available", NULL);
	}
	client_address_view(c, q->head, &view);
	struct cgi_request cgi = {
		.request = q->head,
		.view = &view,
		.client = &c->address,
		.user = h->granted ? h->user : NULL,
		.software = "websocksy/" WEBSOCKSY_VERSION,
		.terminal = c->env->settings->pty ? QUERY_TERMINAL : NULL,
	};
	h->environment = cgi_environment(&cgi, environ);
	return h->environment || refused(q, 503, "out of memory", NULL);
}

static bool take_peer(struct query *q, const ws_peer_info *peer) {
	struct connection *c = q->c;
	struct handshake *h = c->handshake;
	const char *why = NULL;
	char text[QUERY_PEER_TEXT];
	int result = peer_parse(peer->transport, peer->host, peer->port, &h->address, &why);
	if(result == -ENOMEM) {
		return refused(q, 503, "out of memory", NULL);
	}
	if(result) {
		connection_log_limited(
			c, LOG_KIND_PEER, LOG_ERROR, "peer address \"%s\": %s", peer->host, why);
		return refused(q, 502, "the address of the peer is wrong", NULL);
	}
	if(h->address.guessed) {
		connection_log_limited(c, LOG_KIND_PEER, LOG_NOTICE,
			"peer address \"%s\" names no transport, tcp:// is assumed", peer->host);
	}
	peer_address_format(&h->address, text, sizeof(text));
	c->loopback = h->address.kind->loopback;
	if(connection_name_peer(c, text)) {
		return refused(q, 503, "out of memory", NULL);
	}
	return !h->address.kind->program || take_program(q);
}

static bool take_answer(struct query *q, struct backend_answer *answer) {
	struct handshake *h = q->c->handshake;
	ws_peer_info *peer = &answer->peer;
	if(!peer->host) {
		/* The message lives in the answer, which outlives the response. */
		return refused(q, answer->status, answer->message, NULL);
	}
	if(peer->protocol < q->c->handshake->protocols) {
		/* Taken from the request, not from the copy that the backend may have changed. */
		const struct request_header *header;
		const char *field = handshake_protocol_field(h);
		size_t skip = peer->protocol;
		for(size_t i = 0; (header = request_find_header(q->head, field, i)); i++) {
			struct slice list = header->value;
			struct slice name;
			while(request_next_element(&list, &name)) {
				if(skip-- == 0) {
					h->protocol = strndup(name.at, name.len);
				}
			}
		}
		if(!h->protocol) {
			return refused(q, 503, "out of memory", NULL);
		}
	}
	return take_framing(q, answer) && take_peer(q, peer);
}

/* Asks the backend. False: q->response says why not. */
static bool ask_backend(struct query *q, struct backend_answer *answer) {
	if(copy_request(q) || backend_query(q->c->env->backend, &q->request, answer)) {
		return refused(q, 503, "out of memory", NULL);
	}
	return take_answer(q, answer);
}

void query_start(struct connection *c, const struct request *request) {
	struct query q = {.c = c, .head = request};
	struct backend_answer answer = {0};
	if(c->handshake->granted) {
		connection_log_limited(c, LOG_KIND_PEER, LOG_INFO, "user \"%s\" authenticated",
			c->handshake->user);
	}
	c->handshake->asked_ms = c->env->loop->now_ms;
	connection_enter(c, CONNECTION_QUERY);
	if(ask_backend(&q, &answer)) {
		upstream_connect(c);
	} else {
		respond_error(c, &q.response);
	}
	backend_answer_free(&answer);
	free(q.memory);
}
