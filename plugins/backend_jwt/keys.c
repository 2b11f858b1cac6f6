/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys in PEM, DER, and JSON Web Keys.
 *
 * Must not know: tokens, where the texts are from.
 * Invariant: a text that is a public key in any known form does not become a secret: others know
 * it, and could make tokens with it.
 */
#include "plugins/backend_jwt/keys.h"

#include "plugins/backend_jwt/base64url.h"
#include "plugins/common/json.h"

#include <gnutls/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 4096 /* characters of a number of a key: more than RSA of 16384 bits */
#define PEM_BEGIN "-----BEGIN "

void keys_free(struct keys *keys) {
	for(size_t i = 0; i < keys->count; i++) {
		struct algorithm_key *key = &keys->entry[i].key;
		if(key->secret.data) {
			explicit_bzero(key->secret.data, key->secret.size);
			free(key->secret.data);
		}
		if(key->pubkey) {
			gnutls_pubkey_deinit(key->pubkey);
		}
	}
	keys->count = 0;
}

static bool set_secret(struct algorithm_key *key, const void *data, size_t len) {
	key->secret.data = malloc(len);
	if(!key->secret.data) {
		return false;
	}
	memcpy(key->secret.data, data, len);
	key->secret.size = (unsigned)len;
	return true;
}

/* ---- files with one key ---- */

static bool import_certificate(gnutls_pubkey_t pubkey, const gnutls_datum_t *text) {
	gnutls_x509_crt_t certificate;
	if(gnutls_x509_crt_init(&certificate) < 0) {
		return false;
	}
	bool done = gnutls_x509_crt_import(certificate, text, GNUTLS_X509_FMT_PEM) == 0 &&
		gnutls_pubkey_import_x509(pubkey, certificate, 0) == 0;
	gnutls_x509_crt_deinit(certificate);
	return done;
}

static bool import(gnutls_pubkey_t pubkey, const gnutls_datum_t *text, bool pem) {
	if(pem && memmem(text->data, text->size, PEM_BEGIN "CERT", sizeof(PEM_BEGIN "CERT") - 1)) {
		return import_certificate(pubkey, text);
	}
	return gnutls_pubkey_import(
		       pubkey, text, pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER) == 0;
}

/* Is it a public key? Then it is the key. */
static bool set_public(struct algorithm_key *key, const gnutls_datum_t *text, bool pem) {
	if(gnutls_pubkey_init(&key->pubkey) < 0) {
		key->pubkey = NULL;
		return false;
	}
	if(!import(key->pubkey, text, pem)) {
		gnutls_pubkey_deinit(key->pubkey);
		key->pubkey = NULL;
	}
	return key->pubkey != NULL;
}

const char *keys_read_one(struct keys *keys, const char *text, size_t len) {
	struct keys_entry *entry = &keys->entry[0];
	const gnutls_datum_t datum = {(unsigned char *)text, (unsigned)len};
	bool pem = memmem(text, len, PEM_BEGIN, sizeof(PEM_BEGIN) - 1);
	*entry = (struct keys_entry){.kid = ""};
	if(set_public(&entry->key, &datum, pem)) {
		keys->count = 1;
		return NULL;
	}
	if(pem) {
		return "must be a public key or a certificate if it is PEM";
	}
	if(json_read(text, len).kind == JSON_OBJECT) {
		return "must not be JSON (a set of keys is given with jwks)";
	}
	len -= len > 0 && text[len - 1] == '\n';
	if(len == 0) {
		return "must not be empty";
	}
	keys->count = set_secret(&entry->key, text, len);
	return keys->count ? NULL : "cannot be read: out of memory";
}

/* ---- sets of keys ---- */

/* Reads a member in base64url; the result is to be freed. */
static bool read_number(struct json_value object, const char *name, gnutls_datum_t *out) {
	char text[NUMBER_TEXT_MAX];
	size_t len;
	*out = (gnutls_datum_t){NULL, 0};
	if(!json_string(json_member(object, name), text, sizeof(text))) {
		return false;
	}
	out->data = malloc(BASE64URL_DECODED(strlen(text)));
	bool valid = out->data && base64url_decode(text, strlen(text), out->data, &len) && len > 0;
	explicit_bzero(text, sizeof(text));
	if(valid) {
		out->size = (unsigned)len;
	}
	return valid;
}

static bool set_oct(struct algorithm_key *key, struct json_value object) {
	gnutls_datum_t secret;
	bool done = read_number(object, "k", &secret) && set_secret(key, secret.data, secret.size);
	if(secret.data) {
		explicit_bzero(secret.data, secret.size);
	}
	free(secret.data);
	return done;
}

static bool set_rsa(struct algorithm_key *key, struct json_value object) {
	gnutls_datum_t n;
	gnutls_datum_t e = {NULL, 0};
	bool done = read_number(object, "n", &n) && read_number(object, "e", &e) &&
		gnutls_pubkey_import_rsa_raw(key->pubkey, &n, &e) == 0;
	free(n.data);
	free(e.data);
	return done;
}

static gnutls_ecc_curve_t find_curve(struct json_value object) {
	static const struct {
		const char *name;
		gnutls_ecc_curve_t curve;
	} curves[] = {
		{"P-256", GNUTLS_ECC_CURVE_SECP256R1},
		{"P-384", GNUTLS_ECC_CURVE_SECP384R1},
		{"P-521", GNUTLS_ECC_CURVE_SECP521R1},
		{"Ed25519", GNUTLS_ECC_CURVE_ED25519},
		{"Ed448", GNUTLS_ECC_CURVE_ED448},
	};
	char name[KEYS_NAME_MAX];
	bool given = json_string(json_member(object, "crv"), name, sizeof(name));
	for(size_t i = 0; given && i < sizeof(curves) / sizeof(curves[0]); i++) {
		if(!strcmp(name, curves[i].name)) {
			return curves[i].curve;
		}
	}
	return GNUTLS_ECC_CURVE_INVALID;
}

/* Keys of EdDSA have no y. */
static bool set_curve_point(struct algorithm_key *key, struct json_value object) {
	gnutls_ecc_curve_t curve = find_curve(object);
	bool edwards = curve == GNUTLS_ECC_CURVE_ED25519 || curve == GNUTLS_ECC_CURVE_ED448;
	gnutls_datum_t x;
	gnutls_datum_t y = {NULL, 0};
	bool done = read_number(object, "x", &x) && curve != GNUTLS_ECC_CURVE_INVALID &&
		(edwards || read_number(object, "y", &y)) &&
		gnutls_pubkey_import_ecc_raw(key->pubkey, curve, &x, edwards ? NULL : &y) == 0;
	free(x.data);
	free(y.data);
	return done;
}

static bool read_key(struct algorithm_key *key, struct json_value object, const char *kty) {
	if(!strcmp(kty, "oct")) {
		return set_oct(key, object);
	}
	if(gnutls_pubkey_init(&key->pubkey) < 0) {
		key->pubkey = NULL;
		return false;
	}
	bool rsa = !strcmp(kty, "RSA");
	bool point = !strcmp(kty, "EC") || !strcmp(kty, "OKP");
	if((rsa && set_rsa(key, object)) || (point && set_curve_point(key, object))) {
		return true;
	}
	gnutls_pubkey_deinit(key->pubkey);
	key->pubkey = NULL;
	return false;
}

/* A text of a key; "" if there is none. False: it is not a text, or too long. */
static bool read_text(struct json_value object, const char *name, char out[KEYS_NAME_MAX]) {
	struct json_value value = json_member(object, name);
	out[0] = '\0';
	return value.kind == JSON_MISSING || json_string(value, out, KEYS_NAME_MAX);
}

static bool read_entry(struct keys_entry *entry, struct json_value object) {
	char kty[KEYS_NAME_MAX];
	char use[KEYS_NAME_MAX];
	*entry = (struct keys_entry){.kid = ""};
	if(!read_text(object, "kid", entry->kid) || !read_text(object, "alg", entry->alg) ||
		!read_text(object, "use", use) || !read_text(object, "kty", kty)) {
		return false;
	}
	return (!use[0] || !strcmp(use, "sig")) && read_key(&entry->key, object, kty);
}

const char *keys_read_set(struct keys *keys, const char *text, size_t len) {
	struct json_value array = json_member(json_read(text, len), "keys");
	struct json_value element = {.kind = JSON_MISSING};
	if(array.kind != JSON_ARRAY) {
		return "must be a JSON object with an array \"keys\" (JWKS)";
	}
	while((element = json_next(array, element)).kind != JSON_MISSING) {
		if(keys->count == KEYS_MAX) {
			return "must not have more than 32 keys";
		}
		keys->count += read_entry(&keys->entry[keys->count], element);
	}
	return keys->count ? NULL : "must have a usable key for signatures";
}
