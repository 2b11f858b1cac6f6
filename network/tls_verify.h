/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Verification of the other side's certificate; for the files of TLS.
 */
#ifndef WEBSOCKSY_TLS_VERIFY_H
#define WEBSOCKSY_TLS_VERIFY_H
#include "network/tls_internal.h"

#include <gnutls/gnutls.h>

/* The certificate of a client, or of a server: for gnutls_session_set_verify_function(). */
int tls_verify_client(gnutls_session_t session);
int tls_verify_server(gnutls_session_t session);

/*
 * Limits the certificates that a client sends, before a signature is verified with its key: a key
 * can be made so that this takes seconds.
 */
void tls_verify_limit_keys(gnutls_session_t session);

/*
 * Verifies the certificate of a client again that has resumed a session: it may have expired since.
 * 0 or GnuTLS's error, with the reason in the session's `struct tls`.
 */
int tls_verify_resumed(struct tls *tls);

/*
 * Verifies it by other credentials than those of the session. NULL, or static text that describes
 * the reason.
 */
const char *tls_verify_again(
	gnutls_session_t session, gnutls_certificate_credentials_t credentials);

/* The bytes of a literal address: 4, 16, or 0 of a name. */
unsigned tls_verify_parse_literal(const char *name, unsigned char out[16]);
#endif
