/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signed cookies that stand for a login for some minutes: for browsers that send no credentials
 * with a WebSocket upgrade.
 */
#ifndef WEBSOCKSY_LOGIN_COOKIE_H
#define WEBSOCKSY_LOGIN_COOKIE_H
#include "base/text.h"
#include "http/basic.h"
#include "http/passwords.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGIN_COOKIE_KEY 32
#define LOGIN_COOKIE_NAME 32
#define LOGIN_COOKIE_FIELD 768 /* a Set-Cookie field with its line end */

/* The parameters of cookies. */
struct login_cookies {
	const uint8_t *key; /* LOGIN_COOKIE_KEY random bytes */
	const struct passwords *users;
	uint64_t now_ms;
};

/* The name; it contains the port, as cookies are shared by all ports of a host. */
void login_cookie_name(uint16_t port, char out[LOGIN_COOKIE_NAME]);

/*
 * Writes a Set-Cookie field for a user that is in the list, valid for `life_ms`. `secure`: browsers
 * return it over TLS only. The length.
 */
size_t login_cookie_format(const struct login_cookies *cookies, const char *name, const char *user,
	uint64_t life_ms, bool secure, char out[LOGIN_COOKIE_FIELD]);

/*
 * Looks for the cookie in a Cookie field. True: it is valid, and `user` has its user: the signature
 * is ours, it has not expired, and the user is in the list with the same password hash.
 */
bool login_cookie_check(const struct login_cookies *cookies, struct slice field, const char *name,
	char user[BASIC_USER_MAX + 1]);

/*
 * Copies a Cookie field without the cookie `name` to `out`, which has room for twice its length.
 * The length of the copy.
 */
size_t login_cookie_strip(struct slice field, const char *name, char *out);
#endif
