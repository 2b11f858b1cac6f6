/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request as environment of a program, as CGI has it (RFC 3875, section 4.1).
 */
#ifndef WEBSOCKSY_CGI_H
#define WEBSOCKSY_CGI_H
#include "base/address.h"
#include "http/client_view.h"
#include "http/request.h"

#include <stdbool.h>

struct cgi_request {
	const struct request *request;
	const struct client_view *view;
	const union address *client;
	const char *user; /* authenticated; NULL: no user */
	const char *software; /* name and version of the server */
	const char *terminal; /* type of the terminal; NULL: the program has none */
};

/*
 * The variables of `inherited` (NULL at the end), except those that describe a request, and those
 * of `cgi`; one block, to be freed. NULL: no memory.
 */
char **cgi_environment(const struct cgi_request *cgi, char *const *inherited);
#endif
