/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Certificates, keys and authorities from PEM files.
 *
 * Must not know: sessions, which pairs there are.
 * Invariants: what has been read is wiped before its memory is freed.
 */
#include "network/tls_pem.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TLS_PASSPHRASES_MAX ((size_t)64 * 1024)
#define TLS_FILE_MAX ((size_t)8 * 1024 * 1024) /* bundles of authorities have some hundred kB */

/* Reads a file. 0, or negative errno with `error` set. */
static int read_pem(const char *path, gnutls_datum_t *out, char error[TLS_ERROR_MAX]) {
	char *text;
	size_t len;
	int result = file_read(path, TLS_FILE_MAX, &text, &len);
	*out = (gnutls_datum_t){(unsigned char *)text, (unsigned)len};
	if(result) {
		snprintf(error, TLS_ERROR_MAX, "cannot read %s: %s", path, file_error(result));
	}
	return result;
}

/* It may have held a key. */
static void free_pem(gnutls_datum_t *pem) {
	if(pem->data) {
		gnutls_memset(pem->data, 0, pem->size);
		free(pem->data);
	}
	*pem = (gnutls_datum_t){0};
}

/* ---- passphrases ---- */

/* Cuts the text into lines: a NUL takes the place of each end. */
static void cut_lines(struct tls_passphrases *passphrases) {
	for(size_t i = 0; i < passphrases->len; i++) {
		char *at = &passphrases->text[i];
		if(*at == '\n' || (*at == '\r' && at[1] == '\n')) {
			*at = '\0';
		}
	}
}

int tls_pem_load_passphrases(
	struct tls_passphrases *out, const char *path, char error[TLS_ERROR_MAX]) {
	*out = (struct tls_passphrases){.path = path};
	if(!path) {
		return 0;
	}
	int result = file_read(path, TLS_PASSPHRASES_MAX, &out->text, &out->len);
	if(result) {
		snprintf(error, TLS_ERROR_MAX, "cannot read %s: %s", path, file_error(result));
		return result;
	}
	cut_lines(out);
	return 0;
}

void tls_pem_free_passphrases(struct tls_passphrases *passphrases) {
	if(passphrases->text) {
		gnutls_memset(passphrases->text, 0, passphrases->len);
		free(passphrases->text);
	}
	*passphrases = (struct tls_passphrases){0};
}

/* The one behind `passphrase` (NULL: the first), or NULL. */
static const char *next_passphrase(
	const struct tls_passphrases *passphrases, const char *passphrase) {
	const char *end = passphrases->text + passphrases->len;
	const char *at = passphrase ? passphrase + strlen(passphrase) : passphrases->text;
	while(at < end && *at == '\0') {
		at++;
	}
	return at < end ? at : NULL;
}

/* ---- pairs ---- */

/* The error of GnuTLS for a pair that it cannot use. */
static void explain_pair(int status, const struct tls_pair *pair,
	const struct tls_passphrases *passphrases, char error[TLS_ERROR_MAX]) {
	if(status == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && strcmp(pair->cert, pair->key) == 0) {
		snprintf(error, TLS_ERROR_MAX,
			"there is no private key in %s: name its file with key", pair->cert);
	} else if(status == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
		snprintf(error, TLS_ERROR_MAX,
			"the certificate in %s does not belong to the key in %s", pair->cert,
			pair->key);
	} else if(status != GNUTLS_E_DECRYPTION_FAILED) {
		snprintf(error, TLS_ERROR_MAX, "cannot use certificate %s with key %s: %s",
			pair->cert, pair->key, gnutls_strerror(status));
	} else if(passphrases && passphrases->path) {
		snprintf(error, TLS_ERROR_MAX,
			"the key in %s is encrypted, and no line of %s is its passphrase",
			pair->key, passphrases->path);
	} else {
		snprintf(error, TLS_ERROR_MAX, "the key in %s is encrypted with a passphrase%s",
			pair->key, passphrases ? ": name a file with it (key-password-file)" : "");
	}
}

/* Without a passphrase first, then with each. 0 or the error of GnuTLS. */
static int use_pair(gnutls_certificate_credentials_t into, const gnutls_datum_t *cert,
	const gnutls_datum_t *key, const struct tls_passphrases *passphrases) {
	const char *passphrase = NULL;
	int status = gnutls_certificate_set_x509_key_mem(into, cert, key, GNUTLS_X509_FMT_PEM);
	while(status == GNUTLS_E_DECRYPTION_FAILED && passphrases && passphrases->text &&
		(passphrase = next_passphrase(passphrases, passphrase))) {
		status = gnutls_certificate_set_x509_key_mem2(
			into, cert, key, GNUTLS_X509_FMT_PEM, passphrase, 0);
	}
	return status < 0 ? status : 0;
}

int tls_pem_load_pair(gnutls_certificate_credentials_t into, const struct tls_pair *pair,
	const struct tls_passphrases *passphrases, char error[TLS_ERROR_MAX]) {
	gnutls_datum_t cert_pem;
	gnutls_datum_t key_pem = {0};
	struct tls_pair files = {pair->cert, pair->key ? pair->key : pair->cert};
	int result = read_pem(files.cert, &cert_pem, error);
	result = result ? result : read_pem(files.key, &key_pem, error);
	if(result == 0) {
		int status = use_pair(into, &cert_pem, &key_pem, passphrases);
		if(status < 0) {
			explain_pair(status, &files, passphrases, error);
			result = -EINVAL;
		}
	}
	free_pem(&cert_pem);
	free_pem(&key_pem);
	return result;
}

/* ---- certificates ---- */

int tls_pem_load_leaf(gnutls_x509_crt_t *out, const char *file, char error[TLS_ERROR_MAX]) {
	gnutls_datum_t text;
	gnutls_x509_crt_t *list;
	unsigned count;
	int result = read_pem(file, &text, error);
	if(result) {
		return result;
	}
	int status = gnutls_x509_crt_list_import2(&list, &count, &text, GNUTLS_X509_FMT_PEM, 0);
	free_pem(&text);
	if(status < 0) {
		snprintf(error, TLS_ERROR_MAX, "cannot use certificate %s: %s", file,
			gnutls_strerror(status));
		return -EINVAL;
	}
	while(count > 1) {
		gnutls_x509_crt_deinit(list[--count]);
	}
	*out = list[0];
	gnutls_free(list);
	return 0;
}

static int load_system_authorities(
	gnutls_certificate_credentials_t into, char error[TLS_ERROR_MAX]) {
	int status = gnutls_certificate_set_x509_system_trust(into);
	if(status >= 0) {
		return 0;
	}
	snprintf(error, TLS_ERROR_MAX, "cannot read authorities from the system: %s",
		gnutls_strerror(status));
	return -EINVAL;
}

int tls_pem_load_authorities(
	gnutls_certificate_credentials_t into, const char *file, char error[TLS_ERROR_MAX]) {
	gnutls_datum_t text;
	if(!file) {
		return load_system_authorities(into, error);
	}
	int result = read_pem(file, &text, error);
	if(result) {
		return result;
	}
	int status = gnutls_certificate_set_x509_trust_mem(into, &text, GNUTLS_X509_FMT_PEM);
	free_pem(&text);
	if(status > 0) {
		return 0;
	}
	snprintf(error, TLS_ERROR_MAX, "cannot read authorities from %s: %s", file,
		status == 0 ? "the file contains none" : gnutls_strerror(status));
	return -EINVAL;
}

int tls_pem_load_revoked(
	gnutls_certificate_credentials_t into, const char *file, char error[TLS_ERROR_MAX]) {
	gnutls_datum_t text;
	int result = read_pem(file, &text, error);
	if(result) {
		return result;
	}
	int status = gnutls_certificate_set_x509_crl_mem(into, &text, GNUTLS_X509_FMT_PEM);
	free_pem(&text);
	if(status > 0) {
		return 0;
	}
	snprintf(error, TLS_ERROR_MAX, "cannot read revoked certificates from %s: %s", file,
		status == 0 ? "the file contains no list" : gnutls_strerror(status));
	return -EINVAL;
}
