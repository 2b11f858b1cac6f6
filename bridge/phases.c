/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of phases.
 *
 * Must not know: anything; it only names.
 */
#include "bridge/phases.h"

#include "bridge/client_certificate.h"
#include "bridge/closing.h"
#include "bridge/deadlines.h"
#include "bridge/handshake.h"
#include "bridge/query.h"
#include "bridge/relay.h"
#include "bridge/respond.h"
#include "bridge/upstream.h"

#include <assert.h>

#define TO(phase) (1u << CONNECTION_##phase)

const struct phase phases[] = {
	[CONNECTION_HEAD] = {.name = "HEAD",
		.next = TO(AUTH) | TO(QUERY) | TO(RESPONSE) | TO(DEAD),
		.client = handshake_head_client,
		.deadline = handshake_head_deadline,
		.shutdown = handshake_head_shutdown,
		.reload = client_certificate_reload,
		.leave = handshake_leave},
	[CONNECTION_AUTH] = {.name = "AUTH",
		.next = TO(QUERY) | TO(RESPONSE) | TO(DEAD),
		.client = handshake_auth_client,
		.deadline = handshake_auth_deadline,
		.shutdown = handshake_auth_shutdown,
		.reload = client_certificate_reload,
		.leave = handshake_leave},
	[CONNECTION_QUERY] = {.name = "QUERY",
		.next = TO(CONNECT) | TO(OPEN) | TO(RESPONSE) | TO(DEAD),
		.client = query_client,
		.deadline = query_deadline,
		.shutdown = query_shutdown,
		.reload = query_reload,
		.leave = handshake_leave},
	[CONNECTION_CONNECT] = {.name = "CONNECT",
		.next = TO(OPEN) | TO(RESPONSE) | TO(DEAD),
		.client = handshake_connect_client,
		.peer = upstream_event,
		.deadline = upstream_deadline,
		.shutdown = upstream_shutdown,
		.reload = upstream_reload,
		.leave = handshake_leave},
	[CONNECTION_RESPONSE] = {.name = "RESPONSE",
		.next = TO(HEAD) | TO(LINGER) | TO(DEAD),
		.client = handshake_response_client,
		.deadline = respond_deadline,
		.reload = client_certificate_reload,
		.leave = handshake_leave},
	[CONNECTION_OPEN] = {.name = "OPEN",
		.next = TO(CLOSING) | TO(LINGER) | TO(DEAD),
		.client = relay_client,
		.peer = relay_peer,
		.deadline = deadlines_due,
		.shutdown = relay_shutdown,
		.reload = relay_reload},
	[CONNECTION_CLOSING] = {.name = "CLOSING",
		.next = TO(LINGER) | TO(DEAD),
		.client = relay_client,
		.peer = relay_closing_peer,
		.deadline = closing_deadline},
	[CONNECTION_LINGER] = {.name = "LINGER",
		.next = TO(DEAD),
		.client = connection_linger_client,
		.peer = connection_linger_peer,
		.deadline = connection_linger_deadline,
		.shutdown = connection_linger_shutdown},
	/* Descriptors and timer are closed: no event can come. */
	[CONNECTION_DEAD] = {.name = "DEAD"},
};
static_assert(sizeof(phases) / sizeof(phases[0]) == CONNECTION_PHASES, "one row for each phase");
