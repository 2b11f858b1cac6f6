/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Beginning TLS on a stream, as server or as client.
 */
#ifndef WEBSOCKSY_TLS_SESSION_H
#define WEBSOCKSY_TLS_SESSION_H
#include "network/stream.h"
#include "network/tls_credentials.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_SUBJECT_MAX 512
#define TLS_NAME_MAX 256
#define TLS_RECORD_HANDSHAKE 0x16 /* first byte of a TLS connection, RFC 8446 section 5.1 */

/*
 * Makes a fresh accepted stream speak TLS. `detect`: its first byte decides between TLS and plain
 * bytes, which then arrive as if nothing had happened. The handshake runs inside stream_read().
 * Writing before it is done is an error (-ENOTCONN). 0 or -ENOMEM.
 */
int tls_session_accept(struct stream *stream, struct tls_credentials *credentials, bool detect);

/*
 * Makes a connected stream speak TLS as client, behind what has been written to it. `host`
 * (copied): the name to ask for (RFC 6066) and to verify (RFC 6125); of a literal address, with or
 * without zone, only the latter. The owner makes the stream readable (loop_set_ready()) and calls
 * tls_stream_handshake() with each of its events until that no longer answers -EAGAIN. 0, -ENOMEM,
 * or -EINVAL: not a valid name.
 */
int tls_session_connect(
	struct stream *stream, struct tls_credentials *credentials, const char *host);

/*
 * Would the certificate that the client has shown still be accepted with these credentials (NULL:
 * no TLS any more)? NULL: yes, or there is none. Otherwise static text that describes the reason.
 */
const char *tls_session_recheck_client(
	const struct stream *stream, const struct tls_credentials *credentials);

/*
 * The subject of the client's verified certificate, or of its issuer (RFC 4514), into `out`: its
 * length; 0 without one, or if it does not fit: a truncated name could be that of another host.
 */
size_t tls_session_client_subject(const struct stream *stream, char out[TLS_SUBJECT_MAX]);
size_t tls_session_client_issuer(const struct stream *stream, char out[TLS_SUBJECT_MAX]);

/*
 * The common name in that subject: its length; 0 without a certificate, if the subject has none or
 * several, or if it holds a NUL.
 */
size_t tls_session_client_common_name(const struct stream *stream, char out[TLS_SUBJECT_MAX]);

/* The version of TLS of a stream behind its handshake: static, such as "TLS1.3"; NULL: no TLS. */
const char *tls_session_version(const struct stream *stream);

/* The server name that the client has asked for into `out`, as it was sent: its length; 0: none. */
size_t tls_session_server_name(const struct stream *stream, char out[TLS_NAME_MAX]);
#endif
