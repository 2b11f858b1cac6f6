/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys of the backend `jwt`: a file with one key, or a set of keys (JWKS, RFC 7517).
 */
#ifndef WEBSOCKSY_PLUGIN_JWT_KEYS_H
#define WEBSOCKSY_PLUGIN_JWT_KEYS_H
#include "plugins/backend_jwt/algorithm.h"

#define KEYS_MAX 32
#define KEYS_FILE_MAX 65536
#define KEYS_NAME_MAX 128 /* bytes of kid and alg with their NUL */

struct keys_entry {
	struct algorithm_key key;
	char kid[KEYS_NAME_MAX]; /* "": none */
	char alg[KEYS_NAME_MAX]; /* the only algorithm; "": any that fits */
};

struct keys {
	struct keys_entry entry[KEYS_MAX];
	size_t count;
};

/*
 * Both read the content of a file: NULL, or static text about the error, as in "must be ...". The
 * keys are to be freed in either case; they are empty before.
 *
 * One key: PEM (a public key or a certificate), DER (a public key), otherwise a secret; one line
 * feed at its end does not belong to it.
 */
const char *keys_read_one(struct keys *keys, const char *text, size_t len);
/* Keys of a set that are of another kind, or for encryption, are left out. */
const char *keys_read_set(struct keys *keys, const char *text, size_t len);

/* Overwrites secrets. */
void keys_free(struct keys *keys);
#endif
