/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The end of a connection whose data cannot be framed.
 *
 * Must not know: how data is framed.
 */
#include "bridge/framing_failure.h"

#include "bridge/closing.h"

#include <errno.h>

void framing_failure_close(struct connection *c, int64_t result, size_t len) {
	const char *name = c->to_client.framing.framing->name;
	if(result == -EMSGSIZE) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
			"message from %s larger than max-message; closed with 1009", c->peer_name);
		closing_fail(
			c, WEBSOCKET_CODE_TOO_BIG, "message from the peer larger than max-message");
		return;
	}
	if(result == -EILSEQ) {
		connection_log_limited(c, LOG_KIND_SESSION, LOG_WARNING,
			"data from %s is not text, which the client's version of WebSocket cannot "
			"carry; closed",
			c->peer_name);
		closing_fail(c, WEBSOCKET_CODE_UNSUPPORTED, "data from the peer is not text");
		return;
	}
	connection_log_limited(c, LOG_KIND_SESSION, LOG_ERROR,
		"framing function %s %s (%zu bytes); the connection is closed with 1011", name,
		framing_reason(result), len);
	closing_fail(c, WEBSOCKET_CODE_INTERNAL, "the peer's data cannot be framed");
}
