/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Certificates, keys and authorities from PEM files. All functions: 0, or negative errno with one
 * line in `error`. Blocking file access.
 */
#ifndef WEBSOCKSY_TLS_PEM_H
#define WEBSOCKSY_TLS_PEM_H
#include "network/tls_credentials.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* A certificate chain and its key. `key` NULL: in the same file. */
int tls_pem_load_pair(gnutls_certificate_credentials_t into, const char *cert, const char *key,
	char error[TLS_ERROR_MAX]);

/*
 * The first certificate of a file. Of a pair that it cannot use GnuTLS does not tell which file is
 * wrong: this one if it fails here.
 */
int tls_pem_load_leaf(gnutls_x509_crt_t *out, const char *file, char error[TLS_ERROR_MAX]);

/* Authorities. `file` NULL: the system's. */
int tls_pem_load_authorities(
	gnutls_certificate_credentials_t into, const char *file, char error[TLS_ERROR_MAX]);

/* Certificates of clients that have been revoked. */
int tls_pem_load_revoked(
	gnutls_certificate_credentials_t into, const char *file, char error[TLS_ERROR_MAX]);
#endif
