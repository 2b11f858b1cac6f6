/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The socket policy of Flash (Adobe, Setting up a socket policy file server).
 *
 * Must not know: HTTP, WebSocket.
 * Invariants: the policy is not sent on a socket that is for TLS alone, nor inside of TLS; nothing
 * of this happens without `legacy = flash`.
 */
#include "bridge/flash_policy.h"

#include "bridge/handshake_state.h"
#include "network/tls_stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FLASH_POLICY_MAX (128 + 2 * SETTINGS_FLASH_MAX)

/* With the NUL at its end. */
static const char policy_request[] = "<policy-file-request/>";

bool flash_policy_is_request(const struct connection *c, const uint8_t *data, size_t len) {
	return (c->env->settings->legacy & SETTINGS_LEGACY_FLASH) && c->handshake->requests == 0 &&
		len >= sizeof(policy_request) &&
		memcmp(data, policy_request, sizeof(policy_request)) == 0 &&
		!tls_stream_is_active(&c->client);
}

/* The port that the client has connected to; `port` if its socket has none. */
static unsigned own_port(const struct connection *c) {
	union address own = c->handshake->destination;
	socklen_t len = sizeof(own);
	if(own.any.sa_family == AF_UNSPEC) {
		getsockname(c->client.io.fd, &own.any, &len);
	}
	uint16_t port = address_port(&own);
	return port > 0 ? port : c->env->settings->port;
}

void flash_policy_answer(struct connection *c) {
	const struct settings *settings = c->env->settings;
	char policy[FLASH_POLICY_MAX];
	char port[8];
	snprintf(port, sizeof(port), "%u", own_port(c));
	int len = snprintf(policy, sizeof(policy),
		"<cross-domain-policy><allow-access-from domain=\"%s\" to-ports=\"%s\" />"
		"</cross-domain-policy>\n",
		settings->legacy_flash_domain ? settings->legacy_flash_domain : "*",
		settings->legacy_flash_ports ? settings->legacy_flash_ports : port);
	connection_log_limited(
		c, LOG_KIND_REQUEST, LOG_INFO, "answered a policy request of Flash (legacy)");
	connection_enter(c, CONNECTION_RESPONSE);
	stream_write(&c->client, policy, (size_t)len);
	connection_linger(c);
}
