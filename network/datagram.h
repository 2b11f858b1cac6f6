/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kind of stream for connected datagram sockets: every write and every read is one message.
 */
#ifndef WEBSOCKSY_DATAGRAM_H
#define WEBSOCKSY_DATAGRAM_H
#include "base/address.h"
#include "network/stream.h"

/*
 * Other addresses of the same service, copied: while no datagram has come back, one that is
 * refused makes the stream go on with the next address, and send what it has sent so far again.
 */
void datagram_set_others(struct stream *stream, const union address *address, size_t count);

extern const struct stream_ops datagram_ops;
#endif
