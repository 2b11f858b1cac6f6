/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams that speak TLS.
 */
#ifndef WEBSOCKSY_TLS_STREAM_H
#define WEBSOCKSY_TLS_STREAM_H
#include "network/stream.h"

#include <stdbool.h>

/*
 * Goes on with the handshake, one read at most. 0: done; -EAGAIN: wait for an event; other negative
 * errno: it has failed, see tls_stream_reason().
 */
int tls_stream_handshake(struct stream *stream);

/* Does the stream speak TLS? */
bool tls_stream_is_active(const struct stream *stream);

/* Does it, with a handshake that is not done? */
bool tls_stream_in_handshake(const struct stream *stream);

/* Why a handshake or a read failed; static or the stream's own; NULL: nothing to say. */
const char *tls_stream_reason(const struct stream *stream);
#endif
