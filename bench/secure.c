/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS as a client.
 *
 * Must not know: the load, WebSocket.
 * Invariants: OpenSSL's queue of errors is empty before each call, or its verdict would be about an
 * older one.
 */
#include "secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_AHEAD (256 * 1024) /* ciphertext taken off the socket at once, as without TLS */
/* The second one is not used for signatures of TLS 1.3, but is what haproxy knows RSA by. */
#define RSA "rsa_pss_rsae_sha256:RSA+SHA256"

_Noreturn static void die(const char *what) {
	fprintf(stderr, "%s: %s\n", what, ERR_reason_error_string(ERR_peek_last_error()));
	exit(2);
}

SSL_CTX *secure_offer(const char *cipher, bool rsa) {
	SSL_CTX *offer = SSL_CTX_new(TLS_client_method());
	if(!offer || !SSL_CTX_set_min_proto_version(offer, TLS1_3_VERSION) ||
		!SSL_CTX_set1_groups_list(offer, "X25519") ||
		!SSL_CTX_set1_sigalgs_list(offer, rsa ? RSA : "ECDSA+SHA256") ||
		!SSL_CTX_set_ciphersuites(offer, cipher)) {
		die(cipher);
	}
	SSL_CTX_set_verify(offer, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(offer, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(
		offer, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(offer, 1);
	SSL_CTX_set_default_read_buffer_len(offer, READ_AHEAD);
	return offer;
}

SSL *secure_new(SSL_CTX *offer, int fd) {
	SSL *session = SSL_new(offer);
	/* Which of several certificates a server shows may depend on there being a name. */
	if(!session || !SSL_set_fd(session, fd) ||
		!SSL_set_tlsext_host_name(session, "localhost")) {
		die("TLS session");
	}
	SSL_set_connect_state(session);
	return session;
}

/* Negative errno for what a call has returned; 0: the other side has ended properly. */
static int verdict(SSL *session, int result) {
	int error = errno;
	switch(SSL_get_error(session, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return error ? -error : -ECONNRESET;
	default:
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
			? -ECONNRESET
			: -EPROTO;
	}
}

int secure_handshake(SSL *session) {
	ERR_clear_error();
	int result = SSL_do_handshake(session);
	if(result != 1) {
		int error = verdict(session, result);
		return error ? error : -EPROTO;
	}
	return SSL_session_reused(session) ? -EPROTO : 0;
}

ssize_t secure_recv(SSL *session, void *data, size_t cap) {
	size_t len = 0;
	while(len < cap) {
		size_t got;
		ERR_clear_error();
		int result = SSL_read_ex(session, (char *)data + len, cap - len, &got);
		if(result != 1) {
			/* What has ended it is met again by the next call. */
			return len > 0 ? (ssize_t)len : verdict(session, result);
		}
		len += got;
	}
	return (ssize_t)len;
}

ssize_t secure_send(SSL *session, const void *data, size_t len) {
	size_t done = 0;
	while(done < len) {
		size_t sent;
		ERR_clear_error();
		int result = SSL_write_ex(session, (const char *)data + done, len - done, &sent);
		if(result != 1) {
			int error = verdict(session, result);
			return done > 0 ? (ssize_t)done : error ? error : -EPIPE;
		}
		done += sent;
	}
	return (ssize_t)done;
}

void secure_finish(SSL *session) {
	ERR_clear_error();
	SSL_shutdown(session);
}
