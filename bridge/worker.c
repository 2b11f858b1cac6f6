/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the connections of one of several workers share with those of the others.
 *
 * Must not know: the supervisor.
 * Invariants: without several workers nothing here has an effect.
 */
#include "bridge/worker.h"

#include "base/log.h"
#include "bridge/connection.h"
#include "http/login_cookie.h"
#include "http/login_limits.h"
#include "network/tls_credentials.h"
#include "service/shared.h"

#include <assert.h>
#include <string.h>

static_assert(SHARED_SECRET == LOGIN_COOKIE_KEY, "it is the key of cookies");

int worker_join(struct connection_env *env, const struct bridge_worker *worker) {
	env->shared = worker->shared;
	env->worker = worker->number;
	env->admission.shared = worker->shared;
	env->lifetime.shared = worker->shared;
	env->lifetime.worker = worker->number;
	env->lifetime.begun_ms = worker->begun_ms;
	login_limits_own(worker->logins, worker->number);
	return memory_share(env);
}

static int open_verifier(struct connection_env *env, const struct bridge_worker *worker) {
	if(!worker) {
		return verifier_open(&env->auth, env->loop, NULL);
	}
	const struct verifier_shared shared = {
		.limits = worker->logins,
		.cookie_key = shared_secret(worker->shared),
	};
	return verifier_open(&env->auth, env->loop, &shared);
}

int worker_open_auth(struct connection_env *env, const struct bridge_worker *worker,
	const struct config *config) {
	int result = config->users && !env->auth ? open_verifier(env, worker) : 0;
	if(result) {
		log_write(LOG_ERROR,
			"auth-file: cannot start the thread that verifies passwords: %s",
			strerror(-result));
	}
	return result;
}

void worker_share_tickets(struct connection_env *env) {
	if(env->shared && env->tls) {
		tls_credentials_share_tickets(env->tls, shared_tickets(env->shared));
	}
}

void worker_tell(const struct bridge_worker *worker, uint32_t kind) {
	if(worker) {
		worker->tell(worker->ctx, kind);
	}
}
