/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys for session tickets that several processes have in common.
 *
 * Must not know: what the digest is made of.
 * Invariants: a secret that may be read is not written to.
 */
#include "network/tls_tickets.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <nettle/hmac.h>

int tls_tickets_renew(struct tls_tickets *tickets) {
	uint64_t next = atomic_load(&tickets->generation) + 1;
	uint8_t *secret = tickets->secret[next % 2];
	if(getentropy(secret, TLS_TICKETS_SECRET) < 0) {
		return -errno;
	}
	atomic_store(&tickets->generation, next);
	explicit_bzero(tickets->secret[(next + 1) % 2], TLS_TICKETS_SECRET);
	return 0;
}

/* Half of a key each. */
static void derive(const uint8_t secret[TLS_TICKETS_SECRET],
	const uint8_t digest[TLS_TICKETS_DIGEST], uint8_t half, uint8_t *out) {
	struct hmac_sha256_ctx hmac;
	hmac_sha256_set_key(&hmac, TLS_TICKETS_SECRET, secret);
	hmac_sha256_update(&hmac, 1, &half);
	hmac_sha256_update(&hmac, TLS_TICKETS_DIGEST, digest);
	hmac_sha256_digest(&hmac, TLS_TICKETS_KEY / 2, out);
	explicit_bzero(&hmac, sizeof(hmac));
}

uint64_t tls_tickets_key(const struct tls_tickets *tickets,
	const uint8_t digest[TLS_TICKETS_DIGEST], uint8_t out[TLS_TICKETS_KEY]) {
	uint8_t secret[TLS_TICKETS_SECRET];
	uint64_t generation = atomic_load(&tickets->generation);
	memcpy(secret, tickets->secret[generation % 2], sizeof(secret));
	if(atomic_load(&tickets->generation) != generation) {
		/* Renewed meanwhile, which happens once a day. */
		generation = atomic_load(&tickets->generation);
		memcpy(secret, tickets->secret[generation % 2], sizeof(secret));
	}
	derive(secret, digest, 0, out);
	derive(secret, digest, 1, out + TLS_TICKETS_KEY / 2);
	explicit_bzero(secret, sizeof(secret));
	return generation;
}
