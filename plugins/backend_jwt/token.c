/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The form, the signature and the validity of JSON Web Tokens.
 *
 * Must not know: requests, the peer, files.
 * Invariants: the algorithm is one of those of the rules and fits the key, whatever the token says;
 * claims are read only after the signature has been verified.
 */
#include "plugins/backend_jwt/token.h"

#include "plugins/backend_jwt/base64url.h"

#include <string.h>

#define TOKEN_PARTS 3
#define TOKEN_PARTS_ENCRYPTED 5
#define TOKEN_HEADER_MAX 2048 /* characters */
#define TOKEN_SIGNATURE_MAX 4096
#define TOKEN_TEXT_MAX 1024 /* bytes of iss and aud with their NUL */
#define TOKEN_INVALID "The token is invalid."

/* What the header says that matters. */
struct token_header {
	const struct algorithm *algorithm;
	char kid[KEYS_NAME_MAX]; /* "": none */
};

/* ---- the form ---- */

/* Splits at the dots: the number of parts, of which the first TOKEN_PARTS are set. */
static size_t split(const char *token, struct json_value part[TOKEN_PARTS]) {
	for(size_t count = 0;; count++) {
		size_t len = strcspn(token, ".");
		if(count < TOKEN_PARTS) {
			part[count] = (struct json_value){.at = token, .len = len};
		}
		if(!token[len]) {
			return count + 1;
		}
		token += len + 1;
	}
}

static const struct algorithm *find_algorithm(const struct token_rules *rules, const char *name) {
	for(size_t i = 0; i < rules->algorithms; i++) {
		if(!strcmp(rules->algorithm[i]->name, name)) {
			return rules->algorithm[i];
		}
	}
	return NULL;
}

static const char *read_header(const struct token_rules *rules, const struct json_value *part,
	struct token_header *header) {
	uint8_t text[BASE64URL_DECODED(TOKEN_HEADER_MAX)];
	char name[KEYS_NAME_MAX];
	size_t len;
	if(part->len > TOKEN_HEADER_MAX || !base64url_decode(part->at, part->len, text, &len)) {
		return TOKEN_INVALID;
	}
	struct json_value object = json_read((const char *)text, len);
	struct json_value kid = json_member(object, "kid");
	if(json_member(object, "enc").kind != JSON_MISSING) {
		return TOKEN_ENCRYPTED;
	}
	/* None of the extensions that are critical is known (RFC 7515 section 4.1.11). */
	if(json_member(object, "crit").kind != JSON_MISSING ||
		!json_string(json_member(object, "alg"), name, sizeof(name)) ||
		(kid.kind != JSON_MISSING && !json_string(kid, header->kid, KEYS_NAME_MAX))) {
		return TOKEN_INVALID;
	}
	header->algorithm = find_algorithm(rules, name);
	return header->algorithm ? NULL : "The algorithm of the token is not allowed.";
}

/* ---- the signature ---- */

static bool is_candidate(const struct keys_entry *entry, const struct token_header *header) {
	bool named = header->kid[0] && entry->kid[0];
	return (!named || !strcmp(header->kid, entry->kid)) &&
		(!entry->alg[0] || !strcmp(entry->alg, header->algorithm->name)) &&
		algorithm_fits(header->algorithm, &entry->key);
}

static bool has_signature(const struct keys *keys, const struct token_header *header,
	gnutls_datum_t text, const struct json_value *part) {
	uint8_t bytes[BASE64URL_DECODED(TOKEN_SIGNATURE_MAX)];
	size_t len;
	if(part->len > TOKEN_SIGNATURE_MAX || !base64url_decode(part->at, part->len, bytes, &len)) {
		return false;
	}
	const gnutls_datum_t signature = {bytes, (unsigned)len};
	for(size_t i = 0; i < keys->count; i++) {
		const struct keys_entry *entry = &keys->entry[i];
		if(is_candidate(entry, header) &&
			algorithm_verify(header->algorithm, &entry->key, text, signature)) {
			return true;
		}
	}
	return false;
}

const char *token_verify(const struct token_rules *rules, const struct keys *keys,
	const char *token, char *claims, size_t *len) {
	struct json_value part[TOKEN_PARTS];
	struct token_header header = {.algorithm = NULL};
	if(strlen(token) > TOKEN_MAX) {
		return "The token is too long.";
	}
	size_t parts = split(token, part);
	if(parts == TOKEN_PARTS_ENCRYPTED) {
		return TOKEN_ENCRYPTED;
	}
	if(parts != TOKEN_PARTS) {
		return TOKEN_INVALID;
	}
	const char *wrong = read_header(rules, &part[0], &header);
	if(wrong) {
		return wrong;
	}
	const gnutls_datum_t text = {
		(unsigned char *)token, (unsigned)(part[0].len + 1 + part[1].len)};
	if(!has_signature(keys, &header, text, &part[2])) {
		return "The signature of the token is invalid.";
	}
	if(!base64url_decode(part[1].at, part[1].len, (uint8_t *)claims, len)) {
		return TOKEN_INVALID;
	}
	claims[*len] = '\0';
	return json_read(claims, *len).kind == JSON_OBJECT ? NULL : TOKEN_INVALID;
}

/* ---- claims ---- */

static bool is_text(struct json_value value, const char *expected) {
	char text[TOKEN_TEXT_MAX];
	return json_string(value, text, sizeof(text)) && !strcmp(text, expected);
}

/* A text, or an array that has it. */
static bool has_text(struct json_value value, const char *expected) {
	struct json_value element = {.kind = JSON_MISSING};
	if(value.kind != JSON_ARRAY) {
		return is_text(value, expected);
	}
	while((element = json_next(value, element)).kind != JSON_MISSING) {
		if(is_text(element, expected)) {
			return true;
		}
	}
	return false;
}

/* The time of a claim; `missing` if there is none. False: it is not a number. */
static bool read_time(
	struct json_value claims, const char *name, int64_t missing, int64_t *seconds) {
	struct json_value value = json_member(claims, name);
	*seconds = missing;
	return value.kind == JSON_MISSING || json_integer(value, seconds);
}

const char *token_check_claims(
	const struct token_rules *rules, struct json_value claims, int64_t now, int64_t *expires) {
	int64_t exp;
	int64_t nbf;
	bool limited = json_member(claims, "exp").kind != JSON_MISSING;
	if(!read_time(claims, "exp", 0, &exp) || !read_time(claims, "nbf", 0, &nbf)) {
		return TOKEN_INVALID;
	}
	if(limited && exp + rules->leeway <= now) {
		return "The token has expired.";
	}
	if(nbf - rules->leeway > now) {
		return "The token is not valid yet.";
	}
	if(rules->issuer && !is_text(json_member(claims, "iss"), rules->issuer)) {
		return "The issuer of the token is not accepted.";
	}
	if(rules->audience && !has_text(json_member(claims, "aud"), rules->audience)) {
		return "The token is not for this service.";
	}
	*expires = limited ? exp + rules->leeway : 0;
	return NULL;
}
