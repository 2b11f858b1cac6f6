/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hands the messages of a connection to the recording and to the traffic characters.
 *
 * Must not know: how messages are recorded or shown.
 * Invariants: c->tapped is 0 unless the connection is recorded or shown.
 */
#include "bridge/tap.h"

#include "bridge/recording.h"
#include "bridge/traffic.h"

void tap_begin(struct connection *c) {
	recording_begin(c);
	traffic_begin(c);
}

void tap_from_client(struct connection *c, const void *data, size_t len, bool last) {
	if(c->tapped & TAP_RECORDED) {
		recording_from_client(c, data, len, last);
	}
	if(c->tapped & TAP_SHOWN) {
		traffic_from_client(c, len, last);
	}
}

void tap_to_client(
	struct connection *c, enum websocket_opcode opcode, const void *data, size_t len) {
	if(c->tapped & TAP_RECORDED) {
		recording_to_client(c, opcode, data, len);
	}
	if(c->tapped & TAP_SHOWN) {
		traffic_to_client(c);
	}
}

void tap_end(struct connection *c) {
	if(c->tapped & TAP_RECORDED) {
		recording_end(c);
	}
}
