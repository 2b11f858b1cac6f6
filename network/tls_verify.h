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

/* The bytes of a literal address: 4, 16, or 0 of a name. */
unsigned tls_verify_parse_literal(const char *name, unsigned char out[16]);
#endif
