/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Request heads: read from the client, checked, and passed on to the upgrade or to the response.
 */
#ifndef WEBSOCKSY_HEAD_H
#define WEBSOCKSY_HEAD_H
#include "bridge/connection.h"

#include <stdbool.h>

/*
 * CONNECTION_HEAD: reads once and handles the requests that are complete. May end the connection.
 * False: the client has ended its side, or reading has failed; nothing has been done about it.
 */
bool head_read(struct connection *c);

/*
 * Handles requests that the client has sent without waiting for the responses before them, in a
 * loop and a few per turn. May end the connection.
 */
void head_next(struct connection *c);

/* An incomplete head will not be completed: prepares the response to it. */
void head_abandon(struct connection *c);
#endif
