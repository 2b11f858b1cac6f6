/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Recording of connections.
 *
 * Must not know: files, formats.
 * Invariants: TAP_RECORDED is set exactly while there is a recording with the number of the connection.
 */
#include "bridge/recording.h"

#include "bridge/handshake_state.h"
#include "bridge/summary.h"
#include "service/record.h"

#include <stdio.h>
#include <sys/socket.h>

void recording_failed(void *ctx, const struct record_about *about, int error) {
	struct connection_env *env = ctx;
	char client[ADDRESS_TEXT];
	char text[256];
	const struct log_subject subject = {.id = about->id, .client = client};
	if(log_limit_client(&env->log_limits, LOG_KIND_SESSION, LOG_WARNING, &about->client,
		   env->loop->now_ms)) {
		address_format(&about->client.any, sizeof(sa_family_t), client, sizeof(client));
		snprintf(text, sizeof(text), "the recording has ended: %s (record)",
			recorder_error(error));
		log_event(LOG_WARNING, &subject, text, NULL, 0);
	}
}

static void ended(struct connection *c, int error) {
	const struct record_about about = {.id = c->id, .client = c->address};
	c->tapped &= TAP_SHOWN;
	if(error < 0) { /* otherwise it is reported by the recorder */
		recording_failed(c->env, &about, error);
	}
}

static union address own_address(const struct connection *c) {
	struct socket_address own = {.len = sizeof(own.un)};
	union address address = c->handshake->destination;
	if(address.any.sa_family == AF_UNSPEC &&
		getsockname(c->client.io.fd, &own.any, &own.len) == 0) {
		address = address_of(&own.any);
	}
	return address;
}

void recording_begin(struct connection *c) {
	const struct settings *settings = c->env->settings;
	const struct handshake *h = c->handshake;
	struct record_about about = {.id = c->id, .client = c->address};
	if(!settings->record) {
		return;
	}
	about.server = own_address(c);
	summary_path(c, about.path, sizeof(about.path));
	snprintf(about.protocol, sizeof(about.protocol), "%.*s", (int)sizeof(about.protocol) - 1,
		h->protocol ? h->protocol : "");
	int result = recorder_begin(c->env->recorder, settings->record,
		(enum record_format)settings->record_format, &about);
	if(result) {
		ended(c, result);
	} else {
		c->tapped |= TAP_RECORDED;
	}
}

static void add(struct connection *c, const struct record_part *part) {
	int result = recorder_add(c->env->recorder, c->id, part);
	if(result) {
		ended(c, result);
	}
}

void recording_from_client(struct connection *c, const void *data, size_t len, bool last) {
	const struct record_part part = {true, last, c->to_peer.parser.message, data, len};
	if(len > 0 || last) {
		add(c, &part);
	}
}

void recording_end(struct connection *c) {
	c->tapped &= TAP_SHOWN;
	recorder_end(c->env->recorder, c->id);
}

void recording_to_client(
	struct connection *c, enum websocket_opcode opcode, const void *data, size_t len) {
	const struct record_part part = {false, true, (uint8_t)opcode, data, len};
	add(c, &part);
}
