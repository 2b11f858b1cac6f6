/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Input of a client that does not wait for the response: frames before it has the 101, or the end.
 */
#ifndef WEBSOCKSY_EARLY_H
#define WEBSOCKSY_EARLY_H
#include "bridge/connection.h"

#include <stdbool.h>

/*
 * CONNECTION_AUTH to CONNECTION_CONNECT: keeps the bytes that the client has sent behind its
 * request. A client that has ended its side may still wait for the response. False: the connection
 * is broken, or there is no memory.
 */
bool early_read(struct connection *c, unsigned events);

/* Has early_read() seen that the client has ended its side? */
bool early_has_ended(const struct connection *c);
#endif
