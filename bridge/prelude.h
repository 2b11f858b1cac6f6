/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes that the peer receives before those of the client, and its reply to them.
 */
#ifndef WEBSOCKSY_PRELUDE_H
#define WEBSOCKSY_PRELUDE_H
#include "bridge/connection.h"

#define PRELUDE_REPLY_MAX 8192

/*
 * The peer is connected: sends the prelude of the answer, if there is one. 0: there is nothing to
 * wait for; -EAGAIN: prelude_read() is due when the peer is readable.
 */
int prelude_send(struct connection *c);

/* Is the reply awaited? */
bool prelude_is_waiting(const struct connection *c);

/*
 * Reads the reply. 0: it is the expected one, and what is behind it is in c->partial; -EAGAIN: not
 * complete; other negative errno: failed, `*why` is text for the log.
 */
int prelude_read(struct connection *c, const char **why);
#endif
