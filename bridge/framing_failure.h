/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The end of a connection whose data cannot be framed.
 */
#ifndef WEBSOCKSY_FRAMING_FAILURE_H
#define WEBSOCKSY_FRAMING_FAILURE_H
#include "bridge/connection.h"

/*
 * Closes the connection, with a line in the log. `result`: -EMSGSIZE, the message is larger than
 * max-message; -EILSEQ, the client's version has no messages but text; otherwise that of the
 * framing. `len`: the bytes that the framing had.
 */
void framing_failure_close(struct connection *c, int64_t result, size_t len);
#endif
