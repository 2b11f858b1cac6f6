/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The opening handshake of RFC 6455.
 *
 * Must not know: backends, peers.
 * Invariants: 101 is sent only when the peer is connected, so every failure before is an HTTP response.
 * Implements RFC 6455 section 4.2, and RFC 6454 (through origin.c).
 */
#include "bridge/upgrade.h"

#include "bridge/handshake.h"
#include "bridge/handshake_state.h"
#include "http/origin.h"

#include <assert.h>
#include <string.h>

bool upgrade_refuse(struct upgrade *u, unsigned status, const char *message, const char *extra) {
	u->response = (struct error_response){.status = status, .message = message, .extra = extra};
	return false;
}

static bool check_request_line(struct upgrade *u) {
	if(!http_method_is(u->request, "GET")) {
		return upgrade_refuse(
			u, 405, "a WebSocket upgrade is a GET request", "Allow: GET, HEAD\r\n");
	}
	if(u->request->minor < 1) {
		return upgrade_refuse(u, 400, "a WebSocket upgrade needs HTTP/1.1", NULL);
	}
	if(!http_has_token(u->request, "Connection", "upgrade")) {
		return upgrade_refuse(u, 400, "the Connection header does not name upgrade", NULL);
	}
	return true;
}

static bool check_version(struct upgrade *u) {
	size_t count = http_count_header(u->request, "Sec-WebSocket-Version");
	if(count > 1) {
		return upgrade_refuse(u, 400, "more than one Sec-WebSocket-Version header", NULL);
	}
	if(count == 0 ||
		!http_slice_is(http_header_value(u->request, "Sec-WebSocket-Version"), "13")) {
		return upgrade_refuse(
			u, 426, "this server speaks WebSocket version 13", HTTP_UPGRADE_FIELDS);
	}
	return true;
}

static bool check_key(struct upgrade *u) {
	struct http_slice key = http_header_value(u->request, "Sec-WebSocket-Key");
	if(http_count_header(u->request, "Sec-WebSocket-Key") != 1) {
		return upgrade_refuse(u, 400, "there must be one Sec-WebSocket-Key header", NULL);
	}
	if(!websocket_key_valid(key.at, key.len)) {
		return upgrade_refuse(
			u, 400, "the Sec-WebSocket-Key is not the base64 form of 16 bytes", NULL);
	}
	websocket_accept_key(key.at, key.len, u->c->handshake->accept);
	return true;
}

bool upgrade_check_protocols(struct upgrade *u) {
	const struct http_header *header;
	for(size_t i = 0; (header = http_find_header(u->request, "Sec-WebSocket-Protocol", i));
		i++) {
		struct http_slice list = header->value;
		struct http_slice name;
		while(http_next_element(&list, &name)) {
			if(!http_is_token(name)) {
				return upgrade_refuse(
					u, 400, "a subprotocol name is no token", NULL);
			}
			u->protocols++;
		}
	}
	return true;
}

static bool check_origin(struct upgrade *u) {
	const struct settings *settings = u->c->env->settings;
	struct http_slice host = http_header_value(u->request, "Host");
	struct http_slice value = http_header_value(u->request, "Origin");
	if(settings->origins == 0) {
		return true;
	}
	if(http_count_header(u->request, "Origin") == 1) {
		for(size_t i = 0; i < settings->origins; i++) {
			if(origin_matches(
				   &settings->origin[i], value.at, value.len, host.at, host.len)) {
				return true;
			}
		}
	}
	return upgrade_refuse(u, 403, "this Origin is not allowed", NULL);
}

bool upgrade_check_admission(struct upgrade *u) {
	if(u->c->env->draining) {
		return upgrade_refuse(u, 503, "the server is shutting down", "Retry-After: 5\r\n");
	}
	if(u->c->over_limit) {
		return upgrade_refuse(u, 503, "too many connections", "Retry-After: 5\r\n");
	}
	return true;
}

typedef bool upgrade_check(struct upgrade *u);
static upgrade_check *const upgrade_checks[] = {
	check_request_line,
	check_version,
	check_key,
	upgrade_check_protocols,
	check_origin,
	upgrade_check_admission,
};

bool upgrade_check_rules(struct upgrade *u) {
	size_t count = sizeof(upgrade_checks) / sizeof(upgrade_checks[0]);
	bool fine = true;
	for(size_t i = 0; fine && i < count; i++) {
		fine = upgrade_checks[i](u);
	}
	return fine;
}

/* Sends the 101 and hands the connection on. RFC 6455, section 4.2.2. */
void upgrade_accept(struct connection *c) {
	struct handshake *h = c->handshake;
	char head[512 + HANDSHAKE_HEAD_MAX];
	char *end = stpcpy(head,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: ");
	end = stpcpy(end, h->accept);
	if(h->protocol) {
		/* It is from the request, whose head has no more than HANDSHAKE_HEAD_MAX bytes. */
		end = stpcpy(end, "\r\nSec-WebSocket-Protocol: ");
		end = stpcpy(end, h->protocol);
	}
	end = stpcpy(end, "\r\n\r\n");
	assert((size_t)(end - head) < sizeof(head));
	connection_log(c, LOG_DEBUG, "connected to %s, subprotocol %s", c->peer_name,
		h->protocol ? h->protocol : "none");
	/* A client that is gone meanwhile is met by the first read. */
	stream_write(&c->client, head, (size_t)(end - head));
	c->handshake = NULL;
	c->env->opened(c, h->input.data, h->input.len);
	handshake_free(h);
}
