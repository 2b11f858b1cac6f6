/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Authentication.
 *
 * Must not know: the target of the request.
 * Invariants: every request is authenticated anew; a password that TLS could protect is not
 * accepted without it; a user's name is logged only if it exists, because a password may have been
 * typed in its place.
 * Implements RFC 9110 section 11.6, RFC 7617 section 2.
 */
#include "bridge/login.h"

#include "bridge/client_address.h"
#include "bridge/client_certificate.h"
#include "bridge/handshake_state.h"
#include "bridge/respond.h"
#include "http/login_cookie.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name in the credentials. NULL: unknown names may be a password in the wrong field. */
static const char *known_user(const struct connection *c) {
	const struct passwords *users = verifier_get_passwords(c->env->auth);
	const char *user = c->handshake->user;
	return user && users && passwords_has_user(users, user) ? user : NULL;
}

/* RFC 9110, section 11.6.1; RFC 7617, section 2.1 for the charset. */
static void refuse_user(struct connection *c, const char *message) {
	struct error_response response = {
		.status = 401,
		.message = message,
		.extra = "WWW-Authenticate: Basic realm=\"websocksy\", charset=\"UTF-8\"\r\n",
		.user = known_user(c),
	};
	respond_error(c, &response);
}

/* The request is authenticated. */
static void grant(struct connection *c) {
	struct handshake *h = c->handshake;
	h->granted = true;
	h->login = passwords_fingerprint(verifier_get_passwords(c->env->auth), h->user);
}

/* The upgrade of a page that was let in, by a browser that sends no credentials with it. */
static bool check_cookie(struct connection *c, const struct request *request) {
	const struct connection_env *env = c->env;
	struct handshake *h = c->handshake;
	char name[LOGIN_COOKIE_NAME];
	char user[BASIC_USER_MAX + 1];
	if(!h->upgrade || env->settings->auth_cookie_ms == 0) {
		return false;
	}
	login_cookie_name(env->settings->port, name);
	const struct login_cookies cookies = {
		.key = verifier_cookie_key(env->auth),
		.users = verifier_get_passwords(env->auth),
		.now_ms = env->loop->now_ms,
	};
	if(!login_cookie_check(&cookies, header_value(request, "Cookie"), name, user)) {
		return false;
	}
	free(h->user);
	h->user = strdup(user);
	if(h->user) {
		grant(c);
	}
	return h->user != NULL;
}

/* Only this address or user has to wait (RFC 6585, section 4). */
static void refuse_for_now(struct connection *c, const char *message, unsigned retry_s) {
	char retry[48];
	snprintf(retry, sizeof(retry), "Retry-After: %u\r\n", retry_s);
	struct error_response response = {
		.status = 429, .message = message, .extra = retry, .user = known_user(c)};
	respond_error(c, &response);
}

static void refuse(struct connection *c, int error, unsigned retry_s) {
	switch(error) {
	case -EACCES:
		refuse_user(c, "wrong user or password");
		break;
	case -E2BIG:
		refuse_user(c, "the password is longer than its hash allows (bcrypt: 72 bytes)");
		break;
	case -EAGAIN:
		refuse_for_now(c, "too many failed logins, try again later", retry_s);
		break;
	case -EDQUOT:
		refuse_for_now(c, "too many passwords of this address or user are being verified",
			retry_s);
		break;
	case -EBUSY:
		respond_busy(c, "too many passwords are being verified");
		break;
	default:
		respond_busy(c, "out of memory");
	}
}

static enum login_decision start_check(
	struct connection *c, const struct basic_credentials *credentials, verifier_fn *done) {
	struct handshake *h = c->handshake;
	struct verifier_request request = {
		.credentials = credentials, .address = &c->address, .fn = done, .ctx = c};
	free(h->user);
	h->user = strdup(credentials->user);
	int result = h->user ? verifier_check(c->env->auth, &request, &h->job) : -ENOMEM;
	if(result == 0) {
		grant(c);
		return LOGIN_GRANTED;
	}
	if(result == -EINPROGRESS) {
		return LOGIN_PENDING;
	}
	refuse(c, result, request.retry_s);
	return LOGIN_DENIED;
}

static void refuse_field(struct connection *c, int error) {
	refuse_user(c,
		error == -EILSEQ ? "the user and the password are not UTF-8"
			: error == -E2BIG
			? "the user or the password is too long"
			: "the Authorization header is not valid Basic authentication");
}

/*
 * A password in clear text, although there is TLS. A trusted proxy may be connected without it,
 * and its clients, too, unless it tells that they are.
 */
static bool is_exposed(const struct connection *c, const struct client_view *view) {
	const struct connection_env *env = c->env;
	return env->tls && !env->settings->insecure_auth && !view->https &&
		(view->told || !c->proxied) && c->address.any.sa_family != AF_UNIX;
}

enum login_decision login_check(
	struct connection *c, const struct request *request, verifier_fn *done) {
	const struct connection_env *env = c->env;
	struct basic_credentials credentials;
	struct client_view view;
	bool concerned = c->handshake->upgrade || env->settings->web_auth;
	if(concerned && !client_certificate_is_allowed(c)) {
		respond_status(c, 403, "clients with this certificate are not allowed");
		return LOGIN_DENIED;
	}
	if(!verifier_get_passwords(env->auth) || !concerned || c->handshake->granted) {
		return LOGIN_GRANTED;
	}
	client_address_view(c, request, &view);
	c->handshake->https = view.https;
	if(is_exposed(c, &view)) {
		respond_status(c, 403, "passwords are accepted over https only (insecure-auth)");
		return LOGIN_DENIED;
	}
	size_t count = request_count_headers(request, "Authorization");
	if(count == 0) {
		if(check_cookie(c, request)) {
			return LOGIN_GRANTED;
		}
		refuse_user(c, "a user and a password are needed");
		return LOGIN_DENIED;
	}
	struct slice value = header_value(request, "Authorization");
	enum login_decision decision = LOGIN_DENIED;
	int error = count > 1 ? -EINVAL : basic_parse(value.at, value.len, &credentials);
	if(error) {
		refuse_field(c, error);
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
		grant(c);
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

bool login_is_current(const struct connection *c) {
	const struct passwords *users = verifier_get_passwords(c->env->auth);
	uint64_t login = c->phase == CONNECTION_OPEN ? c->login : c->handshake->login;
	return login == 0 || !users || passwords_has_fingerprint(users, login);
}

void login_revoke(struct connection *c) {
	refuse_user(c, LOGIN_REVOKED);
}

void login_cancel(struct connection *c) {
	verifier_cancel(c->handshake->job);
	c->handshake->job = NULL;
}
