/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS: certificates, keys and authorities, read from PEM files, shared by sessions
 * and exchanged while they are in use.
 */
#ifndef WEBSOCKSY_TLS_CREDENTIALS_H
#define WEBSOCKSY_TLS_CREDENTIALS_H
#include "network/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_ERROR_MAX 512

/* A certificate chain and its key, PEM files. */
struct tls_pair {
	const char *cert;
	const char *key; /* NULL: in the same file */
};

/* Requirements for the certificate of a client. */
enum tls_verify {
	TLS_VERIFY_OFF,
	TLS_VERIFY_OPTIONAL, /* one that is sent must be valid */
	TLS_VERIFY_REQUIRED
};

struct tls_server_options {
	size_t pairs; /* which one is shown follows from the name that the client asks for (SNI) */
	const struct tls_pair *pair;
	const char *passphrases; /* file with a line for each encrypted key; NULL: none */
	const char *priority; /* GnuTLS priority string; NULL: TLS_PRIORITY_SERVER */
	const char *client_ca; /* PEM file of authorities; NULL: none */
	size_t crls;
	char *const *crl; /* PEM files of revoked client certificates */
	enum tls_verify verify;
	size_t names;
	char *const *name; /* the server's names, see server_name.h; another SNI is refused */
};

struct tls_client_options {
	const char *ca; /* PEM file of authorities; NULL: the system's */
	const char *cert; /* a certificate of our own, or NULL */
	const char *key; /* NULL: in the same file */
	bool insecure; /* accept any certificate; `ca` is not read then */
};

/* An error in the options of a server. */
struct tls_error {
	/* the option: "cert", "key", "key-password-file", "tls-priority", "client-ca",
	 * "client-crl"; static */
	const char *option;
	size_t pair; /* cert and key: which pair; client-crl: which file */
	char text[TLS_ERROR_MAX]; /* one line that names the file */
};

/* TLS 1.2 and 1.3 and nothing older. */
#define TLS_PRIORITY_CLIENT "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/*
 * Besides: no key exchange with finite fields, which costs a server a hundred times as much as one
 * with elliptic curves and a client nothing; none without forward secrecy, and no CBC (RFC 9325,
 * sections 4.1 and 4.2); and the server's order of preference.
 */
#define TLS_PRIORITY_SERVER                                                                        \
	TLS_PRIORITY_CLIENT                                                                        \
	":-GROUP-DH-ALL:-DHE-RSA:-RSA:-AES-256-CBC:-AES-128-CBC:%SERVER_PRECEDENCE"

#define TLS_TICKET_KEY_MS UINT64_C(86400000) /* a day: then session tickets get a new key */

struct tls_tickets;

/* Credentials and settings, shared by sessions through a reference count. */
struct tls_credentials;

/*
 * Reads everything that the options name. 0 and `*out` with one reference, or negative errno with
 * what is wrong in `error` or one line of `error`. Blocking file access: for start and reload.
 */
int tls_credentials_open_server(struct tls_credentials **out,
	const struct tls_server_options *options, struct tls_error *error);
int tls_credentials_open_client(struct tls_credentials **out,
	const struct tls_client_options *options, char error[TLS_ERROR_MAX]);
/* The digest of everything that a server's credentials are made of, which the caller has computed. */
void tls_credentials_set_digest(struct tls_credentials *credentials, const uint8_t digest[32]);

/* The key for session tickets comes from `tickets`, which outlive the credentials. */
void tls_credentials_share_tickets(
	struct tls_credentials *credentials, const struct tls_tickets *tickets);
struct tls_credentials *tls_credentials_ref(struct tls_credentials *credentials);
void tls_credentials_unref(struct tls_credentials *credentials); /* NULL: nothing */
#endif
