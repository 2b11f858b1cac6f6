/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The deadlines of an open connection: keepalive, stalled sides, idleness.
 */
#ifndef WEBSOCKSY_DEADLINES_H
#define WEBSOCKSY_DEADLINES_H
#include "bridge/connection.h"

/*
 * Arms the timer for the next of them, unless it comes early enough anyway. For CONNECTION_OPEN;
 * else nothing.
 */
void deadlines_arm(struct connection *c);

/* CONNECTION_OPEN: the timer has run out. May end the connection. */
void deadlines_due(struct connection *c);
#endif
