/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Verification of the other side's certificate.
 *
 * Must not know: streams, HTTP.
 * Invariants: no signature is verified with a key of a client that is larger than the limits below.
 * Implements RFC 5280 and RFC 9525 through GnuTLS.
 */
#include "network/tls_verify.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>

#define TLS_KEY_BITS_MAX 4096 /* of a client's RSA key; those of elliptic curves are far smaller */
#define TLS_EXPONENT_BITS_MAX 33 /* RSA; by far most exponents have 17 */
#define TLS_CHAIN_MAX 16 /* GnuTLS accepts no longer ones */
#define TLS_CLIENT_MESSAGE_MAX (32 * 1024) /* one message of a client's handshake: its chain */

/* GnuTLS has no such state, but the word is the one that users search for. */
static bool is_self_signed(gnutls_session_t session) {
	unsigned count;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	gnutls_x509_crt_t certificate;
	if(!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) {
		return false;
	}
	bool result = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
		gnutls_x509_crt_check_issuer(certificate, certificate);
	gnutls_x509_crt_deinit(certificate);
	return result;
}

/* Why the other side's certificate was not accepted, in words: the first that holds says most. */
static const char *describe_flaws(unsigned status) {
	static const struct {
		unsigned status;
		const char *text;
	} flaws[] = {
		{GNUTLS_CERT_REVOKED, "it has been revoked"},
		{GNUTLS_CERT_EXPIRED, "it, or one above it, has expired"},
		{GNUTLS_CERT_NOT_ACTIVATED, "it, or one above it, is not valid yet"},
		{GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is unknown"},
		{GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is not a certificate authority"},
		{GNUTLS_CERT_UNEXPECTED_OWNER, "it is for another name"},
		{GNUTLS_CERT_PURPOSE_MISMATCH, "it is for another purpose"},
		{GNUTLS_CERT_INSECURE_ALGORITHM, "it is signed with an insecure algorithm"},
		{GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong"},
	};
	for(size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
		if(status & flaws[i].status) {
			return flaws[i].text;
		}
	}
	return "it is invalid";
}

static void explain_verification(struct tls *tls) {
	const char *text = describe_flaws(tls->verify_status);
	if((tls->verify_status & GNUTLS_CERT_SIGNER_NOT_FOUND) && is_self_signed(tls->session)) {
		text = "it is self-signed, and unknown here";
	}
	snprintf(tls->reason, sizeof(tls->reason), "the certificate is not trusted: %s", text);
}

static int reject(struct tls *tls) {
	explain_verification(tls);
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* Judges the other side's certificate by `data`. 0 or GnuTLS's error. */
static int verify(struct tls *tls, gnutls_typed_vdata_st *data, unsigned count) {
	int status =
		gnutls_certificate_verify_peers(tls->session, data, count, &tls->verify_status);
	if(status < 0) {
		return status;
	}
	return tls->verify_status == 0 ? 0 : reject(tls);
}

/* ---- limits ---- */

static bool is_small(gnutls_x509_crt_t certificate) {
	unsigned bits = 0;
	gnutls_datum_t modulus;
	gnutls_datum_t exponent;
	int kind = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);
	if(kind < 0 || bits > TLS_KEY_BITS_MAX) {
		return false;
	}
	if(gnutls_x509_crt_get_pk_rsa_raw(certificate, &modulus, &exponent) < 0) {
		return kind != GNUTLS_PK_RSA && kind != GNUTLS_PK_RSA_PSS;
	}
	size_t zeros = 0;
	while(zeros < exponent.size && exponent.data[zeros] == 0) {
		zeros++;
	}
	size_t len = exponent.size - zeros;
	bool small = len <= TLS_EXPONENT_BITS_MAX / 8 ||
		(len == TLS_EXPONENT_BITS_MAX / 8 + 1 &&
			exponent.data[zeros] >> (TLS_EXPONENT_BITS_MAX % 8) == 0);
	gnutls_free(modulus.data);
	gnutls_free(exponent.data);
	return small;
}

static bool has_small_key(const gnutls_datum_t *der) {
	gnutls_x509_crt_t certificate;
	if(gnutls_x509_crt_init(&certificate) < 0) {
		return false;
	}
	bool small = gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER) == 0 &&
		is_small(certificate);
	gnutls_x509_crt_deinit(certificate);
	return small;
}

/* Are all keys of the chain within the limits? 0 or GnuTLS's error. */
static int check_keys(struct tls *tls) {
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls->session, &count);
	for(unsigned i = 0; chain && i < count; i++) {
		if(!has_small_key(&chain[i])) {
			snprintf(tls->reason, sizeof(tls->reason),
				"the certificate is not trusted: a key is larger than %d bits, or "
				"its "
				"exponent than 2^%d",
				TLS_KEY_BITS_MAX, TLS_EXPONENT_BITS_MAX);
			return GNUTLS_E_CERTIFICATE_ERROR;
		}
	}
	return 0;
}

/*
 * CertificateVerify has come and has not been verified. TLS 1.2 verifies the chain before, TLS 1.3
 * behind it.
 */
static int hook(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
	const gnutls_datum_t *message) {
	(void)type;
	(void)when;
	(void)message;
	return incoming ? check_keys(gnutls_transport_get_ptr(session)) : 0;
}

void tls_verify_limit_keys(gnutls_session_t session) {
	gnutls_handshake_set_max_packet_length(session, TLS_CLIENT_MESSAGE_MAX);
	gnutls_handshake_set_hook_function(
		session, GNUTLS_HANDSHAKE_CERTIFICATE_VERIFY, GNUTLS_HOOK_POST, hook);
}

/* ---- clients ---- */

/* A client's certificate. Whether one has to be there GnuTLS has looked at already. */
int tls_verify_client(gnutls_session_t session) {
	struct tls *tls = gnutls_transport_get_ptr(session);
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned count = 0;
	if(!gnutls_certificate_get_peers(session, &count) || count == 0) {
		return tls->credentials->verify == TLS_VERIFY_OPTIONAL
			? 0
			: GNUTLS_E_CERTIFICATE_REQUIRED;
	}
	int status = check_keys(tls);
	return status < 0 ? status : verify(tls, &purpose, 1);
}

static unsigned verify_chain(
	gnutls_x509_trust_list_t trusted, gnutls_x509_crt_t *chain, unsigned count) {
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = 0;
	int result = gnutls_x509_trust_list_verify_crt2(
		trusted, chain, count, &purpose, 1, 0, &status, NULL);
	return result < 0 ? GNUTLS_CERT_INVALID : status;
}

const char *tls_verify_again(
	gnutls_session_t session, gnutls_certificate_credentials_t credentials) {
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX];
	gnutls_x509_trust_list_t trusted;
	unsigned count = 0;
	unsigned known = 0;
	const gnutls_datum_t *der = gnutls_certificate_get_peers(session, &count);
	if(!der || count == 0) {
		return NULL;
	}
	gnutls_certificate_get_trust_list(credentials, &trusted);
	while(known < count && known < TLS_CHAIN_MAX && gnutls_x509_crt_init(&chain[known]) == 0) {
		known++;
		if(gnutls_x509_crt_import(chain[known - 1], &der[known - 1], GNUTLS_X509_FMT_DER) <
			0) {
			break;
		}
	}
	unsigned status = verify_chain(trusted, chain, known);
	for(unsigned i = 0; i < known; i++) {
		gnutls_x509_crt_deinit(chain[i]);
	}
	return status ? describe_flaws(status) : NULL;
}

int tls_verify_resumed(struct tls *tls) {
	unsigned count = 0;
	/* The ticket holds the certificate; without one the first handshake has decided. */
	if(!gnutls_certificate_get_peers(tls->session, &count) || count == 0) {
		return 0;
	}
	return tls_verify_client(tls->session);
}

/* ---- servers ---- */

/* The bytes of a literal address: 4, 16, or 0 of a name. */
unsigned tls_verify_parse_literal(const char *name, unsigned char out[16]) {
	if(inet_pton(AF_INET, name, out) == 1) {
		return 4;
	}
	return inet_pton(AF_INET6, name, out) == 1 ? 16 : 0;
}

/*
 * Does the other side's certificate have a name in subjectAltName? Only there it counts (RFC 9525,
 * section 2), but GnuTLS falls back to the common name.
 */
static bool has_alternative_name(gnutls_session_t session) {
	unsigned count;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	gnutls_x509_crt_t certificate;
	if(!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) {
		return false;
	}
	bool found = false;
	int type = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER);
	for(unsigned i = 0; type >= 0 && !found; i++) {
		char name[256];
		size_t len = sizeof(name);
		type = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &len, NULL);
		found = type == GNUTLS_SAN_DNSNAME;
		type = type == GNUTLS_E_SHORT_MEMORY_BUFFER ? 0 : type;
	}
	gnutls_x509_crt_deinit(certificate);
	return found;
}

/* A server's certificate: RFC 9525 for names; an address has to be in it as an address. */
int tls_verify_server(gnutls_session_t session) {
	struct tls *tls = gnutls_transport_get_ptr(session);
	unsigned char literal[16];
	unsigned len = tls_verify_parse_literal(tls->name, literal);
	gnutls_typed_vdata_st data[] = {
		{.type = GNUTLS_DT_KEY_PURPOSE_OID,
			.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER},
		{.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)tls->name},
	};
	if(len > 0) {
		data[1] = (gnutls_typed_vdata_st){
			.type = GNUTLS_DT_IP_ADDRESS, .data = literal, .size = len};
	}
	int result = verify(tls, data, 2);
	if(result == 0 && len == 0 && !has_alternative_name(session)) {
		tls->verify_status = GNUTLS_CERT_UNEXPECTED_OWNER;
		result = reject(tls);
	}
	return result;
}
