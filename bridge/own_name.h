/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server that a request is for.
 */
#ifndef WEBSOCKSY_OWN_NAME_H
#define WEBSOCKSY_OWN_NAME_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/request.h"

#include <stdbool.h>

/*
 * Is the host that the client has asked for one of server-name? The client has been identified.
 * False: `response` is the error response.
 */
bool own_name_check(
	const struct connection *c, const struct request *request, struct error_response *response);
#endif
