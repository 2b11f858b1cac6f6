/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The access log: one line for each WebSocket connection at its end, or two (`access-log`).
 */
#ifndef WEBSOCKSY_ACCESS_H
#define WEBSOCKSY_ACCESS_H
#include "bridge/connection.h"

/*
 * The client is about to be upgraded, and its handshake is still there: keeps what the lines say
 * and writes the first one.
 */
void access_opened(struct connection *c);

/* An upgraded connection ends: writes its line. */
void access_closed(const struct connection *c);
#endif
