/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the settings of TLS to the credentials of the server.
 */
#include "config/certificates.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nettle/sha2.h>

#define CERTIFICATES_FILE_MAX ((size_t)8 * 1024 * 1024)

/* ---- the digest ---- */

/* With the NUL, so that neighbours cannot be mistaken for others. */
static void add_text(struct sha256_ctx *hash, const char *text) {
	text = text ? text : "";
	sha256_update(hash, strlen(text) + 1, (const uint8_t *)text);
}

/* One that cannot be read any more counts as empty. */
static void add_file(struct sha256_ctx *hash, const char *path) {
	char *text;
	size_t len;
	uint64_t prefix = 0;
	if(file_read(path, CERTIFICATES_FILE_MAX, &text, &len) == 0) {
		prefix = len;
	}
	sha256_update(hash, sizeof(prefix), (const uint8_t *)&prefix);
	if(prefix > 0) {
		sha256_update(hash, len, (const uint8_t *)text);
		explicit_bzero(text, len);
	}
	free(text);
}

/* Workers with equal certificates and rules have equal keys for session tickets. */
static int set_digest(struct tls_credentials *credentials, const struct settings *settings) {
	struct sha256_ctx hash;
	uint8_t digest[SHA256_DIGEST_SIZE];
	const char **paths;
	size_t count;
	int result = certificates_files(settings, &paths, &count);
	if(result) {
		return result;
	}
	sha256_init(&hash);
	for(size_t i = 0; i < count; i++) {
		add_file(&hash, paths[i]);
	}
	free(paths);
	add_text(&hash, settings->tls_priority);
	for(size_t i = 0; i < settings->server_name.count; i++) {
		add_text(&hash, settings->server_name.at[i]);
	}
	uint8_t numbers[] = {(uint8_t)settings->client_verify, (uint8_t)settings->client_crl.count,
		settings->client_ca ? 1 : 0};
	sha256_update(&hash, sizeof(numbers), numbers);
	sha256_digest(&hash, sizeof(digest), digest);
	tls_credentials_set_digest(credentials, digest);
	return 0;
}

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
		.passphrases = settings->key_passphrases,
		.priority = settings->tls_priority,
		.client_ca = settings->client_ca,
		.crls = settings->client_crl.count,
		.crl = settings->client_crl.at,
		.names = settings->server_name.count,
		.name = settings->server_name.at,
		.verify = (enum tls_verify)settings->client_verify,
	};
	int result = tls_credentials_open_server(out, &server, error);
	if(result == 0 && settings->workers > 1) {
		result = set_digest(*out, settings);
	}
	if(result == -ENOMEM && *out) {
		tls_credentials_unref(*out);
		*out = NULL;
		*error = (struct tls_error){.option = "cert", .text = "out of memory"};
	}
	free(pairs);
	return result;
}

int certificates_files(const struct settings *settings, const char ***paths, size_t *count) {
	const struct settings_texts *const lists[] = {
		&settings->cert, &settings->key, &settings->client_crl};
	size_t most = settings->cert.count + settings->key.count + settings->client_crl.count + 2;
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
	const char *const single[] = {settings->client_ca, settings->key_passphrases};
	for(size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		if(single[i]) {
			files[(*count)++] = single[i];
		}
	}
	*paths = files;
	return 0;
}
