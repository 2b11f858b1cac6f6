/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The characters on standard output that show the traffic (`traffic`), as websockify writes them.
 */
#ifndef WEBSOCKSY_TRAFFIC_H
#define WEBSOCKSY_TRAFFIC_H
#include "bridge/connection.h"

#include <stdbool.h>
#include <stddef.h>

/* Writes the legend and sets TAP_SHOWN, if that is asked for. */
void traffic_begin(struct connection *c);

/* A part of a message of the client has arrived, and is about to go to the peer. */
void traffic_from_client(const struct connection *c, size_t len, bool last);

/* Data of the peer has arrived, and is about to go to the client as a message. */
void traffic_to_client(const struct connection *c);
#endif
