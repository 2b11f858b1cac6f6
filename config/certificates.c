/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the settings of TLS to the credentials of the server.
 */
#include "config/certificates.h"

#include <errno.h>
#include <stdlib.h>

int certificates_open(
	const struct settings *settings, struct tls_credentials **out, struct tls_error *error) {
	*out = NULL;
	if(settings->tls == SETTINGS_TLS_OFF || settings->cert.count == 0) {
		return 0;
	}
	struct tls_pair *pairs = calloc(settings->cert.count, sizeof(*pairs));
	if(!pairs) {
		*error = (struct tls_error){.option = "cert", .text = "out of memory"};
		return -ENOMEM;
	}
	for(size_t i = 0; i < settings->cert.count; i++) {
		pairs[i].cert = settings->cert.at[i];
		pairs[i].key = settings->key.count > 0 ? settings->key.at[i] : NULL;
	}
	struct tls_server_options server = {
		.pairs = settings->cert.count,
		.pair = pairs,
		.priority = settings->tls_priority,
		.client_ca = settings->client_ca,
		.crls = settings->client_crl.count,
		.crl = settings->client_crl.at,
		.names = settings->server_name.count,
		.name = settings->server_name.at,
		.verify = (enum tls_verify)settings->client_verify,
	};
	int result = tls_credentials_open_server(out, &server, error);
	free(pairs);
	return result;
}

int certificates_files(const struct settings *settings, const char ***paths, size_t *count) {
	const struct settings_texts *const lists[] = {
		&settings->cert, &settings->key, &settings->client_crl};
	size_t most = settings->cert.count + settings->key.count + settings->client_crl.count + 1;
	const char **files = calloc(most, sizeof(*files));
	if(!files) {
		return -ENOMEM;
	}
	*count = 0;
	for(size_t list = 0; list < sizeof(lists) / sizeof(lists[0]); list++) {
		for(size_t i = 0; i < lists[list]->count; i++) {
			files[(*count)++] = lists[list]->at[i];
		}
	}
	if(settings->client_ca) {
		files[(*count)++] = settings->client_ca;
	}
	*paths = files;
	return 0;
}
