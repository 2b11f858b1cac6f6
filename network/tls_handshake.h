/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The handshake of a TLS stream; for the files of TLS.
 */
#ifndef WEBSOCKSY_TLS_HANDSHAKE_H
#define WEBSOCKSY_TLS_HANDSHAKE_H
#include "network/tls_internal.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_IDLE_MAX 8 /* calls of GnuTLS in a row that consume nothing and are repeated */

/*
 * Continues with the input of pull(). 0: done; -EAGAIN: more has to come; other negative errno: it
 * has failed, and the other side has been told.
 */
int tls_handshake_step(struct tls *tls);

/* The errno for an error of GnuTLS. Its reason is kept, unless there is one already. */
int tls_fail(struct tls *tls, int status);

/* Alerts and handshake messages that were queued go out now. */
int tls_flush_now(struct stream *stream);

/*
 * GnuTLS may report something that does not end the session, and is called again then. It need not
 * have consumed input each time (one record may hold two messages), but not for long: a loop
 * without progress would stop the daemon.
 */
static inline bool tls_may_repeat(const struct tls *tls, size_t in_len_before, int *idle) {
	*idle = tls->in_len < in_len_before ? 0 : *idle + 1;
	return *idle < TLS_IDLE_MAX;
}

#endif
