/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request as the backend receives it.
 */
#ifndef WEBSOCKSY_QUERY_REQUEST_H
#define WEBSOCKSY_QUERY_REQUEST_H
#include "bridge/connection.h"
#include "http/request.h"

/*
 * Private copies of the request, without what backends must not see and with the fields of the
 * daemon; not `whole`: of the subprotocols only. 0 or -ENOMEM; out->memory is the caller's.
 */
int query_request_copy(struct connection *c, const struct request *request, bool whole,
	struct backend_request *out);
#endif
