/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Shared by the files of TLS; not for others.
 */
#ifndef WEBSOCKSY_TLS_INTERNAL_H
#define WEBSOCKSY_TLS_INTERNAL_H
#include "base/dynbuf.h"
#include "network/stream.h"
#include "network/tls_credentials.h"
#include "network/tls_tickets.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of several pairs of a server. */
struct tls_choice {
	gnutls_x509_crt_t leaf;
	gnutls_certificate_credentials_t
		credentials; /* this pair and others that do for all its names */
};

struct tls_credentials {
	gnutls_certificate_credentials_t all; /* all pairs */
	struct tls_choice *choice; /* server: for each pair */
	size_t choices;
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key; /* server: encrypts session tickets */
	uint64_t ticket_key_ms; /* when it was made; 0: with the credentials, not used yet */
	const struct tls_tickets *tickets; /* the key comes from there; NULL: it is our own */
	uint64_t generation; /* of `tickets`, that the key belongs to */
	uint8_t digest[TLS_TICKETS_DIGEST]; /* of everything that the credentials are made of */
	char **name; /* server: names that clients may ask for */
	size_t names; /* 0: any */
	enum tls_verify verify;
	bool insecure; /* client: any certificate will do */
	size_t references;
};

struct tls {
	gnutls_session_t session;
	struct tls_credentials *credentials;
	struct stream *stream;
	const struct stream_ops *plain; /* the kind of the socket itself */
	const uint8_t *in; /* ciphertext of the current read */
	size_t in_len;
	struct dynbuf rest; /* ciphertext that the reader had no room for; mostly empty */
	bool in_ended; /* the transport has ended */
	bool begun; /* there has been a byte */
	bool answered; /* something has been sent */
	bool established;
	/* behind the last data there was an end or an error: the next read returns `verdict` */
	bool over;
	int verdict; /* 0: the end; or negative errno */
	bool close_notify_sent;
	unsigned verify_status; /* what is wrong with the other side's certificate */
	char *name; /* client: what the server must prove to be */
	char reason[160];
};

static inline struct tls *tls_of(const struct stream *stream) {
	return stream->state;
}

/* Makes the stream of `tls` the transport of its session. */
void tls_stream_connect_session(struct tls *tls);

/*
 * Reading and writing go through the session from here on; the handshake comes first, with low
 * priority.
 */
void tls_stream_begin(struct stream *stream);

/* Frees the session. */
void tls_stream_drop(struct stream *stream);

/*
 * The key for session tickets. Each is used for a day at most: the keys of sessions cannot be
 * computed from a later one. NULL: there is none.
 */
const gnutls_datum_t *tls_credentials_ticket_key(
	struct tls_credentials *credentials, uint64_t now_ms);

/* Is the certificate for this name? `flags`: of gnutls_x509_crt_check_hostname2(). */
bool tls_credentials_cover(const struct tls_choice *choice, const char *name, unsigned flags);
#endif
