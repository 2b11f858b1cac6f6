/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The access log.
 *
 * Must not know: frames, how a connection is closed.
 * Invariants: nothing is kept for a connection by itself: connections with equal descriptions share
 * one; a line is about an upgraded connection, and each of those has one line at its end.
 */
#include "bridge/access.h"

#include "bridge/closing.h"
#include "bridge/handshake_state.h"
#include "bridge/summary.h"
#include "network/listeners.h"
#include "network/tls_session.h"

#include <assert.h>
#include <string.h>

#define ACCESS_TEXT_MAX 256 /* of one text; longer ones are cut */
#define ACCESS_FIELDS_MAX 20
#define ACCESS_CONNECT_MAX ((1u << 23) - 1) /* what c->connect_ms can hold */

/* What is kept: texts behind each other with their NULs; the first is c->peer_name. */
enum description {
	ACCESS_PEER,
	ACCESS_LISTENER,
	ACCESS_TLS,
	ACCESS_SNI,
	ACCESS_USER,
	ACCESS_PATH,
	ACCESS_SUBPROTOCOL,
	ACCESS_TEXTS
};

static const char *const description_names[] = {
	[ACCESS_PEER] = "peer",
	[ACCESS_LISTENER] = "listener",
	[ACCESS_TLS] = "tls",
	[ACCESS_SNI] = "sni",
	[ACCESS_USER] = "user",
	[ACCESS_PATH] = "path",
	[ACCESS_SUBPROTOCOL] = "subprotocol",
};
static_assert(sizeof(description_names) / sizeof(description_names[0]) == ACCESS_TEXTS,
	"one name for each text");

static const char *const side_names[] = {
	[CLOSING_BY_CLIENT] = "client",
	[CLOSING_BY_PEER] = "peer",
	[CLOSING_BY_SERVER] = "server",
};
static_assert(sizeof(side_names) / sizeof(side_names[0]) == CLOSING_SIDES, "one for each side");

/* ---- descriptions ---- */

/* Adds a text, NULL: an empty one, which makes no field. Returns the new length. */
static size_t add_text(char *out, size_t len, const char *text) {
	size_t size = text ? strnlen(text, ACCESS_TEXT_MAX) : 0;
	if(size > 0) {
		memcpy(out + len, text, size);
	}
	out[len + size] = '\0';
	return len + size + 1;
}

/* It is shared with other connections, so that it takes no memory if many are alike. */
__attribute__((noinline)) static void describe(struct connection *c) {
	const struct handshake *h = c->handshake;
	char sni[TLS_NAME_MAX];
	char path[ACCESS_TEXT_MAX];
	char text[ACCESS_TEXTS * (ACCESS_TEXT_MAX + 1)];
	bool named = tls_session_server_name(&c->client, sni) > 0;
	size_t len = add_text(text, 0, c->peer_name);
	const struct listeners *listeners = c->env->listeners;
	len = add_text(text, len, listeners ? listeners_name(listeners, h->listener) : NULL);
	len = add_text(text, len, tls_session_version(&c->client));
	len = add_text(text, len, named ? sni : NULL);
	len = add_text(text, len, h->granted ? h->user : NULL);
	summary_path(c, path, sizeof(path));
	len = add_text(text, len, path);
	len = add_text(text, len, h->protocol);
	const char *description = names_take(&c->env->names, text, len - 1);
	if(description) { /* otherwise the lines have the peer alone */
		names_drop(c->peer_name);
		c->peer_name = description;
	}
}

/* ---- lines ---- */

struct fields {
	size_t count;
	struct log_field field[ACCESS_FIELDS_MAX];
};

static void add(struct fields *fields, const char *name, const char *text, uint64_t number) {
	assert(fields->count < ACCESS_FIELDS_MAX);
	fields->field[fields->count++] = (struct log_field){name, text, number};
}

static void add_description(struct fields *fields, const struct connection *c) {
	const char *at = c->peer_name;
	assert(at);
	const char *end = at + names_len(at);
	for(size_t i = 0; i < ACCESS_TEXTS && at <= end; i++) {
		if(at[0] != '\0') {
			add(fields, description_names[i], at, 0);
		}
		at += strlen(at) + 1;
	}
}

static void add_counters(struct fields *fields, const struct connection *c) {
	uint64_t open_ms = c->env->loop->now_ms - c->since_ms;
	add(fields, "ms_total", NULL, c->connect_ms + open_ms);
	add(fields, "bytes_in", NULL, c->to_peer.bytes);
	add(fields, "bytes_out", NULL, c->to_client.bytes);
	add(fields, "messages_in", NULL, c->to_peer.parser.messages);
	add(fields, "messages_out", NULL, c->to_client.messages);
}

static void add_end(struct fields *fields, const struct closing_note *end) {
	if(!end) {
		add(fields, "side", side_names[CLOSING_BY_SERVER], 0);
		add(fields, "code", NULL, WEBSOCKET_CODE_ABNORMAL);
		add(fields, "reason", "dropped", 0);
		return;
	}
	add(fields, "side", side_names[end->side], 0);
	add(fields, "code", NULL, end->code ? end->code : WEBSOCKET_CODE_NO_STATUS);
	add(fields, "reason", end->why, 0);
}

static void write_line(const struct connection *c, const char *event, const struct fields *fields) {
	char client[ADDRESS_TEXT];
	const struct log_subject subject = {.id = c->id, .client = client};
	address_format(&c->address.any, sizeof(sa_family_t), client, sizeof(client));
	log_event(LOG_INFO, &subject, event, fields->field, fields->count);
}

__attribute__((noinline)) static void write_opened(const struct connection *c) {
	struct fields fields = {0};
	add_description(&fields, c);
	add(&fields, "ms_connect", NULL, c->connect_ms);
	write_line(c, "opened", &fields);
}

__attribute__((noinline)) static void write_closed(const struct connection *c) {
	struct fields fields = {0};
	add_description(&fields, c);
	add(&fields, "ms_connect", NULL, c->connect_ms);
	add_counters(&fields, c);
	add_end(&fields, c->noted ? c->note : NULL);
	write_line(c, "closed", &fields);
}

/* Apart from the lines, whose fields take room on the stack that would be cleared for nothing. */
static bool is_wanted(const struct connection *c) {
	return c->env->settings->access_log != SETTINGS_ACCESS_OFF && log_enabled(LOG_INFO);
}

void access_opened(struct connection *c) {
	uint64_t connect_ms = c->env->loop->now_ms - c->handshake->asked_ms;
	c->connect_ms = (connect_ms < ACCESS_CONNECT_MAX ? connect_ms : ACCESS_CONNECT_MAX) &
		ACCESS_CONNECT_MAX;
	if(is_wanted(c)) {
		describe(c);
		if(c->env->settings->access_log == SETTINGS_ACCESS_BOTH) {
			write_opened(c);
		}
	}
}

void access_closed(const struct connection *c) {
	if(is_wanted(c)) {
		write_closed(c);
	}
}
