/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend's answer, for the connection that it is about.
 *
 * Must not know: how a peer is connected, how the backend was asked.
 */
#include "bridge/query_answer.h"

#include "bridge/client_address.h"
#include "bridge/handshake_state.h"
#include "http/cgi.h"
#include "network/peer.h"
#include "network/peer_address.h"
#include "plugin/framings.h"
#include "plugin/terms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUERY_PEER_TEXT 512 /* a peer's address in the log */
#define QUERY_TERMINAL "xterm-256color" /* that most terminals in pages are compatible with */

struct query_answer {
	struct connection *c;
	const struct request *head;
	struct error_response *response; /* when it is refused */
};

static bool refused(
	struct query_answer *q, unsigned status, const char *message, const char *extra) {
	return error_response_set(q->response, status, message, extra);
}

static bool take_framing(struct query_answer *q, struct backend_answer *answer) {
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
	return framing_open(&c->to_client.framing, framing, framings_core(framing), config) == 0 ||
		refused(q, 503, "out of memory", NULL);
}

/* A program is started only if the configuration allows it, whatever a backend returns. */
static bool take_program(struct query_answer *q) {
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

static int name_peer(struct connection *c) {
	char text[QUERY_PEER_TEXT];
	peer_address_format(&c->handshake->address, text, sizeof(text));
	names_drop(c->peer_name);
	c->peer_name = NULL;
	return connection_name_peer(c, text);
}

static bool take_peer(struct query_answer *q, const ws_peer_info *peer) {
	struct connection *c = q->c;
	struct handshake *h = c->handshake;
	const char *why = NULL;
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
	c->loopback = h->address.kind->loopback;
	if(name_peer(c)) {
		return refused(q, 503, "out of memory", NULL);
	}
	return !h->address.kind->program || take_program(q);
}

/* Without the request there is no environment for a program: it cannot be a further peer. */
bool query_answer_next(struct connection *c) {
	struct handshake *h = c->handshake;
	const char *why;
	while(h->terms && h->peer < h->terms->others) {
		const char *text = h->terms->other[h->peer++];
		peer_address_free(&h->address);
		int result =
			peer_parse(peer_transport_detect, text, h->terms->port, &h->address, &why);
		if(result == 0 && !h->address.kind->program && name_peer(c) == 0) {
			c->loopback = h->address.kind->loopback;
			return true;
		}
	}
	return false;
}

static bool take_answer(struct query_answer *q, struct backend_answer *answer) {
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
	h->terms = answer->terms;
	answer->terms = NULL;
	return take_framing(q, answer) && take_peer(q, peer);
}

bool query_answer_take(struct connection *c, const struct request *request,
	struct backend_answer *answer, struct error_response *response) {
	struct query_answer q = {.c = c, .head = request, .response = response};
	return take_answer(&q, answer);
}
