/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The certificate of a client after it has been accepted: it expires, is revoked, or its authority
 * is removed.
 *
 * Must not know: requests, frames.
 */
#include "bridge/client_certificate.h"

#include "network/tls_session.h"

#include <string.h>

bool client_certificate_is_allowed(const struct connection *c) {
	const struct settings_texts *names = &c->env->settings->client_name;
	char name[TLS_SUBJECT_MAX];
	if(names->count == 0) {
		return true;
	}
	if(tls_session_client_common_name(&c->client, name) == 0) {
		return false;
	}
	for(size_t i = 0; i < names->count; i++) {
		if(strcmp(names->at[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* Of the phases before, the request decides whether the name counts. */
static bool is_upgrade(const struct connection *c) {
	return c->phase == CONNECTION_QUERY || c->phase == CONNECTION_CONNECT ||
		c->phase == CONNECTION_OPEN;
}

bool client_certificate_is_valid(const struct connection *c) {
	const char *why = tls_session_recheck_client(&c->client, c->env->tls);
	if(!why && is_upgrade(c) && !client_certificate_is_allowed(c)) {
		why = "its name is not among client-name";
	}
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
