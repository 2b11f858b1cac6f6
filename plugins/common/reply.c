/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Replies of servers that are asked for a peer.
 *
 * Must not know: how the server was asked.
 * Invariants: a host and a port become an address without parameters, whatever they contain; an
 * address is one that the core accepts.
 */
#include "plugins/common/reply.h"

#include "plugins/common/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REPLY_PORT_MAX 8 /* with its NUL */

/* Writes the port, a string or a number, as text. */
static bool reply_json_port(struct json_value value, char port[REPLY_PORT_MAX]) {
	int64_t number;
	if(value.kind == JSON_TEXT) {
		return json_string(value, port, REPLY_PORT_MAX);
	}
	if(!json_integer(value, &number) || number < 1 || number > UINT16_MAX) {
		return false;
	}
	snprintf(port, REPLY_PORT_MAX, "%" PRId64, number);
	return true;
}

static bool reply_json(const char *reply, size_t len, char peer[TARGET_MAX]) {
	struct json_value object = json_read(reply, len);
	struct json_value port_value = json_member(object, "port");
	char text[TARGET_MAX];
	char port[REPLY_PORT_MAX];
	if(json_string(json_member(object, "peer"), text, sizeof(text))) {
		return target_from_text(text, strlen(text), peer);
	}
	if(!json_string(json_member(object, "host"), text, sizeof(text))) {
		return false;
	}
	if(!port_value.kind) {
		return target_from_text(text, strlen(text), peer);
	}
	return reply_json_port(port_value, port) && target_from_parts(text, port, peer);
}

bool reply_to_peer(
	const struct websocksy_core *core, const char *reply, size_t len, char peer[TARGET_MAX]) {
	size_t at = 0;
	while(at < len && strchr(" \t\r\n", reply[at]) && reply[at]) {
		at++;
	}
	bool object = at < len && reply[at] == '{';
	bool found = object ? reply_json(reply, len, peer) : target_from_text(reply, len, peer);
	return found && !core->check_address(peer);
}
