/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server that a request is for.
 *
 * Must not know: upgrades, files.
 * Invariants: header fields of proxies count only if the proxy is trusted.
 * Implements RFC 9110 section 7.4.
 */
#include "bridge/own_name.h"

#include "bridge/handshake_state.h"
#include "network/server_name.h"
#include "network/tls_stream.h"

void own_name_view(
	const struct connection *c, const struct request *request, struct client_view *view) {
	const struct cidr_list *trusted = c->handshake->shared ? &c->env->settings->trusted : NULL;
	client_view_read(view, request, tls_stream_is_active(&c->client), trusted);
}

bool own_name_check(const struct connection *c, const struct request *request,
	struct error_response *response) {
	const struct settings_texts *names = &c->env->settings->server_name;
	struct client_view view;
	if(names->count == 0) {
		return true;
	}
	own_name_view(c, request, &view);
	return server_name_is_own(names->at, names->count, view.host) ||
		error_response_set(
			response, 421, "this server does not have the requested name", NULL);
}
