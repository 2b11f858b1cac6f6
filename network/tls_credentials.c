/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS: certificates, keys and authorities.
 *
 * Must not know: streams, sessions.
 * Invariants: credentials do not change once they have been opened.
 */
#include "network/tls_credentials.h"

#include "network/tls_internal.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tls_credentials_cover(const struct tls_choice *choice, const char *name, unsigned flags) {
	return gnutls_x509_crt_check_hostname2(choice->leaf, name, flags) != 0;
}

struct tls_credentials *tls_credentials_ref(struct tls_credentials *context) {
	context->references++;
	return context;
}

static void free_choices(struct tls_credentials *context) {
	for(size_t i = 0; i < context->choices; i++) {
		const struct tls_choice *choice = &context->choice[i];
		if(choice->leaf) {
			gnutls_x509_crt_deinit(choice->leaf);
		}
		if(choice->credentials) {
			gnutls_certificate_free_credentials(choice->credentials);
		}
	}
	free(context->choice);
}

void tls_credentials_unref(struct tls_credentials *context) {
	if(!context || --context->references > 0) {
		return;
	}
	free_choices(context);
	if(context->credentials) {
		gnutls_certificate_free_credentials(context->credentials);
	}
	if(context->priority) {
		gnutls_priority_deinit(context->priority);
	}
	if(context->ticket_key.data) {
		gnutls_memset(context->ticket_key.data, 0, context->ticket_key.size);
		gnutls_free(context->ticket_key.data);
	}
	free(context);
}

static int context_new(
	struct tls_credentials **out, const char *priority, char error[TLS_ERROR_MAX]) {
	const char *position;
	struct tls_credentials *context = calloc(1, sizeof(*context));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if(!context) {
		return -ENOMEM;
	}
	context->references = 1;
	if(gnutls_certificate_allocate_credentials(&context->credentials) < 0) {
		tls_credentials_unref(context);
		return -ENOMEM;
	}
	priority = priority ? priority : TLS_PRIORITY_DEFAULT;
	if(gnutls_priority_init(&context->priority, priority, &position) < 0) {
		snprintf(error, TLS_ERROR_MAX, "priority string: error at \"%s\"", position);
		tls_credentials_unref(context);
		return -EINVAL;
	}
	*out = context;
	return 0;
}

/* GnuTLS says only that it could not read. */
static int check_readable(const char *path, char error[TLS_ERROR_MAX]) {
	if(access(path, R_OK) == 0) {
		return 0;
	}
	int result = -errno;
	snprintf(error, TLS_ERROR_MAX, "cannot read %s: %s", path, strerror(-result));
	return result;
}

static int load_pair(gnutls_certificate_credentials_t credentials, const char *cert,
	const char *key, char error[TLS_ERROR_MAX]) {
	key = key ? key : cert;
	int result = check_readable(cert, error);
	result = result ? result : check_readable(key, error);
	if(result) {
		return result;
	}
	int status =
		gnutls_certificate_set_x509_key_file(credentials, cert, key, GNUTLS_X509_FMT_PEM);
	if(status >= 0) {
		return 0;
	}
	if(status == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
		snprintf(error, TLS_ERROR_MAX,
			"the certificate in %s does not belong to the key in %s", cert, key);
	} else if(status == GNUTLS_E_DECRYPTION_FAILED) {
		snprintf(error, TLS_ERROR_MAX,
			"the key in %s has a passphrase, and there is nobody to ask for it", key);
	} else {
		snprintf(error, TLS_ERROR_MAX, "cannot use certificate %s with key %s: %s", cert,
			key, gnutls_strerror(status));
	}
	return -EINVAL;
}

/*
 * Takes the first certificate out of a file. Of a pair that it cannot use GnuTLS does not tell which file is wrong: this
 * one if it fails here.
 */
static int load_leaf(gnutls_x509_crt_t *out, const char *file, char error[TLS_ERROR_MAX]) {
	gnutls_datum_t text;
	gnutls_x509_crt_t *list;
	unsigned count;
	int result = check_readable(file, error);
	if(result) {
		return result;
	}
	int status = gnutls_load_file(file, &text);
	if(status >= 0) {
		status = gnutls_x509_crt_list_import2(&list, &count, &text, GNUTLS_X509_FMT_PEM, 0);
		gnutls_free(text.data);
	}
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

static int load_authorities(
	gnutls_certificate_credentials_t credentials, const char *file, char error[TLS_ERROR_MAX]) {
	int result = file ? check_readable(file, error) : 0;
	if(result) {
		return result;
	}
	int status = file
		? gnutls_certificate_set_x509_trust_file(credentials, file, GNUTLS_X509_FMT_PEM)
		: gnutls_certificate_set_x509_system_trust(credentials);
	if(status > 0 || (status == 0 && !file)) {
		return 0;
	}
	snprintf(error, TLS_ERROR_MAX, "cannot read authorities from %s: %s",
		file ? file : "the system",
		status == 0 ? "there are none in it" : gnutls_strerror(status));
	return -EINVAL;
}

static int load_pairs(struct tls_credentials *context, const struct tls_server_options *options,
	struct tls_error *error) {
	int result = 0;
	error->option = "cert";
	context->choice = calloc(options->pairs, sizeof(*context->choice));
	if(!context->choice) {
		return -ENOMEM;
	}
	context->choices = options->pairs;
	for(size_t i = 0; i < options->pairs && result == 0; i++) {
		const struct tls_pair *pair = &options->pair[i];
		error->pair = i;
		error->option = "cert";
		result = load_leaf(&context->choice[i].leaf, pair->cert, error->text);
		if(result == 0) {
			error->option = pair->key ? "key" : "cert";
			result =
				load_pair(context->credentials, pair->cert, pair->key, error->text);
		}
	}
	return result;
}

/* Has the certificate all names of the other one? */
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

/* What a client gets that asks for a name of the pair: it, and those with other algorithms for the same names. */
static int load_choice(struct tls_credentials *context, const struct tls_server_options *options,
	size_t number, char error[TLS_ERROR_MAX]) {
	struct tls_choice *choice = &context->choice[number];
	int result = 0;
	if(gnutls_certificate_allocate_credentials(&choice->credentials) < 0) {
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	for(size_t i = 0; i < options->pairs && result == 0; i++) {
		if(i == number || covers_all(&context->choice[i], choice->leaf)) {
			result = load_pair(choice->credentials, options->pair[i].cert,
				options->pair[i].key, error);
		}
	}
	if(result == 0 && options->client_ca) {
		result = load_authorities(choice->credentials, options->client_ca, error);
	}
	return result;
}

int tls_credentials_open_server(struct tls_credentials **out,
	const struct tls_server_options *options, struct tls_error *error) {
	struct tls_credentials *context;
	*error = (struct tls_error){.option = "tls-priority"};
	int result = context_new(&context, options->priority, error->text);
	if(result) {
		return result;
	}
	context->verify = options->verify;
	result = load_pairs(context, options, error);
	if(result == 0 && options->client_ca) {
		error->option = "client-ca";
		result = load_authorities(context->credentials, options->client_ca, error->text);
	}
	for(size_t i = 0; i < options->pairs && options->pairs > 1 && result == 0; i++) {
		result = load_choice(context, options, i, error->text);
	}
	if(result == 0 && gnutls_session_ticket_key_generate(&context->ticket_key) < 0) {
		snprintf(error->text, sizeof(error->text), "cannot make a key for session tickets");
		result = -EIO;
	}
	if(result) {
		tls_credentials_unref(context);
		return result;
	}
	*out = context;
	return 0;
}

int tls_credentials_open_client(struct tls_credentials **out,
	const struct tls_client_options *options, char error[TLS_ERROR_MAX]) {
	struct tls_credentials *context;
	int result = context_new(&context, NULL, error);
	if(result) {
		return result;
	}
	context->insecure = options->insecure;
	if(options->cert) {
		result = load_pair(context->credentials, options->cert, options->key, error);
	}
	if(result == 0 && !options->insecure) {
		result = load_authorities(context->credentials, options->ca, error);
	}
	if(result) {
		tls_credentials_unref(context);
		return result;
	}
	*out = context;
	return 0;
}
