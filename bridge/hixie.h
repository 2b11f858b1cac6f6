/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The opening handshake of draft-hixie-thewebsocketprotocol-75 and -76, if `legacy` has hixie.
 */
#ifndef WEBSOCKSY_HIXIE_H
#define WEBSOCKSY_HIXIE_H
#include "bridge/connection.h"
#include "bridge/respond.h"
#include "http/request.h"

#include <stdbool.h>

/*
 * A request head is complete, and `rest` is what has come behind it: which of the versions is it,
 * if any? Notes that, and the bytes behind a request of version 76, in the handshake. False: these
 * bytes are not complete.
 */
bool hixie_begin(struct connection *c, const struct request *request, struct slice rest);

/* The number of bytes behind the head that belong to the request. */
size_t hixie_body_len(const struct handshake *h);

/*
 * Is the request, which is of one of these versions, as it has to be? Keeps the answer and the
 * fields of the response in the handshake. False: `response` says why not.
 */
bool hixie_check(
	struct connection *c, const struct request *request, struct error_response *response);

/*
 * Writes the 101 without its last empty line, and returns its end. There is room for all fields of
 * the request.
 */
char *hixie_write_head(const struct handshake *h, char *out);

/* Writes what follows the empty line, and returns its end. */
char *hixie_write_answer(const struct handshake *h, char *out);
#endif
