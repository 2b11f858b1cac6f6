/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Header fields of responses that depend on the connection and not on the request.
 */
#ifndef WEBSOCKSY_RESPONSE_FIELDS_H
#define WEBSOCKSY_RESPONSE_FIELDS_H
#include "bridge/connection.h"
#include "http/login_cookie.h"

#include <stddef.h>

#define RESPONSE_FIELDS_MAX (LOGIN_COOKIE_FIELD + 80)

/*
 * Writes complete lines with CRLF for the response to the current request to `out`:
 * Strict-Transport-Security over TLS (RFC 6797, 7.1), and a login cookie behind a page's password.
 * Their length, mostly 0.
 */
size_t response_fields_write(const struct connection *c, char out[RESPONSE_FIELDS_MAX]);
#endif
