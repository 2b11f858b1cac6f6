/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS sessions: their beginning as server and as client, and the choice of a certificate.
 *
 * Must not know: HTTP, WebSocket, connections.
 * Invariants: a session holds a reference to its credentials.
 * Implements RFC 7301 (ALPN http/1.1), RFC 6066 (server name), through GnuTLS.
 */
#include "network/tls_session.h"

#include "network/server_name.h"
#include "network/tls_internal.h"
#include "network/tls_stream.h"
#include "network/tls_verify.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- choice of a certificate ---- */

static bool has_capitals(const char *name) {
	return strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

/*
 * Which pair does the client ask for? GnuTLS compares names letter by letter, and chooses by the
 * algorithms among equal ones: that is left to it. What remains are patterns and capitals.
 */
static int choose_pair(const struct tls *tls, const char *name, bool exact) {
	const struct tls_credentials *credentials = tls->credentials;
	for(size_t i = 0; i < credentials->choices && exact && !has_capitals(name); i++) {
		if(tls_credentials_cover(
			   &credentials->choice[i], name, GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS)) {
			return 0;
		}
	}
	for(size_t i = 0; i < credentials->choices; i++) {
		if(tls_credentials_cover(&credentials->choice[i], name, 0)) {
			return gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE,
				credentials->choice[i].credentials);
		}
	}
	return 0;
}

/* Another name than the server's is refused with the alert unrecognized_name (RFC 6066, 3). */
static int check_name(struct tls *tls, const char *name, size_t len) {
	const struct tls_credentials *credentials = tls->credentials;
	if(server_name_is_own(credentials->name, credentials->names, (struct slice){name, len})) {
		return 0;
	}
	snprintf(tls->reason, sizeof(tls->reason),
		"the client asks for the server name \"%.80s\", which is not one of server-name",
		name);
	return GNUTLS_E_UNRECOGNIZED_NAME;
}

static int hello_received(gnutls_session_t session) {
	struct tls *tls = gnutls_transport_get_ptr(session);
	char name[256];
	size_t len = sizeof(name);
	unsigned type;
	/* Without a name, or with one that is none (RFC 6066, 3): as if nothing was asked for. */
	if(gnutls_server_name_get(session, name, &len, &type, 0) < 0 || type != GNUTLS_NAME_DNS) {
		return 0;
	}
	len = strlen(name);
	/* Browsers send the dot at the end of a name, against RFC 6066. */
	bool dot = len > 1 && name[len - 1] == '.';
	name[len - dot] = '\0';
	int status = check_name(tls, name, len - dot);
	return status < 0 || tls->credentials->choices < 2 ? status : choose_pair(tls, name, !dot);
}

/* ---- detection of TLS ---- */

/* The first byte decides; it is looked at, not taken. */
static ssize_t detect_read(struct stream *stream, void *data, size_t cap) {
	uint8_t first;
	ssize_t got = stream_peek(stream, &first, 1);
	if(got < 0) {
		return got;
	}
	if(got == 1 && first == TLS_RECORD_HANDSHAKE) {
		tls_stream_begin(stream);
		return -EAGAIN; /* it stays ready */
	}
	const struct stream_ops *plain = tls_of(stream)->plain;
	tls_stream_drop(stream);
	stream->ops = plain;
	return plain->read(stream, data, cap);
}

static int detect_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	/*
	 * Data that is written before the first byte of the client is sent unencrypted: there is no
	 * session yet.
	 */
	return tls_of(stream)->plain->write(stream, iov, count, total);
}

static bool detect_finish(struct stream *stream) {
	return tls_of(stream)->plain->finish(stream);
}

static const struct stream_ops detect_ops = {
	.read = detect_read,
	.write = detect_write,
	.flush = stream_flush_bytes,
	.finish = detect_finish,
	.has_end = true,
	.destroy = tls_stream_drop,
};

/* ---- sessions ---- */

static int session_new(struct stream *stream, struct tls_credentials *credentials, unsigned flags) {
	struct tls *tls = calloc(1, sizeof(*tls));
	if(!tls) {
		return -ENOMEM;
	}
	if(gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
		free(tls);
		return -ENOMEM;
	}
	tls->stream = stream;
	tls->plain = stream->ops;
	tls->credentials = tls_credentials_ref(credentials);
	stream->state = tls;
	tls_stream_connect_session(tls);
	if(gnutls_priority_set(tls->session, credentials->priority) < 0 ||
		gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, credentials->all) <
			0) {
		tls_stream_drop(stream);
		return -ENOMEM;
	}
	return 0;
}

int tls_session_accept(struct stream *stream, struct tls_credentials *credentials, bool detect) {
	static const gnutls_certificate_request_t requests[] = {
		[TLS_VERIFY_OFF] = GNUTLS_CERT_IGNORE,
		[TLS_VERIFY_OPTIONAL] = GNUTLS_CERT_REQUEST,
		[TLS_VERIFY_REQUIRED] = GNUTLS_CERT_REQUIRE,
	};
	gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "http/1.1", 8};
	int result = session_new(stream, credentials, GNUTLS_SERVER);
	if(result) {
		return result;
	}
	gnutls_session_t session = tls_of(stream)->session;
	/*
	 * Who offers protocols and not this one would take our answers for something else (RFC
	 * 7301, 3.2).
	 */
	gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
	const gnutls_datum_t *ticket_key =
		tls_credentials_ticket_key(credentials, stream->loop->now_ms);
	if(ticket_key) {
		gnutls_session_ticket_enable_server(session, ticket_key);
	}
	gnutls_certificate_server_set_request(session, requests[credentials->verify]);
	if(credentials->verify != TLS_VERIFY_OFF) {
		gnutls_session_set_verify_function(session, tls_verify_client);
		tls_verify_limit_keys(session);
	}
	if(credentials->choices > 1 || credentials->names > 0) {
		gnutls_handshake_set_post_client_hello_function(session, hello_received);
	}
	if(detect) {
		stream->ops = &detect_ops;
	} else {
		tls_stream_begin(stream);
	}
	return 0;
}

/* The name of this host in certificates: without the root's dot, or the zone of an IPv6 address. */
static char *copy_name(const char *host) {
	size_t len = strchr(host, ':') ? strcspn(host, "%") : strlen(host);
	if(len > 1 && host[len - 1] == '.') {
		len--;
	}
	return strndup(host, len);
}

/* Addresses are not sent, RFC 6066 section 3. Without the name another host could answer. */
static int send_name(struct tls *tls) {
	unsigned char literal[16];
	if(tls_verify_parse_literal(tls->name, literal) > 0) {
		return 0;
	}
	int status =
		gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->name, strlen(tls->name));
	return status >= 0 ? 0 : status == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

int tls_session_connect(
	struct stream *stream, struct tls_credentials *credentials, const char *host) {
	int result = session_new(stream, credentials, GNUTLS_CLIENT);
	if(result) {
		return result;
	}
	struct tls *tls = tls_of(stream);
	tls->name = copy_name(host);
	result = tls->name ? send_name(tls) : -ENOMEM;
	if(result) {
		tls_stream_drop(stream);
		return result;
	}
	if(!credentials->insecure) {
		gnutls_session_set_verify_function(tls->session, tls_verify_server);
	}
	tls_stream_begin(stream);
	return 0;
}

const char *tls_session_recheck_client(
	const struct stream *stream, const struct tls_credentials *credentials) {
	if(!credentials || credentials->verify == TLS_VERIFY_OFF || !tls_stream_is_active(stream) ||
		tls_stream_in_handshake(stream)) {
		return NULL;
	}
	return tls_verify_again(tls_of(stream)->session, credentials->all);
}

/* A name of the certificate into `out`: its length, or 0. */
typedef size_t name_fn(gnutls_x509_crt_t certificate, char out[TLS_SUBJECT_MAX]);

static size_t copy_dn(gnutls_datum_t *name, char out[TLS_SUBJECT_MAX]) {
	bool fits = name->size < TLS_SUBJECT_MAX;
	if(fits) {
		memcpy(out, name->data, name->size);
		out[name->size] = '\0';
	}
	gnutls_free(name->data);
	return fits ? strlen(out) : 0;
}

static size_t get_subject(gnutls_x509_crt_t certificate, char out[TLS_SUBJECT_MAX]) {
	gnutls_datum_t name;
	return gnutls_x509_crt_get_dn3(certificate, &name, 0) == 0 ? copy_dn(&name, out) : 0;
}

static size_t get_issuer(gnutls_x509_crt_t certificate, char out[TLS_SUBJECT_MAX]) {
	gnutls_datum_t name;
	return gnutls_x509_crt_get_issuer_dn3(certificate, &name, 0) == 0 ? copy_dn(&name, out) : 0;
}

/* With several names, or a NUL within, programs differ in the one that counts. */
static size_t get_common_name(gnutls_x509_crt_t certificate, char out[TLS_SUBJECT_MAX]) {
	static const char *const oid = GNUTLS_OID_X520_COMMON_NAME;
	char second[TLS_SUBJECT_MAX];
	size_t len = TLS_SUBJECT_MAX;
	size_t second_len = sizeof(second);
	bool alone = gnutls_x509_crt_get_dn_by_oid(certificate, oid, 1, 0, second, &second_len) ==
		GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
	int result = gnutls_x509_crt_get_dn_by_oid(certificate, oid, 0, 0, out, &len);
	return alone && result == 0 && strlen(out) == len ? len : 0;
}

/* An invalid certificate has ended the handshake: one that is here was verified. */
static size_t client_name(
	const struct stream *stream, name_fn *get_name, char out[TLS_SUBJECT_MAX]) {
	gnutls_x509_crt_t certificate;
	unsigned count = 0;
	size_t len = 0;
	if(!tls_stream_is_active(stream) || tls_of(stream)->credentials->verify == TLS_VERIFY_OFF) {
		return 0;
	}
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls_of(stream)->session, &count);
	if(!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) {
		return 0;
	}
	if(gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0) {
		len = get_name(certificate, out);
	}
	gnutls_x509_crt_deinit(certificate);
	return len;
}

size_t tls_session_client_subject(const struct stream *stream, char out[TLS_SUBJECT_MAX]) {
	return client_name(stream, get_subject, out);
}

size_t tls_session_client_issuer(const struct stream *stream, char out[TLS_SUBJECT_MAX]) {
	return client_name(stream, get_issuer, out);
}

size_t tls_session_client_common_name(const struct stream *stream, char out[TLS_SUBJECT_MAX]) {
	return client_name(stream, get_common_name, out);
}

const char *tls_session_version(const struct stream *stream) {
	return tls_stream_is_active(stream)
		? gnutls_protocol_get_name(gnutls_protocol_get_version(tls_of(stream)->session))
		: NULL;
}

size_t tls_session_server_name(const struct stream *stream, char out[TLS_NAME_MAX]) {
	size_t len = TLS_NAME_MAX;
	unsigned type;
	bool named = tls_stream_is_active(stream) &&
		gnutls_server_name_get(tls_of(stream)->session, out, &len, &type, 0) == 0 &&
		type == GNUTLS_NAME_DNS;
	return named ? strlen(out) : 0;
}
