/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Verification of the other side's certificate.
 *
 * Must not know: streams, HTTP.
 * Implements RFC 5280 and RFC 9525 through GnuTLS.
 */
#include "network/tls_verify.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>

/* Nobody else vouches for it: GnuTLS knows no such state, but people look for the word. */
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
static void explain_verification(struct tls *tls) {
	static const struct {
		unsigned status;
		const char *text;
	} flaws[] = {
		{GNUTLS_CERT_REVOKED, "it has been revoked"},
		{GNUTLS_CERT_EXPIRED, "it, or one above it, has expired"},
		{GNUTLS_CERT_NOT_ACTIVATED, "it, or one above it, is not valid yet"},
		{GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is unknown"},
		{GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is no authority"},
		{GNUTLS_CERT_UNEXPECTED_OWNER, "it is for another name"},
		{GNUTLS_CERT_PURPOSE_MISMATCH, "it is for another purpose"},
		{GNUTLS_CERT_INSECURE_ALGORITHM, "it is signed with an insecure algorithm"},
		{GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong"},
	};
	const char *text = NULL;
	for(size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]) && !text; i++) {
		text = tls->verify_status & flaws[i].status ? flaws[i].text : NULL;
	}
	if((tls->verify_status & GNUTLS_CERT_SIGNER_NOT_FOUND) && is_self_signed(tls->session)) {
		text = "it is self-signed, and unknown here";
	}
	snprintf(tls->reason, sizeof(tls->reason), "the certificate is not trusted: %s",
		text ? text : "it is invalid");
}

/* Judges the other side's certificate by `data`. 0 or GnuTLS's error. */
static int verify(struct tls *tls, gnutls_typed_vdata_st *data, unsigned count) {
	int status =
		gnutls_certificate_verify_peers(tls->session, data, count, &tls->verify_status);
	if(status < 0) {
		return status;
	}
	if(tls->verify_status == 0) {
		return 0;
	}
	explain_verification(tls);
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

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
	return verify(tls, &purpose, 1);
}

/* The bytes of a literal address: 4, 16, or 0 of a name. */
unsigned tls_verify_parse_literal(const char *name, unsigned char out[16]) {
	if(inet_pton(AF_INET, name, out) == 1) {
		return 4;
	}
	return inet_pton(AF_INET6, name, out) == 1 ? 16 : 0;
}

/* A server's certificate: RFC 6125 for names; an address has to be in it as an address. */
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
	return verify(tls, data, 2);
}
