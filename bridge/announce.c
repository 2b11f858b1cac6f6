/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines of the log about the configuration in use.
 *
 * Must not know: connections.
 */
#include "bridge/announce.h"

#include "base/log.h"
#include "network/tls_credentials.h"
#include "plugin/backend.h"

void announce_configuration(const struct connection_env *env) {
	const struct settings *settings = env->settings;
	char peer[512];
	backend_describe(env->backend, peer, sizeof(peer));
	log_write(LOG_INFO, "peers: %s; TLS: %s; auth-file: %s; client-verify: %s", peer,
		!env->tls                 ? "off"
			: env->tls_detect ? "auto, beside plain HTTP"
					  : "required",
		settings->auth_file ? settings->auth_file : "none",
		settings->client_verify == TLS_VERIFY_OFF                ? "off"
			: settings->client_verify == TLS_VERIFY_REQUIRED ? "required"
									 : "optional");
}

void announce_open_access(const struct connection_env *env) {
	const struct settings *settings = env->settings;
	char peer[512];
	bool restricted = settings->listens > 0 || settings->auth_file ||
		settings->client_verify == TLS_VERIFY_REQUIRED;
	if(!restricted) {
		backend_describe(env->backend, peer, sizeof(peer));
		log_write(LOG_WARNING,
			"all addresses of this machine accept clients without authentication (%s); "
			"restrict that with listen, auth-file or client-verify",
			peer);
	}
}
