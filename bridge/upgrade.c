/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The opening handshake of RFC 6455.
 *
 * Must not know: backends, peers.
 * Invariants: 101 is sent only when the peer is connected, so every failure before is an HTTP
 * response.
 * Implements RFC 6455 sections 4.2 and 9.1, and RFC 6454 (through origin.c).
 */
#include "bridge/upgrade.h"

#include "bridge/access.h"
#include "bridge/client_address.h"
#include "bridge/handshake.h"
#include "bridge/handshake_state.h"
#include "bridge/hixie.h"
#include "bridge/relay.h"
#include "bridge/response_fields.h"
#include "bridge/session_terms.h"
#include "bridge/summary.h"
#include "bridge/tap.h"
#include "http/extensions.h"
#include "http/origin.h"
#include "http/response.h"
#include "network/tls_credentials.h"
#include "websocket/key.h"

#include <assert.h>
#include <string.h>

/* RFC 6455, 4.4: for a client with another version. */
#define UPGRADE_FIELDS_HYBI                                                                        \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13, 8, 7\r\n"

/* Backends compare each of them with each of theirs. */
#define UPGRADE_PROTOCOLS_MAX 64

struct upgrade {
	struct connection *c;
	const struct request *request;
	struct error_response *response;
};

static bool refused(struct upgrade *u, unsigned status, const char *message, const char *extra) {
	return error_response_set(u->response, status, message, extra);
}

static bool check_request_line(struct upgrade *u) {
	if(!request_method_is(u->request, "GET")) {
		return refused(
			u, 405, "a WebSocket upgrade is a GET request", "Allow: GET, HEAD\r\n");
	}
	if(u->request->minor < 1) {
		return refused(u, 400, "a WebSocket upgrade needs HTTP/1.1", NULL);
	}
	if(!request_has_token(u->request, "Connection", "upgrade")) {
		return refused(u, 400, "the Connection header does not name upgrade", NULL);
	}
	return true;
}

/* The versions of HyBi that have the frames of RFC 6455, if they are to be accepted. */
static bool is_hybi(const struct upgrade *u) {
	struct slice version = header_value(u->request, "Sec-WebSocket-Version");
	return (u->c->env->settings->legacy & SETTINGS_LEGACY_HYBI) &&
		(text_is(version, "7") || text_is(version, "8"));
}

static bool check_version(struct upgrade *u) {
	size_t count = request_count_headers(u->request, "Sec-WebSocket-Version");
	if(u->c->handshake->legacy) {
		return true; /* it has no such field */
	}
	if(count > 1) {
		return refused(u, 400, "more than one Sec-WebSocket-Version header", NULL);
	}
	struct slice version = header_value(u->request, "Sec-WebSocket-Version");
	if(count == 0 || (!text_is_nocase(version, "13") && !is_hybi(u))) {
		bool hybi = u->c->env->settings->legacy & SETTINGS_LEGACY_HYBI;
		return refused(u, 426, "this server speaks WebSocket version 13",
			hybi ? UPGRADE_FIELDS_HYBI : RESPONSE_UPGRADE_FIELDS);
	}
	return true;
}

static bool check_key(struct upgrade *u) {
	struct slice key = header_value(u->request, "Sec-WebSocket-Key");
	if(u->c->handshake->legacy) {
		return hixie_check(u->c, u->request, u->response);
	}
	if(request_count_headers(u->request, "Sec-WebSocket-Key") != 1) {
		return refused(u, 400, "there must be one Sec-WebSocket-Key header", NULL);
	}
	if(!websocket_key_valid(key.at, key.len)) {
		return refused(
			u, 400, "the Sec-WebSocket-Key is not the base64 form of 16 bytes", NULL);
	}
	websocket_key_accept(key.at, key.len, u->c->handshake->accept);
	return true;
}

/* All extensions are declined, but their list has to be well formed (RFC 6455, 9.1). */
static bool check_extensions(struct upgrade *u) {
	return extensions_are_valid(u->request) ||
		refused(u, 400, "the Sec-WebSocket-Extensions header is malformed", NULL);
}

/*
 * A field without any name is not an offer, although the grammar asks for one (RFC 6455, 4.3): some
 * clients send it if they have nothing to offer.
 */
static bool check_protocols(struct upgrade *u) {
	const struct request_header *header;
	const char *field = handshake_protocol_field(u->c->handshake);
	u->c->handshake->protocols = 0;
	for(size_t i = 0; (header = request_find_header(u->request, field, i)); i++) {
		struct slice list = header->value;
		struct slice name;
		while(request_next_element(&list, &name)) {
			if(!text_is_token(name)) {
				return refused(u, 400, "a subprotocol name is not a token", NULL);
			}
			if(++u->c->handshake->protocols > UPGRADE_PROTOCOLS_MAX) {
				return refused(u, 400, "too many subprotocols are offered", NULL);
			}
		}
	}
	return true;
}

/*
 * Without `origin`: may the pages of any site connect? Not if browsers prove by themselves who
 * their users are.
 */
static bool allows_any(const struct settings *settings) {
	bool ambient = settings->auth_file || settings->client_verify != TLS_VERIFY_OFF;
	return settings->origins == 0 && (settings->any_origin || !ambient);
}

/* Other clients than browsers send no Origin; without `origin` they are accepted. */
static bool matches_default(const struct origin_self *self, struct slice value, size_t count) {
	static const struct origin same = {.kind = ORIGIN_SAME};
	return count == 0 || (count == 1 && origin_matches(&same, value, self));
}

static bool matches_one(
	const struct settings *settings, const struct origin_self *self, struct slice value) {
	for(size_t i = 0; i < settings->origins; i++) {
		if(origin_matches(&settings->origin[i], value, self)) {
			return true;
		}
	}
	return false;
}

/* Up to draft 10 of HyBi, Origin has another name. */
static const char *origin_field(const struct upgrade *u) {
	static const char *const old = "Sec-WebSocket-Origin";
	return is_hybi(u) && request_count_headers(u->request, old) > 0 ? old : "Origin";
}

static bool check_origin(struct upgrade *u) {
	const struct settings *settings = u->c->env->settings;
	struct client_view view;
	if(allows_any(settings)) {
		return true;
	}
	const char *field = origin_field(u);
	struct slice value = header_value(u->request, field);
	size_t count = request_count_headers(u->request, field);
	client_address_view(u->c, u->request, &view);
	struct origin_self self = {.host = view.host, .port = view.port, .https = view.https};
	bool allowed = settings->origins == 0 ? matches_default(&self, value, count)
					      : count == 1 && matches_one(settings, &self, value);
	if(allowed) {
		return true;
	}
	summary_add_origin(u->c, value);
	return refused(u, 403, "this Origin is not allowed", NULL);
}

bool upgrade_check_plain(const struct request *request, struct error_response *response) {
	return request_count_headers(request, "Sec-WebSocket-Key") == 0 ||
		error_response_set(response, 426,
			"this WebSocket request has no Upgrade header, a proxy has dropped it",
			RESPONSE_UPGRADE_FIELDS);
}

typedef bool upgrade_rule(struct upgrade *u);
static upgrade_rule *const rules[] = {
	check_request_line,
	check_version,
	check_key,
	check_extensions,
	check_protocols,
	check_origin,
};

bool upgrade_check(
	struct connection *c, const struct request *request, struct error_response *response) {
	struct upgrade u = {.c = c, .request = request, .response = response};
	bool fine = true;
	for(size_t i = 0; fine && i < sizeof(rules) / sizeof(rules[0]); i++) {
		fine = rules[i](&u);
	}
	return fine;
}

/* RFC 6455, section 4.2.2. Returns the end, where further fields may follow. */
static char *write_head(const struct handshake *h, char *out) {
	out = stpcpy(out,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: ");
	out = stpcpy(out, h->accept);
	if(h->protocol) {
		out = stpcpy(out, "\r\nSec-WebSocket-Protocol: ");
		out = stpcpy(out, h->protocol);
	}
	return stpcpy(out, "\r\n");
}

/* What the backend has said about the connection besides its peer. False: it has been refused. */
static bool accept_terms(struct connection *c) {
	enum session_terms_result result = session_terms_enter(c);
	if(result == SESSION_TERMS_FINE) {
		return true;
	}
	stream_close(&c->peer);
	if(result == SESSION_TERMS_OVER) {
		respond_status(c, 403, "the session has expired");
	} else {
		respond_busy(c,
			result == SESSION_TERMS_FULL
				? "too many connections of this session (max-per-key)"
				: "out of memory");
	}
	return false;
}

/* Sends the 101 and hands the connection on. */
void upgrade_accept(struct connection *c) {
	struct handshake *h = c->handshake;
	if(lifetime_is_taken(&c->env->lifetime)) { /* while this one was connected */
		stream_close(&c->peer);
		respond_busy(c, RESPOND_TAKEN);
		return;
	}
	if(!accept_terms(c)) {
		return;
	}
	/* What it has of the request is a part of its head, which is no longer than this. */
	char head[512 + RESPONSE_FIELDS_MAX + HANDSHAKE_HEAD_MAX];
	char *end = h->legacy ? hixie_write_head(h, head) : write_head(h, head);
	end += response_fields_write(c, end);
	end = stpcpy(end, "\r\n");
	end = hixie_write_answer(h, end);
	c->legacy = h->legacy & 3u;
	assert((size_t)(end - head) < sizeof(head));
	connection_log(c, LOG_DEBUG, "connected to %s, %s, subprotocol %s", c->peer_name,
		h->summary ? h->summary : "", h->protocol ? h->protocol : "none");
	access_opened(c);
	tap_begin(c);
	/* A client that is gone meanwhile is met by the first read. */
	stream_write(&c->client, head, (size_t)(end - head));
	struct dynbuf early = h->input;
	h->input = (struct dynbuf){0}; /* the handshake ends with its phases */
	relay_open(c, early.data, early.len);
	memory_free(c->env, &early);
}
