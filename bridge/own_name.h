/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server that a request is for.
 */
#ifndef WEBSOCKSY_OWN_NAME_H
#define WEBSOCKSY_OWN_NAME_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/client_view.h"
#include "http/request.h"

#include <stdbool.h>

/* Scheme, host and port as the client sees them; the client has been identified. */
void own_name_view(
	const struct connection *c, const struct request *request, struct client_view *view);

/* Is the host one of server-name? False: `response` is the error response. */
bool own_name_check(
	const struct connection *c, const struct request *request, struct error_response *response);
#endif
