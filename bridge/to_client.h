/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the peer to the client: cutting the peer's data into messages.
 */
#ifndef WEBSOCKSY_TO_CLIENT_H
#define WEBSOCKSY_TO_CLIENT_H
#include "bridge/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The result of handling bytes of the peer. */
enum to_client_result {
	TO_CLIENT_MORE, /* more may be read in this turn */
	TO_CLIENT_ENOUGH, /* not in this turn */
	TO_CLIENT_ENDED /* the connection has been ended */
};

/* Goes on with bytes in `partial`, of which the framing has not seen the last `unseen`. */
enum to_client_result to_client_partial(struct connection *c);

/* Reads from the peer, as much as one turn allows. May end the connection. */
void to_client_readable(struct connection *c);
#endif
