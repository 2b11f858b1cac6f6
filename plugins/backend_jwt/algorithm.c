/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The algorithms of JSON Web Signatures with GnuTLS.
 *
 * Must not know: tokens, files.
 * Invariant: the kind of a key comes from its file, and only algorithms of that kind use it: a
 * public key is never taken for the secret of an HMAC.
 */
#include "plugins/backend_jwt/algorithm.h"

#include <stdint.h>
#include <string.h>

#define ALGORITHM_RSA_BITS_MIN 2048 /* RFC 7518 sections 3.3 and 3.5 */
#define ALGORITHM_HASH_MAX 64

static const struct algorithm algorithms[] = {
	{.name = "HS256", .mac = GNUTLS_MAC_SHA256},
	{.name = "HS384", .mac = GNUTLS_MAC_SHA384},
	{.name = "HS512", .mac = GNUTLS_MAC_SHA512},
	{.name = "RS256", .sign = GNUTLS_SIGN_RSA_SHA256},
	{.name = "RS384", .sign = GNUTLS_SIGN_RSA_SHA384},
	{.name = "RS512", .sign = GNUTLS_SIGN_RSA_SHA512},
	{.name = "PS256", .sign = GNUTLS_SIGN_RSA_PSS_SHA256},
	{.name = "PS384", .sign = GNUTLS_SIGN_RSA_PSS_SHA384},
	{.name = "PS512", .sign = GNUTLS_SIGN_RSA_PSS_SHA512},
	{.name = "ES256",
		.sign = GNUTLS_SIGN_ECDSA_SHA256,
		.curve = GNUTLS_ECC_CURVE_SECP256R1,
		.half = 32},
	{.name = "ES384",
		.sign = GNUTLS_SIGN_ECDSA_SHA384,
		.curve = GNUTLS_ECC_CURVE_SECP384R1,
		.half = 48},
	{.name = "ES512",
		.sign = GNUTLS_SIGN_ECDSA_SHA512,
		.curve = GNUTLS_ECC_CURVE_SECP521R1,
		.half = 66},
	{.name = "EdDSA"},
};

const struct algorithm *algorithm_find(const char *name) {
	for(size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if(!strcmp(name, algorithms[i].name)) {
			return &algorithms[i];
		}
	}
	return NULL;
}

static bool has_curve(gnutls_pubkey_t pubkey, gnutls_ecc_curve_t curve) {
	gnutls_ecc_curve_t found = GNUTLS_ECC_CURVE_INVALID;
	return gnutls_pubkey_export_ecc_raw2(pubkey, &found, NULL, NULL, 0) == 0 && found == curve;
}

bool algorithm_fits(const struct algorithm *algorithm, const struct algorithm_key *key) {
	unsigned bits = 0;
	if(!key->pubkey) {
		return algorithm->mac != GNUTLS_MAC_UNKNOWN;
	}
	switch(gnutls_pubkey_get_pk_algorithm(key->pubkey, &bits)) {
	case GNUTLS_PK_RSA:
	case GNUTLS_PK_RSA_PSS:
		return algorithm->sign != GNUTLS_SIGN_UNKNOWN &&
			algorithm->curve == GNUTLS_ECC_CURVE_INVALID &&
			bits >= ALGORITHM_RSA_BITS_MIN;
	case GNUTLS_PK_ECDSA:
		return algorithm->curve != GNUTLS_ECC_CURVE_INVALID &&
			has_curve(key->pubkey, algorithm->curve);
	case GNUTLS_PK_EDDSA_ED25519:
	case GNUTLS_PK_EDDSA_ED448:
		return !strcmp(algorithm->name, "EdDSA");
	default:
		return false;
	}
}

static bool verify_mac(const struct algorithm *algorithm, const struct algorithm_key *key,
	gnutls_datum_t text, gnutls_datum_t signature) {
	uint8_t expected[ALGORITHM_HASH_MAX];
	return signature.size == gnutls_hmac_get_len(algorithm->mac) &&
		gnutls_hmac_fast(algorithm->mac, key->secret.data, key->secret.size, text.data,
			text.size, expected) == 0 &&
		gnutls_memcmp(expected, signature.data, signature.size) == 0;
}

/* The two numbers of a signature, as GnuTLS wants them (RFC 7518 section 3.4). */
static bool verify_ecdsa(const struct algorithm *algorithm, const struct algorithm_key *key,
	gnutls_datum_t text, gnutls_datum_t signature) {
	const unsigned half = (unsigned)algorithm->half;
	gnutls_datum_t der = {NULL, 0};
	if(signature.size != 2 * half) {
		return false;
	}
	const gnutls_datum_t r = {signature.data, half};
	const gnutls_datum_t s = {signature.data + half, half};
	bool valid = gnutls_encode_rs_value(&der, &r, &s) == 0 &&
		gnutls_pubkey_verify_data2(key->pubkey, algorithm->sign, 0, &text, &der) >= 0;
	gnutls_free(der.data);
	return valid;
}

bool algorithm_verify(const struct algorithm *algorithm, const struct algorithm_key *key,
	gnutls_datum_t text, gnutls_datum_t signature) {
	if(!key->pubkey) {
		return verify_mac(algorithm, key, text, signature);
	}
	if(algorithm->half > 0) {
		return verify_ecdsa(algorithm, key, text, signature);
	}
	gnutls_sign_algorithm_t sign = algorithm->sign;
	if(sign == GNUTLS_SIGN_UNKNOWN) {
		bool small = gnutls_pubkey_get_pk_algorithm(key->pubkey, NULL) ==
			GNUTLS_PK_EDDSA_ED25519;
		sign = small ? GNUTLS_SIGN_EDDSA_ED25519 : GNUTLS_SIGN_EDDSA_ED448;
	}
	return gnutls_pubkey_verify_data2(key->pubkey, sign, 0, &text, &signature) >= 0;
}
