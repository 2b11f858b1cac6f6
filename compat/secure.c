/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS towards clients: certificate, versions, client certificates.
 *
 * It must not know other options. Without the file of the certificate there is no TLS, as with
 * websockify.
 */
#include "compat/secure.h"

#include "compat/ciphers.h"
#include "compat/parts.h"
#include "compat/password.h"

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

/* The versions and algorithms, if they are not the default ones. */
static void restrict_algorithms(struct compat *compat, const struct given *given) {
	static const struct {
		const char *name, *versions;
	} rows[] = {
		{"tlsv1_1", "+VERS-TLS1.2:+VERS-TLS1.1"},
		{"tlsv1_2", "+VERS-TLS1.2"},
		{"tlsv1_3", ""},
	};
	const char *version = given_value(given, GIVEN_SSL_VERSION);
	const char *list = given_value(given, GIVEN_SSL_CIPHERS);
	const char *versions = rows[1].versions;
	char ciphers[CIPHERS_MAX] = "";
	bool restricted = list != NULL;
	bool tls13 = true;
	for(size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if(version && strcmp(version, rows[i].name) == 0) {
			versions = rows[i].versions;
			restricted = true;
		}
	}
	if((list && !ciphers_translate(compat, list, ciphers, &tls13)) || !restricted) {
		return;
	}
	if(!tls13 && !*versions) {
		compat_fail(
			compat, "--ssl-ciphers: no algorithm of \"%s\" is one of TLS 1.3", list);
	} else if(!tls13) {
		texts_add(&compat->notices, NULL,
			"--ssl-ciphers: TLS 1.3 is off, as the list has none of its algorithms");
	}
	texts_add(&compat->arguments, list ? "--ssl-ciphers" : "--ssl-version",
		"--tls-priority=NORMAL:-VERS-ALL%s%s%s%s", tls13 ? ":+VERS-TLS1.3" : "",
		*versions ? ":" : "", versions, ciphers);
}

/* The daemon reads it from a file in memory. */
static void translate_key_password(struct compat *compat, const struct given *given) {
	const char *password = given_value(given, GIVEN_KEY_PASSWORD);
	char path[PASSWORD_PATH_MAX];
	int fd = password ? password_key_file(password, path) : 0;
	if(fd == -EINVAL) {
		compat_fail(compat, "--key-password: has to be one line that is not empty");
	} else if(fd < 0) {
		compat_fail(compat, "--key-password: cannot keep the password: %s", strerror(-fd));
	} else if(password) {
		compat->secret_fd[compat->secrets++] = fd;
		parts_add(compat, "--key-password", "key-password-file", path);
	}
}

static void translate_cert(struct compat *compat, const struct given *given) {
	const char *given_cert = given_value(given, GIVEN_CERT);
	const char *cert = given_cert ? given_cert : DEFAULT_CERT;
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
	translate_key_password(compat, given);
	restrict_algorithms(compat, given);
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
	translate_cert(compat, given);
}
