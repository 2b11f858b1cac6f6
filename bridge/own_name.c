/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server that a request is for.
 *
 * Must not know: upgrades, files.
 * Invariants: header fields of proxies count only if the proxy is trusted.
 * Implements RFC 9110 section 7.4.
 */
#include "bridge/own_name.h"

#include "bridge/client_address.h"
#include "network/server_name.h"

bool own_name_check(const struct connection *c, const struct request *request,
	struct error_response *response) {
	const struct settings_texts *names = &c->env->settings->server_name;
	struct client_view view;
	if(names->count == 0) {
		return true;
	}
	client_address_view(c, request, &view);
	return server_name_is_own(names->at, names->count, view.host) ||
		error_response_set(
			response, 421, "this server does not have the requested name", NULL);
}
