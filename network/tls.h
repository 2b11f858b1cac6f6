/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS with GnuTLS: credentials that can be exchanged while they are in use, and the stream kind that
 * encrypts. GnuTLS works on memory only; sockets stay with network.c.
 */
#ifndef WEBSOCKSY_TLS_H
#define WEBSOCKSY_TLS_H
#include "network/stream.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_ERROR_MAX 512
#define TLS_SUBJECT_MAX 512

/* A certificate chain and its key, PEM files. */
struct tls_pair {
	const char *cert;
	const char *key; /* NULL: in the same file */
};

/* What a client's certificate is asked for. */
enum tls_verify {
	TLS_VERIFY_OFF,
	TLS_VERIFY_OPTIONAL, /* one that is sent must be valid */
	TLS_VERIFY_REQUIRED
};

struct tls_server_options {
	size_t pairs; /* which one is shown follows from the name that the client asks for (SNI) */
	const struct tls_pair *pair;
	const char *priority; /* GnuTLS priority string; NULL: TLS_PRIORITY_DEFAULT */
	const char *client_ca; /* PEM file of authorities; NULL: none */
	enum tls_verify verify;
};

struct tls_client_options {
	const char *ca; /* PEM file of authorities; NULL: the system's */
	const char *cert; /* a certificate of our own, or NULL */
	const char *key; /* NULL: in the same file */
	bool insecure; /* accept any certificate; `ca` is not read then */
};

/* What is wrong with the options of a server. */
struct tls_error {
	const char *option; /* which: "cert", "key", "tls-priority", "client-ca"; static */
	size_t pair; /* cert and key: which pair */
	char text[TLS_ERROR_MAX]; /* one line that names the file */
};

/* TLS 1.2 and 1.3 and nothing older. */
#define TLS_PRIORITY_DEFAULT "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Credentials and settings, shared by sessions through a reference count. */
struct tls_context;

/*
 * Reads everything that the options name. 0 and `*out` with one reference, or negative errno with what is wrong in
 * `error` or one line of `error`. Blocking file access: for start and reload.
 */
int tls_server_open(struct tls_context **out, const struct tls_server_options *options,
	struct tls_error *error);
int tls_client_open(struct tls_context **out, const struct tls_client_options *options,
	char error[TLS_ERROR_MAX]);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL: nothing */

/*
 * Makes a fresh accepted stream speak TLS. `detect`: its first byte decides between TLS and plain bytes,
 * which then arrive as if nothing had happened. The handshake runs inside stream_read(). Writing before it is
 * done is an error (-ENOTCONN). 0 or -ENOMEM.
 */
int tls_accept(struct stream *stream, struct tls_context *context, bool detect);

/*
 * Makes a connected stream speak TLS as client, behind what has been written to it. `host` (copied): the name to ask
 * for (RFC 6066) and to verify (RFC 6125); of a literal address, with or without zone, only the latter. The owner
 * makes the stream readable (loop_set_ready()) and calls tls_handshake() with each of its events until that no longer
 * answers -EAGAIN. 0, -ENOMEM, or -EINVAL: nobody can have that name.
 */
int tls_connect(struct stream *stream, struct tls_context *context, const char *host);

/*
 * Goes on with the handshake, one read at most. 0: done; -EAGAIN: wait for an event; other negative errno: it has
 * failed, see tls_reason().
 */
int tls_handshake(struct stream *stream);

/* Does the stream speak TLS? */
bool tls_is_active(const struct stream *stream);

/* Does it, with a handshake that is not done? */
bool tls_in_handshake(const struct stream *stream);

/* Why a handshake or a read failed; static or the stream's own; NULL: nothing to say. */
const char *tls_reason(const struct stream *stream);

/*
 * The subject of the client's verified certificate (RFC 4514) into `out`: its length; 0 without one, or if it does
 * not fit: half a name could be somebody else's.
 */
size_t tls_client_subject(const struct stream *stream, char out[TLS_SUBJECT_MAX]);
#endif
