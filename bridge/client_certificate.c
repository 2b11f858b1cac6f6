/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The certificate of a client after it has been accepted: it expires, is revoked, or its authority
 * is removed.
 *
 * Must not know: requests, frames.
 */
#include "bridge/client_certificate.h"

#include "network/tls_session.h"

bool client_certificate_is_valid(const struct connection *c) {
	const char *why = tls_session_recheck_client(&c->client, c->env->tls);
	if(why) {
		connection_log(c, LOG_NOTICE,
			"closed, the client's certificate is not valid any more: %s", why);
	}
	return !why;
}

void client_certificate_reload(struct connection *c) {
	if(!client_certificate_is_valid(c)) {
		connection_close(c);
	}
}
