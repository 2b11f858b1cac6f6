/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend's answer, for the connection that it is about.
 */
#ifndef WEBSOCKSY_QUERY_ANSWER_H
#define WEBSOCKSY_QUERY_ANSWER_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/request.h"

/*
 * Sets the peer, the framing and the subprotocol of the connection. False: `response` says why not;
 * its message may be in `answer`.
 */
bool query_answer_take(struct connection *c, const struct request *request,
	struct backend_answer *answer, struct error_response *response);

/* Makes the next peer of the answer that of the connection. False: there is none. */
bool query_answer_next(struct connection *c);
#endif
