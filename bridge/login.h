/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP Basic authentication of a request (RFC 7617).
 */
#ifndef WEBSOCKSY_LOGIN_H
#define WEBSOCKSY_LOGIN_H
#include "bridge/connection.h"
#include "http/request.h"
#include "http/verifier.h"

#include <stdbool.h>

enum login_decision {
	LOGIN_GRANTED,
	LOGIN_PENDING, /* the password is being verified */
	LOGIN_DENIED /* and answered */
};

/*
 * Is the request permitted? With LOGIN_PENDING `done` is called later with the connection as its
 * context, unless login_cancel() is called before.
 */
enum login_decision login_check(
	struct connection *c, const struct request *request, verifier_fn *done);

/* To be called by `done`. True: the request is to be handled again; false: it has been answered. */
bool login_finish(struct connection *c, enum verifier_result result);

/*
 * CONNECTION_CONNECT and CONNECTION_OPEN: is the user that the connection belongs to still in the
 * list, with the same password? True also without authentication.
 */
bool login_is_current(const struct connection *c);
#define LOGIN_REVOKED "the user has been removed or the password has changed"

/* Answers a request whose user is no longer in the list. */
void login_revoke(struct connection *c);

void login_cancel(struct connection *c);
#endif
