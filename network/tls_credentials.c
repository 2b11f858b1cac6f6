/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS: certificates, keys and authorities.
 *
 * Must not know: streams, sessions.
 * Invariants: once they have been opened, credentials do not change, but for the key of session
 * tickets.
 */
#include "network/tls_credentials.h"

#include "network/tls_internal.h"
#include "network/tls_pem.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tls_credentials_cover(const struct tls_choice *choice, const char *name, unsigned flags) {
	return gnutls_x509_crt_check_hostname2(choice->leaf, name, flags) != 0;
}

struct tls_credentials *tls_credentials_ref(struct tls_credentials *credentials) {
	credentials->references++;
	return credentials;
}

static void free_choices(struct tls_credentials *credentials) {
	for(size_t i = 0; i < credentials->choices; i++) {
		const struct tls_choice *choice = &credentials->choice[i];
		if(choice->leaf) {
			gnutls_x509_crt_deinit(choice->leaf);
		}
		if(choice->credentials) {
			gnutls_certificate_free_credentials(choice->credentials);
		}
	}
	free(credentials->choice);
}

static void free_ticket_key(gnutls_datum_t *key) {
	if(key->data) {
		gnutls_memset(key->data, 0, key->size);
		gnutls_free(key->data);
		*key = (gnutls_datum_t){0};
	}
}

void tls_credentials_set_digest(
	struct tls_credentials *credentials, const uint8_t digest[TLS_TICKETS_DIGEST]) {
	memcpy(credentials->digest, digest, TLS_TICKETS_DIGEST);
}

void tls_credentials_share_tickets(
	struct tls_credentials *credentials, const struct tls_tickets *tickets) {
	credentials->tickets = tickets;
}

static const gnutls_datum_t *shared_ticket_key(struct tls_credentials *credentials) {
	gnutls_datum_t *key = &credentials->ticket_key;
	bool fits = key->size == TLS_TICKETS_KEY;
	if(fits && credentials->generation != atomic_load(&credentials->tickets->generation)) {
		credentials->generation =
			tls_tickets_key(credentials->tickets, credentials->digest, key->data);
	}
	return fits ? key : NULL;
}

const gnutls_datum_t *tls_credentials_ticket_key(
	struct tls_credentials *credentials, uint64_t now_ms) {
	gnutls_datum_t *key = &credentials->ticket_key;
	if(credentials->tickets) {
		return shared_ticket_key(credentials);
	}
	bool old = credentials->ticket_key_ms > 0 &&
		now_ms - credentials->ticket_key_ms >= TLS_TICKET_KEY_MS;
	if(credentials->ticket_key_ms == 0 || old) {
		credentials->ticket_key_ms = now_ms;
	}
	if(old) {
		free_ticket_key(key);
		if(gnutls_session_ticket_key_generate(key) < 0) {
			*key = (gnutls_datum_t){0};
		}
	}
	return key->data ? key : NULL;
}

void tls_credentials_unref(struct tls_credentials *credentials) {
	if(!credentials || --credentials->references > 0) {
		return;
	}
	free_choices(credentials);
	if(credentials->all) {
		gnutls_certificate_free_credentials(credentials->all);
	}
	if(credentials->priority) {
		gnutls_priority_deinit(credentials->priority);
	}
	free_ticket_key(&credentials->ticket_key);
	for(size_t i = 0; i < credentials->names; i++) {
		free(credentials->name[i]);
	}
	free(credentials->name);
	free(credentials);
}

static int credentials_new(
	struct tls_credentials **out, const char *priority, char error[TLS_ERROR_MAX]) {
	const char *position;
	struct tls_credentials *credentials = calloc(1, sizeof(*credentials));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if(!credentials) {
		return -ENOMEM;
	}
	credentials->references = 1;
	if(gnutls_certificate_allocate_credentials(&credentials->all) < 0) {
		tls_credentials_unref(credentials);
		return -ENOMEM;
	}
	if(gnutls_priority_init(&credentials->priority, priority, &position) < 0) {
		snprintf(error, TLS_ERROR_MAX, "priority string: error at \"%s\"", position);
		tls_credentials_unref(credentials);
		return -EINVAL;
	}
	*out = credentials;
	return 0;
}

static int load_pairs(struct tls_credentials *credentials, const struct tls_server_options *options,
	const struct tls_passphrases *passphrases, struct tls_error *error) {
	int result = 0;
	error->option = "cert";
	credentials->choice = calloc(options->pairs, sizeof(*credentials->choice));
	if(!credentials->choice) {
		return -ENOMEM;
	}
	credentials->choices = options->pairs;
	for(size_t i = 0; i < options->pairs && result == 0; i++) {
		const struct tls_pair *pair = &options->pair[i];
		error->pair = i;
		error->option = "cert";
		result = tls_pem_load_leaf(&credentials->choice[i].leaf, pair->cert, error->text);
		if(result == 0) {
			error->option = pair->key ? "key" : "cert";
			result =
				tls_pem_load_pair(credentials->all, pair, passphrases, error->text);
		}
	}
	return result;
}

/* Is the certificate valid for all names of the other one? */
static bool covers_all(const struct tls_choice *choice, gnutls_x509_crt_t other) {
	unsigned names = 0;
	for(unsigned i = 0;; i++) {
		char name[256];
		size_t len = sizeof(name);
		int type = gnutls_x509_crt_get_subject_alt_name(other, i, name, &len, NULL);
		if(type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
			return names > 0;
		}
		if(type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER) {
			return false;
		}
		if(type != GNUTLS_SAN_DNSNAME) {
			continue;
		}
		if(!tls_credentials_cover(choice, name, 0)) {
			return false;
		}
		names++;
	}
}

/*
 * The credentials for a name of this pair: it, and pairs with other algorithms for the same names.
 */
static int load_choice(struct tls_credentials *credentials,
	const struct tls_server_options *options, size_t number,
	const struct tls_passphrases *passphrases, char error[TLS_ERROR_MAX]) {
	struct tls_choice *choice = &credentials->choice[number];
	int result = 0;
	if(gnutls_certificate_allocate_credentials(&choice->credentials) < 0) {
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	for(size_t i = 0; i < options->pairs && result == 0; i++) {
		if(i == number || covers_all(&credentials->choice[i], choice->leaf)) {
			result = tls_pem_load_pair(
				choice->credentials, &options->pair[i], passphrases, error);
		}
	}
	return result;
}

/* The pairs, all together and for each name. */
static int load_all_pairs(struct tls_credentials *credentials,
	const struct tls_server_options *options, struct tls_error *error) {
	struct tls_passphrases passphrases;
	error->option = "key-password-file";
	int result = tls_pem_load_passphrases(&passphrases, options->passphrases, error->text);
	if(result) {
		return result;
	}
	result = load_pairs(credentials, options, &passphrases, error);
	for(size_t i = 0; i < options->pairs && options->pairs > 1 && result == 0; i++) {
		result = load_choice(credentials, options, i, &passphrases, error->text);
	}
	tls_pem_free_passphrases(&passphrases);
	return result;
}

/* All that certificates of clients are verified by. */
static int load_client_verification(gnutls_certificate_credentials_t into,
	const struct tls_server_options *options, struct tls_error *error) {
	int result = 0;
	if(options->client_ca) {
		error->option = "client-ca";
		result = tls_pem_load_authorities(into, options->client_ca, error->text);
	}
	for(size_t i = 0; i < options->crls && result == 0; i++) {
		error->option = "client-crl";
		error->pair = i;
		result = tls_pem_load_revoked(into, options->crl[i], error->text);
	}
	return result;
}

static int copy_names(
	struct tls_credentials *credentials, const struct tls_server_options *options) {
	if(options->names == 0) {
		return 0;
	}
	credentials->name = calloc(options->names, sizeof(*credentials->name));
	if(!credentials->name) {
		return -ENOMEM;
	}
	for(; credentials->names < options->names; credentials->names++) {
		char *copy = strdup(options->name[credentials->names]);
		if(!copy) {
			return -ENOMEM;
		}
		credentials->name[credentials->names] = copy;
	}
	return 0;
}

static int load_server(struct tls_credentials *credentials,
	const struct tls_server_options *options, struct tls_error *error) {
	int result = load_all_pairs(credentials, options, error);
	result = result ? result : load_client_verification(credentials->all, options, error);
	for(size_t i = 0; i < options->pairs && options->pairs > 1 && result == 0; i++) {
		result = load_client_verification(
			credentials->choice[i].credentials, options, error);
	}
	if(result) {
		return result;
	}
	if(copy_names(credentials, options)) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return -ENOMEM;
	}
	if(gnutls_session_ticket_key_generate(&credentials->ticket_key) < 0) {
		snprintf(error->text, sizeof(error->text), "cannot make a key for session tickets");
		return -EIO;
	}
	return 0;
}

int tls_credentials_open_server(struct tls_credentials **out,
	const struct tls_server_options *options, struct tls_error *error) {
	struct tls_credentials *credentials;
	*error = (struct tls_error){.option = "tls-priority"};
	int result = credentials_new(&credentials,
		options->priority ? options->priority : TLS_PRIORITY_SERVER, error->text);
	if(result) {
		return result;
	}
	credentials->verify = options->verify;
	result = load_server(credentials, options, error);
	if(result) {
		tls_credentials_unref(credentials);
		return result;
	}
	*out = credentials;
	return 0;
}

int tls_credentials_open_client(struct tls_credentials **out,
	const struct tls_client_options *options, char error[TLS_ERROR_MAX]) {
	struct tls_credentials *credentials;
	int result = credentials_new(&credentials, TLS_PRIORITY_CLIENT, error);
	if(result) {
		return result;
	}
	credentials->insecure = options->insecure;
	if(options->cert) {
		struct tls_pair pair = {options->cert, options->key};
		result = tls_pem_load_pair(credentials->all, &pair, NULL, error);
	}
	if(result == 0 && !options->insecure) {
		result = tls_pem_load_authorities(credentials->all, options->ca, error);
	}
	if(result) {
		tls_credentials_unref(credentials);
		return result;
	}
	*out = credentials;
	return 0;
}
