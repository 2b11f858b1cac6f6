/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The opening handshake of the versions before HyBi.
 *
 * Must not know: frames, backends, peers.
 * Invariants: a request that has a field of a later version is never taken for one of these;
 * nothing of this happens without `legacy = hixie`.
 * Implements draft-hixie-thewebsocketprotocol-76, sections 4.1 and 5, and -75, sections 3.1 and 4.
 */
#include "bridge/hixie.h"

#include "bridge/client_address.h"
#include "bridge/handshake_state.h"

#include <stdlib.h>
#include <string.h>

static enum legacy_version version_of(const struct request *request) {
	size_t first = request_count_headers(request, "Sec-WebSocket-Key1");
	size_t second = request_count_headers(request, "Sec-WebSocket-Key2");
	if(!request_has_token(request, "Upgrade", "websocket") ||
		request_count_headers(request, "Sec-WebSocket-Version") > 0 ||
		request_count_headers(request, "Sec-WebSocket-Key") > 0) {
		return LEGACY_NONE;
	}
	if(first == 1 && second == 1) {
		return LEGACY_HIXIE_76;
	}
	return first == 0 && second == 0 ? LEGACY_HIXIE_75 : LEGACY_NONE;
}

bool hixie_begin(struct connection *c, const struct request *request, struct slice rest) {
	struct handshake *h = c->handshake;
	bool enabled = c->env->settings->legacy & SETTINGS_LEGACY_HIXIE;
	h->legacy = (uint8_t)(enabled ? version_of(request) : LEGACY_NONE);
	size_t body = hixie_body_len(h);
	if(rest.len < body) {
		return false;
	}
	if(body > 0) {
		memcpy(h->legacy_answer, rest.at, body);
	}
	return true;
}

size_t hixie_body_len(const struct handshake *h) {
	return h->legacy == LEGACY_HIXIE_76 ? LEGACY_KEY_LEN : 0;
}

/* The bytes behind the request are where the answer will be. */
static bool check_keys(struct handshake *h, const struct request *request) {
	uint8_t third[LEGACY_KEY_LEN];
	memcpy(third, h->legacy_answer, sizeof(third));
	const struct legacy_keys keys = {.first = header_value(request, "Sec-WebSocket-Key1"),
		.second = header_value(request, "Sec-WebSocket-Key2"),
		.third = third};
	return h->legacy != LEGACY_HIXIE_76 || legacy_answer(&keys, h->legacy_answer) == 0;
}

static char *put(char *out, struct slice slice) {
	return slice.len > 0 ? (char *)mempcpy(out, slice.at, slice.len) : out;
}

/* In version 75 the names of the fields have no prefix. */
static const char *prefix_of(const struct handshake *h) {
	return h->legacy == LEGACY_HIXIE_76 ? "Sec-" : "";
}

/* The fields with the origin and the location, as the request has them. False: no memory. */
static bool keep_fields(struct connection *c, const struct request *request) {
	struct handshake *h = c->handshake;
	struct slice origin = header_value(request, "Origin");
	struct slice host = header_value(request, "Host");
	struct client_view view;
	client_address_view(c, request, &view);
	free(h->legacy_fields);
	h->legacy_fields = malloc(origin.len + host.len + request->target.len + 80);
	if(!h->legacy_fields) {
		return false;
	}
	char *end = stpcpy(stpcpy(h->legacy_fields, prefix_of(h)), "WebSocket-Origin: ");
	end = stpcpy(put(end, origin), "\r\n");
	end = stpcpy(stpcpy(end, prefix_of(h)), "WebSocket-Location: ");
	end = stpcpy(end, view.https ? "wss://" : "ws://");
	(void)stpcpy(put(put(end, host), request->target), "\r\n");
	return true;
}

bool hixie_check(
	struct connection *c, const struct request *request, struct error_response *response) {
	if(request_count_headers(request, "Origin") != 1) {
		return error_response_set(
			response, 400, "this version of WebSocket needs one Origin header", NULL);
	}
	if(!check_keys(c->handshake, request)) {
		return error_response_set(response, 400,
			"Sec-WebSocket-Key1 or Sec-WebSocket-Key2 is not valid", NULL);
	}
	return keep_fields(c, request) || error_response_set(response, 503, "out of memory", NULL);
}

char *hixie_write_head(const struct handshake *h, char *out) {
	out = stpcpy(out,
		"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\n"
		"Connection: Upgrade\r\n");
	out = stpcpy(out, h->legacy_fields);
	if(h->protocol) {
		out = stpcpy(stpcpy(out, prefix_of(h)), "WebSocket-Protocol: ");
		out = stpcpy(stpcpy(out, h->protocol), "\r\n");
	}
	return out;
}

char *hixie_write_answer(const struct handshake *h, char *out) {
	return h->legacy == LEGACY_HIXIE_76
		? (char *)mempcpy(out, h->legacy_answer, LEGACY_ANSWER_LEN)
		: out;
}
