/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS towards clients: certificate, versions, client certificates.
 *
 * It must not know other options. Without the file of the certificate there is no TLS, as with
 * websockify.
 */
#include "compat/secure.h"

#include "compat/parts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CERT "self.pem"
#define SYSTEM_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"

static void verify_clients(struct compat *compat, const struct given *given) {
	const char *authorities = given_value(given, GIVEN_CAFILE);
	parts_add_file(compat, "--verify-client", "client-ca",
		authorities ? authorities : SYSTEM_AUTHORITIES);
	parts_add(compat, "--verify-client", "client-verify", "required");
}

static void restrict_versions(struct compat *compat, const char *version) {
	static const struct {
		const char *name, *priority;
	} versions[] = {
		{"tlsv1_1", "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:+VERS-TLS1.1"},
		{"tlsv1_2", "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{"tlsv1_3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
	};
	for(size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		if(strcmp(version, versions[i].name) == 0) {
			parts_add(compat, "--ssl-version", "tls-priority", versions[i].priority);
		}
	}
}

static void translate_cert(struct compat *compat, const struct given *given) {
	const char *given_cert = given_value(given, GIVEN_CERT);
	const char *cert = given_cert ? given_cert : DEFAULT_CERT;
	const char *version = given_value(given, GIVEN_SSL_VERSION);
	bool only = given_value(given, GIVEN_SSL_ONLY) || given_value(given, GIVEN_VERIFY_CLIENT);
	if(access(cert, F_OK) < 0) {
		if(only) {
			compat_fail_usage(compat, "SSL only and %s not found", cert);
		}
		if(given_cert) {
			texts_add(&compat->notices, NULL, "--cert: \"%s\": %s; there is no TLS",
				cert, strerror(errno));
		}
		texts_add(&compat->lines, NULL, "  - No SSL/TLS support (no cert file)");
		return;
	}
	parts_add_file(compat, "--cert", "cert", cert);
	if(given_value(given, GIVEN_KEY)) {
		parts_add_file(compat, "--key", "key", given_value(given, GIVEN_KEY));
	}
	restrict_versions(compat, version ? version : "");
	texts_add(&compat->lines, NULL, "  - SSL/TLS support");
	if(only) {
		parts_add(compat, "--ssl-only", "tls", "required");
		texts_add(&compat->lines, NULL, "  - Deny non-SSL/TLS connections");
	}
	if(given_value(given, GIVEN_VERIFY_CLIENT)) {
		verify_clients(compat, given);
	}
}

void secure_translate(struct compat *compat, const struct given *given) {
	if(given_value(given, GIVEN_KEY_PASSWORD)) {
		compat_fail(compat,
			"--key-password: encrypted keys are not supported; decrypt the key "
			"(openssl pkey -in KEY -out NEW) and protect the file with mode 0600");
	}
	if(given_value(given, GIVEN_SSL_CIPHERS)) {
		compat_fail(compat,
			"--ssl-ciphers: lists in the format of OpenSSL are not supported; use "
			"websocksy with tls-priority");
	}
	translate_cert(compat, given);
}
