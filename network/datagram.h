/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kind of stream for connected datagram sockets: every write and every read is one message.
 */
#ifndef WEBSOCKSY_DATAGRAM_H
#define WEBSOCKSY_DATAGRAM_H
#include "network/stream.h"

extern const struct stream_ops datagram_ops;
#endif
