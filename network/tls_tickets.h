/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys for session tickets that several processes have in common, so that each resumes the sessions
 * of the others.
 */
#ifndef WEBSOCKSY_TLS_TICKETS_H
#define WEBSOCKSY_TLS_TICKETS_H
#include <stdatomic.h>
#include <stdint.h>

#define TLS_TICKETS_SECRET 32
#define TLS_TICKETS_DIGEST 32
#define TLS_TICKETS_KEY 64 /* the size that GnuTLS wants */

/* In shared memory; zero is ready for tls_tickets_renew(), which one process calls. */
struct tls_tickets {
	_Atomic uint64_t generation; /* of the newest secret */
	uint8_t secret[2][TLS_TICKETS_SECRET]; /* the newest and the one before, in turns */
};

/*
 * Draws a new secret: at the start and after each TLS_TICKET_KEY_MS. Keys of earlier sessions cannot be
 * computed any more. 0 or negative errno.
 */
int tls_tickets_renew(struct tls_tickets *tickets);

/*
 * The key for credentials with this digest. Others have other keys: a session is not resumed under
 * other rules than it has begun with. The generation that the key belongs to.
 */
uint64_t tls_tickets_key(const struct tls_tickets *tickets,
	const uint8_t digest[TLS_TICKETS_DIGEST], uint8_t out[TLS_TICKETS_KEY]);
#endif
