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

/* Passphrases for encrypted keys: the lines of a file, each with a NUL behind it. */
struct tls_passphrases {
	const char *path;
	char *text; /* NULL: none */
	size_t len;
};

/* `path` NULL: none. The caller frees them. */
int tls_pem_load_passphrases(
	struct tls_passphrases *out, const char *path, char error[TLS_ERROR_MAX]);
void tls_pem_free_passphrases(struct tls_passphrases *passphrases);

/*
 * A certificate chain and its key, which may be encrypted with one of the passphrases (NULL: there
 * are none).
 */
int tls_pem_load_pair(gnutls_certificate_credentials_t into, const struct tls_pair *pair,
	const struct tls_passphrases *passphrases, char error[TLS_ERROR_MAX]);

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
