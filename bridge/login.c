/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Authentication.
 *
 * Must not know: what the request is for.
 * Invariants: every request is authenticated anew; a user's name is logged only if it exists,
 * because a password may have been typed in its place.
 * Implements RFC 9110 section 11.6, RFC 7617 section 2.
 */
#include "bridge/login.h"

#include "bridge/handshake_state.h"
#include "bridge/respond.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9110, section 11.6.1; RFC 7617, section 2.1 for the charset. */
static void refuse_user(struct connection *c, const char *message) {
	const struct passwords *users = verifier_get_passwords(c->env->auth);
	const char *user = c->handshake->user;
	struct error_response response = {
		.status = 401,
		.message = message,
		.extra = "WWW-Authenticate: Basic realm=\"websocksy\", charset=\"UTF-8\"\r\n",
		/* An unknown name may be a password in the wrong field. */
		.user = user && users && passwords_has_user(users, user) ? user : NULL,
	};
	respond_error(c, &response);
}

static enum login_decision start_check(
	struct connection *c, const struct basic_credentials *credentials, verifier_fn *done) {
	struct handshake *h = c->handshake;
	free(h->user);
	h->user = strdup(credentials->user);
	int result =
		h->user ? verifier_check(c->env->auth, credentials, done, c, &h->job) : -ENOMEM;
	switch(result) {
	case 0:
		h->granted = true;
		return LOGIN_GRANTED;
	case -EINPROGRESS:
		return LOGIN_PENDING;
	case -EACCES:
		refuse_user(c, "wrong user or password");
		return LOGIN_DENIED;
	case -EBUSY:
		respond_busy(c, "too many passwords are being verified");
		return LOGIN_DENIED;
	default:
		respond_busy(c, "out of memory");
		return LOGIN_DENIED;
	}
}

/* May the client have what it asks for? */
enum login_decision login_check(
	struct connection *c, const struct request *request, verifier_fn *done) {
	const struct connection_env *env = c->env;
	struct basic_credentials credentials;
	bool concerned = c->handshake->upgrade || env->settings->web_auth;
	if(!verifier_get_passwords(env->auth) || !concerned || c->handshake->granted) {
		return LOGIN_GRANTED;
	}
	size_t count = request_count_headers(request, "Authorization");
	if(count == 0) {
		refuse_user(c, "a user and a password are needed");
		return LOGIN_DENIED;
	}
	struct slice value = header_value(request, "Authorization");
	enum login_decision decision = LOGIN_DENIED;
	if(count > 1 || basic_parse(value.at, value.len, &credentials)) {
		refuse_user(c, "the Authorization header is not valid Basic authentication");
	} else {
		decision = start_check(c, &credentials, done);
	}
	basic_wipe(&credentials);
	return decision;
}

bool login_finish(struct connection *c, enum verifier_result result) {
	struct handshake *h = c->handshake;
	h->job = NULL;
	switch(result) {
	case VERIFIER_GRANTED:
		h->granted = true;
		return true;
	case VERIFIER_STALE:
		return true;
	case VERIFIER_DENIED:
		refuse_user(c, "wrong user or password");
		return false;
	case VERIFIER_BROKEN:
		respond_busy(c, "the password cannot be verified now");
		return false;
	}
	return false;
}

void login_cancel(struct connection *c) {
	verifier_cancel(c->handshake->job);
	c->handshake->job = NULL;
}
