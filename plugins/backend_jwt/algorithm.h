/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The algorithms of signed JSON Web Tokens (RFC 7518 section 3, RFC 8037).
 */
#ifndef WEBSOCKSY_PLUGIN_JWT_ALGORITHM_H
#define WEBSOCKSY_PLUGIN_JWT_ALGORITHM_H
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

#define ALGORITHM_NAMES                                                                            \
	"HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, "     \
	"EdDSA"

struct algorithm {
	const char *name;
	gnutls_mac_algorithm_t mac; /* HS*; otherwise GNUTLS_MAC_UNKNOWN */
	gnutls_sign_algorithm_t sign; /* of the others; EdDSA: as the key says */
	gnutls_ecc_curve_t curve; /* ES*; otherwise GNUTLS_ECC_CURVE_INVALID */
	size_t half; /* ES*: bytes of each of the two numbers of a signature */
};

/* A key: a secret, or a public key. */
struct algorithm_key {
	gnutls_datum_t secret; /* if there is no public key */
	gnutls_pubkey_t pubkey;
};

/* NULL: there is no such algorithm, or it is not a signature (`none`). */
const struct algorithm *algorithm_find(const char *name);

/* Can signatures of the algorithm be made for this key? */
bool algorithm_fits(const struct algorithm *algorithm, const struct algorithm_key *key);

/* Is it the signature of `text`? The key fits. */
bool algorithm_verify(const struct algorithm *algorithm, const struct algorithm_key *key,
	gnutls_datum_t text, gnutls_datum_t signature);
#endif
