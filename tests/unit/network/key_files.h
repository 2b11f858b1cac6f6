/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Private keys in files.
 */
#ifndef WEBSOCKSY_TESTS_KEY_FILES_H
#define WEBSOCKSY_TESTS_KEY_FILES_H
#include "support.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>

static inline void write_file(const char *path, const void *data, size_t len) {
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static inline gnutls_x509_privkey_t make_key(const char *path) {
	gnutls_x509_privkey_t key;
	gnutls_datum_t text;
	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
				 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text), 0);
	write_file(path, text.data, text.size);
	gnutls_free(text.data);
	return key;
}
#endif
